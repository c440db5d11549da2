"""Sound for the page: WAV made in memory, any part of it, and the outline of a waveform. Pure."""

import re
import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.model import RATE_HZ

PEAKS = 160
_RANGE = re.compile(r"bytes=([0-9]{0,12})-([0-9]{0,12})")


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a file: from `start` up to and without `end`, of `size` bytes."""

    start: int
    end: int
    size: int

    @property
    def is_whole(self) -> bool:
        """Whether nothing is left out."""
        return (self.start, self.end) == (0, self.size)


def wav(pcm: NDArray[np.int16]) -> bytes:
    """Returns samples (n, int16, 16 kHz) as a WAV file."""
    data = pcm.astype("<i2").tobytes()
    form = struct.pack("<HHIIHH", 1, 1, RATE_HZ, RATE_HZ * 2, 2, 16)
    head = b"RIFF" + struct.pack("<I", 36 + len(data)) + b"WAVEfmt " + struct.pack("<I", 16) + form
    return head + b"data" + struct.pack("<I", len(data)) + data


def part_of(header: str | None, size: int) -> Part | None:
    """Returns what a `Range` asks for (RFC 9110, section 14); None where that cannot be had."""
    found = _RANGE.fullmatch(header.strip()) if header else None
    if found is None:
        return Part(0, size, size)
    first, last = found.groups()
    if not first:
        start = max(0, size - int(last or 0))
        return Part(start, size, size) if last and int(last) and size else None
    end = min(size, int(last) + 1) if last else size
    return Part(int(first), end, size) if int(first) < end else None


def peaks(pcm: NDArray[np.int16], number: int = PEAKS) -> list[int]:
    """Returns the loudest sample of each of `number` stretches, 0 to 100."""
    if not len(pcm):
        return [0] * number
    edges = np.linspace(0, len(pcm), number, endpoint=False).astype(int)
    loudest = np.maximum.reduceat(np.abs(pcm.astype(np.int32)), edges)
    most = max(1, int(loudest.max()))
    return [int(it) for it in loudest * 100 // most]
