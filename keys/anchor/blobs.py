"""The file beside the TPM: the sealed blobs of the shares, none of it secret (SPEC section 3.3).

Parses exactly what it encodes and refuses all else. A change here needs a new version in `MAGIC`.

    magic "anechoic-tpm/1" | vault 16 | index 4 | issued 8 | count 2
    count times: epoch 8 | limit 8 | size 2 | TPM2B_PRIVATE and TPM2B_PUBLIC, `size` bytes
    SHA-256 of all before it
"""

import hashlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from keys.errors import AnchorFailure
from keys.model import Epoch, VaultId

MAGIC = b"anechoic-tpm/1"
_HEAD = struct.Struct(">14s16sIQH")
_BLOB_HEAD = struct.Struct(">QQH")


@dataclass(frozen=True, slots=True)
class Blob:
    """A share of one epoch, sealed so that the TPM gives it while its counter is <= `limit`."""

    epoch: Epoch
    limit: int
    sealed: bytes


@dataclass(frozen=True, slots=True)
class State:
    """What the file holds: where the counter is, the highest limit given out, the blobs."""

    index: int
    issued: int = 0
    blobs: tuple[Blob, ...] = ()


def encode(vault: VaultId, state: State) -> bytes:
    """Returns the bytes of the anchor's file."""
    parts = [_HEAD.pack(MAGIC, vault, state.index, state.issued, len(state.blobs))]
    for blob in state.blobs:
        parts += [_BLOB_HEAD.pack(blob.epoch, blob.limit, len(blob.sealed)), blob.sealed]
    body = b"".join(parts)
    return body + hashlib.sha256(body).digest()


def parse(data: bytes, where: str) -> tuple[VaultId, State]:
    """Returns vault and state of exactly what `encode` made; raises `AnchorFailure`."""
    body, checksum = data[:-32], data[-32:]
    if len(body) < _HEAD.size or hashlib.sha256(body).digest() != checksum:
        raise AnchorFailure(f"{where} is damaged; put a copy of its newest version back")
    magic, vault, index, issued, count = _HEAD.unpack_from(body)
    blobs = tuple(_parse_blobs(body, _HEAD.size)) if magic == MAGIC else ()
    state = State(index, issued, blobs)
    if len(blobs) != count or encode(vault, state) != data:
        raise AnchorFailure(f"{where} is not a TPM anchor's file of this version")
    return VaultId(vault), state


def _parse_blobs(body: bytes, offset: int) -> Iterator[Blob]:
    while len(body) - offset >= _BLOB_HEAD.size:
        epoch, limit, size = _BLOB_HEAD.unpack_from(body, offset)
        start = offset + _BLOB_HEAD.size
        yield Blob(Epoch(epoch), limit, body[start : start + size])
        offset = start + size
