"""The values that travel through the pipeline once something was heard: words, and what holds them.

Values only: no effects, no reading, no clock. Everything here carries speech, so no `repr` shows
any of it: tracebacks, logs and debuggers print a `repr`. Add a field freely; never let it print.
"""

import string
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # commands that show words need no samples, and start sooner without
    import numpy as np
    from numpy.typing import NDArray

RATE_HZ = 16_000
"""Samples per second of every block, utterance and recogniser in this package (mono, int16)."""

_DASHES_AND_QUOTES = "\u2013\u2014\u2018\u2019\u201c\u201d\u201e«»"
_AROUND = string.punctuation + _DASHES_AND_QUOTES + "¿¡…"


@dataclass(frozen=True, slots=True, repr=False)
class Word:
    """One recognised word; times count from the first sample of its own utterance.

    It is as the recogniser writes it, with casing and punctuation where it has them: compare by
    `plain`. The confidence is between 0 and 1; None where the recogniser gives none, and then the
    times are an estimate.
    """

    word: str
    start_ms: int
    end_ms: int
    confidence: float | None

    def __repr__(self) -> str:
        return f"Word(<redacted>, start_ms={self.start_ms}, end_ms={self.end_ms})"


def plain(word: str) -> str:
    """Return a word as it is compared: without the case, and without punctuation around it."""
    return word.strip(_AROUND).lower()


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Utterance:
    """A stretch of sound that holds speech: int16 mono samples at `RATE_HZ`.

    `start_ms` counts from the first sample of the source.
    """

    start_ms: int
    pcm: "NDArray[np.int16]"

    @property
    def duration_ms(self) -> int:
        """The length of the sound, rounded down to a millisecond."""
        return len(self.pcm) * 1000 // RATE_HZ

    def __repr__(self) -> str:
        return f"Utterance(<redacted>, start_ms={self.start_ms}, duration_ms={self.duration_ms})"


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Heard:
    """One utterance with the words recognised in it."""

    start_ms: int
    pcm: "NDArray[np.int16]"
    words: tuple[Word, ...]

    @property
    def text(self) -> str:
        """The words in order, one space between them."""
        return " ".join(word.word for word in self.words)

    @property
    def duration_ms(self) -> int:
        """The length of the sound, rounded down to a millisecond."""
        return len(self.pcm) * 1000 // RATE_HZ

    def __repr__(self) -> str:
        return f"Heard(<redacted>, start_ms={self.start_ms}, duration_ms={self.duration_ms})"
