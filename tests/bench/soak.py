"""An hour of mixed work on one vault, looked at from all sides: `make soak`, MINUTES=60.

Or `python -m tests.bench.soak [--minutes 60] [--at DIR] [--to FILE]`. `soaking` says what happens,
`soaked` what must hold, `steady` whether the memory, files, threads and processes of those that go
on stay as they are. Works half of the time at most. Fails where anything was wrong or grew.
"""

import argparse
import contextlib
import random
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage

from tests.bench import here
from tests.bench.metering import load, size_of
from tests.bench.soaking import Soak
from tests.bench.steady import Sample, Trend, figures_of, markdown, trends

RESULTS = Path(__file__).with_name("SOAK.md")
_EVERY_S = 5.0
_DISK_EVERY_S = 60.0
_ON_DISK = ("sealed", "ring", "log", "live", "receipts", "capture")


class Watch(threading.Thread):
    """Samples what goes on, until it is stopped."""

    def __init__(self, soak: Soak) -> None:
        super().__init__(daemon=True)
        self.samples: list[Sample] = []
        self.disk: list[Sample] = []
        self._soak, self._ended = soak, threading.Event()

    def run(self) -> None:
        """Takes a sample every few seconds."""
        disk_s = 0.0
        while not self._ended.wait(_EVERY_S):
            now_s = time.monotonic()
            serve = figures_of(self._soak.serve.it.pid, "serve")
            noter = figures_of(self._soak.noter.it.pid, "noter")
            held = self._soak.noter.held
            self.samples.append(Sample(now_s, {**serve, **noter, **held}))
            if now_s >= disk_s:
                with contextlib.suppress(OSError):  # a file that went meanwhile
                    self.disk.append(Sample(now_s, self._on_disk()))
                    disk_s = now_s + _DISK_EVERY_S

    def _on_disk(self) -> dict[str, float]:
        vault = self._soak.base / "vault"
        sizes = {f"disk: {it}, MiB": size_of(vault / it)[0] / 2**20 for it in _ON_DISK}
        mirror = size_of(self._soak.base / "mirror")[0] / 2**20
        living = len(self._soak.model.living)
        return {**sizes, "disk: mirror, MiB": mirror, "interactions that live": living}

    def stop(self) -> None:
        """Ends it."""
        self._ended.set()
        self.join()


def run(soak: Soak, seconds: float) -> Watch:
    """Lets it all happen for so long; returns what was sampled meanwhile."""
    watch, began_s = Watch(soak), time.monotonic()
    soak.begin()
    watch.start()
    every = {soak.check: seconds / 20, soak.thief: seconds / 12}
    due_s = {act: began_s + after_s for act, after_s in every.items()}
    while (now_s := time.monotonic()) < began_s + seconds:
        soak.act()
        for act, at_s in due_s.items():
            if at_s <= now_s:
                act()
                due_s[act] = now_s + every[act]
        time.sleep(max(0.5, time.monotonic() - now_s))  # half of the time is for others
    watch.stop()
    soak.thief()
    soak.check()
    soak.end()
    return watch


def lines(soak: Soak, watch: Watch, head: list[str], minutes: float) -> Iterator[str]:
    """Yields the results."""
    yield "# An hour of mixed work\n"
    yield f"`make soak`: {minutes:.0f} minutes. What happens is in `soaking.py`, what must hold in"
    yield "`soaked.py`. Memory, files, threads and processes are those of the two that went on all"
    yield "the time; slopes are of the last two thirds, with what they may be off by."
    yield "What it holds, the note maker tells itself (`holding.py`); resident is besides what its"
    yield "allocators keep for the next act.\n"
    yield "  \n".join(head)
    yield ""
    dead, living = len(soak.model.dead), len(soak.model.living)
    yield f"{dead + living:,} interactions, {dead:,} of them forgotten or fallen due; "
    yield f"{len(soak.verified):,} receipts, all verified by `keys.verify`. A thief with all"
    yield f"{len(soak.backups.copies)} backups opened nothing that was forgotten; with the anchor's"
    yield f"shares of before, which he has not (control), {max(soak.found_by_control):,} files.\n"
    yield f"**{len(soak.problems)} problems.**\n"
    yield from (f"- {it}" for it in soak.problems)
    yield "\n" + ", ".join(f"{n} {name}" for name, n in soak.counts.most_common()) + "\n"
    yield from markdown(grown(watch.samples))
    yield "\nOn the disk; log, live tree and receipts grow with each act and are never cut.\n"
    yield from markdown(grown(watch.disk))
    used = getrusage(RUSAGE_CHILDREN)
    share = (used.ru_utime + used.ru_stime) / 60 / minutes
    yield f"\n{share:.2f} processors were busy with it; load at the end {load():.1f}"


def below(results: Path) -> str:
    """Returns what somebody has written below the results of before, from its first title on."""
    found = results.read_text() if results.exists() else ""
    return "\n## " + found.partition("\n## ")[2] if "\n## " in found else ""


def grown(samples: list[Sample]) -> list[Trend]:
    """Returns the trends; none of too few samples."""
    return list(trends(samples)) if samples else []


def main() -> int:
    """Runs it and writes the results."""
    options = argparse.ArgumentParser(prog="python -m tests.bench.soak", description=__doc__)
    options.add_argument("--minutes", type=float, default=60)
    options.add_argument("--at", type=Path, help="where to work")
    options.add_argument("--to", type=Path, default=RESULTS, help="the table")
    options.add_argument("--keep", action="store_true", help="leave the vault where it is")
    options.add_argument("--seed", type=int, default=1)
    given = options.parse_args()
    base = Path(tempfile.mkdtemp(prefix="anechoic-soak-", dir=given.at))
    head = list(here.described(base))
    # Short enough that as much dies as is made, long before the memory is judged.
    limits = max(1, round(given.minutes / 15)), max(2, round(given.minutes / 6))
    soak = Soak(base, random.Random(given.seed), *limits, pause_s=1.0)
    try:
        watch = run(soak, 60 * given.minutes)
        text = "\n".join(lines(soak, watch, head, given.minutes))
        given.to.write_text(f"{text}\n{below(given.to)}")
        print(text)
        return int(bool(soak.problems) or any(it.grows for it in grown(watch.samples)))
    finally:
        for it in (soak.serve, soak.noter):
            it.it.kill()
        if not given.keep:
            shutil.rmtree(base)


if __name__ == "__main__":
    sys.exit(main())
