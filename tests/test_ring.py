"""What the ring promises to its caller, on the simulated disk: slots, keys, refusals, damage."""

import random
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from keys.anchor.file import FileAnchor
from keys.durable import RealDisk
from keys.errors import (
    AnchorFailure,
    Erased,
    KeysError,
    Malformed,
    NoSuchSlot,
    StateUnknown,
    Tampered,
)
from keys.model import Epoch, Slot, VaultId
from keys.pages import FRAME_SIZE, SLOTS_PER_PAGE
from keys.ring import Ring
from keys.root import Roots
from keys.secret import Secret, random_secret
from keys.statefile import States
from tests.world.crash import ANCHOR, RING, VAULT, empty_disk, make_ring
from tests.world.disk import Crash, SimulatedDisk, When

OTHER = VaultId(b"another vault id")


def new_ring(disk: SimulatedDisk, slots: int = 0) -> Ring:
    ring = make_ring(disk)
    ring.create()
    if slots:
        ring.allocate(slots)
    return ring


def reopened(disk: SimulatedDisk) -> Ring:
    ring = make_ring(disk)
    ring.open()
    return ring


def state_of(ring: Ring) -> Path:
    return RING / f"state-{ring.epoch:020}"


def damage(disk: SimulatedDisk, path: Path, at: int) -> None:
    (byte,) = disk.read(path, at, 1)
    disk.write(path, at, bytes([byte ^ 0x10]))


# Slots and keys


def test_slots_count_from_zero_and_keys_differ() -> None:
    ring = new_ring(empty_disk())
    assert ring.allocate(3) + ring.allocate(2) == [0, 1, 2, 3, 4]
    assert ring.slot_count == 5
    assert len({bytes(ring.key(Slot(n))) for n in range(5)}) == 5


def test_a_key_given_out_is_a_copy() -> None:
    ring = new_ring(empty_disk(), 1)
    before = bytes(ring.key(Slot(0)))
    ring.key(Slot(0)).wipe()
    assert bytes(ring.key(Slot(0))) == before


def test_never_given_out_is_not_erased() -> None:
    ring = new_ring(empty_disk(), 2)
    ring.destroy([Slot(0)], b"")
    with pytest.raises(Erased, match="slot 0"):
        ring.key(Slot(0))
    for slot in (Slot(2), Slot(-1), Slot(1 << 62)):
        with pytest.raises(NoSuchSlot, match=f"slot {slot}"):
            ring.key(slot)
        with pytest.raises(NoSuchSlot):
            ring.destroy([slot], b"")
    assert [ring.is_live(Slot(n)) for n in range(3)] == [False, True, False]


def test_a_refused_destruction_changes_nothing() -> None:
    disk = empty_disk()
    ring = new_ring(disk, 2)
    before = disk.cached.files()
    with pytest.raises(NoSuchSlot):
        ring.destroy([Slot(0), Slot(2)], b"")
    assert disk.cached.files() == before


def test_the_number_of_a_destroyed_slot_is_not_used_again() -> None:
    disk = empty_disk()
    ring = new_ring(disk, 2)
    ring.destroy([Slot(0), Slot(1)], b"")
    assert reopened(disk).allocate(1) == [2]


def test_destroying_again_is_no_error_and_rotates() -> None:
    ring = new_ring(empty_disk(), 1)
    for epoch in (2, 3):
        ring.destroy([Slot(0)], b"")
        assert ring.epoch == epoch


def test_the_plan_comes_back_until_the_next_one() -> None:
    disk = empty_disk()
    ring = new_ring(disk, 2)
    assert ring.pending is None
    ring.destroy([Slot(1)], b"the plan")
    pending = reopened(disk).pending
    assert pending is not None
    assert (pending.slots, pending.plan) == ((1,), b"the plan")


def test_the_signing_seed_stays_over_rotations() -> None:
    disk = empty_disk()
    ring = new_ring(disk, 1)
    seed = bytes(ring.signer_seed())
    ring.destroy([Slot(0)], b"")
    assert bytes(reopened(disk).signer_seed()) == seed != bytes(32)


def test_a_commitment_is_of_the_key_and_gone_with_it() -> None:
    ring = new_ring(empty_disk(), 2)
    commitments = [ring.commitment(Slot(n)) for n in (0, 1)]
    assert commitments[0] != commitments[1]
    ring.destroy([Slot(0)], b"")
    assert ring.commitment(Slot(1)) == commitments[1]
    with pytest.raises(Erased):
        ring.commitment(Slot(0))


def test_slots_fill_several_pages() -> None:
    disk = empty_disk()
    ring = new_ring(disk, 2050)
    keys = {Slot(n): bytes(ring.key(Slot(n))) for n in (0, 1, 1023, 1024, 2047, 2049)}
    ring.destroy([Slot(1), Slot(1024)], b"")
    ring = reopened(disk)
    ring.allocate(1)
    ring.destroy([Slot(2050)], b"")
    dead = {Slot(1), Slot(1024), Slot(2050)}
    for slot in {*keys, Slot(2050)}:
        assert ring.is_live(slot) is (slot not in dead)
        assert slot in dead or bytes(ring.key(slot)) == keys[slot]


def test_frames_are_used_again_so_the_pages_file_stays_small() -> None:
    disk = empty_disk()
    ring = new_ring(disk, 20)
    sizes = []
    for n in range(20):
        ring.destroy([Slot(n)], b"")
        sizes.append(disk.size(RING / "pages") or 0)
    assert max(sizes) <= 2 * 36_864
    assert disk.names(RING) == ["pages", f"state-{ring.epoch:020}"]


# Two processes


def test_refresh_sees_what_another_process_did() -> None:
    disk = empty_disk()
    mine = new_ring(disk, 2)
    other = reopened(disk)
    other.allocate(1)
    mine.refresh()
    assert mine.slot_count == 3
    other.destroy([Slot(0)], b"")
    mine.refresh()
    assert not mine.is_live(Slot(0))
    assert bytes(mine.key(Slot(2))) == bytes(other.key(Slot(2)))


def test_refresh_reads_nothing_anew_when_nothing_changed() -> None:
    disk = empty_disk()
    ring = new_ring(disk, 2)
    before = disk.operations
    state = ring._state
    ring.refresh()
    assert ring._state is state
    assert disk.operations == before


def test_a_ring_that_is_not_open_refuses() -> None:
    disk = empty_disk()
    new_ring(disk, 1)
    ring = make_ring(disk)
    acts: list[Callable[[], object]] = [
        lambda: ring.allocate(1),
        lambda: ring.key(Slot(0)),
        lambda: ring.destroy([], b""),
    ]
    for act in acts:
        with pytest.raises(KeysError, match="not open"):
            act()


# Anchors


def test_a_missing_anchor_is_named() -> None:
    disk = empty_disk()
    new_ring(disk, 1)
    disk.delete(ANCHOR)
    with pytest.raises(AnchorFailure, match=f"{ANCHOR} is missing.*ANECHOIC_ANCHOR_DIR"):
        make_ring(disk).open()


def test_an_anchor_of_another_vault_is_named() -> None:
    disk = empty_disk()
    new_ring(disk, 1)
    disk.write(ANCHOR, 0, bytes(2 * 4096))
    FileAnchor(disk, ANCHOR, OTHER).write(Epoch(1), Secret(b"s" * 32))
    with pytest.raises(AnchorFailure, match=f"another vault.*{OTHER.hex()}.*{VAULT.hex()}"):
        make_ring(disk).open()


def test_a_share_that_is_not_of_this_ring_does_not_open_it() -> None:
    disk = empty_disk()
    new_ring(disk, 1)
    disk.write(ANCHOR, 0, bytes(2 * 4096))
    FileAnchor(disk, ANCHOR, VAULT).write(Epoch(1), Secret(b"s" * 32))
    before = disk.cached.files()
    with pytest.raises(AnchorFailure, match="root of epoch 1 does not open with file"):
        make_ring(disk).open()
    assert disk.cached.files() == before


@pytest.mark.parametrize("passphrase", [None, Secret(b"wrong passphrase, 32 bytes long!")])
def test_without_its_passphrase_the_ring_does_not_open(passphrase: Secret | None) -> None:
    disk = empty_disk()
    anchor = FileAnchor(disk, ANCHOR, VAULT)
    right = Ring(disk, RING, Roots(VAULT, [[anchor]], Secret(b"p" * 32)))
    right.create()
    slots = right.allocate(1)
    with pytest.raises(AnchorFailure, match="passphrase"):
        Ring(disk, RING, Roots(VAULT, [[anchor]], passphrase)).open()
    right.open()
    assert right.is_live(slots[0])


def test_an_old_copy_of_the_ring_over_the_current_one_is_refused() -> None:
    disk = empty_disk()
    ring = new_ring(disk, 2)
    old = {path: data for path, data in disk.cached.files().items() if path.parent == RING}
    ring.destroy([Slot(0)], b"")
    for path in [RING / name for name in disk.names(RING)]:
        disk.delete(path)
    for path, data in old.items():
        disk.write(path, 0, data)
    with pytest.raises(
        AnchorFailure, match=r"ring is of epoch 1 .* share of epoch 2: the ring is an old copy"
    ):
        make_ring(disk).open()


def test_an_old_copy_of_the_anchor_over_the_current_one_is_refused() -> None:
    disk = empty_disk()
    ring = new_ring(disk, 2)
    old = bytes(disk.read(ANCHOR))
    ring.destroy([Slot(0)], b"")
    disk.write(ANCHOR, 0, old)
    with pytest.raises(AnchorFailure, match=r"epoch 1 .* epoch 2: the anchor is an old copy"):
        make_ring(disk).open()


def test_an_anchor_that_was_overwritten_is_told_from_an_old_one() -> None:
    disk = empty_disk()
    new_ring(disk, 2)
    disk.write(ANCHOR, 0, bytes(disk.size(ANCHOR) or 0))
    with pytest.raises(AnchorFailure, match="no share that can be read"):
        make_ring(disk).open()


def test_a_ring_without_a_state_is_told_from_an_old_one() -> None:
    disk = empty_disk()
    new_ring(disk, 2)
    for name in disk.names(RING):
        disk.delete(RING / name)
    with pytest.raises(AnchorFailure, match="no ring state is in"):
        make_ring(disk).open()


def test_pages_that_are_mostly_free_shrink_by_a_frame_each_rotation() -> None:
    disk = empty_disk()
    ring = new_ring(disk, 20 * SLOTS_PER_PAGE)
    kept = [Slot(18 * SLOTS_PER_PAGE), Slot(20 * SLOTS_PER_PAGE - 1)]
    ring.destroy([], b"")
    keys = {slot: bytes(ring.key(slot)) for slot in kept}
    ring.destroy([Slot(n) for n in range(20 * SLOTS_PER_PAGE) if n not in kept], b"")
    size = disk.size(RING / "pages") or 0
    sizes = []
    for _ in range(4):
        ring.destroy([], b"")
        sizes.append(disk.size(RING / "pages") or 0)
    assert size >= FRAME_SIZE * 8
    assert sizes[-1] <= FRAME_SIZE * 4
    assert {slot: bytes(ring.key(slot)) for slot in kept} == keys


def test_an_old_state_beside_the_current_one_is_dropped() -> None:
    disk = empty_disk()
    ring = new_ring(disk, 2)
    old = bytes(disk.read(state_of(ring)))
    old_path = state_of(ring)
    ring.destroy([Slot(0)], b"")
    disk.write(old_path, 0, old)
    disk.write(RING / "state-of-mind.txt", 0, b"a stray file")
    ring = reopened(disk)
    assert not ring.is_live(Slot(0))
    assert disk.names(RING) == ["pages", "state-00000000000000000002", "state-of-mind.txt"]


# Damage


def test_a_flipped_byte_of_state_is_refused_wherever_it_is() -> None:
    disk = empty_disk()
    ring = new_ring(disk)
    for at in range(disk.size(state_of(ring)) or 0):
        hurt = disk.fork()
        damage(hurt, state_of(ring), at)
        with pytest.raises((Tampered, Malformed, AnchorFailure)):
            make_ring(hurt).open()
        assert bytes(hurt.read(ANCHOR)) == bytes(disk.read(ANCHOR)), "a share went"


def test_a_flipped_byte_of_the_top_page_is_tampered() -> None:
    disk = empty_disk()
    ring = new_ring(disk)
    damage(disk, state_of(ring), (disk.size(state_of(ring)) or 0) - 1)
    with pytest.raises(Tampered, match="top page"):
        make_ring(disk).open()


@pytest.mark.parametrize("at", [0, 500, 32_768, 32_783])
def test_a_flipped_byte_of_a_page_is_tampered(at: int) -> None:
    disk = empty_disk()
    ring = new_ring(disk, 3)
    ring.destroy([Slot(0)], b"")
    damage(disk, RING / "pages", at)
    with pytest.raises(Tampered, match="page 0"):
        reopened(disk).key(Slot(1))


def test_pages_that_are_missing_or_cut_are_tampered() -> None:
    disk = empty_disk()
    new_ring(disk, 3).destroy([Slot(0)], b"")
    cut = disk.fork()
    cut.truncate(RING / "pages", 1000)
    disk.delete(RING / "pages")
    for each in (cut, disk):
        with pytest.raises(Tampered):
            reopened(each).key(Slot(1))


def end_of(ring: Ring) -> int:
    assert ring._state is not None
    return ring._state.end


def journal_of_three(disk: SimulatedDisk) -> tuple[Path, list[int]]:
    """Returns the state file and where its three journal records start and end."""
    ring = new_ring(disk)
    ends = [end_of(ring)]
    for _ in range(3):
        ring.allocate(1)
        ends.append(end_of(ring))
    return state_of(ring), ends


def test_a_torn_end_of_the_journal_is_dropped() -> None:
    disk = empty_disk()
    path, ends = journal_of_three(disk)
    for size in range(ends[2], ends[3]):
        torn = disk.fork()
        torn.truncate(path, size)
        ring = reopened(torn)
        assert ring.slot_count == 2
        assert torn.size(path) == ends[2]
        assert ring.allocate(1) == [2]
        assert reopened(torn).is_live(Slot(2))


@pytest.mark.parametrize("record", [0, 1])
def test_a_damaged_record_before_a_whole_one_is_tampered(record: int) -> None:
    disk = empty_disk()
    path, ends = journal_of_three(disk)
    for at in range(ends[record], ends[record + 1]):
        hurt = disk.fork()
        damage(hurt, path, at)
        before = hurt.cached.files()
        with pytest.raises(Tampered, match=f"journal record {record}"):
            make_ring(hurt).open()
        assert hurt.cached.files() == before, "evidence was changed"


def test_a_stretch_of_zeros_before_a_whole_record_is_tampered() -> None:
    disk = empty_disk()
    path, ends = journal_of_three(disk)
    disk.write(path, ends[0], bytes(ends[2] - ends[0]))
    with pytest.raises(Tampered, match="journal record 0"):
        make_ring(disk).open()


def crafted(size: int) -> bytes:
    """A tail at every fourth place of which a length leads to its very end."""
    return b"".join(struct.pack(">I", size - at - 4) for at in range(0, size, 4))


def test_a_tail_that_somebody_made_takes_no_longer_than_its_length() -> None:
    disk = empty_disk()
    path, ends = journal_of_three(disk)
    took = list[float]()
    for size in (1 << 14, 1 << 17):
        hurt = disk.fork()
        hurt.write(path, ends[-1], crafted(size))
        start = time.process_time()
        with pytest.raises(Tampered, match="journal record 3"):
            make_ring(hurt).open()
        took.append(time.process_time() - start)
    assert took[1] < 5
    assert took[1] < 40 * max(took[0], 0.01), "eight times the length"


@given(st.integers(1, 1 << 12), st.randoms(use_true_random=False))
def test_what_a_crash_leaves_is_never_taken_for_tampered(size: int, chance: random.Random) -> None:
    """A torn record is its own beginning, and zeros or random bytes after that."""
    disk = empty_disk()
    path, ends = journal_of_three(disk)
    torn = bytes(disk.read(path))[ends[0] : ends[1]][: chance.randrange(1, 60)]
    disk.write(path, ends[-1], torn + chance.choice([bytes(size), chance.randbytes(size)]))
    assert reopened(disk).slot_count == 3


class Counted(FileAnchor):
    """Counts how often it is asked for its shares."""

    asked = 0

    def shares(self) -> dict[Epoch, Secret]:
        self.asked += 1
        return super().shares()


def test_an_anchor_is_asked_a_few_times_in_an_act_and_anew_in_the_next() -> None:
    disk = empty_disk()
    new_ring(disk, 2)
    anchor = Counted(disk, ANCHOR, VAULT)
    ring = Ring(disk, RING, Roots(VAULT, [[anchor]]))
    ring.open()
    assert anchor.asked <= 4
    anchor.asked = 0
    ring.destroy([Slot(0)], b"")
    assert anchor.asked <= 10, "asked anew after each write, by itself as well"
    share = disk.read(ANCHOR)
    disk.delete(ANCHOR)
    with pytest.raises(AnchorFailure, match="missing"):
        ring.open()
    disk.write(ANCHOR, 0, share)
    ring.open()
    assert ring.is_live(Slot(1))


def test_an_anchor_that_changes_while_a_state_is_written_is_seen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Another process has the share of a later epoch there: nothing may be wiped."""
    disk = empty_disk()
    ring = new_ring(disk, 2)
    write = States.write

    def meanwhile(self: States, *rest: Any) -> None:  # noqa: ANN401 - passed on as it came
        FileAnchor(disk, ANCHOR, VAULT).write(Epoch(9), random_secret())
        write(self, *rest)

    monkeypatch.setattr(States, "write", meanwhile)
    with pytest.raises(StateUnknown, match="anchor changed"):
        ring.destroy([Slot(0)], b"")
    assert set(FileAnchor(disk, ANCHOR, VAULT).shares()) == {1, 9}


# Any order of acts, against a model


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
