"""What `vault.json` holds, in clear: which vault this is, where its anchors and mirrors are.

A vault is there when this file is, so it is written last and always replaced whole.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from keys.durable import Disk, replace_file
from keys.entry import parse_id
from keys.errors import Malformed
from keys.mirror import MARK
from keys.model import VaultId
from pipeline.anchors import parse_spec
from pipeline.errors import Refused

FORMAT = "anechoic-vault/1"


@dataclass(frozen=True, slots=True)
class Identity:
    """The content of the file; `anchor_next` is there while the anchors are being changed."""

    format: str
    vault: str
    anchor: str
    anchor_next: str | None
    mirrors: tuple[str, ...]
    passphrase_salt: str | None
    model: str | None = None
    """The recognition model chosen for this vault: a name of the catalogue, or a folder."""

    @property
    def id(self) -> VaultId:
        """The vault's id in bytes."""
        return VaultId(parse_id(self.vault))


def write_identity(directory: Path, identity: Identity, disk: Disk) -> None:
    """Makes or replaces the file of a vault; durable on return."""
    replace_file(disk, directory / MARK, json.dumps(asdict(identity)).encode())


def clear_half_written(directory: Path, disk: Disk) -> None:
    """Deletes what a crash has left of a file that was being replaced."""
    fresh = directory / (MARK + ".new")
    if disk.size(fresh) is not None:
        disk.delete(fresh)


def read_identity(directory: Path, disk: Disk) -> Identity:
    """Returns what the file of a vault says; raises `Malformed`."""
    try:
        row = json.loads(disk.read(directory / MARK))
        identity = Identity(**{**row, "mirrors": tuple(row["mirrors"])})
        specs = identity.anchor, identity.anchor_next or identity.anchor
        valid = identity.format == FORMAT and bool(identity.id and all(map(parse_spec, specs)))
        bytes.fromhex(identity.passphrase_salt or "")
        valid = valid and isinstance(identity.model, str | None)
    except (ValueError, TypeError, KeyError, Malformed, Refused) as error:
        raise Malformed(f"{directory / MARK} is damaged; put it back from a copy") from error
    if not valid:
        raise Malformed(f"{directory} is a vault of {identity.format}, expected {FORMAT}")
    return identity
