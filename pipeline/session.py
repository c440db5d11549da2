"""Opening a vault, or making one, and taking turns at it.

Every door (command line, web page, Wyoming) works through `open_vault` and `acting`, so that what a
crash left half done is settled before anything else happens, wherever it is found first.
"""

import contextlib
import secrets
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from keys.durable import Disk, RealDisk
from keys.lock import WAIT_S, locked
from keys.log import Log
from keys.mirror import MARK, MirroredDisk
from keys.model import ID_SIZE
from keys.root import Roots
from pipeline import anchoring, erase, retention
from pipeline.anchors import check_places, format_spec, parse_spec, ways_of
from pipeline.errors import Refused
from pipeline.identity import FORMAT, Identity, read_identity, write_identity
from pipeline.passphrase import stretch
from pipeline.vault import Vault

_LOCKS = {"lock", "lock.queue"}
_OURS = {*_LOCKS, "ring", "log", "sealed", "capture", "receipts", "vault.json", "vault.json.new"}

AskPassphrase = Callable[[], bytearray]
"""Returns the passphrase in UTF-8; called only when the vault has one."""


def now() -> str:
    """Returns the time in UTC to the second, RFC 3339."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def now_ms() -> str:
    """Returns the time in UTC to the millisecond, RFC 3339."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@contextlib.contextmanager
def acting(vault: Vault, clock: erase.Clock = now, wait_s: float = WAIT_S) -> Iterator[None]:
    """Holds the vault for one act, after settling what a crash has left; raises `Busy`.

    What has fallen due is erased before the act: nothing can be done with it any more.
    """
    with locked(vault.directory / "lock", wait_s):
        vault.clock = clock
        anchoring.follow(vault)
        vault.refresh()
        erase.settle(vault, clock)
        retention.enforce(vault, clock)
        yield


def exists(directory: Path, disk: Disk | None = None) -> bool:
    """Tells whether there is a vault in the directory."""
    return (disk or RealDisk()).size(directory / MARK) is not None


def create_vault(
    directory: Path,
    anchors: Path,
    anchor: str = "file",
    passphrase: bytearray | None = None,
    disk: Disk | None = None,
) -> Vault:
    """Makes a vault; raises `Refused` where one is, or where the directory holds something else."""
    disk, anchor = disk or RealDisk(), format_spec(parse_spec(anchor))
    check_places(parse_spec(anchor), (directory,), anchors)
    if foreign := set(disk.names(directory)) - _OURS:
        raise Refused(f"{directory} holds other things ({min(foreign)}, …); name an empty one")
    for place in (directory, anchors):
        _make_durable(place, disk)
    salt = secrets.token_hex(ID_SIZE) if passphrase is not None else None
    identity = Identity(FORMAT, secrets.token_hex(ID_SIZE), anchor, None, (), salt)
    with locked(directory / "lock"):
        _make_room(directory, disk)
        vault = _assemble(directory, anchors, identity, disk, lambda: passphrase or bytearray())
        for part in (vault.sealed, vault.capture, vault.receipts):
            disk.make_dir(part)
        vault.ring.create()
        vault.log.create()
        # Last, and atomically: until this file is there, there is no vault.
        write_identity(directory, identity, disk)
    return vault


def open_vault(
    directory: Path, anchors: Path, ask: AskPassphrase, disk: Disk | None = None
) -> Vault:
    """Opens the vault in the directory; raises `Refused` where there is none, `AnchorFailure`."""
    disk = disk or RealDisk()
    if not exists(directory, disk):
        raise Refused(f"no vault in {directory}; `anechoic init` makes one")
    return _assemble(directory, anchors, read_identity(directory, disk), disk, ask)


def _assemble(
    directory: Path, anchors: Path, identity: Identity, disk: Disk, ask: AskPassphrase
) -> Vault:
    salt = identity.passphrase_salt
    secret = stretch(ask(), bytes.fromhex(salt)) if salt else None
    mirrored = MirroredDisk(disk, directory, tuple(map(Path, identity.mirrors)))
    log = Log(mirrored, directory / "log", identity.id)

    def roots_of(spec: str) -> Roots:
        return Roots(identity.id, ways_of(spec, disk, anchors, identity.id), secret)

    return Vault(directory, identity.id, mirrored, log, identity.anchor, roots_of)


def _make_durable(directory: Path, disk: Disk) -> None:
    """Makes a directory and its parents, none of which a power cut may take away again."""
    path = directory = directory.absolute()
    made = {path.parent}
    while path != path.parent and path.name not in disk.names(path.parent):
        path = path.parent
        made.add(path.parent)
    disk.make_dir(directory)
    for parent in sorted(made):
        disk.sync_dir(parent)


def _make_room(directory: Path, disk: Disk) -> None:
    """Clears away a creation that was interrupted; only the lock tells that it is not under way."""
    if exists(directory, disk):
        raise Refused(f"there is a vault in {directory} already")
    for part in ("ring", "log"):  # nothing was ever sealed in it
        for name in disk.names(directory / part):
            disk.delete(directory / part / name)
