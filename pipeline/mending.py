"""`doctor --fix`: what can be put right without a risk is; what is left is said, with why.

Promises to lose nothing: what goes is a half-written file whose whole one is there, or what the log
gives anew; that a vault which needs nothing is not written to; and that each fix says what it did.
Refuses nothing: what does not work is left, with the reason. A fix that could cost something, or
that concerns more than this program, has its place in `_left`, not here.
"""

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from keys.anchor.medium import medium_of
from keys.durable import RealDisk
from keys.errors import KeysError, Malformed, Tampered
from keys.lock import locked
from keys.log import Log
from keys.mirror import MARK
from pipeline import indexing, machine
from pipeline.anchors import file_of, parse_spec
from pipeline.doctor import TAG, is_tagged
from pipeline.identity import read_identity
from pipeline.indexstate import open_index
from pipeline.machine import FIXED, LEFT, OK, Finding
from pipeline.session import AskPassphrase, acting, exists, now, open_vault
from pipeline.terminal import count

_TAG = f"""For backup programs: leave out what is in this folder
(restic and borg with --exclude-if-present {TAG}, GNU tar with --exclude-tag={TAG}).
An old copy of it, together with one of the vault, revives what was forgotten.
Never delete the folder: without it the vault opens for nobody.
"""
_HALF = ".new"
_PARTS = ("", "log", "live", "receipts", "ring")
_WHOLE = {MARK, "log-keys"}
"""What is written so in the vault's own folder, where somebody may keep files of theirs."""
_COPIES_ON_WRITE = {"btrfs", "zfs", "bcachefs", "apfs"}
_SLEEP = Path("/sys/power/state")


def mend(vault: Path, anchors: Path, ask: AskPassphrase) -> Iterator[Finding]:
    """Puts right what can be, and yields what was done and what is left; makes no vault."""
    if exists(vault):
        ours = (vault, anchors) if _is_ours(vault, anchors) else (vault,)
        yield from filter(None, map(_private, ours))
        yield from _tagged(anchors) if anchors in ours else ()
        yield from _settled("half-written files", lambda: _files(vault))
        yield from _settled("index", lambda: _index(vault, anchors, ask))
    yield from _left(vault)


def _is_ours(vault: Path, anchors: Path) -> bool:
    """Tells whether an anchor of this vault has its file there: else the folder is another's."""
    with contextlib.suppress(KeysError, OSError):
        it = read_identity(vault, RealDisk())
        names = (name for way in parse_spec(it.anchor) for name in way)
        paths = (file_of(name, anchors, it.id) for name in names)
        return any(path and path.parent == anchors and path.exists() for path in paths)
    return False


def _settled(check: str, work: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    try:
        yield from work()
    except (KeysError, OSError) as error:
        yield Finding(check, LEFT, str(error), "see to that first, then run this again")


def _private(directory: Path) -> Finding | None:
    if machine.permissions(directory).state == OK:
        return None
    try:
        directory.chmod(0o700)
    except OSError as error:
        return Finding("permissions", LEFT, f"{directory}: {error.strerror}", "do it as its owner")
    return Finding("permissions", FIXED, f"{directory}: nobody else can look into it any more")


def _tagged(anchors: Path) -> Iterator[Finding]:
    if not anchors.is_dir() or is_tagged(anchors):
        return
    try:
        (anchors / TAG).write_text(_TAG, "utf-8")
    except OSError as error:
        yield Finding("anchor and backups", LEFT, f"{anchors / TAG}: {error.strerror}", "check it")
        return
    what = f"{anchors / TAG} tells backup programs that look for it to leave the anchors out"
    yield Finding("anchor and backups", FIXED, what)


def _files(vault: Path) -> Iterator[Finding]:
    """Mends, under the lock and without a key, what stands beside ring, log and receipts."""
    disk = RealDisk()
    with locked(vault / "lock"):
        halves = [
            vault / part / name
            for part in _PARTS
            for name in disk.names(vault / part)
            if name.endswith(_HALF) and (part or name.removesuffix(_HALF) in _WHOLE)
        ]
        for half in halves:
            disk.delete(half)
        if halves:
            what = f"{count(len(halves), 'file')} that a crash left half-written: deleted"
            yield Finding("half-written files", FIXED, what)
        log = Log(disk, vault / "log", read_identity(vault, disk).id)
        log.open()
        if log.is_remembered_wrongly():
            disk.delete(vault / "log-keys")
            log.rekeys()
            yield Finding("log keys", FIXED, f"{vault / 'log-keys'}: made anew from the log")


def _index(vault: Path, anchors: Path, ask: AskPassphrase) -> Iterator[Finding]:
    """Reads each segment of the index as a whole; where one is damaged it is made anew."""
    it = open_vault(vault, anchors, ask)
    with acting(it):
        index = open_index(it)
        suspect = list(index.damaged)
        for segment in index.segments:
            try:
                segment.whole()
            except (Malformed, Tampered):
                suspect.append(segment.owner)
    if suspect:
        indexing.keep_up(it, now, suspect)
        what = f"{count(len(suspect), 'part')} of it damaged or missing: made anew"
        yield Finding("index", FIXED, what)


def _left(vault: Path) -> Iterator[Finding]:
    if (swap := machine.swap()).state != OK:
        why = "it is the whole machine's, and turning it off can end other programs"
        yield Finding("swap", LEFT, f"{swap.found}; {why}", swap.remedy)
    if _can_hibernate():
        what = "sleeping on disk writes all memory there, speech and keys as well; that is yours"
        yield Finding(
            "hibernation", LEFT, what, "systemctl mask hibernate.target hybrid-sleep.target"
        )
    filesystem = medium_of(vault).filesystem
    if filesystem in _COPIES_ON_WRITE:
        what = f"{filesystem} keeps them, of other files too, and deleting one cannot be undone"
        yield Finding("snapshots", LEFT, what, "delete those that have an anchor in them")


def _can_hibernate() -> bool:
    with contextlib.suppress(OSError):
        return sys.platform == "linux" and "disk" in _SLEEP.read_text().split()
    return False
