"""`events`: what happens in a vault, told to other programs as JSON lines: ids, and never speech.

Promises to say what the log says, in its order and each once, while other processes hold the vault,
and to need neither key nor anchor. When something was said is in no log, so it is told by nothing
here; `at` is there where the log or a receipt has it.
"""

import contextlib
import time
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from keys.entry import Begun, ConfirmedEntry, Entry, ErasedEntry, Noted, SealedEntry
from keys.errors import Malformed
from keys.model import PlanId
from keys.receipt import Statement, parse_receipt
from pipeline import places
from pipeline.errors import NotFound
from pipeline.following import Following
from pipeline.lineage import is_owned
from pipeline.session import exists
from pipeline.terminal import Terminal, safe
from pipeline.unfinished import REPLACED
from pipeline.vault import is_interaction

DONE = 0
_LOOK_S = 0.2
_EVENTS = {"read": "read", "disclose": "disclosed", "discard": "discarded", "answer": "answered"}

Event = dict[str, Any]


def events(options: Namespace) -> int:
    """Tells what happens in the vault, until Ctrl-C."""
    it, directory = Terminal(as_json=True), places.vault_directory(options.vault)
    if not exists(directory):
        if not options.follow:
            raise NotFound(f"no vault in {directory}; `anechoic init` makes one")
        it.say(safe(f"no vault in {directory} yet; waiting for it"))
    following = Following(directory)
    if options.since is None:
        following.skip()
    try:
        _tell(it, following, options.since or 0)
        while options.follow:
            time.sleep(_LOOK_S)
            _tell(it, following, options.since or 0)
    except KeyboardInterrupt:  # its one way to end
        pass
    return DONE


def _tell(it: Terminal, following: Following, since: int) -> None:
    for index, entry in following.news():
        if index >= since or following.has_begun_anew:
            for event in told(following.directory, index, entry):
                it.line(event)


def told(directory: Path, index: int, entry: Entry) -> Iterator[Event]:
    """Yields what other programs are told of an entry of the log; of some, nothing."""
    where = {"entry": index}
    if isinstance(entry, Begun):
        yield {"event": "began", **where, "vault": entry.vault.hex()}
    elif is_interaction(entry):
        yield {"event": "heard", **where, "interaction": entry.interaction.hex()}
    elif isinstance(entry, SealedEntry):
        yield {"event": "added", **where, **_sealed(entry)}
    elif isinstance(entry, ErasedEntry):
        yield from ({"event": "erased", **where, **row} for row in _erased(directory, entry.plan))
    elif isinstance(entry, ConfirmedEntry):
        yield {"event": "confirmed", **where, "plan": entry.plan.hex()}
    elif isinstance(entry, Noted):
        yield from ({"event": _EVENTS[entry.act], **where, **row} for row in _noted(entry))


def _sealed(entry: SealedEntry) -> Event:
    label = entry.label
    whose = "owner" if is_owned(label.kind) else "interaction"
    ids = {whose: label.interaction.hex(), "artefact": label.artefact.hex()}
    return {**ids, "kind": label.kind}


def _noted(entry: Noted) -> Iterator[Event]:
    how = {"how": entry.how, **({"at": entry.day} if entry.day else {})}
    first, *others = (it.hex() for it in entry.interactions)
    if entry.act == "answer":
        yield {"reference": first, **how}
    elif entry.act == "disclose":
        yield {"interaction": first, **({"reference": others[0]} if others else {}), **how}
    else:
        whose = "owner" if entry.how == REPLACED else "interaction"
        yield from ({whose: each, **how} for each in dict.fromkeys((first, *others)))


def _erased(directory: Path, plan: PlanId) -> Iterator[Event]:
    """Yields what an erasure erased; without its receipt, that it was."""
    statement = _statement(directory / "receipts", plan)
    if statement is None:
        yield {"plan": plan.hex()}
        return
    for it in statement.erased:
        kinds = sorted({artefact.kind for artefact in it.artefacts})
        whose = "owner" if kinds and all(map(is_owned, kinds)) else "interaction"
        ids = {whose: it.interaction, "kinds": kinds, "plan": plan.hex()}
        yield {**ids, "at": statement.erased_at, "verdict": statement.verdict}


def _statement(receipts: Path, plan: PlanId) -> Statement | None:
    """Returns what an erasure stated: a draft is there before the log has it, then the receipt."""
    for suffix, parse in (*_PLACES, *_PLACES):  # twice: the receipt may come between two looks
        with contextlib.suppress(OSError, Malformed):
            return parse((receipts / (plan.hex() + suffix)).read_bytes())
    return None


def _of_receipt(data: bytes) -> Statement:
    return parse_receipt(data).statement


_PLACES = ((".receipt", _of_receipt), (".statement", Statement.parse))
