"""What the index knows of an interaction beside its words: the row, from a segment or its meta.

Promises that a row is the same from either. Reads sealed files through the vault; what cannot be
read is added to `vault.unreadable`, and told of by whoever lists. Writes and logs nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keys.errors import Erased, Malformed, Tampered
from keys.model import ArtefactId, InteractionId, Slot
from pipeline.artefact import AUDIO, META, TRANSCRIPT, Meta, Transcript
from pipeline.errors import NotFound
from pipeline.indexformat import NEVER, UNKNOWN, Members
from pipeline.indexmerge import Said
from pipeline.query import terms
from pipeline.vault import Vault

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_US = timedelta(microseconds=1)
_UNREADABLE = (NotFound, Tampered, Malformed)


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
        return _EPOCH + self.started_us * _US


@dataclass(frozen=True, slots=True)
class Which:
    """Which rows are meant: heard from `since_us` on, before `until_us`, by a profile."""

    since_us: int | None = None
    until_us: int | None = None
    profile: str | None = None

    def takes(self, row: Row) -> bool:
        """Tells whether a row is meant."""
        since, until = self.since_us, self.until_us
        is_in = (since is None or row.started_us >= since) and (
            until is None or row.started_us < until
        )
        return is_in and self.profile in {None, row.profile}

    def chosen(self, members: Members, profiles: Sequence[str]) -> NDArray[np.bool_]:
        """Tells of each member whether it is meant."""
        mask = np.ones(len(members), bool)
        if self.since_us is not None:
            mask &= members["started_us"] >= self.since_us
        if self.until_us is not None:
            mask &= members["started_us"] < self.until_us
        if self.profile is not None:
            number = profiles.index(self.profile) if self.profile in profiles else len(profiles)
            mask &= members["profile"] == number
        return mask


ALL = Which()


def rows_of(members: Members, profiles: Sequence[str]) -> list[Row]:
    """Returns members of a segment as rows."""
    return [_row(fields, profiles) for fields in members.tolist()]


def _row(fields: tuple[Any, ...], profiles: Sequence[str]) -> Row:
    slot, audio, started, processed, reckoned, for_audio, for_words, length, profile, *end = fields
    flags, interaction, transcript = end
    return Row(
        InteractionId(interaction),
        Slot(slot),
        Slot(audio),
        started,
        length,
        profiles[profile],
        None if processed == UNKNOWN else processed,
        None if reckoned == UNKNOWN else reckoned,
        None if for_audio == NEVER else for_audio,
        None if for_words == NEVER else for_words,
        bool(flags),
        ArtefactId(transcript),
    )


def row_of(vault: Vault, interaction: InteractionId) -> Row | None:
    """Reads what is known of an interaction; None while it is spoken, erased, or unreadable."""
    if vault.is_under_way(interaction):
        return None
    try:
        meta = Meta.decode(vault.read(interaction, META))
        labels = {it.kind: it.header.label for it in vault.artefacts(interaction)}
        words = labels[META].slot
        heard = labels.get(TRANSCRIPT)
        return Row(
            interaction,
            words,
            labels[AUDIO].slot if AUDIO in labels else Slot(words - 1),
            us_of(datetime.fromisoformat(meta.started_at)),
            meta.duration_ms,
            meta.profile,
            _seconds(meta.processed_at),
            _seconds(meta.reckoned_at),
            meta.audio_limit_s,
            meta.words_limit_s,
            meta.sensitive,
            heard.artefact if heard else None,
        )
    except Erased:
        return None
    except (*_UNREADABLE, ValueError, TypeError, OverflowError):
        vault.unreadable.add(interaction)
        return None


def words_of(vault: Vault, interaction: InteractionId) -> tuple[str, ...] | None:
    """Reads the words of an interaction; None where there are none to be read."""
    if vault.is_under_way(interaction):
        return None
    try:
        heard = Transcript.decode(vault.read(interaction, TRANSCRIPT))
    except Erased:
        return None
    except NotFound:  # one that was cut off, and is not recognised yet
        if row_of(vault, interaction) is None:
            vault.unreadable.add(interaction)
        return None
    except _UNREADABLE:
        vault.unreadable.add(interaction)
        return None
    return tuple(word.word for word in heard.words)


def said_by(vault: Vault, interaction: InteractionId) -> Said | None:
    """Reads an interaction to index it; None where it has no words, or cannot be read."""
    row = row_of(vault, interaction)
    words = words_of(vault, interaction) if row and row.transcript else None
    if row is None or row.transcript is None or words is None:
        return None
    return Said(
        row.slot,
        row.audio_slot,
        row.started_us,
        UNKNOWN if row.processed_s is None else row.processed_s,
        UNKNOWN if row.reckoned_s is None else row.reckoned_s,
        _limit(row.audio_limit_s),
        _limit(row.words_limit_s),
        row.duration_ms,
        row.profile,
        row.is_sensitive,
        interaction,
        row.transcript,
        [term for word in words for term in terms(word)],
    )


def us_of(time: datetime) -> int:
    """Returns a time in microseconds since 1970."""
    return (time - _EPOCH) // _US


def _seconds(time: str) -> int | None:
    return us_of(datetime.fromisoformat(time)) // 10**6 if time else None


def _limit(seconds: int | None) -> int:
    return NEVER if seconds is None else min(seconds, NEVER)
