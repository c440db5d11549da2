"""When retention looks, and what it can lose: its agenda, its settings, a file put back."""

from pathlib import Path

import pytest

from keys.errors import Tampered
from keys.secret import Secret
from pipeline import agenda, erase, retention
from pipeline.artefact import SETTINGS
from pipeline.restore import restore
from pipeline.session import acting
from pipeline.settings import DAY_S, HOUR_S
from tests.household import (
    forget,
    house_disk,
    make,
    reopen,
)
from tests.retention_home import (
    CHILD,
    LIGHT,
    Home,
    Time,
    home,
)
from tests.world.disk import SimulatedDisk

__all__ = ["home"]


def test_while_nothing_is_due_looking_does_not_depend_on_how_much_there_is(tmp_path: Path) -> None:
    reads = []
    for number in (2, 40):
        disk = house_disk(tmp_path / str(number))
        home = Home(make(tmp_path / str(number), disk), Time())
        home.wish(words="5d")
        for n in range(number):
            home.say(f"{LIGHT} {n}")
        home.time.passes(HOUR_S)
        reads.append(opened(disk, home))
    assert reads[0] == reads[1] <= 8


def opened(disk: SimulatedDisk, home: Home) -> int:
    """Counts how often files under `sealed/` are read by an act that does nothing."""
    count, read = 0, disk.read

    def counting(path: Path, offset: int = 0, size: int | None = None) -> Secret:
        nonlocal count
        count += "sealed" in path.parts
        return read(path, offset, size)

    with pytest.MonkeyPatch.context() as patch, acting(home.vault, home.time):
        patch.setattr(disk, "read", counting)
        retention.enforce(home.vault, home.time)
    return count


@pytest.mark.parametrize("damage", [b"", b"torn", bytes(4096), None])
def test_an_agenda_that_is_lost_or_torn_is_made_anew(home: Home, damage: bytes | None) -> None:
    home.wish(words="1d")
    it = home.must_say(LIGHT)
    home.after(20 * HOUR_S)
    path = home.vault.directory / agenda.FILE
    path.unlink()
    if damage is not None:
        path.write_bytes(damage)
    home.time.s -= 10 * HOUR_S
    assert home.after().keys() == {it}
    assert home.after(9 * DAY_S) == {}


def test_an_agenda_of_other_settings_is_none(home: Home) -> None:
    home.wish(words="5d")
    path = home.vault.directory / agenda.FILE
    old = path.read_bytes()
    home.wish(words="1h")
    home.must_say(LIGHT)
    path.write_bytes(old)
    assert home.after(HOUR_S) == {}


@pytest.mark.parametrize("age_s", [0, 3 * DAY_S])
def test_an_old_agenda_that_is_put_back_is_good_for_a_day(home: Home, age_s: int) -> None:
    """One of the same settings, from when nothing was there: it said that nothing falls due."""
    home.wish(words="2h")
    home.after()
    path = home.vault.directory / agenda.FILE
    old = path.read_bytes()
    home.after(age_s)
    it = home.must_say(LIGHT)
    path.write_bytes(old)
    assert home.after(3 * HOUR_S).keys() == ({it} if age_s == 0 else set())
    assert home.after(DAY_S) == {}


def test_what_is_restored_from_a_copy_falls_due(home: Home, tmp_path: Path) -> None:
    home.wish(words="1d")
    it = home.must_say(LIGHT)
    away = tmp_path / "away"
    (home.vault.directory / "sealed" / it.hex()[:3]).rename(away)
    with acting(home.vault, home.time):
        retention.recheck(home.vault, home.time)
    assert home.after(HOUR_S) == {it: set()}
    with acting(home.vault, home.time):
        assert len(list(restore(home.vault, away))) == 3
        retention.recheck(home.vault, home.time)
    assert home.after(23 * HOUR_S) == {}


def test_settings_that_are_missing_let_nothing_in_and_stop_no_other_command(home: Home) -> None:
    home.child()
    it = home.must_say(LIGHT)
    (owner,) = home.vault.owned(SETTINGS)
    (artefact,) = home.vault.artefacts(owner)
    data = artefact.path.read_bytes()
    artefact.path.unlink()
    with pytest.raises(Tampered, match="restore COPY"):
        home.say(LIGHT, CHILD)
    assert home.after().keys() == {it}
    artefact.path.write_bytes(data)
    assert home.say(LIGHT, CHILD)


def test_settings_and_agenda_that_are_missing_are_missed_by_the_log(home: Home) -> None:
    """As after a disk was lost, with ring and log from a mirror and older files from a copy."""
    home.child(consent=None)
    home.must_say(LIGHT)
    (owner,) = home.vault.owned(SETTINGS)
    (artefact,) = home.vault.artefacts(owner)
    artefact.path.unlink()
    (home.vault.directory / agenda.FILE).unlink()
    home.vault = reopen(home.vault.directory.parent)
    for _ in range(2):
        with pytest.raises(Tampered, match="restore COPY"):
            home.say(LIGHT, CHILD)


def test_older_settings_are_not_given_up_for_newer_that_do_not_open(home: Home) -> None:
    home.wish(words="1d")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(erase, "retire", lambda *_: None)
        home.wish(words="2d")
    older, newer = home.vault.owned(SETTINGS)
    (artefact,) = home.vault.artefacts(newer)
    data = artefact.path.read_bytes()
    artefact.path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    home.after()
    with pytest.raises(Tampered, match="damaged"):
        home.say(LIGHT)
    assert home.vault.owned(SETTINGS) == [older, newer]
    artefact.path.write_bytes(data)
    home.after()
    assert home.vault.owned(SETTINGS) == [newer]


def test_a_child_forgotten_by_hand_is_forgotten(home: Home) -> None:
    home.child()
    it = home.must_say(LIGHT, CHILD)
    forget(home.vault, it)
    assert home.after(DAY_S) == {}
