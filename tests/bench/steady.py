"""Whether something stays as it is while it works: samples of a process, and their slope.

A figure is flat where its slope is not surely above nothing, or is below one hundredth of its level
an hour. Surely means that of all figures of a run none is taken for rising by chance, in 95 of 100
runs. The first third of the time is warming up and does not count. Neighbouring
samples are alike, which makes a slope look surer than it is; so what is left is cut into twelve
blocks, and the line goes through their medians. Reads `/proc`, so Linux only.
"""

import contextlib
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median

from tests.memory import tree

BLOCKS = 12
_T = 3.77
"""Student's t for BLOCKS - 2 degrees of freedom, two-sided: 95 % for thirteen figures at once."""
_PAGE = os.sysconf("SC_PAGE_SIZE")
_LEAST = 0.01
"""A slope below this share of the level an hour is none."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Figures by name, and when they were taken, in seconds of any clock."""

    at_s: float
    figures: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Trend:
    """How a figure went: its level, and its slope an hour with what it may be off by."""

    name: str
    level: float
    slope: float
    margin: float

    @property
    def grows(self) -> bool:
        """Whether it surely grows, and by more than next to nothing."""
        return self.slope - self.margin > 0 and self.slope > _LEAST * self.level

    @property
    def verdict(self) -> str:
        """One word for it."""
        return "**grows**" if self.grows else "flat"


def figures_of(pid: int, name: str) -> dict[str, float]:
    """Returns what a process and all that came from it hold just now; nothing of one that ended.

    Memory is MiB: of the first alone what is resident; of all what none has from a file, of which
    parts that several have count once: so it does not depend on who else runs.
    """
    found = {f"{name}: MiB of the first process": _resident_mib(pid)} if _is_there(pid) else {}
    if not found:
        return {}
    pids = tree(pid)
    found[f"{name}: MiB of all, from no file"] = sum(map(_anonymous_mib, pids))
    found[f"{name}: open files of the first"] = _files(pid)
    found[f"{name}: open files of all"] = sum(map(_files, pids))
    found[f"{name}: threads of all"] = sum(map(_threads, pids))
    found[f"{name}: processes"] = len(pids)
    return found


def _is_there(pid: int) -> bool:
    return Path(f"/proc/{pid}/fd").exists()


def _resident_mib(pid: int) -> float:
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE / 2**20
    return 0.0


def _anonymous_mib(pid: int) -> float:
    with contextlib.suppress(OSError):
        rows = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        return sum(int(it.split()[1]) for it in rows if it.startswith("Pss_Anon:")) / 1024
    return 0.0


def _files(pid: int) -> int:
    with contextlib.suppress(OSError):
        return len(os.listdir(f"/proc/{pid}/fd"))
    return 0


def _threads(pid: int) -> int:
    with contextlib.suppress(OSError):
        return len(os.listdir(f"/proc/{pid}/task"))
    return 0


def trends(samples: Sequence[Sample]) -> Iterator[Trend]:
    """Yields the trend of each figure that has a sample in every block after the warming up."""
    began_s, ended_s = samples[0].at_s, samples[-1].at_s
    warm_s = began_s + (ended_s - began_s) / 3
    length_s = (ended_s - warm_s) / BLOCKS
    rows: dict[str, list[list[float]]] = {}
    for it in samples:
        if it.at_s >= warm_s:
            block = min(BLOCKS - 1, int((it.at_s - warm_s) / length_s)) if length_s else 0
            for name, value in it.figures.items():
                rows.setdefault(name, [[] for _ in range(BLOCKS)])[block].append(value)
    for name, blocks in rows.items():
        if all(blocks):
            yield _trend(name, [median(it) for it in blocks], length_s)


def _trend(name: str, values: Sequence[float], apart_s: float) -> Trend:
    """Fits a line through values that are so far apart: least squares."""
    hours = [n * apart_s / 3600 for n in range(len(values))]
    middle, level = fmean(hours), fmean(values)
    over = sum((x - middle) ** 2 for x in hours)
    slope = sum((x - middle) * (y - level) for x, y in zip(hours, values, strict=True)) / over
    rest = sum((y - level - slope * (x - middle)) ** 2 for x, y in zip(hours, values, strict=True))
    margin = _T * math.sqrt(rest / (len(values) - 2) / over)
    return Trend(name, level, slope, margin)


def markdown(found: Sequence[Trend]) -> Iterator[str]:
    """Yields the rows of the table."""
    yield "| | level | slope an hour | ± | |"
    yield "| --- | ---: | ---: | ---: | --- |"
    for it in found:
        figures = " | ".join(f"{value:,.4g}" for value in (it.level, it.slope, it.margin))
        yield f"| {it.name} | {figures} | {it.verdict} |"
