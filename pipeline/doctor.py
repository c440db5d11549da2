"""The doctor: what on this machine weakens erasure or keeps the pipeline from working.

Looks at a vault from outside, so that it helps most when one does not open. What only its keys
tell is looked for where it opens without a question, and said to be unknown where it does not.
"""

from collections.abc import Iterator
from pathlib import Path

from keys.anchor.medium import Medium, level_of, medium_of
from keys.durable import RealDisk
from keys.errors import KeysError
from pipeline import machine, models, recovery, settingsfile
from pipeline.anchors import file_of, parse_spec
from pipeline.errors import NoModel
from pipeline.identity import Identity, read_identity
from pipeline.machine import BAD, OK, WARN, Finding
from pipeline.session import acting, open_vault
from pipeline.terminal import count
from pipeline.vault import Vault

_WAIT_S = 1.0
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


def looked_into(vault: Path, anchors: Path) -> Iterator[Finding]:
    """Yields what is wrong inside of a vault, by an act on it; asks nobody for a passphrase."""
    identity = _identity(vault)
    if identity is None:
        return
    if identity.passphrase_salt:
        what = "not looked at: the vault has a passphrase; `anechoic audit` asks for it, and looks"
        yield Finding("settings", OK, what)
        return
    try:
        it = open_vault(vault, anchors, bytearray)
        with acting(it, wait_s=_WAIT_S):
            yield of_settings(it)
    except (KeysError, OSError) as error:
        what = f"not looked at, as the vault does not open: {error}"
        yield Finding("settings", WARN, what, "see to that first, then run this again")


def of_settings(vault: Vault) -> Finding:
    """Tells whether the settings can be read; the caller holds the lock."""
    if lost := settingsfile.trouble(vault):
        return Finding("settings", BAD, lost, "anechoic restore COPY")
    return Finding("settings", OK, "they open" if settingsfile.lying(vault) else "none were set")


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
    """Tells whether the anchors' files are there at all: without them a vault opens for nobody."""
    identity = _identity(vault)
    if identity is None:
        return Finding("anchor file", OK, "none yet, as there is no vault")
    ways = [
        [path for name in way if (path := file_of(name, anchors, identity.id))]
        for way in parse_spec(identity.anchor)
    ]
    missing = [path for way in ways for path in way if not path.is_file()]
    if not missing:
        found = ", ".join(str(path) for way in ways for path in way)
        return Finding("anchor file", OK, found or "none is needed: the keyring has it")
    opens = any(not set(way) & set(missing) for way in ways)
    return Finding(
        "anchor file",
        WARN if opens else BAD,
        f"{', '.join(map(str, missing))} is missing: the vault opens "
        + ("by another way, and receipts wait for this one" if opens else "for nobody"),
        "attach it, put the file back, or name its directory in ANECHOIC_ANCHOR_DIR",
    )


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


def _identity(vault: Path) -> Identity | None:
    try:
        return read_identity(vault, RealDisk())
    except (KeysError, OSError):
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
