"""The plan of an erasure: what will go, as ids and hashes, made while the keys still live.

A plan is content-free, because it is carried through the rotation in the ring and ends in the
receipt. What the user sees beside it (times, words) is read for that moment only, by the doors.
"""

import json
import secrets
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Self

from keys.entry import Created, Noted, SealedEntry
from keys.errors import Tampered
from keys.model import ID_SIZE, Commitment, InteractionId, PlanId, Slot
from keys.receipt import DeadArtefact, DeadInteraction, DeadSlot, parse_interaction
from pipeline.artefact import AUDIO
from pipeline.vault import Vault


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
    """Plans to erase interactions, or only their audio; those with nothing live drop out.

    Goes by the log, not by the files that happen to be there: a copy of a file that is missing
    here must die too, and a file put here by a stranger must not take another's key with it.
    """
    known = _known(vault, dict.fromkeys(interactions))
    dead = {i: _dead(vault, i, it, only_audio=only_audio) for i, it in known.items()}
    erased = tuple(row for row in dead.values() if row.slots)
    disclosed = tuple(
        f"interaction {interaction.hex()}: {how.replace('-', ' ')}, log entry {index}"
        for interaction, row in dead.items()
        if row.slots
        for index, how in known[interaction].disclosed
    )
    return Plan(PlanId(secrets.token_bytes(ID_SIZE)), requested_at, erased, disclosed)


def plan_ids(plan: Plan) -> list[InteractionId]:
    """Returns the interactions that a plan erases something of."""
    return [InteractionId(bytes.fromhex(row.interaction)) for row in plan.erased]


@dataclass(slots=True)
class _Known:
    """What the log has of one interaction."""

    slots: tuple[tuple[Slot, Commitment], ...] = ()
    sealed: list[SealedEntry] = field(default_factory=list)
    disclosed: list[tuple[int, str]] = field(default_factory=list)


def _known(vault: Vault, wanted: Iterable[InteractionId]) -> dict[InteractionId, _Known]:
    """Reads the log back as far as needed; raises `Tampered` where it lacks an interaction."""
    known = {interaction: _Known() for interaction in wanted}
    missing = set(known)
    entries = vault.log.scan_back()
    while missing:
        index, entry = next(entries, (-1, None))
        if entry is None:
            raise Tampered(
                f"interaction {min(missing).hex()} is not in the log: an old copy of the log was "
                "put back; `anechoic audit` tells more"
            )
        if isinstance(entry, SealedEntry) and entry.label.interaction in known:
            known[entry.label.interaction].sealed.insert(0, entry)
        elif isinstance(entry, Noted) and entry.act == "disclose":
            for interaction in known.keys() & entry.interactions:
                known[interaction].disclosed.insert(0, (index, entry.how))
        elif isinstance(entry, Created) and entry.interaction in missing:
            known[entry.interaction].slots = entry.slots
            missing.remove(entry.interaction)
    return known


def _dead(
    vault: Vault, interaction: InteractionId, known: _Known, *, only_audio: bool
) -> DeadInteraction:
    of_audio = {it.label.slot for it in known.sealed if it.label.kind == AUDIO}
    slots = {
        slot: commitment
        for slot, commitment in known.slots
        if vault.ring.is_live(slot) and (slot in of_audio or not only_audio)
    }
    return DeadInteraction(
        interaction.hex(),
        tuple(DeadSlot(slot, slots[slot].hex()) for slot in sorted(slots)),
        tuple(_dead_artefact(it) for it in known.sealed if it.label.slot in slots),
    )


def _dead_artefact(it: SealedEntry) -> DeadArtefact:
    return DeadArtefact(it.label.artefact.hex(), it.label.kind, it.label.slot, it.header.hex())
