"""What the assistant seals: intents, actions, answers, and that an action was done with.

Values and their JSON, as in `pipeline/artefact.py`; no `repr` shows what was said. An action never
changes: that it rang, was cancelled or sent is a `Fired` beside it, or for a record, a new record.
`minimal` is all that is left of an action when the user keeps it and forgets what it came from.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any, Self, TypeVar

from keys.errors import Malformed
from pipeline.assistant.resolve import said_days, said_length

TIMER, ALARM, REMINDER, EVENT, ITEM = "timer", "alarm", "reminder", "event", "item"
MESSAGE, ORDER, RIDE, HOME = "message", "order", "ride", "home-assistant"
RINGING = (TIMER, ALARM, REMINDER)
ERRANDS = (MESSAGE, ORDER, RIDE, HOME)
"""Actions that a skill carries out, by the name of the skill."""
RANG, MISSED, CANCELLED, DONE, SENT, UNSENT = [
    "rang",
    "missed",
    "cancelled",
    "done",
    "sent",
    "unsent",
]
"""What became of an action; all but the first two end it for good, also where it repeats."""
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, repr=False)
class Intent:
    """What was understood: a name, what was said for each slot, the time as it was resolved."""

    name: str
    slots: dict[str, str]
    at: str = ""

    def encode(self) -> bytes:
        """Returns JSON."""
        return _encoded(self)

    @classmethod
    def decode(cls, data: bytes | bytearray) -> Self:
        """Parses what `encode` returned; raises `Malformed`."""
        return _made(lambda row: cls(**row), data)


@dataclass(frozen=True, slots=True, repr=False)
class Action:
    """What the assistant does about it; what does not apply is empty.

    `at` and `until` are RFC 3339 with the offset of the user's zone; `repeat` holds weekdays, 0 is
    Monday, and then the time of `at` by the clock on the wall counts. `last` and `state` are of
    records only: the last occurrence that is over, and what became of it.
    """

    what: str
    at: str = ""
    until: str = ""
    all_day: bool = False
    repeat: tuple[int, ...] = ()
    length_s: int = 0
    label: str = ""
    list: str = ""
    recipient: str = ""
    last: str = ""
    state: str = ""

    @property
    def moment(self) -> datetime | None:
        """When it is due the first time."""
        return datetime.fromisoformat(self.at) if self.at else None

    def encode(self) -> bytes:
        """Returns JSON."""
        return _encoded(self)

    @classmethod
    def decode(cls, data: bytes | bytearray) -> Self:
        """Parses what `encode` returned; raises `Malformed`."""
        action = _made(lambda row: cls(**{**row, "repeat": tuple(row["repeat"])}), data)
        if not _is_in_form(action):
            raise _malformed()
        return action


@dataclass(frozen=True, slots=True, repr=False)
class Answer:
    """What the assistant said."""

    text: str

    def encode(self) -> bytes:
        """Returns JSON."""
        return _encoded(self)

    @classmethod
    def decode(cls, data: bytes | bytearray) -> Self:
        """Parses what `encode` returned; raises `Malformed`."""
        return _made(lambda row: cls(**row), data)


@dataclass(frozen=True, slots=True)
class Fired:
    """That an action was done with: its id in hex, which occurrence, when, and what became of it.

    `due` is empty where there was no time; it is what keeps an alarm from ringing twice.
    """

    action: str
    how: str
    at: str
    due: str = ""

    def encode(self) -> bytes:
        """Returns JSON."""
        return _encoded(self)

    @classmethod
    def decode(cls, data: bytes | bytearray) -> Self:
        """Parses what `encode` returned; raises `Malformed`."""
        return _made(lambda row: cls(**row), data)


def minimal(action: Action) -> bytes:
    """Returns the content of the record that keeps an action: what is needed for it and no more.

    Of errands only the date stays, and that somebody was written to.
    """
    kept = Action(action.what, last=action.last, state=action.state)
    if action.what in ERRANDS:
        to = "a contact" if action.recipient else ""
        return replace(kept, at=action.at[:10], recipient=to, state=action.state or DONE).encode()
    kept = replace(kept, at=action.at, until=action.until, all_day=action.all_day)
    kept = replace(kept, repeat=action.repeat, length_s=action.length_s)
    return replace(kept, label=action.label, list=action.list).encode()


def describe(action: Action) -> str:
    """Returns an action in one line: "alarm 07:00, work", "shopping: milk"."""
    if action.what == ITEM:
        return f"{action.list} list: {action.label}"
    to = f"to {action.recipient}" if action.recipient else ""
    details = ", ".join(it for it in (action.label, to) if it)
    return f"{action.what} {_time_of(action)}".rstrip() + (f", {details}" if details else "")


def _time_of(action: Action) -> str:
    at = action.moment
    if at is None:
        return ""
    if action.what == TIMER and action.length_s:
        return f"of {said_length(action.length_s)}, {at:%H:%M}"
    if action.repeat:
        return f"{at:%H:%M} {said_days(action.repeat)}"
    if action.all_day or len(action.at) == len("2026-01-31"):
        return f"{at:%Y-%m-%d}"
    return f"{at:%H:%M}" if action.what == ALARM else f"{at:%Y-%m-%d %H:%M}"


def _is_in_form(action: Action) -> bool:
    try:
        moments = [
            datetime.fromisoformat(it) for it in (action.at, action.until, action.last) if it
        ]
    except (ValueError, TypeError):
        return False
    has_zones = all(it.tzinfo for it in moments) or action.what in ERRANDS
    return has_zones and all(day in range(7) for day in action.repeat)


def _encoded(value: Any) -> bytes:  # noqa: ANN401 - one of the dataclasses above
    return json.dumps(asdict(value)).encode()


def _made(make: Callable[[Any], _T], data: bytes | bytearray) -> _T:
    try:
        return make(json.loads(data))
    except (ValueError, TypeError, KeyError):  # not passed on: what was read may be speech
        raise _malformed() from None


def _malformed() -> Malformed:
    return Malformed("a sealed file holds another form than this version writes")
