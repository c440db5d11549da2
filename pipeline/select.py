"""Which interactions a `forget` means: by id, the last, by time, by profile, by words, or all.

Reads what it must (meta for times, transcripts for words) and hands out ids only.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from keys.model import InteractionId
from pipeline.artefact import RECORD
from pipeline.errors import NotFound, Refused
from pipeline.history import Filter, being_spoken, matching, rows
from pipeline.query import parse
from pipeline.vault import Vault

NO_FILTER = Filter()


@dataclass(frozen=True, slots=True, repr=False)
class Selection:
    """One way to name interactions; its repr does not show the words to match."""

    ids: tuple[str, ...] = ()
    last: bool = False
    everything: bool = False
    match: tuple[str, ...] = ()
    which: Filter = NO_FILTER

    @property
    def ways(self) -> int:
        """How many ways were given; exactly one makes sense."""
        by_filter = self.which != NO_FILTER
        return sum([bool(self.ids), self.last, self.everything, bool(self.match), by_filter])


def select(vault: Vault, selection: Selection) -> list[InteractionId]:
    """Returns the interactions meant, each once; raises `Refused`, `NotFound`, `Erased`."""
    if selection.ways != 1:
        raise Refused(
            "name what to forget in exactly one way: ID…, --last, --since/--until/--profile, "
            "--match WORDS or --all"
        )
    found = _found(vault, selection)
    if not found:
        more = unknown_yet(vault, selection)
        raise NotFound(
            "no interaction in this vault is meant by that; nothing was erased"
            + (f"; {more}" if more else "")
        )
    return list(dict.fromkeys(found))


def unknown_yet(vault: Vault, selection: Selection) -> str:
    """Returns a remark where something is being spoken of which nobody can tell if it is meant."""
    spoken = [meta for _, meta in being_spoken(vault)]
    if selection.match and spoken:
        what = "its words are not known before it is over"
    elif selection.which != NO_FILTER and None in spoken:
        what = "when it began and for whom is not sealed yet"
    else:
        return ""
    return f"somebody is speaking just now, and {what}: --last and --all reach it"


def _found(vault: Vault, selection: Selection) -> Sequence[InteractionId]:
    if selection.ids:
        return [vault.resolve(text) for text in selection.ids]
    if selection.last:
        return list(islice(vault.interactions(), 1))
    if selection.everything:
        return [*vault.interactions(), *vault.owned(RECORD)]
    if selection.match:
        rows_with = [row.interaction for row in matching(vault, selection.match)]
        return [*rows_with, *_records_with(vault, selection.match)]
    now = [it for it, meta in being_spoken(vault) if meta and selection.which.takes(meta)]
    return [*now, *(row.interaction for row in rows(vault, selection.which))]


def _records_with(vault: Vault, match: Sequence[str]) -> Iterator[InteractionId]:
    """Yields the records that hold what is asked for; what was kept is forgotten like the rest."""
    from pipeline import keep  # with all that knows times said in words

    query = parse(" ".join(match))
    return (it.owner for it in keep.records(vault, vault.owned(RECORD)) if it.is_found(query))


def parse_time(text: str) -> datetime:
    """Parses an RFC 3339 time or a date; without a zone it is local time; raises `Refused`."""
    try:
        return datetime.fromisoformat(text.strip()).astimezone()
    except (ValueError, OverflowError):
        raise Refused(
            f"expected a time such as 2026-01-31T12:00:00Z or 2026-01-31: found {text[:40]!r}"
        ) from None
