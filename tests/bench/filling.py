"""Interactions made in bulk, for measurements: through the functions that make them one by one.

Ring, log, sealed transcript and meta, segments of the index; but many in one append to the log,
without a sync for each file, and without audio. `bare` leaves the sealed files away, and makes up
what the log has of them: audio, transcript and meta, as of every interaction that was heard.
"""

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

from keys.entry import Created, Entry, SealedEntry
from keys.model import ID_SIZE, ArtefactId, InteractionId, Label, Slot
from pipeline import indexing
from pipeline.artefact import AUDIO, META, TRANSCRIPT, Meta, Transcript
from pipeline.indexmerge import segment_of
from pipeline.indexstate import open_index, put
from pipeline.indexvalues import NEVER, UNKNOWN, Said, us_of
from pipeline.lineage import parents_of
from pipeline.model import Word
from pipeline.query import terms
from pipeline.vault import Vault, file_name
from pipeline.write import Sealed, sealed_parts

FIRST = datetime(2026, 1, 1, tzinfo=UTC)
_LOGGED = 1024


@dataclass(frozen=True, slots=True)
class Made:
    """One interaction made in bulk."""

    interaction: InteractionId
    slots: tuple[Slot, Slot]
    text: str
    started: datetime


def fill(vault: Vault, texts: Iterator[str], *, bare: bool = False) -> Iterator[InteractionId]:
    """Seals an interaction for each sentence, a minute after each other, and indexes them."""
    number = 0
    while batch := list(islice(texts, indexing.MOST)):
        said = list[Said]()
        for start in range(0, len(batch), _LOGGED):
            said += _seal(vault, batch[start : start + _LOGGED], number, bare=bare)
            number += _LOGGED
        index = open_index(vault)
        left = [(it.interaction, it.slot) for it in index.unindexed if it.index < 0]
        put(vault, segment_of(said), vault.log.size, index.others, left)
        yield from (it.interaction for it in said)


def _seal(vault: Vault, texts: Sequence[str], number: int, *, bare: bool) -> list[Said]:
    slots = vault.ring.allocate(2 * len(texts))
    entries, files, said = list[Entry](), list[tuple[Path, bytes]](), list[Said]()
    for n, text in enumerate(texts):
        it = Made(
            InteractionId(secrets.token_bytes(ID_SIZE)),
            (slots[2 * n], slots[2 * n + 1]),
            text,
            FIRST + timedelta(minutes=number + n),
        )
        made = _bare(vault, it) if bare else _sealed(vault, it)
        commitments = tuple((slot, vault.ring.commitment(slot)) for slot in it.slots)
        entries += [Created(it.interaction, commitments), *(entry for entry, _ in made)]
        files += [(vault.place(e.label) / file_name(e.label), data) for e, data in made if data]
        transcript = next(e.label.artefact for e, _ in made if e.label.kind == TRANSCRIPT)
        said.append(_said(it, transcript))
    vault.log.append(entries)
    for path, data in files:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        path.write_bytes(data)
    return said


def _sealed(vault: Vault, it: Made) -> list[Sealed]:
    return sealed_parts(vault, it.interaction, it.slots, _parts(it))


def _bare(vault: Vault, it: Made) -> list[Sealed]:
    made, there = list[Sealed](), dict[str, ArtefactId]()
    for kind, slot in ((AUDIO, it.slots[0]), (TRANSCRIPT, it.slots[1]), (META, it.slots[1])):
        artefact = ArtefactId(secrets.token_bytes(ID_SIZE))
        label = Label(vault.id, it.interaction, artefact, kind, slot)
        made.append((SealedEntry(label, secrets.token_bytes(32), parents_of(kind, there)), b""))
        there[kind] = artefact
    return made


def _parts(it: Made) -> list[tuple[str, bytes]]:
    words = tuple(Word(w, 200 * n, 200 * n + 190, 0.9) for n, w in enumerate(it.text.split()))
    meta = Meta(time_of(it.started), 200 * len(words), "default", "kitchen", 0, "none")
    return [(TRANSCRIPT, Transcript(words).encode()), (META, meta.encode())]


def time_of(it: datetime) -> str:
    """Writes a time as meta has it."""
    return it.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _said(it: Made, transcript: ArtefactId) -> Said:
    said, started = terms(it.text), us_of(it.started)
    numbers = it.slots[1], it.slots[0], started, UNKNOWN, UNKNOWN, NEVER, NEVER, 200 * len(said)
    return Said(
        *numbers,
        profile="default",
        is_sensitive=False,
        interaction=it.interaction,
        transcript=transcript,
        terms=said,
    )
