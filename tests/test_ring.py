"""What the ring promises to its caller, on a simulated disk: slots, keys, pages, two processes."""

from collections.abc import Callable

import pytest

from keys.errors import (
    Erased,
    KeysError,
    NoSuchSlot,
)
from keys.model import Slot
from keys.pages import FRAME_SIZE, SLOTS_PER_PAGE
from tests.rings import new_ring, reopened
from tests.world.crash import RING, empty_disk, make_ring

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
