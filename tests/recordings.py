"""A recording in segments on a simulated disk, whose content tells its place.

Nothing is tested here.
"""

from dataclasses import dataclass
from pathlib import Path

from keys.durable import Disk
from keys.model import ArtefactId, InteractionId, Slot, VaultId
from keys.secret import Secret
from keys.segments import (
    SEGMENT_CHUNK_LOG2,
    Ending,
    Recovery,
    SegmentWriter,
    Series,
    segment_name,
)
from tests.world.disk import Medium, SimulatedDisk

KEY = bytearray(range(32))
HERE = Path("/capture")
CHUNK = 1 << SEGMENT_CHUNK_LOG2


def series(number: int = 0) -> Series:
    ids = VaultId(bytes([1]) * 16), InteractionId(bytes([2]) * 16)
    return Series(*ids, ArtefactId(bytes([3 + number]) * 16), Slot(7))


def key() -> Secret:
    return Secret(KEY)


def content(size: int, start: int = 0) -> bytes:
    """Bytes of which each stretch tells its place, and none is zero."""
    return bytes(1 + (n * 7 + n // 251) % 255 for n in range(start, start + size))


def empty_disk() -> SimulatedDisk:
    return SimulatedDisk(Medium(frozenset({HERE, *HERE.parents})))


def written(pieces: list[list[int]], *, close: bool = True) -> SimulatedDisk:
    """A disk with a series: each inner list is a segment, of writes of so many bytes."""
    disk, at = empty_disk(), 0
    writer = SegmentWriter(disk, HERE, key, series())
    for n, segment in enumerate(pieces):
        for size in segment:
            writer.write(content(size, at))
            at += size
        if close or n < len(pieces) - 1:
            writer.cut()
    if close:
        writer.close()
    return disk


def read_back(
    disk: Disk, which: Series | None = None, directory: Path = HERE
) -> tuple[bytes, Ending]:
    recovery = Recovery(disk, directory, KEY, which or series())
    return b"".join(map(bytes, recovery)), recovery.ending


def path(number: int, kind: str = "part") -> Path:
    label = series().part(number) if kind == "part" else series().end(number)
    return HERE / segment_name(label)


# Stopped at every moment

CUTS = [[3000, 6000, 3000], [4096], [7000], [4092], [100]]
"""Segments by the sizes of their writes: of chunks and less, and one whose padding spills over."""


@dataclass
class Progress:
    """What the recording knew to be durable, and to be with the system, when it was stopped."""

    taken: int = 0
    durable: int = 0
    is_closed: bool = False


def record(writer: SegmentWriter, progress: Progress) -> None:
    """Writes the recording of `CUTS`; the last segment is cut by closing."""
    for n, segment in enumerate(CUTS, 1):
        for size in segment:
            progress.taken += size
            writer.write(content(size, progress.taken - size))
        if n < len(CUTS):
            writer.cut()
            progress.durable = progress.taken
    writer.close()
    progress.durable, progress.is_closed = progress.taken, True
