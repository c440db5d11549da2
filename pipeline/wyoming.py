"""A Wyoming speech-to-text service, as Home Assistant uses one: a door with strangers before it.

Promises that whoever keeps to the protocol is answered whatever others send, that told to drain it
finishes what is under way and accepts no more, and that nothing a client sends, no address of one
and no word reaches a log. What a client may take is in `wyoming_connection`, what becomes of its
words in `wyoming_hearing`.
"""

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from keys.errors import KeysError, StateUnknown
from pipeline import accepting
from pipeline.errors import PipelineError, defect
from pipeline.wyoming_about import About
from pipeline.wyoming_connection import Connection, Limits
from pipeline.wyoming_frames import LINE_MAX, BadFrame, frame_bytes
from pipeline.wyoming_hearing import Desk

_REST_S = 1.0
_QUIET_S = 60.0
_T = TypeVar("_T")


class Service:
    """Answers Wyoming clients at a socket, each utterance at one of the desks.

    `tell` gets remarks for whoever runs it, from the thread of `run`.
    """

    def __init__(
        self,
        listening: socket.socket,
        desks: Sequence[Desk],
        about: About,
        tell: Callable[[str], None],
        limits: Limits | None = None,
    ) -> None:
        self.about, self.limits = about, limits or Limits()
        self._listening, self._desks, self._tell = listening, desks, tell
        self._threads = ThreadPoolExecutor(len(desks), "wyoming")
        self._open: dict[asyncio.Task[None], Connection] = {}
        self._waiting = 0
        self._told: dict[str, float] = {}
        self._failure: StateUnknown | None = None
        self._shall_end = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def run(self) -> None:
        """Serves until `drain`, then finishes what is under way.

        Raises `StateUnknown`, after the same, when the disk has failed.
        """
        with self._threads:
            # Never in debug mode, whatever the environment says: it logs the addresses of clients.
            asyncio.run(self._run(), debug=False)
        if self._failure:
            raise self._failure

    def drain(self) -> None:
        """Makes `run` end: no more is accepted, what is under way is finished; from any thread."""
        self._shall_end.set()
        with contextlib.suppress(RuntimeError):  # it has ended already
            if self._loop:
                self._loop.call_soon_threadsafe(self._ending.set)

    async def _run(self) -> None:
        self._ending, self._free = asyncio.Event(), asyncio.Queue[Desk]()
        for desk in self._desks:
            self._free.put_nowait(desk)
        self._loop = asyncio.get_running_loop()
        self._loop.set_exception_handler(lambda _, it: self._complain(it.get("exception")))
        if self._shall_end.is_set():
            return
        ours = accepting.own(self._listening)
        server = await asyncio.start_server(self._accepted, sock=ours, limit=LINE_MAX)
        await self._rest()
        server.close()
        await self._finish()

    async def _rest(self) -> None:
        """Has each desk that is free follow the vault once a second, until this shall end."""
        while not self._ending.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_REST_S):
                    await self._ending.wait()
            for _ in range(self._free.qsize()):
                try:
                    async with self.desk() as desk:
                        await self.in_thread(desk.rest)
                except (KeysError, PipelineError, OSError) as error:
                    self.remark(str(error))

    async def _finish(self) -> None:
        """Lets those end who are being heard, for a while, and sends the others away."""
        until_s = time.monotonic() + self.limits.ending_s
        while self._open:
            for connection in self._open.values():
                connection.end(at_once=time.monotonic() >= until_s)
            await asyncio.wait(self._open, timeout=0.1)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection, task = Connection(self, reader, writer), asyncio.current_task()
        if task is None or len(self._open) >= self.limits.connections:
            self.remark("there were too many connections at once")
            writer.write(frame_bytes("error", {"text": "too many connections: try again"}))
            writer.close()
            return
        self._open[task] = connection
        try:
            await connection.serve()
        finally:
            del self._open[task]

    @contextlib.asynccontextmanager
    async def desk(self) -> AsyncIterator[Desk]:
        """Waits for a desk that is free; raises `BadFrame` where too many do, or for too long."""
        if self._free.empty() and self._waiting >= self.limits.waiting:
            raise BadFrame("too many speak at once: try again")
        self._waiting += 1
        try:
            async with asyncio.timeout(self.limits.waiting_s):
                desk = await self._free.get()
        except TimeoutError:
            raise BadFrame("others are being heard: try again") from None
        finally:
            self._waiting -= 1
        try:
            yield desk
        finally:
            self._free.put_nowait(desk)

    async def in_thread(self, act: Callable[[], _T]) -> _T:
        """Runs an act at a desk in a thread of its own."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, act)
        except StateUnknown as failure:
            self._failure = failure
            self._ending.set()
            raise

    def remark(self, text: str) -> None:
        """Tells of something, once a minute at most however often it happens."""
        at_s = time.monotonic()
        if at_s - self._told.get(text, -_QUIET_S) >= _QUIET_S:
            self._told[text] = at_s
            self._tell(f"Wyoming: {text}")

    def _complain(self, error: BaseException | None) -> None:
        if error and not isinstance(error, ConnectionError):
            self.remark(defect(error))
