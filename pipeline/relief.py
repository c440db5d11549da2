"""Taking over from another process that listens: from where it ended, and nothing twice.

Promises that the sound between two listeners is heard by one of them, by the clock that all
processes share; that a microphone which was muted is not opened by taking over; and that one which
only one process can have open is opened as soon as the other has let go of it. While it waits it
holds the last seconds of sound in memory. Change here what one listener tells the next.
"""

import json
import math
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Protocol

from pipeline.capture import Block, Event, Gone, Source
from pipeline.errors import NoAudioDevice
from pipeline.model import RATE_HZ
from pipeline.turn import Turn

_HELD_S = 10.0  # twice what may be left of an utterance that was too long and has been cut


@dataclass(frozen=True, slots=True)
class Baton:
    """What one listener leaves for the next: where it ended, and in which state; no content."""

    until_s: float = 0.0
    """On the monotonic clock: what came before is its own, what comes after is the next one's."""
    is_muted: bool = False
    is_deaf: bool = False
    """Somebody is saying what was forgotten already: nothing is heard until they are silent."""
    is_awake: bool = False
    """The wake word was said, or the utterance after it is not over."""

    def encode(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    @classmethod
    def decode(cls, data: bytes) -> "Baton":
        """Returns what was left; where nothing was, the state of a beginning."""
        return cls(**json.loads(data)) if data else cls()


class Waiting(Source, Protocol):
    """A source that can be waited for, where it is not there at first."""

    def events(self, *, waits: bool = False) -> Iterator[Event]: ...


class Relief:
    """A source that begins where another process ended; of the first turn, the source itself."""

    def __init__(self, source: Waiting, turn: Turn, mute: Callable[[], None]) -> None:
        self._source, self._turn, self._mute = source, turn, mute
        self._events: Iterator[Event] | None = None
        self._held: deque[Event] = deque()
        self._held_samples = 0

    @property
    def name(self) -> str:
        return self._source.name

    def take_over(self) -> Baton:
        """Opens the source, waits for the turn to begin, and returns what the last one left."""
        if Baton.decode(self._turn.left).is_muted:
            self._mute()
        if not self._turn.is_first:
            self._open()
            self._turn.ready()
            self._wait()
        baton = Baton.decode(self._turn.left)
        if baton.is_muted:
            self._mute()
        # Of one that left no word, or was muted, nothing is known to be unheard, or meant to be.
        self._drop_until(baton.until_s if baton.until_s and not baton.is_muted else math.inf)
        return baton

    def events(self) -> Iterator[Event]:
        """Yields what was held back, then what comes."""
        while self._held:
            yield self._held.popleft()
        if self._events is None:
            self._events = self._source.events(waits=not self._turn.is_first)
        yield from self._events

    def _open(self) -> None:
        """Has the first sound come; a device that only one can have is opened when it is free."""
        self._events = self._source.events()
        try:
            self._hold(next(self._events, None))
        except NoAudioDevice:
            self._events = None

    def _wait(self) -> None:
        while not self._turn.began.is_set() and not self._turn.stop.is_set():
            is_away = self._events is None or (self._held and isinstance(self._held[-1], Gone))
            if is_away or self._events is None:  # what it does now, it does when its turn begins
                self._turn.began.wait(0.05)
            else:
                self._hold(next(self._events, None))

    def _hold(self, event: Event | None) -> None:
        if event is None:  # it was told to stop
            return
        self._held.append(event)
        self._held_samples += len(event.pcm) if isinstance(event, Block) else 0
        while self._held_samples > _HELD_S * RATE_HZ:
            self._drop()

    def _drop_until(self, at_s: float) -> None:
        while self._held and isinstance(it := self._held[0], Block) and it.at_s <= at_s:
            self._drop()

    def _drop(self) -> None:
        event = self._held.popleft()
        if isinstance(event, Block):
            self._held_samples -= len(event.pcm)
            event.pcm[:] = 0
