"""The doctor: what on this machine weakens erasure or keeps the pipeline from working.

Looks at a vault from outside and opens none, so that it helps most when one does not open.
"""

import json
from pathlib import Path

from keys.anchor.medium import Medium, level_of, medium_of
from pipeline import machine, models, recovery
from pipeline.errors import NoModel
from pipeline.machine import BAD, OK, WARN, Finding
from pipeline.terminal import count

TAG = ".nobackup"
"""A file that backup programs can be told to look for in a folder, to leave it out."""


def findings(vault: Path, anchors: Path) -> list[Finding]:
    """Returns everything looked at, in the order in which a person should act on it."""
    return [
        _vault(vault),
        _share(vault, anchors),
        _anchor(anchors),
        _apart(vault, anchors),
        _copies(vault),
        machine.swap(),
        machine.core_dumps(),
        *(machine.permissions(path) for path in (vault, anchors) if path.exists()),
        _model(),
        _sound(),
    ]


def is_tagged(anchors: Path) -> bool:
    """Tells whether backup programs that look for it are told to leave the anchors out."""
    return (anchors / TAG).is_file()


def _anchor(anchors: Path) -> Finding:
    level = level_of(medium_of(anchors))
    state = OK if level.letter < "D" else WARN
    remedy = "" if state == OK else "put ANECHOIC_ANCHOR_DIR on ext4 or xfs, on a disk of its own"
    return Finding("anchor", state, f"level {level.letter}: {level.rests_on}", remedy)


def _apart(vault: Path, anchors: Path) -> Finding:
    inside = anchors.resolve().is_relative_to(vault.resolve())
    if not inside:
        marked = f", is marked by a {TAG}" if is_tagged(anchors) else ""
        return Finding(
            "anchor apart",
            WARN,
            f"{anchors} is outside the vault{marked}; whether backups take it cannot be seen from "
            "here",
            f"leave {anchors} out of every backup: a copy of it revives what was erased after",
        )
    return Finding("anchor apart", BAD, f"{anchors} is inside the vault", "set ANECHOIC_ANCHOR_DIR")


def _vault(vault: Path) -> Finding:
    medium: Medium = medium_of(vault)
    where = f"{vault} on {medium.filesystem}: any file system will do"
    return Finding("vault", OK, where if _identity(vault) else f"none yet in {where}")


def _share(vault: Path, anchors: Path) -> Finding:
    """Tells whether the anchor's file is there at all: without it a vault opens for nobody."""
    identity = _identity(vault)
    if identity is None:
        return Finding("anchor file", OK, "none yet, as there is no vault")
    share = anchors / f"{identity}.share"
    if share.is_file():
        return Finding("anchor file", OK, str(share))
    remedy = "put the file back, or name its directory in ANECHOIC_ANCHOR_DIR"
    return Finding("anchor file", BAD, f"{share} is missing: the vault opens for nobody", remedy)


def _copies(vault: Path) -> Finding:
    """Tells of recovery copies by the log alone: each opens what was live when it was made."""
    try:
        with (vault / "log" / "entries").open("rb") as log:
            found = recovery.told_in(log)
    except OSError:
        found = []
    if not found:
        return Finding("recovery copies", OK, "none that is awaited")
    remedy = f"when it is destroyed: anechoic anchor remove {found[0]} --destroyed"
    return Finding("recovery copies", WARN, f"{', '.join(found)}: receipts wait for it", remedy)


def _identity(vault: Path) -> str | None:
    try:
        return str(json.loads((vault / "vault.json").read_text())["vault"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _model() -> Finding:
    try:
        return Finding("model", OK, str(models.find(None)))
    except NoModel as error:
        return Finding("model", WARN, str(error), "anechoic model fetch")


def _sound() -> Finding:
    try:
        import sounddevice  # macOS and Windows have the library inside of it
    except OSError:
        remedy = "install it: apt-get install libportaudio2, or your system's own way"
        return Finding("sound", WARN, "the library PortAudio is missing", remedy)
    try:
        devices = sounddevice.query_devices()
    except Exception as error:  # noqa: BLE001 - whatever a sound system can be out of order with
        found = f"PortAudio, and the sound system does not answer ({type(error).__name__})"
        return Finding("sound", WARN, found, "start the sound server, or ask it what is wrong")
    inputs = sum(device["max_input_channels"] > 0 for device in devices)
    if inputs:
        return Finding("sound", OK, f"PortAudio, {count(inputs, 'device')} to record from")
    found = "PortAudio, and no device to record from"
    return Finding("sound", WARN, found, "plug in a microphone; files need none")
