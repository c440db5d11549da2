"""The file beside a TPM, with the checksum that somebody can make for it; an entry of a keyring."""

from base64 import b64encode
from collections.abc import Iterable
from contextlib import suppress
from hashlib import sha256

from keys.anchor.blobs import Blob, State, encode, parse
from keys.anchor.keyring import _decode, _encode
from keys.errors import AnchorFailure
from keys.model import Epoch, VaultId
from tests.fuzz.target import Target

VAULT = VaultId(bytes(range(16)))


def run(data: bytes) -> None:
    for file in (data, data + sha256(data).digest()):
        with suppress(AnchorFailure):
            assert encode(*parse(file, "it")) == file
    text = data.decode("utf-8", "replace")
    assert _encode(*_decode(text, "it")) == text


def seeds() -> Iterable[bytes]:
    blobs = Blob(Epoch(1), 5, b"sealed"), Blob(Epoch(2), 6, b"")
    for state in (State(7), State(7, 6, blobs)):
        yield encode(VAULT, state)[:-32]
        yield encode(VAULT, state)
    yield b"anechoic-share/1 3 " + b64encode(bytes(32))


TARGET = Target(run, seeds)
