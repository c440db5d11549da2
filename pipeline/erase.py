"""Erasing: the whole act behind `forget`, from a plan to a signed receipt (SPEC section 6.3).

Promises that a receipt exists only for keys that are gone, and that an erasure whose keys are gone
always gets its receipt: what a crash leaves undone, `settle` does at the next start. This is the
only place in the product that destroys keys.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from keys.anchor import Anchor
from keys.attested import Attested
from keys.durable import replace_file
from keys.entry import Created, ErasedEntry, Noted
from keys.errors import Malformed, Tampered
from keys.model import ID_SIZE, ArtefactId, InteractionId, Label, PlanId, Slot
from keys.progress import counted
from keys.receipt import (
    CONFIRMED,
    DOES_NOT_PROVE,
    FAILED,
    PENDING,
    PROVES,
    TECHNIQUE,
    AnchorLevel,
    DeadArtefact,
    DeadInteraction,
    Statement,
)
from keys.root import held_by
from keys.sealed import HEADER_SIZE, parse_header
from pipeline import confirm, disclosures, livestate, logkey, machine, search, unfinished
from pipeline.artefact import TRANSCRIPT
from pipeline.errors import Refused
from pipeline.lineage import OWN
from pipeline.plan import Plan, derived_ids, dying, peek, read_back, retirement
from pipeline.vault import Vault, file_name

_DRAFT, _RECEIPT = ".statement", ".receipt"
Clock = Callable[[], str]
"""Tells the time in UTC as `2026-01-31T12:00:00Z`."""
Ask = Callable[[Vault, Sequence[str]], None]
"""Asks for what the rows of a plan say that left to be erased, and logs what is answered."""


@dataclass(frozen=True, slots=True)
class Erasure:
    """An erasure that is done: what it states, and where its receipt lies."""

    statement: Statement
    receipt: Path


def erase(vault: Vault, plan: Plan, clock: Clock, ask: Ask | None = None) -> Erasure:
    """Carries out a plan: destroys the keys, then logs, signs and tidies up.

    First what survives of aggregates that are about to die is sealed anew; once the keys are gone,
    `ask` asks skills to erase what they were given: without it, the receipt waits for `serve`.

    Raises `Refused` for a plan of nothing: there is no receipt without an erasure.
    """
    if not plan.erased:
        raise Refused("nothing of what is meant is left to erase")
    search.rebuild(vault, derived_ids(plan), dying(plan, TRANSCRIPT))
    vault.ring.destroy(plan.slots, plan.encode())
    if ask:
        ask(vault, plan.disclosed)
    return _finish(vault, plan, clock)


def retire(vault: Vault, owners: Iterable[InteractionId], clock: Clock) -> None:
    """Destroys what owners have, because something newer of the same content took its place.

    One rotation; the log says `discard replaced`. There is no receipt, because nothing of what was
    said is gone: who asks for that wants `erase`.
    """
    plan = retirement(vault, owners, clock())
    if plan.retired:
        if not _has_files(vault, plan.retired):
            _leave_a_file(vault, plan.retired)
        vault.ring.destroy(plan.slots, plan.encode())
        _finish_retired(vault, plan)


def settle(vault: Vault, clock: Clock) -> None:
    """Does what is left undone: receipts, dead files, half-made interactions, absent anchors.

    Last come the confirmations of pending receipts: they need all that is before them.
    """
    pending = vault.ring.pending
    if pending and pending.plan and not _is_over(vault, pending.plan):
        plan = read_back(vault, pending.plan)
        if plan.erased and not _is_finished(vault, plan.id):
            _finish(vault, plan, clock)
        if _has_files(vault, plan.retired):
            _finish_retired(vault, plan)
    _delete_drafts(vault)
    unfinished.settle(vault, lambda interaction: _discard(vault, interaction))
    vault.ring.catch_up()
    logkey.settle(vault)
    confirm.confirm(vault, _tool, clock)


def _is_over(vault: Vault, encoded: bytes) -> bool:
    plan, retired = peek(encoded)
    if retired:  # and erases nothing: it is over when its files are gone
        there = {name[: 2 * ID_SIZE] for name in vault.disk.names(vault.sealed / OWN)}
        return there.isdisjoint(it.hex() for it in retired)
    return _is_finished(vault, plan)


def _finish(vault: Vault, plan: Plan, clock: Clock) -> Erasure:
    """Writes log and receipt of an erasure whose keys are gone; safe to repeat after a crash.

    1. The statement, with the proof of the live tree, is durable. 2. The log has its hash. 3. The
    receipt is durable. 4. A pending one gets its mark, the live tree moves on, the dead files are
    deleted, and then the statement, whose presence says that steps are left.
    """
    draft, receipt = _paths(vault, plan.id)
    logged = _logged(vault, plan.id, vault.ring.epoch)
    drafted = _drafted(vault, draft, logged is not None) or _draft(vault, plan, clock, draft)
    statement, encoded = drafted
    index = logged[0] if logged else vault.log.append([statement.entry(encoded)])
    proof = vault.log.prove(index, *logkey.signers(vault))
    replace_file(vault.disk, receipt, Attested(encoded, proof).encode())
    confirm.expect(vault, statement)
    livestate.move_on(vault, statement)
    _delete_files(vault, plan.erased)
    vault.disk.delete(draft)
    return Erasure(statement, receipt)


def _finish_retired(vault: Vault, plan: Plan) -> None:
    """Notes and tidies up what was retired; safe to repeat, and done when its files are gone."""
    retired = [InteractionId(bytes.fromhex(row.interaction)) for row in plan.retired]
    if not _is_noted(vault, retired):
        vault.note("discard", unfinished.REPLACED, retired)
    _delete_files(vault, plan.retired)


def _has_files(vault: Vault, rows: Iterable[DeadInteraction]) -> bool:
    labels = [_label(vault, row, it) for row in rows for it in row.artefacts]
    return any(vault.disk.size(vault.place(it) / file_name(it)) is not None for it in labels)


def _leave_a_file(vault: Vault, rows: Iterable[DeadInteraction]) -> None:
    """Makes an empty file where all are missing: while there is one, not all has been done."""
    for label in [_label(vault, row, it) for row in rows for it in row.artefacts][:1]:
        place = vault.place(label)
        vault.disk.make_dir(place)
        vault.disk.write(place / file_name(label), 0, b"")
        vault.disk.sync(place / file_name(label))
        vault.disk.sync_dir(place)


def _is_noted(vault: Vault, retired: list[InteractionId]) -> bool:
    for _, entry in vault.log.mentions(retired):
        if isinstance(entry, Noted) and entry.how == unfinished.REPLACED:
            return True
        if isinstance(entry, Created):
            return False
    return False


def _drafted(vault: Vault, draft: Path, is_logged: bool) -> tuple[Statement, bytes] | None:
    """Returns the statement that a crash has left, unless the log has come to another end since."""
    if not vault.disk.size(draft):
        return None
    encoded = bytes(vault.disk.read(draft))
    statement = Statement.parse(encoded)
    vault.disk.sync_dir(vault.receipts)  # a killed process may have left it in the cache alone
    holds = is_logged or statement.live_position == vault.log.size
    return (statement, encoded) if holds else None


def _draft(vault: Vault, plan: Plan, clock: Clock, draft: Path) -> tuple[Statement, bytes]:
    statement = _statement(vault, plan, clock)
    encoded = statement.encode()
    vault.disk.make_dir(vault.receipts)
    replace_file(vault.disk, draft, encoded)
    return statement, encoded


def _discard(vault: Vault, interaction: InteractionId) -> None:
    """Destroys the slots of an interaction that never became whole; the log says so first."""
    created = vault.created(interaction)
    slots = [slot for slot, _ in created.slots] if created else _unlogged_slots(vault)
    if live := [slot for slot in slots if vault.ring.is_live(slot)]:
        if created:
            vault.note("discard", unfinished.UNFINISHED, [interaction])
        vault.ring.destroy(live, b"")


def _unlogged_slots(vault: Vault) -> list[Slot]:
    """Returns the living slots beyond the last of the log: of a creation cut off before it.

    Of several that began at once the first to be discarded takes all; files are looked at once.
    """
    last = vault.last_slot_logged()
    beyond = map(Slot, range(last + 1, vault.ring.slot_count))
    living = [slot for slot in beyond if vault.ring.is_live(slot)]
    if living and any(header.label.slot > last for header in vault.headers()):
        raise Tampered(
            "sealed files are here of interactions that the log does not have: an old copy of the "
            f"log was put back; put the newest one in {vault.directory / 'log'}"
        )
    return living


@cache
def _tool() -> str:
    from importlib.metadata import version  # takes longer than all else that starts with this

    return f"anechoic {version('anechoic')}"


def _statement(vault: Vault, plan: Plan, clock: Clock) -> Statement:
    checks = confirm.looked_at(vault, plan.slots)
    change = livestate.change_of(vault, plan)
    disclosed, stays = disclosures.stated(vault, plan.disclosed)
    return Statement(
        vault=vault.id.hex(),
        plan=plan.id.hex(),
        log_key=logkey.signer(vault).verifier.format(),
        tool=_tool(),
        requested_at=plan.requested_at,
        erased_at=clock(),
        verdict=_verdict(vault, plan, all(ok for ok, _ in checks)),
        technique=TECHNIQUE,
        epoch_from=vault.ring.epoch - 1,
        epoch_to=vault.ring.epoch,
        live_position=vault.log.size,
        live_size=change.size,
        live_before=change.before.hex(),
        live_after=change.after.hex(),
        live_siblings=tuple(it.hex() for it in change.siblings),
        anchors=tuple(map(_level_of, vault.ring.anchors)),
        erased=plan.erased,
        kept=plan.kept,
        disclosed=disclosed,
        residual=(*stays, *_residual(vault, plan)),
        checks=tuple(check for _, check in checks),
        proves=PROVES,
        does_not_prove=DOES_NOT_PROVE,
    )


def _verdict(vault: Vault, plan: Plan, is_checked: bool) -> str:
    if not is_checked:
        return FAILED
    waiting = confirm.waits_for(vault, plan.slots, plan.disclosed)
    return PENDING if waiting else CONFIRMED


def _level_of(anchor: Anchor) -> AnchorLevel:
    if held_by(anchor) is None:
        return AnchorLevel(anchor.name, "-", "it was not here, so nothing was measured")
    level = anchor.level()
    return AnchorLevel(anchor.name, level.letter, _printable(level.rests_on))


def _residual(vault: Vault, plan: Plan) -> Iterable[str]:
    yield from confirm.residual(vault, plan.slots)
    swap = machine.swap()
    if swap.state != machine.OK:
        yield _printable(f"swap: {swap.found}")


def _printable(text: str) -> str:
    """Writes what a receipt may not hold as escapes: names of paths are whatever they are."""
    return "".join(it if it.isprintable() else ascii(it)[1:-1] for it in text)


def _logged(vault: Vault, plan: PlanId, epoch_to: int) -> tuple[int, ErasedEntry] | None:
    """Returns the entry by which the log knows an erasure, with its index."""
    for index, entry in vault.log.scan_back():
        if isinstance(entry, ErasedEntry) and entry.plan == plan:
            return index, entry
        if isinstance(entry, ErasedEntry) and entry.epoch_to < epoch_to:
            return None
    return None


def _delete_files(vault: Vault, rows: Iterable[DeadInteraction]) -> None:
    """Deletes the dead files by what they are, damaged ones by their name; durable on return.

    Place by place: each is listed and synced once, however many die there.
    """
    places = _dead_by_place(vault, rows)
    for place, dead in counted(places.items(), "deleting dead files", len(places)):
        for name in vault.disk.names(place):
            of = dead.get(name[: 2 * ID_SIZE])
            if of is not None and _is_dead(vault, place / name, of):
                vault.disk.delete(place / name)
        vault.disk.make_dir(place)
        vault.disk.sync_dir(place)


def _dead_by_place(
    vault: Vault, rows: Iterable[DeadInteraction]
) -> dict[Path, dict[str, dict[str, str]]]:
    """Returns for each directory, by interaction, the names of its dead files and their headers."""
    found: dict[Path, dict[str, dict[str, str]]] = {}
    for row in rows:
        labels = [_label(vault, row, it) for it in row.artefacts]
        interaction = InteractionId(bytes.fromhex(row.interaction))
        place = vault.place(labels[0]) if labels else vault.bucket(interaction)
        headers = (it.header for it in row.artefacts)
        dead = dict(zip(map(file_name, labels), headers, strict=True))
        found.setdefault(place, {}).setdefault(row.interaction, {}).update(dead)
    return found


def _label(vault: Vault, row: DeadInteraction, it: DeadArtefact) -> Label:
    owner, artefact = (bytes.fromhex(of) for of in (row.interaction, it.artefact))
    return Label(vault.id, InteractionId(owner), ArtefactId(artefact), it.kind, Slot(it.slot))


def _is_dead(vault: Vault, path: Path, dead: Mapping[str, str]) -> bool:
    try:
        header = parse_header(vault.disk.read(path, 0, HEADER_SIZE))
    except Malformed:
        return path.name in dead
    return header.hash.hex() in dead.values()


def _paths(vault: Vault, plan: PlanId) -> tuple[Path, Path]:
    return vault.receipts / (plan.hex() + _DRAFT), vault.receipts / (plan.hex() + _RECEIPT)


def _delete_drafts(vault: Vault) -> None:
    """Deletes drafts that have their receipt: a power cut may bring back that of an older one."""
    names = vault.disk.names(vault.receipts)
    for name in names:
        if name.endswith(_DRAFT) and name.removesuffix(_DRAFT) + _RECEIPT in names:
            vault.disk.delete(vault.receipts / name)


def _is_finished(vault: Vault, plan: PlanId) -> bool:
    """Tells whether nothing is left to do: a receipt that is missing later is not written anew."""
    draft, receipt = _paths(vault, plan)
    if vault.disk.size(draft) is not None:
        return False
    return vault.disk.size(receipt) is not None or bool(_logged(vault, plan, vault.ring.epoch))
