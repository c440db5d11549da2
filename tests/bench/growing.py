"""How a cost grows: the exponent that fits best, and which figures are fitted.

`cost = a * number ** k`, by least squares of the logarithms. A cost that does not grow has k = 0,
one that grows with the number has 1. Start-up hides growth at small sizes; so the exponent between
the two largest stands beside it.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tests.bench.grown import Size


@dataclass(frozen=True, slots=True)
class Growth:
    """One figure at each size, with the exponents."""

    name: str
    unit: str
    at: Mapping[int, float]

    @property
    def exponent(self) -> float:
        """Over all sizes."""
        return exponent(self.at)

    @property
    def exponent_at_end(self) -> float:
        """Between the two largest."""
        return exponent(dict(sorted(self.at.items())[-2:]))


def exponent(at: Mapping[int, float]) -> float:
    """Returns the exponent that fits best; 0 for one size."""
    points = [(math.log(n), math.log(max(value, 1e-9))) for n, value in at.items()]
    mean_x, mean_y = (sum(it) / len(points) for it in zip(*points, strict=True))
    over = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / over if over else 0.0


def growths(sizes: Sequence[Size]) -> Iterator[Growth]:
    """Yields what there is of each size: times, bytes written, memory, disk."""
    for name in sizes[0].costs:
        yield Growth(name, "ms", {it.number: it.costs[name].ms for it in sizes})
    for name in ("forget one, new", "forget one, indexed", "forget a tenth"):
        written = {it.number: it.costs[name].written / 1024 for it in sizes}
        yield Growth(f"{name}: written", "KiB", written)
    for name in ("list fifty", "SQLite, list fifty", "forget one, shell"):
        taken = {it.number: 1000 * it.costs[name].cpu_s for it in sizes}
        yield Growth(f"{name}: processor time", "ms", taken)
    for name in sizes[0].peak_mib:
        peak = {it.number: it.peak_mib[name] for it in sizes}
        yield Growth(f"{name}: memory", "MiB", peak)
    for name in sizes[0].bytes_each:
        each = {it.number: it.number * it.bytes_each[name] / 2**20 for it in sizes}
        yield Growth(f"disk: {name}", "MiB", each)


def markdown(all_of_it: Sequence[Growth]) -> Iterator[str]:
    """Yields the rows of the table."""
    sizes = sorted(all_of_it[0].at)
    yield "| | " + " | ".join(f"{it:,}" for it in sizes) + " | | exponent | at the end |"
    yield "| --- |" + " ---: |" * len(sizes) + " --- | ---: | ---: |"
    for it in all_of_it:
        figures = " | ".join(f"{it.at[size]:,.4g}" for size in sizes)
        fitted = f"{it.exponent:.2f} | {it.exponent_at_end:.2f}"
        yield f"| {it.name} | {figures} | {it.unit} | {fitted} |"
