"""Timestamped cosignatures of checkpoints, exactly as c2sp.org/tlog-cosignature writes them.

Two types: Ed25519 (0x04), by which witnesses say that they saw a checkpoint, and ML-DSA-44 (0x06),
the same for witnesses and also what a log signs with beside its Ed25519 key, so that a receipt
holds when Ed25519 does not any more. It promises that a time comes back only with a signature that
holds; it reads no clock. Verifiers that do not know these types ignore them, as C2SP asks.
"""

import struct
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey, MLDSA44PublicKey

from keys.errors import Malformed, Tampered
from keys.note import ID_SIZE, Checkpoint, VerifierKey, check_name, parse_vkey, split_note

ED25519, ML_DSA_44 = 0x04, 0x06
NAMES = {ED25519: "Ed25519", ML_DSA_44: "ML-DSA-44"}
_KEY_SIZES = {ED25519: 32, ML_DSA_44: 1312}
_TIME = struct.Struct(">Q")
_LABEL = b"subtree/v1\n\0"
_LATEST = 253_402_300_799
"""The last second of the year 9999: whoever shows a time need not show a later one."""


@dataclass(frozen=True, slots=True)
class CosignerKey:
    """A named public key of type 0x04 (32 bytes) or 0x06 (1,312 bytes).

    Raises Malformed on a name that C2SP does not allow, another size, and a point of small order.
    """

    name: str
    kind: int
    public: bytes

    def __post_init__(self) -> None:
        check_name(self.name)
        if len(self.public) != _KEY_SIZES.get(self.kind) or len(self.name.encode()) > 255:
            raise Malformed("a cosigner's key is of type 0x04 or 0x06, and of the size of that")
        if self.kind == ED25519:
            VerifierKey(self.name, self.public)  # which refuses a point of small order

    @property
    def id(self) -> bytes:
        """SHA-256(name || 0x0A || type || public key)[:4] (tlog-cosignature, "Format")."""
        body = self.name.encode() + b"\n" + bytes([self.kind]) + self.public
        return sha256(body).digest()[:ID_SIZE]

    @property
    def hash(self) -> bytes:
        """The SHA-256 of the public key, by which the log names its second key."""
        return sha256(self.public).digest()

    @classmethod
    def parse(cls, vkey: str) -> Self:
        """Read `name+hex id+base64(type || public key)`; the id must be the key's own."""
        name, key_id, blob = parse_vkey(vkey)
        key = cls(name, blob[0], blob[1:])
        if key_id != key.id.hex():
            raise Malformed("a cosigner's key id is not that of its name and key")
        return key

    def format(self) -> str:
        """Write the key as `parse` reads it."""
        blob = b64encode(bytes([self.kind]) + self.public).decode()
        return f"{self.name}+{self.id.hex()}+{blob}"

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()} ({NAMES[self.kind]})"

    def verify(self, text: str, signature: bytes) -> None:
        """Return only if the timestamped signature over a checkpoint's text holds; Tampered."""
        self.time(text, signature)

    def time(self, text: str, signature: bytes) -> int:
        """Return the time (seconds since 1970, 0 for none) that the signature says, if it holds."""
        when, proof = signature[: _TIME.size], signature[_TIME.size :]
        if len(when) < _TIME.size or (seconds := _TIME.unpack(when)[0]) > _LATEST:
            raise Tampered(f"the cosignature of {self} has no time, or one beyond the year 9999")
        try:
            self._check(proof, _message(self.kind, self.name, text, seconds))
        except InvalidSignature:
            raise Tampered(f"the cosignature of {self} does not hold") from None
        return int(seconds)

    def _check(self, signature: bytes, message: bytes) -> None:
        if self.kind == ED25519:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, message)
        else:
            MLDSA44PublicKey.from_public_bytes(self.public).verify(signature, message)


class Cosigner:
    """A named ML-DSA-44 private key, built from its 32-byte seed, which the caller may wipe."""

    __slots__ = ("_clock", "_private", "verifier")

    verifier: CosignerKey

    def __init__(
        self, name: str, seed: bytes | bytearray, clock: Callable[[], int] = lambda: 0
    ) -> None:
        if len(seed) != 32:
            raise Malformed("an ML-DSA-44 seed has 32 bytes")
        self._private, self._clock = MLDSA44PrivateKey.from_seed_bytes(seed), clock
        self.verifier = CosignerKey(name, ML_DSA_44, self._private.public_key().public_bytes_raw())

    def __repr__(self) -> str:
        return f"Cosigner({self.verifier}, private key redacted)"

    def signature_line(self, text: str) -> str:
        """Sign a checkpoint's text: `— name base64(id || time || signature)` and a newline."""
        key, seconds = self.verifier, self._clock()
        proof = self._private.sign(_message(key.kind, key.name, text, seconds))
        blob = b64encode(key.id + _TIME.pack(seconds) + proof).decode()
        return f"— {key.name} {blob}\n"


def times(note: str, key: CosignerKey) -> list[int]:
    """Return the times of all cosignatures of `key` on a note; Tampered where one does not hold."""
    text, signatures = split_note(note)
    mine = (blob for name, blob in signatures if (name, blob[:ID_SIZE]) == (key.name, key.id))
    return [key.time(text, blob[ID_SIZE:]) for blob in mine]


def _message(kind: int, name: str, text: str, seconds: int) -> bytes:
    """Return what is signed (tlog-cosignature, "Ed25519 …" and "ML-DSA-44 signed message")."""
    if kind == ED25519:
        return f"cosignature/v1\ntime {seconds}\n{text}".encode()
    head = Checkpoint.parse(text)
    if head.extensions:  # they would not be signed, and whoever reads them would think they are
        raise Tampered("an ML-DSA-44 cosignature of a checkpoint with extension lines counts not")
    parts = _LABEL, _opaque(name), _TIME.pack(seconds), _opaque(head.origin)
    return b"".join(parts) + _TIME.pack(0) + _TIME.pack(head.size) + head.root


def _opaque(text: str) -> bytes:
    data = text.encode()
    if not 0 < len(data) < 256:
        raise Malformed("a cosigned name has 1 to 255 bytes")
    return bytes([len(data)]) + data
