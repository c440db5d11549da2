"""A series of segments on which somebody moved, cut, doubled and changed files.

The input is a list of changes of six bytes each: what, which file, which other, where, with what.
Whatever was done, what is read back is the beginning of what was written, or nothing.
"""

import struct
from collections.abc import Iterable
from pathlib import Path

from keys.model import ArtefactId, InteractionId, Slot, VaultId
from keys.secret import Secret
from keys.segments import Ending, Recovery, SegmentWriter, Series, segment_name
from tests.fuzz.target import Target
from tests.world.disk import Medium, SimulatedDisk

HERE = Path("/capture")
KEY = bytearray(range(32))
CHANGE = struct.Struct(">BBBHB")
IDS = VaultId(bytes(16)), InteractionId(bytes(16))
SERIES = [Series(*IDS, ArtefactId(bytes([n]) * 16), Slot(7)) for n in (1, 2)]
SIZES = (5000, 100, 4096)
CONTENT = bytes(1 + n % 255 for n in range(sum(SIZES)))


def written() -> SimulatedDisk:
    disk = SimulatedDisk(Medium(frozenset({HERE, *HERE.parents})))
    for series in SERIES:
        writer, at = SegmentWriter(disk, HERE, lambda: Secret(KEY), series), 0
        for size in SIZES:
            writer.write(CONTENT[at : at + size])
            writer.cut()
            at += size
        writer.close()
    return disk


WRITTEN = written()
PATHS = [
    HERE / segment_name(label)
    for series in SERIES
    for label in [*map(series.part, range(4)), *map(series.end, range(5))]
]


def change(disk: SimulatedDisk, what: int, which: Path, other: Path, at: int, mask: int) -> None:
    if disk.size(which) is None:
        return
    at %= 1 + (disk.size(which) or 0)
    match what % 5:
        case 0:
            disk.delete(which)
        case 1:
            disk.truncate(which, at)
        case 2:
            disk.rename(which, other)
        case 3:
            content = bytes(disk.read(which))
            disk.delete(other)
            disk.write(other, 0, content)
        case 4:
            disk.write(which, at, bytes(byte ^ mask for byte in disk.read(which, at, 1)))


def run(data: bytes) -> None:
    disk = WRITTEN.fork()
    for at in range(0, min(len(data), 60) - CHANGE.size + 1, CHANGE.size):
        what, which, other, where, mask = CHANGE.unpack_from(data, at)
        paths = PATHS[which % len(PATHS)], PATHS[other % len(PATHS)]
        change(disk, what, *paths, where, mask)
    recovery, found = Recovery(disk, HERE, KEY, SERIES[0]), b""
    for piece in recovery:
        found += bytes(piece)
        assert CONTENT.startswith(found.rstrip(b"\0"))
        assert len(found) - len(found.rstrip(b"\0")) <= 7
    assert recovery.ending is not Ending.CLOSED or found == CONTENT


def seeds() -> Iterable[bytes]:
    for what in range(5):
        for which in (0, 2, 7, 9):
            yield CHANGE.pack(what, which, 11, 4500, 1)
            yield CHANGE.pack(what, which, 1, 200, 128) + CHANGE.pack(1, 2, 0, 4300, 0)


TARGET = Target(run, seeds)
