"""Workers that hold what was said, and above them a process that never does.

Memory that has held speech cannot be wiped: recognisers and Python keep copies. So it ends instead.
Promises that after each erasure in the vault, whoever made it, the worker ends at its next quiet
moment, and one forked from a process that never saw speech or a key goes on; that the new one is
ready before the old one is told to end, so that nothing between them is missed; and that no worker
outlives this process by more than a second. A worker that ends by itself ends the whole; one that
crashes is refused with `PipelineError`. Change here how workers are made and what they are told.
"""

import contextlib
import multiprocessing
import os
import signal
import sys
import time
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Self

from keys.errors import Busy
from pipeline.errors import PipelineError
from pipeline.interrupts import interrupts_held
from pipeline.turn import BEGIN, INTERRUPTED, LEFT, NOW, OVER, READY, RELIEVED, STOP, Work, run

CAN_FORK = sys.platform == "linux"  # elsewhere the system's own libraries do not survive a fork
_LOOK_S = 0.2
_PATIENCE_S = 60.0  # twice the longest utterance: a worker that is not done by then is killed


class Erasures:
    """Counts the erasures in a vault from here on, by its log alone, which needs no key."""

    def __init__(self, vault: Path) -> None:
        self._entries, self._count = vault / "log" / "entries", 0
        self._end = self._size()

    def look(self) -> int:
        """Returns how many there have been; a log that has become shorter counts as one."""
        size = self._size()
        if size < self._end:
            self._end, self._count = size, self._count + 1
        elif size > self._end:
            with open(self._entries, "rb") as log:
                log.seek(self._end)
                lines = log.read().rpartition(b"\n")[0]
            self._end += len(lines) + 1 if lines else 0
            self._count += sum(it.split(b" ", 2)[1:2] == [b"erase"] for it in lines.splitlines())
        return self._count

    def _size(self) -> int:
        try:
            return self._entries.stat().st_size
        except (FileNotFoundError, NotADirectoryError):
            return 0


def supervise(work: Work, vault: Path, *, fork: bool = CAN_FORK) -> int:
    """Has workers do the work, one after the other, and returns the exit code of the last.

    Whatever all of them share and what has to outlive them (a model, a listening socket) is made
    before, without threads where they are forked. A worker's standard input is the terminal, or
    nothing. Raises what ended a worker, and `KeyboardInterrupt` where Ctrl-C did.
    """
    with _Asked() as asked:
        return _Supervisor(work, Erasures(vault), fork=fork).run(asked)


class _Asked:
    """Notes what signals ask for, instead of doing it."""

    def __enter__(self) -> Self:
        self.stops = self.interrupts = 0
        both = (signal.SIGINT, signal.SIGTERM)
        self._before = {it: signal.signal(it, self._note) for it in both}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, _: object) -> None:
        self.stops += 1
        self.interrupts += number == signal.SIGINT


class _Worker:
    """A worker, as the supervisor sees it."""

    def __init__(self, process: BaseProcess, connection: Connection, born: int) -> None:
        self.process, self.connection, self.born = process, connection, born
        """`born` is the number of erasures there had been when it was made."""
        self.is_ready = self.has_ended = False
        self.over_at_s: float | None = None
        self.left = b""
        self.outcome: int | BaseException | None = None

    def tell(self, what: str, value: object = None) -> None:
        with contextlib.suppress(OSError):  # its end is noticed, and looked into, elsewhere
            self.connection.send((what, value))

    def hear(self) -> None:
        """Takes all that it has told, and its end."""
        try:
            while self.connection.poll():
                self._take(*self.connection.recv())
        except (EOFError, OSError):
            self.process.join()
            self.has_ended = True
            if self.outcome is None:
                self.outcome = _crash(self.process.exitcode)

    def _take(self, what: str, value: object) -> None:
        if what == READY:
            self.is_ready = True
        elif what == LEFT and isinstance(value, bytes):
            self.left = value
        elif what == INTERRUPTED:
            self.outcome = KeyboardInterrupt()
        elif isinstance(value, int | Exception):
            self.outcome = value

    def end_turn(self) -> None:
        """Tells it, once, that its turn is over; ends it where that is not obeyed."""
        now_s = time.monotonic()
        if self.over_at_s is None:
            self.over_at_s = now_s
            self.tell(OVER)
        elif now_s - self.over_at_s > _PATIENCE_S:
            self.outcome = RELIEVED
            self.process.kill()

    def failure(self) -> BaseException | None:
        """Returns what made it fail, None where it just ended."""
        return self.outcome if isinstance(self.outcome, BaseException) else None

    def kill(self) -> None:
        """Ends it at once, whatever it is at."""
        self.process.kill()
        self.process.join()
        self.connection.close()


class _Supervisor:
    def __init__(self, work: Work, erasures: Erasures, *, fork: bool) -> None:
        self._work, self._erasures, self._fork = work, erasures, fork
        start: type[BaseProcess] = multiprocessing.get_context("spawn").Process
        self._make = multiprocessing.get_context("fork").Process if fork else start
        self._next: _Worker | None = None
        self._failure: BaseException | None = None
        self._has_stopped = self._has_interrupted = False

    def run(self, asked: _Asked) -> int:
        self._now = self._made(b"", is_first=True)
        try:
            while (outcome := self._outcome()) is None:
                wait([it.connection for it in self._both()], _LOOK_S)
                for worker in self._both():
                    worker.hear()
                self._pass_on(asked)
                self._see_to_erasures()
        finally:
            for worker in self._both():
                worker.kill()
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    def _both(self) -> list[_Worker]:
        return [self._now, self._next] if self._next else [self._now]

    def _made(self, left: bytes, *, is_first: bool) -> _Worker:
        # Counted before it is made: what is erased from here on, it may yet come to hold.
        born, (ours, theirs) = self._erasures.look(), multiprocessing.Pipe()
        inherited = [ours] if is_first else [ours, self._now.connection]
        about = (theirs, inherited if self._fork else [], left, is_first, _terminal())
        process = self._make(target=run, args=(self._work, *about))
        with interrupts_held():
            process.start()
        theirs.close()
        return _Worker(process, ours, born)

    def _pass_on(self, asked: _Asked) -> None:
        if asked.stops and not self._has_stopped:
            self._stop()
        if asked.interrupts and asked.stops > 1 and not self._has_interrupted:
            self._has_interrupted = True
            for worker in self._both():
                worker.tell(NOW)

    def _stop(self) -> None:
        self._has_stopped = True
        for worker in self._both():
            worker.tell(STOP)

    def _see_to_erasures(self) -> None:
        """Has a worker that may hold what was erased relieved, by one that holds nothing."""
        if self._has_stopped or self._now.has_ended:
            return
        if self._next is None:
            if self._erasures.look() > self._now.born:
                self._next = self._made(self._now.left, is_first=False)
        elif self._next.is_ready:
            self._now.end_turn()

    def _outcome(self) -> int | BaseException | None:
        """Returns what it has all come to, None while it goes on; the next turn begins here."""
        if self._next and self._next.has_ended:  # it could not take over
            failure, self._next = self._next.failure(), None
            if not isinstance(failure, Busy):  # of the vault: that passes, and another is made
                self._failure = self._failure or failure
                self._stop()
        if not self._now.has_ended:
            return None
        if self._now.outcome != RELIEVED or self._failure:
            return self._failure or self._now.outcome
        if self._has_stopped or self._next is None:
            return 0
        self._next.tell(BEGIN, self._now.left)
        self._now, self._next = self._next, None
        return None


def _terminal() -> str | None:
    """Returns the name of the terminal that is standard input: a new process is not given that."""
    if sys.stdin is None or not sys.stdin.isatty():
        return None
    return "CONIN$" if sys.platform == "win32" else os.ttyname(sys.stdin.fileno())


def _crash(code: int | None) -> PipelineError:
    why = f"signal {-code}" if code and code < 0 else f"exit code {code}"
    return PipelineError(
        f"the process that does the work ended unexpectedly ({why}); run this again: what was "
        "sealed by then is kept, and completed then"
    )
