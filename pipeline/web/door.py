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
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import uvicorn

from pipeline import accepting
from pipeline.cli_terms import WEB
from pipeline.errors import Refused
from pipeline.glimpse import Place
from pipeline.vault import Vault
from pipeline.web.guard import Guard, Secrets
from pipeline.web.house import House
from pipeline.web.line import Line
from pipeline.web.pages import application

_BACKLOG = 64
_DRAIN_S = 20
"""An erasure that is being answered is not cut off by the relief that it leads to."""
_LAST_S = 0.3
_HEADER_LIMIT = 32 * 1024
_HTTP = 80
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
        name = min(self.names, key=_likelihood)
        return f"http://{name}/enter#{self.known.ticket}"

    @contextlib.contextmanager
    def opened(
        self,
        open_vault: Callable[[], Vault],
        tell: Callable[[str], None],
        place: Place | None = None,
    ) -> Iterator["Serving"]:
        """Answers for the block; yields what is set when that fails. Leaving ends what is open.

        In a `place` is what a microphone hears at the moment.
        """
        told = lambda: tell(f"the page, for one more browser: {self.link}")  # noqa: E731
        house = House(open_vault, told, place)
        app = Guard(application(house, self.known), self.known, self.names, told)
        with _silenced():
            serving = Serving(uvicorn.Server(_configured(app)), self.listening, house)
            serving.start()
            try:
                yield serving
            finally:
                serving.drain()
                serving.join()


def _configured(app: Guard) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="off",
        loop="asyncio",
        http=Line,
        ws="none",
        backlog=_BACKLOG,  # so many are accepted in one go, before any of them can be turned away
        h11_max_incomplete_event_size=_HEADER_LIMIT,
        timeout_graceful_shutdown=_DRAIN_S,
    )


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


class Serving(threading.Thread):
    """A server at work."""

    def __init__(self, server: uvicorn.Server, listening: socket.socket, house: House) -> None:
        super().__init__(name="page")
        self._server, self._listening, self._house = server, listening, house
        self._failed = threading.Event()

    def is_set(self) -> bool:
        """Tells whether it could not go on."""
        return self._failed.is_set()

    def run(self) -> None:
        try:
            self._server.run(sockets=[accepting.own(self._listening)])
        except (Exception, SystemExit):  # noqa: BLE001 - uvicorn ends the process where it cannot start
            self._failed.set()

    def drain(self) -> None:
        """Lets in nobody more, then ends; who has just come in is answered and not hung up on."""
        self._house.close()
        if not (servers := getattr(self._server, "servers", [])):  # it has not begun
            self._server.should_exit = True
        for it in servers:
            with contextlib.suppress(RuntimeError):  # it has ended already
                it.get_loop().call_soon_threadsafe(self._begin_to_leave, it)

    def _begin_to_leave(self, it: asyncio.Server) -> None:
        it.get_loop().create_task(self._leave(it))

    async def _leave(self, it: asyncio.Server) -> None:
        await accepting.close(it)
        await asyncio.sleep(_LAST_S)  # here: a loop that is late has read before its time is up
        self._server.should_exit = True


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
    """Returns what may stand in `Host`: the name that was given, and those of this machine.

    In lower case, as browsers say them, and without a port where they leave it out.
    """
    bind, port = listening.getsockname()[:2]
    address = ipaddress.ip_address(str(bind).partition("%")[0])
    hosts = {host, str(bind)} | ({"localhost"} if address.is_loopback else set())
    if address.is_unspecified:
        loopback = "::1" if address.version == 6 else "127.0.0.1"
        hosts = {"localhost", loopback, socket.gethostname(), *_addresses()}
    bare = {f"[{it}]" if ":" in it else it.lower() for it in hosts}
    return frozenset(f"{it}:{port}" for it in bare) | (bare if port == _HTTP else frozenset())


def _likelihood(name: str) -> tuple[bool, bool, str]:
    """Orders names by how likely a browser on this machine reaches us by them."""
    try:
        host = urlsplit(f"//{name}").hostname or ""
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:  # no address: a container's name means nothing outside of it
        return True, name.partition(":")[0] != "localhost", name
    return False, not address.is_loopback, name


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
