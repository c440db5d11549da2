"""The page as part of a worker: bound before it, opened within it, closed with its turn.

Promises that the socket and what lets people in are made before any worker, so that they outlive
it; that no request is logged anywhere; and that a worker which is relieved answers what it is at
and nothing more. Refuses an address that is none. Change here how the server is set up.
"""

import asyncio
import contextlib
import ipaddress
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import cast
from urllib.parse import urlsplit

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from pipeline.cli_terms import WEB
from pipeline.errors import Refused
from pipeline.glimpse import Place
from pipeline.vault import Vault
from pipeline.web.guard import Guard, Secrets
from pipeline.web.house import House
from pipeline.web.pages import application

_BACKLOG = 64
_DRAIN_S = 20
"""An erasure that is being answered is not cut off by the relief that it leads to."""
_LAST_S = 0.3
_HEADER_LIMIT = 32 * 1024
_HEADER_S = 10.0
_AT_ONCE = 64
SILENT = ("uvicorn", "uvicorn.error", "uvicorn.access", "asyncio")


@dataclass(frozen=True, slots=True, repr=False)
class Door:
    """What all workers share of the page."""

    listening: socket.socket
    names: frozenset[str]
    known: Secrets = field(default_factory=Secrets)

    @property
    def link(self) -> str:
        """The link that lets one browser in, once. What follows # is sent to nobody."""
        name = next((it for it in sorted(self.names) if it[0].isdigit()), min(self.names))
        return f"http://{name}/enter#{self.known.ticket}"

    @contextlib.contextmanager
    def opened(
        self,
        open_vault: Callable[[], Vault],
        tell: Callable[[str], None],
        place: Place | None = None,
    ) -> Iterator[threading.Event]:
        """Answers for the block; yields what is set when that fails. Leaving ends what is open.

        In a `place` is what a microphone hears at the moment.
        """
        told = lambda: tell(f"the page, for one more browser: {self.link}")  # noqa: E731
        house = House(open_vault, told, place)
        app = Guard(application(house, self.known), self.known, self.names)
        with _silenced():
            server, failed = uvicorn.Server(_configured(app)), threading.Event()
            serving = threading.Thread(target=_serve, args=(server, self.listening, failed))
            serving.start()
            try:
                yield failed
            finally:
                house.close()
                _drain(server)
                serving.join()


def _configured(app: Guard) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="off",
        loop="asyncio",
        http=_Patient,
        ws="none",
        limit_concurrency=_AT_ONCE,
        h11_max_incomplete_event_size=_HEADER_LIMIT,
        timeout_graceful_shutdown=_DRAIN_S,
    )


class _Patient(H11Protocol):
    """Ends a connection on which no whole request arrives: uvicorn itself would wait for ever."""

    _limit: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._limit = self.loop.call_later(_HEADER_S, transport.close)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        cycle = cast("RequestResponseCycle | None", self.cycle)  # None before the first request
        is_at_work = cycle is not None and not cycle.response_complete
        if is_at_work and self._limit:
            self._limit.cancel()
            self._limit = None
        elif not is_at_work and self._limit is None:
            self._limit = self.loop.call_later(_HEADER_S, self.transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._limit:
            self._limit.cancel()


@contextlib.contextmanager
def _silenced() -> Iterator[None]:
    """Keeps servers from writing what went wrong: their tracebacks may hold what was asked."""
    loggers = [logging.getLogger(name) for name in SILENT]
    before = [(it.handlers, it.propagate) for it in loggers]
    for it in loggers:
        it.handlers, it.propagate = [logging.NullHandler()], False
    try:
        yield
    finally:
        for it, (handlers, propagate) in zip(loggers, before, strict=True):
            it.handlers, it.propagate = handlers, propagate


def _drain(server: uvicorn.Server) -> None:
    """Lets in nobody more, then ends; who has just come in is answered and not hung up on."""
    for it in getattr(server, "servers", []):  # it has none before it has begun
        it.get_loop().call_soon_threadsafe(it.close)
    time.sleep(_LAST_S)
    server.should_exit = True


def _serve(server: uvicorn.Server, listening: socket.socket, failed: threading.Event) -> None:
    try:
        server.run(sockets=[listening.dup()])
    except (Exception, SystemExit):  # noqa: BLE001 - uvicorn ends the process where it cannot start
        failed.set()


def door(address: str) -> Door:
    """Returns a door at `HOST:PORT`; raises `Refused`, and `OSError` where it is taken."""
    host, port = _parsed(address)
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, _, _, _, (bind, *_) = min(found, key=lambda it: it[0] != socket.AF_INET)
    listening = socket.create_server((str(bind), port), family=family, backlog=_BACKLOG)
    return Door(listening, _names(host, listening))


def warning(it: Door) -> str:
    """Returns what has to be said of a page that others reach; nothing where none do."""
    host = it.listening.getsockname()[0]
    if ipaddress.ip_address(host.partition("%")[0]).is_loopback:
        return ""
    return (
        "the page can be reached by other machines, and nothing is encrypted on the way: whoever "
        "can listen on the network reads what you read; a tunnel (ssh -L) is safer"
    )


def _names(host: str, listening: socket.socket) -> frozenset[str]:
    """Returns what may stand in `Host`: the name that was given, and those of this machine."""
    bind, port = listening.getsockname()[:2]
    address = ipaddress.ip_address(str(bind).partition("%")[0])
    hosts = {host, str(bind)} | ({"localhost"} if address.is_loopback else set())
    if address.is_unspecified:
        hosts = {"localhost", "127.0.0.1", socket.gethostname(), *_addresses()}
    return frozenset(f"[{it}]:{port}" if ":" in it else f"{it}:{port}" for it in hosts)


def _addresses() -> set[str]:
    with contextlib.suppress(OSError):
        return {str(it[4][0]) for it in socket.getaddrinfo(socket.gethostname(), None)}
    return set()


def _parsed(address: str) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{address}")
        if parts.hostname and parts.port is not None and not parts.path:
            return parts.hostname, parts.port
    except ValueError:  # a port that is none
        pass
    raise Refused(f"expected HOST:PORT such as {WEB}, found {address!r}")
