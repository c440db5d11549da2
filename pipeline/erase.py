"""Erasing: the whole act behind `forget`, from a plan to a signed receipt (SPEC section 6.3).

Promises that a receipt exists only for keys that are gone, and that an erasure whose keys are gone
always gets its receipt: what a crash leaves undone, `settle` does at the next start. This is the
only place in the product that destroys keys.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from keys.durable import replace_file
from keys.entry import Created, ErasedEntry
from keys.model import Epoch, InteractionId, PlanId, Slot
from keys.receipt import (
    CONFIRMED,
    DOES_NOT_PROVE,
    FAILED,
    PROVES,
    TECHNIQUE,
    AnchorLevel,
    Check,
    Receipt,
    Statement,
)
from pipeline import machine, write
from pipeline.plan import Plan
from pipeline.vault import Vault

Clock = Callable[[], str]
"""Tells the time in UTC as `2026-01-31T12:00:00Z`."""


@dataclass(frozen=True, slots=True)
class Erasure:
    """An erasure that is done: what it states, and where its receipt lies."""

    statement: Statement
    receipt: Path


def erase(vault: Vault, plan: Plan, clock: Clock) -> Erasure:
    """Carries out a plan: destroys the keys, then logs, signs and tidies up."""
    vault.ring.destroy(plan.slots, plan.encode())
    return _finish(vault, plan, clock)


def settle(vault: Vault, clock: Clock) -> None:
    """Does what a crash has left undone: receipts, dead files, half-made interactions."""
    if vault.ring.pending and vault.ring.pending.plan:
        plan = Plan.decode(vault.ring.pending.plan)
        if plan.erased and not _is_finished(vault, plan.id):
            _finish(vault, plan, clock)
    write.settle(vault, lambda interaction: _discard(vault, interaction))


def _finish(vault: Vault, plan: Plan, clock: Clock) -> Erasure:
    """Writes log and receipt of an erasure whose keys are gone; safe to repeat after a crash.

    1. The statement is durable. 2. The log has its hash. 3. The receipt is durable. 4. The dead
    files are deleted, and then the statement, whose presence says that steps are left.
    """
    draft, receipt = _paths(vault, plan.id)
    logged = None
    if vault.disk.size(draft):
        statement = Statement.parse(bytes(vault.disk.read(draft)))
        logged = _logged_at(vault, statement)
    else:
        statement = _statement(vault, plan, clock)
        vault.disk.make_dir(vault.receipts)
        replace_file(vault.disk, draft, statement.encode())
    index = vault.log.append([statement.entry()]) if logged is None else logged
    proof = vault.log.prove(index, vault.signer())
    replace_file(vault.disk, receipt, Receipt(statement, proof).encode())
    _delete_files(vault, plan)
    vault.disk.delete(draft)
    return Erasure(statement, receipt)


def _discard(vault: Vault, interaction: InteractionId) -> None:
    """Destroys the slots of an interaction that never became whole; the log says so."""
    slots = [slot for slot in _slots_of(vault, interaction) if vault.ring.is_live(slot)]
    if slots:
        vault.ring.destroy(slots, b"")
    if vault.created(interaction):
        vault.note("discard", "unfinished", [interaction])


def _slots_of(vault: Vault, interaction: InteractionId) -> Iterable[Slot]:
    created = vault.created(interaction)
    if created:
        return [slot for slot, _ in created.slots]
    # The crash came before the log knew it: its slots are those beyond the last that the log has.
    entries = (entry for _, entry in vault.log.scan_back() if isinstance(entry, Created))
    last = max((slot for slot, _ in next(entries, Created(interaction, ())).slots), default=-1)
    return [Slot(slot) for slot in range(last + 1, vault.ring.slot_count)]


def _statement(vault: Vault, plan: Plan, clock: Clock) -> Statement:
    checks = _checks(vault, plan)
    return Statement(
        vault=vault.id.hex(),
        plan=plan.id.hex(),
        log_key=vault.signer().verifier.format(),
        tool=f"anechoic {version('anechoic')}",
        requested_at=plan.requested_at,
        erased_at=clock(),
        verdict=CONFIRMED if all(ok for ok, _ in checks) else FAILED,
        technique=TECHNIQUE,
        epoch_from=vault.ring.epoch - 1,
        epoch_to=vault.ring.epoch,
        anchors=tuple(
            AnchorLevel(anchor.name, (level := anchor.level()).letter, level.rests_on)
            for anchor in vault.ring.anchors
        ),
        erased=plan.erased,
        kept=(),
        disclosed=plan.disclosed,
        residual=tuple(_residual(plan)),
        checks=tuple(check for _, check in checks),
        proves=PROVES,
        does_not_prove=DOES_NOT_PROVE,
    )


def _checks(vault: Vault, plan: Plan) -> list[tuple[bool, Check]]:
    vault.ring.open()  # anew from the disk: what a later process would see
    dead = sum(not vault.ring.is_live(slot) for slot in plan.slots)
    epochs = [sorted(anchor.shares()) for anchor in vault.ring.anchors]
    only_this = all(found == [vault.ring.epoch] for found in epochs)
    held = "no share but that of the current epoch" if only_this else f"shares of epochs {epochs}"
    return [
        (
            dead == len(plan.slots),
            Check("the ring, read again from the disk", f"{dead} of {len(plan.slots)} slots empty"),
        ),
        (only_this, Check("the anchors, read again", held)),
    ]


def _residual(plan: Plan) -> Iterable[str]:
    for row in plan.disclosed:
        yield f"{row}: that copy is outside this vault's reach; whoever holds it must delete it"
    swap = machine.swap()
    if swap.state != machine.OK:
        yield f"swap: {swap.found}"


def _logged_at(vault: Vault, statement: Statement) -> int | None:
    wanted = statement.entry()
    for index, entry in vault.log.scan_back():
        if entry == wanted:
            return index
        if isinstance(entry, ErasedEntry) and entry.epoch_to < Epoch(statement.epoch_to):
            return None
    return None


def _delete_files(vault: Vault, plan: Plan) -> None:
    for row in plan.erased:
        interaction = InteractionId(bytes.fromhex(row.interaction))
        dead = {artefact.header for artefact in row.artefacts}
        for artefact in vault.artefacts(interaction):
            if artefact.header.hash.hex() in dead:
                vault.disk.delete(artefact.path)


def _paths(vault: Vault, plan: PlanId) -> tuple[Path, Path]:
    return vault.receipts / f"{plan.hex()}.statement", vault.receipts / f"{plan.hex()}.receipt"


def _is_finished(vault: Vault, plan: PlanId) -> bool:
    draft, receipt = _paths(vault, plan)
    return vault.disk.size(receipt) is not None and vault.disk.size(draft) is None
