"""The crash table of the ring: every scenario stopped at every moment, in both ways, and reopened.

Guarantee G2: no crash loses a live key or leaves an acknowledged erasure openable. What counts as a
violation is in `tests/world/crash.py`; that these checks can fail is shown in
`tests/test_crash_controls.py`.
"""

from collections.abc import Callable

import pytest

from keys.errors import StateUnknown
from keys.model import Slot
from tests.world.crash import ANCHORS, Checker, World, adversary_of, make_ring
from tests.world.disk import Crash, SimulatedDisk, When
from tests.world.extent import either, some_of

Scenario = Callable[[World], None]


def create(world: World) -> None:
    world.create()


def allocate(world: World) -> None:
    world.create()
    world.allocate(2)
    world.allocate(1)


def destroy_one(world: World) -> None:
    world.create()
    slots = world.allocate(3)
    world.destroy(slots[1])


def destroy_all(world: World) -> None:
    world.create()
    world.destroy(*world.allocate(2))


def destroy_again(world: World) -> None:
    world.create()
    slots = world.allocate(3)
    for slot in slots:
        world.destroy(slot)


def interleave(world: World) -> None:
    world.create()
    first = world.allocate(2)
    world.destroy(first[0])
    second = world.allocate(2)
    world.destroy(second[1])
    world.allocate(1)


def fold_the_journal(world: World) -> None:
    """Rotates with a journal of several records, then with none."""
    world.create()
    slots = [slot for _ in range(4) for slot in world.allocate(1)]
    world.destroy(slots[0])
    world.destroy(slots[2])


def destroy_over_pages(world: World) -> None:
    """A batch in two pages, one of them filled by the journal alone."""
    world.create()
    world.allocate(1000, tracked=[0, 1, 999])
    world.destroy(Slot(0))
    world.allocate(40, tracked=[0, 23, 24, 39])
    world.destroy(Slot(1), Slot(1023), Slot(1024))


SCENARIOS = [
    create,
    allocate,
    destroy_one,
    destroy_all,
    destroy_again,
    interleave,
    fold_the_journal,
    destroy_over_pages,
]
DEEP: dict[Scenario, int] = {
    create: 1,
    allocate: 1,
    destroy_one: 1,
    destroy_all: 5,
    destroy_again: 5,
    interleave: 5,
    fold_the_journal: 5,
}
"""Where the recovery is stopped too: one of how many moments, and the last ones."""


def play(scenario: Scenario, tears: Callable[[int], list[int]] | None = None) -> World:
    world = World()
    if tears is not None:
        world.disk.tears = tears
    scenario(world)
    return world


def report(name: str, checker: Checker) -> None:
    print(f"\n{name}: {dict(sorted(checker.counts.items()))}")
    assert not checker.found, checker.notes.most_common(10)
    assert checker.counts["states"] > 10


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_no_crash_loses_or_revives(scenario: Scenario) -> None:
    checker = Checker(most=1 << 10, deep=0)
    checker.check(play(scenario).moments)
    assert not checker.counts["sampled"]
    report(scenario.__name__, checker)


@pytest.mark.parametrize("scenario", DEEP)
def test_no_crash_of_the_recovery_loses_or_revives(scenario: Scenario) -> None:
    checker = Checker(most=64, deep=1)
    checker.check(some_of(play(scenario).moments, DEEP[scenario], last=10))
    report(f"{scenario.__name__}, recovery stopped too", checker)


def three_parts(size: int) -> list[int]:
    return [cut for cut in (56, 512, size // 2 // 512 * 512) if 0 < cut < size][:2]


@pytest.mark.slow
def test_writes_that_tear_in_three_and_a_recovery_stopped_twice() -> None:
    checker = Checker(most=either(16, 32), deep=2)
    checker.check(some_of(play(destroy_all, three_parts).moments[-30:], 3))
    report("torn in three, recovery stopped twice", checker)


@pytest.mark.parametrize("when", When)
def test_an_exception_in_the_middle_does_what_a_copy_of_the_moment_says(when: When) -> None:
    """The table copies moments instead of raising; here it raises, once at each operation."""
    last = play(destroy_one).disk.operations
    checker = Checker(deep=0)
    for number in range(1, last + 1):
        world = World()
        world.disk.crash_at = (number, when)
        try:
            destroy_one(world)
        except Crash:
            checker.check([(world.disk, world.known)])
        else:
            assert when is When.HALFWAY  # an operation of one step has no middle
    report(f"raised {when.value}", checker)


@pytest.mark.parametrize("then", ["allocate", "destroy"])
@pytest.mark.parametrize("number", range(1, 13))
def test_the_same_ring_goes_on_after_a_failed_operation(number: int, then: str) -> None:
    world = World()
    world.create()
    slots = world.allocate(2)
    world.disk.fail_at = world.disk.operations + number
    with pytest.raises(StateUnknown):
        world.destroy(slots[1])
    world.carry_on()
    world.moments.clear()
    if then == "allocate":
        world.allocate(1)
    else:
        world.destroy(slots[0])
    checker = Checker(deep=0)
    checker.check(world.moments)
    assert not checker.found, checker.notes


@pytest.mark.parametrize("number", range(1, 20))
def test_the_same_ring_goes_on_after_a_failed_recovery(number: int) -> None:
    world = World()
    world.create()
    slots = world.allocate(2)
    world.disk.crash_at = (world.disk.operations + 6, When.AFTER)
    with pytest.raises(Crash):
        world.destroy(slots[1])
    world.disk.crash_at = None
    world.disk.fail_at = world.disk.operations + number
    world.ring = make_ring(world.disk)
    try:
        world.ring.open()
    except StateUnknown:
        assert world.disk.fail_at is None
    world.disk.fail_at = None
    world.carry_on()
    world.moments.clear()
    world.allocate(1)
    checker = Checker(deep=0)
    checker.check(world.moments)
    assert not checker.found, checker.notes


def test_a_destruction_costs_this_many_writes_and_syncs() -> None:
    world = World()
    world.create()
    slots = world.allocate(3)
    kinds: list[str] = []
    world.disk.watch = lambda _, what, path, when: (
        kinds.append(f"{what} {path.name.partition('-')[0]}") if when is When.AFTER else None
    )
    world.ring.destroy([slots[0]], b"")
    print(kinds)
    assert len([kind for kind in kinds if kind.startswith("sync")]) == 6
    assert kinds.index("sync share") < len(kinds) - 1 - kinds[::-1].index("write share")


def test_the_adversary_of_the_table_opens_what_is_live() -> None:
    """Without this, `undead` would stay 0 for an adversary that cannot read the formats."""
    world = World()
    world.create()
    world.allocate(3)
    world.destroy(Slot(1))
    world.allocate(1)
    disk: SimulatedDisk = world.disk
    found = adversary_of(disk, disk.durable).keys
    assert {slot: {key} for slot, key in world.known.live.items()} == found
    assert ANCHORS in {path.parent for path, _ in disk.history}
