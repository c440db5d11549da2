"""The live tree on disk: equal to the definitions after any history, and never wrong, only stale.

A caller is played by `caught_up`: it opens the tree, takes in what the log has more, and upon
`Stale` makes it anew. Most tests use tiles of four nodes, so that a few slots make many levels; the
control at the end shows that without the check of each tile the crash table finds wrong roots.
"""

import contextlib
import random
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys import live, livetree
from keys.durable import Disk, RealDisk
from keys.errors import StateUnknown
from keys.live import verify_change
from keys.livetree import LiveTree, Stale
from keys.merkle import HASH_SIZE
from keys.model import Commitment, Slot
from tests.world.disk import Crash, Medium, SimulatedDisk, When

DIRECTORY = Path("/base/live")
Tree = Callable[[Disk, Path], LiveTree]
Act = tuple[list[tuple[Slot, Commitment]], list[Slot]]
"""What one entry of the log does: slots created, slots emptied."""


def commitment(slot: int) -> Commitment:
    return Commitment((slot + 1).to_bytes(32))


def created(slots: range) -> list[tuple[Slot, Commitment]]:
    return [(Slot(slot), commitment(slot)) for slot in slots]


def chosen(*slots: int) -> dict[Slot, Commitment]:
    return {Slot(slot): commitment(slot) for slot in slots}


@dataclass
class Entries:
    """What the log says, and what follows from it: the model."""

    acts: list[Act] = field(default_factory=list)

    def leaves(self, position: int | None = None) -> dict[Slot, Commitment | None]:
        """Every slot up to a position: live under its commitment, or empty."""
        leaves: dict[Slot, Commitment | None] = {}
        for fresh, dead in self.acts[:position]:
            leaves |= dict(fresh) | dict.fromkeys(dead)
        return leaves

    def living(self) -> dict[Slot, Commitment]:
        return {slot: c for slot, c in self.leaves().items() if c is not None}

    @property
    def size(self) -> int:
        return 1 + max(self.leaves(), default=-1)

    def root(self, dead: Mapping[Slot, Commitment] | None = None) -> bytes:
        rest: dict[int, Commitment] = {
            slot: c for slot, c in self.living().items() if slot not in (dead or {})
        }
        return live.root(self.size, rest)

    def rest(self, position: int) -> Act:
        """What the acts after a position come to."""
        acts = self.acts[position:]
        return [it for fresh, _ in acts for it in fresh], [it for _, dead in acts for it in dead]


def caught_up(
    disk: Disk, directory: Path, entries: Entries, make: Tree = LiveTree
) -> tuple[LiveTree, bool]:
    """Returns the tree as a caller brings it up to date, and whether it had to be made anew."""
    tree = make(disk, directory)
    try:
        tree.open()
        tree.apply(*entries.rest(tree.position), len(entries.acts))
    except Stale:
        tree.rebuild(entries.leaves().items(), len(entries.acts))
        return tree, True
    return tree, False


def check(tree: LiveTree, entries: Entries, erased: Mapping[Slot, Commitment]) -> None:
    """A tree that is up to date has the root of the definitions, and shows this change."""
    assert (tree.size, tree.position) == (entries.size, len(entries.acts))
    assert tree.root == entries.root(), "another root than that of the definitions"
    if erased:
        change = tree.change(erased)
        assert (change.size, change.before) == (tree.size, tree.root)
        assert change.after == entries.root(erased)
        claim: dict[int, Commitment] = dict(erased.items())
        verify_change(change.size, claim, change.siblings, change.before, change.after)


@pytest.fixture
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    shrink(monkeypatch)


def shrink(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(livetree, "TILE_LEVELS", 2)
    monkeypatch.setattr(livetree, "TILE_WIDTH", 4)
    monkeypatch.setattr(livetree, "_TILE_SIZE", 4 * HASH_SIZE)


# Against the definitions


@st.composite
def histories(draw: st.DrawFn) -> Entries:
    """Acts that create up to 30 slots, at times with a gap before them, and empty others."""
    entries = Entries()
    for _ in range(draw(st.integers(1, 6))):
        start = entries.size + draw(st.sampled_from([0, 0, 0, 1, 9]))
        fresh = created(range(start, start + draw(st.integers(0, 30))))
        there = [*entries.living(), *dict(fresh)]
        dead = draw(st.lists(st.sampled_from(there), unique=True)) if there else []
        entries.acts.append((fresh, dead))
    return entries


@pytest.mark.parametrize("tiles", ["small", "real"])
@given(entries=histories(), data=st.data())
def test_every_history_leads_to_the_root_of_the_definitions(
    tiles: str, entries: Entries, data: st.DataObject
) -> None:
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as name:
        if tiles == "small":
            shrink(patch)
        tree, past = LiveTree(RealDisk(), Path(name)), Entries()
        tree.rebuild([], 0)
        for act in entries.acts:
            past.acts.append(act)
            if data.draw(st.booleans()):
                tree.open()
            tree.apply(*act, len(past.acts))
            living = past.living()
            some = data.draw(st.sets(st.sampled_from(sorted(living)))) if living else set()
            check(tree, past, {slot: living[slot] for slot in some})
        other = LiveTree(RealDisk(), Path(name) / "other")
        other.rebuild(reversed(past.leaves().items()), len(past.acts))
        check(other, past, past.living())
        found = [(Path(name) / level).read_bytes() for level in stored(tree)]
        assert found == [(Path(name) / "other" / level).read_bytes() for level in stored(tree)]


def stored(tree: LiveTree) -> list[str]:
    return [f"level-{level:02}" for level in livetree._stored_levels(tree.size)]


@pytest.mark.parametrize("edge", [256, 65_536])
def test_a_level_is_added_when_the_tiles_are_full(tmp_path: Path, edge: int) -> None:
    tree = LiveTree(RealDisk(), tmp_path)
    tree.rebuild(created(range(edge - 2)), 0)
    for size in range(edge - 1, edge + 3):
        tree.apply(created(range(size - 1, size)), [], size)
        assert tree.root == live.root(size, dict(created(range(size))))
    tree.open()
    change = tree.change(chosen(0, edge - 1, edge, edge + 1))
    tree.apply([], [Slot(slot) for slot in (0, edge - 1, edge, edge + 1)], edge + 3)
    assert tree.root == change.after
    tree.open()
    with pytest.raises(Stale, match="does not hold these slots"):
        tree.change(chosen(0))
    assert tree.change(chosen(1)).before == change.after


def test_a_batch_leaves_what_single_changes_leave(tmp_path: Path) -> None:
    slots = [Slot(n) for n in random.Random(5).sample(range(3000), 400)]
    one, many = (LiveTree(RealDisk(), tmp_path / name) for name in ("one", "many"))
    for tree in (one, many):
        tree.rebuild(created(range(3000)), 0)
    for n, slot in enumerate(slots, 1):
        one.apply([], [slot], n)
    change = many.change(chosen(*slots))
    many.apply([], slots, len(slots))
    assert one.root == many.root == change.after
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "many" / path.name).read_bytes()


def test_one_change_costs_about_the_same_in_a_large_tree(tmp_path: Path) -> None:
    class Counting(RealDisk):
        operations = written = 0

        def write(self, path: Path, offset: int, data: bytes | bytearray | memoryview) -> None:
            self.operations += 1
            self.written += len(data)
            super().write(path, offset, data)

        def sync(self, path: Path) -> None:
            raise AssertionError(path)

    for size, writes in ((200, 2), (1000, 3), (70_000, 4)):
        disk = Counting()
        tree = LiveTree(disk, tmp_path / str(size))
        tree.rebuild(created(range(size)), 0)
        disk.operations = disk.written = 0
        tree.apply([], [Slot(size // 2)], 1)
        assert (disk.operations, disk.written) == (writes, 96 + 32 * (writes - 1))


# What it refuses


def test_it_goes_only_forward(tmp_path: Path) -> None:
    tree = LiveTree(RealDisk(), tmp_path)
    tree.rebuild(created(range(3)), 7)
    tree.apply([], [Slot(1)], 7)
    tree.apply([], [Slot(1)], 7)  # the same again, as after a crash
    with pytest.raises(Stale, match="knows 7 log entries, the log has 6"):
        tree.apply([], [], 6)


def test_what_was_never_created_is_not_emptied_or_proved(tmp_path: Path) -> None:
    tree = LiveTree(RealDisk(), tmp_path)
    tree.rebuild(created(range(3)), 0)
    for slot in (-1, 3):
        with pytest.raises(ValueError, match="are not all below 3"):
            tree.apply([], [Slot(slot)], 1)
        with pytest.raises(ValueError, match="expected distinct slots"):
            tree.prove([Slot(slot)])
    with pytest.raises(ValueError, match="expected distinct slots"):
        tree.prove([Slot(1), Slot(1)])
    assert tree.position == 0


def test_no_change_is_shown_of_a_slot_with_another_commitment_or_none(tmp_path: Path) -> None:
    tree = LiveTree(RealDisk(), tmp_path)
    tree.rebuild([*created(range(3)), (Slot(3), None)], 0)
    for erased in ({Slot(1): commitment(2)}, chosen(1, 3)):
        with pytest.raises(Stale, match="under these commitments"):
            tree.change(erased)
    with pytest.raises(Stale, match="covers 4 slots, and not slot 4"):
        tree.change(chosen(1, 4))


def test_it_must_be_opened_first_and_again_after_a_failure(tmp_path: Path) -> None:
    class Failing(RealDisk):
        fails = False

        def write(self, path: Path, offset: int, data: bytes | bytearray | memoryview) -> None:
            if self.fails:
                raise KeyboardInterrupt
            super().write(path, offset, data)

    disk = Failing()
    tree = LiveTree(disk, tmp_path)
    with pytest.raises(Stale, match="no live tree yet"):
        tree.open()
    acts: list[Callable[[], object]] = [
        lambda: tree.apply([], [Slot(0)], 1),
        lambda: tree.prove([Slot(0)]),
        lambda: tree.change(chosen(0)),
    ]
    for act in acts:
        with pytest.raises(StateUnknown, match="not open"):
            act()
    tree.rebuild(created(range(3)), 0)
    disk.fails = True
    with pytest.raises(KeyboardInterrupt):
        tree.apply([], [Slot(0)], 1)
    for act in acts:
        with pytest.raises(StateUnknown, match="not open"):
            act()
    disk.fails = False
    tree.open()
    tree.apply([], [Slot(0)], 1)


# Damage


@pytest.mark.usefixtures("small_tiles")
def test_no_damaged_byte_leads_to_a_wrong_root_or_proof(tmp_path: Path) -> None:
    """Bytes of every hash in turn; each is found by whoever needs it, and all by someone."""
    entries = Entries([(created(range(22)), [Slot(2)])])  # an even number: each leaf is a sibling
    tree, _ = caught_up(RealDisk(), tmp_path, entries)
    for path in sorted(tmp_path.iterdir()):
        data = path.read_bytes()
        for at in range(0, len(data), 5):
            path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
            assert finds(tmp_path, entries, tree.root), f"byte {at} of {path.name}"
        for length in (0, len(data) - 1, len(data) - HASH_SIZE):
            path.write_bytes(data[:length])
            assert finds(tmp_path, entries, tree.root), f"{path.name} cut to {length}"
        path.unlink()
        assert finds(tmp_path, entries, tree.root), f"without {path.name}"
        path.write_bytes(data)
    assert not finds(tmp_path, entries, tree.root)


def finds(directory: Path, entries: Entries, root: bytes) -> int:
    """Counts the slots whose change is refused as stale; every other one must be right."""
    count = 0
    for slot, value in entries.living().items():
        tree = LiveTree(RealDisk(), directory)
        try:
            tree.open()
            change = tree.change({slot: value})
        except Stale:
            count += 1
        else:
            assert change.before == root
            verify_change(change.size, {slot: value}, change.siblings, change.before, change.after)
    return count


# Crashes


ACTS: list[Act] = [
    (created(range(3)), []),
    (created(range(3, 6)), []),  # a second stored level, with tiles of four
    ([], [Slot(1)]),
    (created(range(6, 8)), [Slot(6)]),
    (created(range(8, 16)), []),
    (created(range(16, 18)), []),  # a third
    ([], [Slot(0), Slot(5), Slot(17)]),
]


def empty_disk() -> SimulatedDisk:
    return SimulatedDisk(Medium(frozenset({*DIRECTORY.parents})))


def played(flush: bool, make: Tree) -> Iterator[tuple[SimulatedDisk, Entries]]:
    """Yields the disk at each moment of a history, with what the log has then.

    With `flush` the system writes everything out before each act, so that all subsets of what one
    act wrote can be tried; without, nothing is ever written out and the subsets are drawn.
    """
    moments: list[tuple[SimulatedDisk, Entries]] = []
    disk, entries = empty_disk(), Entries()
    disk.watch = lambda d, *_: moments.append((d.fork(), Entries(list(entries.acts))))
    for act in ACTS:
        if flush:
            disk.durable, disk.unsynced = disk.cached, ()
        entries.acts.append(act)
        caught_up(disk, DIRECTORY, entries, make)
    yield from moments


def crash_table(flush: bool, most: int, make: Tree = LiveTree) -> tuple[int, int]:
    """Opens the tree on every medium that a crash may leave; returns how many, and how many stale.

    Whatever was found, what is done next must be right.
    """
    states = stale = 0
    seen = set()
    for disk, entries in played(flush, make):
        assert disk.is_exhaustive(most) or not flush
        killed = disk.cached.pruned()  # the end of the process alone
        for medium in (killed, *disk.survivors(most, seed=states)):
            key = (len(entries.acts), tuple(sorted(medium.files().items())))
            if key in seen:
                continue
            seen.add(key)
            states += 1
            stale += opens(medium, entries, make)
    return states, stale


def opens(medium: Medium, entries: Entries, make: Tree) -> bool:
    """Shows changes, creates or empties next, each afresh; tells whether any was made anew."""
    fresh = created(range(entries.size, entries.size + 2))
    acts: list[Act] = [(fresh, []), ([], [Slot(entries.size - 1)])]
    later = [Entries([*entries.acts, act]) for act in acts]
    was_rebuilt = False
    for each in (entries, *later):
        tree, is_new = caught_up(SimulatedDisk(medium), DIRECTORY, each, make)
        assert tree.root == each.root(), "another root than that of the definitions"
        was_rebuilt |= is_new
        for slot, value in list(each.living().items())[::3]:
            try:
                check(tree, each, {slot: value})
            except Stale:
                tree.rebuild(each.leaves().items(), len(each.acts))
                was_rebuilt = True
                check(tree, each, {slot: value})
    return was_rebuilt


@pytest.mark.usefixtures("small_tiles")
@pytest.mark.parametrize(("flush", "most"), [(True, 1024), (False, 24)])
def test_after_a_crash_at_any_moment_it_is_right_or_made_anew(flush: bool, most: int) -> None:
    states, stale = crash_table(flush, most)
    print(f"flush {flush}: {states} states, of which {stale} were made anew")
    assert states > 100
    assert 0 < stale < states


@pytest.mark.usefixtures("small_tiles")
def test_a_crash_while_it_is_made_anew() -> None:
    entries = Entries([(created(range(18)), [Slot(4)])])
    disk = empty_disk()
    caught_up(disk, DIRECTORY, entries)
    for operation, when in product(range(1, disk.operations + 1), When):
        disk = empty_disk()
        disk.crash_at = operation, when
        with contextlib.suppress(Crash):  # an operation of one step has no middle
            caught_up(disk, DIRECTORY, entries)
        for medium in disk.survivors(64):
            opens(medium, entries, LiveTree)


class Trusting(LiveTree):
    """The control: takes every tile as it lies on the disk."""

    def _tile(self, level: int, number: int) -> list[bytearray]:
        if (level, number) not in self._tiles:
            lacking = livetree._width(self.size, level) - 4 * number
            row = self._read_row(level, number).ljust(HASH_SIZE * min(4, lacking), b"\0")
            self._tiles[level, number] = livetree._tile(row, level)
        return self._tiles[level, number]


@pytest.mark.usefixtures("small_tiles")
def test_without_the_check_of_each_tile_the_crash_table_finds_a_wrong_root() -> None:
    with pytest.raises(AssertionError, match="another root than"):
        crash_table(True, 1024, Trusting)  # noqa: FBT003
