"""A recovery copy, opened without a passphrase."""

from collections.abc import Iterable

from keys.recovery import parse_head
from tests.fuzz.ring_state import block
from tests.fuzz.target import Target

HEAD = 65


def run(data: bytes) -> None:
    head = parse_head(data)
    assert head.encode() == data[:HEAD]
    root = head.open(data, None)
    assert head.seal(root, None) == data


def seeds() -> Iterable[bytes]:
    whole = block("recovery-copy")
    other = whole[: HEAD - 1] + b"\x01" + whole[HEAD:]
    return whole, other, whole[:-1], whole.replace(b"/1\n", b"/2\n")


TARGET = Target(run, seeds)
