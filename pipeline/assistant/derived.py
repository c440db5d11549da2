"""What follows from a text: what is sealed with it, what is said, and what is to be done.

Values that `derive` returns and `respond` carries out; what an intent's function needs to know
comes in a `Context`. Nothing here has an effect.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from pipeline.artefact import ACTION, ANSWER, INTENT
from pipeline.assistant.entries import Entry
from pipeline.assistant.past import Span
from pipeline.assistant.resolve import said
from pipeline.assistant.understand import Understood
from pipeline.assistant.values import Action, Answer, Intent

Part = tuple[str, bytes]
LAST, ABOUT, SPAN, EVERYTHING = "last", "about", "span", "everything"
MUTE, KEEP, SILENCE = "mute", "keep", "silence"


def _none() -> Sequence[Entry]:
    return ()


@dataclass(frozen=True, slots=True)
class Context:
    """What there is to know beside the words: the time in the user's zone, and what is open.

    `entries` is asked only by what needs it, so that most sentences read nothing. `skills` are
    those that the user has enabled. Without `stores` nothing is sealed, so nothing can ring later.
    """

    now: datetime
    entries: Callable[[], Sequence[Entry]] = _none
    skills: frozenset[str] = frozenset()
    is_ringing: bool = False
    stores: bool = True


@dataclass(frozen=True, slots=True, repr=False)
class Wish:
    """What is to be forgotten: the last, all, what holds words, what is of a time, or both."""

    last: bool = False
    words: tuple[str, ...] = ()
    span: Span | None = None


@dataclass(frozen=True, slots=True)
class Mark:
    """That something that was open is dealt with, and how."""

    entry: Entry
    how: str


@dataclass(frozen=True, slots=True, repr=False)
class Derived:
    """What follows from one text; its repr shows none of it.

    `errand` is an action that a skill would carry out. `question` is what a time would complete. A
    `wish`, `asks_what_is_known` or `effect` is a command about privacy or the device itself: what
    was said then is not stored at all, unless it is the ringing that shall stop.
    """

    intent: Intent | None = None
    actions: tuple[Action, ...] = ()
    answer: str = ""
    marks: tuple[Mark, ...] = ()
    errand: Action | None = None
    question: Understood | None = None
    wish: Wish | None = None
    asks_what_is_known: bool = False
    effect: str = ""
    reads: tuple[Entry, ...] = field(default=())
    """What was told of earlier actions."""

    @property
    def is_private(self) -> bool:
        """Whether the text itself must leave no trace."""
        return bool(self.wish or self.asks_what_is_known or self.effect)

    @property
    def parts(self) -> tuple[Part, ...]:
        """What is sealed with the transcript, in an order in which parents come first."""
        if self.intent is None or self.is_private:
            return ()
        actions = ((ACTION, it.encode()) for it in self.actions)
        answer = [(ANSWER, Answer(self.answer).encode())] if self.answer else []
        return ((INTENT, self.intent.encode()), *actions, *answer)


def time_said(at: datetime, context: Context, *, all_day: bool = False) -> str:
    """Says a moment as the answer to whoever spoke now."""
    return said(at.astimezone(context.now.tzinfo), context.now, all_day=all_day)


def listed(texts: Sequence[str]) -> str:
    """Joins texts as a sentence does: "a, b and c"."""
    *first, last = texts
    return f"{', '.join(first)} and {last}" if first else last
