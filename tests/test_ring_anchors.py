"""The ring and its anchors: one that is missing, foreign, old or overwritten is named."""

from typing import Any

import pytest

from keys.anchor.file import FileAnchor
from keys.errors import (
    AnchorFailure,
    StateUnknown,
)
from keys.model import Epoch, Slot, VaultId
from keys.ring import Ring
from keys.root import Roots
from keys.secret import Secret, random_secret
from keys.statefile import States
from tests.rings import new_ring, reopened, state_of
from tests.world.crash import ANCHOR, RING, VAULT, empty_disk, make_ring

OTHER = VaultId(b"another vault id")


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
