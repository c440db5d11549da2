"""The values of the search index: an interaction as listed, as indexed, and which are meant.

Values only. They need nothing that takes a moment to load, so that commands which only may have to
look into the index start without it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from keys.model import ArtefactId, InteractionId, Slot

NEVER = 2**32 - 1
"""A limit that is none."""
UNKNOWN = -1
"""A time that meta does not have."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_US = timedelta(microseconds=1)

Place = tuple[InteractionId, Slot]
"""An interaction with the slot of its words, or the owner of a segment with its slot."""


@dataclass(frozen=True, slots=True, repr=False)
class Row:
    """What is known of an interaction beside its words; its repr shows nothing of it."""

    interaction: InteractionId
    slot: Slot
    """That of its words."""
    audio_slot: Slot
    started_us: int
    duration_ms: int
    profile: str
    processed_s: int | None
    reckoned_s: int | None
    audio_limit_s: int | None
    words_limit_s: int | None
    is_sensitive: bool
    transcript: ArtefactId | None

    @property
    def started_at(self) -> datetime:
        """When it was heard."""
        return time_of(self.started_us)


@dataclass(frozen=True, slots=True)
class Which:
    """Which rows are meant: heard from `since_us` on, before `until_us`, by a profile.

    With `below` only those whose words have a slot before it: what comes after a page of a list.
    """

    since_us: int | None = None
    until_us: int | None = None
    profile: str | None = None
    below: int | None = None

    def takes(self, row: Row) -> bool:
        """Tells whether a row is meant."""
        since, until = self.since_us, self.until_us
        is_in = (since is None or row.started_us >= since) and (
            until is None or row.started_us < until
        )
        return is_in and self.profile in {None, row.profile} and self.reaches(row.slot)

    def reaches(self, slot: int) -> bool:
        """Tells whether something of this slot, or from it on downwards, can be meant."""
        return self.below is None or slot < self.below


ALL = Which()


@dataclass(frozen=True, slots=True, repr=False)
class Census:
    """How many interactions there are, and of which profiles, in order."""

    interactions: int
    profiles: tuple[str, ...]


@dataclass(frozen=True, slots=True, repr=False)
class Said:
    """An interaction to be indexed: what is known of it, and its terms in order."""

    slot: Slot
    audio_slot: Slot
    started_us: int
    processed_s: int
    reckoned_s: int
    audio_limit_s: int
    words_limit_s: int
    duration_ms: int
    profile: str
    is_sensitive: bool
    interaction: InteractionId
    transcript: ArtefactId
    terms: Sequence[str]


def us_of(time: datetime) -> int:
    """Returns a time in microseconds since 1970."""
    return (time - _EPOCH) // _US


def time_of(us: int) -> datetime:
    """Returns the time so many microseconds after the beginning of 1970, in UTC."""
    return _EPOCH + us * _US
