"""What a request asks: its body within limits, its fields, and nothing of it in any error.

Promises that a body which is too long, too slow, of too many fields or of another form is refused
before anything is done, and that no `repr` shows what was asked. Change the limits here.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl

from starlette.requests import Request

from pipeline.errors import PipelineError
from pipeline.web.guard import CSRF_FIELD, CSRF_HEADER
from pipeline.web.house import Memory

MOST_BYTES = 256 * 1024
MOST_FIELDS = 2048
PATIENCE_S = 10.0
PART_HEADER = "x-anechoic-part"
_FORM = "application/x-www-form-urlencoded"


class TooMuch(PipelineError):
    """A body beyond the limits: longer, slower or of more fields than any page of ours sends."""


@dataclass(frozen=True, slots=True, repr=False)
class Asked:
    """One request, read whole."""

    path: Mapping[str, str]
    query: Mapping[str, str]
    fields: tuple[tuple[str, str], ...]
    memory: Memory
    range: str | None = None
    is_part: bool = False
    """A script of ours asks, and wants no whole page."""
    csrf: str = ""
    host: str = ""
    """The name of ours by which it was asked."""

    def one(self, name: str) -> str:
        """Returns a field, trimmed; empty where it is not there."""
        return next((value.strip() for key, value in self.fields if key == name), "")

    def all(self, name: str) -> list[str]:
        """Returns all fields of a name."""
        return [value for key, value in self.fields if key == name]


async def read(request: Request, memory: Memory) -> Asked:
    """Reads a request; raises `TooMuch`."""
    body = await _body(request) if request.method == "POST" else b""
    fields = _fields(request, body) if body else ()
    csrf = request.headers.get(CSRF_HEADER) or dict(fields).get(CSRF_FIELD, "")
    return Asked(
        request.path_params,
        dict(request.query_params),
        tuple(it for it in fields if it[0] != CSRF_FIELD),
        memory,
        request.headers.get("range"),
        PART_HEADER in request.headers,
        csrf,
        request.headers.get("host", ""),
    )


async def _body(request: Request) -> bytes:
    found = bytearray()
    try:
        async with asyncio.timeout(PATIENCE_S):
            async for chunk in request.stream():
                found += chunk
                if len(found) > MOST_BYTES:
                    raise TooMuch(f"expected at most {MOST_BYTES} bytes, and more came")
    except TimeoutError:
        raise TooMuch(f"expected all of it within {PATIENCE_S:.0f} s; it came slower") from None
    return bytes(found)


def _fields(request: Request, body: bytes) -> tuple[tuple[str, str], ...]:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != _FORM:
        raise TooMuch("expected the fields of a form, and something else came")
    try:
        text = body.decode("ascii")
        return tuple(
            parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=MOST_FIELDS)
        )
    except ValueError:  # its text may hold what was asked
        raise TooMuch(f"expected at most {MOST_FIELDS} fields of a form") from None
