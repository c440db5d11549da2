"""Telling a page what is heard, moment by moment, and doing what it asks of the microphone.

Promises that the words of an utterance are shown while it is spoken and gone with its end, however
that comes: sealed, forgotten, given up, a worker relieved, a device that is taken away. Nothing is
shown twice, and nothing that was not heard by this listener. Change here what a moment consists of.
"""

import threading
import time
from dataclasses import replace
from typing import Self

from pipeline import heard
from pipeline.capture import Back, Gone
from pipeline.devices import level_db
from pipeline.glimpse import AWAY, LISTENING, MUTED, OPENING, SPEECH, WAITING, Now, Place

SEALED, NOT_KEPT = "sealed", "not kept"
"""What becomes of an utterance with words, unless it is dropped: then the reason is told."""
_FLOOR_DB, _STEPS = -60.0, 10
_REDRAW_S, _LOOK_S = 0.1, 0.1


class Teller:
    """Shows in a place what happens for one turn at the microphone; in none it does nothing."""

    def __init__(
        self, place: Place | None, muted: threading.Event, *, is_ephemeral: bool = False
    ) -> None:
        self._place, self._muted = place, muted
        self._now, self._is_asleep, self._shown_s = Now(is_ephemeral=is_ephemeral), False, 0.0
        self._closed = threading.Event()
        self._obeying = threading.Thread(target=self._obey, daemon=True)

    def __enter__(self) -> Self:
        if self._place:
            self._place.show(self._now)
            self._obeying.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        if self._place:
            self._obeying.join()
            self._place.show(Now(MUTED if self._muted.is_set() else OPENING))

    def take(self, event: heard.Heard) -> None:
        """Takes what has just happened."""
        if self._place is None:
            return
        before, self._now = self._now, self._after(event)
        is_due = time.monotonic() - self._shown_s >= _REDRAW_S
        if self._now != before and (is_due or not isinstance(event, heard.Sound)):
            self._shown_s = time.monotonic()
            self._place.show(self._now)

    def _after(self, event: heard.Heard) -> Now:
        """Returns the moment after an event; what is no news leaves it as it is."""
        now = self._now
        if isinstance(event, heard.Said | heard.Dropped):
            return self._ended(event)
        if isinstance(event, heard.Woken | heard.Asleep):
            self._is_asleep = isinstance(event, heard.Asleep)
            return replace(now, words="", state=self._state(speaking=False))
        if isinstance(event, heard.Partial):
            return replace(now, words=event.text)
        if isinstance(event, Gone):
            return replace(now, state=MUTED if self._muted.is_set() else AWAY, level=0, words="")
        if isinstance(event, heard.Sound | Back):
            is_speech = isinstance(event, heard.Sound) and event.speaking
            level = _level(event) if isinstance(event, heard.Sound) else 0
            now = replace(now, state=self._state(speaking=is_speech), level=level)
        return now

    def _ended(self, event: heard.Said | heard.Dropped) -> Now:
        said = event.interaction if isinstance(event, heard.Said) else None
        sealed = said.hex() if said else ""
        note = event.why if isinstance(event, heard.Dropped) else SEALED if sealed else NOT_KEPT
        number = self._now.number + 1
        return replace(self._now, words="", number=number, sealed=sealed, note=note)

    def _state(self, *, speaking: bool) -> str:
        return SPEECH if speaking else WAITING if self._is_asleep else LISTENING

    def _obey(self) -> None:
        """Mutes, or listens again, as the place asks; also while the device is closed."""
        assert self._place is not None, "it was started"  # noqa: S101 - see __enter__
        while not self._closed.wait(_LOOK_S):
            wish = self._place.take_wish()
            if wish is not None:
                (self._muted.set if wish else self._muted.clear)()


def _level(event: heard.Sound) -> int:
    above = (level_db(event.pcm) - _FLOOR_DB) / -_FLOOR_DB
    return min(_STEPS, max(0, round(above * _STEPS)))
