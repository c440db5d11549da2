"""The audit: every sealed file, slot, log entry and receipt of a vault, held against each other.

Promises to name whatever is unaccounted for: a file that is no sealed file or is not in the log, a
live key without an owner, a key gone without a receipt, a receipt that does not verify, a log that
is not the one receipts were issued from. Changes nothing.
"""

import contextlib
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from keys import confirmation, handover
from keys.attested import Trust
from keys.confirmation import Confirmed
from keys.copies import ERASED, LIVE, UNKNOWN, Found
from keys.entry import ConfirmedEntry, Created, ErasedEntry, Noted, RekeyEntry, SealedEntry
from keys.errors import Erased, KeysError, Tampered
from keys.handover import Handover
from keys.livetree import LiveTree, Stale
from keys.merkle import verify_consistency
from keys.model import Commitment, InteractionId, Label, Slot
from keys.note import Checkpoint
from keys.progress import counted
from keys.receipt import PENDING, Verified, verify
from keys.sealed import Header
from keys.secret import commitment
from pipeline import agenda, confirm, descent, logkey, settingsfile
from pipeline.livestate import DIRECTORY, Account, account_of, tree_of
from pipeline.recording import names_held
from pipeline.unfinished import LATE
from pipeline.vault import Artefact, Vault, file_name

_KNOWN = {
    "vault.json",
    "lock",
    "lock.queue",
    "ring",
    "log",
    "log-keys",
    "sealed",
    "capture",
    "receipts",
    DIRECTORY,
    agenda.FILE,
}
_IN_RING = re.compile(r"pages|state-[0-9]{20}")
_IN_LIVE = re.compile(r"head|level-[0-9]{2}")
_IN_LOG = re.compile(r"entries|hashes")


@dataclass(slots=True)
class Ledger:
    """What the log says there should be."""

    owners: dict[Slot, tuple[InteractionId, Commitment]] = field(default_factory=dict)
    files: dict[bytes, Label] = field(default_factory=dict)
    erasures: dict[str, ErasedEntry] = field(default_factory=dict)
    confirmations: dict[str, ConfirmedEntry] = field(default_factory=dict)
    discarded: set[InteractionId] = field(default_factory=set)
    late: Counter[InteractionId] = field(default_factory=Counter)
    """How many additions to an interaction were cut off after they were logged."""


@dataclass(slots=True)
class Audit:
    """The counts of an audit, and every problem found."""

    entries: int = 0
    slots: int = 0
    live_slots: int = 0
    files: int = 0
    receipts: int = 0
    confirmations: int = 0
    problems: list[str] = field(default_factory=list)


def ledger_of(vault: Vault) -> Ledger:
    """Reads the whole log into a ledger; raises `Tampered`, `Malformed`."""
    ledger = Ledger()
    for _, entry in vault.log.scan():
        if isinstance(entry, Created):
            ledger.owners |= {slot: (entry.interaction, it) for slot, it in entry.slots}
        elif isinstance(entry, SealedEntry):
            ledger.files[entry.header] = entry.label
        elif isinstance(entry, ErasedEntry):
            ledger.erasures[entry.plan.hex()] = entry
        elif isinstance(entry, ConfirmedEntry):
            ledger.confirmations[entry.plan.hex()] = entry
        elif isinstance(entry, Noted) and entry.act == "discard":
            (ledger.late if entry.how == LATE else ledger.discarded).update(entry.interactions)
    return ledger


def audit(vault: Vault) -> Audit:
    """Audits the whole vault; the caller holds the lock."""
    result = Audit(entries=vault.log.size, slots=vault.ring.slot_count)
    try:
        vault.log.check_hashes()
        ledger = ledger_of(vault)
    except KeysError as error:
        result.problems.append(f"the log: {error}")
        return result
    receipts = list(_receipts(vault, ledger, result.problems))
    result.receipts = len(receipts)
    confirmed = set(_confirmed(vault, ledger, receipts, result.problems))
    result.confirmations = len(confirmed)
    result.problems += _unconfirmed(vault, receipts, confirmed)
    result.problems += _slots(vault, ledger, receipts, result)
    result.problems += _live_roots(vault, receipts)
    result.problems += _files(vault, ledger, result)
    result.problems += descent.problems(vault)
    result.problems += filter(None, [settingsfile.trouble(vault)])
    result.problems += _strangers(vault, ledger)
    return result


def state_in(vault: Vault, ledger: Ledger, found: Found) -> str:
    """Tells whether a sealed file of any copy is live, erased or unknown to this vault."""
    header = found.header
    if header is None or ledger.files.get(header.hash) != header.label:
        return UNKNOWN
    return LIVE if _opens(vault, header) else ERASED


def _opens(vault: Vault, header: Header) -> bool:
    return header.label.vault == vault.id and vault.ring.is_live(header.label.slot)


def _receipts(vault: Vault, ledger: Ledger, problems: list[str]) -> Iterator[Verified]:
    keys = Trust(logkey.keys(vault))
    for plan, entry in ledger.erasures.items():
        path = vault.receipts / f"{plan}.receipt"
        try:
            receipt = verify(bytes(vault.disk.read(path)), keys)
            _check_key(vault, receipt)
            _check_extends(vault, receipt.checkpoint)
        except FileNotFoundError:
            problems.append(f"the log has an erasure {plan}, and {path} is missing")
        except KeysError as error:
            problems.append(f"{path}: {error}")
        else:
            if receipt.statement.entry() != entry:
                problems.append(f"{path} is not the statement that the log has")
            yield receipt


def _confirmed(
    vault: Vault, ledger: Ledger, receipts: list[Verified], problems: list[str]
) -> Iterator[str]:
    """Yields the plans of which receipt and confirmation belong together and are in the log."""
    keys, of = logkey.keys(vault), {it.statement.plan: it for it in receipts}
    handovers = list(_handovers(vault, problems))
    for plan, entry in ledger.confirmations.items():
        path = vault.receipts / f"{plan}{confirm.CONFIRMED}"
        try:
            it = confirmation.verify(bytes(vault.disk.read(path)), Trust(keys))
            _check_key(vault, it)
            _check_extends(vault, it.checkpoint)
            if plan in of:
                confirmation.match(it, of[plan], handovers)
        except FileNotFoundError:
            problems.append(f"the log has a confirmation of erasure {plan}, and {path} is missing")
        except KeysError as error:
            problems.append(f"{path}: {error}")
        else:
            if it.statement.entry() != entry:
                problems.append(f"{path} is not the statement that the log has")
            yield plan


def _unconfirmed(vault: Vault, receipts: list[Verified], confirmed: set[str]) -> Iterator[str]:
    pending = {it.statement.plan: it for it in receipts if it.statement.verdict == PENDING}
    for plan in sorted(pending.keys() - confirmed):
        if not confirm.still_waits_for(vault, pending[plan].statement):
            yield f"receipt {plan} is pending, nothing it waits for is outstanding: not confirmed"


def _handovers(vault: Vault, problems: list[str]) -> Iterator[Handover]:
    """Yields the changes of the log's key that the log has, each as its handover says it."""
    rekeys = [(n, it) for n, it in vault.log.scan() if isinstance(it, RekeyEntry)]
    if rekeys != vault.log.rekeys():
        problems.append(f"{vault.directory / 'log-keys'} is not what the log says: delete it")
    for generation, (index, entry) in enumerate(rekeys, 1):
        path = vault.receipts / f"{generation}{logkey.SUFFIX}"
        try:
            it = handover.verify(bytes(vault.disk.read(path)))
        except (FileNotFoundError, KeysError) as error:
            problems.append(f"{path}: {error}; delete it, and it is written anew")
            continue
        if (it.index, it.old.public, it.new.public) != (index, entry.old, entry.new):
            problems.append(f"{path} is not the change of key that the log has")
        yield it


def _check_key(vault: Vault, it: Verified | Confirmed) -> None:
    """Raises `Tampered` unless it was signed by the key that the log had then."""
    if it.key != logkey.key_at(vault, it.index):
        raise Tampered(f"it is signed by a key that the log did not have at entry {it.index}")


def _check_extends(vault: Vault, old: Checkpoint) -> None:
    """Raises `Tampered` unless today's log extends the one that a receipt was issued from."""
    proof = vault.log.consistency(old.size) if old.size <= vault.log.size else []
    verify_consistency(old.size, old.root, vault.log.size, vault.log.root(), proof)


def _slots(vault: Vault, ledger: Ledger, receipts: list[Verified], result: Audit) -> Iterator[str]:
    rows = (slot for it in receipts for row in it.statement.erased for slot in row.slots)
    erased = {Slot(row.slot) for row in rows}
    for slot in sorted(slot for slot in ledger.owners if slot >= vault.ring.slot_count):
        yield f"slot {slot} is in the log, and the ring never gave it out: the ring is an old one"
    number = vault.ring.slot_count
    for slot in counted(map(Slot, range(number)), "looking at the keys", number):
        owner = ledger.owners.get(slot)
        try:
            with vault.ring.key(slot) as key:
                found = commitment(key)
        except Erased:
            if owner and slot not in erased and owner[0] not in ledger.discarded:
                yield f"slot {slot} of interaction {owner[0].hex()}: its key is gone, no receipt"
            continue
        result.live_slots += 1
        if owner is None:
            yield f"slot {slot} holds a key that belongs to no interaction in the log"
        elif owner[1] != found:
            yield f"slot {slot} holds another key than the one that the log has"
        if slot in erased:
            yield f"slot {slot} is erased by a receipt, and holds a key: ring and anchor are old"


def _live_roots(vault: Vault, receipts: list[Verified]) -> Iterator[str]:
    """Computes the live roots of the tree and of the last receipt anew, from log and ring alone."""
    told, tree = account_of(vault), tree_of(vault)
    for last in receipts[-1:]:
        later = _erased_since(told, receipts, last.index + 1)
        wanted = last.statement.live_after
        if later is not None and told.root(vault, last.index + 1, later).hex() != wanted:
            yield f"the live roots of receipt {last.statement.plan} are not those of log and ring"
    with contextlib.suppress(Stale):  # then nobody relies on it, and it will be made anew
        tree.open()
        yield from _tree(vault, tree, told, _erased_since(told, receipts, tree.position))


def _tree(vault: Vault, tree: LiveTree, told: Account, later: set[int] | None) -> Iterator[str]:
    if tree.position > vault.log.size:
        known = f"knows {tree.position} log entries, and the log has {vault.log.size}"
        yield f"{vault.directory / DIRECTORY} {known}: one of them was put back from elsewhere"
    elif later is not None and told.root(vault, tree.position, later) != tree.root:
        what = f"{vault.directory / DIRECTORY} is not the live tree of log and ring"
        yield f"{what}: delete it, and the next erasure makes it anew"


def _erased_since(told: Account, receipts: list[Verified], position: int) -> set[int] | None:
    """Returns the slots erased from entry `position` on; None where a receipt for it is missing."""
    known = {it.index: it.statement.slots for it in receipts}
    since = [index for index in told.erasures if index >= position]
    if not known.keys() >= set(since):
        return None
    return {slot for index in since for slot in known[index]}


def _files(vault: Vault, ledger: Ledger, result: Audit) -> Iterator[str]:
    seen = set()
    for path in counted(vault.paths(), "opening sealed files", len(ledger.files)):
        result.files += 1
        try:
            artefact = vault.artefact(path)
            seen.add(artefact.header.hash)
            yield from _file(vault, ledger, artefact)
        except KeysError as error:
            yield f"{path}: {error}"
        except OSError as error:
            yield f"{path} cannot be read: {error.strerror}"
    late = Counter(ledger.late)
    for header, label in ledger.files.items():
        if header in seen or label.interaction in ledger.discarded:
            continue
        if vault.ring.is_live(label.slot):
            late[label.interaction] -= 1
            if late[label.interaction] < 0:
                yield f"{file_name(label)} is in the log, its key lives, and the file is missing"


def _file(vault: Vault, ledger: Ledger, artefact: Artefact) -> Iterator[str]:
    if artefact.header.hash not in ledger.files:
        yield f"{artefact.path} is not in the log"
    elif artefact.path.parent != vault.place(artefact.header.label):
        yield f"{artefact.path} is not where it belongs"
    try:
        for chunk in vault.open(artefact):
            chunk.wipe()
    except Erased:
        yield f"{artefact.path} is erased and still here: it opens for nobody, delete it"


def _receipt_names(vault: Vault, ledger: Ledger) -> Iterator[str]:
    yield from (plan + confirm.RECEIPT for plan in ledger.erasures)
    yield from (plan + confirm.CONFIRMED for plan in ledger.confirmations)
    yield from (path.name for path in logkey.settle(vault))
    # The caller has confirmed whatever bore a mark and waits for nothing any more.
    waiting = ledger.erasures.keys() - ledger.confirmations.keys()
    yield from (plan + confirm.MARK for plan in waiting)


def _strangers(vault: Vault, ledger: Ledger) -> Iterator[str]:
    known: dict[Path, Callable[[str], object]] = {
        vault.directory: _KNOWN.__contains__,
        vault.directory / "ring": _IN_RING.fullmatch,
        vault.directory / "log": _IN_LOG.fullmatch,
        vault.directory / DIRECTORY: _IN_LIVE.fullmatch,
        vault.capture: names_held(vault).__contains__,  # all else half-made has been settled
        vault.receipts: set(_receipt_names(vault, ledger)).__contains__,
    }
    for directory, is_known in known.items():
        for name in vault.disk.names(directory):
            if not is_known(name):
                yield f"{directory / name} is nothing that this vault knows of"
