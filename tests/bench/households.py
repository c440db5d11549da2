"""A million households with a thousand interactions each: what one costs, and what all would.

Every household has a vault of its own: ring, log, anchor, receipts; nothing is shared, so what many
cost is what one costs, times their number, and a machine more is so many households more. This
makes some real vaults, has one process and then as many as there are processors seal and forget in
them, and extrapolates. A simulated month of arrivals tells what is to be expected of their number:
households differ (lognormal), days have evenings, and each interaction is forgotten after thirty
days, those of an hour by one rotation, or, one in fifty, at once because somebody asks for it.
"""

import multiprocessing
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from pipeline import write
from pipeline.erase import erase
from pipeline.plan import make_plan
from pipeline.session import acting, create_vault, now, open_vault
from tests.bench.filling import fill
from tests.bench.forget import parts
from tests.bench.hasty import HastyDisk
from tests.bench.metering import cost, size_of
from tests.bench.said import sentences

HOUSEHOLDS, EACH = 1_000_000, 1000
_DAYS = 30
_ASKED = 1 / 50


@dataclass(frozen=True, slots=True)
class Measured:
    """Of one household: bytes by part of its vault; of this machine: acts in a second."""

    bytes_of: dict[str, float]
    sealed_a_s: dict[int, float]
    forgotten_a_s: dict[int, float]


@dataclass(frozen=True, slots=True)
class Simulated:
    """Of all households: acts in a second, on average and in the busiest hour."""

    heard: tuple[float, float]
    rotations: tuple[float, float]


def measure(base: Path, *, quick: bool) -> Measured:
    """Makes vaults and works in them, with one process and with all processors."""
    base.mkdir()
    number, each, acts = (4, 100, 5) if quick else (16, EACH, 40)
    for n in range(number):
        _make(base / str(n), each)
    parts_of = {it: size_of(base / "0" / "vault" / it)[0] / each * EACH for it in ("ring", "log")}
    parts_of["live tree"] = size_of(base / "0" / "vault" / "live")[0] / each * EACH
    rates: list[dict[int, float]] = [{}, {}]
    jobs = os.cpu_count() or 1
    for processes in sorted({1, jobs}):
        for which, rate in zip((_seal, _forget), rates, strict=True):
            folders = [base / str(n) for n in range(number)]
            with multiprocessing.get_context("fork").Pool(processes) as pool:
                taken = cost(partial(pool.map, partial(which, acts), folders, 1))
            rate[processes] = number * acts / taken.wall_s
    return Measured(parts_of, *rates)


def _make(folder: Path, each: int) -> None:
    folder.mkdir()
    vault = create_vault(folder / "vault", folder / "anchors", disk=HastyDisk())
    with acting(vault):
        for _ in fill(vault, sentences(each), bare=True):
            pass
        one = write.create(vault, parts(1))
        erase(vault, make_plan(vault, [one], now()), now)


def _seal(acts: int, folder: Path) -> None:
    vault, content = open_vault(folder / "vault", folder / "anchors", bytearray), parts(3)
    for _ in range(acts):
        with acting(vault):
            write.create(vault, content)


def _forget(acts: int, folder: Path) -> None:
    vault = open_vault(folder / "vault", folder / "anchors", bytearray)
    for _ in range(acts):
        with acting(vault):
            one = next(vault.interactions())
            erase(vault, make_plan(vault, [one], now()), now)


def simulate(households: int = 20_000) -> Simulated:
    """Returns what a month brings, scaled from so many households to all."""
    chance = np.random.default_rng(1)
    habits = chance.lognormal(0, 1, households)
    daily = EACH / _DAYS * habits / habits.mean()
    hours = np.exp(-(((np.arange(24) - 19) % 24 - 0) ** 2) / 18) + 0.15
    hours /= hours.sum()
    heard, rotations = np.zeros(24), np.zeros(24)
    for hour, share in enumerate(hours):
        said = chance.poisson(daily * share, households)
        heard[hour] = said.sum()
        rotations[hour] = (said > 0).sum() + chance.poisson(said * _ASKED).sum()
    scale = HOUSEHOLDS / households / 3600
    both = [(float(it.mean()) * scale, float(it.max()) * scale) for it in (heard, rotations)]
    return Simulated(both[0], both[1])


def markdown(found: Measured, told: Simulated) -> Iterator[str]:
    """Yields what a billion interactions would need."""
    total = sum(found.bytes_of.values())
    yield "| of one household with 1,000 interactions | KiB | of a million of them, GiB |"
    yield "| --- | ---: | ---: |"
    for name, size in {**found.bytes_of, "together": total}.items():
        yield f"| {name} | {size / 1024:,.0f} | {HOUSEHOLDS * size / 2**30:,.0f} |"
    yield ""
    yield "Sealing and forgetting alone: hearing is done at home, or costs what Vosk costs."
    yield ""
    yield "| a second | on average | busiest hour | this machine, 1 process | all | machines |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: |"
    rows = [
        ("interactions sealed", told.heard, found.sealed_a_s),
        ("rotations (what fell due in an hour, or was asked)", told.rotations, found.forgotten_a_s),
    ]
    for name, (mean, most), rate in rows:
        one, best = rate[1], max(rate.values())
        machines = most / best
        yield f"| {name} | {mean:,.0f} | {most:,.0f} | {one:,.1f} | {best:,.1f} | {machines:,.1f} |"
