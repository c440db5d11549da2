"""The live tree in vaults: true roots in every receipt, whatever happened to `live/` before.

Guarantee G3 for who reads a receipt. The roots expected are computed by `keys.live.root` from what
the test itself created and erased. The controls sign what nobody checked.
"""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from keys import live
from keys.entry import Created
from keys.errors import StateUnknown, Tampered
from keys.livetree import LiveTree, Stale
from keys.model import Commitment, InteractionId, Slot
from keys.receipt import Receipt, Statement, verify
from pipeline import logkey, unfinished, write
from pipeline.audit import audit
from pipeline.erase import Erasure, erase
from pipeline.indexing import TAIL, tidy
from pipeline.livestate import tree_of
from pipeline.plan import make_plan
from pipeline.session import acting
from pipeline.vault import Vault
from tests.household import NOON, clock, forget, make, parts_of, reopen, say

TEXTS = ("zero and one", "two and three", "four and five", "six and seven", "eight and nine")


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return make(tmp_path)


def commitments(vault: Vault) -> dict[int, Commitment]:
    """Every slot that was ever put on record."""
    created = (entry for _, entry in vault.log.scan() if isinstance(entry, Created))
    return {int(slot): it for entry in created for slot, it in entry.slots}


def assert_roots(vault: Vault, done: Erasure, lived: set[int], size: int) -> None:
    """The receipt verifies, and its roots are those of these slots, before and after."""
    it = verify(done.receipt.read_bytes(), logkey.signer(vault).verifier).statement
    known = commitments(vault)
    before = {slot: known[slot] for slot in lived}
    after = {slot: c for slot, c in before.items() if slot not in it.slots}
    assert it.slots.items() <= before.items()
    assert it.live_size == size
    assert it.live_before == live.root(size, before).hex()
    assert it.live_after == live.root(size, after).hex()


def problems(vault: Vault) -> list[str]:
    with acting(vault, clock):
        return audit(vault).problems


def made_anew(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Returns a list that grows with every tree that is made anew."""
    made, rebuild = list[int](), LiveTree.rebuild

    def noted(self: LiveTree, leaves: object, position: int) -> None:
        made.append(position)
        rebuild(self, leaves, position)  # type: ignore[arg-type]

    monkeypatch.setattr(LiveTree, "rebuild", noted)
    return made


def test_every_receipt_of_a_vault_has_the_true_roots(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the tree is made once, at the first erasure, and then only moved on."""
    made = made_anew(monkeypatch)
    ids = say(vault, *TEXTS[:3])
    assert_roots(vault, forget(vault, ids[1]), {0, 1, 2, 3, 4, 5}, 6)
    ids += say(vault, *TEXTS[3:])
    assert_roots(vault, forget(vault, ids[0], only_audio=True), {0, 1, 4, 5, 6, 7, 8, 9}, 10)
    assert_roots(vault, forget(vault, ids[4], ids[2]), {1, 4, 5, 6, 7, 8, 9}, 10)
    assert_roots(vault, forget(vault, ids[0]), {1, 6, 7}, 10)
    assert_roots(vault, forget(vault, ids[3]), {6, 7}, 10)
    assert len(made) == 1
    assert problems(vault) == []
    (more,) = say(vault, "ten and eleven")
    assert_roots(vault, forget(vault, more), {10, 11}, 12)
    assert problems(vault) == []


def test_nothing_secret_or_said_is_in_the_tree(vault: Vault) -> None:
    ids = say(vault, *TEXTS[:2])
    keys = [bytes(vault.ring.key(Slot(n))) for n in range(4)]
    forget(vault, ids[0])
    for path in (vault.directory / "live").iterdir():
        assert not any(key in path.read_bytes() for key in keys)


# What may have happened to `live/` since the last erasure


@pytest.fixture
def house(vault: Vault) -> tuple[Vault, list[InteractionId]]:
    """Five interactions of which the second is erased, and the first tree put by as `old`."""
    ids = say(vault, *TEXTS[:3])
    forget(vault, ids[1])
    shutil.copytree(vault.directory / "live", vault.directory.parent / "old")
    return vault, ids + say(vault, *TEXTS[3:])


def untouched(directory: Path) -> None:
    assert directory.is_dir()


def remove(directory: Path) -> None:
    shutil.rmtree(directory)


def remove_the_head(directory: Path) -> None:
    (directory / "head").unlink()


def tear_the_head(directory: Path) -> None:
    (directory / "head").write_bytes((directory / "head").read_bytes()[:50])


def remove_a_level(directory: Path) -> None:
    (directory / "level-00").unlink()


def flip_a_leaf(directory: Path) -> None:
    data = bytearray((directory / "level-00").read_bytes())
    data[1] ^= 1
    (directory / "level-00").write_bytes(data)


def put_the_old_one_back(directory: Path) -> None:
    shutil.rmtree(directory)
    shutil.copytree(directory.parent.parent / "old", directory)


def put_one_of_a_later_time_there(directory: Path) -> None:
    shutil.rmtree(directory)
    tree = LiveTree(reopen(directory.parent.parent).disk, directory)
    tree.rebuild([(Slot(n), Commitment(bytes(32))) for n in range(12)], 10_000)


STALE = [remove, remove_the_head, tear_the_head, remove_a_level, flip_a_leaf]
STILL_GOOD = [untouched, put_the_old_one_back]
Damage = Callable[[Path], None]


@pytest.mark.parametrize("damage", [*STALE, *STILL_GOOD], ids=lambda it: it.__name__)
def test_whatever_happened_to_the_tree_the_roots_are_true(
    house: tuple[Vault, list[InteractionId]], damage: Damage, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault, ids = house
    forget(vault, ids[2])
    made = made_anew(monkeypatch)
    damage(vault.directory / "live")
    assert problems(vault) == []  # a cache that is stale is nothing to be alarmed about
    assert_roots(vault, forget(vault, ids[3]), {0, 1, 6, 7, 8, 9}, 10)
    assert len(made) == (damage in STALE)
    assert problems(vault) == []


def test_a_tree_that_knows_more_than_the_log_is_named_and_made_anew(
    house: tuple[Vault, list[InteractionId]],
) -> None:
    vault, ids = house
    put_one_of_a_later_time_there(vault.directory / "live")
    (found,) = problems(vault)
    assert f"knows 10000 log entries, and the log has {vault.log.size}" in found
    assert_roots(vault, forget(vault, ids[3]), {0, 1, 4, 5, 6, 7, 8, 9}, 10)
    assert problems(vault) == []


@pytest.mark.parametrize("what", ["missing", "of another erasure", "torn"])
def test_an_old_tree_without_the_receipts_since_is_made_anew(
    house: tuple[Vault, list[InteractionId]], what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault, ids = house
    first, *_ = vault.receipts.iterdir()
    done = forget(vault, ids[2])
    if what == "missing":
        done.receipt.unlink()
    elif what == "torn":
        done.receipt.write_bytes(done.receipt.read_bytes()[:500])
    else:
        shutil.copy(first, done.receipt)
    put_the_old_one_back(vault.directory / "live")
    made = made_anew(monkeypatch)
    assert_roots(vault, forget(vault, ids[3]), {0, 1, 6, 7, 8, 9}, 10)
    assert len(made) == 1
    assert not any("live" in it for it in problems(vault))


# What the log has that is no erasure


def cut_off(vault: Vault, monkeypatch: pytest.MonkeyPatch, at: str) -> None:
    """A creation that is stopped, and given up at the next start."""

    class Stopped(Exception):
        pass

    def stop(*_: object) -> None:
        raise Stopped

    with monkeypatch.context() as patch, acting(vault, clock):
        patch.setattr(*{"log": (vault.log, "append"), "files": (write, "file_name")}[at], stop)
        with pytest.raises(Stopped):
            write.create(vault, parts_of("cut off"))


@pytest.mark.parametrize("is_lost", [False, True])
def test_interactions_that_never_became_whole_are_empty(
    vault: Vault, monkeypatch: pytest.MonkeyPatch, *, is_lost: bool
) -> None:
    """Given up after they were logged, before (so that the log has a gap), and late additions."""
    ids = say(vault, *TEXTS[:2])
    forget(vault, ids[1])
    cut_off(vault, monkeypatch, "log")  # slots 4 and 5
    ids += say(vault, TEXTS[2])
    cut_off(vault, monkeypatch, "files")  # slots 8 and 9
    with acting(vault, clock):
        vault.note("discard", unfinished.LATE, [ids[0]])  # an addition to it was given up; it lives
    if is_lost:
        remove(vault.directory / "live")
    assert problems(vault) == []
    assert set(commitments(vault)) == {0, 1, 2, 3, 6, 7, 8, 9}
    assert_roots(vault, forget(vault, ids[0]), {0, 1, 6, 7}, 10)
    assert_roots(vault, forget(vault, ids[2]), {6, 7}, 10)
    assert problems(vault) == []


# What must not be signed, and what the audit names


def planned(vault: Vault, *ids: InteractionId) -> Callable[[], Erasure]:
    plan = make_plan(vault, ids, NOON)
    return lambda: erase(vault, plan, clock)


def test_no_receipt_from_a_log_without_what_is_erased(vault: Vault, tmp_path: Path) -> None:
    """The log is put back between the plan and the receipt: nothing is signed, then all is well."""
    (first,) = say(vault, TEXTS[0])
    forget(vault, first)
    shutil.copytree(vault.directory / "log", tmp_path / "log")
    (later,) = say(vault, TEXTS[1])
    with acting(vault, clock):
        act = planned(vault, later)
        shutil.copytree(vault.directory / "log", tmp_path / "newest")
        for name in ("entries", "hashes"):
            shutil.copy(tmp_path / "log" / name, vault.directory / "log" / name)
        vault.log.refresh()
        with pytest.raises(Tampered, match="old copy of the log"):
            act()
    again = reopen(tmp_path)
    with pytest.raises(Tampered, match="old copy of the log"), acting(again, clock):
        pass
    assert len(list(vault.receipts.iterdir())) == 1
    for name in ("entries", "hashes"):
        shutil.copy(tmp_path / "newest" / name, vault.directory / "log" / name)
    assert problems(again) == []
    assert len(list(vault.receipts.iterdir())) == 2


def test_a_draft_of_another_end_of_the_log_is_made_anew(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the receipt would name a position that is not its own, and verify nowhere."""
    ids = say(vault, *TEXTS[:2])
    with acting(vault, clock):
        act = planned(vault, ids[0])
        with monkeypatch.context() as patch:
            patch.setattr(vault.log, "append", _fail)
            with pytest.raises(StateUnknown):
                act()
        (draft,) = vault.receipts.iterdir()
        position = Statement.parse(draft.read_bytes()).live_position
        vault.note_read("show", [ids[1]])
    assert problems(vault) == []
    (receipt,) = vault.receipts.iterdir()
    assert verify(receipt.read_bytes()).index == position + 1


def _fail(*_: object) -> None:
    raise StateUnknown("the disk is full")


def test_a_tree_that_cannot_move_on_does_not_hold_a_receipt_back(
    house: tuple[Vault, list[InteractionId]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that fails right there: the receipt is there, and the next start finishes."""
    vault, ids = house
    with acting(vault, clock):
        act = planned(vault, ids[2])
        with monkeypatch.context() as patch:
            patch.setattr(LiveTree, "_move_head", _fail_after(1))
            with pytest.raises(StateUnknown):
                act()
        plan = next(path.stem for path in vault.receipts.iterdir() if path.suffix == ".statement")
        verify((vault.receipts / f"{plan}.receipt").read_bytes())
    assert problems(vault) == []
    assert not [path for path in vault.receipts.iterdir() if path.suffix != ".receipt"]
    assert_roots(vault, forget(vault, ids[0]), {0, 1, 6, 7, 8, 9}, 10)


def _fail_after(number: int) -> Callable[..., None]:
    calls, move = list[object](), LiveTree._move_head

    def moved(self: LiveTree, *rest: object) -> None:
        calls.append(rest)
        if len(calls) > number:
            raise StateUnknown("the disk is full")
        move(self, *rest)  # type: ignore[arg-type]

    return moved


def another_tree(vault: Vault) -> None:
    """Makes a tree that holds together and has one leaf more than the log has."""
    tree = tree_of(vault)
    tree.open()
    known, position = commitments(vault), tree.position
    living = [n for n in map(Slot, range(tree.size)) if vault.ring.is_live(n)]
    leaves = [(n, known[n]) for n in living]
    tree.rebuild([*leaves, (Slot(2), known[2])], position)


def test_the_audit_names_a_tree_that_is_not_the_one_of_the_log(
    house: tuple[Vault, list[InteractionId]],
) -> None:
    vault, _ = house
    another_tree(vault)
    (found,) = problems(vault)
    assert "live is not the live tree of log and ring: delete it" in found
    remove(vault.directory / "live")
    assert problems(vault) == []


def test_control_the_audit_names_a_receipt_signed_from_such_a_tree(
    house: tuple[Vault, list[InteractionId]],
) -> None:
    """What the cache's own checks cannot see: the receipt verifies, and the log contradicts it."""
    vault, ids = house
    another_tree(vault)
    done = forget(vault, ids[2])
    verify(done.receipt.read_bytes(), logkey.signer(vault).verifier)
    assert any(f"the live roots of receipt {done.receipt.stem}" in it for it in problems(vault))


def test_a_foreign_file_in_the_tree_is_named(house: tuple[Vault, list[InteractionId]]) -> None:
    vault, _ = house
    (vault.directory / "live" / "notes.txt").write_bytes(b"not ours")
    assert [it.endswith("notes.txt is nothing that this vault knows of") for it in problems(vault)]


def signed(vault: Vault, statement: Statement) -> bytes:
    """Returns the receipt of a statement that somebody with the log's key signs."""
    at = replace(statement, live_position=vault.log.size)
    index = vault.log.append([at.entry()])
    return Receipt(at, vault.log.prove(index, logkey.signer(vault))).encode()


def test_control_a_receipt_in_which_one_other_leaf_changed_is_refused(vault: Vault) -> None:
    """Guarantee G3's control: all is signed and logged, and slot 4 went as well."""
    ids = say(vault, *TEXTS[:3])
    honest = forget(vault, ids[0]).statement
    known = commitments(vault)
    after = live.root(6, {slot: known[slot] for slot in (2, 3, 5)})
    verify(signed(vault, honest))
    with pytest.raises(Tampered, match="another live root after"):
        verify(signed(vault, replace(honest, live_after=after.hex())))
    with pytest.raises(Tampered, match="another live root before"):
        verify(signed(vault, replace(honest, live_before=honest.live_after)))


def test_indexing_keeps_the_tree_up_so_that_an_erasure_finds_little_to_take_in(
    tmp_path: Path,
) -> None:
    vault = make(tmp_path)
    ids = say(vault, *(f"number {n}" for n in range(TAIL + 1)))
    with acting(vault, clock):
        tree = tree_of(vault)
        with pytest.raises(Stale):
            tree.open()
        tidy(vault, clock)
        tree.open()
        assert vault.log.size - tree.position < 4
    forget(vault, ids[0])
    with acting(vault, clock):
        assert audit(vault).problems == []
