"""Letting content out: sealed copies die with their interaction, plain ones are on record."""

import json
import sys
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from keys.entry import Noted
from keys.errors import Erased
from keys.model import InteractionId
from pipeline import history, share
from pipeline.artefact import DISCLOSURE, Disclosure
from pipeline.errors import NoAudioDevice, NotFound, Refused
from pipeline.session import acting
from pipeline.vault import Vault
from tests.household import NOON, clock, forget, make, say, sealed_of, sound_of

WORDS = "call my doctor tomorrow"


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return make(tmp_path)


@pytest.fixture
def only(vault: Vault) -> InteractionId:
    (only,) = say(vault, WORDS)
    return only


def export(vault: Vault, interaction: InteractionId, folder: Path) -> list[Path]:
    with acting(vault, clock):
        row = history.one(vault, interaction, "export")
        return share.export_plain(vault, row, folder, NOON)


def disclosed(vault: Vault) -> list[tuple[int, Noted]]:
    entries = ((n, entry) for n, entry in vault.log.scan() if isinstance(entry, Noted))
    return [(n, entry) for n, entry in entries if entry.act == "disclose"]


def test_a_sealed_copy_is_byte_for_byte_what_the_vault_has(
    vault: Vault, only: InteractionId, tmp_path: Path
) -> None:
    with acting(vault, clock):
        copies = share.export_sealed(history.one(vault, only, "export"), tmp_path / "a" / "b")
        assert {path.name: path.read_bytes() for path in copies} == sealed_of(vault, only)
        assert not disclosed(vault)


def test_a_plain_copy_holds_what_was_said(
    vault: Vault, only: InteractionId, tmp_path: Path
) -> None:
    sound, text = export(vault, only, tmp_path / "out")
    with wave.open(str(sound)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 16000)
        assert np.array_equal(np.frombuffer(file.readframes(10**6), "<i2"), sound_of(WORDS))
    content = json.loads(text.read_text())
    assert (content["interaction"], content["text"]) == (only.hex(), WORDS)
    assert [it["word"] for it in content["words"]] == WORDS.split()


def test_a_plain_copy_is_on_record_with_all_that_one_may_ask(
    vault: Vault, only: InteractionId, tmp_path: Path
) -> None:
    export(vault, only, tmp_path / "out")
    with acting(vault, clock):
        (index, entry), *more = disclosed(vault)
        assert (entry.how, entry.interactions, more) == ("plain-export", (only,), [])
        (found,) = history.detail(vault, only).disclosures
        fields = ("audio", "meta", "transcript")
        why = "export asked for by the user"
        to = str(tmp_path / "out")
        assert found == Disclosure("plain export", to, fields, why, NOON, index)


def test_it_is_on_record_before_the_first_byte_leaves(
    vault: Vault, only: InteractionId, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(share, "_write_audio", _failing)
    with pytest.raises(OSError, match="full"):
        export(vault, only, tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())
    assert len(disclosed(vault)) == 1
    assert [a.kind for a in vault.artefacts(only)].count(DISCLOSURE) == 1
    assert "plain export" in forget(vault, only).statement.disclosed[0]


def _failing(*_: object) -> list[Path]:
    raise OSError("full")


def test_without_its_audio_the_words_alone_leave(
    vault: Vault, only: InteractionId, tmp_path: Path
) -> None:
    forget(vault, only, only_audio=True)
    (text,) = export(vault, only, tmp_path / "out")
    assert text.suffix == ".json"
    with acting(vault, clock):
        assert history.detail(vault, only).disclosures[0].fields == ("meta", "transcript")


def test_what_is_forgotten_does_not_leave(
    vault: Vault, only: InteractionId, tmp_path: Path
) -> None:
    forget(vault, only)
    with pytest.raises(Erased):
        export(vault, only, tmp_path / "out")
    with acting(vault, clock), pytest.raises((Erased, NotFound)):
        share.audio(vault, only)
    assert not (tmp_path / "out").exists()
    assert not disclosed(vault)


@pytest.mark.parametrize("inside", [".", "sealed", "export/deep", "../vault/x"])
def test_nothing_is_put_into_the_vault_in_clear(
    vault: Vault, only: InteractionId, inside: str
) -> None:
    with pytest.raises(Refused, match="inside the vault"):
        export(vault, only, vault.directory / inside)
    assert not disclosed(vault)
    assert not (vault.directory / "export").exists()


def test_a_file_where_the_folder_should_be_is_refused_before_it_is_on_record(
    vault: Vault, only: InteractionId, tmp_path: Path
) -> None:
    (tmp_path / "out").write_bytes(b"mine")
    with pytest.raises(OSError, match="exists"):
        export(vault, only, tmp_path / "out")
    assert not disclosed(vault)
    assert (tmp_path / "out").read_bytes() == b"mine"


class _Silent:
    """A sound system without a loudspeaker."""

    @staticmethod
    def play(*_: object, **__: object) -> None:
        raise RuntimeError("PortAudio: no device")


class _Loud:
    """A loudspeaker that keeps what it played."""

    def __init__(self) -> None:
        self.played: list[tuple[object, int, bool]] = []

    def play(self, pcm: object, rate_hz: int, *, blocking: bool) -> None:
        self.played.append((pcm, rate_hz, blocking))


def test_playing_without_a_loudspeaker_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", _Silent)
    with pytest.raises(NoAudioDevice, match="anechoic doctor"):
        share.play(sound_of(WORDS))


def test_playing_plays_all_of_it_at_its_rate(
    vault: Vault, only: InteractionId, monkeypatch: pytest.MonkeyPatch
) -> None:
    loud = _Loud()
    monkeypatch.setitem(sys.modules, "sounddevice", loud)
    with acting(vault, clock):
        share.play(share.audio(vault, only))
    ((pcm, rate_hz, blocking),) = loud.played
    assert isinstance(pcm, np.ndarray)
    assert np.array_equal(pcm, sound_of(WORDS))
    assert (rate_hz, blocking) == (16000, True)


Act = Callable[[Vault, InteractionId], object]
READS: list[tuple[str, Act]] = [
    ("history", lambda vault, _: history.history(vault, history.Filter(), None)),
    ("search", lambda vault, _: history.search(vault, ["doctor"])),
    ("show", history.detail),
    ("export", lambda vault, only: history.one(vault, only, "export")),
]


@pytest.mark.parametrize(("how", "read"), READS, ids=[how for how, _ in READS])
def test_every_read_is_on_record(vault: Vault, only: InteractionId, how: str, read: Act) -> None:
    with acting(vault, clock):
        read(vault, only)
        last = [entry for _, entry in vault.log.scan()][-1]
        assert last == Noted("read", how, (only,), NOON[:10])
        assert how in [it.how for it in history.detail(vault, only).reads]


def test_a_search_that_finds_nothing_reads_nothing_out(vault: Vault, only: InteractionId) -> None:
    assert only
    with acting(vault, clock):
        size = vault.log.size
        assert history.search(vault, ["nothing", "doctor"]) == []
        assert history.search(vault, []) == []
        assert vault.log.size == size


def test_history_is_newest_first_and_stops_at_the_limit(vault: Vault) -> None:
    ids = say(vault, *(f"number {n}" for n in range(70)))
    with acting(vault, clock):
        found = history.history(vault, history.Filter(), 66)
        assert [row.interaction for row in found] == ids[:3:-1]
        notes = [entry for _, entry in vault.log.scan() if isinstance(entry, Noted)]
        assert [len(entry.interactions) for entry in notes] == [64, 2]
