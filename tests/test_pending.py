"""An erasure while one of two ways to the root is away: pending, truly so, and complete later.

The anchor that is away is a file in a directory that is renamed, as a stick that is pulled out.
"""

import shutil
from pathlib import Path

import pytest

from keys.model import Slot
from keys.receipt import PENDING, verify
from pipeline.erase import Erasure
from pipeline.session import acting, create_vault, open_vault
from pipeline.vault import Vault
from tests.household import assert_whole, clock, forget, no_passphrase, real_files, say, sealed_of
from tests.world.adversary import Adversary, shares_in


class Stick:
    """A vault whose second way to the root is an anchor on a stick, and an old backup of it."""

    def __init__(self, base: Path) -> None:
        self.base, self.here, self._there = base, base / "here", base / "stick"
        made = create_vault(base / "vault", self.here, f"file|file:{self._there}")
        (self.dead,) = say(made, "said before the stick was pulled out")
        self.sealed = sealed_of(made, self.dead)
        shutil.copytree(base / "vault", base / "backup")
        (self.name,) = {it.name for it in made.ring.anchors} - {"file"}

    def vault(self) -> Vault:
        return open_vault(self.base / "vault", self.here, no_passphrase)

    def pull_out(self) -> None:
        self._there.rename(self.base / "pocket")

    def put_in(self) -> None:
        (self.base / "pocket").rename(self._there)

    def opens_from_backup(self, *anchors: Path) -> bool:
        """Tells whether the backup opens with all that these directories hold now."""
        shares = {s for it in anchors for data in real_files(it).values() for s in shares_in(data)}
        files = [data for path in ("vault", "backup") for data in self._files(path)]
        thief = Adversary(files, {"file": shares, self.name: shares})
        return bool(thief.opened(self.sealed))

    def _files(self, name: str) -> list[bytes]:
        return list(real_files(self.base / name).values())


@pytest.fixture
def stick(tmp_path: Path) -> Stick:
    return Stick(tmp_path)


@pytest.fixture
def done(stick: Stick) -> Erasure:
    stick.pull_out()
    return forget(stick.vault(), stick.dead)


def test_with_a_way_away_the_receipt_is_pending_and_names_it(stick: Stick, done: Erasure) -> None:
    found = verify(done.receipt.read_bytes()).statement
    assert found.verdict == PENDING
    assert [row for row in found.residual if f"the way {stick.name} to the root" in row]
    assert [row.found for row in found.checks if f"not here: {stick.name}" in row.found]
    assert [it.level for it in found.anchors if it.anchor == stick.name] == ["-"]


def test_pending_is_no_word_too_many(stick: Stick, done: Erasure) -> None:
    """The control: until the stick has come back, it opens the backup. The anchor here does not."""
    assert done.statement.verdict == PENDING
    assert not stick.opens_from_backup(stick.here)
    assert stick.opens_from_backup(stick.base / "pocket")


def test_the_next_act_with_the_stick_completes_it(stick: Stick, done: Erasure) -> None:
    stick.put_in()
    vault = stick.vault()
    with acting(vault, clock):
        assert not vault.ring.outstanding
        assert not vault.ring.is_live(Slot(done.statement.erased[0].slots[0].slot))
    assert not stick.opens_from_backup(stick.here, stick.base / "stick")
    (new,) = say(vault, "said with both")
    shutil.rmtree(stick.here)
    again = stick.vault()
    with acting(again, clock):
        assert_whole(again, new, "said with both")


def test_an_act_without_the_stick_completes_nothing(stick: Stick, done: Erasure) -> None:
    vault = stick.vault()
    with acting(vault, clock):
        assert vault.ring.outstanding == {stick.name}
        assert done.statement.epoch_to == vault.ring.epoch
