"""From sound files to what was said in them: blocks, voice activity, utterances, words.

Promises results in the order of the files and of time, bounded memory, and that nothing it hears
touches the disk. An utterance without a recognised word, such as a cough or a slammed door, is
dropped: it holds nothing to keep. Refuses with `BadAudio` what `sources` refuses. Change here what
is read ahead, and what becomes of an utterance.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, wait
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import BadAudio
from pipeline.interrupts import interrupts_deferred
from pipeline.model import Heard, Utterance, Word
from pipeline.recognise import OnPartial
from pipeline.recognisers import Recognisers
from pipeline.segment import CHUNK_SAMPLES, Endpointing, Segmenter
from pipeline.sources import blocks
from pipeline.voice import Voice

_CHECKED_EVERY_S = 0.05

SpeechProbability = Callable[[NDArray[np.int16]], float]
"""How likely a chunk of `CHUNK_SAMPLES` holds speech, 0 to 1, given the chunks before it."""
SpeechProbabilities = Callable[[NDArray[np.int16]], Iterable[float]]
"""The same of some chunks in a row, at least one: shape (chunks, `CHUNK_SAMPLES`)."""


@dataclass(frozen=True, slots=True)
class Finished:
    """All of a source has been heard; or it could not be, or only up to here: then `problem`."""

    problem: BadAudio | None = None


def hear(
    path: Path, recognisers: Recognisers, on_partial: OnPartial | None = None
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
    recognisers: Recognisers,
    on_partial: OnPartial | None = None,
    endpointing: Endpointing | None = None,
) -> Iterator[tuple[Path, Heard | Finished]]:
    """Yield what is said in many files, in order, and a `Finished` after the last of each.

    Recognition goes on across the ends of files, so that many short ones keep every process busy,
    and while the next blocks are read. A file that cannot be read does not stop the others. Ctrl-C
    is raised here, between two blocks or while it waits, and not while what it yields is sealed.
    """
    under_way: deque[_Task] = deque()
    with interrupts_deferred() as check:
        try:
            for path, found in _found(paths, endpointing):
                check()
                if found is not None:
                    _begin(path, found, recognisers, under_way, on_partial)
                while under_way and (_is_full(under_way, recognisers) or _is_done(under_way)):
                    yield from _end_of_first(under_way, check)
            while under_way:
                yield from _end_of_first(under_way, check)
        finally:
            for task in under_way:
                task.words.cancel()


def utterances(
    sound: Iterable[NDArray[np.int16]],
    probabilities: SpeechProbabilities,
    endpointing: Endpointing | None = None,
) -> Iterator[Utterance | None]:
    """Yield the utterances in blocks of any length, and None after each block as a sign of life."""
    segmenter, rest = Segmenter(endpointing), np.zeros(0, np.int16)
    for block in chain(sound, [None]):  # the last chunk is filled up with silence
        more = np.zeros(-len(rest) % CHUNK_SAMPLES, np.int16) if block is None else block
        rest = np.concatenate([rest, more])
        whole = len(rest) - len(rest) % CHUNK_SAMPLES
        chunks, rest = rest[:whole].reshape(-1, CHUNK_SAMPLES), rest[whole:]
        for chunk, probability in zip(chunks, probabilities(chunks) if whole else (), strict=True):
            if done := segmenter.feed(chunk, float(probability)):
                yield done
        yield None
    yield segmenter.flush()


@dataclass(frozen=True, slots=True, eq=False)
class _Task:
    path: Path
    what: Utterance | Finished
    words: Future[tuple[Word, ...]]


def _found(
    paths: Iterable[Path], endpointing: Endpointing | None
) -> Iterator[tuple[Path, Utterance | Finished | None]]:
    voice = Voice()
    for path in paths:
        voice.reset()
        try:
            for found in utterances(blocks(path), voice.of, endpointing):
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


def _is_full(under_way: deque[_Task], recognisers: Recognisers) -> bool:
    return len(under_way) > recognisers.limit


def _is_done(under_way: deque[_Task]) -> bool:
    return under_way[0].words.done()


def _end_of_first(
    under_way: deque[_Task], check: Callable[[], None]
) -> Iterator[tuple[Path, Heard | Finished]]:
    task = under_way[0]
    check()
    while not wait([task.words], _CHECKED_EVERY_S).done:
        check()
    words = task.words.result()
    under_way.popleft()
    if isinstance(task.what, Finished):
        yield task.path, task.what
    elif words:
        yield task.path, Heard(task.what.start_ms, task.what.pcm, words)
