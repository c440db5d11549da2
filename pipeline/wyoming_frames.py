"""Frames of the Wyoming protocol, read from a stranger and written to one: within limits.

A frame is a line of JSON, then as many bytes of JSON and of payload as that line says. Promises
that no frame takes more memory than its limits allow and that whatever is not one is `BadFrame`:
too long, cut off, no UTF-8, no object, lengths that are no numbers. Of its data only what this
service understands is kept. Knows nothing of time: how long a frame may take is the caller's.
"""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.errors import PipelineError

LINE_MAX = 64 * 1024
"""Bytes of a header; the limit of the `StreamReader` that is read from."""
DATA_MAX = PAYLOAD_MAX = 1024 * 1024
_UNDERSTOOD = ("rate", "width", "channels", "text")

Json = Mapping[str, object]


class BadFrame(PipelineError):
    """What came is no frame, or none within the limits: answer with an error, and close."""


@dataclass(frozen=True, slots=True, repr=False)
class Frame:
    """One event of the protocol; its repr shows nothing of what a client sent."""

    kind: str
    data: Json
    payload: bytes

    def __repr__(self) -> str:
        return f"Frame(<redacted>, {len(self.payload)} bytes)"


async def read_frame(reader: asyncio.StreamReader) -> Frame | None:
    """Returns the next frame, None where the connection ended before it; raises `BadFrame`."""
    line = await _line(reader)
    if line is None:
        return None
    header = _object(line)
    data, kind = header.get("data"), header.get("type")
    if not isinstance(kind, str) or not (data is None or isinstance(data, dict)):
        raise BadFrame("the header has no type, or its data is no object")
    known = dict(data or {})
    if more := await _exactly(reader, _length(header, "data_length", DATA_MAX)):
        known |= _object(more)
    payload = await _exactly(reader, _length(header, "payload_length", PAYLOAD_MAX))
    return Frame(kind, {name: known[name] for name in _UNDERSTOOD if name in known}, payload)


def frame_bytes(kind: str, data: Json) -> bytes:
    """Returns a frame without payload, as it goes over the wire."""
    body = json.dumps(data).encode() if data else b""
    header = {"type": kind, **({"data_length": len(body)} if body else {})}
    return json.dumps(header).encode() + b"\n" + body


async def _line(reader: asyncio.StreamReader) -> bytes | None:
    try:
        return await reader.readuntil(b"\n")
    except asyncio.LimitOverrunError:
        raise BadFrame(f"a header is longer than {LINE_MAX} bytes") from None
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise BadFrame("the connection ended within a header") from None
        return None


async def _exactly(reader: asyncio.StreamReader, size: int) -> bytes:
    try:
        return await reader.readexactly(size)
    except asyncio.IncompleteReadError:
        raise BadFrame("the connection ended within a frame") from None


def _length(header: Json, name: str, limit: int) -> int:
    length = header.get(name)
    if length is None:
        return 0
    if type(length) is not int or not 0 <= length <= limit:  # True is an int, and no length
        raise BadFrame(f"{name} is no number from 0 to {limit}")
    return length


def _object(text: bytes) -> dict[str, object]:
    """Parses JSON that shall be an object; what is wrong with it is never repeated."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):  # no UTF-8 is a ValueError as well
        raise BadFrame("what should be JSON is none") from None
    if not isinstance(found, dict):
        raise BadFrame("what should be a JSON object is none")
    return found
