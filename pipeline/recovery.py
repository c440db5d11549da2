"""Recovery copies, and ways to the root that are gone: what a user does who lost an anchor.

Promises that a copy is outstanding before its file is written, that every receipt of what was live
then waits for it until its user swears it destroyed, and that a vault opened by a copy has again no
key of what its log knows as erased (SPEC section 3.7). Nothing here destroys a file of the user's.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from keys.entry import COPIED, DESTROYED, USED, AnchorEntry, ErasedEntry
from keys.errors import AnchorFailure, Malformed, Tampered
from keys.lock import locked
from keys.model import Slot
from keys.receipt import parse_receipt
from keys.recovery import PREFIX, RecoveryHead, parse_head
from keys.root import Recovering, Roots, held_by
from pipeline import anchoring
from pipeline.anchoring import record
from pipeline.anchors import check_places, parse_spec
from pipeline.errors import Refused
from pipeline.identity import clear_half_written
from pipeline.livestate import account_of
from pipeline.passphrase import stretch
from pipeline.vault import Vault

AskPassphrase = Callable[[], bytearray]


def write_copy(vault: Vault, target: Path, ask: AskPassphrase | None) -> str:
    """Writes a copy of the current root to a new file, and returns its name among the ways.

    1. The ring has it as outstanding. 2. The log has it. 3. The file is durable. A crash before
    leaves a copy outstanding that there is not, which its user may swear destroyed.
    """
    _check_target(vault, target)
    head = RecoveryHead.draw(vault.id, vault.ring.epoch, has_passphrase=ask is not None)
    key = stretch(ask(), head.salt) if ask else None
    vault.ring.leave({head.name})
    vault.log.append([AnchorEntry(COPIED, head.name)])
    with vault.ring.root() as root:
        data = head.seal(root, key)
    vault.disk.write(target, 0, data)
    vault.disk.sync(target)
    vault.disk.sync_dir(target.parent)
    return head.name


def use_copy(vault: Vault, source: Path, ask: AskPassphrase, spec: str) -> str:
    """Opens a vault whose anchors are lost, and gives it those of `spec`; returns the copy's name.

    The ring has to be that of the copy's epoch. 1. The anchors to be are on record, and the log has
    the use. 2. The ring is opened, loses what the log knows as erased, and the anchors are made.
    3. They are on record as the vault's. A crash before the end of 2 leaves all as it was, and it
    is done again; after that the next act ends it.
    """
    data = vault.disk.read(source)
    head = parse_head(data)
    root = head.open(data, stretch(ask(), head.salt) if head.has_passphrase else None)
    with root, locked(vault.directory / "lock"):
        clear_half_written(vault.directory, vault.disk)
        old, new = vault.roots_of(vault.anchor), vault.roots_of(spec)
        _check_use(vault, head, old, new, spec)
        vault.log.refresh()
        dead, count = list(_erased(vault)), 1 + vault.last_slot_logged()
        record(vault, vault.anchor, spec)
        vault.log.append([AnchorEntry(USED, head.name)])
        ring = vault.ring_of(Recovering(new, head.epoch, root))
        ring.recover(head.name, old.names(), dead, count)
        vault.use_anchors(spec)
        record(vault, spec, None)
    return head.name


def swear(vault: Vault, name: str) -> None:
    """Takes the user's word that an anchor or recovery copy is destroyed; raises `Refused`.

    An anchor is removed first, and may not be here: then its shares would be destroyed by that. The
    log has the word before the ring: a crash between leaves it outstanding, and it is said again.
    """
    row = anchoring.row_of(vault, name)
    if row.level:
        raise Refused(f"{row.name} is here: remove it without --destroyed, and it is made sure of")
    if row.is_used:
        anchoring.remove(vault, name)
    if row.way in vault.ring.outstanding:
        vault.log.append([AnchorEntry(DESTROYED, row.way)])
        vault.ring.swear(row.way)


def told_in(entries: Iterable[bytes]) -> list[str]:
    """Returns the recovery copies that a log has and of which nobody swore that they are gone."""
    told = dict[str, None]()
    for line in entries:
        words = line.decode("ascii", "replace").split()
        if words[1:2] == ["anchor"] and words[3:] and words[3].startswith(PREFIX):
            if words[2] == DESTROYED:
                told.pop(words[3], None)
            else:
                told[words[3]] = None
    return list(told)


def _check_target(vault: Vault, target: Path) -> None:
    if vault.disk.size(target) is not None:
        raise Refused(f"{target} is there already; name a new file")
    if not target.parent.is_dir():
        raise Refused(f"{target.parent} is no folder")
    for inside in (vault.directory, *vault.disk.mirrors):
        if target.resolve().is_relative_to(inside.resolve()):
            raise Refused(
                f"{target} is inside {inside}, so every copy of that would carry the means to "
                "revive what was erased; name a place outside it"
            )


def _check_use(vault: Vault, head: RecoveryHead, old: Roots, new: Roots, spec: str) -> None:
    if head.vault != vault.id:
        raise AnchorFailure(f"the recovery copy is of vault {head.vault.hex()}, not of this one")
    check_places(parse_spec(spec), (vault.directory, *vault.disk.mirrors))
    there = vault.ring.epochs_there()
    with contextlib.suppress(AnchorFailure):
        if old.epochs() & there:
            raise Refused("this vault opens with its anchors; no recovery copy is needed")
    if head.epoch not in there:
        raise AnchorFailure(
            f"the recovery copy opens the ring of epoch {head.epoch}, the one here is of epoch "
            f"{max(there, default=0)}: put the folder `ring` of a backup of that time in its place"
        )
    if kept := [anchor.name for anchor in new.anchors if held_by(anchor)]:
        raise Refused(
            f"{' and '.join(kept)} holds a share already, of another epoch; name another place "
            "with --anchor file:DIR"
        )


def _erased(vault: Vault) -> Iterator[Slot]:
    """Yields every slot that the log knows as empty; raises `Tampered` where it cannot be told."""
    told = account_of(vault)
    yield from told.discarded
    for index, entry in vault.log.scan():
        if isinstance(entry, ErasedEntry):
            yield from _slots_of(vault, index, entry)


def _slots_of(vault: Vault, index: int, entry: ErasedEntry) -> Iterator[Slot]:
    path = vault.receipts / f"{entry.plan.hex()}.receipt"
    try:
        statement = parse_receipt(bytes(vault.disk.read(path))).statement
        if statement.entry() == entry:
            yield from map(Slot, statement.slots)
            return
    except (FileNotFoundError, Malformed):
        pass
    raise Tampered(
        f"the log has an erasure at entry {index}, and {path} is missing or another: without it "
        "what was erased then would come back; put it back from a copy"
    )
