"""The opener on what a holder of the key sealed: any `padded`, in chunks of any number and size.

The first byte of the input gives the size of the chunks, the rest is what is sealed, in the form or
out of it.
"""

import runpy
from collections.abc import Iterable

from keys.sealed import Opener
from tests.fuzz.target import VECTORS, Target

REFERENCE = runpy.run_path(str(VECTORS / "make_sealed.py"))
KEY = bytearray(REFERENCE["KEY"])


def run(data: bytes) -> None:
    log2, plain = 10 + (data[0] if data else 0) % 3, data[1:]
    header = REFERENCE["committed"](header=REFERENCE["head"](log2=log2))
    chunks = REFERENCE["body"](header, plain, 1 << log2)
    file = header + b"".join(chunks)
    opener = Opener(KEY, lambda at, size: file[at : at + size], len(file))
    assert opener.length <= len(plain) - 8
    assert len(plain) % 16 == 0
    assert bytes(opener.read()) == plain[: opener.length]
    middle = opener.length // 2
    assert bytes(opener.read(middle, 100)) == plain[middle : min(middle + 100, opener.length)]


def seeds() -> Iterable[bytes]:
    for size in (0, 1, 8, 9, 1016, 1017, 1024, 3000):
        plain = REFERENCE["content"](size)
        for zeros in (None, 0, 24):
            yield bytes([size % 3]) + REFERENCE["padded"](plain, zeros)
    yield b"\0" + bytes(15) + b"\xff" * 9


TARGET = Target(run, seeds)
