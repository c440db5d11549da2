"""Where utterances begin and end, decided from speech probabilities alone.

A pure state machine: chunks of samples and probabilities go in, utterances come out. It promises
that no sample is in two utterances, that an utterance is contiguous and never longer than the
maximum, and that memory is bounded by that maximum. It hears nothing itself: the detector is the
caller's. Change the thresholds in `Endpointing`, and where a long utterance is cut in `_quietest`.
"""

from collections import deque
from dataclasses import dataclass
from itertools import dropwhile

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import Refused
from pipeline.model import RATE_HZ, Utterance

CHUNK_SAMPLES = 512
CHUNK_MS = CHUNK_SAMPLES * 1000 // RATE_HZ  # 32, exactly
_SMOOTH = 5  # chunks (160 ms): longer than the closure of a stop consonant inside a word


@dataclass(frozen=True, slots=True)
class Endpointing:
    """When speech is taken to begin and to end; times in milliseconds.

    `start` and `end` are probabilities with hysteresis between them. `hang_over_ms` of silence
    ends an utterance; `pre_roll_ms` from before its first voiced chunk belongs to it; one with
    less than `minimum_ms` of voice is dropped; one of `maximum_ms` is cut at the quietest place
    of its last `cut_window_ms`. Raises `Refused` for values that contradict each other.
    """

    start: float = 0.5
    end: float = 0.35
    pre_roll_ms: int = 300
    hang_over_ms: int = 700
    minimum_ms: int = 200
    maximum_ms: int = 30_000
    cut_window_ms: int = 5_000

    def __post_init__(self) -> None:
        if not 0 < self.end <= self.start <= 1:
            raise Refused(
                "endpointing: expected 0 < end <= start <= 1, "
                f"found end {self.end} and start {self.start}"
            )
        if min(self.pre_roll_ms, self.minimum_ms) < 0 or self.hang_over_ms < CHUNK_MS:
            raise Refused(f"endpointing: expected times of at least 0, hang-over of {CHUNK_MS} ms")
        longest_edge_ms = self.pre_roll_ms + self.hang_over_ms + 4 * CHUNK_MS
        if not 2 * CHUNK_MS <= self.cut_window_ms <= self.maximum_ms - longest_edge_ms:
            raise Refused(
                "endpointing: the maximum must exceed pre-roll, hang-over and cut window together"
            )


class Segmenter:
    """Cuts one source, fed chunk by chunk from its first sample, into utterances."""

    def __init__(self, endpointing: Endpointing | None = None) -> None:
        self._set = endpointing or Endpointing()
        self._hang_over = _chunks(self._set.hang_over_ms)
        self._minimum = _chunks(self._set.minimum_ms)
        self._maximum = self._set.maximum_ms // CHUNK_MS
        self._window = self._set.cut_window_ms // CHUNK_MS
        self._before: deque[_Chunk] = deque(maxlen=_chunks(self._set.pre_roll_ms))
        self._kept: list[_Chunk] = []  # empty exactly while nobody speaks
        self._cut_off = False  # what is kept continues an utterance that was too long
        self._fed = 0

    @property
    def speaking(self) -> bool:
        """Whether an utterance is open."""
        return bool(self._kept)

    @property
    def open_utterance(self) -> Utterance | None:
        """What is kept so far of the utterance under way, pre-roll and silence included."""
        return _utterance(self._kept) if self._kept else None

    @property
    def is_certain(self) -> bool:
        """Whether the open utterance has enough voice in it that it will not be dropped."""
        return bool(self._kept) and self._is_long_enough()

    def feed(self, chunk: NDArray[np.int16], probability: float) -> Utterance | None:
        """Take the next `CHUNK_SAMPLES` samples; return the utterance that they complete, if any.

        Raises `ValueError` for a chunk of any other length.
        """
        if chunk.shape != (CHUNK_SAMPLES,):
            raise ValueError(f"expected {CHUNK_SAMPLES} mono samples, found shape {chunk.shape}")
        now = _Chunk(self._fed, chunk, probability)
        self._fed += 1
        if not self._kept:
            self._wait(now)
            return None
        self._kept.append(now)
        if self._silent_tail() >= self._hang_over:
            return self._close()
        return self._cut() if len(self._kept) >= self._maximum else None

    def flush(self) -> Utterance | None:
        """End the source: return the utterance still open, if any; times go on from here."""
        done = self._close() if self._kept else None
        self._before.clear()
        return done

    def _wait(self, now: "_Chunk") -> None:
        if now.probability >= self._set.start:
            self._kept = [*self._before, now]
            self._before.clear()
        else:
            self._before.append(now)

    def _close(self) -> Utterance | None:
        """End the open utterance; half of its silence at most becomes the next one's pre-roll."""
        done, long_enough = self._kept, self._is_long_enough()
        spare = min(self._silent_tail() // 2, self._before.maxlen or 0)
        self._kept, self._cut_off = [], False
        self._before.extend(done[len(done) - spare :])
        return _utterance(done[: len(done) - spare]) if long_enough else None

    def _cut(self) -> Utterance:
        """Split the open utterance at its quietest place; the rest stays open."""
        at = len(self._kept) - self._window + _quietest(self._kept[-self._window :])
        done, self._kept, self._cut_off = self._kept[:at], self._kept[at:], True
        return _utterance(done)

    def _is_long_enough(self) -> bool:
        spoken = dropwhile(lambda chunk: chunk.probability < self._set.start, self._kept)
        return self._cut_off or sum(map(self._voiced, spoken)) >= self._minimum  # without pre-roll

    def _voiced(self, chunk: "_Chunk") -> bool:
        return chunk.probability >= self._set.end

    def _silent_tail(self) -> int:
        count = 0
        for chunk in reversed(self._kept):
            if self._voiced(chunk):
                break
            count += 1
        return count


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class _Chunk:
    number: int
    pcm: NDArray[np.int16]
    probability: float


def _chunks(duration_ms: int) -> int:
    return -(-duration_ms // CHUNK_MS)


def _utterance(chunks: list[_Chunk]) -> Utterance:
    return Utterance(chunks[0].number * CHUNK_MS, np.concatenate([c.pcm for c in chunks]))


def _quietest(window: list[_Chunk]) -> int:
    """Index in 1…len-1 before which to cut: the middle of the stretch least likely to be speech.

    The last of equals wins, so that the first part is as long as it can be.
    """
    padded = [window[0].probability] * (_SMOOTH // 2)
    padded += [chunk.probability for chunk in window]
    padded += [window[-1].probability] * (_SMOOTH // 2)
    means = [sum(padded[i : i + _SMOOTH]) for i in range(len(window))]
    return min(range(1, len(window)), key=lambda i: (means[i], -i))
