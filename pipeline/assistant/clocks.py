"""Times of day and lengths of time, said in words: "half past seven p m", "an hour and a half".

Each reader takes tokens and a place among them, and returns what it read and the place behind it,
or None. What is read is what was said; `resolve` decides what it means on a given day.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pipeline.assistant.numerals import cardinal

AM, PM, EXACT = "am", "pm", "exact"
UNITS_S = {"second": 1, "minute": 60, "hour": 3600}
UNITS_DAYS = {"day": 1, "week": 7, "fortnight": 14}
_FRACTIONS = {
    ("a", "quarter", "of", "an"): 0.25,
    ("three", "quarters", "of", "an"): 0.75,
    ("half", "an"): 0.5,
    ("half", "a"): 0.5,
    ("a", "half"): 0.5,
    ("half",): 0.5,
}
_NAMED = {"noon": 12, "midday": 12, "midnight": 0}
_DIGITAL = re.compile(r"(\d{1,2}):(\d\d)")


@dataclass(frozen=True, slots=True)
class Clock:
    """A time of day as it was said: `half` is am, pm, exact (of 24 hours), or not said."""

    hour: int
    minute: int = 0
    half: str = ""


def word(tokens: Sequence[str], at: int) -> str:
    """Returns the token at a place, nothing beyond the ends."""
    return tokens[at] if 0 <= at < len(tokens) else ""


def starts(tokens: Sequence[str], at: int, *words: str) -> bool:
    """Tells whether these words stand at a place."""
    return tuple(tokens[at : at + len(words)]) == words


def duration(tokens: Sequence[str], at: int) -> tuple[int, int] | None:
    """Reads a length of time in seconds: "an hour and a half", "one minute and ten seconds"."""
    total = 0
    while found := _length(tokens, at):
        total, at = total + found[0], found[1]
        if word(tokens, at) == "and" and _length(tokens, at + 1):
            at += 1
    return (total, at) if total else None


def days(tokens: Sequence[str], at: int) -> tuple[int, int] | None:
    """Reads a number of days: "three days", "a week", "a couple of weeks"."""
    number = _amount(tokens, at)
    unit = word(tokens, number[1]).removesuffix("s") if number else ""
    if number is None or unit not in UNITS_DAYS:
        return None
    return round(number[0] * UNITS_DAYS[unit]), number[1] + 1


def clock(tokens: Sequence[str], at: int, *, in_range: bool = False) -> tuple[Clock, int] | None:
    """Reads a time of day: "half past seven", "seven oh five pm", "noon", "19:30".

    With `in_range`, the "to" in "nine to ten" leads to the end of a range.
    """
    if word(tokens, at) in _NAMED:
        return Clock(_NAMED[tokens[at]], 0, EXACT), at + 1
    if word(tokens, at) in {"oh", "o"}:
        return None
    found = None if in_range else _past_or_to(tokens, at)
    found = found or _digital(tokens, at) or _hour_and_minute(tokens, at)
    return _with_half(tokens, *found) if found else None


def is_unmistakable(tokens: Sequence[str]) -> bool:
    """Tells whether these tokens say a time of day wherever they stand, without an "at"."""
    telling = {"o'clock", "oclock", "clock", "past", AM, PM, *_NAMED}
    return any(token in telling or _DIGITAL.fullmatch(token) for token in tokens)


def _length(tokens: Sequence[str], at: int) -> tuple[int, int] | None:
    """Reads one piece of a length of time: "half an hour", "two and a half hours"."""
    for words, share in _FRACTIONS.items():
        unit = word(tokens, at + len(words)).removesuffix("s")
        if starts(tokens, at, *words) and unit in UNITS_S:
            return round(share * UNITS_S[unit]), at + len(words) + 1
    number = _amount(tokens, at)
    unit = word(tokens, number[1]).removesuffix("s") if number else ""
    if number is None or unit not in UNITS_S:
        return None
    more = starts(tokens, number[1] + 1, "and", "a", "half")
    return round((number[0] + more / 2) * UNITS_S[unit]), number[1] + 1 + 3 * more


def _amount(tokens: Sequence[str], at: int) -> tuple[float, int] | None:
    if starts(tokens, at, "a", "couple", "of"):
        return 2.0, at + 3
    found = cardinal(tokens, at) or ((1, at + 1) if word(tokens, at) in {"a", "an"} else None)
    if found and starts(tokens, found[1], "and", "a", "half"):
        return found[0] + 0.5, found[1] + 3
    return found


def _past_or_to(tokens: Sequence[str], at: int) -> tuple[Clock, int] | None:
    """Reads "half past seven", "a quarter to eight", "ten minutes past nine", "half seven"."""
    start = at + (word(tokens, at) == "a")
    named = {"half": 30, "quarter": 15}.get(word(tokens, start))
    minute = (named, start + 1) if named else cardinal(tokens, at)
    if not minute or not 1 <= minute[0] <= 59:
        return None
    turn = minute[1] + (word(tokens, minute[1]) in {"minute", "minutes"})
    said = word(tokens, turn)
    bare_half = word(tokens, at) == "half" and said not in {"past", "after"}
    hour = cardinal(tokens, turn + (not bare_half))
    if not hour or not 1 <= hour[0] <= 12:
        return None
    if bare_half or said in {"past", "after"}:
        return Clock(hour[0], minute[0]), hour[1]
    to = said in {"to", "before", "till"}
    return (Clock((hour[0] - 2) % 12 + 1, 60 - minute[0]), hour[1]) if to else None


def _digital(tokens: Sequence[str], at: int) -> tuple[Clock, int] | None:
    found = _DIGITAL.fullmatch(word(tokens, at))
    if not found or int(found[1]) > 23 or int(found[2]) > 59:
        return None
    hour = int(found[1])
    # Written as 07:30 or 19:30 it is of 24 hours; 7:30 is what somebody said.
    exact = hour > 12 or found[1].startswith("0")
    return Clock(hour, int(found[2]), EXACT if exact else ""), at + 1


def _hour_and_minute(tokens: Sequence[str], at: int) -> tuple[Clock, int] | None:
    hour = cardinal(tokens, at)
    if not hour or hour[0] > 23:
        return None
    half, end = EXACT if hour[0] > 12 or hour[0] == 0 else "", hour[1]
    if word(tokens, end) == "hundred":
        return Clock(hour[0], 0, EXACT), end + 1 + (word(tokens, end + 1) == "hours")
    zero = word(tokens, end) in {"oh", "o"}
    minute = cardinal(tokens, end + zero)
    low, high = (1, 9) if zero else (10, 59)
    if not minute or not low <= minute[0] <= high or _is_unit(word(tokens, minute[1])):
        return Clock(hour[0], 0, half), end
    return Clock(hour[0], minute[0], half), minute[1]


def _is_unit(token: str) -> bool:
    return token.removesuffix("s") in {*UNITS_S, *UNITS_DAYS}


def _with_half(tokens: Sequence[str], found: Clock, at: int) -> tuple[Clock, int]:
    at += 2 * starts(tokens, at, "o", "clock") + (word(tokens, at) in {"o'clock", "oclock"})
    if word(tokens, at) in {AM, PM} and 1 <= found.hour <= 12:
        return replace(found, half=tokens[at]), at + 1
    return found, at
