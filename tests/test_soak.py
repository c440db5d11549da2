"""The soak finds what it is for: a process that leaks, a file that is revived, one that is lost.

The hour itself is `make soak`. Each finding has its opposite here: the same without the fault.
"""

import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from keys.model import InteractionId
from pipeline import retention
from pipeline.session import acting, now
from pipeline.settings import Limits, Settings
from pipeline.vault import Vault
from tests.bench.soaked import Backups, Model
from tests.bench.steady import Sample, Trend, figures_of, trends
from tests.household import forget, make, parts_of

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
HOUR_S = 3600.0
SAMPLES = 720
LEAK = """
import sys
kept = []
for line in sys.stdin:
    if sys.argv[1] == "leaks":
        kept.append(bytearray(b"x" * 300_000))
        kept.append(open("/dev/null"))
    else:
        bytearray(b"x" * 300_000)
    print("done", flush=True)
"""


def samples_of(figure: Callable[[float], float]) -> list[Sample]:
    """Samples an hour; the figure is told how much of it has passed."""
    return [Sample(n / SAMPLES * HOUR_S, {"it": figure(n / SAMPLES)}) for n in range(SAMPLES)]


def trend_of(figure: Callable[[float], float]) -> Trend:
    (found,) = trends(samples_of(figure))
    return found


@pytest.mark.parametrize("slope", [3.0, 30.0])
def test_a_slope_is_found_with_what_it_may_be_off_by(slope: float) -> None:
    chance = random.Random(1)
    it = trend_of(lambda hours: 100 + slope * hours + chance.gauss(0, 1))
    assert it.grows
    assert abs(it.slope - slope) < it.margin < slope


def test_noise_and_warming_up_are_no_growth() -> None:
    chance = random.Random(2)
    assert not trend_of(lambda _: 100 + chance.gauss(0, 3)).grows
    assert not trend_of(lambda hours: 100 + 90 * min(hours, 1 / 3)).grows
    assert not trend_of(lambda _: 7).grows
    assert not trend_of(lambda hours: 100 - 20 * hours).grows
    assert not trend_of(lambda hours: 100 + 0.9 * hours).grows  # less than a hundredth an hour


def test_what_comes_and_goes_is_no_growth_and_what_stays_behind_each_time_is() -> None:
    """Workers that are replaced: memory goes up and falls back, or falls back less each time."""
    assert not trend_of(lambda hours: 100 + 40 * (hours * 60 % 1)).grows
    assert trend_of(lambda hours: 100 + 40 * (hours * 60 % 1) + int(hours * 60) / 4).grows


@LINUX
@pytest.mark.parametrize("act", ["leaks", "steady"])
def test_a_process_that_leaks_is_found(act: str) -> None:
    """Control: the same process that lets go of what it took."""
    samples = []
    with subprocess.Popen(
        [sys.executable, "-c", LEAK, act],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as it:
        assert it.stdin
        assert it.stdout
        for _ in range(90):
            print("once more", file=it.stdin, flush=True)
            assert it.stdout.readline()
            samples.append(Sample(time.monotonic(), figures_of(it.pid, "it")))
        it.stdin.close()
    found = {trend.name for trend in trends(samples) if trend.grows}
    leaked = {"it: MiB of the first process", "it: open files of the first"}
    assert leaked <= found if act == "leaks" else not leaked & found


# What must hold


class House:
    """A vault with a model and backups of it."""

    def __init__(self, base: Path) -> None:
        self.base, self.model = base, Model(audio_s=3600, words_s=7200)
        self.vault: Vault = make(base)
        limits = Limits(audio_s=3600, words_s=7200)
        with acting(self.vault):
            retention.change(self.vault, lambda *_: Settings(limits=limits), now)
        self.backups = Backups(base, base / "backups")
        self.first, self.second = self.says("one zebracanary1"), self.says("two zebracanary2")
        assert self.check() == []

    def says(self, text: str) -> InteractionId:
        with acting(self.vault):
            it = retention.create(self.vault, parts_of(text), now)
        assert it
        self.model.learn(it.hex(), text)
        return it

    def forgets(self, it: InteractionId) -> None:
        forget(self.vault, it)
        self.model.bury([it.hex()])

    def check(self) -> list[str]:
        return self.model.check(self.base)


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def test_nothing_is_wrong_where_all_is_as_it_was_told(house: House) -> None:
    house.backups.take()
    house.forgets(house.first)
    house.says("three")
    assert house.check() == []
    found, control = house.backups.opened(house.model)
    assert found == []
    assert control == 3  # with the share of before, all three files of it


def test_what_is_revived_is_found(house: House) -> None:
    """Ring, anchor, log and files are put back as they were: the act that must not be possible."""
    before = {p: p.read_bytes() for p in house.base.rglob("*") if p.is_file()}
    house.forgets(house.first)
    for path in [it for it in house.base.rglob("*") if it.is_file()]:
        path.unlink()
    for path, data in before.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    assert house.check() == [f"{house.first.hex()} was forgotten and lives"]


def test_what_opens_in_a_backup_is_found(house: House) -> None:
    """A backup that took the anchor along opens what was forgotten: so a thief would be seen."""
    share = next((house.base / "anchors").glob("*.share"))
    house.backups.take()
    old = share.read_bytes()
    house.forgets(house.first)
    share.write_bytes(old)
    found, _ = house.backups.opened(house.model)
    assert {it.partition(".")[0] for it in found} == {house.first.hex()}


def test_what_was_said_again_by_nobody_is_found(house: House) -> None:
    """Late work that writes what was forgotten once more, under another id."""
    house.forgets(house.first)
    with acting(house.vault):
        again = retention.create(house.vault, parts_of("one zebracanary1"), now)
    assert again
    assert house.check() == [f"{again.hex()} says what was forgotten"]


def test_what_is_lost_is_found(house: House) -> None:
    forget(house.vault, house.first)
    assert house.check() == [f"{house.first.hex()} should live and is gone"]


def test_sound_that_is_lost_or_should_be_gone_is_found(house: House) -> None:
    forget(house.vault, house.first, only_audio=True)
    house.model.living[house.second.hex()].has_audio = False
    wrong = {f"{house.first.hex()}: its sound is gone"}
    wrong.add(f"{house.second.hex()}: its sound should be gone")
    assert set(house.check()) == wrong


def test_a_killed_forgetting_is_whole_or_not_at_all(house: House) -> None:
    both = {house.first.hex(), house.second.hex()}
    house.model.doubtful.append(set(both))
    assert house.check() == []
    assert both <= house.model.living.keys()
    house.model.doubtful.append(set(both))
    forget(house.vault, house.first)
    assert house.check() == ["1 of 2 were forgotten by a killed process"]


def test_what_was_forgotten_after_a_killed_forgetting_was_not_forgotten_by_it(house: House) -> None:
    house.model.doubtful.append({house.first.hex(), house.second.hex()})
    house.forgets(house.first)
    assert house.check() == []


def test_what_should_have_fallen_due_is_found(house: House) -> None:
    house.model.words_s = -120
    house.model.audio_s = 7200
    assert {it.partition(" ")[2] for it in house.check()} == {"has fallen due and lives"}
