"""Times and dates said in words: found in a sentence, and taken out of it.

`find` reads "remind me at nine tomorrow to call mum" as a `When` and the words that are left. It
resolves nothing: what "nine" means today is `resolve`'s. Where two places in a sentence contradict
each other, such as two hours, the first one counts; the other stays a word of the sentence.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace

from pipeline.assistant.clocks import Clock, clock, days, duration, is_unmistakable, starts, word
from pipeline.assistant.numerals import cardinal, ordinal, year

EVERY_DAY = (0, 1, 2, 3, 4, 5, 6)
"""Weekdays are numbers from 0, which is Monday."""
WEEKDAY_NAMES = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
MONTH_NAMES = (
    *("january", "february", "march", "april", "may", "june", "july", "august"),
    *("september", "october", "november", "december"),
)
MORNING, AFTERNOON, EVENING, NIGHT = PARTS = ("morning", "afternoon", "evening", "night")
_WEEKDAYS = {name: n for n, name in enumerate(WEEKDAY_NAMES)}
_MONTHS = {name: n for n, name in enumerate(MONTH_NAMES, 1)}
_GROUPS = {"day": EVERY_DAY, "weekday": EVERY_DAY[:5], "weekend": EVERY_DAY[5:]}
_NO_CLOCK_BEFORE = {"of", "point", "least", "once", "time", "percent"}
_AFTER_A_BARE_DAY = {"", "at", "to", "the", "in", "from", *PARTS}


@dataclass(frozen=True, slots=True)
class Day:
    """A day as it was said: so many days from today, a weekday, or a date; else -1, False, 0."""

    offset: int = -1
    weekday: int = -1
    next_week: bool = False
    month: int = 0
    day: int = 0
    year: int = 0


@dataclass(frozen=True, slots=True)
class When:
    """A time as it was said; what was not said is None or empty."""

    after_s: int | None = None
    day: Day | None = None
    clock: Clock | None = None
    end: Clock | None = None
    part: str = ""
    repeat: tuple[int, ...] = ()

    def __bool__(self) -> bool:
        return self != When()


Read = tuple[When, int]
Reader = Callable[[Sequence[str], int, bool], Read | None]


def find(tokens: Sequence[str], *, loose: bool) -> tuple[When, tuple[str, ...]]:
    """Returns the time said in the tokens, and the tokens that are not part of it.

    `loose` also takes what is a time only where one is expected: "for seven", "ten minutes".
    """
    when, rest, at, last = When(), [], 0, -1
    while at < len(tokens):
        follows_a_day = last == at and when.day is not None
        found = _phrase(tokens, at, loose or follows_a_day)
        merged = _merged(when, found[0]) if found else None
        if found and merged is not None:
            when, at = merged, found[1]
            last = at
        else:
            rest.append(tokens[at])
            at += 1
    return when, tuple(rest)


def _phrase(tokens: Sequence[str], at: int, loose: bool) -> Read | None:
    """Reads the longest thing that says when, at a place."""
    found = [it for reader in _READERS if (it := reader(tokens, at, loose))]
    return max(found, key=lambda it: it[1], default=None)


def _merged(one: When, other: When) -> When | None:
    """Joins what was said in two places; None where they contradict each other."""
    said = {it.name: getattr(other, it.name) for it in fields(When) if getattr(other, it.name)}
    if any(getattr(one, name) for name in said):
        return None
    merged = replace(one, **said)
    in_two_ways = merged.after_s and (merged.day or merged.clock or merged.repeat)
    return None if in_two_ways or (merged.day and merged.repeat) else merged


def _after(tokens: Sequence[str], at: int, loose: bool) -> Read | None:
    """Reads "in ten minutes", "ten minutes from now"; loosely also "for ten minutes"."""
    said_in = word(tokens, at) == "in" or (loose and word(tokens, at) in {"for", "of"})
    found = duration(tokens, at + said_in)
    from_now = found and starts(tokens, found[1], "from", "now")
    if found and (said_in or loose or from_now):
        return When(after_s=found[0]), found[1] + (2 if from_now else 0)
    return None


def _offset(tokens: Sequence[str], at: int, _: bool) -> Read | None:
    """Reads "for tomorrow morning", "the day after tomorrow", "in three days", "next week"."""
    at += word(tokens, at) == "for"
    if starts(tokens, at, "the", "day", "after", "tomorrow"):
        return _with_part(tokens, When(day=Day(offset=2)), at + 4)
    if starts(tokens, at, "next", "week"):
        return When(day=Day(offset=7)), at + 2
    if word(tokens, at) == "tonight":
        return When(day=Day(offset=0), part=NIGHT), at + 1
    if word(tokens, at) in {"today", "tomorrow"}:
        day = Day(offset=int(tokens[at] == "tomorrow"))
        return _with_part(tokens, When(day=day), at + 1)
    if word(tokens, at) == "in" and (found := days(tokens, at + 1)):
        return When(day=Day(offset=found[0])), found[1]
    return None


def _part(tokens: Sequence[str], at: int, _: bool) -> Read | None:
    """Reads "in the morning", "this evening", "at night"."""
    if starts(tokens, at, "in", "the") and word(tokens, at + 2) in PARTS:
        return When(part=tokens[at + 2]), at + 3
    if word(tokens, at) == "this" and word(tokens, at + 1) in PARTS:
        return When(day=Day(offset=0), part=tokens[at + 1]), at + 2
    return (When(part=NIGHT), at + 2) if starts(tokens, at, "at", "night") else None


def _weekday(tokens: Sequence[str], at: int, loose: bool) -> Read | None:
    """Reads "on friday", "next friday", "friday the third of may"; bare only before an edge."""
    start = at + (word(tokens, at) in {"on", "by", "for"})
    said_next = word(tokens, start) == "next"
    start += word(tokens, start) in {"next", "this", "coming"}
    if word(tokens, start) not in _WEEKDAYS:
        return None
    end, is_bare = start + 1, start == at
    if date := _date(tokens, end, loose):
        return date
    if is_bare and not loose and word(tokens, end) not in _AFTER_A_BARE_DAY:
        return None
    if starts(tokens, end, "next", "week"):
        said_next, end = True, end + 2
    day = Day(weekday=_WEEKDAYS[tokens[start]], next_week=said_next)
    return _with_part(tokens, When(day=day), end)


def _date(tokens: Sequence[str], at: int, _: bool) -> Read | None:
    """Reads "on the third of december", "december third 2027", "on the third"."""
    start = at + (word(tokens, at) in {"on", "by", "for"})
    if word(tokens, start) in _MONTHS:
        named = start + 1 + (word(tokens, start + 1) == "the")
        day = ordinal(tokens, named) or cardinal(tokens, named)
        return _with_year(tokens, _MONTHS[tokens[start]], day) if day else None
    the = word(tokens, start) == "the"
    day = ordinal(tokens, start + the) or (None if the else cardinal(tokens, start))
    if day is None:
        return None
    month = day[1] + (word(tokens, day[1]) == "of")
    if word(tokens, month) in _MONTHS:
        return _with_year(tokens, _MONTHS[tokens[month]], (day[0], month + 1))
    is_day = (
        the
        and word(tokens, at) == "on"
        and 1 <= day[0] <= 31
        and word(tokens, day[1]) in _AFTER_A_BARE_DAY
    )
    return (When(day=Day(day=day[0])), day[1]) if is_day else None


def _clock(tokens: Sequence[str], at: int, loose: bool) -> Read | None:
    """Reads "at seven", "from nine to ten"; without "at" what is unmistakable, or loosely."""
    if word(tokens, at) in {"from", "between"} and (first := clock(tokens, at + 1, in_range=True)):
        said_to = word(tokens, first[1]) in {"to", "until", "till", "and"}
        last = clock(tokens, first[1] + 1) if said_to else None
        return (When(clock=first[0], end=last[0]), last[1]) if last else None
    said_at = word(tokens, at) in {"at", "by", "around"} or (loose and word(tokens, at) == "for")
    found = clock(tokens, at + said_at)
    if not found or word(tokens, found[1]) in _NO_CLOCK_BEFORE:
        return None
    if said_at or loose or is_unmistakable(tokens[at : found[1]]):
        return When(clock=found[0]), found[1]
    return None


def _repeat(tokens: Sequence[str], at: int, loose: bool) -> Read | None:
    """Reads "every weekday", "every monday and friday", "daily", "on mondays"."""
    at += loose and word(tokens, at) == "for" and word(tokens, at + 1) in {"every", "each"}
    if word(tokens, at) == "daily":
        return When(repeat=EVERY_DAY), at + 1
    if word(tokens, at) in {"every", "each"}:
        if word(tokens, at + 1) in PARTS:
            return When(repeat=EVERY_DAY, part=tokens[at + 1]), at + 2
        named = _days_named(tokens, at + 1, "")
        return _with_part(tokens, When(repeat=named[0]), named[1]) if named else None
    said_on = word(tokens, at) == "on"
    named = _days_named(tokens, at + said_on, "s") if said_on or loose else None
    return (When(repeat=named[0]), named[1]) if named else None


_READERS: tuple[Reader, ...] = (_after, _offset, _part, _weekday, _date, _clock, _repeat)


def _with_part(tokens: Sequence[str], when: When, at: int) -> Read:
    part = word(tokens, at)
    return (replace(when, part=part), at + 1) if part in PARTS else (when, at)


def _with_year(tokens: Sequence[str], month: int, day: tuple[int, int]) -> Read | None:
    if not 1 <= day[0] <= 31:
        return None
    found = year(tokens, day[1]) or (0, day[1])
    return When(day=Day(month=month, day=day[0], year=found[0])), found[1]


def _days_named(tokens: Sequence[str], at: int, plural: str) -> tuple[tuple[int, ...], int] | None:
    """Reads "weekday", or "monday and friday", each with the ending of a plural."""
    names = {name + plural: days for name, days in _GROUPS.items()}
    if word(tokens, at) in names:
        return names[tokens[at]], at + 1
    numbers = {name + plural: n for name, n in _WEEKDAYS.items()}
    found: set[int] = set()
    after = at
    while word(tokens, after) in numbers:
        found.add(numbers[tokens[after]])
        at = after + 1
        after = at + (word(tokens, at) == "and")
    return (tuple(sorted(found)), at) if found else None
