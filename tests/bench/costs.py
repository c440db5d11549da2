"""The cost model of `pipeline/DESIGN.md`: what each job should cost here, and what it did.

Predicted from what the machine is measured to do (`primitives`) and from counts that follow from
the protocols. The constants are of Python's work for one entry of the log or one row of a plan.
"""

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from keys.entry import Created, line_of, parse_line
from keys.model import Commitment, InteractionId, Slot, VaultId
from tests.bench.counting import CountingDisk
from tests.bench.grown import Size
from tests.bench.metering import cost, program

SYNCS_SEAL, SYNCS_FORGET = 11, 14
SLOTS, SLOT_PAGE = 2, 1024
LINES = 4
"""Entries of the log for an interaction: created, and three sealed files."""
LINE_BYTES = 195
ROTATED_BYTES = 40
"""Of the top page, for each page of slots."""
IMPORTS_MS = 160
"""What the commands import, of a machine whose Python starts in 25 ms."""


@dataclass(frozen=True, slots=True)
class Primitives:
    """What this machine needs: milliseconds of a sync, of a start, of an entry; bytes in a ms."""

    sync_ms: float
    start_ms: float
    entry_ms: float
    find_bytes_ms: float


def primitives(folder: Path) -> Primitives:
    """Measures them."""
    disk, probe = CountingDisk(), folder / "probe"

    def sync() -> None:
        disk.write(probe, 0, os.urandom(4096))
        disk.sync(probe)

    vault = VaultId(bytes(16))
    slots = ((Slot(1), Commitment(bytes(32))), (Slot(2), Commitment(bytes(32))))
    line = line_of(1, Created(InteractionId(bytes(16)), slots))
    hay = line * (8 << 20 // len(line))
    entries = cost(lambda: [parse_line(line, vault) for _ in range(1000)])
    searched = min(cost(lambda: hay.find(b"?" * 32)).ms for _ in range(5))
    return Primitives(
        median(cost(sync).ms for _ in range(31)),
        median(program(sys.executable, "-c", "pass").ms for _ in range(5)),
        entries.ms / 1000,
        len(hay) / searched,
    )


def predicted(number: int, it: Primitives) -> dict[str, float]:
    """Returns the milliseconds that the model says, by the names of what is measured."""
    slots, log = SLOTS * number, LINES * LINE_BYTES * number
    top_ms = ROTATED_BYTES * slots / SLOT_PAGE / 1e6 * 3
    gone, start = SYNCS_FORGET * it.sync_ms, it.start_ms * (1 + IMPORTS_MS / 25)
    pages = min(slots / SLOT_PAGE, 0.2 * number)
    return {
        "seal one": SYNCS_SEAL * it.sync_ms,
        "forget one, new": gone + top_ms,
        "forget one, the oldest": gone + top_ms + 2 * log / it.find_bytes_ms,
        "list fifty": start,
        "forget a tenth, its rotation": gone + 0.15 * pages + 0.02 * number / 10,
        "forget a tenth": gone + it.entry_ms * LINES * number / 2 + 5 * it.entry_ms * number / 10,
    }


def markdown(sizes: Sequence[Size], it: Primitives) -> Iterator[str]:
    """Yields the rows of the table: predicted, measured, and the ratio."""
    yield (
        f"A sync here {it.sync_ms:.2f} ms, Python starts in {it.start_ms:.0f} ms, reads an "
        f"entry in {1000 * it.entry_ms:.0f} µs, finds bytes at {it.find_bytes_ms / 1e6:.1f} GB/s."
    )
    yield ""
    yield "| | " + " | ".join(f"{size.number:,}" for size in sizes) + " |"
    yield "| --- |" + " ---: |" * len(sizes)
    rows = [(predicted(size.number, it), size.costs) for size in sizes]
    for name in rows[0][0]:
        cells = [f"{said[name]:,.3g} / {found[name].ms:,.3g} ms" for said, found in rows]
        yield f"| {name}: predicted / measured | " + " | ".join(cells) + " |"
