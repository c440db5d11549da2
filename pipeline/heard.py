"""What happens while somebody listens, as values: sound, words so far, what was said and answered.

A door shows them and `listen` yields them. They carry speech, so no `repr` shows any of it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from keys.model import InteractionId
from pipeline.assistant.derived import Reply
from pipeline.capture import Back, Gone
from pipeline.relief import Baton


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Sound:
    """The block that was just heard, for a level meter, and whether somebody speaks."""

    pcm: NDArray[np.int16]
    speaking: bool
    lost_ms: int


@dataclass(frozen=True, slots=True, repr=False)
class Partial:
    """The words of the utterance under way so far."""

    text: str


@dataclass(frozen=True, slots=True, repr=False)
class Said:
    """An utterance that has become an interaction, or with no id, one that is in memory alone."""

    interaction: InteractionId | None
    source: str
    seconds: float
    text: str
    truncated: bool


@dataclass(frozen=True, slots=True, repr=False)
class Replied:
    """What the assistant says to an utterance, and what is to be done; often nothing."""

    reply: Reply


@dataclass(frozen=True, slots=True)
class Dropped:
    """An utterance that left nothing, and why."""

    why: str


@dataclass(frozen=True, slots=True)
class Woken:
    """The wake word was said: what follows is heard, and only that."""


@dataclass(frozen=True, slots=True)
class Asleep:
    """Nothing is heard until the wake word is said (again)."""


@dataclass(frozen=True, slots=True)
class Left:
    """The last event of a turn that was over: what the next listener has to know."""

    baton: Baton


Heard = Sound | Partial | Said | Replied | Dropped | Woken | Asleep | Left | Gone | Back
