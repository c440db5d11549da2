"""A browser's requests to the page, without a socket: in this process, through the real gate."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from pipeline.glimpse import Place
from pipeline.vault import Vault
from pipeline.web.guard import Guard, Secrets, cookie_name
from pipeline.web.house import House
from pipeline.web.pages import application

NAME = "127.0.0.1:7532"
ORIGIN = f"http://{NAME}"
WHOLE = True
"""Whether the end of a body comes."""


@dataclass(frozen=True, slots=True)
class Got:
    """An answer: its status, its headers in lower case, its body."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


@dataclass
class Browser:
    """Asks as a browser does that has come in, unless its headers are others."""

    open_vault: Callable[[], Vault]
    known: Secrets = field(default_factory=Secrets)
    links_used: int = 0
    links_renewed: int = 0
    place: Place | None = None

    def __post_init__(self) -> None:
        self.house = House(self.open_vault, self._entered, self.place)
        self.app = Guard(
            application(self.house, self.known), self.known, frozenset({NAME}), self._knock
        )

    def _knock(self) -> None:
        self.links_renewed += 1

    def _entered(self) -> None:
        self.links_used += 1

    @property
    def cookie(self) -> dict[str, str]:
        return {"cookie": f"{cookie_name(NAME)}={self.known.cookie}"}

    def get(self, path: str, **more: str | None) -> Got:
        return self.ask("GET", path, b"", {**self.cookie, "sec-fetch-site": "none"}, more)

    def post(
        self,
        path: str,
        fields: Mapping[str, str] | Sequence[tuple[str, str]] = (),
        csrf: bool = True,
        **more: str | None,
    ) -> Got:
        rows = [*(fields.items() if isinstance(fields, Mapping) else fields)]
        rows += [("csrf", self.known.csrf)] * csrf
        ours = {**self.cookie, "origin": ORIGIN, "sec-fetch-site": "same-origin"}
        kind = {"content-type": "application/x-www-form-urlencoded"}
        return self.ask("POST", path, urlencode(rows).encode(), {**ours, **kind}, more)

    def ask(
        self,
        method: str,
        path: str,
        body: bytes,
        headers: Mapping[str, str],
        more: Mapping[str, str | None],
    ) -> Got:
        """Asks with these headers and others on top; None leaves one out."""
        changes = {key.replace("_", "-"): value for key, value in more.items()}
        all_ = {"host": NAME, **headers, **changes}
        raw = [(k.encode(), v.encode("latin-1")) for k, v in all_.items() if v is not None]
        return asyncio.run(self._asked(method, path, body, raw))

    async def _asked(
        self, method: str, path: str, body: bytes, headers: list[tuple[bytes, bytes]]
    ) -> Got:
        place, _, query = path.partition("?")
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "path": place,
            "raw_path": place.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "scheme": "http",
            "headers": headers,
            "server": ("127.0.0.1", 7532),
            "client": ("127.0.0.1", 1),
        }
        parts = [body]
        sent = list[Any]()

        async def receive() -> dict[str, Any]:
            if parts:
                return {"type": "http.request", "body": parts.pop(), "more_body": not WHOLE}
            await asyncio.sleep(3600)
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:  # noqa: ANN401 - whatever the application says
            sent.append(message)

        await self.app(scope, receive, send)
        found = {k.decode().lower(): v.decode("latin-1") for k, v in sent[0]["headers"]}
        return Got(sent[0]["status"], found, b"".join(it.get("body", b"") for it in sent[1:]))


def in_house(base: Path) -> Browser:
    """Returns a browser that has come in to the vault in `base`."""
    from tests.household import reopen

    return Browser(lambda: reopen(base))
