"""Everything side by side in one run: `make bench`, or `python -m tests.bench [--quick]`.

Prints what it measures as it comes, and writes a table in Markdown and drawings; all of it also
writes the short table of the README. `--quick` takes minutes, all of it half an hour. On the same
run everything is compared: the ratios are the result, the times belong to the machine. It needs
root to empty the system's cache of files; without, only that of its own files is emptied.
"""

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path

from tests.bench import (
    aged,
    compared,
    costs,
    figures,
    growing,
    grown,
    here,
    households,
    lengths,
    metering,
    peers,
    plots,
    pruning,
    ring,
    starting,
    transcribing,
)

RESULTS = Path(__file__).with_name("RESULTS.md")
SIZES = (1_000, 10_000, 100_000, 1_000_000)
QUICK_SIZES = (300, 1_000, 3_000)


def main() -> None:
    """Runs everything, or what is named."""
    given = _options()
    peers.demand()
    base = Path(tempfile.mkdtemp(prefix="anechoic-bench-", dir=given.at))
    try:
        _run(given, base)
    finally:
        shutil.rmtree(base)


def _options() -> argparse.Namespace:
    options = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    options.add_argument("--quick", action="store_true", help="smaller sizes, some minutes")
    options.add_argument("--at", type=Path, help="where to work: on the disk that is meant")
    options.add_argument("--to", type=Path, default=RESULTS, help="the table")
    options.add_argument("--sizes", type=int, nargs="+", help="interactions in the growing vault")
    return options.parse_args()


def _run(given: argparse.Namespace, base: Path) -> None:
    started, head = time.monotonic(), list(here.described(base))
    quick, sizes = given.quick, given.sizes or (QUICK_SIZES if given.quick else SIZES)
    lines = list[figures.Line]()
    for name, act in _jobs(base, quick=quick).items():
        _say(f"{name} …")
        found = act()
        lines += found
        _say("\n".join(list(figures.markdown(found))[2:]))
    measured, before = list[grown.Size](), costs.primitives(base)
    for size in grown.grow(base / "grown", sizes):
        measured.append(size)
        _say(f"{size.number:,} interactions: measured")
    lines += compared.lines(measured[-1])
    growths = list(growing.growths(measured))
    homes = households.measure(base / "homes", quick=quick), households.simulate()
    model = costs.markdown(measured, costs.better(before, costs.primitives(base)))
    sections = {
        "": ["  \n".join(head), "", *figures.markdown(lines)],
        "Growth": growing.markdown(growths),
        "The cost model": model,
        "A billion interactions": households.markdown(*homes),
    }
    minutes = (time.monotonic() - started) / 60
    end = f"load at the end {metering.load():.1f}; {minutes:.0f} minutes"
    _write(given.to, sections, end, quick=quick)
    plots.draw(given.to.parent, lines, growths)
    if not quick and given.to == RESULTS:
        text = figures.README.read_text()
        rows = [*head, "", *figures.brief(lines)]
        figures.README.write_text(figures.with_figures(text, rows))
    print(given.to.read_text())


def _jobs(base: Path, *, quick: bool) -> dict[str, Callable[[], list[figures.Line]]]:
    memory = Path("/dev/shm")  # noqa: S108
    in_memory = Path(tempfile.mkdtemp(dir=memory if memory.is_dir() else base))
    sizes = transcribing.QUICK if quick else transcribing.FULL

    def sealing() -> list[figures.Line]:
        try:
            return aged.lines(in_memory / "aged", quick=quick)
        finally:
            shutil.rmtree(in_memory)

    return {
        "start": partial(starting.lines, quick=quick),
        "the ring": partial(ring.lines, base / "rings", quick=quick),
        "seal and open": sealing,
        "transcribe": partial(transcribing.lines, base, sizes),
        "forget much": partial(lengths.lines, base / "lengths", quick=quick),
        "forget in backups": partial(pruning.lines, base / "pruning", quick=quick),
    }


def _write(to: Path, sections: Mapping[str, Iterable[str]], end: str, *, quick: bool) -> None:
    how = "`make bench QUICK=1`: small sizes" if quick else "`make bench`"
    text = [f"# Beside what people use instead\n\n{how}. {compared.HOW}\n"]
    for title, rows in sections.items():
        text += [f"\n## {title}\n" if title else "", *rows]
        text += ["\n![How costs grow](growth.svg)"] if title == "Growth" else []
        text += ["\n![Ratios](ratios.svg)"] if not title else []
    to.write_text("\n".join([*text, "", end, ""]))


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    main()
