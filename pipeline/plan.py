"""The plan of an erasure: what will go, as ids and hashes, made while the keys still live.

A plan is content-free, because it is carried through the rotation in the ring and ends in the
receipt. The ring carries ids and slots alone: what else there is to tell of them is in the log, and
of a hundred thousand it would be sealed and synced several times before the first key is gone.
What the user sees beside it (times, words) is read for that moment only, by the doors.
"""

import json
import re
import secrets
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

from keys.errors import Malformed
from keys.model import ID_SIZE, InteractionId, PlanId, Slot
from keys.receipt import DeadArtefact, DeadInteraction, DeadSlot
from pipeline import disclosures
from pipeline.artefact import AUDIO
from pipeline.lineage import KINDS, is_owned
from pipeline.logged import FEW, Logged, Owner, logged
from pipeline.vault import Vault

Lives = Callable[[Slot], bool]
"""Tells whether a slot holds a key."""


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
        """Returns JSON, to be carried in the ring; `read_back` makes the plan of it again."""
        rows = {"erased": _carried(self.erased), "retired": _carried(self.retired)}
        told = {"disclosed": self.disclosed, "kept": self.kept}
        begun = {"id": self.id.hex(), "requested_at": self.requested_at}
        return json.dumps({**begun, **told, **rows}).encode()


def _carried(rows: Iterable[DeadInteraction]) -> list[list[str | int]]:
    return [[row.interaction, *(slot.slot for slot in row.slots)] for row in rows]


def read_back(vault: Vault, data: bytes) -> Plan:
    """Returns the plan that the ring carried, with what the log has of its ids.

    Raises `Tampered` where the log lacks one, `Malformed` for a plan in another form.
    """
    row = json.loads(data)
    rows = (*row["erased"], *row["retired"])
    if not all(isinstance(it, list) for it in rows):
        raise Malformed(
            "an erasure that was cut off has its plan in the form of an earlier version: run any "
            "command with that version once, and it is finished"
        )
    carried = {InteractionId(bytes.fromhex(it)): slots for it, *slots in rows}
    owners = logged(vault, carried).owners
    dead = [_dead(owners[it], slots) for it, slots in carried.items()]
    erased, retired = tuple(dead[: len(row["erased"])]), tuple(dead[len(row["erased"]) :])
    plan, told = PlanId(bytes.fromhex(row["id"])), (tuple(row["disclosed"]), tuple(row["kept"]))
    return Plan(plan, row["requested_at"], erased, *told, retired)


_ID = re.compile(rb'\{"id": "([0-9a-f]{32})", ')
_NOTHING_RETIRED = b', "retired": []}'


def peek(data: bytes) -> tuple[PlanId, list[InteractionId]]:
    """Returns the id of an encoded plan, and the owners that it retires, by its bytes alone.

    The ring carries the last plan until the next, and every command asks whether it is finished: to
    decode a hundred thousand rows for that, or to look in the log for an owner as old as the vault,
    would take it seconds. Raises `Malformed`.
    """
    found = _ID.match(data)
    if not found:
        raise Malformed("what the ring carries is no plan of an erasure")
    rows = [] if data.endswith(_NOTHING_RETIRED) else json.loads(data)["retired"]
    retired = [InteractionId(bytes.fromhex(row[0])) for row in rows]
    return PlanId(bytes.fromhex(found[1].decode())), retired


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
    lives = _lives(vault, len(known.owners))
    dead = [_dead(it, _living(it, lives, only_audio)) for it in known.owners.values()]
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
    return Plan(plan, requested_at, (*erased, *_derived(known, erased, lives)), disclosed)


def retirement(vault: Vault, owners: Iterable[InteractionId], requested_at: str) -> Plan:
    """Plans to destroy what owners have, because something newer took its place."""
    known = logged(vault, dict.fromkeys(owners))
    lives = vault.ring.is_live
    rows = [_dead(it, _living(it, lives)) for it in known.owners.values()]
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
    known: Logged, erased: Sequence[DeadInteraction], lives: Lives
) -> list[DeadInteraction]:
    """Returns what dies with its parents, oldest first, so that what was made from it is seen."""
    gone = {bytes.fromhex(it.artefact) for row in erased for it in row.artefacts}
    there, found = {row.interaction for row in erased}, []
    for owner in known.derived:
        (it,) = owner.sealed
        if KINDS[it.label.kind].dies_with_parents and not gone.isdisjoint(it.parents):
            gone.add(it.label.artefact)
            row = _dead(owner, _living(owner, lives))
            found += [row] if row.slots and row.interaction not in there else []
    return found


def _lives(vault: Vault, number: int) -> Lives:
    """Returns what tells whether a slot lives; for many interactions it is asked of all at once."""
    if number <= FEW:
        return vault.ring.is_live
    living = vault.ring.liveness()
    return lambda slot: slot < len(living) and bool(living[slot])


def _living(it: Owner, lives: Lives, only_audio: bool = False) -> list[Slot]:
    of_audio = {sealed.label.slot for sealed in it.sealed if sealed.label.kind == AUDIO}
    slots = (slot for slot, _ in it.slots if slot in of_audio or not only_audio)
    return [slot for slot in slots if lives(slot)]


def _dead(it: Owner, slots: Collection[Slot]) -> DeadInteraction:
    """Returns the row of what dies of an owner with these slots."""
    commitments = {slot: commitment for slot, commitment in it.slots if slot in slots}
    files = (sealed for sealed in it.sealed if sealed.label.slot in commitments)
    return DeadInteraction(
        it.id.hex(),
        tuple(DeadSlot(slot, commitments[slot].hex()) for slot in sorted(commitments)),
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
