"""The calendar as an iCalendar file (RFC 5545), which calendar programs read and subscribe to.

Pure: entries in, bytes out. It is readable by anyone, so whoever hands it out makes that a
disclosure. A time that repeats is by the clock on the wall, wherever the reader is.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from pipeline.assistant.entries import Entry
from pipeline.assistant.values import EVENT, REMINDER

FIELDS = ("time", "label")
"""What of an action is in the file, as its disclosure names it."""
_DAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_A_DAY = timedelta(days=1)


def in_calendar(entries: Iterable[Entry]) -> list[Entry]:
    """Returns what belongs in a calendar: events and reminders that are not called off."""
    return [it for it in entries if it.action.what in {EVENT, REMINDER} and it.is_open]


def ics(entries: Iterable[Entry], now: datetime) -> bytes:
    """Returns the file; each entry is known in it by the id of its artefact."""
    from icalendar import Calendar, Event

    calendar = Calendar()
    calendar.add("prodid", "-//Anechoic//EN")
    calendar.add("version", "2.0")
    for it in in_calendar(entries):
        event = Event()
        for name, value in _fields(it, now).items():
            event.add(name, value)
        calendar.add_component(event)
    return bytes(calendar.to_ical())


def _fields(it: Entry, now: datetime) -> Mapping[str, Any]:
    action = it.action
    start = datetime.fromisoformat(action.at)
    end = datetime.fromisoformat(action.until) if action.until else None
    fields: dict[str, Any] = {
        "uid": it.artefact.hex(),
        "dtstamp": now.astimezone(UTC).replace(microsecond=0),
        "summary": action.label,
    }
    if action.all_day:
        fields |= {"dtstart": start.date(), "dtend": start.date() + _A_DAY}
    elif action.repeat:
        fields["dtstart"] = start.replace(tzinfo=None)
        fields |= {"dtend": end.replace(tzinfo=None)} if end else {}
    else:
        fields["dtstart"] = start.astimezone(UTC)
        fields |= {"dtend": end.astimezone(UTC)} if end else {}
    if action.repeat:
        fields["rrule"] = {"freq": "weekly", "byday": [_DAYS[day] for day in action.repeat]}
    return fields
