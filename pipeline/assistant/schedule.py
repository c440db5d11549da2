"""Timers, alarms, reminders and the calendar: made, asked for, and called off.

Each function takes what was understood and the context, and returns what follows. What has no time
that can be told is asked for; what is set is said back with the time that it was resolved to.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from pipeline.assistant.derived import SILENCE, Context, Derived, Mark, listed, time_said
from pipeline.assistant.entries import Entry
from pipeline.assistant.numerals import tokens_of
from pipeline.assistant.resolve import (
    NO_DATE,
    NO_TIME,
    PAST,
    Unclear,
    day_of,
    end_of,
    is_after,
    readings,
    resolve,
    said_days,
    said_length,
)
from pipeline.assistant.understand import Understood, sort_of
from pipeline.assistant.values import ALARM, CANCELLED, EVENT, REMINDER, TIMER, Action

_SNOOZE_S = 9 * 60
_LONGEST_TIMER_S = 366 * 86_400
_QUESTIONS = {NO_DATE: "There is no such day.", PAST: "That is over.", NO_TIME: ""}
_FOR_WHEN = {
    TIMER: "For how long?",
    ALARM: "For what time shall the alarm be?",
    REMINDER: "When shall I remind you?",
    EVENT: "At what time is it?",
}


def timer(it: Understood, context: Context) -> Derived:
    """Sets a timer."""
    length_s = it.when.after_s
    if length_s is None or not 0 < length_s <= _LONGEST_TIMER_S:
        return Derived(answer=_FOR_WHEN[TIMER], question=it)
    at = resolve(it.when, context.now, sort_of(it).habit)
    action = Action(TIMER, at=_text(at), length_s=length_s, label=it.slot("label"))
    name = f" for {action.label}" if action.label else ""
    return Derived(
        actions=(action,), answer=f"Timer of {said_length(length_s)}{name}, until {at:%H:%M}."
    )


def alarm(it: Understood, context: Context) -> Derived:
    """Sets an alarm, once or repeating."""
    return _set(it, context, ALARM)


def reminder(it: Understood, context: Context) -> Derived:
    """Sets a reminder."""
    if not it.slot("label"):
        return Derived(answer="Of what shall I remind you? Say remind me to, and what.")
    return _set(it, context, REMINDER)


def event(it: Understood, context: Context) -> Derived:
    """Puts something into the calendar."""
    return _set(it, context, EVENT)


def snooze(it: Understood, context: Context) -> Derived:
    """Lets an alarm ring again a little later."""
    length_s = it.when.after_s or _SNOOZE_S
    at = context.now + timedelta(seconds=length_s)
    action = Action(ALARM, at=_text(at), label="snoozed")
    return Derived(actions=(action,), answer=f"It rings again at {at:%H:%M}.", silences=True)


def left(it: Understood, context: Context) -> Derived:
    """Says how long the timers still run."""
    found = _meant(it, context, TIMER)
    if not found:
        return Derived(answer="No timer is running.")
    rest = listed([_left(each, context.now) for each in found])
    verb = "is" if rest.startswith("1 ") else "are"
    return Derived(answer=f"There {verb} {rest}.", reads=tuple(found))


def alarms(it: Understood, context: Context) -> Derived:
    """Says which alarms are set."""
    return _list(_meant(it, context, ALARM), context, "No alarm is set.")


def reminders(it: Understood, context: Context) -> Derived:
    """Says which reminders there are."""
    return _list(_meant(it, context, REMINDER), context, "There are no reminders.")


def events(it: Understood, context: Context) -> Derived:
    """Says what is in the calendar, on a day if one was said."""
    found = _meant(it, context, EVENT)
    if it.when.day is None:
        return _list(found, context, "There is nothing in the calendar.")
    day = day_of(it.when.day, context.now.date())
    on_day = [each for each in found if each.action.at[:10] == day.isoformat()]
    return _list(on_day, context, "There is nothing in the calendar then.")


def cancel_timer(it: Understood, context: Context) -> Derived:
    """Calls timers off."""
    return _cancel(it, context, TIMER)


def cancel_alarm(it: Understood, context: Context) -> Derived:
    """Calls alarms off."""
    return _cancel(it, context, ALARM)


def cancel_reminder(it: Understood, context: Context) -> Derived:
    """Calls reminders off."""
    return _cancel(it, context, REMINDER)


def cancel_event(it: Understood, context: Context) -> Derived:
    """Takes something out of the calendar."""
    return _cancel(it, context, EVENT)


def _set(it: Understood, context: Context, what: str) -> Derived:
    sort = sort_of(it)
    try:
        at = resolve(it.when, context.now, sort.habit)
    except Unclear as unclear:
        why = f"{_QUESTIONS[unclear.why]} {_FOR_WHEN[what]}".strip()
        return Derived(answer=why, question=it)
    all_day = sort.all_day and not it.when.clock and not it.when.part and not it.when.after_s
    end = end_of(it.when, at)
    action = Action(
        what,
        at=_text(at),
        until=_text(end) if end else "",
        all_day=all_day,
        repeat=it.when.repeat,
        label=it.slot("label"),
    )
    return Derived(actions=(action,), answer=_said_back(action, at, context))


def _said_back(action: Action, at: datetime, context: Context) -> str:
    when = time_said(at, context, all_day=action.all_day)
    if action.repeat:
        when = f"{said_days(action.repeat)} at {at:%H:%M}, the next time {when}"
    if action.until:
        when += f" until {datetime.fromisoformat(action.until):%H:%M}"
    if action.what == ALARM:
        return f"Alarm {when}{_named(action)}."
    if action.what == REMINDER:
        return f"I will remind you {when}: {action.label}."
    return f"In the calendar {when}: {action.label}."


def _meant(it: Understood, context: Context, what: str) -> list[Entry]:
    """Returns what is open of a kind, as far as label and time were said."""
    found = [
        each
        for each in context.entries()
        if each.action.what == what and each.is_current(context.now)
    ]
    found.sort(key=lambda each: _next(each, context.now))
    return [each for each in found if _has_label(each, it) and _has_time(each, it)]


def _has_label(entry: Entry, it: Understood) -> bool:
    """Tells whether it has the words that were said of it."""
    words = set(tokens_of(it.slot("label"))) - {"the", "a", "my", "for", "to"}
    return words <= set(tokens_of(entry.action.label))


def _has_time(entry: Entry, it: Understood) -> bool:
    at = entry.action.moment
    if at is None or it.name == "event-list":
        return True
    if it.when.after_s and entry.action.length_s:
        return it.when.after_s == entry.action.length_s
    if it.when.clock and at.time().replace(second=0) not in readings(it.when.clock, it.when.part):
        return False
    if it.when.day is None or entry.action.repeat:
        return True
    try:
        return at.date() == day_of(it.when.day, at.date())
    except Unclear:
        return False


def _cancel(it: Understood, context: Context, what: str) -> Derived:
    found = _meant(it, context, what)
    name = "entry" if what == EVENT else what
    if not found and context.is_ringing and what in {TIMER, ALARM}:
        return Derived(effect=SILENCE)  # "stop the timer", of one that is over and rings
    if not found:
        return Derived(answer=f"There is no such {name}.")
    if len(found) > 1 and not it.slot("all"):
        said = listed([_with_time(each, context) for each in found])
        return Derived(answer=f"There are {len(found)}: {said}. Say which.", reads=tuple(found))
    said = listed([_with_time(each, context) for each in found])
    marks = tuple(Mark(each, CANCELLED) for each in found)
    return Derived(marks=marks, answer=f"Called off: {said}.", reads=tuple(found))


def _list(found: Sequence[Entry], context: Context, none: str) -> Derived:
    if not found:
        return Derived(answer=none)
    said = "; ".join(_with_time(each, context) for each in found)
    return Derived(answer=f"{said[0].upper()}{said[1:]}.", reads=tuple(found))


def _with_time(entry: Entry, context: Context) -> str:
    action, at = entry.action, entry.ahead(context.now) or entry.action.moment
    if action.what == TIMER:
        return f"timer of {said_length(action.length_s)}{_named(action)}"
    when = time_said(at, context, all_day=action.all_day) if at else ""
    if action.repeat and at:
        when = f"{said_days(action.repeat)} at {at:%H:%M}"
    return f"{action.label or action.what} {when}"


def _next(entry: Entry, now: datetime) -> float:
    at = entry.ahead(now) or entry.action.moment
    return at.timestamp() if at else 0.0


def _left(entry: Entry, now: datetime) -> str:
    at = entry.action.moment
    ahead = at is not None and is_after(at, now)
    seconds = round(at.timestamp() - now.timestamp()) if at and ahead else 0
    name = f" for {entry.action.label}" if entry.action.label else ""
    return f"{said_length(seconds)} left{name}"


def _named(action: Action) -> str:
    return f", {action.label}" if action.label else ""


def _text(at: datetime) -> str:
    return at.isoformat(timespec="seconds")
