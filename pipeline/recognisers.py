"""Several recognisers at once: threads that wait, and the processes that recognise.

Promises that sound goes to other processes through pipes only, that a process that dies is an error
and never a wait, and that none outlives its parent by more than the utterance it is at. Refuses
less than one job with `Refused`, and with `NoModel` what `recognise` refuses. Change here how many
utterances may be under way at once.
"""

import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import PipelineError, Refused
from pipeline.interrupts import interrupts_held
from pipeline.model import Word
from pipeline.recognise import Loaded, OnPartial, Recogniser, Stopped, load

_CAN_FORK = sys.platform == "linux"  # elsewhere the system's own libraries do not survive a fork


class Started(Recogniser, Protocol):
    """A recogniser that is ready, and can be stopped from another thread."""

    def stop(self) -> None:
        """Make the recognition under way, and every later one, raise `Stopped`."""
        ...


class Recognisers:
    """As many recognisers as `jobs` says; a context manager.

    One works in a thread of this process; more are processes of their own, forked (on Linux) once
    the model is loaded, so that they share its memory. A forked process holds a copy of whatever
    this one holds in memory, so enter before a vault is open. Leaving ends them at once, with what
    they do; if this process is killed, they end by themselves. Raises `NoModel`, `Refused`.
    """

    def __init__(self, model: Path, jobs: int = 1, vocabulary: Sequence[str] = ()) -> None:
        if jobs < 1:
            raise Refused(f"jobs: expected at least 1, found {jobs}")
        self.limit = 2 * jobs
        """How many utterances may wait or be worked on: each is up to a megabyte."""
        self.leaves = False
        """Whether the sound leaves this machine to be recognised."""
        self._load, self._jobs = partial(load, model, vocabulary), jobs
        self._all: list[Started] = []
        self._idle: SimpleQueue[Recogniser] = SimpleQueue()
        self._threads = ThreadPoolExecutor(jobs, "recogniser")

    def __enter__(self) -> Self:
        try:
            for recogniser in self._started():
                self._all.append(recogniser)
                self._idle.put(recogniser)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    def submit(
        self, pcm: NDArray[np.int16], on_partial: OnPartial | None = None
    ) -> Future[tuple[Word, ...]]:
        """Have the words of one utterance recognised by whoever is idle next."""
        return self._threads.submit(self._recognise, pcm, on_partial)

    def recognise(
        self, pcm: NDArray[np.int16], on_partial: OnPartial | None = None
    ) -> tuple[Word, ...]:
        """Have the words of one utterance recognised, and wait for them."""
        return self.submit(pcm, on_partial).result()

    def _recognise(self, pcm: NDArray[np.int16], on_partial: OnPartial | None) -> tuple[Word, ...]:
        recogniser = self._idle.get()
        try:
            return recogniser.recognise(pcm, on_partial)
        finally:
            self._idle.put(recogniser)

    def _started(self) -> Iterator[Started]:
        loaded = self._load()  # also where it cannot be shared: a bad model is found here
        if self._jobs == 1:
            yield loaded
            return
        is_shared = _CAN_FORK and loaded.can_be_forked
        for _ in range(self._jobs):
            yield _Process(loaded if is_shared else self._load)

    def _end(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        for recogniser in self._all:
            recogniser.stop()
        self._threads.shutdown(wait=True)


class _Process:
    """A recogniser in a process of its own."""

    def __init__(self, origin: "Loaded | partial[Loaded]") -> None:
        if isinstance(origin, partial):
            start: type[BaseProcess] = multiprocessing.get_context("spawn").Process
        else:
            start = multiprocessing.get_context("fork").Process
        self._connection, theirs = multiprocessing.Pipe()
        self._process = start(target=_serve, args=(theirs, origin), daemon=True)
        self._stopping = False
        with interrupts_held():
            self._process.start()
        theirs.close()

    def recognise(
        self, pcm: NDArray[np.int16], on_partial: OnPartial | None = None
    ) -> tuple[Word, ...]:
        try:
            self._connection.send((pcm.tobytes(), on_partial is not None))
            while isinstance(answer := self._connection.recv(), str):
                if on_partial:
                    on_partial(answer)
        except (EOFError, OSError):
            raise self._death() from None
        except BaseException:
            self._process.kill()  # answers of this utterance must not be taken for the next one's
            raise
        words: tuple[Word, ...] = answer
        return words

    def stop(self) -> None:
        self._stopping = True
        self._process.kill()  # it holds nothing that is worth an orderly end
        self._process.join()

    def _death(self) -> PipelineError:
        if self._stopping:
            return Stopped("recognition was stopped")
        self._process.join(1)
        return PipelineError(
            "recognition: expected a process to go on, found it ended "
            f"(exit code {self._process.exitcode}); try again, with --jobs 1 if it happens again"
        )


def _serve(connection: Connection, origin: "Loaded | partial[Loaded]") -> None:
    """Answer utterances until the other end closes: partials as str, then the words as a tuple."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; our parent decides
    _let_go_of_all_but(connection, inherited=not isinstance(origin, partial))
    recogniser = origin() if isinstance(origin, partial) else origin
    with suppress(EOFError, OSError):
        while True:
            pcm, wants_partials = connection.recv()
            on_partial = connection.send if wants_partials else None
            words = recogniser.recognise(np.frombuffer(pcm, np.int16), on_partial)
            connection.send(words)


def _let_go_of_all_but(connection: Connection, *, inherited: bool) -> None:
    """Mute this process, and close what it inherited: locks, and the ends of its siblings' pipes.

    An end kept open here would keep a sibling waiting for a parent that is gone.
    """
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in range(3):
        os.dup2(nowhere, standard)
    if inherited:
        os.closerange(3, connection.fileno())
        os.closerange(connection.fileno() + 1, os.sysconf("SC_OPEN_MAX"))
