"""Keeping: the minimal record of an action, sealed under a slot of its own before its source dies.

Promises that what is kept opens, and holds no more than the assistant calls minimal (an alarm: its
time and label). Nothing is kept that was not named. Whoever erases calls `seal_records` first,
under the same lock; a crash between leaves the record beside its source, which counts once.
"""

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from keys.errors import Erased, Malformed, StateUnknown, Tampered
from keys.model import ArtefactId, InteractionId
from keys.progress import counted
from pipeline import write
from pipeline.artefact import ACTION, FIRED, RECORD
from pipeline.assistant.values import MISSED, RANG, Action, Fired, describe, minimal
from pipeline.errors import NotFound
from pipeline.query import Query, terms
from pipeline.vault import Vault

_PREFIX_MIN = 4


@dataclass(frozen=True, slots=True, repr=False)
class Keepable:
    """An action that can be kept as a record; `what` says in words what would be kept."""

    artefact: ArtefactId
    kind: str
    what: str
    record: bytes

    @property
    def name(self) -> str:
        """How a user names it: `alarm:1a2b3c4d`."""
        return f"{self.kind}:{self.artefact.hex()[:8]}"


def keepable(vault: Vault, interactions: Iterable[InteractionId]) -> Iterator[Keepable]:
    """Yields what can be kept of these interactions, opening their actions."""
    for interaction in counted(interactions, "looking for what can be kept"):
        living = [it for it in vault.artefacts(interaction) if vault.is_live(it)]
        fired = [Fired.decode(vault.open(it).read()) for it in living if it.kind == FIRED]
        for artefact in (it for it in living if it.kind == ACTION):
            id_ = artefact.header.label.artefact
            action = _as_it_is(Action.decode(vault.open(artefact).read()), id_, fired)
            yield Keepable(id_, action.what, describe(action), minimal(action))


def _as_it_is(action: Action, id_: ArtefactId, fired: Iterable[Fired]) -> Action:
    """Returns an action with what became of it: a record that is kept must not ring once more."""
    last = max((it for it in fired if it.action == id_.hex()), key=lambda it: it.at, default=None)
    if last is None:
        return action
    return replace(action, last=last.due, state="" if last.how in {RANG, MISSED} else last.how)


@dataclass(frozen=True, slots=True, repr=False)
class Kept:
    """A record as its user knows it; its repr does not show what it is."""

    owner: InteractionId
    action: Action

    @property
    def what(self) -> str:
        """Says it in words."""
        return describe(self.action)

    def is_found(self, query: Query) -> bool:
        """Tells whether a query finds it: in what it is called, the list it is on, or for whom."""
        it, end = self.action, [""]  # between two of these no phrase goes on
        return query.finds([*terms(it.label), *end, *terms(it.list), *end, *terms(it.recipient)])


def records(vault: Vault, owners: Iterable[InteractionId]) -> Iterator[Kept]:
    """Yields the records that can be read; the audit tells of others."""
    for owner in owners:
        with contextlib.suppress(Erased, Malformed, Tampered, NotFound):
            yield Kept(owner, Action.decode(vault.read(owner, RECORD)))


def chosen(found: Sequence[Keepable], names: Sequence[str]) -> list[Keepable]:
    """Returns those that are named, each once; raises `NotFound` for a name of none or several."""
    return list({it.artefact: it for it in (_named(found, name) for name in names)}.values())


def _named(found: Sequence[Keepable], name: str) -> Keepable:
    kind, _, digits = name.rpartition(":")
    matches = [
        it
        for it in found
        if len(digits) >= _PREFIX_MIN
        and it.artefact.hex().startswith(digits.lower())
        and kind in ("", it.kind)
    ]
    if len(matches) != 1:
        there = ", ".join(it.name for it in found) or "nothing"
        raise NotFound(
            f"--keep {name[:40]!r} names {len(matches)} of what can be kept; there is: {there}; "
            "nothing was erased"
        )
    return matches[0]


def seal_records(vault: Vault, wanted: Iterable[Keepable]) -> tuple[str, ...]:
    """Seals the records, opens each again, and returns what a receipt says of them.

    Raises `StateUnknown` where a record does not read as it was written.
    """
    said = []
    for it in wanted:
        owner = write.own(vault, RECORD, it.record, [it.artefact])
        if bytes(vault.read(owner, RECORD)) != it.record:
            raise StateUnknown(f"record {owner.hex()} does not read as written; nothing was erased")
        said.append(f"record {owner.hex()}, made from artefact {it.artefact.hex()}")
    return tuple(said)
