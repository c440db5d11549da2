"""Sentences as somebody may say them, out of the templates: for a recogniser that keeps to them.

Pure but for the templates. The same templates give the same sentences. What a sentence is about (a
label, a name, a thing to buy) is in none, unless a list has it; mishearings are left out.
"""

import random
import re
from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.assistant.moments import MONTH_NAMES, PARTS, WEEKDAY_NAMES
from pipeline.assistant.numerals import in_words

_EACH = 40
"""So many sentences are drawn from each template."""
_PIECE = re.compile(r"[()\[\]|]|\{\w+(?::\w+)?\}|<\w+>|[^()\[\]|{}<>]+")
_MISHEARD = "misheard"
_UNITS = ("seconds", "minutes", "hours", "days", "weeks")
_ORDINALS = [
    "first",
    "second",
    "third",
    "fourth",
    "fifth",
    "sixth",
    "seventh",
    "eighth",
    "ninth",
    "tenth",
    "eleventh",
    "twelfth",
]


class Speaker:
    """Draws sentences from templates, with a chance that repeats."""

    def __init__(self, rules: Mapping[str, str], lists: Mapping[str, Any]) -> None:
        self._rules, self._lists = rules, lists
        self._chance = random.Random(0)  # noqa: S311 - it must repeat

    def sentences(self, intents: Mapping[str, Mapping[str, Any]]) -> list[str]:
        """Returns sentences for all intents, each once, with times where times are said."""
        found: dict[str, None] = {}
        for intent in intents.values():
            has_time = intent.get("time", "none") != "none"
            for template in intent.get("sentences", ()):
                found |= dict.fromkeys(self._said(template, also=has_time, always=False))
            for template in intent.get("timed", ()):
                found |= dict.fromkeys(self._said(template, also=True, always=True))
        return [text for text in found if text]

    def _said(self, template: str, *, also: bool, always: bool) -> Iterator[str]:
        for number in range(0 if _MISHEARD in template else _EACH):
            text = self._expanded(template)
            timed = also and (always or number % 2 == 0)
            yield " ".join(f"{text} {self._time() if timed else ''}".split())

    def _expanded(self, template: str) -> str:
        return self._alternatives(_PIECE.findall(template))

    def _alternatives(self, pieces: list[str]) -> str:
        """Takes one of the alternatives that stand before the next closing bracket."""
        ways = [""]
        while pieces and pieces[0] not in {")", "]"}:
            piece = pieces.pop(0)
            if piece == "|":
                ways.append("")
            else:
                ways[-1] += self._one(piece, pieces)
        return self._chance.choice(ways)

    def _one(self, piece: str, pieces: list[str]) -> str:
        if piece in {"(", "["}:
            inner = self._alternatives(pieces)
            pieces.pop(0)
            return inner if piece == "(" or self._chance.random() < 0.5 else ""
        if piece[0] == "<":
            return self._expanded(self._rules[piece[1:-1]])
        if piece[0] == "{":
            words = self._lists[piece[1:-1].partition(":")[0]]
            return self._chance.choice(words) if words and not isinstance(words, str) else ""
        return piece

    def _time(self) -> str:
        return self._chance.choice([self._length, self._clock, self._day])()

    def _length(self) -> str:
        number = in_words(self._chance.randint(1, 59))
        return f"{self._chance.choice(['for', 'in'])} {number} {self._chance.choice(_UNITS)}"

    def _clock(self) -> str:
        hour = in_words(self._chance.randint(1, 12))
        minute = in_words(self._chance.choice([5, 10, 15, 20, 25, 30, 40, 45, 50]))
        part = self._chance.choice(
            ["", "am", "pm", "in the morning", "tomorrow morning", "tonight"]
        )
        said = [f"{hour} {minute}", hour, f"half past {hour}", f"quarter to {hour}", "noon"]
        return f"at {self._chance.choice(said)} {part}"

    def _day(self) -> str:
        day = self._chance.choice([*WEEKDAY_NAMES, "the " + self._chance.choice(_ORDINALS)])
        said = ["tomorrow", "today", f"on {day}", f"next {day}", f"every {day}", "every weekday"]
        said += [
            f"on the {self._chance.choice(_ORDINALS)} of {self._chance.choice([*MONTH_NAMES])}"
        ]
        more = self._chance.choice(["", self._clock(), self._chance.choice([*PARTS])])
        return f"{self._chance.choice(said)} {more}"
