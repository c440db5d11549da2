"""One JSON object posted over HTTP(S), and what came back: for skills whose fields leave here.

Promises that nothing goes anywhere but to the URL given: no redirect is followed, no proxy is taken
from the environment, TLS is verified. What comes back is bounded in size; whatever lies about
itself is no answer.
"""

import json
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Any
from urllib.parse import SplitResult, urlsplit

from pipeline.errors import PipelineError, Refused

CONNECT_S, ANSWER_S = 4.0, 10.0
_BODY_BYTES = 32 * 1024
TOKEN, PROXY, CA = "token", "proxy", "ca"
"""Names of settings: a bearer token, a proxy that the user names, certificates as PEM."""


class NotReached(PipelineError):
    """Nobody was there to give it to, or not whom the certificate must name: nothing was sent."""


class NoReply(PipelineError):
    """It may have been sent, and nothing came back that is an answer."""


@dataclass(frozen=True, slots=True)
class Reply:
    """The status of an answer, and its JSON object: an empty one where it is none."""

    status: int
    row: Mapping[str, Any] = field(repr=False)

    @property
    def is_done(self) -> bool:
        """Whether it says that it did what it was asked."""
        return 200 <= self.status < 300  # RFC 9110, section 15.3

    @property
    def is_declined(self) -> bool:
        """Whether it says that it did not, and will not."""
        return 400 <= self.status < 500  # RFC 9110, section 15.5


def post(url: str, row: Mapping[str, object], settings: Mapping[str, str], key: str) -> Reply:
    """Posts a JSON object under an idempotency key; raises `NotReached`, `NoReply`, `Refused`.

    A second request with the same key is the same request, for whoever heeds it.
    """
    parts = checked(url)
    connection, target = _connection(parts, settings)
    headers = {"Content-Type": "application/json", "Idempotency-Key": key, "Connection": "close"}
    if token := settings.get(TOKEN):
        headers["Authorization"] = f"Bearer {token}"
    try:
        _connect(connection)
        try:
            connection.request("POST", target, json.dumps(row).encode(), headers)
            return _reply(connection.getresponse())
        except (OSError, HTTPException, ValueError):
            # Not passed on: its text may hold what was sent.
            raise NoReply("no answer came, or one that is none") from None
    finally:
        connection.close()


def checked(url: str) -> SplitResult:
    """Returns the parts of a URL that may be posted to; raises `Refused`."""
    try:
        parts = urlsplit(url)
        usable = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        usable = False
    if not usable or parts.scheme not in {"http", "https"} or "@" in parts.netloc:
        raise Refused("a URL is https://HOST/… or http://HOST/…, without a user in it")
    return parts


def checked_proxy(url: str) -> SplitResult:
    """Returns the parts of a proxy's URL; raises `Refused` for one that TLS would have to lead to.

    What is spoken in clear to a proxy that expects TLS is read by everybody on the way.
    """
    parts = checked(url)
    if parts.scheme != "http":
        raise Refused("a proxy is http://HOST:PORT; one that is spoken to by TLS cannot be used")
    return parts


def origin(url: str) -> str:
    """Returns where a URL leads, without its path, which may hold a secret."""
    parts = checked(url)
    return f"{parts.scheme}://{parts.netloc}"


def _connection(parts: SplitResult, settings: Mapping[str, str]) -> tuple[HTTPConnection, str]:
    """Returns the connection to be opened, and the target as the request line has it."""
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    host, secure = str(parts.hostname), parts.scheme == "https"
    through = checked_proxy(settings[PROXY]) if settings.get(PROXY) else None
    if through and not secure:
        there = HTTPConnection(str(through.hostname), through.port or 80, timeout=CONNECT_S)
        return there, f"{parts.scheme}://{parts.netloc}{target}"
    port = parts.port or (443 if secure else 80)
    if not secure:
        return HTTPConnection(host, port, timeout=CONNECT_S), target
    context = ssl.create_default_context(cadata=settings.get(CA) or None)
    if not through:
        return HTTPSConnection(host, port, timeout=CONNECT_S, context=context), target
    proxied = HTTPSConnection(
        str(through.hostname), through.port or 80, timeout=CONNECT_S, context=context
    )
    proxied.set_tunnel(host, port)
    return proxied, target


def _connect(connection: HTTPConnection) -> None:
    try:
        connection.connect()
    except (OSError, HTTPException) as error:
        raise NotReached(f"not reached: {type(error).__name__}") from None
    sock: socket.socket = connection.sock
    sock.settimeout(ANSWER_S)


def _reply(response: HTTPResponse) -> Reply:
    """Reads an answer: one too long, of another kind than it says, or no JSON object has no row."""
    body = response.read(_BODY_BYTES + 1)
    is_json = response.headers.get_content_type() == "application/json"
    try:
        row = json.loads(body) if is_json and len(body) <= _BODY_BYTES else None
    except (ValueError, RecursionError):
        row = None
    return Reply(response.status, row if isinstance(row, dict) else {})
