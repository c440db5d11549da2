"""The vault on disk: what an onlooker can read of it, and what it tells apart when asked."""

import re
from pathlib import Path

import pytest

from keys.errors import Erased, KeysError, NoSuchSlot, Tampered
from keys.model import InteractionId, Slot
from keys.sealed import Opener
from pipeline import write
from pipeline.artefact import AUDIO, META, TRANSCRIPT
from pipeline.errors import NotFound
from pipeline.session import acting
from pipeline.vault import Vault
from tests.household import assert_whole, clock, forget, make, reopen, say, sealed_of

NAME = re.compile(r"([0-9a-f]{32})\.[0-9a-f]{32}\.(audio|transcript|meta|intent)")


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return make(tmp_path)


def test_names_are_random_ids_and_kinds_and_nothing_else(vault: Vault) -> None:
    ids = say(vault, "one", "other")
    names = [path.relative_to(vault.sealed).parts for path in vault.paths()]
    assert len(names) == 6
    for bucket, name in names:
        match = NAME.fullmatch(name)
        assert match
        assert InteractionId(bytes.fromhex(match[1])) in ids
        assert name.startswith(bucket)


def test_sizes_tell_no_length_of_what_was_said(vault: Vault) -> None:
    (short,) = say(vault, "no")
    (long,) = say(vault, " ".join(["certainly"] * 40))
    for kind in (TRANSCRIPT, META):
        sizes = {a.size for i in (short, long) for a in vault.artefacts(i) if a.kind == kind}
        assert sizes == {4096}


def test_two_slots_one_for_the_audio_and_one_for_all_words(vault: Vault) -> None:
    say(vault, "before")
    (only,) = say(vault, "this one")
    with acting(vault, clock):
        write.add(vault, only, ("intent", b"derived"))
        slots = {a.kind: a.slot for a in vault.artefacts(only)}
    assert slots == {AUDIO: 2, TRANSCRIPT: 3, META: 3, "intent": 3}


def test_no_sealed_file_opens_under_another_key(vault: Vault) -> None:
    """Guarantee G7: each file tried under the key of each slot of the vault."""
    say(vault, "one", "other", "third")
    with acting(vault, clock):
        for path in vault.paths():
            artefact, data = vault.artefact(path), path.read_bytes()
            assert _openers(vault, data) == [artefact.slot]


def _openers(vault: Vault, data: bytes) -> list[Slot]:
    found = []
    for slot in map(Slot, range(vault.ring.slot_count)):
        with vault.ring.key(slot) as key:
            try:
                Opener(key, lambda offset, size: data[offset : offset + size], len(data))
            except KeysError:
                continue
            found.append(slot)
    return found


def test_the_same_words_twice_look_different(vault: Vault) -> None:
    one, other = say(vault, "the same words", "the same words")
    first = [data[200:] for data in sealed_of(vault, one).values()]
    second = [data[200:] for data in sealed_of(vault, other).values()]
    assert not set(first) & set(second)


def test_erased_missing_and_never_there_are_three_answers(vault: Vault) -> None:
    erased, missing = say(vault, "erased", "missing")
    forget(vault, erased)
    for artefact in vault.artefacts(missing):
        artefact.path.unlink()
    with acting(vault, clock):
        with pytest.raises(Erased):
            vault.words_slot(erased)
        with pytest.raises(NotFound, match="audit"):
            vault.words_slot(missing)
        with pytest.raises(NotFound):
            vault.read(missing, TRANSCRIPT)
        with pytest.raises(NotFound):
            vault.resolve("0123456789abcdef" * 2)
        with pytest.raises(NoSuchSlot):
            vault.ring.key(Slot(4))


def test_a_file_of_another_vault_does_not_open(vault: Vault, tmp_path: Path) -> None:
    other = make(tmp_path / "elsewhere")
    say(vault, "mine")
    (theirs,) = say(other, "theirs")
    for artefact in other.artefacts(theirs):
        target = vault.bucket(theirs) / artefact.path.name
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(artefact.path.read_bytes())
    with acting(vault, clock):
        for artefact in vault.artefacts(theirs):
            with pytest.raises(Tampered, match="another vault"):
                vault.open(artefact)


def test_interactions_are_newest_first_without_the_erased(vault: Vault) -> None:
    ids = say(vault, "a", "b", "c", "d")
    forget(vault, ids[1])
    forget(vault, ids[2], only_audio=True)
    with acting(vault, clock):
        assert list(vault.interactions()) == [ids[3], ids[2], ids[0]]


def test_what_is_added_is_found_again_and_dies_with_the_words(vault: Vault) -> None:
    (only,) = say(vault, "words")
    with acting(vault, clock):
        write.add(vault, only, ("intent", b"derived"))
        write.add(vault, only, ("intent", b"derived twice"))
        notes = [a for a in vault.artefacts(only) if a.kind == "intent"]
        assert {bytes(vault.open(a).read()) for a in notes} == {b"derived", b"derived twice"}
    assert len(forget(vault, only).statement.erased[0].artefacts) == 5
    assert not list(vault.paths())


def test_large_and_empty_contents_come_back(vault: Vault) -> None:
    large = bytes(range(256)) * 1000
    with acting(vault, clock):
        interaction = write.create(vault, [(AUDIO, large), (TRANSCRIPT, b""), (META, b"x")])
        assert bytes(vault.read(interaction, AUDIO)) == large
        assert bytes(vault.read(interaction, TRANSCRIPT)) == b""


def test_a_vault_with_many_pages_of_slots_opens_anew(tmp_path: Path) -> None:
    """More slots than one page of the ring holds, with a rotation in between."""
    vault = make(tmp_path)
    first, gone = say(vault, "first", "gone")
    with acting(vault, clock):
        vault.ring.allocate(1100)
    forget(vault, gone)
    (last,) = say(vault, "last")
    again = reopen(tmp_path)
    with acting(again, clock):
        assert_whole(again, first, "first")
        assert_whole(again, last, "last")
        assert not again.ring.is_live(Slot(2))
