"""A household to test with: vaults without microphone or model, on a real or a simulated disk.

Interactions are sealed from text, with a moment of sound that is real FLAC. `Words` and sound are
made from the text, so that what was sealed can be told again from it. `HouseDisk` is the simulated
disk with directories among its names, which a vault needs.
"""

import hashlib
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from keys.durable import Disk, RealDisk
from keys.model import InteractionId, Slot
from pipeline import write
from pipeline.artefact import (
    AUDIO,
    META,
    TRANSCRIPT,
    Meta,
    Transcript,
    decode_audio,
    encode_audio,
)
from pipeline.erase import Erasure, erase
from pipeline.model import RATE_HZ, Word
from pipeline.plan import make_plan
from pipeline.session import acting, create_vault, open_vault
from pipeline.vault import Vault
from tests.world.adversary import Adversary, shares_in
from tests.world.disk import Change, Medium, SimulatedDisk, When, one, parent_of

NOON = "2026-03-01T12:00:00Z"
SOUND_MS = 50


def clock() -> str:
    return NOON


def no_passphrase() -> bytearray:
    return bytearray()


class HouseDisk(SimulatedDisk):
    """The simulated disk; its names of a directory include directories, as a real one's do.

    Unless `tears_hashes`, the hashes of the log arrive whole and at once, or not at all.
    """

    tears_hashes = False

    def __init__(self, medium: Medium, history: tuple[tuple[Path, bytes], ...] = ()) -> None:
        super().__init__(medium, history)
        self._number_from()

    def names(self, directory: Path) -> list[str]:
        here = one(directory)
        below = (path.name for path in self.cached.directories if parent_of(path) is here)
        return sorted({*super().names(directory), *below} - {""})

    def _perform(self, what: str, path: Path, changes: Sequence[Change]) -> None:
        if path.parts[-2:] != ("log", "hashes") or self.tears_hashes or not changes:
            super()._perform(what, path, changes)
            return
        self._start(what, path)
        self.durable, self.cached = self.durable.after(changes), self.cached.after(changes)
        self._version(changes[-1], path)
        self._moment(what, path, When.AFTER)

    def fork(self) -> "HouseDisk":
        other, base = HouseDisk(self.durable, self.history), super().fork()
        other.cached, other.unsynced, other.tears = base.cached, base.unsynced, self.tears
        other.tears_hashes = self.tears_hashes
        other._number_from()
        return other

    def _number_from(self) -> None:
        # Beyond every number in use, also that of a file with a name and no content yet.
        used = (*self.cached.contents, *self.cached.names.values())
        self._numbers = itertools.count(1 + max(used, default=0))


def house_disk(base: Path) -> HouseDisk:
    """Returns an empty simulated disk with `base`, which is made on the real disk as well.

    The lock of a vault is the operating system's and lies on the real disk.
    """
    (base / "vault").mkdir(parents=True, exist_ok=True)
    return HouseDisk(Medium(frozenset({base, *base.parents})))


def settled(disk: HouseDisk) -> HouseDisk:
    """Returns the disk as it is when the machine was shut down in peace."""
    return HouseDisk(disk.cached, disk.history)


def make(base: Path, disk: Disk | None = None, passphrase: bytearray | None = None) -> Vault:
    """Makes a vault in `base`/vault, with its anchor in `base`/anchors."""
    return create_vault(
        base / "vault", base / "anchors", passphrase=passphrase, disk=disk or RealDisk()
    )


def reopen(base: Path, disk: Disk | None = None) -> Vault:
    """Opens the vault in `base`, as another process would."""
    return open_vault(base / "vault", base / "anchors", no_passphrase, disk or RealDisk())


@lru_cache(256)
def sound_of(text: str) -> NDArray[np.int16]:
    """Returns noise (n, int16, 16 kHz) that no other text has."""
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])
    chance = np.random.default_rng(seed)
    return chance.integers(-9000, 9000, RATE_HZ * SOUND_MS // 1000, dtype=np.int16)


@lru_cache(256)
def flac_of(text: str) -> bytes:
    return encode_audio(sound_of(text))


def words_of(text: str) -> Transcript:
    words = text.split()
    return Transcript(tuple(Word(w, 10 * n, 10 * n + 9, 1.0) for n, w in enumerate(words)))


def parts_of(
    text: str, started_at: str = "2026-02-01T08:00:00.000Z", profile: str = "default"
) -> list[write.Part]:
    meta = Meta(started_at, SOUND_MS, profile, "/nowhere/sample.wav", 0, "none")
    return [(AUDIO, flac_of(text)), (TRANSCRIPT, words_of(text).encode()), (META, meta.encode())]


def say(vault: Vault, *texts: str, profile: str = "default") -> list[InteractionId]:
    """Seals one interaction for each text, one second after the other."""
    found = []
    for n, text in enumerate(texts):
        with acting(vault, clock):
            parts = parts_of(text, f"2026-02-01T08:{n // 60:02}:{n % 60:02}.000Z", profile)
            found.append(write.create(vault, parts))
    return found


def forget(vault: Vault, *interactions: InteractionId, only_audio: bool = False) -> Erasure:
    """Forgets interactions as the command does, under one lock."""
    with acting(vault, clock):
        return erase(vault, make_plan(vault, interactions, NOON, only_audio=only_audio), clock)


def assert_whole(vault: Vault, interaction: InteractionId, text: str) -> None:
    """Asserts that everything sealed of an interaction opens and is what `text` made."""
    assert words_of(text) == Transcript.decode(vault.read(interaction, TRANSCRIPT))
    assert Meta.decode(vault.read(interaction, META)).duration_ms == SOUND_MS
    assert np.array_equal(decode_audio(vault.read(interaction, AUDIO)), sound_of(text))


def strangers(vault: Vault, files: Mapping[Path, bytes]) -> set[Path]:
    """Returns those of the files that are none of a vault's with nothing left to settle."""
    base = vault.directory.parent
    ours = {vault.directory / name for name in ("vault.json", "lock", "lock.queue", "agenda")}
    ours |= {vault.directory / "log" / name for name in ("entries", "hashes")}
    state = f"state-{vault.ring.epoch:020}"
    ours |= {vault.directory / "ring" / name for name in ("pages", state)}
    ours |= {base / "anchors" / f"{vault.id.hex()}.share"}
    ours |= {path for path in files if path.parent == vault.receipts and path.suffix == ".receipt"}
    ours |= {path for path in files if path.parent == vault.directory / "live"}
    return {path for path in files if path not in ours and path.parents[1] != vault.sealed}


def real_files(base: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in base.rglob("*") if path.is_file()}


@dataclass(frozen=True, slots=True)
class Thief:
    """What an adversary of G1 has: all versions of the files outside `anchors`, and shares."""

    versions: list[bytes]
    shares: set[bytes]

    def opens(self, sealed: bytes) -> bool:
        return self._adversary().opens(sealed)

    def opened(self, files: Mapping[str, bytes]) -> set[str]:
        return self._adversary().opened(files)

    @property
    def keys(self) -> Mapping[Slot, set[bytes]]:
        """All keys that he finds, by slot."""
        return self._adversary().keys

    def _adversary(self) -> Adversary:
        return Adversary(self.versions, {"file": self.shares})


def thief_of(disk: HouseDisk, anchors: Path) -> Thief:
    """Returns who has all that this simulated disk ever held, and the medium of the anchor now."""
    shares = {share for raw in disk.durable.raw(anchors) for share in shares_in(raw)}
    return Thief(disk.versions(outside=anchors), shares)


def sealed_of(vault: Vault, interaction: InteractionId) -> dict[str, bytes]:
    """Returns the sealed files of an interaction by name."""
    return {a.path.name: bytes(vault.disk.read(a.path)) for a in vault.artefacts(interaction)}


def identity(base: Path) -> dict[str, object]:
    row: dict[str, object] = json.loads((base / "vault" / "vault.json").read_bytes())
    return row
