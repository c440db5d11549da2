"""Opening a vault, or making one, and taking turns at it.

Every door (command line, web page, Wyoming) works through `open_vault` and `acting`, so that what a
crash left half done is settled before anything else happens, wherever it is found first.
"""

import contextlib
import json
import secrets
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from keys.durable import Disk, RealDisk, replace_file
from keys.entry import parse_id
from keys.errors import AnchorFailure, Malformed
from keys.lock import locked
from keys.log import Log
from keys.model import ID_SIZE, KEY_SIZE, VaultId
from keys.ring import Ring
from keys.root import Roots
from keys.secret import Secret
from pipeline import erase
from pipeline.anchors import format_spec, parse_spec, ways_of
from pipeline.errors import Refused
from pipeline.vault import Vault

FORMAT = "anechoic-vault/1"
_OURS = {"lock", "ring", "log", "sealed", "capture", "receipts", "vault.json", "vault.json.new"}
_ARGON2_MEMORY_KIB = 64 * 1024
_ARGON2_ITERATIONS = 3
_ARGON2_LANES = 4

AskPassphrase = Callable[[], bytearray]
"""Returns the passphrase in UTF-8; called only when the vault has one."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What `vault.json` holds, in clear: the vault's id, its anchor, the salt of a passphrase."""

    format: str
    vault: str
    anchor: str
    passphrase_salt: str | None

    @property
    def id(self) -> VaultId:
        """The vault's id in bytes."""
        return VaultId(parse_id(self.vault))


def now() -> str:
    """Returns the time in UTC to the second, RFC 3339."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def now_ms() -> str:
    """Returns the time in UTC to the millisecond, RFC 3339."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@contextlib.contextmanager
def acting(vault: Vault, clock: erase.Clock = now) -> Iterator[None]:
    """Holds the vault for one act, after settling what a crash has left; raises `Busy`."""
    with vault.locked():
        erase.settle(vault, clock)
        yield


def exists(directory: Path, disk: Disk | None = None) -> bool:
    """Tells whether there is a vault in the directory."""
    return (disk or RealDisk()).size(directory / "vault.json") is not None


def create_vault(
    directory: Path,
    anchors: Path,
    anchor: str = "file",
    passphrase: bytearray | None = None,
    disk: Disk | None = None,
) -> Vault:
    """Makes a vault; raises `Refused` where one is, or where the directory holds something else."""
    disk, anchor = disk or RealDisk(), format_spec(parse_spec(anchor))
    if foreign := set(disk.names(directory)) - _OURS:
        raise Refused(f"{directory} holds other things ({min(foreign)}, …); name an empty one")
    for place in (directory, anchors):
        _make_durable(place, disk)
    salt = secrets.token_hex(ID_SIZE) if passphrase is not None else None
    identity = Identity(FORMAT, secrets.token_hex(ID_SIZE), anchor, salt)
    with locked(directory / "lock"):
        _make_room(directory, disk)
        vault = _assemble(directory, anchors, identity, disk, lambda: passphrase or bytearray())
        for part in (vault.sealed, vault.capture, vault.receipts):
            disk.make_dir(part)
        vault.ring.create()
        vault.log.create()
        # Last, and atomically: until this file is there, there is no vault.
        replace_file(disk, directory / "vault.json", json.dumps(asdict(identity)).encode())
    return vault


def open_vault(
    directory: Path, anchors: Path, ask: AskPassphrase, disk: Disk | None = None
) -> Vault:
    """Opens the vault in the directory; raises `Refused` where there is none, `AnchorFailure`."""
    disk = disk or RealDisk()
    if not exists(directory, disk):
        raise Refused(f"no vault in {directory}; `anechoic init` makes one")
    return _assemble(directory, anchors, _identity(directory, disk), disk, ask)


def _identity(directory: Path, disk: Disk) -> Identity:
    try:
        identity = Identity(**json.loads(disk.read(directory / "vault.json")))
        valid = identity.format == FORMAT and bool(identity.id and parse_spec(identity.anchor))
        bytes.fromhex(identity.passphrase_salt or "")
    except (ValueError, TypeError, Malformed, Refused) as error:
        raise Malformed(
            f"{directory / 'vault.json'} is damaged; put it back from a copy"
        ) from error
    if not valid:
        raise Malformed(f"{directory} is a vault of {identity.format}, expected {FORMAT}")
    return identity


def _assemble(
    directory: Path, anchors: Path, identity: Identity, disk: Disk, ask: AskPassphrase
) -> Vault:
    ways = ways_of(identity.anchor, disk, anchors, identity.id)
    salt = identity.passphrase_salt
    secret = _stretch(ask(), bytes.fromhex(salt)) if salt else None
    ring = Ring(disk, directory / "ring", Roots(identity.id, ways, secret))
    return Vault(directory, identity.id, disk, ring, Log(disk, directory / "log", identity.id))


def _stretch(passphrase: bytearray, salt: bytes) -> Secret:
    if not passphrase:
        raise AnchorFailure("this vault has a passphrase, and none was given")
    out = Secret(KEY_SIZE)
    Argon2id(
        salt=salt,
        length=KEY_SIZE,
        iterations=_ARGON2_ITERATIONS,
        lanes=_ARGON2_LANES,
        memory_cost=_ARGON2_MEMORY_KIB,
    ).derive_into(passphrase, out)  # type: ignore[arg-type]  # its stub says bytes
    return out


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
