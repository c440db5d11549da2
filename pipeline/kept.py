"""Which records stand for one and the same action, so that whoever forgets one forgets them all.

Promises to go by the log: by what each record says that it was made from. There are several only
where a crash, or an act that failed, left one beside what counts, or where a record was replaced
while somebody thought about a plan. Writes nothing, and shows nothing of what they hold.
"""

import contextlib
from collections.abc import Collection, Iterator

from keys.errors import Erased, Malformed, NoSuchSlot, Tampered
from keys.model import ArtefactId, InteractionId
from pipeline.artefact import ACTION, RECORD
from pipeline.logged import Owner, logged
from pipeline.vault import Vault


def same(vault: Vault, owners: Collection[InteractionId]) -> list[InteractionId]:
    """Returns the living records of the same actions as these owners have, beside them, by slot.

    Of a record, also one that lives no more: what took its place, and what it was made from. Of an
    interaction: what a keeping that came to no end has left of its living actions.
    """
    records = [it for it in vault.owned(RECORD) if it not in owners and _opens(vault, it)]
    if not records:
        return []
    known = logged(vault, dict.fromkeys((*owners, *records))).owners
    meant = {it for owner in owners for it in _meant(vault, known[owner])}
    found: set[InteractionId] = set()
    while fresh := {it for it in records if it not in found and meant & _ids(known[it])}:
        found |= fresh
        meant |= {id_ for it in fresh for id_ in _ids(known[it])}
    return [it for it in records if it in found]


def _opens(vault: Vault, record: InteractionId) -> bool:
    """Tells whether it is one of this vault's: a stranger's file is no reason not to forget."""
    with contextlib.suppress(Erased, Malformed, NoSuchSlot, Tampered, OSError):
        return all(vault.open(it) for it in vault.artefacts(record))
    return False


def _meant(vault: Vault, owner: Owner) -> Iterator[ArtefactId]:
    for it in owner.sealed:
        if it.label.kind == RECORD:
            yield from _ids(owner)
        elif it.label.kind == ACTION and vault.ring.is_live(it.label.slot):
            yield it.label.artefact


def _ids(record: Owner) -> set[ArtefactId]:
    return {id_ for it in record.sealed for id_ in (it.label.artefact, *it.parents)}
