"""Erasing: what goes, what stays, what the receipt says, and what nobody may slip in between.

Guarantees G1, G3, G4 and G6 against a vault whose files were lost, damaged or planted beforehand.
"""

import json
import shutil
from pathlib import Path

import pytest

from keys.anchor.file import FileAnchor
from keys.errors import Erased, Malformed, Tampered
from keys.model import ArtefactId, Epoch, InteractionId, Label, Slot
from keys.receipt import CONFIRMED, FAILED, Check, verify
from keys.sealed import SMALL_CHUNK_LOG2, Header
from keys.secret import Secret
from pipeline import confirm, logkey, share, write
from pipeline.artefact import AUDIO, TRANSCRIPT
from pipeline.audit import audit
from pipeline.erase import erase
from pipeline.errors import NotFound, Refused
from pipeline.history import one
from pipeline.plan import make_plan, peek, read_back, retirement
from pipeline.session import acting
from pipeline.vault import Vault, file_name
from tests.household import (
    NOON,
    assert_whole,
    clock,
    flac_of,
    forget,
    make,
    parts_of,
    real_files,
    reopen,
    say,
    sealed_of,
    words_of,
)

ONE, OTHER = "my secret errand", "quite another matter"


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return make(tmp_path)


def test_all_of_an_interaction_goes_and_no_other(vault: Vault) -> None:
    one_id, other = say(vault, ONE, OTHER)
    files = sealed_of(vault, one_id)
    done = forget(vault, one_id)
    (row,) = done.statement.erased
    assert row.interaction == one_id.hex()
    assert [slot.slot for slot in row.slots] == [0, 1]
    assert {f"{row.interaction}.{it.artefact}.{it.kind}" for it in row.artefacts} == files.keys()
    assert (done.statement.verdict, done.statement.epoch_from) == (CONFIRMED, 1)
    assert (done.statement.requested_at, done.statement.erased_at) == (NOON, NOON)
    assert not sealed_of(vault, one_id)
    with acting(vault, clock):
        assert list(vault.interactions()) == [other]
        assert_whole(vault, other, OTHER)
        for act in (lambda: vault.resolve(one_id.hex()), lambda: one(vault, one_id, "show")):
            with pytest.raises(Erased):
                act()
        assert audit(vault).problems == []


def test_the_audio_alone_goes(vault: Vault) -> None:
    (only,) = say(vault, ONE)
    done = forget(vault, only, only_audio=True)
    assert [it.kind for it in done.statement.erased[0].artefacts] == [AUDIO]
    with acting(vault, clock):
        assert one(vault, only, "show").text == ONE
        with pytest.raises((Erased, NotFound)):
            share.audio(vault, only)
        assert audit(vault).problems == []
    done = forget(vault, only)
    assert sorted(it.kind for it in done.statement.erased[0].artefacts) == ["meta", "transcript"]
    assert [slot.slot for slot in done.statement.erased[0].slots] == [1]


def test_a_receipt_verifies_by_itself_and_holds_nothing_that_was_said(vault: Vault) -> None:
    """Guarantee G6: no word, and no hash of a word or of the sound that could confirm a guess."""
    (only,) = say(vault, ONE)
    data = forget(vault, only).receipt.read_bytes()
    assert verify(data, logkey.signer(vault).verifier).statement.erased
    for guess in guesses():
        assert guess not in data.lower()


def guesses() -> list[bytes]:
    from hashlib import md5, sha1, sha256, sha512

    known = [*ONE.split(), ONE, ONE.title(), words_of(ONE).encode().decode()]
    contents = [it.encode() for it in known] + [flac_of(ONE), *(c for _, c in parts_of(ONE))]
    hashes = [h(it).hexdigest() for h in (md5, sha1, sha256, sha512) for it in contents]
    return [it.encode() for it in ONE.split() if len(it) > 2] + [it.encode() for it in hashes]


def test_one_receipt_for_many(vault: Vault) -> None:
    ids = say(vault, *(f"number {n}" for n in range(6)))
    done = forget(vault, *ids[1:5])
    assert [row.interaction for row in done.statement.erased] == [it.hex() for it in ids[1:5]]
    assert done.statement.epoch_to == 2
    assert len(list(vault.receipts.iterdir())) == 1
    with acting(vault, clock):
        assert set(vault.interactions()) == {ids[0], ids[5]}


def test_no_receipt_without_an_erasure(vault: Vault) -> None:
    """Whoever comes second to the same interaction gets no second receipt, and no rotation."""
    (only,) = say(vault, ONE)
    forget(vault, only)
    with pytest.raises(Refused, match="left to erase"):
        forget(vault, only)
    assert len(list(vault.receipts.iterdir())) == 1
    assert vault.ring.epoch == 2


def test_a_copy_of_a_file_that_is_missing_here_dies_too(vault: Vault, tmp_path: Path) -> None:
    """Guarantee G1: the words were lost from the vault before `forget`, a backup has them."""
    (only,) = say(vault, ONE)
    copy = tmp_path / "backup"
    shutil.copytree(vault.sealed, copy)
    words = [a.path for a in vault.artefacts(only) if a.kind != AUDIO]
    for path in words:
        path.unlink()
    done = forget(vault, only)
    assert [slot.slot for slot in done.statement.erased[0].slots] == [0, 1]
    with acting(vault, clock):
        for path in words:
            shutil.copy(copy / path.relative_to(vault.sealed), path)
        with pytest.raises(Erased):
            vault.read(only, TRANSCRIPT)


def test_an_interaction_without_any_file_left_can_still_be_forgotten(vault: Vault) -> None:
    (only,) = say(vault, ONE)
    for artefact in vault.artefacts(only):
        artefact.path.unlink()
    with acting(vault, clock):
        assert vault.resolve(only.hex()[:8]) == only
        with pytest.raises(NotFound, match="missing"):
            one(vault, only, "show")
    assert len(forget(vault, only).statement.erased[0].slots) == 2


@pytest.mark.parametrize("damage", [b"", b"garbage", bytes(4096)])
def test_a_damaged_file_does_not_save_an_interaction(vault: Vault, damage: bytes) -> None:
    only, other = say(vault, ONE, OTHER)
    vault.artefacts(only)[0].path.write_bytes(damage)
    with acting(vault, clock):
        assert vault.resolve(only.hex()[:8]) == only
    assert len(forget(vault, only).statement.erased[0].slots) == 2
    assert not any(only.hex() in path.name for path in vault.paths())
    with acting(vault, clock):  # and no later command stumbles over it
        assert_whole(vault, other, OTHER)


def test_what_a_crashed_copy_left_beside_a_file_goes_as_well(vault: Vault) -> None:
    (only,) = say(vault, ONE)
    path = vault.artefacts(only)[0].path
    shutil.copy(path, path.with_name(path.name + ".new"))
    forget(vault, only)
    assert not list(vault.paths())


def plant(vault: Vault, victim: InteractionId, slot: Slot) -> None:
    """Puts a file among those of `victim` whose header names a slot of somebody else."""
    label = Label(vault.id, victim, ArtefactId(b"a" * 16), "note", slot)
    header = Header(label, SMALL_CHUNK_LOG2, bytes(24), bytes(32))
    (vault.bucket(victim) / file_name(label)).write_bytes(header.encode() + bytes(4096))


def test_a_planted_file_takes_no_other_key_with_it(vault: Vault) -> None:
    """Guarantee G3: a header lies in clear, and anybody can write one."""
    only, other = say(vault, ONE, OTHER)
    plant(vault, only, Slot(3))
    done = forget(vault, only)
    assert [slot.slot for slot in done.statement.erased[0].slots] == [0, 1]
    with acting(vault, clock):
        assert_whole(vault, other, OTHER)


def test_a_planted_file_does_not_let_late_work_in(vault: Vault) -> None:
    """Guarantee G5: nothing is sealed for an erased interaction under the key of another."""
    only, _ = say(vault, ONE, OTHER)
    forget(vault, only)
    plant(vault, only, Slot(3))
    with acting(vault, clock), pytest.raises(Tampered):
        write.add(vault, only, ("intent", b"late"))


def test_an_old_log_and_a_mark_from_a_backup_erase_nothing(vault: Vault, tmp_path: Path) -> None:
    """Guarantee G3: what the log does not know is not taken for a creation cut off."""
    say(vault, ONE)
    shutil.copytree(vault.directory / "log", tmp_path / "old")
    (later,) = say(vault, OTHER)
    shutil.rmtree(vault.directory / "log")
    shutil.copytree(tmp_path / "old", vault.directory / "log")
    (vault.capture / ("ab" * 16)).mkdir()
    files = real_files(vault.directory / "ring")
    again = reopen(tmp_path)
    with pytest.raises(Tampered, match="old copy of the log"), acting(again, clock):
        pass
    assert real_files(vault.directory / "ring") == files
    (vault.capture / ("ab" * 16)).rmdir()
    with acting(again, clock):
        assert_whole(again, later, OTHER)
        with pytest.raises(Tampered, match="not in the log"):
            make_plan(again, [later], NOON)


def test_names_in_capture_that_are_no_marks_are_passed_over(vault: Vault) -> None:
    (only,) = say(vault, ONE)
    (vault.capture / ".DS_Store").write_bytes(b"")
    with acting(vault, clock):
        assert_whole(vault, only, ONE)


def test_a_receipt_that_was_moved_away_is_not_issued_again(vault: Vault) -> None:
    """A second one would state another time for the same erasure."""
    (only,) = say(vault, ONE)
    forget(vault, only).receipt.unlink()
    size = vault.log.size
    with acting(vault, lambda: "2031-01-01T00:00:00Z"):
        assert not list(vault.receipts.iterdir())
        assert vault.log.size == size


def test_what_left_the_vault_in_clear_is_in_the_receipt(vault: Vault, tmp_path: Path) -> None:
    ids = say(vault, ONE, OTHER)
    for interaction in ids:
        with acting(vault, clock):
            share.export_plain(vault, one(vault, interaction, "export"), tmp_path / "out", NOON)
    for artefact in vault.artefacts(ids[0]):
        if artefact.kind == "disclosure":
            artefact.path.unlink()  # the log knows it all the same
    for interaction, only_audio in zip(ids, (False, True), strict=True):
        statement = forget(vault, interaction, only_audio=only_audio).statement
        (row,) = statement.disclosed
        assert row.startswith(f"interaction {interaction.hex()}: plain export, log entry ")
        assert any(row in residual for residual in statement.residual)
        assert "out" not in row


def test_an_anchor_that_kept_an_old_share_fails_the_receipt(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The verdict rests on what is read again, not on what was meant to happen."""
    (only,) = say(vault, ONE)
    with acting(vault, clock):
        plan = make_plan(vault, [only], NOON)
        shares = FileAnchor.shares

        def one_more(self: FileAnchor) -> dict[Epoch, Secret]:
            return {**shares(self), Epoch(1): Secret(32)}

        looked_at = confirm.looked_at

        def checks(vault: Vault, slots: list[Slot]) -> list[tuple[bool, Check]]:
            monkeypatch.setattr(FileAnchor, "shares", one_more)
            monkeypatch.setattr(vault.ring, "open", lambda: None)
            try:
                return looked_at(vault, slots)
            finally:
                monkeypatch.undo()

        monkeypatch.setattr(confirm, "looked_at", checks)
        assert erase(vault, plan, clock).statement.verdict == FAILED


def test_a_plan_comes_back_from_the_ring_as_it_was(vault: Vault) -> None:
    ids = say(vault, ONE, OTHER)
    with acting(vault, clock):
        plan = make_plan(vault, [*ids, ids[0]], NOON)
    assert [row.interaction for row in plan.erased] == [it.hex() for it in ids]
    with acting(vault, clock):
        assert read_back(vault, plan.encode()) == plan
    assert not any(word.encode() in plan.encode() for word in ONE.split() if len(word) > 2)


def test_a_plan_of_an_earlier_version_is_told_of(vault: Vault) -> None:
    row = {"id": "00" * 16, "requested_at": NOON, "disclosed": [], "kept": [], "retired": []}
    old = json.dumps({**row, "erased": [{"interaction": "00" * 16, "slots": []}]}).encode()
    with acting(vault, clock), pytest.raises(Malformed, match="of an earlier version"):
        read_back(vault, old)


def test_a_finished_plan_is_not_decoded_again(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ring carries it until the next: of a hundred thousand rows every command would pay."""
    first, second = say(vault, "first", "second")
    forget(vault, first)
    with monkeypatch.context() as patch:
        patch.setattr("pipeline.erase.read_back", None)
        say(vault, "third")
    with acting(vault, clock):
        plan = make_plan(vault, [second], NOON)
        assert peek(plan.encode()) == (plan.id, [])
        retiring = retirement(vault, [second], NOON)
        assert peek(retiring.encode()) == (retiring.id, [second])
    for data in (b"", b"{}", b'{"id": "ab"}'):
        with pytest.raises(Malformed, match="no plan"):
            peek(data)


def test_an_older_ring_of_the_same_epoch_gives_out_no_slot_twice(vault: Vault) -> None:
    """THREATS N8: put back from a copy, the ring lacks the newest slots; the log knows them."""
    state = vault.directory / "ring" / f"state-{vault.ring.epoch:020}"
    say(vault, ONE)
    older = state.read_bytes()
    say(vault, OTHER)
    state.write_bytes(older)
    again = reopen(vault.directory.parent)
    with pytest.raises(Tampered, match="an old copy of the ring was put back"):
        say(again, "a third matter")
    assert not list((vault.directory / "capture").iterdir())
