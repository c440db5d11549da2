"""The plan of an erasure: what will go, as ids and hashes, made while the keys still live.

A plan is content-free, because it is carried through the rotation in the ring and ends in the
receipt. What the user sees beside it (times, words) is read for that moment only, by the doors.
"""

import json
import re
import secrets
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Self

from keys.errors import Malformed
from keys.model import ID_SIZE, InteractionId, PlanId, Slot
from keys.receipt import DeadArtefact, DeadInteraction, DeadSlot, parse_interaction
from pipeline import disclosures
from pipeline.artefact import AUDIO
from pipeline.lineage import KINDS, is_owned
from pipeline.logged import Logged, Owner, logged
from pipeline.vault import Vault


@dataclass(frozen=True, slots=True)
class Plan:
    """One erasure to be: the interactions with slots and files, and what is beyond reach.

    `erased` also has the owners of what was made from several interactions: it dies with any. What
    is `retired` was replaced by something newer of the same content, and gets no receipt.
    """

    id: PlanId
    requested_at: str
    erased: tuple[DeadInteraction, ...]
    disclosed: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    retired: tuple[DeadInteraction, ...] = ()

    @property
    def slots(self) -> list[Slot]:
        """The slots whose keys will be destroyed."""
        rows = (*self.erased, *self.retired)
        return [Slot(slot.slot) for row in rows for slot in row.slots]

    def encode(self) -> bytes:
        """Returns JSON, to be carried in the ring."""
        return json.dumps({**asdict(self), "id": self.id.hex()}).encode()

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Parses what `encode` returned."""
        row = json.loads(data)
        return cls(
            PlanId(bytes.fromhex(row["id"])),
            row["requested_at"],
            _rows(row["erased"]),
            tuple(row["disclosed"]),
            tuple(row["kept"]),
            _rows(row["retired"]),
        )


_ID = re.compile(rb'\{"id": "([0-9a-f]{32})", ')
_NOTHING_RETIRED = b', "retired": []}'


def peek(data: bytes) -> tuple[PlanId, bool]:
    """Returns the id of an encoded plan, and whether it retires anything, without its rows.

    The ring carries the last plan until the next, and every command asks whether it is finished: to
    decode a hundred thousand rows for that would take it seconds. Raises `Malformed`.
    """
    found = _ID.match(data)
    if not found:
        raise Malformed("what the ring carries is no plan of an erasure")
    return PlanId(bytes.fromhex(found[1].decode())), not data.endswith(_NOTHING_RETIRED)


def make_plan(
    vault: Vault,
    interactions: Iterable[InteractionId],
    requested_at: str,
    *,
    only_audio: bool = False,
) -> Plan:
    """Plans to erase interactions, or only their audio; those with nothing live drop out.

    What has a slot of its own and was made from what dies, dies too, whatever was made from that
    included. Goes by the log, not by the files that happen to be there: a copy of a file that is
    missing here must die too, and a file put here by a stranger must not take another's key with
    it. Raises `Tampered` where the log lacks an interaction.
    """
    known = logged(vault, dict.fromkeys(interactions))
    dead = [_dead(vault, it, only_audio=only_audio) for it in known.owners.values()]
    erased = tuple(row for row in dead if row.slots)
    gone = {row.interaction for row in erased}
    disclosed = tuple(
        disclosures.row_of(it.id, index, entry)
        for it in known.owners.values()
        if it.id.hex() in gone
        for index, entry in it.disclosed
        if not (only_audio and disclosures.is_of_words(entry))
    )
    plan = PlanId(secrets.token_bytes(ID_SIZE))
    return Plan(plan, requested_at, (*erased, *_derived(vault, known, erased)), disclosed)


def retirement(vault: Vault, owners: Iterable[InteractionId], requested_at: str) -> Plan:
    """Plans to destroy what owners have, because something newer took its place."""
    known = logged(vault, dict.fromkeys(owners))
    rows = [_dead(vault, it, only_audio=False) for it in known.owners.values()]
    retired = tuple(row for row in rows if row.slots)
    return Plan(PlanId(secrets.token_bytes(ID_SIZE)), requested_at, (), retired=retired)


def plan_ids(plan: Plan) -> list[InteractionId]:
    """Returns the interactions that a plan erases something of, without other owners."""
    return [_id(row) for row in interactions_of(plan.erased)]


def interactions_of(rows: Iterable[DeadInteraction]) -> list[DeadInteraction]:
    """Returns what a user may have named: interactions and records, without aggregates."""
    return [row for row in rows if not _is_derived(row)]


def derived_ids(plan: Plan) -> list[InteractionId]:
    """Returns the owners of what dies because it was made from what a plan erases."""
    return [_id(row) for row in plan.erased if _is_derived(row)]


def dying(plan: Plan, kind: str) -> set[bytes]:
    """Returns the ids of the artefacts of a kind that a plan erases."""
    rows = (it for row in plan.erased for it in row.artefacts)
    return {bytes.fromhex(it.artefact) for it in rows if it.kind == kind}


def _derived(
    vault: Vault, known: Logged, erased: tuple[DeadInteraction, ...]
) -> list[DeadInteraction]:
    """Returns what dies with its parents, oldest first, so that what was made from it is seen."""
    gone = {it.artefact for row in erased for it in row.artefacts}
    found = []
    for owner in known.derived:
        (it,) = owner.sealed
        parents = {parent.hex() for parent in it.parents}
        if KINDS[it.label.kind].dies_with_parents and parents & gone:
            gone.add(it.label.artefact.hex())
            row = _dead(vault, owner, only_audio=False)
            found += [row] if row.slots and row not in erased else []
    return found


def _dead(vault: Vault, it: Owner, *, only_audio: bool) -> DeadInteraction:
    of_audio = {sealed.label.slot for sealed in it.sealed if sealed.label.kind == AUDIO}
    slots = {
        slot: commitment
        for slot, commitment in it.slots
        if vault.ring.is_live(slot) and (slot in of_audio or not only_audio)
    }
    files = [sealed for sealed in it.sealed if sealed.label.slot in slots]
    return DeadInteraction(
        it.id.hex(),
        tuple(DeadSlot(slot, slots[slot].hex()) for slot in sorted(slots)),
        tuple(
            DeadArtefact(
                sealed.label.artefact.hex(),
                sealed.label.kind,
                sealed.label.slot,
                sealed.header.hex(),
            )
            for sealed in files
        ),
    )


def _is_derived(row: DeadInteraction) -> bool:
    """Tells whether it is no interaction; a record is, in the sense that a user may name it."""
    return any(is_owned(it.kind) and KINDS[it.kind].dies_with_parents for it in row.artefacts)


def _id(row: DeadInteraction) -> InteractionId:
    return InteractionId(bytes.fromhex(row.interaction))


def _rows(rows: list[dict[str, Any]]) -> tuple[DeadInteraction, ...]:
    return tuple(map(parse_interaction, rows))
