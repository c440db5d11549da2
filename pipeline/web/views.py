"""How the page looks: its templates and the words for times, limits and kinds. Pure but for them.

Nothing from a vault goes out but through a template, and templates escape all of it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from itertools import groupby
from typing import TYPE_CHECKING

from pipeline.artefact import DEFAULT_PROFILE
from pipeline.assistant.values import describe
from pipeline.history import Row
from pipeline.reporting import UNKNOWN
from pipeline.retention import Until
from pipeline.settings import parse_duration
from pipeline.terminal import count, local

if TYPE_CHECKING:
    from jinja2 import Environment

_KINDS = {
    "audio": "sound",
    "transcript": "words",
    "meta": "time and place",
    "intent": "what was meant",
    "action": "what to do about it",
    "answer": "answer",
    "fired": "that it rang",
    "disclosure": "note of what left",
    "index": "search index",
    "record": "kept record",
    "settings": "settings",
}
_MADE = {
    "audio": "the recording",
    "transcript": "recognised in the sound",
    "meta": "when, for whom, from where",
    "intent": "as it was understood",
    "action": "an alarm, a list, a message",
    "answer": "what was said back",
    "fired": "and when",
    "disclosure": "who got what, and why",
    "index": "to find it; shared with others",
    "record": "what you chose to keep",
}
_STEPS = {
    "form": "It can be read in one way only",
    "log key": "Whose log it is",
    "checkpoint signature": "The log was signed",
    "second signature": "And signed a second time",
    "witnesses": "Witnesses signed along",
    "time stamps": "Others vouch for the time",
    "inclusion": "The log has it",
    "live change": "These keys went, and no other",
    "form of the confirmation": "The confirmation can be read in one way only",
    "log key of the confirmation": "Whose log the confirmation is in",
    "checkpoint signature of the confirmation": "The log was signed then",
    "inclusion of the confirmation": "The log has the confirmation",
    "subject of the confirmation": "It confirms this receipt",
}
"""The steps of `keys.attested`, as somebody says them who does not know their names."""
_READERS = {
    "page": "this page",
    "calendar": "a calendar program",
    "plan": "a plan to forget",
    "show": "a look at it alone",
    "history": "the list on the command line",
    "search": "a search",
    "play": "playing it",
    "export": "an export",
}


@dataclass(frozen=True, slots=True, repr=False)
class Day:
    """What was heard on one day."""

    name: str
    rows: tuple[Row, ...]


@cache
def templates() -> "Environment":
    """Returns the templates, compiled once for all workers."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    it = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        loader=PackageLoader("pipeline.web"),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    it.filters |= {
        "local": local,
        "clock": clock,
        "duration": duration,
        "limit": limit,
        "silence": lambda text: (
            f"erased after {limit(text).removeprefix('for ')}"
            if parse_duration(text)
            else "not erased for that"
        ),
        "kind": lambda name: _KINDS.get(name, name),
        "step": lambda name: _STEPS.get(name, name.capitalize()),
        "made": lambda name: _MADE.get(name, ""),
        "reader": lambda name: _READERS.get(name, name),
        "opening": lambda text: text[:1].upper() + text[1:],
        "describe": describe,
        "count": count,
        "hide_default": lambda name: "" if name == DEFAULT_PROFILE else name,
    }
    return it


def days(rows: Iterable[Row], today: datetime) -> Iterator[Day]:
    """Groups rows by the day on which they were heard, as the clock here shows it."""
    for day, of_day in groupby(rows, key=lambda it: _here(it.meta.started_at).date()):
        away = (today.astimezone().date() - day).days
        name = {0: "Today", 1: "Yesterday"}.get(away, f"{day:%A}, {day.day} {day:%B %Y}")
        yield Day(name, tuple(of_day))


def clock(time: str) -> str:
    """Returns the time of day of an RFC 3339 time."""
    return f"{_here(time):%H:%M}"


def duration(seconds: float) -> str:
    """Returns a length as people say it."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{int(seconds // 60)} min {int(seconds % 60)} s"


def limit(text: str) -> str:
    """Returns a duration as the settings write it, in words."""
    if text == UNKNOWN:
        return text
    limit_s = parse_duration(text)
    if limit_s is None:
        return "until you forget it"
    if limit_s == 0:
        return "not at all"
    units = (("year", 31_536_000), ("day", 86_400), ("hour", 3600), ("minute", 60))
    name, size_s = next(it for it in units if limit_s % it[1] == 0)
    return f"for {count(limit_s // size_s, name)}"


def kept_until(it: Until) -> str:
    """Tells until when something is kept."""
    if it.words is None and it.audio is None:
        return "until you forget it"
    words = f"the words until {local(it.words)}" if it.words else "the words until you forget them"
    sound = "" if it.audio in {None, it.words} else f", the sound until {local(str(it.audio))}"
    return words + sound


def _here(time: str) -> datetime:
    return datetime.fromisoformat(time).astimezone()
