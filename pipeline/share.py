"""Letting content out of the vault: to the loudspeaker, to a folder sealed, to a folder in clear.

A plain export is a disclosure: it is in the log before the first byte leaves, and the interaction
keeps a sealed note of it, so that every later receipt can say what is beyond reach.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from keys.errors import Erased
from keys.model import InteractionId
from pipeline.artefact import AUDIO, DISCLOSURE, decode_audio
from pipeline.disclosures import disclose
from pipeline.errors import NoAudioDevice, NotFound, Refused
from pipeline.history import Row
from pipeline.model import RATE_HZ
from pipeline.vault import Vault

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def audio(vault: Vault, interaction: InteractionId) -> "NDArray[np.int16]":
    """Returns the samples of an interaction (n, int16, 16 kHz); raises `Erased`."""
    try:
        return decode_audio(vault.read(interaction, AUDIO))
    except NotFound:
        entry = vault.created(interaction)
        if entry and not all(vault.ring.is_live(slot) for slot, _ in entry.slots):
            text = f"the audio of interaction {interaction.hex()} has been erased, its words kept"
            raise Erased(text) from None
        raise


def play(pcm: "NDArray[np.int16]") -> None:
    """Plays samples on the default loudspeaker; raises `NoAudioDevice`."""
    try:
        import sounddevice

        sounddevice.play(pcm, RATE_HZ, blocking=True)
    except Exception as error:  # PortAudioError, or OSError where the library is missing
        raise NoAudioDevice(
            "the sound could not be played: no loudspeaker, or no sound system; "
            "`anechoic doctor` tells more"
        ) from error


def export_sealed(row: Row, folder: Path) -> list[Path]:
    """Copies the sealed files of an interaction into a folder: they die with it."""
    folder.mkdir(parents=True, exist_ok=True)
    targets = [folder / artefact.path.name for artefact in row.artefacts]
    for artefact, target in zip(row.artefacts, targets, strict=True):
        target.write_bytes(artefact.path.read_bytes())
    return targets


def export_plain(vault: Vault, row: Row, folder: Path, at: str) -> list[Path]:
    """Writes what was said into a folder in clear: `.wav` and `.json`; logged as a disclosure."""
    if folder.resolve().is_relative_to(vault.directory.resolve()):
        raise Refused(f"{folder} is inside the vault, where nothing may lie in clear")
    folder.mkdir(parents=True, exist_ok=True)
    fields = tuple(sorted({artefact.kind for artefact in row.artefacts} - {DISCLOSURE}))
    why = "export asked for by the user"
    disclose(vault, row.interaction, "plain-export", str(folder), fields, why, at)
    name = row.interaction.hex()
    return [
        *_write_audio(vault, row, folder / f"{name}.wav"),
        _write_text(row, folder / f"{name}.json"),
    ]


def _write_audio(vault: Vault, row: Row, target: Path) -> list[Path]:
    try:
        pcm = audio(vault, row.interaction)
    except Erased:
        return []
    import wave

    with wave.open(str(target), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes(pcm.astype("<i2").tobytes())
    return [target]


def _write_text(row: Row, target: Path) -> Path:
    words = [{"word": w.word, "start_ms": w.start_ms, "end_ms": w.end_ms} for w in row.words]
    meta = row.meta
    content = {
        "interaction": row.interaction.hex(),
        "started_at": meta.started_at,
        "seconds": row.seconds,
        "source": meta.source,
        "text": row.text,
        "words": words,
    }
    target.write_text(json.dumps(content, indent=2) + "\n")
    return target
