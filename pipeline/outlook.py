"""Which of very many interactions may have fallen due, by columns: the others need no second look.

Promises to pass over nothing that `limits.due` would name, or wake up for: whatever may be due now,
or hangs on what others of its profile say, is asked for; of all else it knows when the next falls
due. Pure, and loaded only where something is due: the rules are in `pipeline/limits.py`, and a test
holds both against each other.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.indexformat import Members
from pipeline.indexvalues import NEVER, UNKNOWN
from pipeline.reckoning import LEAP_S, seconds_of
from pipeline.settings import MINUTE_S, Limit, Settings, Shortened

_NEVER_S = 2**62
Seconds = NDArray[np.int64]


class Outlook:
    """Looks at the members of segments, one segment after the other.

    `liveness` tells of each slot of the ring whether it holds a key.
    """

    def __init__(self, settings: Settings, now_s: int, liveness: bytes | bytearray) -> None:
        self._settings, self._now_s = settings, now_s
        self._is_live = np.frombuffer(liveness, np.bool_)
        self._silent = {it.name for it in settings.profiles if it.inactive_s is not None}
        self._next_s = _NEVER_S

    @property
    def next_s(self) -> Limit:
        """When the next falls due of those that were not asked for; None where none ever does."""
        return None if self._next_s == _NEVER_S else self._next_s

    def undecided(self, members: Members, profiles: Sequence[str]) -> NDArray[np.bool_]:
        """Tells which members have to be looked at one by one."""
        audio_s, words_s = self._falls_due(members, profiles)
        audio_s = np.where(self._has_audio(members), audio_s, _NEVER_S)
        meant = (np.minimum(audio_s, words_s) <= self._now_s) | self._is_silent(members, profiles)
        ahead = np.minimum(audio_s, words_s)[~meant]
        self._next_s = min(self._next_s, int(ahead.min(initial=_NEVER_S)))
        return meant

    def _falls_due(self, members: Members, profiles: Sequence[str]) -> tuple[Seconds, Seconds]:
        since_s = self._since(members)
        audio_s, words_s = _limit(members["audio_limit_s"]), _limit(members["words_limit_s"])
        for it in self._settings.shortened:
            hit = _meant(it, members, profiles) & (since_s <= seconds_of(it.before))
            audio_s[hit] = np.minimum(audio_s[hit], _or_never(it.limits.audio_s))
            words_s[hit] = np.minimum(words_s[hit], _or_never(it.limits.words_s))
        audio_s = np.minimum(audio_s, words_s)  # it goes with its words at the latest
        return _after(since_s, audio_s), _after(since_s, words_s)

    def _since(self, members: Members) -> Seconds:
        processed_s, reckoned_s = members["processed_s"], members["reckoned_s"]
        ended_s = (members["started_us"] // 1000 + members["duration_ms"]) // 1000
        since_s = np.where(processed_s == UNKNOWN, ended_s, processed_s)
        is_ahead = (since_s > self._now_s + LEAP_S) & (reckoned_s != UNKNOWN)
        return np.where(is_ahead, reckoned_s, since_s)

    def _has_audio(self, members: Members) -> NDArray[np.bool_]:
        slots = members["audio_slot"]
        is_of_ring = slots < len(self._is_live)
        has_audio = np.zeros(len(slots), np.bool_)
        has_audio[is_of_ring] = self._is_live[slots[is_of_ring]]
        has_audio &= members["audio_limit_s"] != 0  # then there never was any
        return has_audio

    def _is_silent(self, members: Members, profiles: Sequence[str]) -> NDArray[np.bool_]:
        """Tells which are of a child of whom all goes when nothing is heard of it for long."""
        numbers = [n for n, name in enumerate(profiles) if name in self._silent]
        silent: NDArray[np.bool_] = np.isin(members["profile"], numbers)
        return silent


def _limit(seconds: NDArray[np.uint32]) -> Seconds:
    return np.where(seconds == NEVER, _NEVER_S, seconds.astype(np.int64))


def _or_never(limit: Limit) -> int:
    return _NEVER_S if limit is None else limit


def _meant(it: Shortened, members: Members, profiles: Sequence[str]) -> NDArray[np.bool_]:
    if it.profile is None:
        return np.ones(len(members), np.bool_)
    number = profiles.index(it.profile) if it.profile in profiles else len(profiles)
    return np.asarray(members["profile"] == number)


def _after(since_s: Seconds, limit_s: Seconds) -> Seconds:
    """Returns the full minute by which a limit is over, or at once, or never."""
    over_s = np.minimum(limit_s, 2**40) + since_s
    minute_s = -(-over_s // MINUTE_S) * MINUTE_S
    return np.where(limit_s == _NEVER_S, _NEVER_S, np.where(limit_s == 0, since_s, minute_s))
