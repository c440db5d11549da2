"""What the ring costs at 1k, 100k and 1M slots: destroying, opening, looking up.

Run: `.venv/bin/python -m tests.bench.ring [DIRECTORY]`. One run, ratios in its last lines; the
directory should be on a real disk. A sync is timed beside it, because it is most of the cost.
"""

import os
import random
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

from keys.anchor.file import FileAnchor
from keys.model import Slot, VaultId
from keys.ring import Ring
from keys.root import Roots
from tests.bench.counting import CountingDisk

SIZES = (1_000, 100_000, 1_000_000)
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


def measure(folder: Path, size: int) -> dict[str, float]:
    """Returns the figures of one size, medians of `ROUNDS`."""
    disk, vault = CountingDisk(), VaultId(os.urandom(16))
    ring = filled(folder, disk, vault, size)
    victims = random.sample(range(size), ROUNDS)
    disk.reset()
    destroy = [timed_ms(partial(ring.destroy, [Slot(slot)], b"")) for slot in victims]
    written, syncs = disk.written / ROUNDS, disk.syncs / ROUNDS
    opening = [timed_ms(ring_in(folder, disk, vault).open) for _ in range(ROUNDS)]
    living = [slot for slot in range(1_000) if ring.is_live(Slot(slot))]
    lookup = timed_ms(partial(look_up, ring, living)) / len(living)
    batch = [Slot(slot) for slot in random.sample(range(size), size // 10)]
    return {
        "destroy one, ms": median(destroy),
        "written, KiB": written / 1024,
        "syncs": syncs,
        "open, ms": median(opening),
        "look up, µs": lookup * 1000,
        "destroy a random tenth, ms": timed_ms(lambda: ring.destroy(batch, b"")),
    }


def look_up(ring: Ring, slots: list[int]) -> None:
    """Takes and wipes a copy of each key."""
    for slot in slots:
        ring.key(Slot(slot)).wipe()


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
    results = {}
    for size in SIZES:
        with tempfile.TemporaryDirectory(dir=base) as folder:
            results[size] = measure(Path(folder), size)
            probe = sync_ms(Path(folder))
    print(f"{'':28}" + "".join(f"{size:>12,}" for size in SIZES))
    for row in results[SIZES[0]]:
        print(f"{row:28}" + "".join(f"{results[size][row]:12.2f}" for size in SIZES))
    ratio = results[SIZES[-1]]["destroy one, ms"] / results[SIZES[0]]["destroy one, ms"]
    print(f"destroy one among 1M / among 1k: {ratio:.2f}; one sync here: {probe:.2f} ms")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


if __name__ == "__main__":
    main()
