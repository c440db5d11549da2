"""The lineage of an interaction as a tree: what was made from what, and what lives of it.

Goes by the log, so it shows what is missing here or erased as well. Nothing of it is opened.
"""

from dataclasses import dataclass

from keys.entry import SealedEntry
from keys.model import ArtefactId, InteractionId, Label
from pipeline.lineage import is_owned
from pipeline.logged import logged
from pipeline.vault import Vault


@dataclass(frozen=True, slots=True)
class Node:
    """An artefact, and what was made from it."""

    label: Label
    header: bytes
    parents: tuple[ArtefactId, ...]
    is_live: bool
    made: tuple["Node", ...]

    @property
    def is_shared(self) -> bool:
        """Whether it has a slot of its own, and may come from other interactions as well."""
        return is_owned(self.label.kind)


def tree_of(vault: Vault, interaction: InteractionId) -> tuple[Node, ...]:
    """Returns what the interaction began with, each with all that came of it.

    Raises `Tampered` where the log lacks it.
    """
    known = logged(vault, [interaction])
    own = known.owners[interaction].sealed
    entries = own + [it for owner in known.derived for it in owner.sealed]
    made = _by_parent(entries)
    ids = {it.label.artefact for it in own}

    def node(it: SealedEntry) -> Node:
        below = tuple(node(child) for child in made.get(it.label.artefact, ()))
        return Node(it.label, it.header, it.parents, vault.ring.is_live(it.label.slot), below)

    return tuple(node(it) for it in own if not ids & set(it.parents))


def _by_parent(entries: list[SealedEntry]) -> dict[ArtefactId, list[SealedEntry]]:
    """Lists what was made from each artefact, under the first parent that is known here."""
    known = {it.label.artefact for it in entries}
    made: dict[ArtefactId, list[SealedEntry]] = {}
    for entry in entries:
        for parent in [it for it in entry.parents if it in known][:1]:
            made.setdefault(parent, []).append(entry)
    return made
