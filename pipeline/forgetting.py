"""Forgetting: from what somebody means to a receipt, with what they choose to keep.

The command line, the page and the voice all come through here, so none has a way of its own:
`propose` says what would happen and changes nothing, `carry_out` does it. Both expect the lock.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from keys.errors import Erased
from keys.model import InteractionId
from pipeline import disclosures, history, keep, kept
from pipeline.artefact import RECORD
from pipeline.erase import Clock, Erasure, erase
from pipeline.keep import Keepable, Kept
from pipeline.plan import Plan, make_plan, plan_ids
from pipeline.select import Selection, select, unknown_yet
from pipeline.skills.asking import ask_to_erase
from pipeline.vault import Vault


@dataclass(frozen=True, slots=True, repr=False)
class Proposal:
    """What an erasure would be: the plan, the words that would go, and what could be kept."""

    plan: Plan
    rows: tuple[history.Row, ...]
    keepable: tuple[Keepable, ...]
    only_audio: bool
    records: tuple[Kept, ...]
    """What had been kept, and would go."""
    remark: str
    """Of what is being spoken just now, where nobody can tell yet whether it is meant."""

    @property
    def kinds(self) -> Counter[str]:
        """How many sealed files of each kind would be erased."""
        return Counter(it.kind for row in self.plan.erased for it in row.artefacts)


def propose(
    vault: Vault, selection: Selection, at: str, *, only_audio: bool = False, show: bool = True
) -> Proposal:
    """Returns what a selection means; with `show` the words that would go are read, and logged.

    Raises `Refused`, `NotFound`, and `Erased` where nothing of what is meant is left.
    """
    plan = _planned(vault, select(vault, selection), at, only_audio=only_audio)
    ids = _interactions(vault, plan)
    rows = tuple(history.some(vault, ids, "plan")) if show else ()
    records = tuple(_records(vault, plan)) if show else ()
    found = () if only_audio else tuple(keep.keepable(vault, ids))
    return Proposal(plan, rows, found, only_audio, records, unknown_yet(vault, selection))


def carry_out(vault: Vault, proposal: Proposal, clock: Clock, names: Sequence[str] = ()) -> Erasure:
    """Keeps what is named, erases the rest of a proposal, and returns the receipt.

    Planned again under the same lock as the erasure: what was erased meanwhile drops out, and what
    was made since from what goes is in it. Skills are asked to erase what they were given, for some
    seconds at most. Raises `NotFound` for a name of nothing to keep.
    """
    ids, only_audio = plan_ids(proposal.plan), proposal.only_audio
    keeps = bool(names) and not only_audio
    found = list(keep.keepable(vault, _interactions(vault, proposal.plan))) if keeps else []
    wanted = keep.chosen(found, names)
    plan = _planned(vault, ids, proposal.plan.requested_at, only_audio=only_audio)
    said = keep.seal_records(vault, wanted)
    return erase(vault, replace(plan, kept=said), clock, ask_to_erase)


def _records(vault: Vault, plan: Plan) -> list[Kept]:
    """Returns the records of a plan, logged as read."""
    owners = set(vault.owned(RECORD))
    found = list(keep.records(vault, (it for it in plan_ids(plan) if it in owners)))
    vault.note_read("plan", [it.owner for it in found])
    return found


def _interactions(vault: Vault, plan: Plan) -> list[InteractionId]:
    """Returns the interactions of a plan; a record that is named goes too, and is none."""
    records = set(vault.owned(RECORD))
    return [it for it in plan_ids(plan) if it not in records]


def _planned(vault: Vault, ids: Sequence[InteractionId], at: str, *, only_audio: bool) -> Plan:
    """Makes a plan, with every record of what is meant; raises `Erased` for a plan of nothing."""
    more = [] if only_audio else kept.same(vault, ids)
    plan = make_plan(vault, [*ids, *more], at, only_audio=only_audio)
    if not plan.erased:
        raise Erased("nothing of what is meant is left: it has been erased already")
    ids = plan_ids(plan)
    kinds = {row.interaction: {it.kind for it in row.artefacts} for row in plan.erased}
    records = [it for it in ids if RECORD in kinds[it.hex()]]
    told = disclosures.of_sources(vault, records, set(ids))
    return replace(plan, disclosed=(*plan.disclosed, *told))
