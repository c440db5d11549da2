"""When the next thing falls due, remembered so that looking costs nothing; and the time reckoned.

Promises never to tell a later time than the true one: whoever captures lowers it first, durably,
and what is missing, torn or of other settings is no agenda, so that all is looked through anew. It
is sealed under the key of the settings, in one file of a fixed size that is overwritten in place.
It holds two times and no id; THREATS N5 says what they tell.
"""

import contextlib
import json
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path

from keys.errors import Erased, Malformed, Tampered
from keys.model import ID_SIZE, ArtefactId, InteractionId, Label, Slot
from keys.sealed import SALT_SIZE, SMALL_CHUNK_LOG2, Opener, pad_steps, seal
from pipeline.reckoning import Reckoning
from pipeline.settings import Limit
from pipeline.vault import Vault

FILE = "agenda"


@dataclass(frozen=True, slots=True)
class Agenda:
    """A time before which nothing falls due (seconds since 1970; None: never), and the clock."""

    next_s: Limit
    reckoning: Reckoning


def exists(vault: Vault) -> bool:
    """Tells whether there is an agenda, which there is only beside settings."""
    return vault.disk.size(_path(vault)) is not None


def load(vault: Vault, owner: InteractionId, slot: Slot) -> Agenda | None:
    """Returns the agenda that belongs to these settings; None where it has to be made anew."""
    path, disk = _path(vault), vault.disk
    size = disk.size(path)
    if size is None:
        return None
    with contextlib.suppress(Malformed, Tampered, Erased, ValueError, TypeError, KeyError):
        with vault.ring.key(slot) as key:
            opener = Opener(key, lambda at, length: disk.read(path, at, length), size)
        label = opener.header.label
        if (label.vault, label.interaction, label.kind) == (vault.id, owner, FILE):
            row = json.loads(opener.read())
            return Agenda(row["next_s"], Reckoning(**row["reckoning"]))
    return None


def save(vault: Vault, owner: InteractionId, slot: Slot, agenda: Agenda) -> None:
    """Writes the agenda of these settings; durable on return. A torn one is none."""
    label = Label(vault.id, owner, ArtefactId(secrets.token_bytes(ID_SIZE)), FILE, slot)
    salt, content = secrets.token_bytes(SALT_SIZE), json.dumps(asdict(agenda)).encode()
    with vault.ring.key(slot) as key:
        _, data = seal(key, label, salt, content, pad_steps, SMALL_CHUNK_LOG2)
    path = _path(vault)
    is_new = vault.disk.size(path) is None
    vault.disk.write(path, 0, data)
    vault.disk.sync(path)
    if is_new:
        vault.disk.sync_dir(path.parent)


def _path(vault: Vault) -> Path:
    return vault.directory / FILE
