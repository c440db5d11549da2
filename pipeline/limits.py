"""How long an interaction is kept, decided once, when it is captured; and what has fallen due.

Promises that limits are fixed at capture: settings changed later never lengthen them, and shorten
them only where the user asked for that. That audio never outlives its words. That things fall due
at full minutes, the first by which their limit is over: one erasure a minute is enough. Pure; the
time is reckoned time (`pipeline/reckoning.py`).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from keys.model import InteractionId
from pipeline.artefact import Meta
from pipeline.reckoning import LEAP_S, Reckoning, seconds_of, time_of
from pipeline.sensitive import is_sensitive
from pipeline.settings import MINUTE_S, Limit, Limits, Settings, shorter

FOREVER = Limits()


@dataclass(frozen=True, slots=True)
class Kept:
    """What is to become of an interaction: its limits, and whether it may be stored at all."""

    limits: Limits
    sensitive: bool
    stores: bool

    @property
    def has_audio(self) -> bool:
        """Whether its audio may be stored."""
        return self.stores and self.limits.audio_s != 0


@dataclass(frozen=True, slots=True, repr=False)
class Row:
    """One interaction as retention sees it; its repr shows nothing of it."""

    interaction: InteractionId
    profile: str
    processed_s: int
    limits: Limits
    reckoned_s: int | None = None
    has_audio: bool = True
    """Its audio still has a key."""


@dataclass(frozen=True, slots=True)
class Due:
    """What has fallen due: whole interactions, and those of which only the audio has."""

    whole: tuple[InteractionId, ...] = ()
    audio: tuple[InteractionId, ...] = ()
    next_s: Limit = field(default=None, compare=False)
    """When the next of the others falls due; None where none ever does."""
    records: tuple[InteractionId, ...] = ()
    """Left beside whole ones by a keeping that came to no end; others have no limit."""

    def __bool__(self) -> bool:
        return bool(self.whole or self.audio)


def snapshot(settings: Settings, profile: str, words: Sequence[str] | None) -> Kept:
    """Returns what holds for an interaction of this profile, in which these words were said.

    Where nobody knows the words, None, they are taken for sensitive.
    """
    policy = settings.policy_of(profile)
    sensitive = words is None or is_sensitive(words, settings.words)
    of_class = Limits(words_s=policy.sensitive_s if sensitive else None)
    limits = policy.limits.within(of_class)
    return Kept(limits, sensitive, policy.stores and limits.words_s != 0)


def fixed(meta: Meta, kept: Kept, reckoning: Reckoning) -> Meta:
    """Returns the meta with its limits, which count from now."""
    return replace(
        meta,
        processed_at=time_of(reckoning.stamp_s),
        reckoned_at=time_of(reckoning.now_s),
        audio_limit_s=kept.limits.audio_s,
        words_limit_s=kept.limits.words_s,
        sensitive=kept.sensitive,
    )


def row_of(interaction: InteractionId, meta: Meta, *, has_audio: bool) -> Row:
    """Returns an interaction as retention sees it; without a time of processing, by its start."""
    ended_s = seconds_of(meta.started_at) + meta.duration_ms // 1000
    processed_s = seconds_of(meta.processed_at) if meta.processed_at else ended_s
    reckoned_s = seconds_of(meta.reckoned_at) if meta.reckoned_at else None
    limits = Limits(meta.audio_limit_s, meta.words_limit_s)
    has_audio = has_audio and limits.audio_s != 0  # then there never was any
    return Row(interaction, meta.profile, processed_s, limits, reckoned_s, has_audio)


def due(rows: Iterable[Row], settings: Settings, now_s: int) -> Due:
    """Returns what has fallen due, and when the next of the others does."""
    rows = list(rows)
    silent_s = _silence(rows, settings, now_s)
    whole, audio, ahead = list[InteractionId](), list[InteractionId](), list[Limit]()
    for row in rows:
        audio_s, words_s = falls_due(row, settings, now_s)
        words_s = shorter(words_s, silent_s.get(row.profile))
        if words_s is not None and words_s <= now_s:
            whole.append(row.interaction)
            continue
        ahead.append(words_s)
        if row.has_audio and audio_s is not None:
            if audio_s <= now_s:
                audio.append(row.interaction)
            else:
                ahead.append(audio_s)
    return Due(tuple(whole), tuple(audio), shorter(*ahead))


def next_due(rows: Iterable[Row], settings: Settings, now_s: int) -> Limit:
    """Returns when the next of what is not due yet falls due; None where none ever does."""
    return due(rows, settings, now_s).next_s


def falls_due(row: Row, settings: Settings, now_s: int) -> tuple[Limit, Limit]:
    """Returns when its audio and its words fall due, in seconds since 1970; None for never."""
    if row.limits == FOREVER and not settings.shortened:
        return None, None
    since_s, limits = _since(row, now_s), row.limits.within(FOREVER)
    for it in settings.shortened:
        if it.profile in {None, row.profile} and since_s <= seconds_of(it.before):
            limits = limits.within(it.limits)
    return _after(since_s, limits.audio_s), _after(since_s, limits.words_s)


def _since(row: Row, now_s: int) -> int:
    """Returns from when its limits count: a time far ahead was that of a wrong clock."""
    is_ahead = row.processed_s > now_s + LEAP_S
    return row.reckoned_s if is_ahead and row.reckoned_s is not None else row.processed_s


def _after(since_s: int, limit: Limit) -> Limit:
    """Returns the full minute by which a limit is over, so that what goes in one goes together."""
    if not limit:
        return None if limit is None else since_s
    return -(-(since_s + limit) // MINUTE_S) * MINUTE_S


def _silence(rows: Iterable[Row], settings: Settings, now_s: int) -> dict[str, int]:
    """Returns when all of a child's falls due, unless something is heard of it before."""
    children = {it.name: it for it in settings.profiles if it.inactive_s is not None}
    until: dict[str, int] = {}
    for row in rows:
        if child := children.get(row.profile):
            began_s = seconds_of(child.child_since) if child.child_since else 0
            at_s = max(began_s, _since(row, now_s)) + (child.inactive_s or 0)
            until[row.profile] = max(until.get(row.profile, 0), at_s)
    return until
