"""What a skill is: a manifest, something that handles fields, something that erases what it kept.

This is all that whoever writes a skill needs. A skill is a class whose `manifest` says what it is
given and why, found under the entry point group `anechoic.skills` by the name of its manifest. It
runs in a process of its own, made for each use, and gets the fields that it declares and no more.
Pure values; a change here is a change of what plug-ins out there were written against.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

from keys.model import KIND
from pipeline.errors import Refused

GROUP = "anechoic.skills"
ERASED, REFUSED, CANNOT = "erased", "refused", "cannot"
ANSWERS = (ERASED, REFUSED, CANNOT)
"""The answers that end the wait for one, as the log has them."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field that a skill is given: its name, what for, and whether it leaves the machine."""

    name: str
    why: str
    leaves: bool = True
    required: bool = True

    def __post_init__(self) -> None:
        if not KIND.fullmatch(self.name):
            raise Refused("the name of a field is 1 to 16 of a-z, 0-9, '-'")


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a skill says of itself: its name, what for, its fields, and to where they go.

    `answers` names the fields that it may answer with; others are dropped.
    """

    name: str
    what_for: str
    fields: tuple[Field, ...]
    to: str
    answers: tuple[str, ...] = ("text",)

    def __post_init__(self) -> None:
        if not KIND.fullmatch(self.name) or not self.fields:
            raise Refused("a skill has a name, 1 to 16 of a-z, 0-9, '-', and needs a field or more")

    @property
    def leaves(self) -> bool:
        """Whether anything that it is given leaves the machine: if not, it has no network."""
        return any(it.leaves for it in self.fields)


@dataclass(frozen=True, slots=True)
class Request:
    """One use: a reference by which the skill can be asked to erase it later, and the fields.

    `settings` is what the user configured for this skill. Its repr shows none of it.
    """

    reference: str
    fields: Mapping[str, str] = field(repr=False)
    settings: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Result:
    """That a skill did what it was given the fields for, and what it answered."""

    answer: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Declined:
    """That a skill did nothing of it, and says so; it was given the fields all the same."""


@dataclass(frozen=True, slots=True)
class NotSent:
    """That nothing left the machine, as far as the skill can tell: there was nobody to give it."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """That it cannot be told whether it was done: no answer came, or one that says nothing."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What was answered to a request to erase: `how` is one of `ANSWERS`, or "" for no answer."""

    how: str = ""


Outcome = Result | Declined | NotSent | Unknown


class Skill(Protocol):
    """A skill. It is made anew for each use; what it prints goes nowhere."""

    manifest: ClassVar[Manifest]

    def handle(self, request: Request) -> Outcome:
        """Does what it is for; an exception means `Unknown`."""
        ...

    def erase(self, request: Request) -> Answer:
        """Erases what it keeps under the reference; no fields. An exception means no answer."""
        ...
