"""The journal of a ring state alone: records torn, moved, repeated."""

import struct
from collections.abc import Iterable

from keys.model import Epoch
from keys.pages import Journal
from keys.secret import encrypt
from tests.fuzz.ring_state import ROOT, VAULT
from tests.fuzz.target import Target

JOURNAL = Journal(ROOT, VAULT, Epoch(1))
NONCE = bytes(range(12))
RECORDS = [bytes([n]) * (9 + 32 * n) for n in range(3)]


def sealed(number: int) -> bytes:
    body = NONCE + encrypt(JOURNAL._key, NONCE, bytearray(RECORDS[number]), JOURNAL._at(number))
    return struct.pack(">I", len(body)) + body


def run(data: bytes) -> None:
    for number, (end, record) in enumerate(JOURNAL.open(memoryview(data))):
        assert bytes(record) == RECORDS[number]
        assert data[:end] == b"".join(map(sealed, range(number + 1)))


def seeds() -> Iterable[bytes]:
    one, two, three = map(sealed, range(3))
    whole = one + two + three
    return whole, one + three, two + one, whole[:50], whole[:-1], bytes(60) + two, one + bytes(40)


TARGET = Target(run, seeds)
