"""What is looked at after an erasure, and the confirmation of receipts that were pending.

Promises that nothing is signed that was not looked at, on the disk and in the anchors anew, and
that every pending receipt gets its one confirmation once no way to the root is outstanding: what a
crash leaves undone, the next act does (SPEC section 6.6).
"""

import contextlib
from collections.abc import Callable, Collection, Iterator
from hashlib import sha256

from keys.confirmation import Confirmation, encode_confirmation
from keys.durable import replace_file
from keys.errors import Malformed
from keys.model import Slot
from keys.receipt import PENDING, Check, Statement, parse_receipt
from keys.root import held_by
from pipeline import logkey
from pipeline.vault import Vault

RECEIPT, CONFIRMED, MARK = ".receipt", ".confirmed", ".pending"


def looked_at(vault: Vault, slots: Collection[Slot]) -> list[tuple[bool, Check]]:
    """Reads ring and anchors anew, and tells of each whether it is as an erasure must leave it."""
    vault.ring.open()  # anew from the disk: what a later process would see
    dead = sum(not vault.ring.is_live(slot) for slot in slots)
    empty = Check("the ring, read again from the disk", f"{dead} of {len(slots)} slots empty")
    return [(dead == len(slots), empty), _look_at_anchors(vault)]


def expect(vault: Vault, statement: Statement) -> None:
    """Leaves a mark where a receipt is pending, by which later acts know without reading it."""
    if statement.verdict == PENDING:
        mark = sha256(statement.encode()).hexdigest() + "\n"
        replace_file(vault.disk, vault.receipts / (statement.plan + MARK), mark.encode())


def confirm(vault: Vault, tool: Callable[[], str], clock: Callable[[], str]) -> None:
    """Confirms what is pending and complete, unless a way to the root is still outstanding.

    For each: 1. The statement is durable, in the place of the mark. 2. The log has its hash. 3. The
    confirmation is durable. 4. The mark is deleted, whose presence says that steps are left.
    """
    names = set(vault.disk.names(vault.receipts))
    marked = [name.removesuffix(MARK) for name in sorted(names) if name.endswith(MARK)]
    for plan in marked:
        if plan + CONFIRMED in names:
            vault.disk.delete(vault.receipts / (plan + MARK))
        elif not vault.ring.outstanding:
            for statement in _receipts_of(vault, plan):
                _confirm(vault, statement, tool, clock)


def _confirm(
    vault: Vault, receipt: Statement, tool: Callable[[], str], clock: Callable[[], str]
) -> None:
    mark = vault.receipts / (receipt.plan + MARK)
    statement = _logged(vault, receipt.plan)
    if statement is None:
        found = looked_at(vault, [Slot(slot) for slot in receipt.slots])
        if vault.ring.outstanding or not all(ok for ok, _ in found):
            return  # the audit says what is wrong
        checks = tuple(check for _, check in found)
        statement = _statement(vault, receipt, checks, tool(), clock())
        replace_file(vault.disk, mark, statement.encode())
        vault.log.append([statement.entry()])
    proof = vault.log.prove(statement.position, *logkey.signers(vault))
    done = vault.receipts / (receipt.plan + CONFIRMED)
    replace_file(vault.disk, done, encode_confirmation(statement, proof))
    vault.disk.delete(mark)


def _statement(
    vault: Vault, receipt: Statement, checks: tuple[Check, ...], tool: str, time: str
) -> Confirmation:
    return Confirmation(
        vault=receipt.vault,
        plan=receipt.plan,
        receipt=sha256(receipt.encode()).hexdigest(),
        log_key=logkey.signer(vault).verifier.format(),
        tool=tool,
        confirmed_at=time,
        epoch=vault.ring.epoch,
        position=vault.log.size,
        checks=checks,
    )


def _receipts_of(vault: Vault, plan: str) -> Iterator[Statement]:
    """Yields the statement that waits; none where its receipt is gone, which the audit names."""
    with contextlib.suppress(FileNotFoundError, Malformed):
        yield parse_receipt(bytes(vault.disk.read(vault.receipts / (plan + RECEIPT)))).statement


def _logged(vault: Vault, plan: str) -> Confirmation | None:
    """Returns the statement that a crash has left, if the log has it."""
    try:
        statement = Confirmation.parse(bytes(vault.disk.read(vault.receipts / (plan + MARK))))
    except Malformed:
        return None
    vault.disk.sync_dir(vault.receipts)  # a killed process may have left it in the cache alone
    return statement if vault.log.has(statement.position, statement.entry()) else None


def _look_at_anchors(vault: Vault) -> tuple[bool, Check]:
    """Looks at each anchor that answers; the old shares of ways outstanding make it pending."""
    owing = {name for way in vault.ring.outstanding for name in way.split("+")}
    held = {anchor.name: held_by(anchor) for anchor in vault.ring.anchors}
    old = {name: sorted(found) for name, found in held.items() if found}
    old = {name: epochs for name, epochs in old.items() if epochs != [vault.ring.epoch]}
    says = "no share but that of the current epoch" if not old else f"shares of epochs {old}"
    away = sorted(name for name, found in held.items() if found is None)
    says += f"; not here: {', '.join(away)}" if away else ""
    return set(old) <= owing, Check("the anchors, read again", says)
