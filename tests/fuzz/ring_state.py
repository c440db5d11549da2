"""A ring state with its top page and journal, under the root of the specification's example.

Whoever has not the root can make nothing that opens: what is given out is what the example holds.
"""

import re
from collections.abc import Iterable
from pathlib import Path

import keys
from keys.model import VaultId
from keys.pages import Journal, open_top, parse_head
from keys.secret import Secret
from tests.fuzz.target import Target

SPEC = (Path(keys.__file__).parent / "SPEC.md").read_text(encoding="utf-8")
ROOT = Secret(range(0xA0, 0xC0))
VAULT = VaultId(bytes(range(16)))
SLOT_KEY = bytes(range(0x40, 0x60))


def block(name: str) -> bytes:
    """Returns a block in hex of the worked example."""
    found = re.search(rf"^```hex {name}\n(.*?)^```$", SPEC, re.MULTILINE | re.DOTALL)
    assert found is not None
    return bytes.fromhex(found[1])


def run(data: bytes) -> None:
    view = memoryview(data)
    head, at = parse_head(data)
    top, size = open_top(view[at:], ROOT, data[:at])
    assert data[:at] == block("state-head")
    assert (top.next_slot, len(top.pages), top.pending) == (0, 0, b"")
    for _, record in Journal(ROOT, head.vault, head.epoch).open(view[at + size :]):
        assert bytes(record[-32:]) == SLOT_KEY


def seeds() -> Iterable[bytes]:
    start, journal = block("state-head") + block("state-top"), block("state-journal")
    return start, start + journal, start + journal + journal, start + journal[:40], start + b"\0\0"


TARGET = Target(run, seeds)
