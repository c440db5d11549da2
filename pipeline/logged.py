"""What the log has of an interaction: its slots, its sealed files with their parents, what left.

Reads the log back as far as it must and no further. Promises to go by the log alone, not by the
files that happen to be there. Nothing here opens anything.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from keys.entry import Created, Entry, Noted, SealedEntry
from keys.errors import Tampered
from keys.model import ArtefactId, Commitment, InteractionId, Slot
from pipeline.lineage import KINDS, is_aggregated, is_owned
from pipeline.vault import Vault

FEW = 16
"""So many are looked for by their ids; for more, the first words of each line are looked at."""
OWNED = tuple(kind for kind in KINDS if is_owned(kind))


@dataclass(slots=True)
class Owner:
    """What the log has of one interaction, or of the owner of one artefact; oldest first."""

    id: InteractionId
    slots: tuple[tuple[Slot, Commitment], ...] = ()
    sealed: list[SealedEntry] = field(default_factory=list)
    disclosed: list[tuple[int, Noted]] = field(default_factory=list)


@dataclass(slots=True)
class Logged:
    """What was asked for, and every owner of something made since the oldest of that."""

    owners: dict[InteractionId, Owner]
    derived: list[Owner] = field(default_factory=list)
    """Those with parents, oldest first; where few were asked for, those alone that live."""


def logged(vault: Vault, wanted: Iterable[InteractionId]) -> Logged:
    """Returns what the log has of these; raises `Tampered` where it lacks one."""
    found = Logged({it: Owner(it) for it in wanted})
    others: dict[InteractionId, Owner] = {}
    missing = set(found.owners)
    entries = _of_few(vault, missing) if len(missing) <= FEW else _of_many(vault, missing)
    while missing:
        index, entry = next(entries, (-1, None))
        if entry is None:
            raise Tampered(
                f"interaction {min(missing).hex()} is not in the log: an old copy of the log was "
                "put back; `anechoic audit` tells more"
            )
        _take(found.owners, others, index, entry)
        if isinstance(entry, Created):
            missing.discard(entry.interaction)
    found.derived = [it for it in reversed(others.values()) if it.slots and it.sealed[0].parents]
    return found


def _of_many(vault: Vault, wanted: Collection[InteractionId]) -> Iterator[tuple[int, Entry]]:
    """Yields, newest first, the entries of these, of every owner of one artefact, and what left."""
    ids, owned = {it.hex().encode() for it in wanted}, {it.encode() for it in OWNED}

    def is_wanted(words: Sequence[bytes]) -> bool:
        if len(words) < 5:  # an owner of one artefact, which has one slot; or no entry at all
            return True
        act, of, kind = words[1], words[2], words[4]
        return of in ids if act == b"create" else act == b"disclose" or of in ids or kind in owned

    return vault.log.some_back(is_wanted)


def _of_few(vault: Vault, wanted: Collection[InteractionId]) -> Iterator[tuple[int, Entry]]:
    """Yields, newest first, the entries of these, of what was made from them, and so on.

    Found in the log by their ids: that takes milliseconds where reading it all takes minutes. What
    was made and has died is not followed: each erasure leaves one such segment of the index more.
    """
    missing, found, oldest = set(wanted), dict[int, Entry](), 0
    for index, entry in vault.log.mentions(wanted) if wanted else ():
        found[index] = entry
        if isinstance(entry, Created):
            missing.discard(entry.interaction)
        if not missing:
            oldest = index
            break
    made = _aggregated(found)
    while made:
        derived = {n: it for n, it in _since(vault, made, oldest).items() if n not in found}
        labels = [it.label for it in derived.values() if isinstance(it, SealedEntry)]
        living = [it for it in labels if is_living(vault, it.slot)]
        owners = {label.interaction for label in living if is_owned(label.kind)}
        alive = {it.artefact for it in living}
        fresh = derived | (_since(vault, owners, oldest) if owners else {})
        made = (_aggregated(fresh) - _aggregated(found)) & alive
        found |= fresh
    yield from sorted(found.items(), key=lambda row: row[0], reverse=True)


def is_living(vault: Vault, slot: Slot) -> bool:
    """Tells whether what lies under a slot lives."""
    return vault.ring.is_live(slot)


def _since(vault: Vault, ids: Collection[bytes], oldest: int) -> dict[int, Entry]:
    return dict(vault.log.mentions(ids, oldest))


def _aggregated(entries: Mapping[int, Entry]) -> set[ArtefactId]:
    """Returns the artefacts that something may have been made from which dies with them."""
    labels = (it.label for it in entries.values() if isinstance(it, SealedEntry))
    return {it.artefact for it in labels if is_aggregated(it.kind)}


def _take(
    owners: dict[InteractionId, Owner],
    others: dict[InteractionId, Owner],
    index: int,
    entry: Entry,
) -> None:
    if isinstance(entry, SealedEntry):
        of = entry.label.interaction
        if of in owners:
            owners[of].sealed.insert(0, entry)
        elif is_owned(entry.label.kind):
            others[of] = Owner(of, (), [entry])
    elif isinstance(entry, Noted) and entry.act == "disclose":
        for interaction in owners.keys() & entry.interactions:
            owners[interaction].disclosed.insert(0, (index, entry))
    elif isinstance(entry, Created):
        owner = owners.get(entry.interaction) or others.get(entry.interaction)
        if owner:
            owner.slots = entry.slots
