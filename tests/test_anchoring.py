"""Anchors changed on a living vault: what then opens it, what no longer does, stopped anywhere."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from keys.anchor.file import FileAnchor
from keys.errors import AnchorFailure, StateUnknown
from keys.model import Epoch
from keys.receipt import PENDING
from keys.secret import Secret
from pipeline import anchoring
from pipeline.audit import audit
from pipeline.errors import NotFound, Refused
from pipeline.identity import read_identity, write_identity
from pipeline.mirrors import add_mirror
from pipeline.session import acting, create_vault, open_vault
from pipeline.vault import Vault
from tests.household import (
    HouseDisk,
    assert_whole,
    clock,
    forget,
    house_disk,
    make,
    no_passphrase,
    real_files,
    reopen,
    say,
    sealed_of,
    settled,
)
from tests.test_write_crash import Crashes, moments_of
from tests.world.adversary import Adversary, shares_in

Change = Callable[[Vault], None]


def changed(vault: Vault, change: Change) -> None:
    with acting(vault, clock):
        change(vault)


def opens(base: Path) -> bool:
    try:
        with acting(reopen(base), clock):
            return True
    except AnchorFailure:
        return False


def without(base: Path, *directories: Path) -> bool:
    """Tells whether the vault opens while these anchors are away."""
    for n, directory in enumerate(directories):
        directory.rename(base / f"away-{n}")
    found = opens(base)
    for n, directory in enumerate(directories):
        (base / f"away-{n}").rename(directory)
    return found


def test_a_way_that_was_added_opens_alone(tmp_path: Path) -> None:
    vault, stick = make(tmp_path), tmp_path / "stick"
    (first,) = say(vault, "first")
    changed(vault, lambda it: anchoring.add(it, f"file:{stick}"))
    assert vault.anchor == f"file|file:{stick}"
    assert without(tmp_path, tmp_path / "anchors")
    assert without(tmp_path, stick)
    assert not without(tmp_path, tmp_path / "anchors", stick)
    with acting(reopen(tmp_path), clock):
        assert not vault.ring.outstanding
        assert_whole(vault, first, "first")


def test_an_anchor_that_was_joined_is_needed(tmp_path: Path) -> None:
    vault, stick = make(tmp_path), tmp_path / "stick"
    changed(vault, lambda it: anchoring.add(it, f"file:{stick}", to="file"))
    assert vault.anchor == f"file+file:{stick}"
    assert opens(tmp_path)
    assert not without(tmp_path, stick)
    assert not without(tmp_path, tmp_path / "anchors")


def test_an_anchor_that_was_removed_opens_nothing_any_more(tmp_path: Path) -> None:
    stick = tmp_path / "stick"
    vault = create_vault(tmp_path / "vault", tmp_path / "anchors", f"file|file:{stick}")
    (first,) = say(vault, "first")
    sealed = sealed_of(vault, first)
    shutil.copytree(vault.directory, tmp_path / "backup")
    (name,) = {it.name for it in vault.ring.anchors} - {"file"}
    changed(vault, lambda it: anchoring.remove(it, f"file:{stick}"))
    assert vault.anchor == "file"
    assert not vault.ring.outstanding
    shares = {share for data in real_files(stick).values() for share in shares_in(data)}
    files = [*real_files(tmp_path / "backup").values(), *real_files(vault.directory).values()]
    assert not Adversary(files, {name: shares}).opened(sealed)
    assert_whole_again(tmp_path, vault, "first")


def test_control_before_it_was_removed_it_opened_the_backup(tmp_path: Path) -> None:
    stick = tmp_path / "stick"
    vault = create_vault(tmp_path / "vault", tmp_path / "anchors", f"file|file:{stick}")
    (first,) = say(vault, "first")
    (name,) = {it.name for it in vault.ring.anchors} - {"file"}
    shares = {share for data in real_files(stick).values() for share in shares_in(data)}
    files = [*real_files(vault.directory).values()]
    assert Adversary(files, {name: shares}).opened(sealed_of(vault, first))


def assert_whole_again(base: Path, vault: Vault, text: str) -> None:
    again = reopen(base)
    with acting(again, clock):
        (only,) = again.interactions()
        assert_whole(again, only, text)
    assert vault.id == again.id


def test_a_stick_that_is_lost_is_removed_and_stays_outstanding(tmp_path: Path) -> None:
    stick = tmp_path / "stick"
    vault = create_vault(tmp_path / "vault", tmp_path / "anchors", f"file|file:{stick}")
    say(vault, "first")
    (name,) = {it.name for it in vault.ring.anchors} - {"file"}
    shutil.rmtree(stick)
    changed(vault, lambda it: anchoring.remove(it, name))
    assert vault.anchor == "file"
    assert vault.ring.outstanding == {name}


def test_rotating_gives_every_anchor_a_new_share(tmp_path: Path) -> None:
    vault = make(tmp_path)
    say(vault, "first")
    before, epoch = real_files(tmp_path / "anchors"), vault.ring.epoch
    changed(vault, anchoring.rotate)
    assert vault.ring.epoch == epoch + 1
    assert real_files(tmp_path / "anchors") != before
    assert_whole_again(tmp_path, vault, "first")


def test_another_process_goes_on_with_the_anchors_that_are_on_record(tmp_path: Path) -> None:
    vault, other, stick = make(tmp_path), reopen(tmp_path), tmp_path / "stick"
    say(other, "first")
    changed(vault, lambda it: anchoring.add(it, f"file:{stick}"))
    (second,) = say(other, "second")
    assert other.anchor == vault.anchor
    forget(other, second)
    assert without(tmp_path, tmp_path / "anchors")
    changed(vault, lambda it: anchoring.remove(it, "file"))
    say(other, "third")
    assert {anchor.name for anchor in other.ring.anchors} == {"file-" + stick_name(stick)}


def stick_name(stick: Path) -> str:
    (row,) = [a.name for a in roots(stick)]
    return row.removeprefix("file-")


def roots(stick: Path) -> list[anchoring.AnchorRow]:
    vault = open_vault(stick.parent / "vault", stick.parent / "anchors", no_passphrase)
    with acting(vault, clock):
        return list(anchoring.anchors(vault))


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        (lambda it: anchoring.remove(it, "file"), Refused),
        (lambda it: anchoring.remove(it, "moon"), NotFound),
        (lambda it: anchoring.add(it, "file"), Refused),
        (lambda it: anchoring.add(it, "moon"), Refused),
        (lambda it: anchoring.add(it, "keyring|tpm", to="file"), Refused),
        (lambda it: anchoring.add(it, "tpm:device:/dev/no-such-chip"), AnchorFailure),
    ],
)
def test_what_cannot_be_changes_nothing(
    tmp_path: Path, change: Change, refusal: type[Exception]
) -> None:
    vault = make(tmp_path)
    say(vault, "first")
    before = real_files(tmp_path)
    with pytest.raises(refusal):
        changed(vault, change)
    assert real_files(tmp_path) == before
    assert_whole_again(tmp_path, vault, "first")


def test_a_change_that_fails_in_the_middle_is_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault, stick, write = make(tmp_path), tmp_path / "stick", FileAnchor.write

    def pulled_out(self: FileAnchor, epoch: object, share: object) -> None:
        if self.name != "file":
            raise AnchorFailure("the stick was pulled out")
        write(self, epoch, share)  # type: ignore[arg-type]  # passed on as it came

    (first,) = say(vault, "first")
    monkeypatch.setattr(FileAnchor, "write", pulled_out)
    with pytest.raises(AnchorFailure, match="pulled out"):
        changed(vault, lambda it: anchoring.add(it, f"file:{stick}"))
    monkeypatch.undo()
    assert read_identity(vault.directory, vault.disk).anchor_next is None
    again = reopen(tmp_path)
    assert again.anchor == "file"
    with acting(again, clock):
        assert_whole(again, first, "first")


def two_ways(base: Path) -> tuple[Vault, Path]:
    """A vault with an anchor here, and a second way to its root on a stick."""
    stick = base / "stick"
    return create_vault(base / "vault", base / "anchors", f"file|file:{stick}"), stick


def test_the_only_way_that_is_here_is_not_removed(tmp_path: Path) -> None:
    vault, stick = two_ways(tmp_path)
    (first,) = say(vault, "first")
    stick.rename(tmp_path / "pocket")
    before = real_files(tmp_path)
    with pytest.raises(AnchorFailure, match=r"what would be left.*attach it first"):
        changed(vault, lambda it: anchoring.remove(it, "file"))
    assert real_files(tmp_path) == before
    assert_whole_again(tmp_path, vault, "first")
    assert first


@pytest.mark.parametrize("is_record_of", ["remove", "join"])
def test_a_change_that_was_cut_off_and_whose_stick_has_gone_is_taken_back(
    tmp_path: Path, is_record_of: str
) -> None:
    vault, stick = two_ways(tmp_path)
    say(vault, "first")
    then = f"file:{stick}" if is_record_of == "remove" else f"file|file:{stick}+file:{tmp_path}/c"
    known = read_identity(vault.directory, vault.disk)
    write_identity(vault.directory, replace(known, anchor_next=then), vault.disk)
    stick.rename(tmp_path / "pocket")
    with pytest.raises(AnchorFailure, match="attach it first"), acting(reopen(tmp_path), clock):
        pass
    assert not stick.exists()
    assert read_identity(vault.directory, vault.disk).anchor_next is None
    assert_whole_again(tmp_path, vault, "first")


def test_nothing_is_joined_to_an_anchor_that_is_away(tmp_path: Path) -> None:
    """To write it a share would make another anchor in its place, and count as its return."""
    vault, stick = two_ways(tmp_path)
    stick.rename(tmp_path / "pocket")
    changed(vault, anchoring.rotate)
    with pytest.raises(AnchorFailure, match="is not here"):
        changed(vault, lambda it: anchoring.add(it, f"file:{tmp_path}/c", to=f"file:{stick}"))
    assert not stick.exists()
    with acting(vault, clock):
        assert len(vault.ring.outstanding) == 1


def test_where_no_anchor_can_be_made_none_is_added(tmp_path: Path) -> None:
    vault = make(tmp_path)
    say(vault, "first")
    (tmp_path / "letter").write_text("not a folder")
    before = real_files(tmp_path)
    for place in (tmp_path / "letter", tmp_path / "letter" / "in"):
        with pytest.raises(AnchorFailure, match="no anchor can be made"):
            changed(vault, lambda it, at=place: anchoring.add(it, f"file:{at}"))  # type: ignore[misc]
    assert real_files(tmp_path) == before
    assert_whole_again(tmp_path, vault, "first")


@pytest.mark.parametrize("error", [StateUnknown("disk full"), OSError("stick pulled out")])
def test_a_medium_that_fails_in_the_middle_stops_nothing_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    vault, stick, write = make(tmp_path), tmp_path / "stick", FileAnchor.write

    def failing(self: FileAnchor, epoch: Epoch, share: Secret) -> None:
        if self.name != "file":
            raise error
        write(self, epoch, share)

    say(vault, "first")
    monkeypatch.setattr(FileAnchor, "write", failing)
    with pytest.raises(type(error)):
        changed(vault, lambda it: anchoring.add(it, f"file:{stick}"))
    assert_whole_again(tmp_path, vault, "first")


def test_an_anchor_that_can_be_read_only_does_not_stop_the_vault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of `A+B` B is removed, whose medium turns out to be write-protected."""
    stick, write = tmp_path / "stick", FileAnchor.write
    vault = create_vault(tmp_path / "vault", tmp_path / "anchors", f"file+file:{stick}")

    def protected(self: FileAnchor, epoch: Epoch, share: Secret) -> None:
        if self.name != "file":
            raise StateUnknown("could not write: read-only")
        write(self, epoch, share)

    say(vault, "first")
    monkeypatch.setattr(FileAnchor, "write", protected)
    changed(vault, lambda it: anchoring.remove(it, f"file:{stick}"))
    again = reopen(tmp_path)
    with acting(again, clock):
        assert again.anchor == "file"
        assert not again.ring.outstanding, "without the share of A that of B opens nothing"


@pytest.mark.parametrize("to", [None, "file"])
@pytest.mark.parametrize("name", ["anchors", "link", "anchors/../anchors"])
def test_one_place_is_not_added_twice(tmp_path: Path, name: str, to: str | None) -> None:
    """Joined to itself, an anchor would get two shares in one place, and nothing would open."""
    vault = make(tmp_path)
    say(vault, "first")
    (tmp_path / "link").symlink_to(tmp_path / "anchors")
    twice = f"file:{tmp_path}/new+file:{tmp_path}/anchors/../new"
    with pytest.raises(Refused, match="lies there already"):
        changed(vault, lambda it: anchoring.add(it, f"file:{tmp_path / name}", to))
    with pytest.raises(Refused, match="same folder"):
        changed(vault, lambda it: anchoring.add(it, twice))
    assert_whole_again(tmp_path, vault, "first")


def test_no_anchor_lies_in_what_is_copied(tmp_path: Path) -> None:
    vault = make(tmp_path)
    with acting(vault, clock):
        add_mirror(vault, tmp_path / "mirror", tmp_path / "anchors")
    for inside in ("vault", "vault/a", "mirror", "mirror/ring"):
        with pytest.raises(Refused, match="inside"):
            changed(vault, lambda it, at=inside: anchoring.add(it, f"file:{tmp_path / at}"))  # type: ignore[misc]


def test_another_stick_in_the_place_of_a_lost_one_confirms_nothing(tmp_path: Path) -> None:
    vault, stick = two_ways(tmp_path)
    first, second = say(vault, "first", "second")
    (name,) = {it.name for it in vault.ring.anchors} - {"file"}
    sealed = sealed_of(vault, first)
    shutil.copytree(vault.directory, tmp_path / "backup")
    stick.rename(tmp_path / "lost")
    assert forget(vault, first).statement.verdict == PENDING
    changed(vault, lambda it: anchoring.remove(it, f"file:{stick}"))
    shares = {s for data in real_files(tmp_path / "lost").values() for s in shares_in(data)}
    thief = Adversary([*real_files(tmp_path / "backup").values()], {name: shares})
    assert thief.opened(sealed), "the control: whoever finds the stick opens the backup"
    with pytest.raises(Refused, match="another one in its place"):
        changed(vault, lambda it: anchoring.add(it, f"file:{stick}"))
    changed(vault, lambda it: anchoring.add(it, f"file:{stick}/new"))
    with acting(vault, clock):
        assert vault.ring.outstanding == {name}
    assert forget(vault, second).statement.verdict == PENDING
    assert not [it for it in vault.receipts.iterdir() if it.suffix == ".confirmed"]


def test_the_lost_stick_itself_is_taken_back(tmp_path: Path) -> None:
    vault, stick = two_ways(tmp_path)
    (first,) = say(vault, "first")
    stick.rename(tmp_path / "lost")
    forget(vault, first)
    changed(vault, lambda it: anchoring.remove(it, f"file:{stick}"))
    (tmp_path / "lost").rename(stick)
    changed(vault, lambda it: anchoring.add(it, f"file:{stick}"))
    with acting(vault, clock):
        assert not vault.ring.outstanding
    assert [it for it in vault.receipts.iterdir() if it.suffix == ".confirmed"]


def test_an_anchor_is_named_as_it_was_added(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    vault = make(tmp_path)
    changed(vault, lambda it: anchoring.add(it, "file:stick/"))
    changed(vault, lambda it: anchoring.remove(it, "file:stick/"))
    assert vault.anchor == "file"


CHANGES: list[tuple[str, Callable[[Path], Change]]] = [
    ("file", lambda base: lambda it: anchoring.add(it, f"file:{base / 'stick'}")),
    ("file", lambda base: lambda it: anchoring.add(it, f"file:{base / 'stick'}", to="file")),
    ("file|file:{}/stick", lambda _: lambda it: anchoring.remove(it, "file")),
    ("file+file:{}/stick", lambda _: lambda it: anchoring.remove(it, "file")),
]


@pytest.mark.parametrize(("spec", "change"), CHANGES)
def test_a_crash_anywhere_leaves_the_old_anchors_or_the_new(
    tmp_path: Path, spec: str, change: Callable[[Path], Change]
) -> None:
    disk = house_disk(tmp_path)
    vault = create_vault(tmp_path / "vault", tmp_path / "anchors", spec.format(tmp_path), disk=disk)
    first, second = say(vault, "first", "second")
    disk = settled(disk)
    vault = reopen(tmp_path, disk)
    specs = {vault.anchor}

    def act() -> None:
        changed(vault, change(tmp_path))
        specs.add(vault.anchor)

    def judge(vault: Vault, disk: HouseDisk, *, is_done: bool) -> None:
        identity = read_identity(vault.directory, disk)
        assert (identity.anchor, identity.anchor_next) == (vault.anchor, None)
        assert vault.anchor in specs
        assert not (is_done and vault.anchor == spec)
        assert not vault.ring.outstanding
        assert_whole(vault, first, "first")
        assert_whole(vault, second, "second")
        assert audit(vault).problems == []

    moments = moments_of(disk, act)
    assert len(specs) == 2
    crashes = Crashes(tmp_path, judge, most=6)
    crashes.check(moments)
    assert crashes.states > 40
