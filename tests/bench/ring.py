"""What the ring costs at 1k, 100k and 1M slots: destroying, opening, looking up.

Run: `.venv/bin/python -m tests.bench.ring [DIRECTORY]`. One run, ratios in its last lines; the
directory should be on a real disk. The sizes take turns, one act each, so that whatever else the
machine does falls on all of them. A sync is timed beside it, because it is most of the cost.
"""

import os
import random
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

from keys.anchor.file import FileAnchor
from keys.model import Slot, VaultId
from keys.ring import Ring
from keys.root import Roots
from tests.bench.counting import CountingDisk
from tests.bench.figures import Line, Measured, Target

SIZES = (1_000, 100_000, 1_000_000)
QUICK = (1_000, 20_000)
DESTROY, OPEN, LOOK_UP = "destroy one, ms", "open, ms", "look up, µs"
TENTH, WRITTEN = "destroy a random tenth, ms", "written, KiB"
ROUNDS = 31


def timed_ms(act: Callable[[], object]) -> float:
    """Returns how long the act took."""
    start = time.perf_counter()
    act()
    return (time.perf_counter() - start) * 1000


def ring_in(folder: Path, disk: CountingDisk, vault: VaultId) -> Ring:
    """Returns a ring in the folder that is not open yet."""
    return Ring(disk, folder / "ring", Roots(vault, [[FileAnchor(disk, folder / "anchor", vault)]]))


def filled(folder: Path, disk: CountingDisk, vault: VaultId, size: int) -> Ring:
    """Returns an open ring with `size` slots, all folded into pages."""
    ring = ring_in(folder, disk, vault)
    ring.create()
    while ring.slot_count < size:
        ring.allocate(min(2_000, size - ring.slot_count))
    ring.destroy([], b"")
    return ring


class Sized:
    """An open ring of one size, and what was measured of it."""

    def __init__(self, folder: Path, size: int) -> None:
        self.size, self.figures = size, dict[str, float]()
        self._folder, self._disk, self._vault = folder, CountingDisk(), VaultId(os.urandom(16))
        folder.mkdir(parents=True)
        self.ring = filled(folder, self._disk, self._vault, size)
        self._victims = iter(random.sample(range(size), ROUNDS))
        self._disk.reset()

    def destroy_one(self) -> float:
        """Destroys a random slot; returns the milliseconds."""
        return timed_ms(lambda: self.ring.destroy([Slot(next(self._victims))], b""))

    def open(self) -> float:
        """Opens the ring anew; returns the milliseconds."""
        return timed_ms(ring_in(self._folder, self._disk, self._vault).open)

    def measure_rest(self) -> None:
        """Takes what needs no turns: bytes, syncs, look-up, a batch."""
        self.figures[WRITTEN] = self._disk.written / ROUNDS / 1024
        self.figures["syncs"] = self._disk.syncs / ROUNDS
        living = [slot for slot in range(1_000) if self.ring.is_live(Slot(slot))]
        each_ms = timed_ms(lambda: look_up(self.ring, living)) / len(living)
        self.figures[LOOK_UP] = each_ms * 1000
        batch = [Slot(slot) for slot in random.sample(range(self.size), self.size // 10)]
        tenth_ms = timed_ms(lambda: self.ring.destroy(batch, b""))
        self.figures[TENTH] = tenth_ms


def measure(base: Path, sizes: Sequence[int] = SIZES) -> list[Sized]:
    """Returns the rings of all sizes with their figures, medians of `ROUNDS`."""
    rings = [Sized(base / f"{size}", size) for size in sizes]
    destroying = [[ring.destroy_one() for ring in rings] for _ in range(ROUNDS)]
    for ring in rings:
        ring.measure_rest()
    opening = [[ring.open() for ring in rings] for _ in range(ROUNDS)]
    for n, ring in enumerate(rings):
        ring.figures[DESTROY] = median(row[n] for row in destroying)
        ring.figures[OPEN] = median(row[n] for row in opening)
    return rings


def look_up(ring: Ring, slots: list[int]) -> None:
    """Takes and wipes a copy of each key."""
    for slot in slots:
        ring.key(Slot(slot)).wipe()


def lines(base: Path, *, quick: bool) -> list[Line]:
    """Returns destroying and opening: the largest ring beside the smallest, with their targets."""
    rings = measure(base, QUICK if quick else SIZES)
    small, large = rings[0], rings[-1]

    def both(name: str, unit: str, *goals: Target) -> Line:
        theirs = Measured(f"among {small.size:,}", small.figures[name], unit)
        ours = Measured(f"among {large.size:,}", large.figures[name], unit)
        return Line(f"ring: {name.partition(',')[0]}", ours, (theirs,), goals)

    ms, opened = large.figures[DESTROY] / small.figures[DESTROY], large.figures[OPEN]
    return [
        both(DESTROY, "ms", Target("at most 1.5 times as long as among 1,000", ms, 1.5)),
        both(WRITTEN, "KiB", Target("at most 128 KiB", large.figures[WRITTEN], 128)),
        both(OPEN, "ms", Target("under 5 ms", opened, 5)),
        both(LOOK_UP, "µs", Target("under 20 µs", large.figures[LOOK_UP], 20)),
        both(TENTH, "ms", Target("under 500 ms", large.figures[TENTH], 500)),
    ]


def sync_ms(folder: Path) -> float:
    """Returns what one small write and sync costs here."""
    disk = CountingDisk()

    def once() -> None:
        disk.write(folder / "probe", 0, b"x")
        disk.sync(folder / "probe")

    return median(timed_ms(once) for _ in range(ROUNDS))


def main() -> None:
    """Prints the table."""
    base = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    with tempfile.TemporaryDirectory(dir=base) as folder:
        rings = measure(Path(folder))
        probe = sync_ms(Path(folder))
    print(f"{'':28}" + "".join(f"{ring.size:>12,}" for ring in rings))
    for row in sorted(rings[0].figures):
        print(f"{row:28}" + "".join(f"{ring.figures[row]:12.2f}" for ring in rings))
    ratio = rings[-1].figures[DESTROY] / rings[0].figures[DESTROY]
    print(f"destroy one among 1M / among 1k: {ratio:.2f}; one sync here: {probe:.2f} ms")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


if __name__ == "__main__":
    main()
