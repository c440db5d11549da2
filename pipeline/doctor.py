"""The doctor: what on this machine weakens erasure or keeps the pipeline from working.

Looks at a vault from outside, so that it helps most when one does not open. What only its keys
tell is looked for where it opens without a question, and said to be unknown where it does not.
"""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from keys.anchor import Level
from keys.anchor.medium import Medium, level_of, medium_of
from keys.durable import RealDisk
from keys.errors import AnchorFailure, KeysError
from pipeline import machine, models, recovery, settingsfile
from pipeline.anchors import file_of, parse_spec, place_of, ways_of
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
        _anchor(vault, anchors),
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


def _anchor(vault: Path, anchors: Path) -> Finding:
    """Tells the level of the anchors that the vault has; where there is none yet, of the usual."""
    identity = _identity(vault)
    if identity is None:
        return _of_levels([[("file", level_of(medium_of(anchors)))]])
    ways = parse_spec(identity.anchor)
    return _of_levels([[(it, _level(identity, it, anchors)) for it in way] for way in ways])


def _of_levels(ways: Sequence[Sequence[tuple[str, Level | None]]]) -> Finding:
    """An erasure needs one wiped share of each way: the best of the worst way is what holds."""
    name, level = max((min(way, key=_by_letter) for way in ways), key=_by_letter)
    state = OK if level and level.letter < "D" else WARN
    told = "; ".join(_told(*it) for way in ways for it in way)
    if sum(map(len, ways)) > 1:
        told = f"level {level.letter if level else 'not known'} in all: {told}"
    return Finding("anchor", state, told, "" if state == OK else _better(name))


def _by_letter(it: tuple[str, Level | None]) -> str:
    return it[1].letter if it[1] else "Z"


def _told(name: str, level: Level | None) -> str:
    if level is None:
        return f"{name}: it is not here, so nothing can be said of its level"
    return f"{name}, level {level.letter}: {level.rests_on}"


def _better(name: str) -> str:
    """Returns what to do about an anchor that is not good enough, or not here."""
    if name == "file":
        return "put ANECHOIC_ANCHOR_DIR on ext4 or xfs, on a disk of its own"
    what = f"`anechoic anchor add file --to {name}`: both are needed then, and either one erases"
    return f"see that it is here, on ext4 or xfs; or {what}" if name.startswith("file:") else what


def _level(identity: Identity, name: str, anchors: Path) -> Level | None:
    """Returns the level of one anchor as it is measured now; None where it does not answer."""
    path = file_of(name, anchors, identity.id)
    ((anchor,),) = ways_of(name, RealDisk(), anchors, identity.id)
    with contextlib.suppress(AnchorFailure, OSError):
        if path is None or path.is_file():
            return anchor.level()
    return None


def _apart(vault: Path, anchors: Path) -> Finding:
    """Tells whether the anchors lie outside of the vault, and what backups must not take."""
    identity = _identity(vault)
    names = [it for way in parse_spec(identity.anchor) for it in way] if identity else ["file"]
    folders = sorted({place_of(it) or anchors for it in names if it.startswith("file")})
    if inside := [it for it in (*folders, anchors) if it.resolve().is_relative_to(vault.resolve())]:
        other = "set ANECHOIC_ANCHOR_DIR, or add an anchor file:DIR elsewhere and remove this one"
        return Finding("anchor apart", BAD, f"{inside[0]} is inside the vault", other)
    stores = ["the files of the session's key store"] if "keyring" in names else []
    if not folders and not stores:
        return Finding("anchor apart", OK, "a TPM gives an old value to nobody, whatever is copied")
    marked = [f"{it}, marked by a {TAG}" if is_tagged(it) else str(it) for it in folders]
    return Finding(
        "anchor apart",
        WARN,
        f"{'; '.join(marked + stores)}: outside the vault; whether backups take it cannot be seen "
        "from here",
        f"leave {' and '.join([*map(str, folders), *stores])} out of every backup: a copy of it "
        "revives what was erased after",
    )


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
