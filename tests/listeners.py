"""Listeners that take turns at a microphone which ticks by the clock that all processes share.

Each chunk of it is a number, so that it can be told which of them somebody has heard.
"""

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from keys.errors import Erased
from keys.model import InteractionId
from pipeline.artefact import AUDIO, Meta, decode_audio
from pipeline.capture import Block, Event
from pipeline.heard import Left
from pipeline.listen import LIVE, Request, listen
from pipeline.model import RATE_HZ, Word
from pipeline.relief import Relief
from pipeline.segment import CHUNK_SAMPLES, Endpointing
from pipeline.turn import RELIEVED, Turn
from pipeline.write import Part
from tests.turns import say

CHUNK_S = CHUNK_SAMPLES / RATE_HZ
LATE_S = 0.3
SHORT = Endpointing(hang_over_ms=416, maximum_ms=2560, cut_window_ms=640)


@dataclass
class Ticking:
    """A microphone: chunk `n` comes `n` times 32 ms after the beginning, if it is open then."""

    script: Sequence[bool]
    began_s: float
    name: str = "a clock"

    def events(self, *, waits: bool = False) -> Iterator[Event]:  # noqa: ARG002 - as it is called
        first = max(0, int((time.monotonic() - self.began_s) / CHUNK_S))
        for number in range(first, len(self.script)):
            at_s = self.began_s + (number + 1) * CHUNK_S
            time.sleep(max(0.0, at_s - time.monotonic()))
            value = (number + 1) * (1 if self.script[number] else -1)
            yield Block(np.full(CHUNK_SAMPLES, value, np.int16), at_s=at_s)


class Ear:
    """Recognises a word in whatever it takes."""

    def take(self, pcm: NDArray[np.int16]) -> None:
        pass

    def so_far(self) -> str:
        return ""

    def finish(self) -> tuple[Word, ...]:
        return (Word("tick", 0, 1, 1.0),)

    def abandon(self) -> None:
        pass


class Teller:
    """Keeps nothing, but tells the numbers of the chunks; what is forgotten is named by a file."""

    def __init__(self, forgotten: Path) -> None:
        self._forgotten = forgotten

    def begin(self, _: Meta) -> None:
        say("speaks", os.getpid())

    def add(self, _: NDArray[np.int16]) -> None:
        if self._forgotten.exists():
            self._forgotten.unlink()
            raise Erased("it was forgotten")

    def finish(self, parts: Sequence[Part]) -> InteractionId | None:
        pcm = decode_audio(dict(parts)[AUDIO])
        say("heard", os.getpid(), [int(it) for it in pcm[::CHUNK_SAMPLES] if it > 0])
        return None

    def cancel(self) -> None:
        say("cancelled", os.getpid())

    def rest(self) -> None:
        pass

    def close(self) -> None:
        pass


def listens(script: Sequence[bool], vault: Path, turn: Turn, ends: Endpointing = LIVE) -> int:
    at = vault / "began"
    if turn.is_first:
        at.write_text(str(time.monotonic()))
    source = Relief(Ticking(script, float(at.read_text())), turn, lambda: None)
    baton, left, forgotten = source.take_over(), None, vault / "forgotten"
    request = Request("d", "an ear", endpointing=ends)
    for event in listen(
        *(source, Teller(forgotten), Ear(), lambda it: float(it[0] > 0), request),
        is_over=turn.over.is_set,
        baton=baton,
    ):
        left = event.baton if isinstance(event, Left) else None
    if left is None:
        return 0
    time.sleep(LATE_S)  # what is spoken meanwhile is for the next one to hold
    turn.leave(left.encode())
    return RELIEVED


def ticks(*seconds: float) -> list[bool]:
    """Returns a script: so long speech, so long silence, and so on."""
    return [n % 2 == 0 for n, it in enumerate(seconds) for _ in range(round(it / CHUNK_S))]


SENTENCES = [False] * 10 + ticks(*(0.5, 0.45) * 5, 0.0, 0.5)
ONE_SPEECH = [False] * 10 + ticks(4.5, 0.6)
THREE = [False] * 10 + ticks(0.4, 0.45, 5.0, 0.5, 0.4, 0.6)


def sentences(vault: Path, turn: Turn) -> int:
    return listens(SENTENCES, vault, turn)


def one_speech(vault: Path, turn: Turn) -> int:
    return listens(ONE_SPEECH, vault, turn, SHORT)


def three(vault: Path, turn: Turn) -> int:
    return listens(THREE, vault, turn)


def sentences_not_held(vault: Path, turn: Turn) -> int:
    """The control: what comes while it waits for its turn is not kept for it."""
    Relief._hold = lambda *_: None  # type: ignore[method-assign]
    return sentences(vault, turn)
