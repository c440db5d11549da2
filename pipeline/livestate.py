"""The vault's live tree: in step with the log, asked what an erasure changes, moved on after it.

Promises that a change comes from a tree that has every log entry ahead of it, and that a tree which
is missing, torn or of another time is made anew, from the log for what was created and discarded
(SPEC section 5.4) and from the ring for what was erased since. Losing `live/` loses nothing.
"""

import contextlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeGuard

from keys import live
from keys.entry import Created, Entry, ErasedEntry, Noted, parse_hash
from keys.errors import Malformed, Tampered
from keys.live import Change
from keys.livetree import LiveTree, Stale
from keys.merkle import Hash
from keys.model import Commitment, InteractionId, Slot
from keys.receipt import Statement, parse_receipt
from pipeline.plan import Plan
from pipeline.unfinished import REPLACED, UNFINISHED
from pipeline.vault import Vault

DIRECTORY = "live"
_SHORT = 4096
"""So many entries of a log are read again without much ado."""


def tree_of(vault: Vault) -> LiveTree:
    """Returns the live tree of a vault, not open yet."""
    return LiveTree(vault.disk, vault.directory / DIRECTORY)


def change_of(vault: Vault, plan: Plan) -> Change:
    """Returns what carrying out a plan changes, as of the end of the log.

    Raises `Tampered` where the log has not the slots of the plan.
    """
    tree, erased = tree_of(vault), _slots_of(plan)
    try:
        tree.open()
        _catch_up(vault, tree)
        return tree.change(erased)
    except (Stale, ValueError):  # ValueError: the log empties a slot that the tree never had
        leaves = account_of(vault).leaves(vault, vault.log.size, erased.keys())
        tree.rebuild(leaves, vault.log.size)
    try:
        return tree.change(erased)
    except Stale as error:
        raise Tampered(
            "the log does not have what has been erased: an old copy of the log was put back; put "
            f"the newest one in {vault.directory / 'log'}"
        ) from error


def keep_up(vault: Vault) -> None:
    """Takes in what the log has more by now, so that the next erasure finds little to take in.

    A tree that is lost is made anew only while the log is short: else the next erasure does it.
    """
    tree = tree_of(vault)
    try:
        tree.open()
        _catch_up(vault, tree)
    except (Stale, ValueError):
        if vault.log.size <= _SHORT:
            tree.rebuild(account_of(vault).leaves(vault, vault.log.size, ()), vault.log.size)


def move_on(vault: Vault, statement: Statement) -> None:
    """Takes in an erasure that the log has now; a tree of another time is left for later."""
    tree = tree_of(vault)
    with contextlib.suppress(Stale):
        tree.open()
        if tree.position == statement.live_position:
            tree.apply((), map(Slot, statement.slots), statement.live_position + 1)


@dataclass(slots=True)
class Account:
    """What the log alone says of every slot, with the index of the entry that says so."""

    created: dict[Slot, tuple[int, Commitment]] = field(default_factory=dict)
    discarded: dict[Slot, int] = field(default_factory=dict)
    erasures: list[int] = field(default_factory=list)

    def root(self, vault: Vault, position: int, later: Collection[int]) -> Hash:
        """Returns the live root ahead of entry `position`; `later` are slots erased from there on.

        From nothing but log and ring, with no use of the tree.
        """
        leaves = dict(self.leaves(vault, position, later))
        living: dict[int, Commitment] = {slot: it for slot, it in leaves.items() if it is not None}
        return live.root(1 + max(leaves, default=-1), living)

    def leaves(
        self, vault: Vault, position: int, later: Collection[int]
    ) -> Iterator[tuple[Slot, Commitment | None]]:
        """Yields every slot created ahead of entry `position`, with what it then held."""
        for slot, (index, commitment) in self.created.items():
            if index < position:
                gone = self.discarded.get(slot, position)
                lives = slot in self.discarded or slot in later or vault.ring.is_live(slot)
                yield slot, commitment if gone >= position and lives else None


def account_of(vault: Vault) -> Account:
    """Reads the whole log into an account."""
    told, slots = Account(), dict[InteractionId, list[Slot]]()
    for index, entry in vault.log.scan():
        if isinstance(entry, Created):
            told.created |= {slot: (index, it) for slot, it in entry.slots}
            slots[entry.interaction] = [slot for slot, _ in entry.slots]
        elif isinstance(entry, ErasedEntry):
            told.erasures.append(index)
        elif _is_discard(entry):
            for slot in (slot for it in entry.interactions for slot in slots.get(it, ())):
                told.discarded.setdefault(slot, index)
    return told


def _slots_of(plan: Plan) -> dict[Slot, Commitment]:
    rows = (slot for interaction in plan.erased for slot in interaction.slots)
    return {Slot(row.slot): Commitment(parse_hash(row.commitment)) for row in rows}


def _catch_up(vault: Vault, tree: LiveTree) -> None:
    """Takes in what the log has more; raises `Stale` where only making anew helps, ValueError."""
    created, emptied = list[tuple[Slot, Commitment]](), list[Slot]()
    for _, entry in vault.log.some_back(_is_no_seal, tree.position):
        if isinstance(entry, Created):
            created += entry.slots
        elif isinstance(entry, ErasedEntry):
            emptied += _erased_by(vault, entry)
        elif _is_discard(entry):
            known = filter(None, map(vault.created, entry.interactions))
            emptied += (slot for it in known for slot, _ in it.slots)
    tree.apply(created, emptied, vault.log.size)


def _is_no_seal(words: Sequence[bytes]) -> bool:
    """Passes over sealed files, which change no slot: of a segment the log has a line of 30 KB."""
    return words[1:2] != [b"seal"]


def _erased_by(vault: Vault, entry: ErasedEntry) -> Iterator[Slot]:
    """Yields the slots of an earlier erasure by its receipt; raises `Stale` without one."""
    try:
        path = vault.receipts / f"{entry.plan.hex()}.receipt"
        statement = parse_receipt(bytes(vault.disk.read(path))).statement
    except (FileNotFoundError, Malformed):
        raise Stale("the live tree lacks an erasure of which the receipt is not there") from None
    if statement.entry() != entry:
        raise Stale("the live tree lacks an erasure of which the receipt is another one")
    yield from map(Slot, statement.slots)


def _is_discard(entry: Entry) -> TypeGuard[Noted]:
    gone = (UNFINISHED, REPLACED)
    return isinstance(entry, Noted) and entry.act == "discard" and entry.how in gone
