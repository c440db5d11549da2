"""Damage to state, pages and journal of a ring is told from what a crash leaves."""

import random
import struct
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.errors import (
    AnchorFailure,
    Malformed,
    Tampered,
)
from keys.model import Slot
from keys.ring import Ring
from tests.rings import damage, new_ring, reopened, state_of
from tests.world.crash import ANCHOR, RING, empty_disk, make_ring
from tests.world.disk import SimulatedDisk


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
