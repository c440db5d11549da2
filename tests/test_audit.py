"""The audit: each kind of tampering with a vault is named, and a vault in order has no problem.

Every case tampers with files only, behind the back of any process, and then opens the vault anew.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from keys.copies import ERASED, LIVE, UNKNOWN, find_sealed
from keys.errors import KeysError
from keys.model import InteractionId, Slot
from pipeline import write
from pipeline.audit import Audit, audit, ledger_of, state_in
from pipeline.recording import mark_of
from pipeline.session import acting
from pipeline.vault import Vault
from tests.household import clock, forget, make, parts_of, reopen, say

TEXTS = ("the first one", "the second one", "forgotten first", "forgotten next")


@dataclass
class House:
    """A vault with two interactions, two receipts, and a copy of it from before any erasure."""

    base: Path
    live: list[InteractionId]
    dead: list[InteractionId]

    @property
    def vault(self) -> Path:
        return self.base / "vault"

    @property
    def copy(self) -> Path:
        return self.base / "copy"

    def sealed(self, n: int = 0, kind: str = "transcript") -> Path:
        found = self.vault.rglob(f"{self.live[n].hex()}.*.{kind}")
        return next(iter(found))

    def receipts(self) -> list[Path]:
        return sorted((self.vault / "receipts").iterdir(), key=lambda path: path.stat().st_mtime_ns)

    def audit(self) -> Audit:
        vault = reopen(self.base)
        with acting(vault, clock):
            return audit(vault)


@pytest.fixture
def house(tmp_path: Path) -> House:
    vault = make(tmp_path)
    ids = say(vault, *TEXTS)
    shutil.copytree(vault.directory, tmp_path / "copy")
    shutil.copytree(tmp_path / "anchors", tmp_path / "old-anchors")
    for interaction in ids[2:]:
        forget(vault, interaction)
    return House(tmp_path, ids[:2], ids[2:])


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def test_a_vault_in_order_has_no_problem(house: House) -> None:
    found = house.audit()
    assert found == Audit(found.entries, 8, 4, 6, 2, 0, [])
    assert found.entries == 1 + 4 * 4 + 2


def delete_a_sealed_file(house: House) -> None:
    house.sealed().unlink()


def put_a_foreign_file_beside(house: House) -> None:
    (house.sealed().parent / "holiday.jpg").write_bytes(b"not ours")


def put_a_file_among_the_buckets(house: House) -> None:
    (house.vault / "sealed" / ".DS_Store").write_bytes(b"not ours")


def put_a_directory_in_a_bucket(house: House) -> None:
    (house.sealed().parent / house.sealed().name.replace("transcript", "folder")).mkdir()


def swap_two_files(house: House) -> None:
    first, second = house.sealed(0), house.sealed(1)
    one, other = first.read_bytes(), second.read_bytes()
    first.write_bytes(other)
    second.write_bytes(one)


def move_a_file_to_another_bucket(house: House) -> None:
    bucket = house.vault / "sealed" / "xyz"
    bucket.mkdir()
    house.sealed().rename(bucket / house.sealed().name)


def flip_a_byte_of_content(house: House) -> None:
    flip(house.sealed(), -200)


def flip_a_byte_of_a_header(house: House) -> None:
    flip(house.sealed(), 150)


def cut_a_file_off(house: House) -> None:
    path = house.sealed(kind="audio")
    path.write_bytes(path.read_bytes()[:-64])


def empty_a_file(house: House) -> None:
    house.sealed().write_bytes(b"")


def remove_a_receipt(house: House) -> None:
    house.receipts()[0].unlink()


def remove_the_last_receipt(house: House) -> None:
    house.receipts()[-1].unlink()


def flip_a_byte_of_a_receipt(house: House) -> None:
    flip(house.receipts()[0], 300)


def swap_two_receipts(house: House) -> None:
    first, second = house.receipts()
    one, other = first.read_bytes(), second.read_bytes()
    first.write_bytes(other)
    second.write_bytes(one)


def invent_a_receipt(house: House) -> None:
    shutil.copy(house.receipts()[0], house.vault / "receipts" / f"{'ab' * 16}.receipt")


def put_the_old_log_back(house: House) -> None:
    for name in ("entries", "hashes"):
        shutil.copy(house.copy / "log" / name, house.vault / "log" / name)


def put_back_an_erased_file(house: House) -> None:
    for path in (house.copy / "sealed").rglob(f"{house.dead[0].hex()}.*"):
        target = house.vault / path.relative_to(house.copy)
        target.parent.mkdir(exist_ok=True)
        shutil.copy(path, target)


def put_back_ring_and_anchor(house: House) -> None:
    """The whole machine from an old image, but for the log: the erased keys live again."""
    for old, new in ((house.copy / "ring", "vault/ring"), (house.base / "old-anchors", "anchors")):
        shutil.rmtree(house.base / new)
        shutil.copytree(old, house.base / new)


def change_an_entry(house: House) -> None:
    """One digit of the hash of a header, in the middle of the log."""
    change_a_word(house, 6)


def change_a_word(house: House, number: int) -> None:
    entries = house.vault / "log" / "entries"
    lines = entries.read_bytes().split(b"\n")
    words = lines[3].split(b" ")
    words[number] = words[number][:-1] + (b"0" if words[number][-1:] != b"0" else b"1")
    lines[3] = b" ".join(words)
    entries.write_bytes(b"\n".join(lines))


def change_a_parent_and_have_the_hashes_made_anew(house: House) -> None:
    change_a_word(house, 7)
    (house.vault / "log" / "hashes").unlink()


def drop_an_entry(house: House) -> None:
    entries = house.vault / "log" / "entries"
    lines = entries.read_bytes().split(b"\n")
    entries.write_bytes(b"\n".join([*lines[:3], *lines[4:]]))


def change_a_hash(house: House) -> None:
    flip(house.vault / "log" / "hashes", 3)


def change_a_hash_of_hashes(house: House) -> None:
    flip(house.vault / "log" / "hashes", 2 * 32 + 3)


def change_an_entry_and_have_the_hashes_made_anew(house: House) -> None:
    change_an_entry(house)
    (house.vault / "log" / "hashes").unlink()


def put_a_file_into(part: str) -> Callable[[House], None]:
    def put(house: House) -> None:
        (house.vault / part / "notes.txt").write_bytes(b"not ours")

    return put


CASES: list[tuple[Callable[[House], None], str]] = [
    (delete_a_sealed_file, "its key lives, and the file is missing"),
    (put_a_foreign_file_beside, "holiday.jpg: not a sealed file"),
    (put_a_file_among_the_buckets, ".DS_Store: not a sealed file"),
    (put_a_directory_in_a_bucket, "cannot be read"),
    (swap_two_files, "the name is not that of the file sealed in it"),
    (move_a_file_to_another_bucket, "is not where it belongs"),
    (flip_a_byte_of_content, "does not open"),
    (flip_a_byte_of_a_header, "committed to"),
    (cut_a_file_off, "does not open"),
    (empty_a_file, "not a sealed file"),
    (remove_a_receipt, "is missing"),
    (remove_the_last_receipt, "is missing"),
    (flip_a_byte_of_a_receipt, ".receipt: "),
    (swap_two_receipts, "is not the statement that the log has"),
    (invent_a_receipt, "abab.receipt is nothing that this vault knows of"),
    (put_the_old_log_back, "its key is gone, no receipt"),
    (put_back_an_erased_file, "is erased and still here"),
    (put_back_ring_and_anchor, "is erased by a receipt, and holds a key"),
    (change_an_entry_and_have_the_hashes_made_anew, "is not in the log"),
    (change_a_parent_and_have_the_hashes_made_anew, "which the log does not have before it"),
    (put_a_file_into("."), "notes.txt is nothing that this vault knows of"),
    (put_a_file_into("ring"), "notes.txt is nothing that this vault knows of"),
    (put_a_file_into("log"), "notes.txt is nothing that this vault knows of"),
    (put_a_file_into("capture"), "notes.txt is nothing that this vault knows of"),
    (put_a_file_into("receipts"), "notes.txt is nothing that this vault knows of"),
]


@pytest.mark.parametrize(("tamper", "expected"), CASES, ids=lambda it: getattr(it, "__name__", ""))
def test_tampering_is_named(house: House, tamper: Callable[[House], None], expected: str) -> None:
    tamper(house)
    problems = house.audit().problems
    assert any(expected in problem for problem in problems), problems
    assert not any(word in problem for problem in problems for word in ("forgotten", "second"))


@pytest.mark.parametrize(
    "tamper",
    [drop_an_entry, change_an_entry, change_a_hash, change_a_hash_of_hashes],
)
def test_a_log_that_does_not_hold_together_is_no_vault_to_go_on_with(
    house: House, tamper: Callable[[House], None]
) -> None:
    """Either the log is refused when it is opened, or the audit names it."""
    tamper(house)
    try:
        problems = house.audit().problems
    except KeysError:
        return
    assert any("log" in problem for problem in problems), problems


def test_receipts_tell_a_changed_log_from_their_own(house: House) -> None:
    """Hashes made to fit a changed entry do not fit the checkpoint of a receipt."""
    change_an_entry_and_have_the_hashes_made_anew(house)
    receipts = [p for p in house.audit().problems if ".receipt: " in p]
    assert len(receipts) == 2


def test_auditing_changes_nothing_and_repairs_nothing(house: House) -> None:
    remove_the_last_receipt(house)
    put_back_an_erased_file(house)
    before = {path: path.read_bytes() for path in house.vault.rglob("*") if path.is_file()}
    assert house.audit().problems
    after = {path: path.read_bytes() for path in house.vault.rglob("*") if path.is_file()}
    assert after == before


def test_a_cut_off_addition_excuses_one_missing_file_and_no_more(house: House) -> None:
    """The log knows the file that never arrived; another file that goes missing is named."""
    vault = reopen(house.base)
    with acting(vault, clock):
        sealed = write._seal(vault, house.live[0], "intent", Slot(1), b"content")
        vault.log.append([sealed[0]])
        vault.disk.make_dir(mark_of(vault, house.live[0]))
    assert house.audit().problems == []
    house.sealed().unlink()
    assert len(house.audit().problems) == 1


def test_every_sealed_file_of_a_copy_is_live_erased_or_unknown(house: House) -> None:
    other = make(house.base / "elsewhere")
    say(other, "of another vault")
    vault = reopen(house.base)
    with acting(vault, clock):
        states = _states(vault, house.copy)
        foreign = _states(vault, other.directory)
    assert {name[:32] for name, state in states.items() if state == LIVE} == {
        it.hex() for it in house.live
    }
    assert {name[:32] for name, state in states.items() if state == ERASED} == {
        it.hex() for it in house.dead
    }
    assert set(foreign.values()) == {UNKNOWN}
    assert len(states) == 3 * len(TEXTS)


def _states(vault: Vault, copy: Path) -> dict[str, str]:
    ledger = ledger_of(vault)
    return {Path(it.name).name: state_in(vault, ledger, it) for it in find_sealed(copy)}


def test_an_interaction_discarded_by_a_crash_is_no_problem(house: House) -> None:
    vault = reopen(house.base)
    with acting(vault, clock):
        write.create(vault, parts_of("whole"))
        mark = vault.capture / ("cd" * 16)
        mark.mkdir()
        vault.ring.allocate(2)
    assert house.audit().problems == []
    assert not mark.exists()
