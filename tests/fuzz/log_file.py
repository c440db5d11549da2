"""The files of a log, as they are found: `entries`, a mark, `hashes`.

Opening one mends what a crash tore, so that the second time it is found whole, and the same.
"""

from collections.abc import Iterable
from pathlib import Path

from keys.log import Log
from tests.fuzz.log_line import LINES, VAULT
from tests.fuzz.target import Target
from tests.world.disk import Medium, SimulatedDisk

HERE = Path("/log")
MARK = b"\n---\n"


def opened(disk: SimulatedDisk) -> Log:
    log = Log(disk, HERE, VAULT)
    log.open()
    return log


def run(data: bytes) -> None:
    entries, _, hashes = data.partition(MARK)
    disk = SimulatedDisk(Medium(frozenset({HERE, *HERE.parents})))
    disk.write(HERE / "entries", 0, entries)
    disk.write(HERE / "hashes", 0, hashes)
    log = opened(disk)
    found = list(log.scan())
    log.check_hashes()
    again = opened(disk)
    assert (again.size, again.root()) == (log.size, log.root())
    assert list(again.scan()) == found == list(reversed(list(again.scan_back())))


def seeds() -> Iterable[bytes]:
    entries = "".join(LINES.splitlines(keepends=True)[:7]).encode()
    disk = SimulatedDisk(Medium(frozenset({HERE, *HERE.parents})))
    disk.write(HERE / "entries", 0, entries)
    opened(disk)
    hashes = bytes(disk.read(HERE / "hashes"))
    return (
        entries,
        entries + MARK + hashes,
        entries[:-20] + MARK + hashes,
        entries + MARK + hashes[:-64] + bytes(64),
        entries + MARK + hashes[:-33],
        LINES.encode() + MARK,
    )


TARGET = Target(run, seeds)
