"""The plan of an erasure: what will go, as ids and hashes, made while the keys still live.

A plan is content-free, because it is carried through the rotation in the ring and ends in the
receipt. What the user sees beside it (times, words) is read for that moment only, by the doors.
"""

import json
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Self

from keys.model import ID_SIZE, InteractionId, PlanId, Slot
from keys.receipt import DeadArtefact, DeadInteraction, DeadSlot, parse_interaction
from pipeline.artefact import AUDIO, DISCLOSURE, Disclosure
from pipeline.vault import Artefact, Vault


@dataclass(frozen=True, slots=True)
class Plan:
    """One erasure to be: the interactions with slots and files, and what is beyond reach."""

    id: PlanId
    requested_at: str
    erased: tuple[DeadInteraction, ...]
    disclosed: tuple[str, ...] = ()

    @property
    def slots(self) -> list[Slot]:
        """The slots whose keys will be destroyed."""
        return [Slot(slot.slot) for interaction in self.erased for slot in interaction.slots]

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
            tuple(parse_interaction(it) for it in row["erased"]),
            tuple(row["disclosed"]),
        )


def make_plan(
    vault: Vault,
    interactions: Iterable[InteractionId],
    requested_at: str,
    *,
    only_audio: bool = False,
) -> Plan:
    """Plans to erase interactions, or only their audio; those with nothing live drop out."""
    rows = [_dead(vault, interaction, only_audio=only_audio) for interaction in interactions]
    erased = tuple(row for row in rows if row.slots)
    disclosed = () if only_audio else tuple(_disclosures(vault, erased))
    return Plan(PlanId(secrets.token_bytes(ID_SIZE)), requested_at, erased, disclosed)


def plan_ids(plan: Plan) -> list[InteractionId]:
    """Returns the interactions that a plan erases something of."""
    return [InteractionId(bytes.fromhex(row.interaction)) for row in plan.erased]


def _dead(vault: Vault, interaction: InteractionId, *, only_audio: bool) -> DeadInteraction:
    artefacts = [
        artefact
        for artefact in vault.artefacts(interaction)
        if vault.is_live(artefact) and (artefact.kind == AUDIO or not only_audio)
    ]
    slots = sorted({artefact.slot for artefact in artefacts})
    return DeadInteraction(
        interaction.hex(),
        tuple(DeadSlot(slot, vault.ring.commitment(slot).hex()) for slot in slots),
        tuple(_dead_artefact(artefact) for artefact in artefacts),
    )


def _dead_artefact(artefact: Artefact) -> DeadArtefact:
    label = artefact.header.label
    return DeadArtefact(label.artefact.hex(), label.kind, label.slot, artefact.header.hash.hex())


def _disclosures(vault: Vault, erased: Sequence[DeadInteraction]) -> Iterable[str]:
    for row in erased:
        for artefact in vault.artefacts(InteractionId(bytes.fromhex(row.interaction))):
            if artefact.kind == DISCLOSURE:
                it = Disclosure.decode(vault.open(artefact).read())
                yield f"interaction {row.interaction}: {it.kind}, log entry {it.index}"
