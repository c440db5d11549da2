"""Whether everything in a vault descends from what the log says, and dies with it.

Goes through the log once. Promises to name an artefact of a kind that is not declared, one made
from something that the log does not have, and one that lives though what it was made from is gone.
"""

from collections.abc import Iterator

from keys.entry import SealedEntry
from keys.model import ArtefactId, Label
from pipeline.lineage import KINDS, is_owned
from pipeline.vault import Vault


def problems(vault: Vault) -> Iterator[str]:
    """Yields whatever is wrong with the descent of the vault's artefacts; raises `Malformed`."""
    seen: dict[ArtefactId, Label] = {}
    for index, entry in vault.log.scan():
        if isinstance(entry, SealedEntry):
            what = f"log entry {index}, {entry.label.kind} {entry.label.artefact.hex()}"
            yield from (f"{what}: {it}" for it in _problems(vault, entry, seen))
            seen[entry.label.artefact] = entry.label


def _problems(vault: Vault, entry: SealedEntry, seen: dict[ArtefactId, Label]) -> Iterator[str]:
    kind = KINDS.get(entry.label.kind)
    if kind is None:
        yield "it is of a kind that this version does not know"
        return
    for parent in entry.parents:
        if parent not in seen:
            yield f"it was made from {parent.hex()}, which the log does not have before it"
        elif seen[parent].kind not in kind.parents:
            yield f"it was made from {parent.hex()}, which is of no kind that it can be made from"
    if is_owned(entry.label.kind) and kind.dies_with_parents and _is_live(vault, entry.label):
        for parent in entry.parents:
            if parent in seen and not _is_live(vault, seen[parent]):
                yield f"it lives, and {parent.hex()}, which it was made from, is erased"


def _is_live(vault: Vault, label: Label) -> bool:
    return label.slot < vault.ring.slot_count and vault.ring.is_live(label.slot)
