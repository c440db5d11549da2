"""What is to be known of an interaction that no segment has: read from its own sealed files.

Promises that a row is the same as from a segment. What cannot be read is added to
`vault.unreadable`, and told of by whoever lists. Writes and logs nothing.
"""

from datetime import datetime

from keys.errors import Erased, Malformed, Tampered
from keys.model import InteractionId, Slot
from pipeline.artefact import AUDIO, META, TRANSCRIPT, Meta, Transcript
from pipeline.errors import NotFound
from pipeline.indexvalues import NEVER, UNKNOWN, Row, Said, us_of
from pipeline.query import terms
from pipeline.vault import Vault

_UNREADABLE = (NotFound, Tampered, Malformed)


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


def _seconds(time: str) -> int | None:
    return us_of(datetime.fromisoformat(time)) // 10**6 if time else None


def _limit(seconds: int | None) -> int:
    return NEVER if seconds is None else min(seconds, NEVER)
