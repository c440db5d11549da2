"""One process at a time: an exclusive lock on a file, waited for briefly.

The operating system drops the lock when its holder ends in any way, so none is ever left behind.
"""

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from keys.errors import Busy

WAIT_S = 5.0
_POLL_S = 0.02


@contextlib.contextmanager
def locked(path: Path, wait_s: float = WAIT_S) -> Iterator[None]:
    """Holds the lock file `path` for the block; raises `Busy` after `wait_s` seconds."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        deadline = time.monotonic() + wait_s
        while not _try_to_lock(fd):
            if time.monotonic() >= deadline:
                raise Busy(
                    f"another process has held {path} for {wait_s:.0f} s; wait until it is done, "
                    "then run this again"
                )
            time.sleep(_POLL_S)
        yield
    finally:
        os.close(fd)


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
