"""Recognition by processes of our own beside recognition on a Dask cluster, all on this machine.

    python -m tests.bench.elsewhere [--times N]

Prints seconds by the clock and of processors for the same samples, without loading models: with
one and two of each, by turns, so that what else the machine does hits all of them alike.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Iterable
from contextlib import AbstractContextManager, suppress
from pathlib import Path

from pipeline import models
from pipeline.elsewhere import Elsewhere
from pipeline.hear import hear_all
from pipeline.model import Heard
from pipeline.recognisers import Recognisers
from tests.cluster import cluster
from tests.commandline import ROOT
from tests.memory import tree

SAMPLES = sorted((ROOT / "samples").glob("[01]*.wav"))
_TICKS_S = os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--times", type=int, default=2, help="how often all samples are heard")
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    paths, model = SAMPLES * options.times, models.find(None)
    print("| heard by | seconds | processor seconds | utterances |\n| --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as home:
        for number in range(options.rounds):
            for count in (1, 2):
                _row(f"--jobs {count}", Recognisers(model, count), paths, [])
                place = Path(home) / f"{number}-{count}"
                place.mkdir()
                with cluster(place, count) as it:
                    processes = (it.scheduler, *it.workers)
                    _row(
                        f"--dask, {count}",
                        Elsewhere(it.url, model),
                        paths,
                        [p.pid for p in processes],
                    )


def _row(
    name: str,
    recognisers: AbstractContextManager[Recognisers],
    paths: Iterable[Path],
    others: list[int],
) -> None:
    with recognisers as they:
        spent_s, began_s = _processor_s(others), time.monotonic()
        heard = sum(isinstance(event, Heard) for _, event in hear_all(paths, they))
        took_s, spent_s = time.monotonic() - began_s, _processor_s(others) - spent_s
    print(f"| {name} | {took_s:.1f} | {spent_s:.1f} | {heard} |", flush=True)


def _processor_s(others: list[int]) -> float:
    """Returns what this process, all below it, and all below the others have spent so far."""
    pids = {pid for root in (os.getpid(), *others) for pid in tree(root)}
    spent = 0
    for pid in pids:
        with suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            spent += int(fields[11]) + int(fields[12])
    return spent / _TICKS_S


if __name__ == "__main__":
    main()
