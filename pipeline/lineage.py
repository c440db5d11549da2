"""The kinds of artefacts there are, under which slot each lies, and what each is made from.

Promises that nothing is written whose origin is not declared here: `write` asks this table for
every file. A kind with a slot of its own has parents anywhere in the vault (an aggregate), or is a
`record` that the user chose to keep, or settings; all others belong to one interaction.
A new kind is a new line of the table.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from keys.model import ArtefactId
from pipeline.artefact import (
    ACTION,
    ANSWER,
    AUDIO,
    DISCLOSURE,
    FIRED,
    INDEX,
    INTENT,
    META,
    RECORD,
    SETTINGS,
    TRANSCRIPT,
)

WORDS, OWN = "words", "own"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of artefact: its slot, the kinds it is made from, and whether it dies with them."""

    slot: str
    parents: tuple[str, ...] = ()
    """The first of these that the interaction has is its parent."""
    dies_with_parents: bool = True
    is_small: bool = True
    """It is sealed in small chunks, padded to a few fixed sizes."""


KINDS: dict[str, Kind] = {
    AUDIO: Kind(AUDIO, is_small=False),
    TRANSCRIPT: Kind(WORDS, (AUDIO,)),
    META: Kind(WORDS, (AUDIO, TRANSCRIPT)),
    INTENT: Kind(WORDS, (TRANSCRIPT,)),
    ACTION: Kind(WORDS, (INTENT,)),
    ANSWER: Kind(WORDS, (ACTION, INTENT, TRANSCRIPT)),
    FIRED: Kind(WORDS, (ACTION,)),
    DISCLOSURE: Kind(WORDS, (ACTION, TRANSCRIPT, AUDIO)),
    INDEX: Kind(OWN, (TRANSCRIPT,), is_small=False),
    RECORD: Kind(OWN, (ACTION, RECORD), dies_with_parents=False),
    SETTINGS: Kind(OWN),
}


def kind_of(name: str) -> Kind:
    """Returns the declaration of a kind; raises `ValueError` for one that has none."""
    if name not in KINDS:
        raise ValueError(f"{name!r} is no kind of artefact that pipeline/lineage.py declares")
    return KINDS[name]


def is_owned(name: str) -> bool:
    """Tells whether artefacts of a kind have a slot of their own, and belong to no interaction."""
    return name in KINDS and KINDS[name].slot == OWN


def is_aggregated(name: str) -> bool:
    """Tells whether something with a slot of its own is made from artefacts of a kind, and dies."""
    aggregates = (it for it in KINDS.values() if it.slot == OWN and it.dies_with_parents)
    return any(name in it.parents for it in aggregates)


def parents_of(name: str, there: Mapping[str, ArtefactId]) -> tuple[ArtefactId, ...]:
    """Returns the parents of a new artefact, of what its interaction has: kind to newest id."""
    return tuple(there[kind] for kind in kind_of(name).parents if kind in there)[:1]
