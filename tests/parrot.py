"""Listening without a clock, a microphone or a model: a script speaks, and a parrot hears it.

A voice is a loud block, silence a quiet one; the parrot knows one word for each loudness. Nothing
is tested here.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from keys.durable import RealDisk
from keys.errors import StateUnknown
from keys.model import InteractionId
from pipeline import history
from pipeline.artefact import AUDIO, decode_audio
from pipeline.audit import audit
from pipeline.capture import Back, Block, Event, Gone
from pipeline.heard import Dropped, Heard, Partial, Said
from pipeline.listen import LIVE, Request, listen
from pipeline.model import RATE_HZ, Word
from pipeline.recognise import OnPartial
from pipeline.safekeeping import Keeper
from pipeline.segment import CHUNK_SAMPLES, Endpointing
from pipeline.session import acting
from pipeline.vault import Vault
from tests.household import clock, make
from tests.test_canary import PHRASE, variables

LOUD = 1000
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
WORDS = PHRASE.split()


def voice(word: int, seconds: float) -> list[Event]:
    """Returns blocks of a voice that says one word of the phrase, over and over."""
    chance = np.random.default_rng(word)
    count = round(seconds * RATE_HZ / CHUNK_SAMPLES)
    rows = [chance.integers(-50, 50, CHUNK_SAMPLES, dtype=np.int16) for _ in range(count)]
    return [Block((row + LOUD * (word + 1)).astype(np.int16)) for row in rows]


def silence(seconds: float) -> list[Event]:
    count = round(seconds * RATE_HZ / CHUNK_SAMPLES)
    return [Block(np.zeros(CHUNK_SAMPLES, np.int16)) for _ in range(count)]


def probability(chunk: NDArray[np.int16]) -> float:
    return float(abs(int(np.median(chunk))) >= LOUD // 2)


@dataclass
class Script:
    """A source that brings these events; what stands between them is called in passing."""

    script: Sequence[object]
    name: str = "a script"

    def events(self) -> Iterator[Event]:
        for it in self.script:
            if callable(it):
                it()
            else:
                assert isinstance(it, Block | Gone | Back)
                yield it


class Parrot:
    """Hears the word that the loudness stands for; above those of the phrase, nothing at all."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.samples = 0
        self.words: list[Word] = []

    def take(self, pcm: NDArray[np.int16]) -> None:
        for at in range(0, len(pcm), CHUNK_SAMPLES):
            number = round(float(np.median(pcm[at : at + CHUNK_SAMPLES])) / LOUD) - 1
            start_ms = self.samples * 1000 // RATE_HZ
            self.samples += CHUNK_SAMPLES
            if 0 <= number < len(WORDS) and WORDS[number] not in self.so_far().split()[-1:]:
                self.words.append(Word(WORDS[number], start_ms, start_ms + 32, 1.0))

    def so_far(self) -> str:
        return " ".join(word.word for word in self.words)

    def finish(self) -> tuple[Word, ...]:
        words = tuple(self.words)
        self.abandon()
        return words

    def abandon(self) -> None:
        self.words, self.samples = [], 0

    def recognise(
        self,
        pcm: NDArray[np.int16],
        on_partial: OnPartial | None = None,  # noqa: ARG002 - as the protocol has it
    ) -> tuple[Word, ...]:
        self.abandon()
        self.take(pcm)
        return self.finish()


def hear(
    keeper: Keeper, *script: object, once: bool = False, endpointing: Endpointing = LIVE
) -> list[Heard]:
    flat = [it for each in script for it in (each if isinstance(each, list) else [each])]
    request = Request("default", "a parrot", once=once, endpointing=endpointing)
    found = listen(Script(flat), keeper, Parrot(), probability, request, lambda: NOON)
    return [event for event in found if isinstance(event, Partial | Said | Dropped | Gone | Back)]


def said(events: list[Heard]) -> list[Said]:
    return [event for event in events if isinstance(event, Said)]


@dataclass
class Home:
    """A vault, and what holds for it once all is over."""

    base: Path
    vault: Vault
    known: list[InteractionId] = field(default_factory=list)

    def assert_sound(self) -> None:
        with acting(self.vault, clock):
            assert audit(self.vault).problems == []
            assert self.vault.disk.names(self.vault.capture) == []

    def row(self, it: Said) -> history.Row:
        assert it.interaction is not None
        with acting(self.vault, clock):
            return history.one(self.vault, it.interaction, "show")

    def heard(self, it: Said) -> NDArray[np.int16]:
        assert it.interaction is not None
        with acting(self.vault, clock):
            return decode_audio(self.vault.read(it.interaction, AUDIO))

    @property
    def interactions(self) -> list[InteractionId]:
        with acting(self.vault, clock):
            return list(self.vault.interactions())

    @property
    def log(self) -> str:
        return (self.vault.directory / "log" / "entries").read_text()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    for name, value in variables(tmp_path).items():
        monkeypatch.setenv(name, value)
    return Home(tmp_path, make(tmp_path))


class FullDisk(RealDisk):
    """A disk that is full from some moment on."""

    is_full = False

    def write(self, path: Path, offset: int, data: bytes | bytearray | memoryview) -> None:
        if self.is_full:
            raise StateUnknown(f"could not write {path}: No space left on device")
        super().write(path, offset, data)
