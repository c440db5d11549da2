"""Who may come in, and what every answer says: the one gate in front of the page.

Promises that a request is answered only under a name that this server goes by (so that a foreign
name pointed at it gets nothing), that only who has followed a link from the terminal is let in,
that nothing changes at the wish of another site, and that no browser stores, frames, sniffs or
sends on what was spoken. Content-free itself: it looks at headers alone.
"""

import hmac
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from html import escape
from multiprocessing import Value
from typing import Any

from starlette.datastructures import Headers
from starlette.responses import HTMLResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

CSRF_HEADER, CSRF_FIELD = "x-anechoic-csrf", "csrf"
ENTER = "/enter"
OPEN_PATHS = (ENTER, "/static/")
"""What is there for everybody: the door, and files in which nothing of a vault is."""
CALENDAR = "/calendar/"
"""What is behind it lets in whoever knows the rest of the address, for programs have no cookie."""
GOOD_S = 600.0
"""So many seconds is a link good: a journal in which it was shown keeps it for ever."""
_SAFE_METHODS = {"GET", "HEAD"}
_OURS = {"none", "same-origin"}
"""Who asks, by the browser's word: the user, or a page of ours. Another port is another site."""
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Anechoic</title>
<link rel="icon" href="/static/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="/static/style.css">
<main><div class="empty"><p><img src="/static/icon.svg" alt="" width="56" height="56"></p>
<h1 class="big">Not here</h1><p role="alert">{why}.</p></div></main>
</html>
"""
HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",  # with none, our own forms would not say whose they are
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}


@dataclass(frozen=True, slots=True, repr=False)
class Secrets:
    """What lets people in; made before any worker, and shared by all of them.

    Each link is good once, and for `GOOD_S`: the number of the present one, and when it was made by
    the monotonic clock, are in memory that the workers share.
    """

    key: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    used: Any = field(default_factory=lambda: Value("L", 0))
    made_s: Any = field(default_factory=lambda: Value("d", time.monotonic()))

    @property
    def cookie(self) -> str:
        """What a browser shows that has come in by a link."""
        return self._derive("cookie")

    @property
    def csrf(self) -> str:
        """What a form of our own pages carries, and no other site can know."""
        return self._derive("csrf")

    @property
    def ticket(self) -> str:
        """What the next link carries."""
        return self._derive(f"ticket {self.used.value}")

    def take(self, ticket: str) -> bool:
        """Tells whether a ticket is the one that is good now; from then on it is not."""
        with self.used.get_lock():
            is_good = is_same(ticket, self.ticket) and not self._is_old
            if is_good:
                self._make_next()
            return is_good

    def renew(self) -> bool:
        """Makes the next link where the present one is too old; tells whether it was."""
        with self.used.get_lock():
            is_old = self._is_old
            if is_old:
                self._make_next()
            return is_old

    @property
    def _is_old(self) -> bool:
        return bool(time.monotonic() - self.made_s.value > GOOD_S)

    def _make_next(self) -> None:
        self.used.value += 1
        self.made_s.value = time.monotonic()

    def _derive(self, what: str) -> str:
        return hmac.new(self.key, what.encode(), sha256).hexdigest()


def is_same(shown: str, secret: str) -> bool:
    """Compares without telling by its time how much of it was right."""
    return hmac.compare_digest(shown.encode(errors="replace"), secret.encode())


def cookie_name(host: str) -> str:
    """Returns what the cookie is called under a name of ours: cookies know no ports, it does."""
    return f"anechoic-{host.rpartition(':')[2] if _has_port(host) else 80}"


def _has_port(host: str) -> bool:
    return ":" in host and not host.endswith("]")


class Guard:
    """Wraps the page: refuses what may not come in, and dresses every answer.

    `tell` is called when somebody wants to come in and the link that was shown is too old: there is
    a next one then.
    """

    def __init__(
        self, app: ASGIApp, known: Secrets, names: frozenset[str], tell: Callable[[], None]
    ) -> None:
        self._app, self._known, self._names, self._tell = app, known, names, tell

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        headers = Headers(scope=scope)
        answer = self._refusal(scope, headers)
        await (answer or self._app)(scope, receive, _dressed(send))

    def _refusal(self, scope: Scope, headers: Headers) -> Response | None:
        if headers.get("host", "").lower() not in self._names:
            return _no(421, "this server does not go by that name")
        if scope["method"] not in _SAFE_METHODS and not self._is_ours(headers):
            return _no(403, "that was asked for from another site")
        if scope["path"].startswith(OPEN_PATHS):
            if scope["path"] == ENTER:
                self._renew()
            return None
        if headers.get("sec-fetch-site", "none") not in _OURS:
            return _no(403, "that was asked for from another site")
        if not (scope["path"].startswith(CALENDAR) or self._has_cookie(headers)):
            self._renew()
            return _no(401, "open the link that “anechoic serve” shows in its terminal")
        return None

    def _is_ours(self, headers: Headers) -> bool:
        """Tells whether a page of ours asks for a change; a browser always says who does."""
        origin = headers.get("origin", "")
        is_from_here = headers.get("sec-fetch-site", "same-origin") == "same-origin"
        return is_from_here and origin in {f"http://{name}" for name in self._names}

    def _has_cookie(self, headers: Headers) -> bool:
        """Tells whether ours is among the cookies, whatever other programs' look like."""
        name = cookie_name(headers.get("host", ""))
        shown = [it.strip().partition("=") for it in headers.get("cookie", "").split(";")]
        return any(is_same(value, self._known.cookie) for key, _, value in shown if key == name)

    def _renew(self) -> None:
        if self._known.renew():
            self._tell()


def _no(status: int, why: str) -> Response:
    return HTMLResponse(_PAGE.format(why=escape(why[:1].upper() + why[1:])), status)


def _dressed(send: Send) -> Send:
    async def dressed(message: Message) -> None:
        if message["type"] == "http.response.start":
            own = [(k, v) for k, v in message["headers"] if k.decode("latin-1") not in HEADERS]
            fixed = [(k.encode(), v.encode()) for k, v in HEADERS.items()]
            message = {**message, "headers": [*own, *fixed]}
        await send(message)

    return dressed
