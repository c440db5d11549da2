"""What must hold of a vault that many work on: a model of what lives, and what is held against it.

The model learns what lives from whoever made it, and what died from whoever forgot it. What a
killed process was at may have happened or not, but as a whole; what falls due at this minute may be
gone or not. All else must be as the model says: what lives opens and is equal, what died opens
nowhere, neither here nor with all that the backups ever had. A problem names ids, never words.
"""

import contextlib
import math
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from keys.errors import Erased
from keys.model import InteractionId, Slot
from keys.sealed import HEADER_SIZE, parse_header
from pipeline.artefact import AUDIO, META, RECORD, TRANSCRIPT, Meta, Transcript, decode_audio
from pipeline.assistant.values import Action
from pipeline.errors import NotFound
from pipeline.reckoning import seconds_of
from pipeline.session import acting
from pipeline.vault import Vault
from tests.bench.noting import CANARY
from tests.household import reopen, sound_of
from tests.world.adversary import Adversary, opens, shares_in

_MINUTE_S = 60


@dataclass(slots=True)
class Said:
    """What the model knows of one interaction; no words where nobody could know them."""

    text: str | None = None
    label: str = ""
    processed_s: int = 0
    has_audio: bool = True


@dataclass
class Model:
    """What must live, and what must be dead; ids in hex."""

    audio_s: int
    words_s: int
    living: dict[str, Said] = field(default_factory=dict)
    dead: dict[str, str | None] = field(default_factory=dict)
    """With the words, where they are known: nobody may say them again."""
    doubtful: list[set[str]] = field(default_factory=list)
    """What processes that were killed were about to forget, each as a whole."""
    unsure_of_audio: set[str] = field(default_factory=set)
    records: set[str] = field(default_factory=set)

    def learn(self, interaction: str, text: str | None, label: str = "") -> None:
        """Learns of an interaction from whoever made it."""
        if interaction not in self.dead:
            it = self.living.setdefault(interaction, Said())
            it.text, it.label = text if it.text is None else it.text, label or it.label

    def bury(self, interactions: Iterable[str]) -> None:
        """Takes interactions for dead."""
        gone = set(interactions)
        for it in gone:
            said = self.living.pop(it, None)
            self.dead[it] = said.text if said else self.dead.get(it)
        self.doubtful = [group - gone for group in self.doubtful]

    def ends_s(self, said: Said, limit_s: int) -> int:
        """Returns the full minute by which a limit is over."""
        return math.ceil((said.processed_s + limit_s) / _MINUTE_S) * _MINUTE_S

    # --- held against a vault

    def check(self, base: Path) -> list[str]:
        """Returns what is wrong in the vault of `base`, looking at all of it under one lock."""
        vault = reopen(base)
        since_s = int(time.time())
        with acting(vault):
            until_s = time.time()
            here = {it.hex() for it in vault.interactions()}
            return [
                *self._fallen_due(here, since_s, until_s),
                *self._after_kills(here),
                *self._adopted(vault, here),
                *self._opened(vault, since_s, until_s),
                *self._records(vault),
            ]

    def _fallen_due(self, here: set[str], since_s: int, until_s: float) -> Iterator[str]:
        gone = set[str]()
        for id_, said in self.living.items():
            if said.processed_s and self.ends_s(said, self.words_s) <= until_s:
                if id_ in here and self.ends_s(said, self.words_s) <= since_s:
                    yield f"{id_} has fallen due and lives"
                elif id_ not in here:
                    gone.add(id_)
        self.bury(gone)

    def _after_kills(self, here: set[str]) -> Iterator[str]:
        groups, self.doubtful = self.doubtful, []
        for group in groups:
            if group & here and group - here:
                yield f"{len(group - here)} of {len(group)} were forgotten by a killed process"
            self.bury(group - here)

    def _adopted(self, vault: Vault, here: set[str]) -> Iterator[str]:
        said_by_dead = {text for text in self.dead.values() if text and CANARY in text}
        for id_ in here & self.dead.keys():
            yield f"{id_} was forgotten and lives"
        for id_ in here - self.living.keys() - self.dead.keys():
            text = _text(vault, id_)
            if text in said_by_dead:
                yield f"{id_} says what was forgotten"
            self.learn(id_, text)
        for id_ in self.living.keys() - here:
            yield f"{id_} should live and is gone"
        self.bury(self.living.keys() - here)

    def _opened(self, vault: Vault, since_s: int, until_s: float) -> Iterator[str]:
        for id_, said in self.living.items():
            with contextlib.suppress(NotFound):  # cut off while it was made: it has no words yet
                said.processed_s = seconds_of(_meta(vault, id_).processed_at)
            text = _text(vault, id_)
            if said.text is not None and text != said.text:
                yield f"{id_} opens and is not equal"
            said.text = text
            yield from self._audio(vault, id_, said, since_s, until_s)

    def _audio(
        self, vault: Vault, id_: str, said: Said, since_s: int, until_s: float
    ) -> Iterator[str]:
        found, ends_s = _sound(vault, id_), self.ends_s(said, self.audio_s)
        if id_ in self.unsure_of_audio or since_s < ends_s <= until_s:
            self.unsure_of_audio.discard(id_)
            said.has_audio = found is not None
        must_be = said.has_audio and (not said.processed_s or ends_s > until_s)
        if must_be != (found is not None):
            yield f"{id_}: its sound {'is gone' if must_be else 'should be gone'}"
        elif found is not None and not _is_sound_of(found, said.text):
            yield f"{id_}: its sound is not equal"

    def _records(self, vault: Vault) -> Iterator[str]:
        rows = (vault.read(it, RECORD) for it in vault.owned(RECORD))
        found = {Action.decode(it).label for it in rows}
        if lost := self.records - found:
            yield f"{len(lost)} kept records are gone"
        self.records |= found


def _text(vault: Vault, id_: str) -> str | None:
    with contextlib.suppress(NotFound):
        return Transcript.decode(vault.read(_id(id_), TRANSCRIPT)).text
    return None


def _is_sound_of(found: bytes, text: str | None) -> bool:
    """Tells whether this is the sound of a note; what was really heard only has to open."""
    pcm = decode_audio(found)
    return not text or CANARY not in text or np.array_equal(pcm, sound_of(text))


def _meta(vault: Vault, id_: str) -> Meta:
    return Meta.decode(vault.read(_id(id_), META))


def _sound(vault: Vault, id_: str) -> bytes | None:
    with contextlib.suppress(NotFound, Erased):
        return bytes(vault.read(_id(id_), AUDIO))
    return None


def _id(id_: str) -> InteractionId:
    return InteractionId(bytes.fromhex(id_))


@dataclass
class Backups:
    """Copies of a vault as it was while others worked on it, and a thief who has them all.

    `opened` tells what he opens of the dead with the share of now; with those of before, which he
    has not, the control, he must open some.
    """

    base: Path
    to: Path
    copies: list[Path] = field(default_factory=list)
    old_shares: set[bytes] = field(default_factory=set)
    _slots: dict[str, tuple[Slot, Path]] = field(default_factory=dict)

    def take(self) -> Path:
        """Copies the vault as it stands, with no lock, as a backup does: what goes is not there."""
        target = self.to / str(len(self.copies))
        for part in ("ring", "log", "sealed", "receipts"):
            for path in sorted((self.base / "vault" / part).rglob("*")):
                self._take_one(path, target / path.relative_to(self.base / "vault"))
        self.old_shares |= self._shares()  # for the control alone
        self.copies.append(target)
        return target

    def _take_one(self, path: Path, to: Path) -> None:
        with contextlib.suppress(FileNotFoundError):
            if path.is_file():
                to.parent.mkdir(parents=True, exist_ok=True)
                if "sealed" in path.parts:
                    to.hardlink_to(path)  # never written again, so a link is a copy
                    self._note(to)
                else:
                    shutil.copyfile(path, to)

    def _note(self, path: Path) -> None:
        if path.name not in self._slots:
            with open(path, "rb") as file:
                self._slots[path.name] = parse_header(file.read(HEADER_SIZE)).label.slot, path

    def _shares(self) -> set[bytes]:
        files = (self.base / "anchors").glob("*.share")
        return {share for it in files for share in shares_in(it.read_bytes())}

    def opened(self, model: Model) -> tuple[list[str], int]:
        """Returns the dead files that open, and how many would with the shares of before."""
        versions = list(self._states())
        now_ = Adversary(versions, {"file": self._shares()}).keys
        before = Adversary(versions, {"file": self.old_shares}).keys
        dead = [it for it in self._slots if self._is_dead(model, it)]
        found = [it for it in dead if self._opens(it, now_)]
        return found, sum(self._opens(it, before) for it in dead)

    def _states(self) -> Iterator[bytes]:
        rings = [self.base / "vault" / "ring", *(it / "ring" for it in self.copies)]
        for path in (it for ring in [*rings, self.base / "mirror"] for it in ring.rglob("*")):
            with contextlib.suppress(FileNotFoundError):
                if path.is_file() and "log" not in path.parts:
                    yield path.read_bytes()

    @staticmethod
    def _is_dead(model: Model, name: str) -> bool:
        owner, _, kind = name.split(".", 2)
        said = model.living.get(owner)
        return owner in model.dead or (said is not None and kind == AUDIO and not said.has_audio)

    def _opens(self, name: str, keys: Mapping[Slot, set[bytes]]) -> bool:
        slot, path = self._slots[name]
        return slot in keys and any(opens(key, path.read_bytes()) for key in keys[slot])
