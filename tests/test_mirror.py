"""Mirrors: whatever the vault's disk loses at whichever moment, ring and log are in the mirror.

At each moment of a few scenarios the machine loses power and the vault's own directory with it: the
mirror then opens, has every slot that was acknowledged, and nothing that was acknowledged as gone.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from keys.anchor.file import FileAnchor
from keys.durable import Disk, replace_file
from keys.errors import AnchorFailure, Erased, KeysError, Tampered
from keys.mirror import MirroredDisk
from keys.model import Slot
from keys.ring import Ring
from keys.root import Roots
from pipeline import anchoring, write
from pipeline.errors import NotFound, Refused
from pipeline.mirrors import add_mirror, remove_mirror
from pipeline.session import acting
from pipeline.vault import Vault
from tests.household import (
    assert_whole,
    clock,
    forget,
    make,
    parts_of,
    real_files,
    reopen,
    say,
)
from tests.world.crash import ANCHOR, BASE, RING, VAULT, Checker, World
from tests.world.disk import SimulatedDisk

HERE, MIRROR = BASE / "vault", BASE / "mirror"


def ring_in(disk: Disk, directory: Path) -> Ring:
    return Ring(disk, directory, Roots(VAULT, [[FileAnchor(disk, ANCHOR, VAULT)]]))


class MirroredWorld(World):
    """A world whose ring is mirrored from its creation on."""

    def __init__(self, mirrored: type[MirroredDisk] = MirroredDisk) -> None:
        self._kind = mirrored
        super().__init__(self._ring)

    def _ring(self, disk: Disk) -> Ring:
        self.mirrored = self._kind(disk, HERE, [])
        return ring_in(self.mirrored, RING)

    def create(self) -> None:
        super().create()
        replace_file(self.disk, HERE / "vault.json", b"{}")
        self.mirrored.add(MIRROR)
        self.moments.clear()


def destroy_one(world: World) -> None:
    slots = world.allocate(3)
    world.destroy(slots[1])


def destroy_twice(world: World) -> None:
    slots = world.allocate(3)
    world.destroy(slots[1])
    world.allocate(2)
    world.destroy(slots[0])
    world.allocate(1)


def lost(world: World) -> list[str]:
    """Says what the mirror lacks or revives, with the vault's disk gone at each moment."""
    found, states = list[str](), 0
    for disk, known in world.moments:
        for medium in disk.survivors(256):
            states += 1
            left = SimulatedDisk(medium, disk.history)
            ring = ring_in(left, MIRROR / "ring")
            try:
                ring.open()
            except KeysError as error:
                found.append(f"does not open: {error}")
                continue
            found += [f"lost {s}" for s, key in known.live.items() if _key(ring, s) != key]
            found += [f"revived {s}" for s in known.dead if ring.is_live(s)]
    assert states > 100
    return found


def _key(ring: Ring, slot: Slot) -> bytes | None:
    return bytes(ring.key(slot)) if ring.is_live(slot) else None


@pytest.mark.parametrize("scenario", [destroy_one, destroy_twice])
def test_the_mirror_opens_at_every_moment_with_all_that_was_acknowledged(
    scenario: Callable[[World], None],
) -> None:
    world = MirroredWorld()
    world.create()
    scenario(world)
    assert not lost(world)


class CarriedLater(MirroredDisk):
    """The control: a mirror that is brought up to date after each act, not within it."""

    def sync(self, path: Path) -> None:
        self._disk.sync(path)


def test_a_mirror_that_is_carried_later_is_found_out() -> None:
    world = MirroredWorld(CarriedLater)
    world.create()
    destroy_one(world)
    assert any(row.startswith(("does not open", "lost")) for row in lost(world))


def test_no_crash_of_the_mirrored_ring_loses_or_revives() -> None:
    world = MirroredWorld()
    world.create()
    destroy_one(world)

    def make(disk: Disk) -> Ring:
        return ring_in(MirroredDisk(disk, HERE, [MIRROR]), RING)

    checker = Checker(make, most=64, deep=0)
    checker.check(world.moments)
    assert not checker.found, checker.notes
    assert checker.counts["states"] > 50


def lost_once_it_recovered(world: World) -> list[str]:
    """Says what the mirror lacks when the vault was opened again after a crash, and then dies."""
    found, states = list[str](), 0
    for disk, known in world.moments:
        for medium in disk.survivors(32):
            left = SimulatedDisk(medium, disk.history)
            mirrored = MirroredDisk(left, HERE, [MIRROR])
            ring_in(mirrored, RING).open()
            mirrored.catch_up()
            assert mirrored.kept == {MIRROR}
            ring = ring_in(left, MIRROR / "ring")
            ring.open()
            states += 1
            found += [f"lost {s}" for s, key in known.live.items() if _key(ring, s) != key]
    assert states > 100
    return found


@pytest.mark.parametrize("scenario", [destroy_one, destroy_twice])
def test_a_rotation_that_was_cut_off_and_made_anew_is_in_the_mirror_with_its_pages(
    scenario: Callable[[World], None],
) -> None:
    """Its state has the number of the one that the mirror got of the first attempt."""
    world = MirroredWorld()
    world.create()
    scenario(world)
    assert not lost_once_it_recovered(world)


# On the real disk, with a whole vault


def mirrored_vault(base: Path) -> tuple[Vault, Path]:
    vault, mirror = make(base), base / "mirror"
    with acting(vault, clock):
        add_mirror(vault, mirror, base / "anchors")
    return vault, mirror


def lose_the_disk(base: Path, backup: Path, mirror: Path) -> None:
    """The vault is gone; its old backup is put back, with ring and log of the mirror."""
    shutil.rmtree(base / "vault")
    shutil.copytree(backup, base / "vault")
    for part in ("ring", "log"):
        shutil.rmtree(base / "vault" / part)
        shutil.copytree(mirror / part, base / "vault" / part)


def test_the_disk_dies_and_all_that_was_backed_up_opens(tmp_path: Path) -> None:
    vault, mirror = mirrored_vault(tmp_path)
    first, second = say(vault, "first", "second")
    shutil.copytree(vault.directory, tmp_path / "backup")
    forget(vault, second)
    say(vault, "not in the backup")
    lose_the_disk(tmp_path, tmp_path / "backup", mirror)
    again = reopen(tmp_path)
    with acting(again, clock):
        assert_whole(again, first, "first")
        with pytest.raises(Erased):
            again.read(second, "transcript")
    (new,) = say(again, "after the disk died")
    assert_whole(again, new, "after the disk died")


def test_without_the_mirror_the_backup_is_dead(tmp_path: Path) -> None:
    """The control: after one erasure the ring of the backup opens for nobody."""
    vault, _ = mirrored_vault(tmp_path)
    first, second = say(vault, "first", "second")
    shutil.copytree(vault.directory, tmp_path / "backup")
    forget(vault, second)
    shutil.rmtree(vault.directory)
    shutil.copytree(tmp_path / "backup", vault.directory)
    with pytest.raises(AnchorFailure), acting(reopen(tmp_path), clock):
        pass
    assert first != second


def test_an_old_copy_is_not_carried_over_the_mirror(tmp_path: Path) -> None:
    vault, mirror = mirrored_vault(tmp_path)
    say(vault, "first")
    shutil.copytree(vault.directory, tmp_path / "backup")
    say(vault, "second")
    before = real_files(mirror)
    shutil.rmtree(vault.directory)
    shutil.copytree(tmp_path / "backup", vault.directory)
    with pytest.raises(Tampered, match="an old copy was put back"), acting(reopen(tmp_path), clock):
        pass
    assert real_files(mirror) == before


@pytest.mark.parametrize("acts", [0, 1, 2])
def test_a_mirror_that_was_away_is_brought_up_to_date(tmp_path: Path, acts: int) -> None:
    vault, mirror = mirrored_vault(tmp_path)
    (first, *others) = say(vault, *(f"number {n}" for n in range(4)))
    mirror.rename(tmp_path / "pocket")
    say(vault, "while it was away")
    for other in others[:acts]:
        forget(vault, other)
    assert not mirror.exists()
    (tmp_path / "pocket").rename(mirror)
    with acting(vault, clock):
        assert mirror in vault.disk.kept
    for part in ("ring", "log"):
        here, there = real_files(vault.directory / part), real_files(mirror / part)
        assert [*here.values()] == [*there.values()], part
    assert first


def test_a_mirror_that_fails_in_the_middle_stops_no_act(tmp_path: Path) -> None:
    vault, mirror = mirrored_vault(tmp_path)
    (first,) = say(vault, "first")
    with acting(vault, clock):
        shutil.rmtree(mirror / "ring")
        write.create(vault, parts_of("second"))
        assert mirror not in vault.disk.kept
    forget(vault, first)
    with acting(vault, clock):
        assert mirror in vault.disk.kept
    assert [*real_files(vault.directory / "ring").values()] == [
        *real_files(mirror / "ring").values()
    ]


def test_what_is_no_place_for_a_mirror_is_refused(tmp_path: Path) -> None:
    vault, mirror = mirrored_vault(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("not ours")
    for place in (vault.directory / "m", tmp_path / "anchors" / "m", tmp_path / "full", mirror):
        with pytest.raises(Refused), acting(vault, clock):
            add_mirror(vault, place, tmp_path / "anchors")


def test_a_mirror_that_is_removed_gets_nothing_more(tmp_path: Path) -> None:
    vault, mirror = mirrored_vault(tmp_path)
    with acting(vault, clock):
        remove_mirror(vault, mirror)
    before = real_files(mirror)
    say(reopen(tmp_path), "after that")
    assert real_files(mirror) == before
    with pytest.raises(NotFound), acting(vault, clock):
        remove_mirror(vault, mirror)


def test_a_mirror_of_another_vault_is_left_alone(tmp_path: Path) -> None:
    """It may be all that is left of that vault, whose log may be shorter than this one's."""
    other, mirror = mirrored_vault(tmp_path / "other")
    say(other, "of the other vault")
    before, vault = real_files(mirror), make(tmp_path)
    for _ in range(2):  # shorter, then longer than the other
        with pytest.raises(Refused, match="another vault"), acting(vault, clock):
            add_mirror(vault, mirror, tmp_path / "anchors")
        say(vault, "first", "second", "third")
    assert real_files(mirror) == before


def test_a_mirror_of_another_vault_in_the_place_of_ours_is_not_ours(tmp_path: Path) -> None:
    other, theirs = mirrored_vault(tmp_path / "other")
    say(other, "of the other vault")
    vault, mirror = mirrored_vault(tmp_path)
    mirror.rename(tmp_path / "drawer")
    theirs.rename(mirror)
    before = real_files(mirror)
    say(vault, "first", "second", "third")
    assert real_files(mirror) == before
    assert not vault.disk.kept


def test_a_copy_that_went_on_is_not_carried_over_what_the_mirror_alone_has(tmp_path: Path) -> None:
    """As above, but the old copy was used while the mirror was away, and its log is longer now."""
    vault, mirror = mirrored_vault(tmp_path)
    say(vault, "first")
    shutil.copytree(vault.directory, tmp_path / "backup")
    say(vault, "second")
    before = real_files(mirror)
    shutil.rmtree(vault.directory)
    shutil.copytree(tmp_path / "backup", vault.directory)
    mirror.rename(tmp_path / "drawer")
    say(reopen(tmp_path), "third", "fourth", "fifth")
    (tmp_path / "drawer").rename(mirror)
    with pytest.raises(Tampered, match="different ways"), acting(reopen(tmp_path), clock):
        pass
    assert real_files(mirror) == before


@pytest.mark.parametrize("torn", [b"", b"\0" * 400, b"\0" * 40 + b"rest of a line\n17 begi"])
def test_what_a_power_cut_tore_in_a_mirror_is_made_good(tmp_path: Path, torn: bytes) -> None:
    vault, mirror = mirrored_vault(tmp_path)
    say(vault, "first")
    whole = (mirror / "log" / "entries").read_bytes()
    say(vault, "second")
    later = (mirror / "log" / "entries").read_bytes()
    (mirror / "log" / "entries").write_bytes((whole + torn)[: len(later)])
    with acting(vault, clock):
        assert mirror in vault.disk.kept
    assert (mirror / "log" / "entries").read_bytes() == later


def test_a_mirror_that_was_away_learns_of_the_anchors_too(tmp_path: Path) -> None:
    """Without them the ring in it opens for nobody once the disk with the first one is dead."""
    vault, mirror = mirrored_vault(tmp_path)
    mirror.rename(tmp_path / "drawer")
    with acting(vault, clock):
        anchoring.add(vault, f"file:{tmp_path / 'stick'}")
    (tmp_path / "drawer").rename(mirror)
    (first,) = say(vault, "first")
    shutil.copytree(vault.sealed, tmp_path / "sealed")
    for lost in (vault.directory, tmp_path / "anchors"):
        shutil.rmtree(lost)
    shutil.copytree(mirror, vault.directory)
    shutil.copytree(tmp_path / "sealed", vault.sealed)
    again = reopen(tmp_path)
    with acting(again, clock):
        assert_whole(again, first, "first")


def test_a_mirror_whose_beginning_was_cut_off_is_begun_again(tmp_path: Path) -> None:
    vault, mirror = make(tmp_path), tmp_path / "mirror"
    (mirror / "ring").mkdir(parents=True)
    (mirror / "vault.json.new").write_bytes(b"{")
    with acting(vault, clock):
        add_mirror(vault, mirror, tmp_path / "anchors")
    assert {it.name for it in mirror.iterdir()} == {"ring", "log", "vault.json"}


def test_of_two_mirrors_one_ahead_neither_gets_anything(tmp_path: Path) -> None:
    """This process goes on: what it had compared before it may have changed since."""
    vault, mirror = mirrored_vault(tmp_path)
    with acting(vault, clock):
        add_mirror(vault, tmp_path / "second", tmp_path / "anchors")
    say(vault, "first")
    shutil.copytree(vault.directory, tmp_path / "backup")
    say(vault, "second")
    shutil.rmtree(vault.directory)
    shutil.copytree(tmp_path / "backup", vault.directory)
    before = real_files(mirror), real_files(tmp_path / "second")
    for _ in range(2):
        with pytest.raises(Tampered), acting(vault, clock):
            pass
        assert not vault.disk.kept
    assert before == (real_files(mirror), real_files(tmp_path / "second"))


def test_recovery_changes_no_mirror_before_it_was_compared(tmp_path: Path) -> None:
    """A process goes on, an old copy is put back under it, torn at its end, which recovery cuts."""
    vault, mirror = mirrored_vault(tmp_path)
    say(vault, "first")
    shutil.copytree(vault.directory, tmp_path / "backup")
    say(vault, "second", "third")
    (state,) = (tmp_path / "backup" / "ring").glob("state-*")
    state.write_bytes(state.read_bytes() + b"torn")
    shutil.rmtree(vault.directory)
    shutil.copytree(tmp_path / "backup", vault.directory)
    before = real_files(mirror)
    with pytest.raises(Tampered), acting(vault, clock):
        pass
    assert real_files(mirror) == before


def test_a_mirror_is_the_same_by_whichever_path(tmp_path: Path) -> None:
    vault, mirror = mirrored_vault(tmp_path)
    (tmp_path / "link").symlink_to(mirror)
    other_path = tmp_path / "vault" / ".." / "mirror"
    for place in (tmp_path / "link", other_path, mirror / "inside"):
        with pytest.raises(Refused), acting(vault, clock):
            add_mirror(vault, place, tmp_path / "anchors")
    with acting(vault, clock):
        remove_mirror(vault, other_path)
    assert not vault.disk.mirrors
