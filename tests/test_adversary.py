"""Guarantee G1 on a real directory: everything ever written, and all secrets left, open nothing.

The control switches rotation off and must revive what was erased; a second one is given the old
share. Sealed files of the erased slots and of the living ones lie beside the ring.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from keys.anchor.file import FileAnchor
from keys.model import ArtefactId, InteractionId, Label, Slot, VaultId
from keys.ring import Ring
from keys.root import Roots
from keys.sealed import SMALL_CHUNK_LOG2, pad_steps, seal
from keys.secret import Secret
from tests.test_crash_controls import NoRotation
from tests.world.adversary import Adversary, RecordingDisk, shares_in, versions_in

VAULT = VaultId(b"v" * 16)
SLOTS = 6
ERASED = {Slot(1), Slot(4)}


class Home:
    """A ring and its anchor in a real directory, recorded and copied at every step."""

    def __init__(
        self, base: Path, roots: type[Roots] = Roots, passphrase: Secret | None = None
    ) -> None:
        self.base, self.ring_dir, self.anchor = base, base / "vault" / "ring", base / "a" / "share"
        (base / "vault").mkdir(parents=True)
        self.disk = RecordingDisk()
        anchors = [FileAnchor(self.disk, self.anchor, VAULT)]
        self.ring = Ring(self.disk, self.ring_dir, roots(VAULT, [anchors], passphrase))
        self.ring.create()
        self.backups: list[Path] = []

    def back_up(self) -> None:
        self.backups.append(self.base / f"backup-{len(self.backups)}")
        shutil.copytree(self.ring_dir, self.backups[-1])

    def versions(self) -> list[bytes]:
        copied = [data for copy in self.backups for data in versions_in(copy)]
        return copied + self.disk.versions(outside=self.anchor.parent)

    def shares(self) -> dict[str, set[bytes]]:
        return {"file": shares_in(self.anchor.read_bytes())}


def sealed_files(ring: Ring, slots: Sequence[Slot]) -> dict[str, bytes]:
    files = {}
    for slot in slots:
        ids = InteractionId(slot.to_bytes(16)), ArtefactId(slot.to_bytes(16))
        label = Label(VAULT, *ids, "meta", slot)
        with ring.key(slot) as key:
            content = b"content of no interest"
            _, files[str(slot)] = seal(
                key, label, slot.to_bytes(24), content, pad_steps, SMALL_CHUNK_LOG2
            )
    return files


def live_for_a_while(home: Home) -> dict[str, bytes]:
    slots = home.ring.allocate(SLOTS // 2)
    home.back_up()
    slots += home.ring.allocate(SLOTS - SLOTS // 2)
    files = sealed_files(home.ring, slots)
    home.back_up()
    for slot in sorted(ERASED):
        home.ring.destroy([slot], b"")
        home.back_up()
    home.ring.allocate(1)
    return files


@pytest.mark.parametrize("passphrase", [None, Secret(b"p" * 32)])
def test_all_versions_and_all_secrets_left_open_nothing_erased(
    tmp_path: Path, passphrase: Secret | None
) -> None:
    home = Home(tmp_path, passphrase=passphrase)
    files = live_for_a_while(home)
    adversary = Adversary(home.versions(), home.shares(), passphrase)
    live = {Slot(n) for n in range(SLOTS + 1)} - ERASED
    assert set(adversary.keys) == live
    assert adversary.opened(files) == {str(slot) for slot in live if slot < SLOTS}


def test_without_the_passphrase_nothing_opens_at_all(tmp_path: Path) -> None:
    home = Home(tmp_path, passphrase=Secret(b"p" * 32))
    files = live_for_a_while(home)
    assert not Adversary(home.versions(), home.shares()).opened(files)
    wrong = Adversary(home.versions(), home.shares(), Secret(b"q" * 32))
    assert not wrong.opened(files)


def test_without_rotation_everything_erased_is_revived(tmp_path: Path) -> None:
    home = Home(tmp_path, NoRotation)
    files = live_for_a_while(home)
    adversary = Adversary(home.versions(), home.shares())
    assert adversary.opened(files) == set(files)


def test_an_old_share_revives_what_its_epoch_held(tmp_path: Path) -> None:
    """The limit that is stated: an old image of the anchor's disk brings the erased back."""
    home = Home(tmp_path)
    home.ring.allocate(2)
    old = shares_in(home.anchor.read_bytes())
    files = sealed_files(home.ring, [Slot(0), Slot(1)])
    home.ring.destroy([Slot(0)], b"")
    assert Adversary(home.versions(), home.shares()).opened(files) == {"1"}
    assert Adversary(home.versions(), {"file": old}).opened(files) == {"0", "1"}


def test_shares_are_found_whatever_a_crash_left_of_their_record(tmp_path: Path) -> None:
    home = Home(tmp_path)
    whole = home.anchor.read_bytes()
    (share,) = shares_in(whole)
    for at in (0, 20, 35, 75, 100):  # magic, vault, epoch, checksum
        assert share in shares_in(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
    assert not shares_in(bytes(len(whole)))
