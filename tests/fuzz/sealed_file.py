"""The header of a sealed file and its opener, on bytes as they come."""

from collections.abc import Iterable

from keys.sealed import HEADER_SIZE, Opener, parse_header
from tests.fuzz.target import VECTORS, Target

KEY = bytearray(range(32))
"""The key of the vectors."""


def run(data: bytes) -> None:
    assert parse_header(data[:HEADER_SIZE]).encode() == data[:HEADER_SIZE]
    opener = Opener(KEY, lambda at, size: data[at : at + size], len(data))
    content = opener.read()
    assert len(content) == opener.length < len(data)
    assert b"".join(map(bytes, opener)) == bytes(content)


def seeds() -> Iterable[bytes]:
    return (path.read_bytes() for path in VECTORS.glob("sealed/*.sealed"))


TARGET = Target(run, seeds)
