"""Sound as Wyoming clients send it, of any rate, width and number of channels, as ours.

Pure arithmetic on bytes. Promises int16 mono samples at `RATE_HZ` whatever comes within the bounds
below, also where a sample is cut in two by a chunk's end; and that a chunk cannot grow to more than
eight times its size. Refuses other formats with `BadFrame`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from pipeline.model import RATE_HZ
from pipeline.wyoming_frames import BadFrame, Json

_LEAST_HZ, _MOST_HZ, _WIDEST, _CHANNELS = 4_000, 384_000, 4, 8
_NOTHING = np.zeros(0, np.int16)


@dataclass(frozen=True, slots=True)
class Format:
    """How the samples of a chunk are to be read; `width` in bytes, little-endian, signed."""

    rate_hz: int
    width: int
    channels: int

    @classmethod
    def of(cls, data: Json) -> Self:
        """Parses the data of `audio-start` or `audio-chunk`; raises `BadFrame`."""
        return cls(
            _within(data, "rate", _LEAST_HZ, _MOST_HZ),
            _within(data, "width", 1, _WIDEST),
            _within(data, "channels", 1, _CHANNELS),
        )

    def seconds(self, size: int) -> float:
        """Returns how long so many bytes sound."""
        return size / (self.width * self.channels * self.rate_hz)


class Sound:
    """The sound of one stream, converted as it comes; its format may change on the way."""

    def __init__(self) -> None:
        self._format: Format | None = None
        self._rest = b""
        self._resample: Callable[[NDArray[np.int16], bool], NDArray[np.int16]] = _as_is

    def take(self, form: Format, payload: bytes) -> NDArray[np.int16]:
        """Returns what the next chunk adds; the last milliseconds may come with a later one."""
        before = _NOTHING if form == self._format else self._change(form)
        data = self._rest + payload
        whole = len(data) - len(data) % (form.width * form.channels)
        self._rest = data[whole:]
        return np.concatenate([before, self._resample(_mono(form, data[:whole]), False)])  # noqa: FBT003 - a Callable has no names

    def end(self) -> NDArray[np.int16]:
        """Returns what is still to come; half a sample is nothing."""
        left, self._format, self._rest = self._resample(_NOTHING, True), None, b""  # noqa: FBT003
        self._resample = _as_is
        return left

    def _change(self, form: Format) -> NDArray[np.int16]:
        left = self.end()
        self._format, self._resample = form, _resampler(form.rate_hz)
        return left


def _as_is(pcm: NDArray[np.int16], _is_last: bool) -> NDArray[np.int16]:
    return pcm


def _resampler(rate_hz: int) -> Callable[[NDArray[np.int16], bool], NDArray[np.int16]]:
    if rate_hz == RATE_HZ:
        return _as_is
    import soxr

    stream = soxr.ResampleStream(rate_hz, RATE_HZ, 1, dtype="int16")
    return lambda pcm, is_last: np.asarray(stream.resample_chunk(pcm, last=is_last))


def _mono(form: Format, data: bytes) -> NDArray[np.int16]:
    """Returns the mean of the channels; of each sample the upper 16 bits."""
    rows = np.frombuffer(data, np.uint8).reshape(-1, form.width)
    if form.width == 1:
        samples = rows[:, 0].view(np.int8).astype(np.int16) << 8
    else:
        samples = np.ascontiguousarray(rows[:, -2:]).view("<i2")[:, 0].astype(np.int16)
    channels: NDArray[np.int16] = samples.reshape(-1, form.channels)
    return channels[:, 0] if form.channels == 1 else channels.mean(axis=1).astype(np.int16)


def _within(data: Json, name: str, least: int, most: int) -> int:
    value = data.get(name)
    if type(value) is not int or not least <= value <= most:
        raise BadFrame(f"{name} is no number from {least} to {most}")
    return value
