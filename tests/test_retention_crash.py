"""No crash leaves retention half done: erasing, settling, changing settings, capturing."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from keys.model import InteractionId
from keys.receipt import verify
from pipeline import retention
from pipeline.artefact import AUDIO, META, SETTINGS, TRANSCRIPT
from pipeline.audit import audit
from pipeline.profiles import Wish, set_limits
from pipeline.session import acting
from pipeline.settings import DAY_S, HOUR_S
from pipeline.vault import Vault
from tests.household import (
    HouseDisk,
    house_disk,
    make,
    parts_of,
    reopen,
    settled,
)
from tests.retention_home import (
    LIGHT,
    Home,
    Time,
    home,
)
from tests.test_write_crash import Crashes, moments_of
from tests.world.extent import some_of

__all__ = ["home"]


@dataclass
class Due:
    """A house in which one interaction, and the audio of another, fall due at noon."""

    base: Path
    home: Home
    gone: InteractionId
    silent: InteractionId
    whole: InteractionId

    def judge(self, vault: Vault, disk: HouseDisk, *, is_done: bool) -> None:
        del is_done  # each settling enforces what the one before did not come to
        living = Home(vault, Time()).living()
        assert living == {
            self.silent: {TRANSCRIPT, META},
            self.whole: {AUDIO, TRANSCRIPT, META},
        }
        assert audit(vault).problems == []
        assert disk.names(vault.capture) == []
        names = [name for name in disk.names(vault.receipts) if name.endswith(".receipt")]
        erased = [verify(bytes(disk.read(vault.receipts / name))).statement for name in names]
        assert Counter(len(row.artefacts) for it in erased for row in it.erased) == {3: 1, 1: 1}
        assert len(vault.owned(SETTINGS)) == 1


@pytest.fixture
def falling(tmp_path: Path) -> Due:
    disk = house_disk(tmp_path)
    home = Home(make(tmp_path, disk), Time())
    home.wish(words="3h")
    gone = home.must_say(LIGHT)
    home.wish(audio="3h", words="forever")
    silent = home.must_say(LIGHT)
    home.wish(audio="forever")
    whole = home.must_say(LIGHT)
    disk = settled(disk)
    home.vault = reopen(tmp_path, disk)
    with acting(home.vault, home.time):
        pass
    home.time.s += 3 * HOUR_S  # noon, which is what the tests of crashes have
    return Due(tmp_path, home, gone, silent, whole)


def test_no_crash_while_it_is_erased_leaves_anything_half(falling: Due) -> None:
    disk = falling.home.vault.disk._disk
    act = lambda: retention.enforce(falling.home.vault, falling.home.time)  # noqa: E731
    crashes = Crashes(falling.base, falling.judge, most=6)
    crashes.check(moments_of(disk, act))  # type: ignore[arg-type]
    print(f"enforce: {crashes.states} states")
    assert crashes.states > 40


@pytest.mark.slow
def test_no_crash_of_settling_what_falls_due_leaves_anything_half(falling: Due) -> None:
    disk = falling.home.vault.disk._disk
    act = lambda: retention.enforce(falling.home.vault, falling.home.time)  # noqa: E731
    crashes = Crashes(falling.base, falling.judge, most=2)
    crashes.check(some_of(moments_of(disk, act), 15), deep=1)  # type: ignore[arg-type]
    print(f"enforce, settle stopped too: {crashes.states} states")
    assert crashes.states > 100


def test_no_crash_while_settings_change_leaves_none_or_two(tmp_path: Path) -> None:
    disk = house_disk(tmp_path)
    home = Home(make(tmp_path, disk), Time("2026-03-01T12:00:00Z"))
    home.wish(words="1d")
    disk = settled(disk)
    vault = home.vault = reopen(tmp_path, disk)
    with acting(vault, home.time):
        pass
    wish = Wish(words="5d")

    def judge(vault: Vault, disk: HouseDisk, *, is_done: bool) -> None:
        del disk
        assert len(vault.owned(SETTINGS)) == 1
        words_s = retention.settings_of(vault, home.time).limits.words_s
        assert words_s == 5 * DAY_S if is_done else words_s in {DAY_S, 5 * DAY_S}
        assert audit(vault).problems == []

    crashes = Crashes(tmp_path, judge, most=6)
    crashes.check(
        moments_of(
            disk,
            lambda: retention.change(vault, lambda old, at: set_limits(old, wish, at), home.time),
        )
    )
    print(f"change: {crashes.states} states")
    assert crashes.states > 40


def outliving(tmp_path: Path) -> Iterator[InteractionId]:
    """Yields what outlives its hour, whenever the power goes while it is captured."""
    disk = house_disk(tmp_path)
    home = Home(make(tmp_path, disk), Time("2026-03-01T12:00:00Z"))
    home.wish(words="1h")
    with acting(home.vault, home.time):
        pass
    disk = settled(disk)
    vault = home.vault = reopen(tmp_path, disk)
    disks: list[HouseDisk] = []

    def judge(vault: Vault, disk: HouseDisk, *, is_done: bool) -> None:
        there = set(vault.interactions())
        assert len(there) == 1 if is_done else len(there) <= 1
        disks.append(disk.fork())

    with acting(vault, home.time):
        parts = parts_of(LIGHT, home.time())
        act = lambda: retention.create(vault, parts, home.time)  # noqa: E731
        moments = moments_of(disk, act)
    crashes = Crashes(tmp_path, judge, most=4)
    crashes.check(moments)
    assert crashes.states > 30
    for each in disks:
        later = reopen(tmp_path, each)
        with acting(later, Time("2026-03-01T13:00:00Z")):
            yield from later.interactions()


def test_no_crash_while_it_is_captured_lets_anything_outlive_its_limit(tmp_path: Path) -> None:
    assert not list(outliving(tmp_path))


def test_the_control_an_agenda_that_is_lowered_too_late(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "_expect", lambda *_: None)
    assert list(outliving(tmp_path))
