"""Forgetting by voice: from a wish to a plan that is said back, and from "yes" to a receipt.

Goes the way of every other door (`pipeline/forgetting.py`) and has none of its own. Nothing of the
wish is stored, logged or raised: whoever heard it has given up its recording before it comes here.
All of it expects `session.acting`.
"""

from collections.abc import Sequence
from datetime import datetime

from keys.errors import Erased
from keys.model import InteractionId
from keys.receipt import CONFIRMED
from pipeline.artefact import RECORD
from pipeline.assistant.derived import Wish, listed
from pipeline.assistant.numerals import tokens_of
from pipeline.assistant.resolve import said
from pipeline.erase import Erasure
from pipeline.errors import NotFound
from pipeline.forgetting import Proposal, propose
from pipeline.history import Filter
from pipeline.keep import Keepable
from pipeline.select import NO_FILTER, Selection, select
from pipeline.terminal import count
from pipeline.vault import Vault

NOTHING = "There is nothing of that, so there is nothing to forget."
_ALL = {"all", "everything", "them", "both", "it", "that"}


def proposed(vault: Vault, wish: Wish, at: str) -> Proposal | None:
    """Returns what a wish means; None where that is nothing.

    Records that hold the words are meant as well: what was kept is forgotten when it is named.
    """
    try:
        if wish.words and wish.span:
            return propose(vault, Selection(ids=tuple(_ids(vault, wish))), at)
        return propose(vault, _selection(wish), at)
    except (NotFound, Erased):
        return None


def said_back(found: Proposal, now: datetime) -> str:
    """Says a proposal back: how much, of when, what it did, and how to agree."""
    interactions = f"{count(len(found.rows), 'interaction')}{_times(found, now)}"
    records, files = found.kinds[RECORD], sum(found.kinds.values())
    what = [interactions] * bool(found.rows) + [count(records, "record")] * bool(records)
    does = [it.what for it in found.records] + [it.what for it in found.keepable]
    left = f"{count(len(found.plan.disclosed), 'time')} something of it left this machine."
    sentences = [
        f"That is {', '.join(what)}, {count(files, 'sealed file')}.",
        f"With it goes: {listed(does)}." if does else "",
        left if found.plan.disclosed else "",
        f"{found.remark}." if found.remark else "",
        "Say yes to forget it for ever" + (", or yes but keep, and what." if does else "."),
    ]
    return " ".join(filter(None, sentences))


def kept_names(found: Proposal, wanted: str) -> list[str] | None:
    """Returns the names of what shall be kept of a proposal; None where nothing is meant."""
    words = set(tokens_of(wanted))
    if words & _ALL:
        return [it.name for it in found.keepable] or None
    meant = [it.name for it in found.keepable if words <= _words_of(it)]
    return meant or None


def told(done: Erasure, proposal: Proposal, kept: Sequence[str]) -> str:
    """Says what an erasure came to."""
    statement = done.statement
    meant = {it.interaction.hex() for it in proposal.rows}
    number = sum(it.interaction in meant for it in statement.erased)
    rows = count(number, "interaction") if number else count(proposal.kinds[RECORD], "record")
    verdict = "confirmed" if statement.verdict == CONFIRMED else statement.verdict
    keeping = f" Kept: {count(len(kept), 'record')}." if kept else ""
    return f"Forgotten: {rows}; {verdict}, receipt {done.receipt.stem[:8]}.{keeping}"


def _selection(wish: Wish) -> Selection:
    if wish.last:
        return Selection(last=True)
    if wish.words:
        return Selection(match=wish.words)
    which = _filter(wish)
    return Selection(everything=True) if which == NO_FILTER else Selection(which=which)


def _filter(wish: Wish) -> Filter:
    return Filter(wish.span.since, wish.span.until) if wish.span else NO_FILTER


def _ids(vault: Vault, wish: Wish) -> list[str]:
    """Returns the ids of the interactions of that time that hold the words."""
    try:
        with_words = select(vault, Selection(match=wish.words))
        in_time: set[InteractionId] = set(select(vault, Selection(which=_filter(wish))))
        return [it.hex() for it in with_words if it in in_time]
    except (NotFound, Erased):
        return []


def _times(found: Proposal, now: datetime) -> str:
    times = sorted(datetime.fromisoformat(it.meta.started_at) for it in found.rows)
    if not times:
        return ""
    first, last = (_clock(it.astimezone(now.tzinfo), now) for it in (times[0], times[-1]))
    return f", {first}" if first == last else f", from {first} to {last}"


def _clock(at: datetime, now: datetime) -> str:
    return f"{at:%H:%M}" if at.date() == now.date() else said(at, now).removeprefix("on ")


def _words_of(it: Keepable) -> set[str]:
    return {it.kind, f"{it.kind}s", "the", "my", "a", "of", *tokens_of(it.what)}
