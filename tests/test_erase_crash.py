"""Erasing stopped at each disk operation, and settled again: guarantees G1, G2 and G4 on vaults.

What is being erased is whole or gone. When it is gone it has its one receipt, which verifies, and
nothing of it opens for who has every version of every file but the anchor's; when it is whole there
is no receipt. Once acknowledged it is gone.
"""

from collections.abc import Callable

import pytest

from keys import live
from keys.entry import Created
from keys.errors import StateUnknown
from keys.mirror import MirroredDisk
from keys.receipt import CONFIRMED, Statement, verify
from pipeline import logkey
from pipeline.audit import audit
from pipeline.erase import erase
from pipeline.plan import make_plan
from pipeline.session import acting
from pipeline.vault import Vault
from tests.household import (
    NOON,
    HouseDisk,
    assert_whole,
    clock,
    forget,
    reopen,
    say,
    sealed_of,
    settled,
    thief_of,
)
from tests.test_write_crash import (
    BEFORE,
    NEW,
    Crashes,
    House,
    Moment,
    house,
    judge_house,
    moments_of,
)
from tests.world.extent import either, some_of

__all__ = ["house"]


def assert_true_roots(vault: Vault, statement: Statement, *gone: int) -> None:
    """The live roots are those of the interactions of the house, from the definition alone."""
    created = (entry for _, entry in vault.log.scan() if isinstance(entry, Created))
    lives = {int(slot): it for entry in created for slot, it in entry.slots}
    size = len(lives)
    lives = {slot: it for slot, it in lives.items() if slot not in gone}
    assert statement.live_size == size
    assert statement.live_before == live.root(size, lives).hex()
    rest = {slot: it for slot, it in lives.items() if slot not in statement.slots}
    assert statement.live_after == live.root(size, rest).hex()


class Erasing:
    """One interaction of a house, or its audio alone, being erased."""

    def __init__(self, house: House, *, only_audio: bool) -> None:
        self.house, self.only_audio = house, only_audio
        self.target, self.other = house.whole
        self.files = sealed_of(house.vault, self.target)
        if only_audio:
            self.files = {n: data for n, data in self.files.items() if n.endswith(".audio")}
        self.plan = make_plan(house.vault, [self.target], NOON, only_audio=only_audio)

    def moments(self) -> list[Moment]:
        return moments_of(self.house.disk, lambda: erase(self.house.vault, self.plan, clock))

    def judge(self, vault: Vault, disk: HouseDisk, *, is_done: bool) -> None:
        judge_house(vault, disk, {self.other: BEFORE[1]})
        live = [slot for slot in self.plan.slots if vault.ring.is_live(slot)]
        receipts = disk.names(vault.receipts)
        if live:
            assert not is_done
            assert live == self.plan.slots
            assert not receipts
            assert_whole(vault, self.target, BEFORE[0])
        else:
            self._judge_gone(vault, disk, receipts)

    def _judge_gone(self, vault: Vault, disk: HouseDisk, receipts: list[str]) -> None:
        assert receipts == [f"{self.plan.id.hex()}.receipt"]
        data = bytes(disk.read(vault.receipts / receipts[0]))
        statement = verify(data, logkey.signer(vault).verifier).statement
        assert statement.erased == self.plan.erased
        assert statement.verdict == CONFIRMED
        assert_true_roots(vault, statement)
        assert not self.files.keys() & sealed_of(vault, self.target).keys()
        thief = thief_of(disk, vault.directory.parent / "anchors")
        assert thief.opened(self.files) == set()
        assert thief.opened(sealed_of(vault, self.other))


@pytest.mark.parametrize("only_audio", [False, True])
def test_no_crash_leaves_half_an_erasure(house: House, *, only_audio: bool) -> None:
    erasing = Erasing(house, only_audio=only_audio)
    crashes = Crashes(house.base, erasing.judge)
    crashes.check(erasing.moments())
    print(f"erase: {crashes.states} states")
    assert crashes.states > 40


@pytest.mark.slow
def test_no_crash_of_settling_leaves_half_an_erasure(house: House) -> None:
    erasing = Erasing(house, only_audio=False)
    crashes = Crashes(house.base, erasing.judge, most=either(1, 4))
    crashes.check(some_of(erasing.moments(), 2), deep=1)
    print(f"erase, settle stopped too: {crashes.states} states")
    assert crashes.states > 300


@pytest.mark.parametrize("is_durable", [True, False])
def test_no_crash_leaves_a_wrong_live_tree(house: House, *, is_durable: bool) -> None:
    """A tree is there already, its writes durable or not; what goes next has true roots too."""
    (before,) = say(house.vault, NEW)
    earlier = forget(house.vault, before)
    disk = settled(house.disk) if is_durable else house.disk
    vault = reopen(house.base, disk)
    with acting(vault, clock):
        plan = make_plan(vault, list(house.whole)[:1], NOON)
        moments = moments_of(disk, lambda: erase(vault, plan, clock))

    def judge(vault: Vault, disk: HouseDisk, *, is_done: bool) -> None:
        del is_done
        path = vault.receipts / f"{plan.id.hex()}.receipt"
        gone = {*earlier.statement.slots}
        if disk.size(path) is not None:
            statement = verify(bytes(disk.read(path))).statement
            assert_true_roots(vault, statement, *gone)
            gone |= statement.slots.keys()
        assert audit(vault).problems == []
        then = make_plan(vault, list(house.whole)[1:], NOON)
        statement = erase(vault, then, clock).statement
        verify(bytes(disk.read(vault.receipts / f"{then.id.hex()}.receipt")))
        assert_true_roots(vault, statement, *gone)
        assert audit(vault).problems == []

    crashes = Crashes(house.base, judge, most=6)
    crashes.check(moments)
    print(f"erase with a live tree there, durable {is_durable}: {crashes.states} states")
    assert crashes.states > 60


def test_an_acknowledged_erasure_is_dead_before_anything_is_settled(house: House) -> None:
    """The adversary takes the machine at the moment `forget` returns, or the power goes."""
    erasing = Erasing(house, only_audio=False)
    disk, is_done = erasing.moments()[-1]
    assert is_done
    for medium in disk.survivors(64):
        thief = thief_of(HouseDisk(medium, disk.history), house.base / "anchors")
        assert thief.opened(erasing.files) == set()


def test_the_thief_of_these_tests_opens_what_is_not_erased_yet(house: House) -> None:
    """The control: at the first moment of the erasure he opens everything."""
    erasing = Erasing(house, only_audio=False)
    disk, _ = erasing.moments()[0]
    assert thief_of(disk, house.base / "anchors").opened(erasing.files) == erasing.files.keys()


@pytest.mark.parametrize("number", range(1, 36))
def test_the_same_process_goes_on_after_a_failed_operation(house: House, number: int) -> None:
    erasing = Erasing(house, only_audio=False)
    house.disk.fail_at = house.disk.operations + number
    with pytest.raises(StateUnknown):
        erase(house.vault, erasing.plan, clock)
    with acting(house.vault, clock):
        erasing.judge(house.vault, house.disk, is_done=False)
    (then,) = say(house.vault, NEW)
    assert_whole(reopen_after(house), then, NEW)


def reopen_after(house: House) -> Vault:
    vault = reopen(house.base, house.disk)
    with acting(vault, clock):
        return vault


def stopped_after(house: House, erasing: Erasing, is_there: Callable[[Vault], bool]) -> HouseDisk:
    """Returns the disk at the first moment of the erasure at which something is there."""
    for disk, _ in erasing.moments():
        of = house.vault
        seen = MirroredDisk(disk, of.directory, [])
        vault = Vault(of.directory, of.id, seen, of.log, of.anchor, of.roots_of)
        if is_there(vault):
            return disk
    raise AssertionError("there is no such moment")


def test_the_time_of_an_erasure_is_that_of_its_statement_not_of_the_settling(house: House) -> None:
    erasing = Erasing(house, only_audio=False)
    draft = f"{erasing.plan.id.hex()}.statement"
    disk = stopped_after(house, erasing, lambda v: draft in v.disk.names(v.receipts))
    vault = reopen(house.base, disk)
    with acting(vault, lambda: "2031-01-01T00:00:00Z"):
        (name,) = disk.names(vault.receipts)
        assert verify(bytes(disk.read(vault.receipts / name))).statement.erased_at == NOON
