"""An anchor of `A|B` that turns read-only: the vault goes on with the other way, pending."""

from pathlib import Path

import pytest

from keys.errors import StateUnknown
from keys.receipt import CONFIRMED, PENDING
from keys.root import Roots
from pipeline import anchoring
from pipeline.audit import audit
from pipeline.session import acting, create_vault, open_vault
from pipeline.vault import Vault
from tests.household import (
    HouseDisk,
    assert_whole,
    clock,
    forget,
    house_disk,
    no_passphrase,
    say,
)


class Protected(HouseDisk):
    """A simulated disk of which one folder can be read only, from some operation on."""

    folder: Path | None = None
    since = 0

    def _start(self, what: str, path: Path, steps: int = 1) -> None:
        if self.folder in path.parents and self.operations >= self.since:
            raise StateUnknown(f"could not {what} {path}: read-only")
        super()._start(what, path, steps)


class Desk:
    """A vault with two ways, of which the second is a stick."""

    def __init__(self, base: Path, spec: str = "file|file:{stick}") -> None:
        plain = house_disk(base)
        self.base, self.stick = base, base / "stick"
        self.disk = Protected(plain.cached, plain.history)
        spec = spec.format(stick=self.stick)
        made = create_vault(base / "vault", base / "here", spec, disk=self.disk)
        self.first, self.second, self.third = say(made, "first", "second", "third")
        (self.name,) = {it.name for it in made.ring.anchors} - {"file"}

    def vault(self) -> Vault:
        return open_vault(self.base / "vault", self.base / "here", no_passphrase, self.disk)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.mark.parametrize("folder", ["stick", "here"])
def test_the_vault_goes_on_with_the_other_way_and_what_is_erased_is_pending(
    desk: Desk, folder: str
) -> None:
    desk.disk.folder = desk.base / folder
    name = desk.name if folder == "stick" else "file"
    done = forget(desk.vault(), desk.first)
    assert done.statement.verdict == PENDING
    told = f"the way {name} to the root was away, cut off or read-only"
    assert [row for row in done.statement.residual if told in row]
    with acting(vault := desk.vault(), clock):
        (row,) = [it for it in anchoring.anchors(vault) if it.problem]
        assert (row.name, row.is_outstanding) == (name, True)
        assert_whole(vault, desk.second, "second")
        assert audit(vault).problems == []
        epoch = vault.ring.epoch
    (late,) = say(vault, "and it goes on")
    with acting(vault := desk.vault(), clock):
        assert vault.ring.epoch == epoch, "no act rotates in vain"
        assert_whole(vault, late, "and it goes on")
    desk.disk.folder = None
    with acting(vault := desk.vault(), clock):
        assert not vault.ring.outstanding
        assert not [it for it in anchoring.anchors(vault) if it.problem]
        assert audit(vault).confirmations == 1
    assert forget(vault, desk.second).statement.verdict == CONFIRMED


def test_where_no_other_way_is_left_it_stops(tmp_path: Path) -> None:
    desk = Desk(tmp_path, "file+file:{stick}")
    desk.disk.folder = desk.stick
    with pytest.raises(StateUnknown, match="read-only"):
        forget(desk.vault(), desk.first)
    desk.disk.folder = None
    with acting(vault := desk.vault(), clock):
        assert_whole(vault, desk.second, "second")


def test_it_may_turn_read_only_at_any_moment(tmp_path: Path) -> None:
    counts = dict.fromkeys((CONFIRMED, PENDING), 0)
    for number in range(0, 60, 2):
        base = tmp_path / str(number)
        base.mkdir()
        desk = Desk(base)
        desk.disk.folder, desk.disk.since = desk.stick, desk.disk.operations + number
        done = forget(desk.vault(), desk.first)
        counts[done.statement.verdict] += 1
        with acting(vault := desk.vault(), clock):
            assert_whole(vault, desk.second, "second")
            assert audit(vault).problems == []
            assert bool(vault.ring.outstanding) == (done.statement.verdict == PENDING)
        desk.disk.folder = None
        with acting(vault := desk.vault(), clock):
            assert not vault.ring.outstanding
            assert audit(vault).problems == []
    print(f"read-only from each moment on: {counts}")
    assert min(counts.values()) > 0


def test_control_without_passing_over_the_vault_stops(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def can(_: object, __: object, act: object) -> bool:
        act()  # type: ignore[operator]
        return True

    monkeypatch.setattr(Roots, "_can", can)
    desk.disk.folder = desk.stick
    with pytest.raises(StateUnknown):
        forget(desk.vault(), desk.first)
