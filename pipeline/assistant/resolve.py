"""What was said about a time, resolved to a moment: in a zone, after now, and said back.

Pure: now and its zone are arguments. A time of twelve hours that could mean two is the next of
them; where a day was named, the likelier one. A time that a change of the clocks leaves out is the
one an hour later, and one that it repeats is the first. Refuses with `Unclear` what is over, or is
no date; the answer then asks.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from pipeline.assistant.clocks import AM, EXACT, Clock
from pipeline.assistant.moments import (
    AFTERNOON,
    EVENING,
    EVERY_DAY,
    MONTH_NAMES,
    MORNING,
    NIGHT,
    WEEKDAY_NAMES,
    Day,
    When,
)

NO_TIME, PAST, NO_DATE = "no time", "past", "no date"
_YEARS = 8  # a 29th of February comes at least once in so many
_DAWN = 6
_DAYTIME = range(7, 12)  # hours that, said of a day to come, are in the morning
_DEFAULTS = {MORNING: time(8), AFTERNOON: time(14), EVENING: time(18), NIGHT: time(21)}


class Unclear(Exception):
    """A time that has to be asked for: `why` is one of NO_TIME, PAST, NO_DATE."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


@dataclass(frozen=True, slots=True)
class Habit:
    """How an intent reads times: early ones, and what a day without a time means."""

    early: bool = False
    """Hours without am or pm of a day that was named are in the morning."""
    woken: bool = False
    """They are in the morning always, as of somebody who wants to be woken."""
    default: time | None = None
    """The time of a day of which none was said; None asks for it."""


def resolve(when: When, now: datetime, habit: Habit) -> datetime:
    """Returns the moment meant, after `now` and in its zone; raises `Unclear`."""
    if when.after_s is not None:
        return (now.astimezone(UTC) + timedelta(seconds=when.after_s)).astimezone(now.tzinfo)
    clocks = list(_clocks(when, habit))
    if not clocks:
        raise Unclear(NO_TIME)
    if when.repeat:
        return next_occurrence(when.repeat, likelier(clocks, habit), now)
    if when.day is None:
        return _next(clocks[:1] if habit.woken else clocks, now)
    if when.day.offset == 0:
        return _today(clocks, when.part, now)
    clock = likelier(clocks, habit)
    for since in (now.date(), now.date() + timedelta(days=1)):
        at = at_wall(day_of(when.day, since), clock, zone_of(now))
        if is_after(at, now):
            return at
    raise Unclear(PAST)


def end_of(when: When, start: datetime) -> datetime | None:
    """Returns the end of what was said to be from one hour to another."""
    if when.end is None:
        return None
    hours = [it for it in readings(when.end, when.part) if it > start.time().replace(tzinfo=None)]
    days = 0 if hours else 1
    clock = hours[0] if hours else readings(when.end, when.part)[0]
    return at_wall(start.date() + timedelta(days=days), clock, zone_of(start))


def next_occurrence(repeat: tuple[int, ...], clock: time, after: datetime) -> datetime:
    """Returns the first moment after `after` at this time on one of these weekdays."""
    for days in range(9):
        day = after.date() + timedelta(days=days)
        at = at_wall(day, clock, zone_of(after))
        if day.weekday() in repeat and is_after(at, after):
            return at
    raise ValueError(f"no weekday in {repeat}")


def last_occurrence(repeat: tuple[int, ...], clock: time, until: datetime) -> datetime:
    """Returns the last moment up to `until` at this time on one of these weekdays."""
    for days in range(9):
        day = until.date() - timedelta(days=days)
        at = at_wall(day, clock, zone_of(until))
        if day.weekday() in repeat and not is_after(at, until):
            return at
    raise ValueError(f"no weekday in {repeat}")


def is_after(at: datetime, other: datetime) -> bool:
    """Tells whether a moment is after another, also in the hour that a change of clocks repeats.

    Python compares times of one zone by what the clocks show.
    """
    return at.timestamp() > other.timestamp()


def at_wall(day: date, clock: time, zone: tzinfo) -> datetime:
    """Returns the moment when clocks in the zone show this; an hour on where they never do."""
    at = datetime.combine(day, clock, zone)
    return at.astimezone(UTC).astimezone(zone)


def day_of(day: Day, today: date) -> date:
    """Returns the date meant by a day, from today on unless it has a year; raises `Unclear`."""
    if day.offset >= 0:
        return today + timedelta(days=day.offset)
    if day.weekday >= 0:
        return _weekday(day, today)
    if day.month == 0:
        return _of_this_or_next_month(day.day, today)
    if day.year:
        return _made(day.year, day.month, day.day)
    for year in range(today.year, today.year + _YEARS + 1):
        found = _valid(year, day.month, day.day)
        if found and found >= today:
            return found
    raise Unclear(NO_DATE)


def said(at: datetime, now: datetime, *, all_day: bool = False) -> str:
    """Says a moment so that nobody can take it for another one, and `find` reads it again."""
    clock = "" if all_day else f" at {at:%H:%M}"
    days = (at.date() - now.date()).days
    if days in {0, 1}:
        return ("today", "tomorrow")[days] + clock
    weekday, month = WEEKDAY_NAMES[at.weekday()].title(), MONTH_NAMES[at.month - 1].title()
    year = "" if _is_within_a_year(at.date(), now.date()) else f" {at.year}"
    return f"on {weekday}, {at.day} {month}{year}{clock}"


def said_days(repeat: tuple[int, ...]) -> str:
    """Says on which weekdays something happens."""
    groups = {EVERY_DAY: "day", EVERY_DAY[:5]: "weekday", EVERY_DAY[5:]: "weekend"}
    names = " and ".join(WEEKDAY_NAMES[it].title() for it in repeat)
    return f"every {groups.get(repeat, names)}"


def said_length(seconds: int) -> str:
    """Says a length of time: "1 hour and 5 minutes"."""
    rest, pieces = max(0, seconds), []
    for unit, size in (("day", 86_400), ("hour", 3600), ("minute", 60), ("second", 1)):
        number, rest = divmod(rest, size)
        if number:
            pieces.append(f"{number} {unit}" + "s" * (number > 1))
    *first, last = pieces or ["no time"]
    return f"{', '.join(first)} and {last}" if first else last


def zone_of(at: datetime) -> tzinfo:
    """Returns the zone of a moment."""
    return at.tzinfo or UTC


def _clocks(when: When, habit: Habit) -> Iterator[time]:
    """Yields the times of day that may be meant, none where that has to be asked."""
    if when.clock:
        yield from readings(when.clock, when.part)
    elif when.part:
        yield _DEFAULTS[when.part]
    elif habit.default and (when.day or when.repeat):
        yield habit.default


def readings(clock: Clock, part: str) -> list[time]:
    """Returns the times of day that a clock may mean, the early one first."""
    hour, minute = clock.hour, clock.minute
    if clock.half == EXACT:
        return [time(hour, minute)]
    early, late = time(hour % 12, minute), time(hour % 12 + 12, minute)
    if clock.half:
        return [early if clock.half == AM else late]
    if part == MORNING:
        return [early if hour != 12 else late]
    if part in {AFTERNOON, EVENING}:
        return [late if (hour, part) != (12, EVENING) else early]
    if part == NIGHT:
        return [late if _DAWN <= hour <= 11 else early]
    return [early, late]


def likelier(clocks: list[time], habit: Habit) -> time:
    """Chooses of two readings, for a day that was named."""
    early = clocks[0]
    if len(clocks) == 1:
        return early
    if early.hour == 0:
        return clocks[1]  # twelve is noon
    return early if habit.early or habit.woken or early.hour in _DAYTIME else clocks[1]


def _next(clocks: list[time], now: datetime) -> datetime:
    today = now.date()
    days = (today, today + timedelta(days=1), today + timedelta(days=2))
    found = (at_wall(day, clock, zone_of(now)) for day in days for clock in clocks)
    return min((at for at in found if is_after(at, now)), key=datetime.timestamp)


def _today(clocks: list[time], part: str, now: datetime) -> datetime:
    """Returns the next of the times today; midnight, and "tonight at one", are tomorrow's."""
    small = [it for it in clocks if it == time(0) or (part == NIGHT and it.hour < _DAWN)]
    days = timedelta(days=1 if small == clocks else 0)
    found = [at_wall(now.date() + days, clock, zone_of(now)) for clock in clocks]
    ahead = [at for at in found if is_after(at, now)]
    if ahead:
        return min(ahead, key=datetime.timestamp)
    raise Unclear(PAST)


def _weekday(day: Day, today: date) -> date:
    """Returns that weekday of next week (which begins on Monday), or the next one from tomorrow."""
    if day.next_week:
        return today + timedelta(days=7 - today.weekday() + day.weekday)
    return today + timedelta(days=(day.weekday - today.weekday() - 1) % 7 + 1)


def _of_this_or_next_month(number: int, today: date) -> date:
    for months in range(12):
        year, month = divmod(today.year * 12 + today.month - 1 + months, 12)
        found = _valid(year, month + 1, number)
        if found and found > today:
            return found
    raise Unclear(NO_DATE)


def _made(year: int, month: int, day: int) -> date:
    found = _valid(year, month, day)
    if found is None:
        raise Unclear(NO_DATE)
    return found


def _valid(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None


def _is_within_a_year(day: date, today: date) -> bool:
    ahead = _valid(today.year + 1, today.month, today.day) or date(today.year + 1, 3, 1)
    return today <= day < ahead
