"""A page of keys, under the page key and the page of the specification's example."""

from collections.abc import Iterable
from hashlib import sha256

from keys.pages import open_page, seal_page
from keys.pagetable import PageRef
from keys.secret import Secret
from tests.fuzz.ring_state import SLOT_KEY, VAULT, block
from tests.fuzz.target import Target

PAGE_KEY = Secret(range(0x70, 0x90))


def example() -> bytes:
    plain = Secret(SLOT_KEY + bytes(32 * 1023))
    return bytes(seal_page(plain, PageRef(0, PAGE_KEY), VAULT, 0))


def run(data: bytes) -> None:
    keys = open_page(bytearray(data), PageRef(0, PAGE_KEY), VAULT, 0)
    assert sha256(data).digest() == block("page-hash")
    assert bytes(keys[:32]) == SLOT_KEY


def seeds() -> Iterable[bytes]:
    return example(), example()[:100], bytes(16)


TARGET = Target(run, seeds)
