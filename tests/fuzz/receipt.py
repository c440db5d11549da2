"""A receipt, and a confirmation: what parses is written again as the same bytes."""

from collections.abc import Iterable

from keys.confirmation import encode_confirmation, is_confirmation, parse_confirmation
from keys.confirmation import verify as verify_confirmation
from keys.receipt import parse_receipt, verify
from tests.fuzz.target import VECTORS, Target


def run(data: bytes) -> None:
    if is_confirmation(data):
        assert encode_confirmation(*parse_confirmation(data)) == data
        verify_confirmation(data)
    else:
        assert parse_receipt(data).encode() == data
        verify(data)


def seeds() -> Iterable[bytes]:
    for path in VECTORS.glob("receipts/*.receipt"):
        yield path.read_bytes()


TARGET = Target(run, seeds)
