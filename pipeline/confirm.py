"""What is looked at after an erasure, and the confirmation of receipts that were pending.

Promises that nothing is signed that was not looked at, on the disk and in the anchors anew, and
that every pending receipt gets its one confirmation once nothing is outstanding that it waits for:
a way that opens what it erased, a skill that was asked to erase what it was given. What a crash
leaves undone, the next act does (SPEC section 6.6).
"""

import contextlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from hashlib import sha256

from keys.confirmation import Confirmation, encode_confirmation
from keys.durable import replace_file
from keys.errors import Malformed
from keys.model import Slot
from keys.progress import counted
from keys.receipt import PENDING, Check, Statement, parse_receipt
from keys.recovery import PREFIX
from keys.root import held_by
from pipeline import disclosures, logkey
from pipeline.disclosures import Given
from pipeline.vault import Vault

RECEIPT, CONFIRMED, MARK = ".receipt", ".confirmed", ".pending"
_HALF = MARK + ".new"  # what a crash leaves of `replace_file`


def looked_at(vault: Vault, slots: Collection[Slot]) -> list[tuple[bool, Check]]:
    """Reads ring and anchors anew, and tells of each whether it is as an erasure must leave it."""
    vault.ring.open()  # anew from the disk: what a later process would see
    looked = counted(sorted(slots), "looking at the keys", len(slots))  # page after page
    dead = sum(not vault.ring.is_live(slot) for slot in looked)
    empty = Check("the ring, read again from the disk", f"{dead} of {len(slots)} slots empty")
    return [(dead == len(slots), empty), _look_at_anchors(vault)]


def residual(vault: Vault, slots: Collection[Slot]) -> Iterator[str]:
    """Yields what a receipt says of the ways that may still open these slots, whoever has them."""
    then = "with it and a copy of the ring made before the erasure its keys open"
    for way in sorted(vault.ring.outstanding_for(slots)):
        if way.startswith(PREFIX):
            yield f"the recovery copy {way} was not said to be destroyed: {then}"
        else:
            yield (
                f"the way {way} to the root was away, cut off or read-only: {then}, until it has "
                "been here again or is destroyed"
            )
    for way in sorted(vault.ring.sworn_for(slots)):
        yield f"{_on_the_word_of_the_user(way).found}: if that is not true, {then}"


def _on_the_word_of_the_user(way: str) -> Check:
    return Check(f"the way {way} to the root", f"{way} is destroyed, by the word of its user alone")


def waits_for(
    vault: Vault, slots: Collection[Slot], disclosed: Iterable[str], after: int | None = None
) -> list[str]:
    """Returns by name what an erasure waits for: ways that open it, skills that have not answered.

    Answers are looked for in the log from entry `after` on, as `disclosures.unanswered` does.
    """
    asked = disclosures.unanswered(vault, disclosed, after)
    return [*sorted(vault.ring.outstanding_for(slots)), *(it.name for it in asked)]


def still_waits_for(vault: Vault, receipt: Statement) -> list[str]:
    """Returns by name what a pending receipt waits for now.

    That includes a skill whose answer is in the log, until its mark says so too (`answered`).
    """
    slots, marked = (
        [Slot(slot) for slot in receipt.slots],
        [it.name for it in _asked(vault, receipt.plan)],
    )
    found = waits_for(vault, slots, receipt.disclosed, receipt.live_position)
    return list(dict.fromkeys([*found, *marked]))


def expect(vault: Vault, statement: Statement) -> None:
    """Leaves a mark where a receipt is pending, by which later acts know without reading it.

    Its first line has the statement's hash and its oldest slot, the others name the skills that it
    waits for.
    """
    if statement.verdict == PENDING:
        asked = disclosures.unanswered(vault, statement.disclosed, statement.live_position)
        head = f"{sha256(statement.encode()).hexdigest()} {min(statement.slots)}"
        _set_mark(vault, statement.plan, [head, *(it.name for it in asked)])


def awaited(vault: Vault) -> list[Given]:
    """Returns what skills were given and have not answered for, of all receipts that wait."""
    plans = [it.removesuffix(MARK) for it in vault.disk.names(vault.receipts) if it.endswith(MARK)]
    return [it for plan in plans for it in _asked(vault, plan)]


def answered(vault: Vault, answers: Mapping[str, str]) -> None:
    """Records what skills answered, by reference; the next act confirms what is complete then.

    1. The log has the answers. 2. The marks name them no longer. After a crash before 2 the skills
    are asked once more, which changes nothing.
    """
    for reference, how in answers.items():
        disclosures.answer(vault, reference, how)
    for plan in [it for it in vault.disk.names(vault.receipts) if it.endswith(MARK)]:
        lines = bytes(vault.disk.read(vault.receipts / plan)).decode("ascii").splitlines()
        left = [line for line in lines if line.split(" ")[-1] not in answers]
        if left != lines:
            _set_mark(vault, plan.removesuffix(MARK), left)


def _set_mark(vault: Vault, plan: str, lines: Iterable[str]) -> None:
    content = "".join(f"{line}\n" for line in lines).encode("ascii")
    replace_file(vault.disk, vault.receipts / (plan + MARK), content)


def _asked(vault: Vault, plan: str) -> list[Given]:
    """Returns what a mark says that its receipt waits for skills to answer for."""
    try:
        lines = bytes(vault.disk.read(vault.receipts / (plan + MARK))).decode("ascii").splitlines()
    except FileNotFoundError:
        return []
    return [it for it in map(Given.named, lines) if it]


def confirm(vault: Vault, tool: Callable[[], str], clock: Callable[[], str]) -> None:
    """Confirms what is pending and complete: nothing that it waits for is outstanding.

    For each: 1. The statement is durable, in the place of the mark. 2. The log has its hash. 3. The
    confirmation is durable. 4. The mark is deleted, whose presence says that steps are left.
    """
    names = set(vault.disk.names(vault.receipts))
    for half in (name for name in names if name.endswith(_HALF)):
        vault.disk.delete(vault.receipts / half)
    marked = [name.removesuffix(MARK) for name in sorted(names) if name.endswith(MARK)]
    for plan in marked:
        if plan + CONFIRMED in names:
            vault.disk.delete(vault.receipts / (plan + MARK))
        elif not _still_waits(vault, plan):
            for statement in _receipts_of(vault, plan):
                _confirm(vault, statement, tool, clock)


def _still_waits(vault: Vault, plan: str) -> bool:
    """Tells by the mark, without its receipt, whether some way opens the oldest of its slots.

    Or whether a skill has not answered.
    """
    if _asked(vault, plan):
        return True
    if not vault.ring.outstanding:
        return False
    words = bytes(vault.disk.read(vault.receipts / (plan + MARK))).split(b"\n")[0].split()
    if len(words) == 2 and words[1].isdigit():  # else a statement has taken the mark's place
        return bool(vault.ring.outstanding_for([Slot(int(words[1]))]))
    return False


def _confirm(
    vault: Vault, receipt: Statement, tool: Callable[[], str], clock: Callable[[], str]
) -> None:
    mark = vault.receipts / (receipt.plan + MARK)
    statement = _logged(vault, receipt.plan)
    if statement is None:
        slots = [Slot(slot) for slot in receipt.slots]
        if still_waits_for(vault, receipt):
            return
        found = looked_at(vault, slots)
        if vault.ring.outstanding_for(slots) or not all(ok for ok, _ in found):
            return  # the audit says what is wrong
        checks = (*(check for _, check in found), *_ways(vault, slots), *_answers(vault, receipt))
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


def _ways(vault: Vault, slots: Collection[Slot]) -> Iterator[Check]:
    """Yields of which ways it was not looked, and why it need not be."""
    for way in sorted(vault.ring.sworn_for(slots)):
        yield _on_the_word_of_the_user(way)
    for way in sorted(vault.ring.outstanding):
        yield Check(f"the way {way} to the root", "not here since before these slots were made")


def _answers(vault: Vault, receipt: Statement) -> Iterator[Check]:
    """Yields what skills have answered since the receipt."""
    since = disclosures.answered_since(vault, receipt.disclosed, receipt.live_position)
    for it, said in since:
        yield Check(f"skill {it.skill}, asked to erase reference {it.reference}", said)


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
