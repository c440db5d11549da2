"""The one way to write into a vault: sealed, logged first with its parents, whole or not at all.

Promises that a sealed file's header is in the log before its content is anywhere, that its kind and
parents are declared (`lineage`), and that after a crash what was being written is there with all
its files or is discarded, keys included. What is half-made is marked by its directory in
`capture/`; `unfinished.settle` is what the next start does with the marks.
"""

import secrets
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path

from keys.durable import let_go, replace_file
from keys.entry import Created, Entry, Noted, SealedEntry
from keys.errors import Tampered
from keys.model import ID_SIZE, ArtefactId, InteractionId, Label, Slot
from keys.sealed import (
    CHUNK_LOG2,
    HEADER_SIZE,
    SALT_SIZE,
    SMALL_CHUNK_LOG2,
    Opener,
    pad_padme,
    pad_steps,
    parse_header,
    seal,
)
from pipeline.artefact import AUDIO
from pipeline.lineage import is_owned, kind_of, parents_of
from pipeline.recording import Recording, hold, mark_of, remove_segments, segment_files
from pipeline.vault import Vault, file_name

CANCELLED = "cancelled"
"""The name of the empty file that gives a recording up."""

Part = tuple[str, bytes]
"""The kind and the content of an artefact to be."""
Sealed = tuple[SealedEntry, bytes]
"""What the log will have of a sealed file, and the file."""
_Made = tuple[InteractionId, list[Entry], Sequence[Sealed]]
"""What is to be written of one interaction or owner: log entries that come first, and files."""


def create(vault: Vault, parts: Sequence[Part], left: str = "") -> InteractionId:
    """Seals a new interaction of these parts and returns its id; durable on return.

    1. A durable mark in `capture/`. 2. Two slots, and the log has them with every header. 3. The
    files are durable beside the mark. 4. They move to their places and the mark goes. After a crash
    before 4 `settle` discards the interaction, within 4 it completes it. Raises `Tampered`
    where the ring is older than the log, `ValueError` for a kind that is not declared.

    What of it has `left` already, and how, is in the log before its files: it is there with them or
    they are not there.
    """
    interaction = _new_id()
    ((slots, created),) = _marked(vault, [interaction], 2)
    first: list[Entry] = [created, *([Noted("disclose", left, (interaction,))] if left else [])]
    log_and_write(vault, interaction, first, sealed_parts(vault, interaction, slots, parts))
    return interaction


def own(
    vault: Vault, kind: str, content: bytes, parents: Sequence[ArtefactId] = ()
) -> InteractionId:
    """Seals one artefact under a slot of its own and returns the id of its owner.

    By the steps of `create`. Raises `ValueError` for a kind that belongs to an interaction.
    """
    return own_all(vault, kind, [(content, parents)])[0].interaction


def own_all(
    vault: Vault, kind: str, contents: Sequence[tuple[bytes, Sequence[ArtefactId]]]
) -> list[Label]:
    """Seals artefacts, each with its parents and under a slot of its own; returns their labels.

    Each step of `create` is taken for all before the next, so that they share its syncs. A crash
    leaves each of them whole or not there, whatever becomes of the others.
    """
    if not is_owned(kind):
        raise ValueError(f"{kind} has no slot of its own: it belongs to an interaction")
    made = list[_Made]()
    marked = zip(_marked(vault, [_new_id() for _ in contents], 1), contents, strict=True)
    for ((slot,), created), (content, parents) in marked:
        entry, data = _seal(vault, created.interaction, kind, slot, content)
        sealed = SealedEntry(entry.label, entry.header, tuple(dict.fromkeys(parents)))
        made.append((created.interaction, [created], [(sealed, data)]))
    _log_and_write(vault, made)
    return [entry.label for _, _, ((entry, _),) in made]


def begin(vault: Vault) -> Recording:
    """Begins an interaction that is being spoken; the log has it, and it can be erased.

    1. This process holds the recording. 2. A durable mark; two slots, and the log has them. After a
    crash `settle` completes what the recording has sealed by then, or discards it where that is
    nothing. It ends with `finish` or `cancel`; just letting go of it is a crash.
    """
    interaction = _new_id()
    holding = hold(vault, interaction)
    try:
        ((slots, created),) = _marked(vault, [interaction], 2)
        vault.log.append([created])
        return Recording(vault, interaction, (slots[0], slots[1]), holding)
    except BaseException:
        holding.close()
        raise


def finish(vault: Vault, recording: Recording, parts: Sequence[Part]) -> InteractionId:
    """Seals the parts of a recording, whole or not at all; durable on return, the segments gone.

    Raises `Erased`, and writes nothing, where it was forgotten while it was spoken or recognised.
    """
    interaction = recording.interaction
    sealed = sealed_parts(vault, interaction, recording.slots, parts)
    log_and_write(vault, interaction, [], sealed)
    recording.release()
    return interaction


def cancel(vault: Vault, recording: Recording) -> None:
    """Gives a recording up, durable on return; `settle` then discards it with its keys."""
    path = mark_of(vault, recording.interaction) / CANCELLED
    vault.disk.write(path, 0, b"")
    vault.disk.sync(path)
    vault.disk.sync_dir(path.parent)
    recording.release()


def add(
    vault: Vault,
    interaction: InteractionId,
    part: Part,
    parents: Sequence[ArtefactId] | None = None,
) -> ArtefactId:
    """Seals one more artefact under the words slot of an interaction; raises `Erased`.

    Its parents are those that `lineage` finds in the interaction, unless they are given.
    """
    slot = vault.words_slot(interaction)
    there = {it.kind: it.header.label.artefact for it in vault.artefacts(interaction)}
    entry, data = _seal(vault, interaction, part[0], slot, part[1])
    of = parents_of(part[0], there) if parents is None else tuple(parents)
    vault.disk.make_dir(mark_of(vault, interaction))
    vault.disk.sync_dir(vault.capture)
    sealed = SealedEntry(entry.label, entry.header, of)
    log_and_write(vault, interaction, [], [(sealed, data)])
    return entry.label.artefact


def put_back(vault: Vault, data: bytes) -> bool:
    """Puts a sealed file from a copy in its place, durable on return; tells whether it was missing.

    Raises `Erased` or `Tampered`, and changes nothing, unless all of it opens under its live key.
    """
    label = parse_header(data[:HEADER_SIZE]).label
    with vault.ring.key(label.slot) as key:
        for chunk in Opener(key, lambda offset, size: data[offset : offset + size], len(data)):
            chunk.wipe()
    path = vault.place(label) / file_name(label)
    if vault.disk.size(path) == len(data) and bytes(vault.disk.read(path)) == data:
        return False
    vault.disk.make_dir(path.parent)
    vault.disk.sync_dir(vault.sealed)
    replace_file(vault.disk, path, data)
    return True


def sealed_parts(
    vault: Vault, interaction: InteractionId, slots: Sequence[Slot], parts: Sequence[Part]
) -> list[Sealed]:
    """Seals parts under the slots (audio, words) of their interaction; nothing is written yet."""
    there: dict[str, ArtefactId] = {}
    sealed = []
    for kind, content in parts:
        slot = slots[0] if kind_of(kind).slot == AUDIO else slots[1]
        entry, data = _seal(vault, interaction, kind, slot, content)
        sealed.append((SealedEntry(entry.label, entry.header, parents_of(kind, there)), data))
        there[kind] = entry.label.artefact
    return sealed


def log_and_write(
    vault: Vault, interaction: InteractionId, first: list[Entry], sealed: Sequence[Sealed]
) -> None:
    """Carries steps 2 to 4 of `create` out, where the mark and the slots are there."""
    _log_and_write(vault, [(interaction, first, sealed)])


def _log_and_write(vault: Vault, made: Sequence[_Made]) -> None:
    vault.log.append([it for _, first, sealed in made for it in (*first, *(e for e, _ in sealed))])
    for interaction, _, sealed in made:
        mark = mark_of(vault, interaction)
        for entry, data in sealed:
            path = mark / file_name(entry.label)
            vault.disk.write(path, 0, data)
            vault.disk.sync(path)
            if entry.label.kind == AUDIO:
                let_go(path)
        vault.disk.sync_dir(mark)
    place(vault, [interaction for interaction, _, _ in made])


def place(vault: Vault, interactions: Sequence[InteractionId]) -> None:
    """Moves the durable files beside marks to their places, and removes segments and marks."""
    places, buckets = dict[Path, Path](), set[Path]()
    for interaction in interactions:
        mark, segments = mark_of(vault, interaction), segment_files(vault, interaction)
        names = [name for name in vault.disk.names(mark) if name not in segments]
        places |= {mark / name: vault.place_of(interaction, name) for name in names}
        buckets.update(() if names else vault.places(interaction))
    buckets.update(places.values())
    for bucket in sorted(buckets):
        vault.disk.make_dir(bucket)
    # Also where they were there: a killed process may have made them and not come to this line.
    vault.disk.sync_dir(vault.sealed)
    for path, bucket in places.items():
        vault.disk.rename(path, bucket / path.name)
    for bucket in sorted(buckets):
        vault.disk.sync_dir(bucket)
    for interaction in interactions:
        if segment_files(vault, interaction):
            remove_segments(vault, interaction)
    remove_marks(vault, interactions)


def remove_marks(vault: Vault, interactions: Iterable[InteractionId]) -> None:
    """Removes empty marks; durable on return."""
    for interaction in interactions:
        vault.disk.remove_dir(mark_of(vault, interaction))
    # Or a power cut may bring one back: if a file of it went missing, it would pass for cut off.
    vault.disk.sync_dir(vault.capture)


def _marked(
    vault: Vault, ids: Sequence[InteractionId], slots: int
) -> list[tuple[list[Slot], Created]]:
    """Makes marks, then allocates so many slots for each: the first steps of what is created."""
    _refuse_an_older_ring(vault)
    for it in ids:
        vault.disk.make_dir(mark_of(vault, it))
    vault.disk.sync_dir(vault.capture)
    given = iter(vault.ring.allocate(slots * len(ids)))
    return [_created(vault, it, list(islice(given, slots))) for it in ids]


def _created(
    vault: Vault, interaction: InteractionId, slots: list[Slot]
) -> tuple[list[Slot], Created]:
    commitments = tuple((slot, vault.ring.commitment(slot)) for slot in slots)
    return slots, Created(interaction, commitments)


def _new_id() -> InteractionId:
    return InteractionId(secrets.token_bytes(ID_SIZE))


def _refuse_an_older_ring(vault: Vault) -> None:
    """No slot may be given out twice, with two keys: the log knows those given out so far."""
    if (last := vault.last_slot_logged()) >= vault.ring.slot_count:
        raise Tampered(
            f"the log knows slot {last}, the ring has {vault.ring.slot_count} slots: an old copy "
            f"of the ring was put back; put the newest one in {vault.directory / 'ring'}"
        )


def _seal(
    vault: Vault, interaction: InteractionId, kind: str, slot: Slot, content: bytes
) -> tuple[SealedEntry, bytes]:
    declared = kind_of(kind)
    label = Label(vault.id, interaction, ArtefactId(secrets.token_bytes(ID_SIZE)), kind, slot)
    pad = pad_padme if kind == AUDIO else pad_steps
    chunk_log2 = SMALL_CHUNK_LOG2 if declared.is_small else CHUNK_LOG2
    with vault.ring.key(slot) as key:
        header, data = seal(key, label, secrets.token_bytes(SALT_SIZE), content, pad, chunk_log2)
    return SealedEntry(header.label, header.hash), data
