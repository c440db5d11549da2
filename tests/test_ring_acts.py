"""Acts on a ring in any order, with power cuts and kills in between, against a model."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from keys.anchor.file import FileAnchor
from keys.durable import RealDisk
from keys.errors import (
    Erased,
    NoSuchSlot,
)
from keys.model import Slot
from keys.ring import Ring
from keys.root import Roots
from tests.rings import new_ring, reopened
from tests.world.crash import VAULT, empty_disk
from tests.world.disk import Crash, SimulatedDisk, When


class RingActs(RuleBasedStateMachine):
    """Acts in any order, with power cuts and kills between and within them."""

    def __init__(self) -> None:
        super().__init__()
        self.disk = empty_disk()
        self.ring = new_ring(self.disk)
        self.live: dict[Slot, bytes] = {}
        self.gone: set[Slot] = set()

    @rule(number=st.integers(1, 5))
    def allocate(self, number: int) -> None:
        first = self.ring.slot_count
        slots = self.ring.allocate(number)
        assert slots == list(range(first, first + number))
        self.live |= {slot: bytes(self.ring.key(slot)) for slot in slots}

    @precondition(lambda self: self.live)
    @rule(data=st.data())
    def destroy(self, data: st.DataObject) -> None:
        slots = self._choose(data)
        self.ring.destroy(slots, b"plan")
        self._went(slots)

    @rule()
    def reopen(self) -> None:
        self.ring = reopened(self.disk)

    @rule()
    def refresh(self) -> None:
        other = reopened(self.disk)
        other.refresh()
        self.ring.refresh()

    @rule(seed=st.integers(0, 1000))
    def power_cut(self, seed: int) -> None:
        self._cut(seed)
        self.ring = reopened(self.disk)

    @precondition(lambda self: self.live)
    @rule(data=st.data(), number=st.integers(1, 14), when=st.sampled_from(When))
    def crash_while_destroying(self, data: st.DataObject, number: int, when: When) -> None:
        slots = self._choose(data)
        self.disk.crash_at = (self.disk.operations + number, when)
        try:
            self.ring.destroy(slots, b"plan")
        except Crash:
            self.disk.crash_at = None
            if data.draw(st.booleans()):
                self._cut(data.draw(st.integers(0, 1000)))
            self.ring = reopened(self.disk)
        self.disk.crash_at = None
        alive = {slot for slot in slots if self.ring.is_live(slot)}
        assert alive in (set(), slots)
        self._went(slots - alive)

    @invariant()
    def the_ring_is_as_the_model(self) -> None:
        for slot, key in self.live.items():
            assert bytes(self.ring.key(slot)) == key
        for slot in self.gone:
            with pytest.raises(Erased):
                self.ring.key(slot)
        with pytest.raises(NoSuchSlot):
            self.ring.key(Slot(self.ring.slot_count))

    def _choose(self, data: st.DataObject) -> set[Slot]:
        return data.draw(st.sets(st.sampled_from(sorted(self.live)), min_size=1, max_size=4))

    def _went(self, slots: set[Slot]) -> None:
        self.gone |= slots
        self.live = {slot: key for slot, key in self.live.items() if slot not in slots}

    def _cut(self, seed: int) -> None:
        survivors = list(self.disk.survivors(32, seed))
        self.disk = SimulatedDisk(survivors[seed % len(survivors)], self.disk.history)


RingActs.TestCase.settings = settings(max_examples=60, stateful_step_count=25)
test_acts_in_any_order = RingActs.TestCase


@given(slots=st.sets(st.integers(0, 2999), min_size=1, max_size=40))
@settings(max_examples=25)
def test_exactly_the_slots_asked_for_go(slots: set[int]) -> None:
    ring = new_ring(empty_disk(), 3000)
    ring.destroy([Slot(slot) for slot in slots], b"")
    assert {slot for slot in range(3000) if not ring.is_live(Slot(slot))} == slots


def test_it_is_the_same_on_the_real_disk(tmp_path: Path) -> None:
    disk = RealDisk()
    anchor = FileAnchor(disk, tmp_path / "anchors" / "share", VAULT)
    ring = Ring(disk, tmp_path / "ring", Roots(VAULT, [[anchor]]))
    ring.create()
    ring.allocate(3)
    key = bytes(ring.key(Slot(2)))
    ring.destroy([Slot(0)], b"")
    again = Ring(disk, tmp_path / "ring", Roots(VAULT, [[anchor]]))
    again.open()
    assert bytes(again.key(Slot(2))) == key
    assert not again.is_live(Slot(0))
