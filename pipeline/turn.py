"""A worker's turn: what it is told by its supervisor, and what it tells.

Promises that a worker whose supervisor is gone ends within a second, that nothing but numbers,
errors without content, and a few bytes for the next worker ever leave it by this way, and that its
end is quick. Refuses nothing: whatever stops the work is told, and ends the process. Change here
what a worker process is like before its work begins; when it begins and ends is `supervisor`'s.
"""

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection

from keys.errors import KeysError
from pipeline import machine
from pipeline.errors import PipelineError, defect

RELIEVED = -1
"""What a worker returns that ended because its turn was over, and for no other reason."""
READY, LEFT, DONE, FAILED, INTERRUPTED = "ready", "left", "done", "failed", "interrupted"
"""What a worker tells."""
BEGIN, OVER, STOP, NOW = "begin", "over", "stop", "now"
"""What it is told."""
_GRACE_S = 0.5  # for an orderly end once there is nobody to be orderly for


class Turn:
    """One worker's turn, as the worker sees it.

    The first one's has begun from the start. Every other prepares itself, opens what it will need,
    calls `ready`, and waits for `began` with what only one of them can do. When it is `over`, a
    worker finishes what is under way, calls `leave`, and returns `RELIEVED`. When `stop` is set,
    somebody wants it all to end: it finishes what is under way, and returns the exit code; Ctrl-C
    once more is `KeyboardInterrupt`.
    """

    def __init__(self, connection: Connection, left: bytes, *, is_first: bool) -> None:
        self.began, self.over, self.stop = (threading.Event() for _ in range(3))
        self.is_first, self.left = is_first, left
        """`left` is what the worker before left: final once this turn has begun."""
        self._connection, self._sending = connection, threading.Lock()
        self._interrupts, self._is_interrupted = 0, False
        if is_first:
            self.began.set()

    def ready(self) -> None:
        """Says that this worker can take over at any moment."""
        self._tell(READY, None)

    def leave(self, left: bytes) -> None:
        """Leaves word for the next worker, nothing of it spoken; the last word counts."""
        self._tell(LEFT, left)

    def _tell(self, what: str, value: object) -> None:
        with self._sending, contextlib.suppress(OSError):  # `_obey` sees to a lost supervisor
            self._connection.send((what, value))

    def _obey(self) -> None:
        """Does, in a thread of its own, as the supervisor says; its end is this worker's end."""
        with contextlib.suppress(EOFError, OSError):
            while True:
                what, value = self._connection.recv()
                if what == BEGIN:
                    self.left = value
                {BEGIN: self.began, OVER: self.over}.get(what, self.stop).set()
                if what == NOW:
                    self._interrupt()
        self.stop.set()
        self._interrupt()
        time.sleep(_GRACE_S)
        os._exit(1)

    def _interrupt(self) -> None:
        self._interrupts = 1
        main = threading.main_thread().ident
        if sys.platform == "win32" or main is None:
            signal.raise_signal(signal.SIGINT)
        else:  # straight to the main thread, so that it does not go on waiting
            signal.pthread_kill(main, signal.SIGINT)

    def _on_signal(self, number: int, _: object) -> None:
        self.stop.set()
        self._interrupts += number == signal.SIGINT
        if self._interrupts > 1 and not self._is_interrupted:  # once: it must not hit its own end
            self._is_interrupted = True
            raise KeyboardInterrupt


Work = Callable[[Turn], int]
"""What a worker does; without `fork` it must be something that can be pickled."""


def run(
    work: Work,
    connection: Connection,
    inherited: list[Connection],
    left: bytes,
    is_first: bool,
    terminal: str | None,
) -> None:
    """Is all that a worker process does; never returns."""
    for it in inherited:  # kept open here, they would hide the supervisor's end from the others
        it.close()
    outcome: tuple[str, object] = (FAILED, None)
    try:
        turn = Turn(connection, left, is_first=is_first)
        _settle_in(turn, terminal)
        outcome = (DONE, work(turn))
    except KeyboardInterrupt:
        outcome = (INTERRUPTED, None)
    except Exception as error:  # noqa: BLE001 - the supervisor raises it again
        outcome = (FAILED, _without_content(error))
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        with contextlib.suppress(Exception):  # then it has crashed, for all that is known of it
            connection.send(outcome)
        os._exit(0)  # nothing is left to be done, and libraries may take long to do it


def _settle_in(turn: Turn, terminal: str | None) -> None:
    machine.harden()
    machine.lock_memory()
    if sys.unraisablehook is sys.__unraisablehook__:  # a new process, that nobody has kept quiet
        sys.unraisablehook = lambda _: None
        threading.excepthook = lambda _: None
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, turn._on_signal)  # noqa: SLF001 - two halves of one thing
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    threading.Thread(target=turn._obey, daemon=True).start()  # noqa: SLF001
    if terminal:
        sys.stdin = open(terminal)  # noqa: SIM115 - for as long as this process is


def _without_content(error: Exception) -> Exception:
    """Returns what may be told outside of a worker: refusals hold no content, defects may."""
    if isinstance(error, PipelineError | KeysError | OSError):
        return error
    return PipelineError(defect(error))
