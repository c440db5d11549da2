"""The page as an application: which address is answered by what, and how a refusal is told.

Promises that each request is read within its limits, that a change needs the token of our own
forms, that the vault is held for one request at a time, and that whatever goes wrong becomes a page
that says what to do: never a traceback, and never a word that was spoken. Add a page here.
"""

import hmac
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import partial
from hashlib import sha256
from importlib.resources import files
from pathlib import PurePosixPath
from urllib.parse import urlencode

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import (
    HTMLResponse,
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import Route

from keys.errors import Busy, Erased, KeysError
from pipeline.errors import NotFound, PipelineError, Refused, defect
from pipeline.vault import Vault
from pipeline.web import calendar, erasing, holding, looking
from pipeline.web.asked import PART_HEADER, Asked, TooMuch, read
from pipeline.web.guard import CALENDAR, ENTER, Secrets, cookie_name, is_same
from pipeline.web.house import House
from pipeline.web.looking import Answer, Names, Shown
from pipeline.web.views import templates

Page = Callable[[Vault, Asked], Answer]
Apart = Callable[[House, Asked], Answer]
"""A page that holds the vault for as long as it needs it by itself, or not at all."""
Endpoint = Callable[[Request], Awaitable[Response]]
_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_RETRY_MS = 400
_STREAM = "text/event-stream"
_WISHES = {"mute": True, "listen": False}
_ANEW = "Go back, load the page anew and try again."
_FOR_ALL: Mapping[str, object] = {"csrf": "", "hears": False}
"""What the door and refusals are made with, which whoever asks may get: they have no token."""
_HEADLINES = {
    404: "There is no such thing",
    410: "This has been forgotten",
    400: "That makes no sense as put",
    403: "That did not come from this page",
    405: "That cannot be done here",
    413: "That is too much",
    503: "The vault is busy",
    500: "Something went wrong",
}


def application(house: House, known: Secrets) -> Starlette:
    """Returns the application; `guard` has to stand before it."""
    it = _Pages(house, known)
    named = Names(hmac.new(known.key, b"names", sha256).digest())
    looks: dict[str, Page] = {
        "/": partial(looking.timeline, names=named),
        "/interactions/{id}": looking.one,
        "/sound/{id}": looking.sound,
        "/agenda": calendar.agenda,
        "/forget": partial(erasing.choose, names=named),
        "/receipts": erasing.receipts,
        "/receipts/{plan}": erasing.receipt,
        "/receipts/{plan}/file": erasing.receipt_file,
        "/prove": erasing.prove,
        "/held": holding.report,
        "/settings": partial(holding.settings, names=named),
        "/machine": holding.machine,
    }
    acts: dict[str, Page] = {
        "/search": looking.search,
        "/newer": looking.newer,
        "/outlines": looking.outlines,
        "/living": looking.living,
        "/plan": partial(erasing.plan, names=named),
        "/forget": partial(erasing.forget, names=named),
        "/judge": erasing.judge,
        "/settings/limits": holding.set_limits,
        "/settings/profiles": holding.add_profile,
        "/agenda/calendar": calendar.subscribe,
        "/settings/unbind": holding.unbind,
        "/settings/remove": holding.remove_profile,
    }
    apart: dict[str, tuple[Apart, str]] = {
        f"{CALENDAR}{{secret}}": (calendar.Feed(), "GET"),
        "/skills": (holding.skills, "GET"),
        "/skills/allow": (holding.allow, "POST"),
        "/microphones": (lambda _house, _asked: holding.microphones(), "POST"),
    }
    return Starlette(
        routes=[
            Route("/static/{name}", it.static, methods=["GET"]),
            Route(ENTER, it.door, methods=["GET"]),
            Route(ENTER, it.enter, methods=["POST"]),
            Route("/events", it.events, methods=["GET"]),
            Route("/microphone", it.microphone, methods=["POST"]),
            *(Route(path, it.apart(page), methods=[how]) for path, (page, how) in apart.items()),
            *(Route(path, it.page(page), methods=["POST"]) for path, page in acts.items()),
            *(Route(path, it.page(page), methods=["GET"]) for path, page in looks.items()),
        ],
        exception_handlers={HTTPException: it.on_http, Exception: it.on_defect},
    )


class _Pages:
    def __init__(self, house: House, known: Secrets) -> None:
        self._house, self._known = house, known

    def page(self, answer: Page) -> Endpoint:
        """Returns what answers with the vault held."""

        def held(house: House, asked: Asked) -> Answer:
            with house.acting() as vault:
                return answer(vault, asked)

        return self.apart(held)

    def apart(self, answer: Apart) -> Endpoint:
        """Returns what answers with a page, or with a page that tells of what went wrong."""

        async def endpoint(request: Request) -> Response:
            is_part = PART_HEADER in request.headers
            try:
                asked = await read(request, self._house.memory)
                if request.method == "POST" and not is_same(asked.csrf, self._known.csrf):
                    return self._problem(403, _ANEW, is_part)
                return await run_in_threadpool(self._answer, answer, asked)
            except ClientDisconnect:
                return Response(status_code=400)
            except Exception as error:  # noqa: BLE001 - the one place where every refusal ends
                return self._problem(*_told(error), is_part)

        return endpoint

    def _answer(self, answer: Apart, asked: Asked) -> Response:
        found = answer(self._house, asked)
        if asked.is_part and isinstance(found, RedirectResponse):
            return JSONResponse({"to": found.headers["location"]})
        if isinstance(found, Shown):
            more = {"csrf": self._known.csrf, "query": asked.query, "urlencode": urlencode}
            return _rendered(found, more | {"hears": self._house.place is not None})
        return found

    def _problem(self, status: int, what: str, is_part: bool) -> Response:
        if is_part:
            return JSONResponse({"problem": what}, status)
        values = {"headline": _HEADLINES.get(status, _HEADLINES[500]), "what": what}
        return _rendered(Shown("problem.html", {**values, "status": status}, status), _FOR_ALL)

    async def on_http(self, request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        what = "Choose something from the menu." if status == 404 else "Go back and try again."
        return self._problem(status, what, PART_HEADER in request.headers)

    async def on_defect(self, _: Request, error: Exception) -> Response:
        return self._problem(500, defect(error), is_part=False)

    async def static(self, request: Request) -> Response:
        name = PurePosixPath(request.path_params["name"])
        file = files("pipeline.web").joinpath("static", name.name)
        if name.suffix not in _TYPES or not file.is_file():
            return PlainTextResponse("there is no such file\n", 404)
        return Response(file.read_bytes(), media_type=_TYPES[name.suffix])

    async def door(self, _: Request) -> Response:
        return _rendered(Shown("enter.html", {}), _FOR_ALL)

    async def enter(self, request: Request) -> Response:
        """Lets a browser in that shows the ticket of the link; from then on the link is used up."""
        try:
            ticket = (await read(request, self._house.memory)).one("ticket")
        except (TooMuch, ClientDisconnect):
            ticket = ""
        if not self._known.take(ticket):
            return JSONResponse({"problem": "this link is used up or too old"}, 403)
        self._house.on_enter()
        answer = Response(status_code=204)
        name = cookie_name(request.headers.get("host", ""))
        answer.set_cookie(name, self._known.cookie, httponly=True, samesite="strict")
        return answer

    async def microphone(self, request: Request) -> Response:
        """Mutes the microphone or opens it again; needs no vault, and so waits for nobody."""
        try:
            asked = await read(request, self._house.memory)
        except (TooMuch, ClientDisconnect) as error:
            return self._problem(*_told(error), is_part=True)
        place, wish = self._house.place, _WISHES.get(asked.one("wish"))
        if not is_same(asked.csrf, self._known.csrf):
            return self._problem(403, _ANEW, is_part=True)
        if place is None or wish is None:
            return self._problem(404, "There is no microphone here.", is_part=True)
        place.wish(is_muted=wish)
        return Response(status_code=204)

    async def events(self, _: Request) -> Response:
        """Tells of what is heard and erased for as long as this worker's turn lasts."""
        try:
            entries = await run_in_threadpool(self._house.entries)
        except Exception as error:  # noqa: BLE001 - as above
            return self._problem(*_told(error), is_part=True)
        return StreamingResponse(_stream(self._house.changes(entries)), media_type=_STREAM)


def _rendered(it: Shown, more: Mapping[str, object]) -> Response:
    page = templates().get_template(it.template)
    return HTMLResponse(page.render(**it.values, **more), it.status)


async def _stream(changes: AsyncIterator[tuple[str, str]]) -> AsyncIterator[str]:
    yield f"retry: {_RETRY_MS}\n\n"
    async for name, data in changes:
        yield f"event: {name}\ndata: {data}\n\n" if name else ":\n\n"


def _told(error: Exception) -> tuple[int, str]:
    """Returns the status and the words for what went wrong; messages of ours hold no speech."""
    kinds: tuple[tuple[type[Exception], int], ...] = (
        (Erased, 410),
        (NotFound, 404),
        (Refused, 400),
        (TooMuch, 413),
        (Busy, 503),
        (KeysError, 500),
        (PipelineError, 500),
    )
    status = next((status for kind, status in kinds if isinstance(error, kind)), None)
    return (500, defect(error)) if status is None else (status, _sentence(str(error)))


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "?", "!")) else ".")
