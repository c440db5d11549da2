"""The head of a ring state."""

from collections.abc import Iterable

from keys.pages import parse_head
from tests.fuzz.ring_state import block
from tests.fuzz.target import Target


def run(data: bytes) -> None:
    head, size = parse_head(data)
    assert head.encode() == data[:size]


def seeds() -> Iterable[bytes]:
    yield block("state-head")
    yield block("state-head") + block("state-top")


TARGET = Target(run, seeds)
