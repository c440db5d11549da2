"""One Wyoming client, from its first byte to its last, and the sound that comes from it.

Promises that a client holds no more than its share of memory and time whatever it sends: frames
have a size and must come within a time, a stream may not fall behind the clock, and nothing is read
before somebody is ready to hear it. No word is the result of a future or the argument of a
callback: asyncio's debug log shows those, so speech goes in types whose repr shows none.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from keys.errors import KeysError
from pipeline.capture import Block, Event, Gone
from pipeline.errors import PipelineError, defect
from pipeline.segment import CHUNK_SAMPLES
from pipeline.wyoming_about import About
from pipeline.wyoming_frames import LINE_MAX, BadFrame, Frame, Json, frame_bytes, read_frame
from pipeline.wyoming_hearing import Desk, Text
from pipeline.wyoming_sound import Format, Sound

_LINGER_S = 1.0
_LONGEST_PING = 1000
_SHORTEST_S = 0.001
"""A chunk counts as so much waiting at least: of those that are shorter nobody gets far."""
_SOUNDLESS_S = 0.1
"""One without sound counts as so much waiting."""
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Limits:
    """What one client, and all of them, may take; times in seconds."""

    connections: int = 64
    waiting: int = 16
    """How many clients may wait until somebody hears them."""
    waiting_s: float = 10.0
    idle_s: float = 30.0
    """So long may the next frame take, and so far may a stream fall behind the clock."""
    sound_s: float = 600.0
    """So much sound may come over one connection."""
    ending_s: float = 30.0
    """So long may what is under way take once no more is accepted."""
    ending_idle_s: float = 3.0
    """So far may a stream fall further behind the clock from then on."""


class Host(Protocol):
    """What a connection asks of the service that it belongs to."""

    about: About
    limits: Limits

    def desk(self) -> AbstractAsyncContextManager[Desk]:
        """Wait for a place to be heard at; raise `BadFrame` where there is none."""
        ...

    async def in_thread(self, act: Callable[[], _T]) -> _T:
        """Run an act at a desk in a thread of its own."""
        ...

    def remark(self, text: str) -> None:
        """Tell whoever runs the service, though not every time."""
        ...


class Connection:
    """One client."""

    def __init__(
        self, host: Host, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._host, self._reader, self._writer = host, reader, writer
        self._is_heard = False
        self._left_s = host.limits.sound_s
        self._stream: _Stream | None = None
        self._ends_at_s: float | None = None
        peer = writer.get_extra_info("peername")
        self.name = f"Wyoming client at {peer[0]}" if peer else "Wyoming client"

    async def serve(self) -> None:
        """Answers until the client goes away, or has to."""
        try:
            while frame := await self.read(self._host.limits.idle_s):
                await self._answer(frame)
        except BadFrame as problem:
            self._host.remark(f"a client was turned away: {problem}")
            await self.turn_away(str(problem))
        except (TimeoutError, ConnectionError):
            pass
        except (KeysError, PipelineError, OSError) as error:
            self._host.remark(f"what was heard could not be sealed: {error}")
            await self.turn_away("what was heard could not be sealed, so it is not given out")
        except Exception as error:  # noqa: BLE001 - one client's trouble is not the others'
            self._host.remark(defect(error))
            await self.turn_away("internal error")
        finally:
            await self._close()

    def end(self, *, at_once: bool) -> None:
        """Ends the connection, unless somebody is being heard over it and there is time.

        Called again and again. Who brings no sound, or takes no answer, is not waited for.
        """
        if at_once or self._is_late():
            self._writer.transport.abort()
        elif not self._is_heard:
            self._writer.close()

    def _is_late(self) -> bool:
        patience_s = self._host.limits.ending_idle_s
        if self._stream:
            return self._stream.falls_behind(patience_s)
        self._ends_at_s = self._ends_at_s or time.monotonic() + patience_s
        return not self._is_heard and time.monotonic() > self._ends_at_s

    async def turn_away(self, why: str, linger_s: float = _LINGER_S) -> None:
        """Says why, and waits a moment: closed with sound unread, the answer might not arrive."""
        with contextlib.suppress(OSError):
            async with asyncio.timeout(linger_s):
                await self.send("error", {"text": why})
                self._writer.write_eof()
                while await self._reader.read(LINE_MAX):
                    pass

    async def read(self, within_s: float) -> Frame | None:
        """Returns the next frame, None at the end; raises `BadFrame`, `TimeoutError`, `OSError`."""
        async with asyncio.timeout(within_s):
            return await read_frame(self._reader)

    async def send(self, kind: str, data: Json) -> None:
        """Sends a frame; raises `TimeoutError` where it is not taken, `OSError`."""
        self._writer.write(frame_bytes(kind, data))
        async with asyncio.timeout(self._host.limits.idle_s):
            await self._writer.drain()

    async def answer_aside(self, frame: Frame) -> None:
        """Answers what may come at any time; passes over what nobody here understands."""
        if frame.kind == "describe":
            await self.send("info", self._host.about.info())
        elif frame.kind == "ping":
            text = frame.data.get("text")
            is_sent_back = isinstance(text, str) and len(text) <= _LONGEST_PING
            await self.send("pong", {"text": text} if is_sent_back else {})

    def spend(self, seconds: float) -> None:
        """Counts sound that came; raises `BadFrame` where it is too much for one connection."""
        self._left_s -= seconds
        if self._left_s < 0:
            raise BadFrame(f"more than {self._host.limits.sound_s:.0f} s of sound came")

    async def _answer(self, frame: Frame) -> None:
        if frame.kind not in {"audio-start", "audio-chunk"}:
            await self.answer_aside(frame)
            return
        self._is_heard = True
        try:
            async with self._host.desk() as desk:
                await self._hear(desk, frame)
        finally:
            self._is_heard = False

    async def _hear(self, desk: Desk, first: Frame) -> None:
        stream, about = _Stream(self, first, self._host.limits.idle_s), self._host.about
        self._stream = stream
        try:
            text = await self._host.in_thread(
                lambda: desk.hear(stream, about.profile, about.model, stream.say)
            )
        finally:
            self._stream = None
        if stream.problem:
            raise stream.problem
        await stream.begin()
        await self.send("transcript", {"text": text.words})
        await self.send("transcript-stop", {})

    async def _close(self) -> None:
        self._writer.close()
        with contextlib.suppress(OSError):
            async with asyncio.timeout(_LINGER_S):
                await self._writer.wait_closed()
        self._writer.transport.abort()  # who does not take what was sent keeps nothing here


class _Stream:
    """What somebody says, from `audio-start` to `audio-stop`: the source of the thread that hears.

    That thread asks for the sound piece by piece, and nothing is read before: where hearing is
    slower than speaking, the sound waits in the client.
    """

    def __init__(self, connection: Connection, first: Frame, idle_s: float) -> None:
        self.problem: Exception | None = None
        self._connection, self._idle_s = connection, idle_s
        self._first: Frame | None = first
        self._loop, self._sound = asyncio.get_running_loop(), Sound()
        self._heard_s = self._waited_s = 0.0
        self._asked_s: float | None = None
        self._behind_at_first_s: float | None = None
        self._samples = 0
        self._is_over = self._is_begun = False

    @property
    def name(self) -> str:
        return self._connection.name

    def events(self) -> Iterator[Event]:
        while not self._is_over:
            yield self._wait_for(self._event())

    def say(self, text: Text) -> None:
        """Sends what was said so far; from the thread that hears."""
        self._wait_for(self._say(text))

    async def begin(self) -> None:
        """Says that words come, unless that was said."""
        if not self._is_begun:
            self._is_begun = True
            await self._connection.send("transcript-start", {})

    async def _say(self, text: Text) -> None:
        with contextlib.suppress(OSError):  # who is gone is noticed when more is read
            await self.begin()
            await self._connection.send("transcript-chunk", {"text": text.words})

    def _wait_for(self, what: Coroutine[Any, Any, _T]) -> _T:
        return asyncio.run_coroutine_threadsafe(what, self._loop).result()

    def falls_behind(self, by_s: float) -> bool:
        """Tells whether it has fallen behind the clock by so much since this was first asked."""
        if self._behind_at_first_s is None:
            self._behind_at_first_s = self._behind_s
        return self._behind_s - self._behind_at_first_s > by_s

    @property
    def _behind_s(self) -> float:
        """How much longer sound was waited for than it sounds, up to now."""
        waiting_s = 0.0 if self._asked_s is None else time.monotonic() - self._asked_s
        return self._waited_s + waiting_s - self._heard_s

    async def _event(self) -> Event:
        self._asked_s = time.monotonic()
        try:
            return Block(await self._piece())
        except (BadFrame, ConnectionError) as problem:
            self.problem = problem
        except TimeoutError:
            self.problem = BadFrame("the sound came too slowly")
        finally:
            self._waited_s += max(_SHORTEST_S, time.monotonic() - self._asked_s)
            self._asked_s = None
        self._is_over = True
        return Gone("the client went away, or was turned away")

    async def _piece(self) -> NDArray[np.int16]:
        while True:
            frame, self._first = self._first or await self._read(), None
            if frame.kind == "audio-chunk" and frame.payload:
                return self._taken(frame)
            if frame.kind == "audio-chunk":
                self._waited_s += _SOUNDLESS_S
                continue
            if frame.kind == "audio-stop":
                self._is_over = True
                return self._last()
            await self._connection.answer_aside(frame)

    async def _read(self) -> Frame:
        """Reads on; a stream may be behind the clock, but not ever more."""
        left_s = self._idle_s - max(0.0, self._behind_s)
        if left_s <= 0:  # also where the next frame is there: a time limit of 0 would not be met
            raise TimeoutError
        frame = await self._connection.read(left_s)
        if frame is None:
            raise ConnectionResetError
        return frame

    def _taken(self, frame: Frame) -> NDArray[np.int16]:
        form = Format.of(frame.data)
        seconds = form.seconds(len(frame.payload))
        self._connection.spend(seconds)
        self._heard_s += seconds
        pcm = self._sound.take(form, frame.payload)
        self._samples += len(pcm)
        return pcm

    def _last(self) -> NDArray[np.int16]:
        """Returns what is left, filled up with silence: hearing goes by whole chunks."""
        pcm = self._sound.end()
        short = -(self._samples + len(pcm)) % CHUNK_SAMPLES
        return np.concatenate([pcm, np.zeros(short, np.int16)])
