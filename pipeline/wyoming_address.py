"""Where a Wyoming service is reached: its address, and its announcement to the local network.

Promises to bind to what was named and nothing more, and to say plainly what it means to be reached
from outside: Wyoming has no authentication. Announcing needs an extra and is never done unasked.
"""

import contextlib
import ipaddress
import multiprocessing
import signal
import socket
from collections.abc import Iterator
from importlib.util import find_spec
from multiprocessing.connection import Connection
from urllib.parse import urlsplit

from pipeline.errors import Refused

_BACKLOG = 128
_GOODBYE_S = 5.0


def bound(uri: str) -> socket.socket:
    """Returns a socket that listens at `tcp://HOST:PORT`; raises `Refused`, and `OSError`."""
    host, port = _parsed(uri)
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    # Clients that know the service as `localhost` or by a name reach for IPv4 first or at last.
    family, _, _, _, address = min(found, key=lambda it: it[0] != socket.AF_INET)
    return socket.create_server((str(address[0]), port), family=family, backlog=_BACKLOG)


def address_of(listening: socket.socket) -> str:
    """Returns where a socket listens, as a URI; its port is the one that it really got."""
    host, port = listening.getsockname()[:2]
    return f"tcp://[{host}]:{port}" if ":" in host else f"tcp://{host}:{port}"


def is_private(listening: socket.socket) -> bool:
    """Tells whether only this machine reaches it."""
    return ipaddress.ip_address(listening.getsockname()[0].partition("%")[0]).is_loopback


def warning(listening: socket.socket) -> str:
    """Returns what has to be said of an address that others reach; nothing where none do."""
    if is_private(listening):
        return ""
    return (
        f"{address_of(listening)} can be reached by other machines, and Wyoming has no "
        "authentication: whoever reaches it can have speech recognised and sealed here, and "
        "nothing is encrypted on the way; let a firewall admit your Home Assistant alone"
    )


@contextlib.contextmanager
def announced(listening: socket.socket, name: str = "anechoic") -> Iterator[None]:
    """Tells the local network of the service, by multicast DNS, for the block.

    Home Assistant then offers it by itself. It is done by a process of its own, because it takes
    threads, and this one may be about to fork. Raises `Refused` where the extra is not installed,
    and for a service that only this machine reaches.
    """
    if is_private(listening):
        raise Refused("announcing: expected an address that others reach, found a loopback one")
    if not find_spec("zeroconf"):
        raise Refused("announcing needs an extra: pip install '.[zeroconf]'")
    ours, theirs = multiprocessing.Pipe()
    about = (theirs, name, *listening.getsockname()[:2])
    process = multiprocessing.get_context("spawn").Process(
        target=_announce, args=about, daemon=True
    )
    process.start()
    theirs.close()
    try:
        yield
    finally:
        ours.close()
        process.join(_GOODBYE_S)


def _announce(until_closed: Connection, name: str, host: str, port: int) -> None:
    """Announces until the other end of the pipe is closed, by whatever end of its process."""
    import ifaddr
    import zeroconf

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; our parent decides
    kind = "_wyoming._tcp.local."
    everywhere = ipaddress.ip_address(host).is_unspecified
    ours = (str(ip.ip) for adapter in ifaddr.get_adapters() for ip in adapter.ips if ip.is_IPv4)
    addresses = [ip for ip in ours if not ipaddress.ip_address(ip).is_loopback]
    addresses = addresses if everywhere else [host]
    info = zeroconf.ServiceInfo(kind, f"{name}.{kind}", port, parsed_addresses=addresses)
    interfaces = zeroconf.InterfaceChoice.All if everywhere else addresses
    with zeroconf.Zeroconf(interfaces=interfaces) as here:
        here.register_service(info, allow_name_change=True)
        with contextlib.suppress(EOFError, OSError):
            until_closed.recv()  # leaving takes the announcement back


def _parsed(uri: str) -> tuple[str, int]:
    try:
        parts = urlsplit(uri)
        if parts.scheme == "tcp" and parts.hostname and parts.port is not None and not parts.path:
            return parts.hostname, parts.port
    except ValueError:  # a port that is none
        pass
    raise Refused(f"expected an address such as tcp://127.0.0.1:10300, found {uri!r}")
