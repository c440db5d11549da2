"""A file in which sealed files are looked for: one of them, a tar file, compressed or not."""

import bz2
import contextlib
import gzip
import io
import lzma
import os
import sys
import tarfile
import tempfile
from collections.abc import Iterable
from pathlib import Path

from keys.copies import find_sealed
from keys.errors import Malformed
from tests.fuzz.target import VECTORS, Target

# In memory where that can be had, and nothing to be cleared away when a fuzzer ends the process.
FILE = (
    Path(f"/proc/self/fd/{os.memfd_create('copy')}")
    if sys.platform == "linux"
    else Path(tempfile.mkdtemp()) / "copy"
)


def run(data: bytes) -> None:
    FILE.write_bytes(data)
    for found in find_sealed(FILE):
        assert found.name.startswith(str(FILE))
        if found.header is not None:
            with contextlib.suppress(Malformed):  # damaged after its header, which shows here
                assert found.content()[:160] == found.header.encode()


def archive(**members: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def seeds() -> Iterable[bytes]:
    sealed = (VECTORS / "sealed" / "valid-one-byte.sealed").read_bytes()
    tar = archive(one=sealed, other=b"no", two=sealed, bent=sealed[:100])[:6144]
    yield from (sealed, sealed[:90], tar, tar[:2000])
    for pack in (gzip.compress, bz2.compress, lzma.compress):
        yield from (pack(sealed), pack(tar), pack(tar)[:-30])


TARGET = Target(run, seeds)
