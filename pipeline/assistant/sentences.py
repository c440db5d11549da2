"""The sentences that the assistant understands: a data file, and one of the user's beside it.

Promises that whatever is in either file is checked when it is read, and that a mistake in the
user's is told of with its place. To understand more, change `sentences.toml`; another language is
another such file. What hassil needs is made here and nowhere else.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import time
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline import places
from pipeline.assistant.resolve import Habit
from pipeline.errors import Refused

if TYPE_CHECKING:  # it takes a tenth of a second, which only whoever understands needs to wait for
    from hassil import Intents

FILE = "sentences.toml"
NONE, STRICT, LOOSE = "none", "strict", "loose"
_TIME_WORDS = """
    at by in on for from to until past after before half quarter noon midday midnight
    today tomorrow yesterday tonight next last this every each weekday weekdays weekend
    since between and a an the m p o'clock oh hundred day now couple of
"""
_TIMES = (NONE, STRICT, LOOSE)
_WORDS = ("sentences", "timed")
_INTENT_KEYS = {"sentences", "timed", "time", "early", "woken", "all_day", "default"}
_ANY = "*"
_NAMES, _SPOKEN = re.compile(r"[{<][^}>]*[}>]"), re.compile(r"[a-z][a-z']*")
_LISTS, _RULES = re.compile(r"\{(\w+)"), re.compile(r"<(\w+)>")


@dataclass(frozen=True, slots=True)
class Sort:
    """How an intent treats times: how they are said with it, and what is left open."""

    time: str
    habit: Habit
    all_day: bool


@dataclass(frozen=True, slots=True)
class Group:
    """The intents that look at a sentence in one way: with its times, or without them."""

    time: str
    timed: bool
    templates: "Intents"


@dataclass(frozen=True, slots=True)
class Sentences:
    """All that can be understood: groups of templates, and how each intent treats times."""

    groups: tuple[Group, ...]
    sorts: Mapping[str, Sort]
    contacts: tuple[str, ...]


@cache
def sentences() -> Sentences:
    """Returns the sentences of this package and the user's; raises `Refused` for a mistake."""
    ours = _read(Path(__file__).with_name(FILE))
    path = places.config_directory() / FILE
    if not path.exists():
        return made(ours)
    try:
        both = joined(ours, theirs := _read(path))
        _check(theirs, both)
        return made(both)
    except Refused as refused:
        raise Refused(f"{path}: {refused}; correct it, or move the file away") from refused
    except (TypeError, ValueError, AttributeError, KeyError) as error:
        raise Refused(
            f"{path}: expected tables as in the sentences of the package, found another form "
            f"({type(error).__name__}); correct it, or move the file away"
        ) from error


def vocabulary() -> list[str]:
    """Returns sentences that are understood, for a recogniser that keeps to them.

    Drawn from the templates, the user's too, with times. What a sentence is about (a label, a name,
    a thing to buy) is in it only if a list has it.
    """
    from pipeline.assistant.spoken import Speaker

    ours = _read(Path(__file__).with_name(FILE))
    path = places.config_directory() / FILE
    both = joined(ours, _read(path)) if path.exists() else ours
    return Speaker(both["rules"], both["lists"]).sentences(both["intents"])


def joined(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, Any]:
    """Returns both files as one: sentences and words add up, rules are replaced."""
    if unknown := set(theirs) - {"rules", "lists", "intents"}:
        raise Refused(f"expected rules, lists and intents, found {min(unknown)!r}")
    lists = dict(ours["lists"])
    for name, words in theirs.get("lists", {}).items():
        lists[name] = words if isinstance(lists.get(name, _ANY), str) else [*lists[name], *words]
    intents = dict(ours["intents"])
    for name, table in theirs.get("intents", {}).items():
        if name not in intents:
            known = ", ".join(intents)
            raise Refused(f"expected one of the intents {known}; found {name!r}")
        added = {key: [*intents[name].get(key, ()), *table.get(key, ())] for key in _WORDS}
        intents[name] = {**intents[name], **table, **added}
    rules = {**ours["rules"], **theirs.get("rules", {})}
    return {"rules": rules, "lists": lists, "intents": intents}


def made(file: Mapping[str, Any]) -> Sentences:
    """Makes what hassil needs of the content of a file; raises `Refused` for a key that is none."""
    sorts = {name: _sort(name, table) for name, table in file["intents"].items()}
    groups = []
    for time_said in _TIMES:
        tables = {n: t for n, t in file["intents"].items() if sorts[n].time == time_said}
        for key, timed in (("sentences", False), ("timed", True)):
            if templates := {name: t[key] for name, t in tables.items() if t.get(key)}:
                groups.append(Group(time_said, timed, _compiled(templates, file)))
    return Sentences(tuple(groups), sorts, tuple(file["lists"].get("contact", ())))


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Refused(f"expected TOML, found {error}") from error


def _sort(name: str, table: Mapping[str, Any]) -> Sort:
    if unknown := set(table) - _INTENT_KEYS:
        raise Refused(f"{name}: there is no {min(unknown)!r}")
    if table.get("time") not in _TIMES:
        raise Refused(f"{name}: expected time to be one of {', '.join(_TIMES)}")
    default = time.fromisoformat(table["default"]) if "default" in table else None
    all_day = bool(table.get("all_day"))
    whole = time(0) if all_day else default
    habit = Habit(bool(table.get("early")), bool(table.get("woken")), whole)
    return Sort(table["time"], habit, all_day)


def _check(theirs: Mapping[str, Any], both: Mapping[str, Any]) -> None:
    """Looks at the templates of a user's file: hassil itself only looks when it matches."""
    from hassil import parse_sentence
    from hassil.parser import ParseError

    tables = theirs.get("intents", {}).values()
    templates = [*theirs.get("rules", {}).values()]
    templates += [it for table in tables for key in _WORDS for it in table.get(key, ())]
    for template in templates:
        try:
            parse_sentence(template)
        except (ParseError, ValueError, AssertionError) as error:
            raise Refused(f"expected a template, found {template!r}") from error
        missing = {*_LISTS.findall(template)} - {*both["lists"]}
        missing |= {*_RULES.findall(template)} - {*both["rules"]}
        if missing:
            raise Refused(f"{template!r} names {min(missing)!r}, which is no list or rule")


def _compiled(templates: Mapping[str, list[str]], file: Mapping[str, Any]) -> "Intents":
    from hassil import Intents

    lists = {
        name: {"wildcard": True} if words == _ANY else {"values": list(words) or ["\0"]}
        for name, words in file["lists"].items()
    }
    intents = {name: {"data": [{"sentences": list(it)}]} for name, it in templates.items()}
    return Intents.from_dict(
        {"language": "en", "intents": intents, "lists": lists, "expansion_rules": file["rules"]}
    )
