"""What follows from a text: what is sealed with it, what is said, and what is to be done.

Values that `derive` returns and `respond` carries out; what an intent's function needs to know
comes in a `Context`. Nothing here has an effect.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

from keys.model import InteractionId
from pipeline.artefact import ACTION, ANSWER, INTENT
from pipeline.assistant.entries import Entry
from pipeline.assistant.past import Span
from pipeline.assistant.resolve import said
from pipeline.assistant.understand import Understood
from pipeline.assistant.values import Action, Answer, Intent

Part = tuple[str, bytes]
LAST, ABOUT, SPAN, EVERYTHING = "last", "about", "span", "everything"
MUTE, KEEP, SILENCE = "mute", "keep", "silence"


@dataclass(frozen=True, slots=True)
class Context:
    """What there is to know beside the words: the time in the user's zone, and what is open.

    `entries` and `skills` (those that the user has enabled) are asked only by what needs them, so
    that most sentences read nothing. Without `stores` nothing is sealed, so nothing can ring later.
    """

    now: datetime
    entries: Callable[[], Sequence[Entry]] = tuple
    skills: Callable[[], Collection[str]] = tuple
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
    `wish`, `reply`, `asks_what_is_known` or `effect` is a command about privacy or the device
    itself: what was said then is not stored at all.
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
    silences: bool = False
    """What rings shall be silent, beside all else."""
    reply: Understood | None = None
    """A yes or no to what was asked before."""
    completes: bool = False
    """It is the time that was asked for: all of it belongs to the interaction that asked."""
    reads: tuple[Entry, ...] = field(default=())
    """What the answer tells of: words of other interactions, which this one must not keep."""

    @property
    def is_private(self) -> bool:
        """Whether the text itself must leave no trace."""
        is_command = self.wish or self.asks_what_is_known or self.effect
        return bool(is_command or self.reply or self.completes)

    @property
    def parts(self) -> tuple[Part, ...]:
        """What is sealed with the transcript, in an order in which parents come first."""
        return () if self.is_private else self.content

    @property
    def content(self) -> tuple[Part, ...]:
        """What is sealed of it, with this interaction or the one that asked.

        An answer that tells of what others said is not: it would outlive them.
        """
        if self.intent is None:
            return ()
        actions = ((ACTION, it.encode()) for it in self.actions)
        told = len(self.reads)
        answer = f"(read out {told} of what was open)" if self.reads else self.answer
        answers = [(ANSWER, Answer(answer).encode())] if answer else []
        return ((INTENT, self.intent.encode()), *actions, *answers)


@dataclass(frozen=True, slots=True, repr=False)
class Reply:
    """What is said back, what the device shall do (`MUTE` …), and a receipt if one came."""

    text: str = ""
    effect: str = ""
    receipt: Path | None = None


class Hearer(Protocol):
    """What is told of each text, before and after it is sealed; see `respond.Assistant`."""

    def hear(self, text: str) -> Derived:
        """Return what follows from a text; the parts are sealed with it, unless it is private."""
        ...

    def done(self, derived: Derived, interaction: InteractionId | None) -> Reply:
        """Carry out what follows, once it is sealed, and reply; never while the vault is held."""
        ...


def time_said(at: datetime, context: Context, *, all_day: bool = False) -> str:
    """Says a moment as the answer to whoever spoke now."""
    return said(at.astimezone(context.now.tzinfo), context.now, all_day=all_day)


def listed(texts: Sequence[str]) -> str:
    """Joins texts as a sentence does: "a, b and c"."""
    *first, last = texts
    return f"{', '.join(first)} and {last}" if first else last
