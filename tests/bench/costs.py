"""The cost model of `pipeline/DESIGN.md`: what each job should cost here, and what it did.

A job is so many syncs, so many bytes on the disk, so many bytes of the log looked through, and so
much work of Python; what each of these costs is measured on the machine (`primitives`). The counts
follow from the protocols, and a test counts the syncs. Python's work was calibrated once, at 1,000,
10,000 and 100,000 interactions, and is told in entries of the log that are parsed, so that it holds
on a machine that is slower. Processor time and time by the wall are predicted apart: the second
says more of what else the machine was at.
"""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import exp
from pathlib import Path
from statistics import median

from keys.entry import Created, line_of, parse_line
from keys.logsearch import lines_with
from keys.model import Commitment, InteractionId, Slot, VaultId
from tests.bench.counting import CountingDisk
from tests.bench.grown import Size
from tests.bench.metering import cost, program

SYNCS_SEAL, SYNCS_FORGET, SYNCS_SEGMENT, SYNCS_MORE = 11, 14, 10, 2
"""Of one interaction; for a segment of the index that is written anew, beside that, and for each
of many that are."""
BUCKETS = 4096
"""The directories of sealed files: each is synced once in which something died."""
SLOTS, SLOT_PAGE, PAGE_BYTES = 2, 1024, 33_000
MEMBERS = 1024
"""Interactions of a segment."""
LOG_BYTES = 4 * 195
"""Of an interaction: created, and three sealed files."""
LOOKS = 3
"""So often the log is looked through to forget something old, for one id each time."""
_LOG_BYTES = 128 << 20  # more than the processor keeps at hand
STARTS = 8
"""What `history` needs, in starts of bare Python: our imports, mostly."""
SEAL, FORGET, SEGMENT, EACH, PAGE = 500, 1700, 2700, 66, 34
"""Python's work in entries parsed: to seal, to forget, for a segment besides, for each of very
many that are forgotten at once, for a page of slots."""
SEAL_BYTES, FORGET_BYTES, SEGMENT_BYTES, EACH_BYTES = 125_000, 75_000, 200_000, 6_800


@dataclass(frozen=True, slots=True)
class Primitives:
    """What this machine needs: milliseconds of a sync, of a start of Python, of parsing an entry.

    And bytes in a millisecond: of a log that is looked through, and written and synced.
    """

    sync_ms: float
    start_ms: float
    entry_ms: float
    look_bytes_ms: float
    write_bytes_ms: float


@dataclass(frozen=True, slots=True)
class Job:
    """What a job consists of: processor time, syncs, bytes written."""

    cpu_ms: float
    syncs: float = 0
    written: float = 0

    def wall_ms(self, it: Primitives) -> float:
        """Returns how long it should take where nothing else goes on."""
        return self.cpu_ms + self.syncs * it.sync_ms + self.written / it.write_bytes_ms


def primitives(folder: Path) -> Primitives:
    """Measures them; of the processor its own time, so that others disturb less."""
    disk, probe = CountingDisk(), folder / "probe"

    def write(size: int) -> None:
        disk.write(probe, 0, os.urandom(size))
        disk.sync(probe)

    line = line_of(1, Created(InteractionId(bytes(16)), ((Slot(1), Commitment(bytes(32))),) * 2))
    log, looked = folder / "log", _LOG_BYTES // (len(line) + 1) * (len(line) + 1)
    log.write_bytes((line + b"\n") * (looked // (len(line) + 1)))
    parsed = _cpu_ms(lambda: [parse_line(line, VaultId(bytes(16))) for _ in range(1000)])
    found = _cpu_ms(lambda: [*lines_with(disk, log, looked, [b"?" * 32])])
    log.unlink()
    sync_ms = median(cost(lambda: write(4096)).ms for _ in range(31))
    written_ms = median(cost(lambda: write(8 << 20)).ms for _ in range(5)) - sync_ms
    start = (1000 * program(sys.executable, "-c", "pass").cpu_s for _ in range(5))
    rates = looked / found, (8 << 20) / max(written_ms, 0.1)
    return Primitives(sync_ms, median(start), parsed / 1000, *rates)


def better(one: Primitives, other: Primitives) -> Primitives:
    """Returns the better of two moments: in a worse one something else was going on."""
    times = (
        min(one.sync_ms, other.sync_ms),
        min(one.start_ms, other.start_ms),
        min(one.entry_ms, other.entry_ms),
    )
    rates = (
        max(one.look_bytes_ms, other.look_bytes_ms),
        max(one.write_bytes_ms, other.write_bytes_ms),
    )
    return Primitives(*times, *rates)


def _cpu_ms(act: Callable[[], object]) -> float:
    """Returns the least processor time of several, in milliseconds."""
    return min(1000 * cost(act).cpu_s for _ in range(9))


def predicted(number: int, it: Primitives) -> dict[str, Job]:
    """Returns what the model says of a vault of so many, by the names of what is measured."""
    seal, forget, segment, each, page = (
        it.entry_ms * entries for entries in (SEAL, FORGET, SEGMENT, EACH, PAGE)
    )
    many, segments = number // 10, max(1, number // MEMBERS)
    pages, buckets = max(1, SLOTS * number / SLOT_PAGE), BUCKETS * (1 - exp(-many / BUCKETS))
    top, indexed = 80 * number / SLOT_PAGE, forget + segment
    syncs, old_ms = SYNCS_FORGET + SYNCS_SEGMENT, LOOKS * LOG_BYTES * number / it.look_bytes_ms
    both = FORGET_BYTES + SEGMENT_BYTES + top
    many_syncs = syncs + SYNCS_MORE * segments + buckets
    return {
        "seal one": Job(seal, SYNCS_SEAL, SEAL_BYTES),
        "forget one, new": Job(forget, SYNCS_FORGET, FORGET_BYTES + top),
        "forget one, indexed": Job(indexed, syncs, both),
        "forget one, the oldest": Job(indexed + old_ms, syncs, both),
        "list fifty": Job(it.start_ms * STARTS),
        "forget a tenth, its rotation": Job(3 + page * pages, 6, pages * PAGE_BYTES),
        "forget a tenth": Job(indexed + each * many, many_syncs, EACH_BYTES * many),
    }


def markdown(sizes: Sequence[Size], it: Primitives) -> Iterator[str]:
    """Yields the rows of the table, predicted and measured, and how far off the model is."""
    yield (
        f"A sync here {it.sync_ms:.2f} ms, bare Python starts in {it.start_ms:.0f} ms, parses an "
        f"entry in {1000 * it.entry_ms:.1f} µs, looks through the log at "
        f"{it.look_bytes_ms / 1e6:.1f} GB/s, writes and syncs {it.write_bytes_ms / 1e3:.0f} MB/s."
    )
    yield ""
    yield "| predicted / measured, ms | " + " | ".join(f"{size.number:,}" for size in sizes) + " |"
    yield "| --- |" + " ---: |" * len(sizes)
    off: dict[str, list[float]] = {"processor": [], "wall": []}
    for name in predicted(sizes[0].number, it):
        for what, errors in off.items():
            pairs = [_pair(what, size, name, it) for size in sizes]
            errors += [abs(said - found) / found for said, found in pairs]
            cells = " | ".join(f"{said:,.3g} / {found:,.3g}" for said, found in pairs)
            yield f"| {name}: {what} | {cells} |"
    yield ""
    yield f"The model is off {_off(off['processor'])} of the processor's time, and"
    yield f"{_off(off['wall'])} by the wall, where a busy machine shows."


def _pair(what: str, size: Size, name: str, it: Primitives) -> tuple[float, float]:
    job, found = predicted(size.number, it)[name], size.costs[name]
    if what == "processor":
        return job.cpu_ms, max(1000 * found.cpu_s, 0.01)
    return job.wall_ms(it), found.ms


def _off(errors: Sequence[float]) -> str:
    return f"by {median(errors):.0%} in the middle and {max(errors):.0%} at most"
