"""Secret bytes: made, derived and wiped without ever becoming `bytes` or `str`.

Python never clears what it frees, so key material lives only in `Secret`s, which overwrite
themselves when they go. Anything that would copy a key (slicing, `bytes()`, growing, `.derive()`)
is not done in this package; `tests/test_memory.py` looks for what slips through.
"""

import hmac
import os
import sys
from typing import Self

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from keys.errors import Tampered
from keys.model import KEY_SIZE, Commitment

TAG_SIZE = 16
NONCE_ZERO = bytes(12)
_FEW = bytes(64)
_MANY = memoryview(bytes(1 << 16))


class Secret(bytearray):
    """Holds secret bytes of a fixed length and overwrites them when wiped, left or freed."""

    def wipe(self) -> None:
        """Overwrites the content with zeros in place."""
        if len(self) <= len(_FEW):
            self[:] = _FEW[: len(self)]
            return
        view = memoryview(self)
        for start in range(0, len(self), len(_MANY)):
            view[start : start + len(_MANY)] = _MANY[: len(self) - start]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.wipe()

    def __del__(self) -> None:
        self.wipe()

    def __repr__(self) -> str:
        return f"<secret of {len(self)} bytes>"

    __str__ = __repr__


def random_secret(size: int = KEY_SIZE) -> Secret:
    """Draws `size` random bytes from the operating system, straight into their place."""
    secret = Secret(size)
    fill_random(memoryview(secret))
    return secret


def fill_random(view: memoryview) -> None:
    """Fills `view` with random bytes from the operating system without an intermediate copy."""
    if sys.platform == "win32":
        view[:] = os.urandom(len(view))  # no device to read there: a copy stays until it is reused
        return
    # os.urandom() would leave a second copy in freed memory; reading the device does not.
    with open("/dev/urandom", "rb", buffering=0) as source:
        while len(view):
            view = view[source.readinto(view) :]


def derive(key: bytearray, salt: bytes, info: bytes, size: int = KEY_SIZE) -> Secret:
    """Derives `size` bytes by HKDF-SHA-512 (RFC 5869)."""
    out = Secret(size)
    HKDF(algorithm=SHA512(), length=size, salt=salt, info=info).derive_into(key, out)
    return out


def commitment(key: bytearray) -> Commitment:
    """Returns HKDF-Expand-SHA-256(key, "commit", 32), public for ever (SPEC section 2.3)."""
    # One block of RFC 5869 section 2.3 is one HMAC; 1 µs instead of 10 counts at a million slots.
    return Commitment(hmac.digest(key, b"commit\x01", "sha256"))


def encrypt(
    key: bytearray | memoryview, nonce: bytes, plain: bytearray | memoryview, aad: bytes
) -> bytearray:
    """Seals `plain` with AES-256-GCM and returns ciphertext and tag."""
    out = bytearray(len(plain) + TAG_SIZE)
    AESGCM(key).encrypt_into(nonce, plain, aad, out)
    return out


def decrypt(
    key: bytearray | memoryview,
    nonce: bytes,
    sealed: bytes | bytearray | memoryview,
    aad: bytes,
    what: str,
) -> Secret:
    """Opens what `encrypt` sealed, or raises `Tampered` naming `what`."""
    if len(sealed) < TAG_SIZE:
        raise Tampered(f"{what}: {len(sealed)} bytes are too few to hold a tag")
    out = Secret(len(sealed) - TAG_SIZE)
    try:
        AESGCM(key).decrypt_into(nonce, sealed, aad, out)
    except Exception as error:  # InvalidTag, or a size that the library refuses
        raise Tampered(f"{what} does not open under its key") from error
    return out
