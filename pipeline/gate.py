"""Asking whether somebody speaks only where the sound may hold an answer: a gate before a detector.

The detector costs most of what listening costs while nobody speaks. The gate follows how loud the
room is by itself, band by band, and asks of what rises above that; while it is shut it asks of
every eighth chunk nevertheless. Promises that the detector hears the chunks just before
those it is asked of, and that speech which rises above nothing waits less than the pre-roll, so
that no beginning is lost. Where an answer may change too late, change the margins here.
"""

import math
from collections import deque
from typing import TYPE_CHECKING, Protocol

import numpy as np

from pipeline.model import RATE_HZ
from pipeline.segment import CHUNK_SAMPLES

if TYPE_CHECKING:
    from numpy.typing import NDArray

_INAUDIBLE = 16  # 66 dB below full scale, at its loudest: too faint for any recogniser
_BANDS_HZ = (200, 500, 1000, 2000, 4000, 8000)
_EDGES = [hz * CHUNK_SAMPLES // RATE_HZ for hz in _BANDS_HZ]
_WINDOW = np.hanning(CHUNK_SAMPLES).astype(np.float32)
_MARGIN_DB, _MOST_DB = 1.5, 5.0  # above the room: at least, and where the room's noise varies
_SPREADS = 4.0
_SHUT, _OPEN = 0.02, 0.1  # how fast the room is followed, for each chunk: shut, and open
_SPEECH = 0.15  # what is less likely to be speech belongs to the room
_HOLD, _LOOK = 15, 2  # chunks for which it stays open after speech, and after what was just loud
_EVERY = 8  # chunks (256 ms), below the 300 ms of the pre-roll
_BEFORE = 3  # chunks that the detector is given before the one it is asked of


class Detector(Protocol):
    """Tells how likely a chunk (bytes of int16) holds speech, given those before it."""

    def __call__(self, audio: bytes, /) -> float: ...


class Gate:
    """Tells, chunk by chunk, how likely somebody speaks; asks its detector where that is needed."""

    def __init__(self, detector: Detector) -> None:
        self._detector = detector
        self._room = [_Level() for _ in _BANDS_HZ[1:]]
        self._skipped: deque[bytes] = deque(maxlen=_BEFORE)
        self._open_for, self._shut_for = _HOLD, 0
        self.asked = 0
        """How often the detector was asked, about what came before included."""

    def __call__(self, chunk: "NDArray[np.int16]") -> float:
        if chunk.max() < _INAUDIBLE and chunk.min() > -_INAUDIBLE:
            self._shut(chunk)
            return 0.0
        levels = _levels_db(chunk)
        if any(room.is_exceeded(level) for room, level in zip(self._room, levels, strict=True)):
            self._open_for = max(self._open_for, _LOOK)
        elif self._open_for:
            self._open_for -= 1
        if not self._open_for and self._shut_for < _EVERY - 1:
            self._shut(chunk)
            self._follow(levels, _SHUT)
            return 0.0
        probability = self._ask(chunk)
        if probability >= _SPEECH:
            self._open_for = _HOLD
        else:
            self._follow(levels, _OPEN)
        return probability

    def _ask(self, chunk: "NDArray[np.int16]") -> float:
        before = list(self._skipped)[0 if self._open_for else -1 :]
        heard = [self._detector(it) for it in (*before, chunk.tobytes())]
        self._shut_for = 0
        self._skipped.clear()
        self.asked += len(heard)
        return max(heard)

    def _shut(self, chunk: "NDArray[np.int16]") -> None:
        self._shut_for += 1
        self._skipped.append(chunk.tobytes())

    def _follow(self, levels: list[float], how_fast: float) -> None:
        for room, level in zip(self._room, levels, strict=True):
            room.follow(level, how_fast)


class _Level:
    """How loud the room is by itself in dB, and how much that varies."""

    def __init__(self) -> None:
        self._mean_db: float | None = None
        self._spread_db = 0.0

    def is_exceeded(self, level_db: float) -> bool:
        if self._mean_db is None:
            return True
        margin_db = min(_MOST_DB, max(_MARGIN_DB, _SPREADS * self._spread_db))
        return level_db > self._mean_db + margin_db

    def follow(self, level_db: float, how_fast: float) -> None:
        if self._mean_db is None:
            self._mean_db = level_db
        away_db = level_db - self._mean_db
        self._mean_db += how_fast * away_db
        self._spread_db += how_fast * (abs(away_db) - self._spread_db)


def _levels_db(chunk: "NDArray[np.int16]") -> list[float]:
    """Returns the power of a chunk in each band, in dB; the deepest bass, which rumbles, is out."""
    spectrum = np.fft.rfft(chunk.astype(np.float32) * _WINDOW)
    power = np.add.reduceat(spectrum.real**2 + spectrum.imag**2, _EDGES)[:-1]
    return [10 * math.log10(float(it) + 1) for it in power]
