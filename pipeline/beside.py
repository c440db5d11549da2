"""The microphone beside the other doors of `serve`: a supervisor of its own, with its own workers.

Promises that it begins before any worker of `serve` and ends with `serve`, in order where that is
told to end and at once where that is killed; that its end, whatever the reason, ends `serve` with
that reason; and that nothing of what it hears or answers is written anywhere but into the vault:
what `listen` shows on a screen would be in a service's journal for ever.
"""

import contextlib
import ctypes
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

from keys.errors import KeysError
from pipeline.errors import PipelineError
from pipeline.interrupts import interrupts_held

_PR_SET_PDEATHSIG = 1
_PATIENCE_S = 65.0
_ENDED = "listening ended by itself"

Listen = Callable[[], int]


class Beside:
    """The listener, as `serve` sees it."""

    def __init__(self, end: Connection) -> None:
        self._end = end

    def is_set(self) -> bool:
        """Tells whether it has ended: then so shall `serve`."""
        return self._end.poll()

    def check(self) -> None:
        """Raises what ended it, if it has ended."""
        if self.is_set():
            try:
                reason = self._end.recv()
            except (EOFError, OSError):
                reason = PipelineError(f"{_ENDED}; `anechoic listen` says more")
            if isinstance(reason, Exception):
                raise reason


@contextlib.contextmanager
def beside(listen: Listen, *, fork: bool) -> Iterator[Beside]:
    """Listens in another process for the block; raises at its end what ended that before."""
    spawned: type[BaseProcess] = multiprocessing.get_context("spawn").Process
    make = multiprocessing.get_context("fork").Process if fork else spawned
    ours, theirs = multiprocessing.Pipe(duplex=False)
    process = make(target=_run, args=(listen, theirs, os.getpid()))
    with interrupts_held():
        process.start()
    theirs.close()
    it = Beside(ours)
    try:
        yield it
        it.check()
    finally:
        process.terminate()
        process.join(_PATIENCE_S)
        process.kill()
        process.join()
        ours.close()


def _run(listen: Listen, tell: Connection, parent: int) -> None:
    """Is all that the process does."""
    _end_with(parent)
    _write_nothing()
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    reason: Exception | None = None
    try:
        listen()
    except KeyboardInterrupt:  # `serve` was told as well
        pass
    except (PipelineError, KeysError, OSError) as refusal:
        reason = refusal
    with contextlib.suppress(OSError):
        tell.send(reason)
    os._exit(0)


def _end_with(parent: int) -> None:
    """Has the system tell this process to end when the one that made it is gone."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)


def _write_nothing() -> None:
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
