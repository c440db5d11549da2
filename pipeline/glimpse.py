"""What is heard at this moment, for a page to show: one place in memory, overwritten, no queue.

Promises that whoever looks sees the last thing that was shown and nothing before it; that showing
replaces all that was there, to the last byte; and that neither side ever waits for the other. The
place is a descriptor of memory without a name, in no file system: a process maps it when it shows
or looks for the first time, so a supervisor that hands it on never has its content. The way back
carries one wish, to mute or to listen. Only Linux has such memory; elsewhere there is no `place`.
"""

import json
import mmap
import os
import struct
import sys
from dataclasses import asdict, dataclass
from multiprocessing import reduction
from typing import Any
from zlib import crc32

SIZE = 8192
_HEAD = struct.Struct("<II")  # length and checksum of what follows: half a change is not looked at
_WISH_AT = SIZE - 1
_NO_WISH, _MUTE, _LISTEN = range(3)
_LONGEST = 1000  # letters: more is spoken in half a minute by nobody, and four bytes of each fit

OPENING, LISTENING, SPEECH, WAITING, MUTED, AWAY = (
    *("opening", "listening", "speech", "waiting"),
    *("muted", "away"),
)
"""The states of a microphone; `waiting` is for the wake word."""


@dataclass(frozen=True, slots=True, repr=False)
class Now:
    """A moment of listening; `words` are those of the utterance under way, and speech."""

    state: str = OPENING
    level: int = 0
    """How loud it is, 0 to 10."""
    words: str = ""
    is_ephemeral: bool = False
    number: int = 0
    """How many utterances have ended in this turn, one way or another."""
    sealed: str = ""
    """The interaction that the last of them became, as hexadecimal digits; often none."""
    note: str = ""
    """What became of the last one, in words without content."""


class Place:
    """Where one process shows and others look."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._map: mmap.mmap | None = None

    def __reduce__(self) -> Any:  # noqa: ANN401 - as pickle has it: to take it along into a process
        return _taken_along, (reduction.DupFd(self._descriptor),)

    def show(self, now: Now) -> None:
        """Shows a moment in the place of what was there."""
        words = now.words[-_LONGEST:]
        body = json.dumps({**asdict(now), "words": words}, ensure_ascii=False).encode()
        data = _HEAD.pack(len(body), crc32(body)) + body
        self._mapped[:_WISH_AT] = data.ljust(_WISH_AT, b"\0")

    def clear(self) -> None:
        """Leaves nothing there: nobody listens."""
        self._mapped[:_WISH_AT] = bytes(_WISH_AT)

    def look(self) -> Now | None:
        """Returns what is shown; None where nothing is, or where it is being changed."""
        length, checksum = _HEAD.unpack(self._mapped[: _HEAD.size])
        body = self._mapped[_HEAD.size : min(_HEAD.size + length, _WISH_AT)]
        return Now(**json.loads(body)) if length and crc32(body) == checksum else None

    def wish(self, *, is_muted: bool) -> None:
        """Asks whoever listens to mute, or to listen again."""
        self._mapped[_WISH_AT] = _MUTE if is_muted else _LISTEN

    def take_wish(self) -> bool | None:
        """Returns, once, whether it shall be muted; None where nobody has asked for anything."""
        wish = self._mapped[_WISH_AT]
        if wish == _NO_WISH:
            return None
        self._mapped[_WISH_AT] = _NO_WISH
        return wish == _MUTE

    @property
    def _mapped(self) -> mmap.mmap:
        if self._map is None:
            self._map = mmap.mmap(self._descriptor, SIZE)
        return self._map


def place() -> Place | None:
    """Returns a new place, to be made before the processes that share it; None where none can be.

    Its pages are as safe from swap as the memory of the workers that map it.
    """
    if sys.platform != "linux":
        return None
    descriptor = os.memfd_create("glimpse")
    os.ftruncate(descriptor, SIZE)
    return Place(descriptor)


def _taken_along(descriptor: Any) -> Place:  # noqa: ANN401 - it has no public type
    return Place(descriptor.detach())
