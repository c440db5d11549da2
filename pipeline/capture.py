"""What comes out of a microphone, whatever brings it: blocks, and word of what was lost or broke.

Values and one pure measurement. Promises that sound lost on the way is noticed by the clock even
where nobody reports it: a stream that delivers less than its rate has lost something. Refuses
nothing. `devices.Microphone` is the source with a device; tests bring sources with a script.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_WINDOW_S = 0.5
_LEAST_LOSS_S = 0.08  # more than any block is late for longer than the window
_DRIFT = 0.0005  # 500 ppm: a sound card's clock is not this far from the system's


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Block:
    """The next sound: int16 mono at 16 kHz, how much was lost just before it, when it came.

    The time is that of the monotonic clock, which all processes of a machine share.
    """

    pcm: "NDArray[np.int16]"
    lost_ms: int = 0
    at_s: float = 0.0

    def __repr__(self) -> str:
        return f"Block(<redacted>, {len(self.pcm)} samples, lost_ms={self.lost_ms})"


@dataclass(frozen=True, slots=True)
class Gone:
    """The microphone is away, and why; no block comes before `Back`."""

    reason: str


@dataclass(frozen=True, slots=True)
class Back:
    """The microphone is there again."""


Event = Block | Gone | Back


class Source(Protocol):
    """Brings sound until it is told to stop, or has no more."""

    @property
    def name(self) -> str:
        """What the interactions from here name as their source."""
        ...

    def events(self) -> Iterator[Event]:
        """Yield what happens, in order; raise `NoAudioDevice` where it never began."""
        ...


class LossGauge:
    """Measures loss by holding what arrived against the clock.

    Lateness is when a block came less when its samples are due by the rate. A stall that is made
    up for raises it for a moment; a loss raises it for good, so the least of half a second counts.
    """

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz, self._samples = rate_hz, 0
        self._usual_s: float | None = None
        self._since_s: float | None = None
        self._least_s = 0.0
        self._flagged = False

    def flag(self) -> None:
        """Notes that the system reported a loss, of unknown length."""
        self._flagged = True

    def dropped(self, samples: int) -> None:
        """Notes samples that came and were thrown away: they are not found again by the clock."""
        self._samples += samples

    def arrived(self, at_s: float, samples: int) -> int:
        """Takes the time (monotonic, s) and length of a block; returns what was lost, in ms."""
        self._samples += samples
        late_s = at_s - self._samples / self._rate_hz
        if self._since_s is None:
            self._since_s, self._least_s = at_s, late_s
        self._least_s = min(self._least_s, late_s)
        length_s = at_s - self._since_s
        if length_s < _WINDOW_S:
            return 0
        self._since_s = None
        return self._compare(self._least_s, length_s)

    def _compare(self, late_s: float, length_s: float) -> int:
        if self._usual_s is None:
            self._usual_s = late_s
        more_s, flagged = late_s - self._usual_s, self._flagged
        if more_s > _LEAST_LOSS_S or flagged:
            self._usual_s, self._flagged = late_s, False
            return max(1, round(more_s * 1000))
        self._usual_s += min(more_s, _DRIFT * length_s)
        return 0
