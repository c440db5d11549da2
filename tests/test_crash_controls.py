"""Broken commit protocols, each of which the crash table must catch.

The first eight are those that a symbolic check of the protocol named; the others are faults that
this table found in the ring and that were repaired. Each differs from production in one place.
A checker that never fails checks nothing.
"""

from collections.abc import Iterable
from pathlib import Path

import pytest

from keys.anchor import Anchor
from keys.anchor.file import FileAnchor
from keys.durable import replace_file
from keys.model import Epoch
from keys.pages import Head, Intent, Stanza
from keys.ring import Ring
from keys.root import FreshRoot, Roots, Way, held_by
from keys.secret import NONCE_ZERO, Secret, encrypt, random_secret
from tests.world.adversary import RecordingDisk
from tests.world.crash import ANCHOR, RING, VAULT, Checker, MakeRing, World, adversary_of, make_ring


class NoDirectorySync(RecordingDisk):
    def sync_dir(self, directory: Path) -> None:
        pass


class NoDataSync(RecordingDisk):
    def sync(self, path: Path) -> None:
        if path.parent != RING:
            super().sync(path)


class AnchorFirst(Ring):
    def _replace_state(self, intent: Intent) -> None:
        fresh = self._roots.fresh(Epoch(self.epoch + 1))
        top = self._next_top(intent)
        self._roots.commit(fresh)
        self._write_state(top, fresh)
        self._forget_state()
        self._recover()


class RenamedOver(FileAnchor):
    """Puts the new share there as careful programs replace a file, and so frees the old one."""

    def write(self, epoch: Epoch, share: Secret) -> None:
        scratch = FileAnchor(self._disk, self._path.with_name("scratch"), self._vault)
        scratch._make()
        for each, kept in (self.shares() if self._disk.size(self._path) else {}).items():
            FileAnchor.write(scratch, each, kept)
        FileAnchor.write(scratch, epoch, share)
        replace_file(self._disk, self._path, self._disk.read(scratch._path))
        self._disk.write(scratch._path, 0, bytes(2 * 4096))

    def wipe(self, keep: Epoch) -> None:
        if set(self.shares()) - {keep}:
            content = self._disk.read(self._path)
            view = memoryview(content)
            for start in (0, 4096):
                if self._is_stale(Secret(view[start : start + 4096]), keep):
                    view[start : start + 4096] = bytes(4096)
            replace_file(self._disk, self._path, content)


class SharesAreNotSynced(FileAnchor):
    """Writes and wipes reach the medium in any order: no barrier between them."""

    def write(self, epoch: Epoch, share: Secret) -> None:
        sync, self._disk = self._disk, _WithoutSync(self._disk)
        super().write(epoch, share)
        self._disk = sync


class WipesAreNotSynced(FileAnchor):
    def wipe(self, keep: Epoch) -> None:
        kept, self._disk = self._disk, _WithoutSync(self._disk)
        super().wipe(keep)
        self._disk = kept


class _WithoutSync(RecordingDisk):
    def sync(self, path: Path) -> None:
        pass


class AcknowledgedBeforeTheWipe(Ring):
    """Returns once the new share is there; the old one goes at the next opening."""

    def _replace_state(self, intent: Intent) -> None:
        fresh = self._roots.fresh(Epoch(self.epoch + 1))
        self._write_next(intent, fresh)
        for anchor, share in fresh.shares:
            anchor.write(fresh.head.epoch, share)

    def _write_next(self, intent: Intent, fresh: FreshRoot) -> None:
        top = self._next_top(intent)
        if top.pages:
            self._pages.sync()
        self._write_state(top, fresh)


class OldStateDeletedFirst(AcknowledgedBeforeTheWipe):
    def _replace_state(self, intent: Intent) -> None:
        fresh = self._roots.fresh(Epoch(self.epoch + 1))
        self._write_next(intent, fresh)
        self._states.delete([self.epoch])
        self._roots.commit(fresh)
        self._forget_state()
        self._recover()


class NoRotation(Roots):
    """Every epoch is sealed under the same root, kept by the same share."""

    _root_so_far: Secret

    def fresh_for(self, epoch: Epoch, ways: Iterable[Way]) -> FreshRoot:
        (way,) = ways
        (anchor,) = way
        share = (_shares_or_none(anchor) or [random_secret()])[0]
        root = random_secret() if epoch == 1 else self._root_so_far
        self._root_so_far = Secret(root)
        with self._wrapping_key(epoch, way, [share]) as key:
            wrapped = bytes(encrypt(key, NONCE_ZERO, root, self._context(epoch, way)))
        head = Head(self.vault, epoch, (Stanza(self.name_of(way), wrapped),))
        return FreshRoot(root, head, ((anchor, share),))

    def open(self, head: Head) -> Secret:
        self._root_so_far = Secret(root := super().open(head))
        return root


def _shares_or_none(anchor: Anchor) -> list[Secret]:
    return list((held_by(anchor) or {}).values())


class SyncedOnlyByTheWriter(FileAnchor):
    """Found by this table: recovery wiped the old share with the new one in the cache alone."""

    def settle(self) -> None:
        pass


class JournalSyncedOnlyByTheWriter(Ring):
    """Found by this table: a record became durable before the one that a killed process wrote."""

    def _recover(self) -> Intent | None:
        kept, self._states._disk = self._states._disk, _WithoutSync(self._states._disk)
        try:
            return super()._recover()
        finally:
            self._states._disk = kept


class DirectoryWithoutName(FileAnchor):
    """Found by this table: the anchor's new directory was not synced into its parent."""

    def _make(self) -> None:
        self._disk.make_dir(self._path.parent)
        self._disk.write(self._path, 0, bytes(2 * 4096))
        self._disk.sync(self._path)
        self._disk.sync_dir(self._path.parent)


class HalfMadeIsTakenForMade(FileAnchor):
    """Found by this table: a killed process left the file without a durable name."""

    def _make(self) -> None:
        if not self._disk.size(self._path):
            super()._make()


def _with_disk(wrapper: type[RecordingDisk]) -> MakeRing:
    return lambda disk: make_ring(wrapper(disk))


def _with_anchor(kind: type[FileAnchor]) -> MakeRing:
    return lambda disk: Ring(disk, RING, Roots(VAULT, [[kind(disk, ANCHOR, VAULT)]]))


def _with(ring: type[Ring] = Ring, roots: type[Roots] = Roots) -> MakeRing:
    return lambda disk: ring(disk, RING, roots(VAULT, [[FileAnchor(disk, ANCHOR, VAULT)]]))


BROKEN: dict[str, tuple[MakeRing, str]] = {
    "no directory sync": (_with_disk(NoDirectorySync), "lost"),
    "no data sync": (_with_disk(NoDataSync), "lost"),
    "anchor first": (_with(AnchorFirst), "lost"),
    "rename-over in place": (_with_anchor(RenamedOver), "undead"),
    "no anchor barrier, write": (_with_anchor(SharesAreNotSynced), "lost"),
    "no anchor barrier, wipe": (_with_anchor(WipesAreNotSynced), "undead"),
    "acknowledge before wipe": (_with(AcknowledgedBeforeTheWipe), "undead"),
    "delete old state before the swap": (_with(OldStateDeletedFirst), "lost"),
    "no rotation": (_with(roots=NoRotation), "undead"),
    "recovery trusts the cache": (_with_anchor(SyncedOnlyByTheWriter), "undead"),
    "recovery trusts the cached journal": (_with(JournalSyncedOnlyByTheWriter), "lost"),
    "directory without a durable name": (_with_anchor(DirectoryWithoutName), "lost"),
    "half made is taken for made": (_with_anchor(HalfMadeIsTakenForMade), "lost"),
}
# Only a recovery that is stopped in turn shows these.
STOPPED_TWICE = {
    "recovery trusts the cache",
    "recovery trusts the cached journal",
    "half made is taken for made",
}


def scenario(world: World) -> None:
    world.create()
    slots = world.allocate(2)
    world.destroy(slots[1])


@pytest.mark.parametrize("name", BROKEN)
def test_the_table_catches(name: str) -> None:
    make, kind = BROKEN[name]
    world = World(make)
    scenario(world)
    checker = Checker(make, most=64, deep=name in STOPPED_TWICE)
    for moment in world.moments:
        checker.check([moment])
        if checker.counts[kind]:
            break  # caught; the rest would only be counted
    print(f"\n{name}: {dict(sorted(checker.counts.items()))}")
    assert checker.counts[kind] > 0, checker.notes


def test_the_table_finds_nothing_in_the_protocol_as_it_is() -> None:
    world = World()
    scenario(world)
    checker = Checker(most=1 << 10, deep=0)
    checker.check(world.moments)
    assert not checker.found


@pytest.mark.parametrize(("roots", "revived"), [(NoRotation, True), (Roots, False)])
def test_only_without_rotation_the_erased_slot_is_revived(
    roots: type[Roots], revived: bool
) -> None:
    world = World(_with(roots=roots))
    scenario(world)
    ((slot, key),) = world.known.dead.items()
    found = adversary_of(world.disk, world.disk.durable).keys
    assert (key in found.get(slot, set())) is revived
    assert set(world.known.live) <= set(found)
