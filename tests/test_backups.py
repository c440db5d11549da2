"""BACKUP.md is true: its commands run with the real restic, borg and rsync, and do what it says.

Each test lives a few days in a scratch home: something is said, a backup is made, something is
forgotten. Then generations come back, a thief has all of them, or the disk dies.
"""

import copy
import shutil
from pathlib import Path

import pytest

from pipeline import anchoring
from pipeline.audit import audit
from pipeline.errors import Refused
from pipeline.session import acting, open_vault
from tests.backup_home import DAYS, TOOLS, WRONG, Home, home, shares_below, tool_of
from tests.household import (
    Thief,
    assert_whole,
    clock,
    forget,
    make,
    no_passphrase,
    reopen,
    say,
    sealed_of,
)
from tests.test_readme import Step
from tests.world.adversary import versions_in

__all__ = ["home"]

METADATA = 64 * 1024
"""More than a tool writes about a generation of some files: names, sizes, places."""


@pytest.fixture(scope="module", params=[tool_of(name) for name in TOOLS])
def three_days(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> tuple[Home, Path]:
    """A home that has lived, and a copy of all that it was then; whoever uses it spoils it."""
    base = tmp_path_factory.mktemp(request.param)
    (base / "now").mkdir()
    home = Home(base / "now", request.param)
    home.live()
    shutil.copytree(home.base, base / "then", symlinks=True)
    return home, base / "then"


@pytest.fixture
def lived(three_days: tuple[Home, Path]) -> Home:
    """A home after three days, put back as it was then."""
    home, then = three_days
    shutil.rmtree(home.base)
    shutil.copytree(then, home.base, symlinks=True)
    again = copy.copy(home)
    again.said, again.sealed = {**home.said}, {**home.sealed}
    again.gone, again.days = [*home.gone], [*home.days]
    again.vault = open_vault(home.place, home.anchors, no_passphrase)
    return again


def test_every_generation_brings_back_what_lives_and_nothing_else(lived: Home) -> None:
    home = lived
    generations = home.generations()
    assert len(generations) == DAYS
    for generation, there in zip(generations, home.days, strict=True):
        home.lose_files()
        home.take_out(generation)
        said = home.do("Bringing something back", "From any generation")
        assert said.count("stays erased") == len(there & {*home.gone}) > 0
        home.assert_here(there - {*home.gone})
        assert not home.found.exists()
    with acting(home.vault, clock):
        assert not audit(home.vault).problems  # the last generation had all that lives


def test_who_has_all_generations_and_the_anchor_of_today_revives_nothing(lived: Home) -> None:
    home = lived
    assert not home.do("Is an anchor in it")
    places = [*home.taken_out(), home.base / "backup", home.place]
    thief = Thief([d for it in places for d in versions_in(it)], shares_below(home.anchors))
    assert thief.opened(home.sealed) == home.of(home.alive)
    assert home.of({*home.gone})


def test_a_backup_that_has_the_anchor_revives(lived: Home) -> None:
    """The control, and the limit: it opens all of its day, and the document's check finds it."""
    home = lived
    (victim,) = home.say("forgotten after the wrong backup")
    before = home.generations()
    home.shell([Step(WRONG[home.tool])])
    home.forget(victim)
    (wrong,) = {*home.generations()} - {*before}
    assert home.do("Is an anchor in it").count(".share") == 1

    home.take_out(wrong)
    out = home.found.rename(home.base / "wrong")
    (place,), (anchors,) = out.rglob("anechoic/vault"), out.rglob("anechoic/anchors")
    with acting(again := open_vault(place, anchors, no_passphrase), clock):
        assert_whole(again, victim, home.said[victim])
    thief = Thief(list(versions_in(out)), shares_below(anchors))
    assert thief.opened(home.sealed) >= home.of({victim})
    thief = Thief(list(versions_in(out)), shares_below(home.anchors))
    assert not thief.opened(home.sealed) & home.of({victim})

    home.do("Throw one away", GENERATION=wrong)
    assert home.generations() == before
    assert not home.do("Is an anchor in it")


def test_the_whole_home_is_backed_up_without_the_anchor(home: Home) -> None:
    (kept,) = home.say("in the home")
    if home.tool == "rsync":  # what an earlier run copied has to go as well
        home.shell([Step("rsync -a ~/ $BACKUP/home/")])
        assert home.do("Is an anchor in it")
    home.do("The whole home")
    assert not home.do("Is an anchor in it")
    home.lose_files()
    if home.tool == "rsync":
        shutil.copytree(home.base / "backup" / "home", home.found)
    else:
        home.take_out(home.generations()[-1])
    home.do("Bringing something back", "From any generation")
    home.assert_here({kept})


def die(home: Home) -> Path:
    """The disk with the home dies; a new one has nothing but the password from the paper."""
    dead = home.home.rename(home.base / "dead")
    config = home.home / ".config"
    config.mkdir(parents=True)
    for password in (dead / ".config").glob("*-password"):
        shutil.copy(password, config)
    return dead


def test_the_disk_dies_and_all_that_was_backed_up_is_there(home: Home) -> None:
    home.do("The day the disk dies", "Before")
    home.live()
    there = home.alive
    home.say("after the last backup")
    home.forget(next(iter(there)))
    dead = die(home)
    home.take_out(home.generations()[-1])
    home.do("The day the disk dies", "After")

    home.vault = open_vault(home.place, home.anchors, no_passphrase)
    home.assert_here(there - {*home.gone})
    (new,) = home.say("after the disk died")
    home.assert_here((there | {new}) - {*home.gone})
    # What dies now waits for the anchor of the dead disk, and rightly so.
    victim = next(iter(there - {*home.gone}))
    assert forget(home.vault, victim).statement.verdict == "pending"
    assert home.vault.ring.outstanding == {"file"}
    out = home.taken_out()
    versions = [d for it in (*out, home.base / "anechoic", home.place) for d in versions_in(it)]
    thief = Thief(versions, shares_below(dead))
    opened = thief.opened(home.sealed)
    assert not opened & home.of({*home.gone})
    assert not opened & home.of({new})
    # The limit: who finds the dead disk has the share that nobody could wipe, and a ring of then.
    opened = Thief([*versions, *versions_in(dead)], shares_below(dead)).opened(home.sealed)
    assert opened >= home.of({victim})
    assert not opened & home.of({*home.gone, new})


def test_forgetting_makes_no_sealed_file_be_stored_again(home: Home) -> None:
    ids = home.say(*(f"number {n} of many" for n in range(40)))
    home.do("Every day")
    home.days.append({*ids})
    before = stored(home.base / "backup")
    home.forget(ids[0])
    home.do("Every day")
    rest = stored(home.place) - stored(home.place / "sealed")
    cost = stored(home.base / "backup") - before
    assert 0 < cost < rest + METADATA < stored(home.place / "sealed")


def stored(directory: Path) -> int:
    """Returns how many bytes the files of a directory hold, hard links counted once."""
    found = (path.lstat() for path in directory.rglob("*") if path.is_file())
    return sum({it.st_ino: it.st_size for it in found}.values())


def test_the_anchor_that_died_is_not_replaced_by_one_of_its_name(tmp_path: Path) -> None:
    """Why the document names the new one otherwise: a receipt would confirm what still opens."""
    vault = make(tmp_path)
    (tmp_path / "stick").mkdir()
    with acting(vault, clock):
        anchoring.add(vault, f"file:{tmp_path / 'stick'}")
    (victim,) = say(vault, "in the vault when the disk died")
    sealed = sealed_of(vault, victim)
    shutil.copytree(vault.directory, tmp_path / "dead" / "vault")
    (tmp_path / "anchors").rename(tmp_path / "dead" / "anchors")
    again = reopen(tmp_path)
    with acting(again, clock):
        anchoring.remove(again, "file")
        with pytest.raises(Refused, match="file"):
            anchoring.add(again, "file")
        anchoring.add(again, f"file:{tmp_path / 'anchors' / 'new'}")
    assert forget(again, victim).statement.verdict == "pending"
    thief = Thief(list(versions_in(tmp_path / "dead")), shares_below(tmp_path / "dead"))
    assert thief.opened(sealed) == sealed.keys()
