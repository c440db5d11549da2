"""Making a vault, sealing and adding stopped at each disk operation, and settled again.

An interaction is there whole or gone with its keys, what was there before is untouched, and nothing
lies about. `Crashes` stops an act by a power cut (subsets of what was unsynced survive) and by the
end of the process alone, and stops `settle` in its turn; `tests/test_erase_crash.py` uses it too.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import pytest

from keys.errors import Erased, KeysError, StateUnknown
from keys.model import InteractionId, Slot
from pipeline import unfinished, write
from pipeline.artefact import DISCLOSURE
from pipeline.audit import audit
from pipeline.session import acting, exists
from pipeline.vault import Vault
from tests.household import (
    HouseDisk,
    assert_whole,
    clock,
    forget,
    house_disk,
    make,
    parts_of,
    reopen,
    say,
    settled,
    strangers,
)
from tests.world.disk import Crash, When
from tests.world.extent import either, some_of

BEFORE = ("turn on the light", "where is my umbrella")
Moment = tuple[HouseDisk, bool]


class Judge(Protocol):
    """Asserts what must hold once settled; `is_done` says whether the act had returned."""

    def __call__(self, vault: Vault, disk: HouseDisk, *, is_done: bool) -> None: ...


@dataclass
class Crashes:
    """Stops at moments, settles, and judges; `deep` is how often `settle` is stopped in turn."""

    base: Path
    judge: Judge
    most: int = 12
    tears_hashes: bool = False
    states: int = 0
    _seen: set[object] = field(default_factory=set)

    def check(self, moments: Iterable[Moment], deep: int = 0) -> None:
        for disk, is_done in moments:
            most = self.most if not deep else min(self.most, 4)
            for medium in disk.survivors(most, seed=self.states):
                self._settle(HouseDisk(medium, disk.history), deep, is_done=is_done)
            self._settle(disk.fork(), deep, is_done=is_done)

    def _settle(self, disk: HouseDisk, deep: int, *, is_done: bool) -> None:
        image = (*map(_image, (disk.durable, disk.cached)), disk.unsynced, is_done, deep)
        if image in self._seen:
            return
        disk.tears_hashes = self.tears_hashes
        self._seen.add(image)
        self.states += 1
        moments: list[Moment] = []
        if deep:
            disk.watch = lambda now, *_: moments.append((_forked(now), is_done))
        is_there = exists(self.base / "vault", disk)
        assert is_there or not is_done
        vault = reopen(self.base, disk) if is_there else make(self.base, disk)
        with acting(vault, clock):
            disk.watch = None
            self.judge(vault, disk, is_done=is_done)
        self._settle_again(disk)
        if deep:
            self.check(moments, deep - 1)

    def _settle_again(self, disk: HouseDisk) -> None:
        files = disk.cached.files()
        with acting(reopen(self.base, disk), clock):
            assert disk.cached.files() == files, "settling again changes files"


def _image(medium: object) -> object:
    return frozenset(medium.files().items()), medium.directories  # type: ignore[attr-defined]


def _forked(disk: object) -> HouseDisk:
    assert isinstance(disk, HouseDisk)
    return disk.fork()


def moments_of(disk: HouseDisk, act: Callable[[], object]) -> list[Moment]:
    """Returns the disk at each moment of an act, and after it."""
    moments: list[Moment] = []
    disk.watch = lambda now, *_: moments.append((_forked(now), False))
    act()
    disk.watch = None
    return [*moments, (disk, True)]


def judge_house(vault: Vault, disk: HouseDisk, whole: dict[InteractionId, str]) -> None:
    """Asserts that these interactions are whole and that nothing is unaccounted for."""
    for interaction, text in whole.items():
        assert_whole(vault, interaction, text)
    assert audit(vault).problems == []
    assert disk.names(vault.capture) == []
    assert strangers(vault, disk.cached.files()) == set()


@dataclass
class House:
    """A vault with two interactions on a simulated disk at rest."""

    base: Path
    vault: Vault
    disk: HouseDisk
    whole: dict[InteractionId, str]


@pytest.fixture
def house(tmp_path: Path) -> House:
    disk = house_disk(tmp_path)
    ids = say(make(tmp_path, disk), *BEFORE)
    disk = settled(disk)
    vault = reopen(tmp_path, disk)
    with acting(vault, clock):
        return House(tmp_path, vault, disk, dict(zip(ids, BEFORE, strict=True)))


NEW = "remind me of the anniversary"


def judge_create(house: House) -> Judge:
    def judge(vault: Vault, disk: HouseDisk, *, is_done: bool) -> None:
        judge_house(vault, disk, house.whole)
        there = set(vault.interactions())
        fresh = there - house.whole.keys()
        assert len(there) == len(house.whole) + len(fresh)
        assert len(fresh) == 1 if is_done else len(fresh) <= 1
        for interaction in fresh:
            assert_whole(vault, interaction, NEW)
        assert sum(vault.ring.is_live(Slot(n)) for n in range(vault.ring.slot_count)) == 2 * len(
            there
        )

    return judge


def creating(house: House) -> list[Moment]:
    return moments_of(house.disk, lambda: write.create(house.vault, parts_of(NEW)))


def test_no_crash_leaves_half_an_interaction(house: House) -> None:
    crashes = Crashes(house.base, judge_create(house))
    crashes.check(creating(house))
    print(f"create: {crashes.states} states")
    assert crashes.states > 50


def test_no_crash_leaves_torn_hashes(house: House) -> None:
    house.disk.tears_hashes = True
    crashes = Crashes(house.base, judge_create(house), tears_hashes=True)
    crashes.check(creating(house))


def settling_stopped_too(house: House) -> Crashes:
    crashes = Crashes(house.base, judge_create(house), most=either(1, 4))
    crashes.check(some_of(creating(house), 2), deep=1)
    return crashes


@pytest.mark.slow
def test_no_crash_of_settling_leaves_half_an_interaction(house: House) -> None:
    crashes = settling_stopped_too(house)
    print(f"create, settle stopped too: {crashes.states} states")
    assert crashes.states > 300


def test_control_a_settle_that_trusts_the_cache_is_caught(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a killed process wrote is placed without a sync: a power cut then leaves it empty."""
    monkeypatch.setattr(unfinished, "_sync_and_place", lambda vault, it: write.place(vault, [it]))
    with pytest.raises((AssertionError, KeysError)):
        settling_stopped_too(house)


ADDED = b'{"kind": "plain export", "to": "/nowhere", "fields": [], "why": "", "at": "", "index": 1}'


def judge_add(house: House, only: InteractionId) -> Judge:
    def judge(vault: Vault, disk: HouseDisk, *, is_done: bool) -> None:
        judge_house(vault, disk, house.whole)
        added = [a for a in vault.artefacts(only) if a.kind == DISCLOSURE]
        assert len(added) == 1 if is_done else len(added) <= 1
        for artefact in added:
            assert bytes(vault.open(artefact).read()) == ADDED
        assert set(vault.interactions()) == house.whole.keys()

    return judge


@pytest.mark.parametrize("deep", [0, 1])
def test_no_crash_leaves_half_an_addition(house: House, deep: int) -> None:
    only = next(iter(house.whole))
    moments = moments_of(house.disk, lambda: write.add(house.vault, only, (DISCLOSURE, ADDED)))
    crashes = Crashes(house.base, judge_add(house, only), most=either(4, 12))
    crashes.check(some_of(moments, 2) if deep else moments, deep)
    print(f"add, settle stopped {deep} times: {crashes.states} states")
    assert crashes.states > 15


@pytest.mark.parametrize("deep", [0, 1])
def test_no_crash_leaves_half_a_vault(tmp_path: Path, deep: int) -> None:
    def judge(vault: Vault, disk: HouseDisk, *, is_done: bool) -> None:  # noqa: ARG001
        assert not list(vault.interactions())
        assert audit(vault).problems == []
        shares = {path for path in disk.cached.files() if path.parent.name == "anchors"}
        assert strangers(vault, disk.cached.files()) <= shares  # of a vault that never was

    disk = house_disk(tmp_path)
    moments = moments_of(disk, lambda: make(tmp_path, disk))
    crashes = Crashes(tmp_path, judge, most=either(2, 4) if deep else 16)
    crashes.check(some_of(moments, 5) if deep else moments, deep)
    print(f"create_vault, stopped again {deep} times: {crashes.states} states")
    assert crashes.states > 50


def test_a_vault_just_made_outlives_a_power_cut_with_what_is_sealed_in_it(tmp_path: Path) -> None:
    """Whatever was not synced by name: directories made on the way are."""
    disk = house_disk(tmp_path)
    (tmp_path / "deep" / "down" / "vault").mkdir(parents=True)
    say(make(tmp_path / "deep" / "down", disk), NEW)
    for medium in disk.survivors(64):
        vault = reopen(tmp_path / "deep" / "down", HouseDisk(medium))
        with acting(vault, clock):
            (only,) = vault.interactions()
            assert_whole(vault, only, NEW)


@pytest.mark.parametrize("number", range(1, 22))
def test_the_same_process_goes_on_after_a_failed_operation(house: House, number: int) -> None:
    """A full or broken disk ends the act, not the vault: the next act settles it."""
    house.disk.fail_at = house.disk.operations + number
    with pytest.raises(StateUnknown):
        write.create(house.vault, parts_of(NEW))
    with acting(house.vault, clock):
        judge_create(house)(house.vault, house.disk, is_done=False)
    (then,) = say(house.vault, "goes on")
    assert_whole(house.vault, then, "goes on")


def test_sealing_into_a_bucket_that_a_killed_process_left_is_durable(house: House) -> None:
    """The directory of a bucket may be there in the system's cache and not on the medium."""
    interaction = None
    for disk, _ in creating(house):
        vault = reopen(house.base, disk := disk.fork())
        with acting(vault, clock):
            there = set(vault.interactions()) - house.whole.keys()
        for medium in disk.survivors(24) if there else ():
            (interaction,) = there
            vault = reopen(house.base, HouseDisk(medium))
            with acting(vault, clock):
                assert_whole(vault, interaction, NEW)
    assert interaction


def test_a_mark_that_comes_back_after_the_erasure_is_not_called_a_discarded_one(
    house: House,
) -> None:
    """A power cut may bring back the empty mark of an interaction that was erased since."""
    (interaction,) = say(house.vault, NEW)
    forget(house.vault, interaction)
    house.disk.make_dir(house.vault.capture / interaction.hex())
    size = house.vault.log.size
    with acting(house.vault, clock):
        assert house.disk.names(house.vault.capture) == []
        assert house.vault.log.size == size
        judge_house(house.vault, house.disk, house.whole)


def test_late_work_for_an_erased_interaction_is_refused(house: House) -> None:
    """Guarantee G5: whoever still holds work for it cannot write any more."""
    only = next(iter(house.whole))
    forget(house.vault, only)
    files = house.disk.cached.files()
    with acting(house.vault, clock), pytest.raises(Erased):
        write.add(house.vault, only, (DISCLOSURE, ADDED))
    assert house.disk.cached.files() == files


def test_a_crash_that_is_raised_does_what_a_copy_of_the_moment_says(house: House) -> None:
    """The table copies moments; here the process is stopped in earnest, at a few of them."""
    for number in range(1, 22, 4):
        disk = house.disk.fork()
        vault = reopen(house.base, disk)
        with acting(vault, clock):
            disk.crash_at = (disk.operations + number, When.AFTER)
            with pytest.raises(Crash):
                write.create(vault, parts_of(NEW))
        disk.crash_at = None
        vault = reopen(house.base, disk)
        with acting(vault, clock):
            judge_create(house)(vault, disk, is_done=False)
