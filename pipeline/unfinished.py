"""What the next start does with what was half-made: completes it, or discards it with its keys.

Promises that an interaction is there with all its files or not at all, that what was being spoken
is there as far as it was spoken, and that stopping in here and beginning again changes nothing.
Reads the marks that `write` leaves in `capture/`; writes by the steps of `write` only.
"""

import re
from collections.abc import Callable
from dataclasses import replace

from keys.entry import Created, Noted, SealedEntry
from keys.errors import Erased, Malformed, Tampered
from keys.model import InteractionId
from pipeline.artefact import AUDIO, META, Meta, encode_audio
from pipeline.model import RATE_HZ
from pipeline.recording import held, mark_of, recovered, segment_files
from pipeline.vault import Vault, file_name
from pipeline.write import CANCELLED, Part, log_and_write, place, remove_marks, sealed_parts

UNFINISHED, LATE, REPLACED = "unfinished", "late", "replaced"
"""What was discarded: an interaction that never became whole, an addition to one that was, and what
something newer took the place of."""
_MARK = re.compile(r"[0-9a-f]{32}")


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
    for file in vault.disk.names(mark_of(vault, interaction)):
        vault.disk.sync(mark_of(vault, interaction) / file)  # it may be in the cache alone
    place(vault, [interaction])


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
    is_cancelled = CANCELLED in vault.disk.names(mark_of(vault, interaction))
    if created is None or not live or is_cancelled:
        _clear(vault, interaction, discard)
        return
    _give_up(vault, interaction, len(logged))
    slots = [slot for slot, _ in created.slots]
    if found := recovered(vault, interaction, slots[0]):
        parts = _parts_of(*found)
        log_and_write(vault, interaction, [], sealed_parts(vault, interaction, slots, parts))
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
    """Deletes what is beside the segments of a recording; the log says so, once for each file.

    The segments are not synced, though the last may be in the cache alone: what was cut is durable,
    and what came after the last cut a power cut may take, here as while it was spoken.
    """
    mark, segments = mark_of(vault, interaction), segment_files(vault, interaction)
    for name in vault.disk.names(mark):
        if name not in segments:
            vault.disk.delete(mark / name)
    vault.disk.sync_dir(mark)  # or a file that comes back is placed beside what takes its place
    if number:  # in one entry: of several, a crash might leave some
        vault.note("discard", LATE, [interaction] * number)


def _clear(
    vault: Vault, interaction: InteractionId, discard: Callable[[InteractionId], None]
) -> None:
    mark, bucket = mark_of(vault, interaction), vault.bucket(interaction)
    was_whole = any(name.startswith(mark.name) for name in vault.disk.names(bucket))
    if not was_whole:
        discard(interaction)
    for half in vault.disk.names(mark):
        vault.disk.delete(mark / half)
    vault.disk.sync_dir(mark)
    if was_whole:  # something was being added to it; once this is in the log nothing is half-made
        vault.note("discard", LATE, [interaction])
    remove_marks(vault, [interaction])


def _is_whole(vault: Vault, interaction: InteractionId) -> bool:
    """Tells whether the disk has every file that the log has, of what has not been settled yet."""
    logged = 0
    for _, entry in vault.log.mentions([interaction]):
        if isinstance(entry, SealedEntry) and entry.label.interaction == interaction:
            logged += 1
            if not (_has_arrived(vault, entry) or _was_erased(vault, entry)):
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


def _was_erased(vault: Vault, entry: SealedEntry) -> bool:
    """Tells whether it is gone by an erasure, such as `--only audio`: nobody waits for that.

    Else what was added to the rest would be called discarded, and a file that is missing from there
    later would be taken for that. One beside the mark is late work, which is discarded.
    """
    beside = vault.disk.names(mark_of(vault, entry.label.interaction))
    return not vault.ring.is_live(entry.label.slot) and file_name(entry.label) not in beside


def _has_arrived(vault: Vault, entry: SealedEntry) -> bool:
    """Tells whether a file is in its place, or beside the mark with all its content."""
    name, interaction = file_name(entry.label), entry.label.interaction
    if name in vault.disk.names(vault.place(entry.label)):
        return True  # it was durable before it moved there
    if name not in vault.disk.names(mark_of(vault, interaction)):
        return False
    try:
        artefact = vault.artefact(mark_of(vault, interaction) / name)
        for chunk in vault.open(artefact):  # a name may be durable before its content is
            chunk.wipe()
    except (Malformed, Tampered, Erased):
        return False
    return artefact.header.hash == entry.header
