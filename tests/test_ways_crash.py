"""The crash table of rings with several anchors: combined, redundant, changed, folding by itself.

Each medium that a crash may leave is opened with everybody here and with each way absent in turn.
What `outstanding` names may open what it is owed, nothing else may; once all are back and have
caught up, nothing is outstanding and nothing dead opens. The broken variants at the end must be
caught.

Each kind of anchor and of combination is stopped at each moment; where a scenario is played again
with other anchors, at one of five. Where the recovery is stopped too, a few of the tables stand
for all, with fewer moments and subsets, and with the absent ways by turns. `ANECHOIC_EXHAUSTIVE=1`
runs every one in full, in about an hour.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path

import pytest

from keys import ring as ring_module
from keys.durable import Disk
from keys.errors import AnchorFailure
from keys.model import Epoch, Slot
from keys.ring import Ring
from keys.root import FreshRoot, Roots, Way
from keys.secret import Secret
from tests.world.crash import ANCHOR, Checker, Moment, adversary_of
from tests.world.disk import SimulatedDisk, When
from tests.world.extent import EXHAUSTIVE, either, some_of
from tests.world.ways import (
    ChangeChecker,
    CountingAnchor,
    Site,
    SwappingAnchor,
    WaysChecker,
    WaysWorld,
    play,
)

Scenario = Callable[[WaysWorld], None]
Away = tuple[tuple[str, ...], ...]


def destroy(world: WaysWorld) -> None:
    world.create()
    world.destroy(world.allocate(2)[1])


def destroy_with_b_absent(world: WaysWorld) -> None:
    world.create()
    slots = world.allocate(3)
    world.leave("b")
    world.destroy(slots[1])
    world.allocate(1)
    world.destroy(slots[2])
    world.come_back()
    world.destroy(slots[0])


def destroy_what_came_after_b(world: WaysWorld) -> None:
    """What was given out when b had gone, b never opens: nothing of it waits for b."""
    world.create()
    world.allocate(2)
    world.leave("b")
    world.destroy(Slot(1))
    late = world.allocate(3)
    world.destroy(late[0])
    world.destroy(late[1])
    world.come_back()
    world.destroy(late[2])


def destroy_with_b_read_only(world: WaysWorld) -> None:
    world.create()
    slots = world.allocate(3)
    world.protect("b")
    world.destroy(slots[1])
    world.ring.open()
    world.destroy(slots[2])
    world.come_back()
    world.destroy(slots[0])


def destroy_once_with_b_absent(world: WaysWorld) -> None:
    world.create()
    slots = world.allocate(2)
    world.leave("b")
    world.destroy(slots[1])
    world.come_back()


def cut_off_between_write_and_wipe(world: WaysWorld) -> None:
    """The anchor b goes when the first wipe begins, after all have been given the new share."""
    world.create()
    slots = world.allocate(2)
    keep, writes = world.disk.watch, list[str]()

    def watch(disk: SimulatedDisk, what: str, path: Path, when: When) -> None:
        if (what, path, when) == ("write", ANCHOR, When.BEFORE):
            writes.append(what)
            if len(writes) == 2:
                world.leave("b")
        if keep is not None:
            keep(disk, what, path, when)

    world.disk.watch = watch
    world.destroy(slots[1])
    world.disk.watch = keep
    world.allocate(1)
    world.come_back()


def fold(world: WaysWorld) -> None:
    """With a threshold of two slots: the third allocation rotates, and the fifth."""
    world.create()
    slots = [slot for _ in range(6) for slot in world.allocate(1)]
    world.destroy(slots[3])


TABLE: list[tuple[str, Scenario, Away]] = [
    ("file+b", destroy, ((),)),
    ("file|b", destroy, ((), ("file",), ("b",))),
    ("file|b", destroy_with_b_absent, ((), ("file",), ("b",))),
    ("file|b", destroy_what_came_after_b, ((), ("file",), ("b",))),
    ("file|b", destroy_with_b_read_only, ((), ("file",), ("b",))),
    ("b|file", destroy_with_b_read_only, ((), ("file",), ("b",))),
    ("file+b|c", destroy_with_b_read_only, ((), ("file",), ("c",))),
    ("file|b", cut_off_between_write_and_wipe, ((), ("file",), ("b",))),
    ("file+b|c", destroy, ((), ("b",), ("c",))),
    ("file+b|c", destroy_with_b_absent, ((), ("b",), ("file",), ("c",))),
    ("file|b|c", destroy_with_b_absent, ((), ("file",), ("b", "c"), ("file", "c"))),
    ("file+chip", destroy, ((),)),
    ("chip|b", destroy, ((), ("chip",), ("b",))),
    ("chip|b", destroy_with_b_absent, ((), ("chip",), ("b",))),
    ("chip-a+chip-b", destroy, ((),)),
    ("chip+file|b", destroy_with_b_absent, ((), ("chip",), ("b",))),
]


EVERY = 5
WALKED_WHOLE = {"file+b", "file|b", "file+chip", "chip-a+chip-b"}
"""The ways that are stopped at each moment; the others at one of `EVERY`."""
DEEP_MOST = either(2, 16)
DEEP_TABLE: list[tuple[str, Scenario, Away]] = [
    ("file|b", destroy, ((), ("file",), ("b",))),
    ("file+b|c", destroy_once_with_b_absent, ((), ("b",), ("c",))),
]


def report(name: str, checker: Checker) -> None:
    print(f"\n{name}: {dict(sorted(checker.counts.items()))}")
    assert not checker.found, checker.notes.most_common(10)
    assert checker.counts["states"] > 10


@pytest.mark.parametrize(("ways", "scenario", "away"), TABLE)
def test_no_crash_loses_or_revives(ways: str, scenario: Scenario, away: Away) -> None:
    site = Site(ways)
    checker = WaysChecker(site, away, most=1 << 10)
    every = 1 if ways in WALKED_WHOLE else EVERY
    checker.check(some_of(play(site, scenario).moments, every, last=3))
    assert not checker.counts["sampled"]
    report(f"{ways} {scenario.__name__}", checker)


def after_creation(world: WaysWorld) -> list[Moment]:
    """A creation that was cut off is done anew by the caller; until then anchors may be missing."""
    return [moment for moment in world.moments if moment[1].is_created]


@pytest.mark.slow
@pytest.mark.parametrize(("ways", "scenario", "away"), either(DEEP_TABLE, TABLE))
def test_no_crash_of_the_recovery_loses_or_revives(
    ways: str, scenario: Scenario, away: Away
) -> None:
    site = Site(ways)
    checker = WaysChecker(site, away, DEEP_MOST, deep=1, in_turn=not EXHAUSTIVE)
    checker.check(some_of(after_creation(play(site, scenario)), EVERY))
    report(f"{ways} {scenario.__name__}, recovery stopped too", checker)


# The journal folds itself


@pytest.mark.parametrize("ways", ["file", "file|b"])
def test_no_crash_of_a_fold_loses_or_revives(ways: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ring_module, "_JOURNAL_SLOTS", 2)
    site = Site(ways)
    world = play(site, fold)
    assert world.ring.epoch == 4, "two folds and a destruction"
    checker = WaysChecker(site, [()], most=1 << 10)
    checker.check(world.moments)
    report(f"{ways} fold", checker)


# Change of ways


def change_to(new: Site) -> Scenario:
    def scenario(world: WaysWorld) -> None:
        world.create()
        slots = world.allocate(4)
        world.destroy(slots[1])
        world.ring.change_ways(new.roots(world.disk, world.absent))
        world.see()
        world.destroy(slots[2])
        world.allocate(1)

    return scenario


CHANGES = [
    ("file", "file|b"),
    ("file|b", "file"),
    ("file", "b"),
    ("file", "file+b"),
    ("file+b", "file"),
    ("file|b", "c"),
    ("file", "chip"),
    ("chip", "file"),
    ("file+b|c", "b|chip"),
]
DEEP_CHANGES = [("file", "file|b")]


@pytest.mark.parametrize(("old", "new"), CHANGES)
def test_a_crash_while_ways_change_leaves_the_old_ones_or_the_new(old: str, new: str) -> None:
    sites = Site(old), Site(new)
    world = play(sites[0], change_to(sites[1]))
    assert not world.ring.outstanding
    checker = ChangeChecker(*sites, most=1 << 10)
    checker.check(after_creation(world))
    assert not checker.counts["sampled"]
    report(f"{old} to {new}", checker)


@pytest.mark.slow
@pytest.mark.parametrize(("old", "new"), either(DEEP_CHANGES, CHANGES))
def test_a_crash_of_the_recovery_while_ways_change(old: str, new: str) -> None:
    sites = Site(old), Site(new)
    checker = ChangeChecker(*sites, most=DEEP_MOST, deep=1)
    checker.check(some_of(after_creation(play(sites[0], change_to(sites[1]))), EVERY))
    report(f"{old} to {new}, recovery stopped too", checker)


# What the table must catch


class WrittenIsTakenForClean(Roots):
    """A way that was given the new share counts as clean, though it was cut off before the wipe."""

    _given: frozenset[str] = frozenset()

    def fresh_for(self, epoch: Epoch, ways: Iterable[Way]) -> FreshRoot:
        self._given = frozenset(self.name_of(way) for way in ways)
        return super().fresh_for(epoch, ways)

    def clean(self, names: Iterable[str], epoch: Epoch) -> set[str]:
        del epoch
        return set(names) & self._given


class OnlyTheFirstWayIsWiped(Roots):
    def wipe(self, keep: Epoch) -> None:
        for anchor, shares in self.answering():
            if anchor in self.ways[0] and keep in shares:
                anchor.wipe(keep)


class EveryWayInTheHeadIsClean(Ring):
    """Without a record of who was wiped."""

    @property
    def outstanding(self) -> set[str]:
        if not self.epoch:
            return set()
        return self._roots.names() - self._states.ways(self.epoch)

    def _append_names(self, kind: bytes, names: Collection[str]) -> None:
        pass


class DeletionsAreNotSynced(Ring):
    """Found here: a state that was adopted by one way is dropped by another for an old one."""

    def __init__(self, disk: Disk, directory: Path, roots: Roots) -> None:
        super().__init__(disk, directory, roots)
        self._states.sync_names = lambda: None  # type: ignore[method-assign]


class NumbersAreUsedAgain(Ring):
    """Found here: a share for a state that was dropped is taken for one of its namesake."""

    def _later_states(self) -> set[Epoch]:
        return set()


class ReadOnlyIsTakenForClean(Roots):
    """A way that cannot be written is not waited for."""

    def clean(self, names: Iterable[str], epoch: Epoch) -> set[str]:
        stuck = {self.name_of(way) for way in self.ways if self._is_stuck(way)}
        return super().clean(names, epoch) | (set(names) & stuck)


class NoRoomIsMade(Roots):
    """Found here: an anchor that came back with two old shares stopped every rotation."""

    def write(self, fresh: FreshRoot, current: Epoch | None, made: Collection[str] = ()) -> None:
        del current, made
        for anchor, share in fresh.shares:
            anchor.write(fresh.head.epoch, share)


class AlwaysTheFirstEpoch(Roots):
    """Found here: a creation cut off had left a share of the same epoch in one of two anchors."""

    def fresh(self, epoch: Epoch, *, for_all: bool = False) -> FreshRoot:
        return super().fresh(Epoch(1) if for_all else epoch, for_all=for_all)


class BoundsAreTooLow(Ring):
    """A way counts as absent since before the slots of the last journal."""

    def _records(self, fresh: FreshRoot, left: set[str]) -> Iterator[Secret]:
        state = self._open_state
        keep, state.next_slot = state.next_slot, state.top.next_slot
        yield from super()._records(fresh, left)
        state.next_slot = keep


class BoundsOutliveALaterState(Ring):
    """A way that was given a share of a state that was dropped keeps the bound from before."""

    def _records(self, fresh: FreshRoot, left: set[str]) -> Iterator[Secret]:
        later, self._later = self._later, Epoch(0)
        yield from super()._records(fresh, left)
        self._later = later


BOTH: Away = ((), ("file",), ("b",))
BROKEN: dict[str, tuple[Site, Scenario, str, int]] = {
    "written is taken for clean": (
        Site("file|b", roots=WrittenIsTakenForClean),
        cut_off_between_write_and_wipe,
        "undead",
        0,
    ),
    "only the first way is wiped": (
        Site("file|b", roots=OnlyTheFirstWayIsWiped),
        destroy,
        "stuck",
        0,
    ),
    "every way in the head is clean": (
        Site("file|b", ring=EveryWayInTheHeadIsClean),
        cut_off_between_write_and_wipe,
        "undead",
        0,
    ),
    "bounds are too low": (
        Site("file|b", ring=BoundsAreTooLow),
        destroy_what_came_after_b,
        "undead",
        0,
    ),
    "deletions are not synced": (Site("file|b", ring=DeletionsAreNotSynced), destroy, "lost", 1),
    "numbers are used again": (Site("file|b", ring=NumbersAreUsedAgain), destroy, "lost", 1),
    "read-only is taken for clean": (
        Site("file|b", roots=ReadOnlyIsTakenForClean),
        destroy_with_b_read_only,
        "undead",
        0,
    ),
    "always the first epoch": (Site("file+b", roots=AlwaysTheFirstEpoch), destroy, "stuck", 0),
}


@pytest.mark.parametrize("name", BROKEN)
def test_the_table_catches(name: str) -> None:
    site, scenario, kind, deep = BROKEN[name]
    away: Away = BOTH if len(site.ways) > 1 else ((),)
    checker = WaysChecker(site, away, DEEP_MOST if deep else 64, deep, in_turn=not EXHAUSTIVE)
    world = play(site, scenario)
    part = some_of(after_creation(world), EVERY)
    for moment in reversed(part) if deep else world.moments:
        checker.check([moment])
        if checker.counts[kind]:
            break
    print(f"\n{name}: {dict(sorted(checker.counts.items()))} {checker.notes.most_common(2)}")
    assert checker.counts[kind] > 0, checker.notes


def undead_after_b_has_gone_again(site: Site) -> tuple[int, int]:
    """Stops the catching up of b at every moment, with b gone again, and then destroys a slot.

    The slot was given out while b was away. Returns how often it opens for whoever lacks what it
    waits for, and how often it waits for b.
    """
    world = WaysWorld(site)
    world.create()
    world.leave("b")
    world.ring.destroy([], b"")
    (late,) = world.allocate(1)
    key, first = bytes(world.ring.key(late)), len(world.moments)
    assert not world.ring.outstanding_for([late])
    world.come_back()
    undead, waits = 0, 0
    for disk, _ in world.moments[first:]:
        for medium in disk.survivors(16, seed=0):
            now = SimulatedDisk(medium, disk.history)
            ring = site.ring(now, {"b"})
            try:
                ring.open()
            except AnchorFailure:
                continue  # b alone opens what is newest
            ring.destroy([late], b"plan")
            owed = ring.outstanding_for([late])
            found = adversary_of(now, now.durable, without=owed).keys
            undead, waits = undead + (key in found.get(late, ())), waits + bool(owed)
    return undead, waits


def test_a_way_that_was_given_a_share_on_its_return_is_waited_for_again() -> None:
    undead, waits = undead_after_b_has_gone_again(Site("b|file"))
    assert (undead, waits > 0) == (0, True)
    undead, _ = undead_after_b_has_gone_again(Site("b|file", ring=BoundsOutliveALaterState))
    assert undead > 0, "the control"


def test_what_came_after_a_way_went_does_not_wait_for_it() -> None:
    world = WaysWorld(Site("file|b"))
    world.create()
    world.allocate(2)
    world.leave("b")
    world.destroy(Slot(1))
    late = world.allocate(3)
    world.destroy(late[0])
    assert world.ring.outstanding == {"b"} == world.ring.outstanding_for([Slot(0), *late])
    assert not world.ring.outstanding_for(late)


@pytest.mark.parametrize("is_kept", [True, False])
def test_who_keeps_a_root_is_waited_for_until_its_copy_is_sworn_destroyed(*, is_kept: bool) -> None:
    """A copy of the root opens what was given out in its epoch, and nothing that came after."""
    site = Site("file")
    world = WaysWorld(site)
    world.create()
    early = world.allocate(1)
    world.ring.leave({"copy"})
    kept, late = world.ring.root(), [*early, *world.allocate(1)]
    keys = {slot: bytes(world.ring.key(slot)) for slot in late}
    world.ring.destroy(early, b"")
    after = world.allocate(1)
    keys |= {slot: bytes(world.ring.key(slot)) for slot in after}
    world.ring.destroy([*late[1:], *after], b"")
    assert world.ring.outstanding_for(early) == {"copy"} == world.ring.outstanding_for(late[1:])
    assert not world.ring.outstanding_for(after)
    roots = [bytes(kept)] if is_kept else []
    thief = adversary_of(world.disk, world.disk.durable, roots=roots)
    opened = {slot for slot, key in keys.items() if key in thief.keys.get(slot, ())}
    assert opened == ({*late} if is_kept else set())
    world.ring.swear("copy")
    for _ in range(2):
        assert not world.ring.outstanding
        assert world.ring.sworn_for(early) == {"copy"}
        assert not world.ring.sworn_for(after)
        world.ring.destroy([], b"")
    with pytest.raises(AnchorFailure, match="not outstanding"):
        world.ring.swear("copy")


def test_without_room_an_anchor_that_comes_back_stops_every_rotation() -> None:
    """Found here: it had been cut off with two shares, and had no place for a third."""
    with pytest.raises(AnchorFailure, match="both places"):
        play(Site("file|b", roots=NoRoomIsMade), cut_off_between_write_and_wipe)


@pytest.mark.parametrize("ways", ["file+swap", "swap"])
def test_an_anchor_that_shows_the_new_share_only_after_the_wipe_is_refused(ways: str) -> None:
    """With `file` wiped first and a crash before the other, nothing would ever open again."""
    site = Site(ways, kinds={"swap": SwappingAnchor})
    world = WaysWorld(site)
    world.create()
    slots = world.allocate(1)
    with pytest.raises(
        AnchorFailure, match=r"swap does not show the share of epoch 2.*nothing was"
    ):
        world.destroy(*slots)
    with pytest.raises(AnchorFailure, match="does not show the share"):
        world.ring.open()  # the intent rolls forward, and is refused again
    cured = Site(ways, kinds={"swap": CountingAnchor}).ring(world.disk)
    cured.open()
    assert not cured.is_live(slots[0])
