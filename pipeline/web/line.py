"""One connection to the page: how long it may keep us waiting, and which of too many has to go.

Promises that a connection on which no whole request arrives ends, that there are never more than
`AT_ONCE` (of more the one goes that has been idle for longest, not who comes), and that a server
which ends waits for what it is working on, and for nobody who keeps it waiting. Change here what a
stranger's connection may cost.
"""

import asyncio
from typing import cast

from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

AT_ONCE = 64
_HEADER_S = 10.0
_LAST_S = 3.0
"""So long may the rest of a request, or who takes an answer, keep an ending server waiting."""


class Line(H11Protocol):
    """A connection, by the rules above: uvicorn itself would accept all, and wait for ever."""

    _limit: asyncio.TimerHandle | None = None
    idle_since_s = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.idle_since_s = self.loop.time()
        self._limit = self.loop.call_later(_HEADER_S, transport.close)
        if len(self.connections) > AT_ONCE:
            self._make_room()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self.idle_since_s = self.loop.time()
        cycle = self._begun
        is_begun = cycle is not None and not cycle.response_complete
        if is_begun and self._limit:
            self._limit.cancel()
            self._limit = None
        elif not is_begun and self._limit is None:
            self._limit = self.loop.call_later(_HEADER_S, self.transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._limit:
            self._limit.cancel()

    def shutdown(self) -> None:
        """Ends when what is at work is answered; called by the server that ends."""
        super().shutdown()
        self._end_soon()

    @property
    def _begun(self) -> RequestResponseCycle | None:
        return cast("RequestResponseCycle | None", self.cycle)  # None before the first request

    def is_at_work(self) -> bool:
        """Tells whether a whole request is there and its answer is not."""
        cycle = self._begun
        return cycle is not None and not (cycle.more_body or cycle.response_complete)

    def _make_room(self) -> None:
        idle = [it for it in self.connections if isinstance(it, Line) and not it.is_at_work()]
        longest = min(idle, key=lambda it: it.idle_since_s)  # this one is idle, if no other is
        self.connections.discard(longest)  # it is lost a moment later, and counted no more
        longest.transport.abort()

    def _end_soon(self) -> None:
        cycle = self._begun
        is_awaited = self.is_at_work() and cycle is not None and not cycle.response_started
        self.loop.call_later(_LAST_S, self._end_soon if is_awaited else self.transport.abort)
