"""Stretches of time that are over, said in words: "today", "since nine", "in the last hour".

Pure, as `resolve` is for times to come. What was said of twelve hours is the last such hour before
now. Returns None for what is no stretch of time: then nothing is meant by it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from pipeline.assistant.clocks import Clock, clock, days, duration, starts, word
from pipeline.assistant.moments import (
    AFTERNOON,
    EVENING,
    MORNING,
    NIGHT,
    PARTS,
    WEEKDAY_NAMES,
    Day,
    When,
    find,
)
from pipeline.assistant.resolve import Habit, at_wall, day_of, is_after, likelier, readings, zone_of

_HOURS = {MORNING: (0, 12), AFTERNOON: (12, 18), EVENING: (17, 24), NIGHT: (20, 30)}
_A_YEAR = timedelta(days=365)


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time, from `since` until before `until`; None where it has no end."""

    since: datetime | None = None
    until: datetime | None = None


def span(tokens: Sequence[str], now: datetime) -> Span | None:
    """Returns the stretch of time that all of the tokens say."""
    tokens = tuple(tokens)
    for words in (("from",), ("of",), ("on",), ("in",), ("during",), ("over",)):
        if starts(tokens, 0, *words) and (found := _plain(tokens[1:], now)):
            return found
    return _plain(tokens, now)


def trailing_span(tokens: Sequence[str], now: datetime) -> tuple[Span | None, tuple[str, ...]]:
    """Splits "the doctor since nine" into the stretch of time at its end, and what is before it."""
    for at in range(1, len(tokens)):
        if found := span(tokens[at:], now):
            return found, tuple(tokens[:at])
    return None, tuple(tokens)


def _plain(tokens: tuple[str, ...], now: datetime) -> Span | None:
    for reader in (_since, _last, _between, _day):
        if found := reader(tokens, now):
            return found
    return None


def _since(tokens: tuple[str, ...], now: datetime) -> Span | None:
    """Reads "since nine", "after ten yesterday", "before ten", "until noon"."""
    turn = word(tokens, 0)
    at = _moment(tokens[1:], now) if turn in {"since", "after", "before", "until"} else None
    if at is None:
        return None
    return Span(at) if turn in {"since", "after"} else Span(None, at)


def _last(tokens: tuple[str, ...], now: datetime) -> Span | None:
    """Reads "the last ten minutes", "the past hour", "last hour", "the last two days"."""
    at = int(word(tokens, 0) == "the")
    if word(tokens, at) not in {"last", "past"}:
        return None
    rest = tokens[at + 1 :]
    if word(rest, 0) in {"second", "minute", "hour", "day", "week"}:
        rest = ("one", *rest)
    for reader, unit_s in ((duration, 1), (days, 86_400)):
        found = reader(rest, 0)
        if found and found[1] == len(rest):
            return Span(now.astimezone(UTC) - timedelta(seconds=found[0] * unit_s))
    return None


def _between(tokens: tuple[str, ...], now: datetime) -> Span | None:
    """Reads "between nine and ten", "nine to ten yesterday"."""
    at = int(word(tokens, 0) == "between")
    first = clock(tokens, at, in_range=True)
    if not first or word(tokens, first[1]) not in {"and", "to", "until", "till"}:
        return None
    last = clock(tokens, first[1] + 1, in_range=True)
    if not last:
        return None
    day = _a_day(tokens[last[1] :], now.date()) if len(tokens) > last[1] else now.date()
    if day is None:
        return None
    until = _latest(last[0], day, now)
    since = max((at for at in _on(first[0], until.date(), now) if at < until), default=None)
    return Span(since, until) if since else None


def _day(tokens: tuple[str, ...], now: datetime) -> Span | None:
    """Reads "today", "yesterday morning", "this evening", "last night", "monday", "this week"."""
    today = now.date()
    if starts(tokens, 0, "last", "night") and len(tokens) == 2:
        return _part_of(today - timedelta(days=1), NIGHT, now)
    if tokens in {("this", "week"), ("the", "week")}:
        return Span(at_wall(today - timedelta(days=today.weekday()), time(0), zone_of(now)))
    if tokens == ("tonight",):
        return _part_of(today, EVENING, now)
    if word(tokens, 0) == "this" and word(tokens, 1) in PARTS and len(tokens) == 2:
        return _part_of(today, tokens[1], now)
    part = tokens[-1] if tokens and tokens[-1] in PARTS else ""
    day = _a_day(tokens[: len(tokens) - bool(part)], today)
    return None if day is None else _part_of(day, part, now)


def _a_day(tokens: tuple[str, ...], today: date) -> date | None:
    """Reads one day that is over, or today."""
    tokens = tokens[1:] if word(tokens, 0) in {"on", "last"} else tokens
    if tokens in {("today",), ("yesterday",)}:
        return today - timedelta(days=int(tokens == ("yesterday",)))
    if len(tokens) == 1 and tokens[0] in WEEKDAY_NAMES:
        ago = (today.weekday() - WEEKDAY_NAMES.index(tokens[0]) - 1) % 7 + 1
        return today - timedelta(days=ago)
    when, rest = find(("on", *tokens), loose=False)
    if rest or when != When(day=when.day) or when.day is None or not when.day.month:
        return None
    return _date_before(when.day, today)


def _date_before(day: Day, today: date) -> date | None:
    found = day_of(day, today if day.year else today - _A_YEAR + timedelta(days=1))
    return found if found <= today else None


def _moment(tokens: tuple[str, ...], now: datetime) -> datetime | None:
    """Reads the moment before now that "nine", "yesterday at nine" or "yesterday" mean."""
    if (day := _a_day(tokens, now.date())) is not None:
        return at_wall(day, time(0), zone_of(now))
    when, rest = find(tokens, loose=True)
    if rest and (day := _a_day(rest, now.date())) is not None and when.clock:
        return _latest(when.clock, day, now, when.part)
    if rest or not when.clock or (when.day and when.day.offset != 0):
        return None
    return _latest(when.clock, now.date(), now, when.part)


def _latest(said: Clock, day: date, now: datetime, part: str = "") -> datetime:
    """Returns the last time up to now that the clock may mean; of a day before, the likelier."""
    if day < now.date():
        return at_wall(day, likelier(readings(said, part), Habit()), zone_of(now))
    for each in (day, day - timedelta(days=1)):
        if over := [at for at in _on(said, each, now, part) if not is_after(at, now)]:
            return max(over, key=datetime.timestamp)
    return at_wall(day, time(0), zone_of(now))


def _on(said: Clock, day: date, now: datetime, part: str = "") -> list[datetime]:
    """Returns the moments of a day that a clock may mean."""
    return [at_wall(day, it, zone_of(now)) for it in readings(said, part)]


def _part_of(day: date, part: str, now: datetime) -> Span:
    first, last = _HOURS.get(part, (0, 24))
    zone = zone_of(now)
    until = at_wall(day + timedelta(days=last // 24), time(last % 24), zone)
    return Span(at_wall(day, time(first), zone), until)
