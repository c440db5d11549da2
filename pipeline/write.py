"""The one way to write into a vault: sealed, logged first, whole or not at all.

Promises that a sealed file's header is in the log before its content is anywhere, and that after a
crash an interaction is there with all its files or is discarded, keys included. A half-made one is
marked by its directory in `capture/`; `settle` is what the next start does with the marks.
"""

import secrets
from collections.abc import Callable, Sequence
from pathlib import Path

from keys.durable import replace_file
from keys.entry import Created, Entry, SealedEntry
from keys.model import ID_SIZE, ArtefactId, InteractionId, Label, Slot
from keys.sealed import (
    CHUNK_LOG2,
    HEADER_SIZE,
    SALT_SIZE,
    SMALL_CHUNK_LOG2,
    Header,
    pad_padme,
    pad_steps,
    parse_header,
    seal,
)
from pipeline.artefact import AUDIO
from pipeline.vault import Vault, file_name

Part = tuple[str, bytes]
"""The kind and the content of an artefact to be."""


def create(vault: Vault, parts: Sequence[Part]) -> InteractionId:
    """Seals a new interaction of these parts and returns its id; durable on return.

    1. A durable mark in `capture/`. 2. Two slots, and the log has them with every header. 3. The
    files are durable beside the mark. 4. They move to their places and the mark goes. After a crash
    before 4 `settle` discards the interaction, within 4 it completes it.
    """
    interaction = InteractionId(secrets.token_bytes(ID_SIZE))
    vault.disk.make_dir(_mark(vault, interaction))
    vault.disk.sync_dir(vault.capture)
    audio, words = vault.ring.allocate(2)
    commitments = tuple((slot, vault.ring.commitment(slot)) for slot in (audio, words))
    sealed = [
        _seal(vault, interaction, kind, audio if kind == AUDIO else words, content)
        for kind, content in parts
    ]
    _log_and_write(vault, interaction, [Created(interaction, commitments)], sealed)
    return interaction


def add(vault: Vault, interaction: InteractionId, part: Part) -> None:
    """Seals one more artefact under the words slot of an interaction; raises `Erased`."""
    sealed = _seal(vault, interaction, part[0], vault.words_slot(interaction), part[1])
    vault.disk.make_dir(_mark(vault, interaction))
    vault.disk.sync_dir(vault.capture)
    _log_and_write(vault, interaction, [], [sealed])


def put_back(vault: Vault, path: Path) -> None:
    """Copies a sealed file of this vault from elsewhere to its place, durable on return.

    The file opens there if its key still lives; nothing else is taken from the copy.
    """
    data = vault.disk.read(path)
    label = parse_header(data[:HEADER_SIZE]).label
    bucket = vault.bucket(label.interaction)
    vault.disk.make_dir(bucket)
    vault.disk.sync_dir(vault.sealed)
    replace_file(vault.disk, bucket / file_name(label), data)


def settle(vault: Vault, discard: Callable[[InteractionId], None]) -> None:
    """Completes what is whole of the half-made, and discards the rest with its keys."""
    for name in vault.disk.names(vault.capture):
        interaction = InteractionId(bytes.fromhex(name))
        if _is_whole(vault, interaction):
            _place(vault, interaction)
            continue
        if vault.artefacts(interaction):  # it was whole, and something was being added to it
            vault.note("discard", "late", [interaction])
        else:
            discard(interaction)
        for half in vault.disk.names(_mark(vault, interaction)):
            vault.disk.delete(_mark(vault, interaction) / half)
        vault.disk.remove_dir(_mark(vault, interaction))


def _seal(
    vault: Vault, interaction: InteractionId, kind: str, slot: Slot, content: bytes
) -> tuple[Header, bytes]:
    artefact = ArtefactId(secrets.token_bytes(ID_SIZE))
    label = Label(vault.id, interaction, artefact, kind, slot)
    pad, chunk_log2 = (pad_padme, CHUNK_LOG2) if kind == AUDIO else (pad_steps, SMALL_CHUNK_LOG2)
    with vault.ring.key(slot) as key:
        return seal(key, label, secrets.token_bytes(SALT_SIZE), content, pad, chunk_log2)


def _log_and_write(
    vault: Vault,
    interaction: InteractionId,
    first: list[Entry],
    sealed: Sequence[tuple[Header, bytes]],
) -> None:
    vault.log.append([*first, *(SealedEntry(header.label, header.hash) for header, _ in sealed)])
    for header, data in sealed:
        path = _mark(vault, interaction) / file_name(header.label)
        vault.disk.write(path, 0, data)
        vault.disk.sync(path)
    vault.disk.sync_dir(_mark(vault, interaction))
    _place(vault, interaction)


def _place(vault: Vault, interaction: InteractionId) -> None:
    mark, bucket = _mark(vault, interaction), vault.bucket(interaction)
    if bucket.name not in vault.disk.names(vault.sealed):
        vault.disk.make_dir(bucket)
        vault.disk.sync_dir(vault.sealed)
    for name in vault.disk.names(mark):
        vault.disk.rename(mark / name, bucket / name)
    vault.disk.sync_dir(bucket)
    vault.disk.remove_dir(mark)


def _is_whole(vault: Vault, interaction: InteractionId) -> bool:
    """Tells whether the disk has every file that the log has of an interaction."""
    mark, bucket = _mark(vault, interaction), vault.bucket(interaction)
    there = {*vault.disk.names(mark), *vault.disk.names(bucket)}
    logged = 0
    for _, entry in vault.log.scan_back():
        if isinstance(entry, SealedEntry) and entry.label.interaction == interaction:
            logged += 1
            if file_name(entry.label) not in there:
                return False
        if isinstance(entry, Created) and entry.interaction == interaction:
            return logged > 0
    return False


def _mark(vault: Vault, interaction: InteractionId) -> Path:
    return vault.capture / interaction.hex()
