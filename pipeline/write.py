"""The one way to write into a vault: sealed, logged first, whole or not at all.

Promises that a sealed file's header is in the log before its content is anywhere, and that after a
crash an interaction is there with all its files or is discarded, keys included; of one that was
being spoken there is what was spoken by then. A half-made one is marked by its directory in
`capture/`; `settle` is what the next start does with the marks.
"""

import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from keys.durable import replace_file
from keys.entry import Created, Entry, Noted, SealedEntry
from keys.errors import Erased, Malformed, Tampered
from keys.model import ID_SIZE, ArtefactId, InteractionId, Label, Slot
from keys.sealed import (
    CHUNK_LOG2,
    HEADER_SIZE,
    SALT_SIZE,
    SMALL_CHUNK_LOG2,
    Header,
    Opener,
    pad_padme,
    pad_steps,
    parse_header,
    seal,
)
from pipeline.artefact import AUDIO, META, Meta, encode_audio
from pipeline.model import RATE_HZ
from pipeline.recording import (
    Recording,
    held,
    hold,
    mark_of,
    recovered,
    remove_segments,
    segment_files,
)
from pipeline.vault import Vault, file_name

UNFINISHED, LATE = "unfinished", "late"
"""What was discarded: an interaction that never became whole, an addition to one that was."""
_MARK = re.compile(r"[0-9a-f]{32}")
_CANCELLED = "cancelled"

Part = tuple[str, bytes]
"""The kind and the content of an artefact to be."""


def create(vault: Vault, parts: Sequence[Part]) -> InteractionId:
    """Seals a new interaction of these parts and returns its id; durable on return.

    1. A durable mark in `capture/`. 2. Two slots, and the log has them with every header. 3. The
    files are durable beside the mark. 4. They move to their places and the mark goes. After a crash
    before 4 `settle` discards the interaction, within 4 it completes it. Raises `Tampered`
    where the ring is older than the log.
    """
    _refuse_an_older_ring(vault)
    interaction = InteractionId(secrets.token_bytes(ID_SIZE))
    slots, created = _marked(vault, interaction)
    _log_and_write(vault, interaction, [created], _sealed(vault, interaction, slots, parts))
    return interaction


def begin(vault: Vault) -> Recording:
    """Begins an interaction that is being spoken; the log has it, and it can be erased.

    1. This process holds the recording. 2. A durable mark; two slots, and the log has them. After a
    crash `settle` completes what the recording has sealed by then, or discards it where that is
    nothing. It ends with `finish` or `cancel`; just letting go of it is a crash.
    """
    _refuse_an_older_ring(vault)
    interaction = InteractionId(secrets.token_bytes(ID_SIZE))
    holding = hold(vault, interaction)
    try:
        slots, created = _marked(vault, interaction)
        vault.log.append([created])
        return Recording(vault, interaction, slots, holding)
    except BaseException:
        holding.close()
        raise


def finish(vault: Vault, recording: Recording, parts: Sequence[Part]) -> InteractionId:
    """Seals the parts of a recording, whole or not at all; durable on return, the segments gone.

    Raises `Erased`, and writes nothing, where it was forgotten while it was spoken or recognised.
    """
    interaction = recording.interaction
    sealed = _sealed(vault, interaction, recording.slots, parts)
    _log_and_write(vault, interaction, [], sealed)
    recording.release()
    return interaction


def cancel(vault: Vault, recording: Recording) -> None:
    """Gives a recording up, durable on return; `settle` then discards it with its keys."""
    path = _mark(vault, recording.interaction) / _CANCELLED
    vault.disk.write(path, 0, b"")
    vault.disk.sync(path)
    vault.disk.sync_dir(path.parent)
    recording.release()


def _marked(vault: Vault, interaction: InteractionId) -> tuple[tuple[Slot, Slot], Created]:
    vault.disk.make_dir(_mark(vault, interaction))
    vault.disk.sync_dir(vault.capture)
    audio, words = vault.ring.allocate(2)
    commitments = tuple((slot, vault.ring.commitment(slot)) for slot in (audio, words))
    return (audio, words), Created(interaction, commitments)


def _refuse_an_older_ring(vault: Vault) -> None:
    """No slot may be given out twice, with two keys: the log knows those given out so far."""
    if (last := vault.last_slot_logged()) >= vault.ring.slot_count:
        raise Tampered(
            f"the log knows slot {last}, the ring has {vault.ring.slot_count} slots: an old copy "
            f"of the ring was put back; put the newest one in {vault.directory / 'ring'}"
        )


def add(vault: Vault, interaction: InteractionId, part: Part) -> None:
    """Seals one more artefact under the words slot of an interaction; raises `Erased`."""
    sealed = _seal(vault, interaction, part[0], vault.words_slot(interaction), part[1])
    vault.disk.make_dir(_mark(vault, interaction))
    vault.disk.sync_dir(vault.capture)
    _log_and_write(vault, interaction, [], [sealed])


def put_back(vault: Vault, data: bytes) -> bool:
    """Puts a sealed file from a copy in its place, durable on return; tells whether it was missing.

    Raises `Erased` or `Tampered`, and changes nothing, unless all of it opens under its live key.
    """
    label = parse_header(data[:HEADER_SIZE]).label
    with vault.ring.key(label.slot) as key:
        for chunk in Opener(key, lambda offset, size: data[offset : offset + size], len(data)):
            chunk.wipe()
    path = vault.bucket(label.interaction) / file_name(label)
    if vault.disk.size(path) == len(data) and bytes(vault.disk.read(path)) == data:
        return False
    vault.disk.make_dir(path.parent)
    vault.disk.sync_dir(vault.sealed)
    replace_file(vault.disk, path, data)
    return True


def settle(vault: Vault, discard: Callable[[InteractionId], None]) -> None:
    """Completes what is whole of the half-made, and discards the rest with its keys."""
    being_spoken = held(vault)
    for name in filter(_MARK.fullmatch, vault.disk.names(vault.capture)):
        interaction = InteractionId(bytes.fromhex(name))
        if interaction in being_spoken:
            continue
        if segment_files(vault, interaction):
            _settle_recording(vault, interaction, discard)
        elif _is_whole(vault, interaction):
            _sync_and_place(vault, interaction)
        else:
            _clear(vault, interaction, discard)


def _sync_and_place(vault: Vault, interaction: InteractionId) -> None:
    for file in vault.disk.names(_mark(vault, interaction)):
        vault.disk.sync(_mark(vault, interaction) / file)  # it may be in the cache alone
    _place(vault, interaction)


def _settle_recording(
    vault: Vault, interaction: InteractionId, discard: Callable[[InteractionId], None]
) -> None:
    """Completes a recording that was left behind: as it was finished, or else as far as it came.

    1. If all that was logged since it began has arrived, that is it. 2. Else what has arrived goes,
    and the log says that it never became whole. 3. What was spoken is sealed as audio and meta,
    without a transcript, by the steps of `create`. A crash within brings back here.
    """
    created = vault.created(interaction)
    live = created is not None and all(vault.ring.is_live(slot) for slot, _ in created.slots)
    logged = _logged_since(vault, interaction)
    if logged and all(_has_arrived(vault, entry) for entry in logged):
        _sync_and_place(vault, interaction)
        return
    is_cancelled = _CANCELLED in vault.disk.names(_mark(vault, interaction))
    if created is None or not live or is_cancelled:
        _clear(vault, interaction, discard)
        return
    _give_up(vault, interaction, len(logged))
    audio, words = (slot for slot, _ in created.slots)
    if found := recovered(vault, interaction, audio):
        parts = _parts_of(*found)
        _log_and_write(vault, interaction, [], _sealed(vault, interaction, (audio, words), parts))
    else:
        _clear(vault, interaction, discard)


def _parts_of(meta: Meta, sound: bytes) -> list[Part]:
    import numpy as np

    pcm = np.frombuffer(sound, "<i2")
    known = replace(meta, duration_ms=len(pcm) * 1000 // RATE_HZ, truncated=True)
    return [(AUDIO, encode_audio(pcm.astype(np.int16))), (META, known.encode())]


def _logged_since(vault: Vault, interaction: InteractionId) -> list[SealedEntry]:
    """Returns what the log says was sealed for it, of what has not been given up since."""
    found = []
    for _, entry in vault.log.scan_back():
        if isinstance(entry, SealedEntry) and entry.label.interaction == interaction:
            found.append(entry)
        elif isinstance(entry, Created | Noted) and _begins_anew(entry, interaction):
            break
    return found


def _begins_anew(entry: Created | Noted, interaction: InteractionId) -> bool:
    if isinstance(entry, Created):
        return entry.interaction == interaction
    return (entry.act, entry.how) == ("discard", LATE) and interaction in entry.interactions


def _give_up(vault: Vault, interaction: InteractionId, number: int) -> None:
    """Deletes what is beside the segments of a recording; the log says so, once for each file."""
    mark, segments = _mark(vault, interaction), segment_files(vault, interaction)
    for name in vault.disk.names(mark):
        if name in segments:
            vault.disk.sync(mark / name)  # it may be in the cache alone, and is all there is now
        else:
            vault.disk.delete(mark / name)
    vault.disk.sync_dir(mark)
    if number:  # in one entry: of several, a crash might leave some
        vault.note("discard", LATE, [interaction] * number)


def _clear(
    vault: Vault, interaction: InteractionId, discard: Callable[[InteractionId], None]
) -> None:
    mark, bucket = _mark(vault, interaction), vault.bucket(interaction)
    was_whole = any(name.startswith(mark.name) for name in vault.disk.names(bucket))
    if not was_whole:
        discard(interaction)
    for half in vault.disk.names(mark):
        vault.disk.delete(mark / half)
    vault.disk.sync_dir(mark)
    if was_whole:  # something was being added to it; once this is in the log nothing is half-made
        vault.note("discard", LATE, [interaction])
    _remove_mark(vault, interaction)


def _sealed(
    vault: Vault, interaction: InteractionId, slots: tuple[Slot, Slot], parts: Sequence[Part]
) -> list[tuple[Header, bytes]]:
    audio, words = slots
    return [
        _seal(vault, interaction, kind, audio if kind == AUDIO else words, content)
        for kind, content in parts
    ]


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
    vault.disk.make_dir(bucket)
    # Also where it was there before: a killed process may have made it and not come to this line.
    vault.disk.sync_dir(vault.sealed)
    segments = segment_files(vault, interaction)
    for name in vault.disk.names(mark):
        if name not in segments:
            vault.disk.rename(mark / name, bucket / name)
    vault.disk.sync_dir(bucket)
    if segments:
        remove_segments(vault, interaction)
    _remove_mark(vault, interaction)


def _remove_mark(vault: Vault, interaction: InteractionId) -> None:
    vault.disk.remove_dir(_mark(vault, interaction))
    vault.disk.sync_dir(vault.capture)  # or a power cut may bring it back after an erasure


def _is_whole(vault: Vault, interaction: InteractionId) -> bool:
    """Tells whether the disk has every file that the log has, of what has not been settled yet."""
    logged = 0
    for _, entry in vault.log.scan_back():
        if isinstance(entry, SealedEntry) and entry.label.interaction == interaction:
            logged += 1
            if not _has_arrived(vault, entry):
                return False
        if (
            isinstance(entry, Noted)
            and entry.act == "discard"
            and interaction in entry.interactions
        ):
            return entry.how == LATE
        if isinstance(entry, Created) and entry.interaction == interaction:
            return logged > 0
    return False


def _has_arrived(vault: Vault, entry: SealedEntry) -> bool:
    """Tells whether a file is in its place, or beside the mark with all its content."""
    name, interaction = file_name(entry.label), entry.label.interaction
    if name in vault.disk.names(vault.bucket(interaction)):
        return True  # it was durable before it moved there
    if name not in vault.disk.names(_mark(vault, interaction)):
        return False
    try:
        artefact = vault.artefact(_mark(vault, interaction) / name)
        for chunk in vault.open(artefact):  # a name may be durable before its content is
            chunk.wipe()
    except (Malformed, Tampered, Erased):
        return False
    return artefact.header.hash == entry.header


def _mark(vault: Vault, interaction: InteractionId) -> Path:
    return mark_of(vault, interaction)
