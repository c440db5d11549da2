"""One process at a time: an exclusive lock on a file, waited for briefly and in turn.

The operating system drops the lock when its holder ends in any way, so none is ever left behind.
Whoever waits stands in a queue of one, a second lock, and only who has stood there gets the first:
a process that takes it again and again cannot keep another from it.
"""

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from keys.errors import Busy

WAIT_S = 5.0
QUEUE = ".queue"
"""What is added to the name of a lock that is waited for, as the name of its queue."""
_POLL_S = 0.005


@contextlib.contextmanager
def locked(path: Path, wait_s: float = WAIT_S) -> Iterator[None]:
    """Holds the lock file `path` for the block; raises `Busy` after `wait_s` seconds.

    Who does not wait at all (0) does not stand in the queue, which is a file beside it.
    """
    deadline = time.monotonic() + wait_s
    with _opened(path) as lock:
        if wait_s:
            with _opened(path.with_name(path.name + QUEUE)) as queue:
                _take(queue, path, deadline, wait_s)
                _take(lock, path, deadline, wait_s)
        else:
            _take(lock, path, deadline, wait_s)
        yield


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[int]:
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        yield fd
    finally:
        os.close(fd)


def _take(fd: int, path: Path, deadline: float, wait_s: float) -> None:
    while not _try_to_lock(fd):
        if time.monotonic() >= deadline:
            raise Busy(
                f"another process has held {path} for {wait_s:.0f} s; wait until it is done, "
                "then run this again"
            )
        time.sleep(_POLL_S)


def _try_to_lock(fd: int) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
