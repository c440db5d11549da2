"""From a text to what follows: the one function that everything heard goes through.

Pure: text, time and what is open go in, a `Derived` comes out, with the same result every time. A
text that is no command gives nothing, and is stored like any other. To teach a new intent: its
sentences in `sentences.toml`, and its function in the table below.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime

from pipeline.assistant import errands, lists, schedule
from pipeline.assistant.derived import KEEP, MUTE, SILENCE, Context, Derived, Wish
from pipeline.assistant.moments import MONTH_NAMES, WEEKDAY_NAMES, When
from pipeline.assistant.numerals import tokens_of
from pipeline.assistant.past import span, trailing_span
from pipeline.assistant.understand import Understood, only_a_time, understand
from pipeline.assistant.values import Intent

HELP = (
    "Timers, alarms, reminders, the calendar, shopping and other lists, messages, orders and "
    "rides, the time and the date; and: forget what I just said, forget everything I said today, "
    "or about something, what do you know about me, stop listening."
)
_SMALL_WORDS = {"the", "a", "an", "my", "our", "his", "her", "their", "your"}
_NOT_NOW = "Nothing is stored now, so that cannot be done."


def derive(text: str, context: Context, question: Understood | None = None) -> Derived:
    """Returns what follows from a text; `question` is what was asked for a time just before."""
    answer = only_a_time(text) if question else None
    if question and answer:
        return _followed(replace(question, when=_completed(question.when, answer)), context)
    understood = understand(text)
    return _followed(understood, context) if understood else Derived()


def _followed(it: Understood, context: Context) -> Derived:
    if it.name not in _FUNCTIONS:
        return Derived()
    derived = _FUNCTIONS[it.name](it, context)
    if derived == Derived():
        return derived
    if not context.stores and (derived.actions or derived.marks or derived.errand):
        derived = Derived(answer=_NOT_NOW)
    at = derived.actions[0].at if derived.actions else ""
    return replace(derived, intent=Intent(it.name, dict(it.slots), at))


def _completed(asked: When, answer: When) -> When:
    """Puts a time that was asked for to what was said before; the answer counts."""
    return When(
        answer.after_s or (None if answer.clock else asked.after_s),
        answer.day or (None if answer.after_s else asked.day),
        answer.clock or (None if answer.after_s else asked.clock),
        answer.end or asked.end,
        answer.part or asked.part,
        answer.repeat or asked.repeat,
    )


def _time(_: Understood, context: Context) -> Derived:
    return Derived(answer=f"It is {context.now:%H:%M}.")


def _date(_: Understood, context: Context) -> Derived:
    return Derived(answer=f"Today is {_day(context.now)}.")


def _day(at: datetime) -> str:
    weekday, month = WEEKDAY_NAMES[at.weekday()].title(), MONTH_NAMES[at.month - 1].title()
    return f"{weekday}, {at.day} {month} {at.year}"


def _help(_: Understood, __: Context) -> Derived:
    return Derived(answer=HELP)


def _silence(_: Understood, context: Context) -> Derived:
    return Derived(effect=SILENCE) if context.is_ringing else Derived()


def _mute(_: Understood, __: Context) -> Derived:
    return Derived(effect=MUTE, answer="Not listening any more.")


def _keep(_: Understood, __: Context) -> Derived:
    return Derived(effect=KEEP)


def _known(_: Understood, __: Context) -> Derived:
    return Derived(asks_what_is_known=True)


def _forget_last(_: Understood, __: Context) -> Derived:
    return Derived(wish=Wish(last=True))


def _forget_everything(_: Understood, __: Context) -> Derived:
    return Derived(wish=Wish())


def _forget_span(it: Understood, context: Context) -> Derived:
    found = span(it.slot("span").split(), context.now)
    return Derived(wish=Wish(span=found)) if found else Derived()


def _forget_about(it: Understood, context: Context) -> Derived:
    """Forgets what holds the words, of a stretch of time if one was said as well."""
    topic = tokens_of(it.slot("topic"))
    when = span(it.slot("span").split(), context.now) if it.slot("span") else None
    if when is None:
        when, topic = trailing_span(topic, context.now)
    words = tuple(word for word in topic if word not in _SMALL_WORDS) or topic
    return Derived(wish=Wish(words=words, span=when))


_Function = Callable[[Understood, Context], Derived]
_FUNCTIONS: Mapping[str, _Function] = {
    "timer-set": schedule.timer,
    "timer-cancel": schedule.cancel_timer,
    "timer-left": schedule.left,
    "alarm-set": schedule.alarm,
    "wake-set": schedule.alarm,
    "alarm-cancel": schedule.cancel_alarm,
    "alarm-list": schedule.alarms,
    "snooze": schedule.snooze,
    "silence": _silence,
    "reminder-set": schedule.reminder,
    "reminder-list": schedule.reminders,
    "reminder-cancel": schedule.cancel_reminder,
    "event-add": schedule.event,
    "event-list": schedule.events,
    "event-cancel": schedule.cancel_event,
    "item-add": lists.add,
    "item-remove": lists.remove,
    "list-show": lists.show,
    "list-clear": lists.clear,
    "message-send": errands.message,
    "order-place": errands.order,
    "ride-book": errands.ride,
    "home-tell": errands.home,
    "time-ask": _time,
    "date-ask": _date,
    "help": _help,
    "forget-last": _forget_last,
    "forget-about": _forget_about,
    "forget-span": _forget_span,
    "forget-everything": _forget_everything,
    "what-known": _known,
    "stop-listening": _mute,
    "keep-that": _keep,
}
"""All but yes and no, which mean nothing by themselves: `respond` asks for them."""
