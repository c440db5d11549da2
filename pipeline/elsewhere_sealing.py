"""What travels to a recogniser on another machine and back, sealed so that only both ends read it.

Promises that a message opens with the private key it was sealed to and with nothing that is left on
our side, that its answer opens with the key that only sender and receiver have, and that lengths
are padded. It does not prove who made the public key: that is the business of TLS. Pure but for
randomness. A change here is a change of what travels: a new `_INFO`.
"""

import json
import secrets
import struct
from collections.abc import Sequence
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from keys.errors import Tampered
from keys.model import KEY_SIZE
from keys.sealed import pad_padme
from keys.secret import NONCE_ZERO, Secret, decrypt, derive, encrypt
from pipeline.model import Word

PUBLIC_SIZE = 32
_INFO = b"anechoic-elsewhere/1"
_NONCE_SIZE = 12
_LENGTH = struct.Struct(">I")
_STEP = 4096


class Sent(NamedTuple):
    """A sealed message, and the key that its answer will open with."""

    message: bytes
    answer_key: Secret


class Received(NamedTuple):
    """The content of a message, and the key to seal its answer with."""

    content: Secret
    answer_key: Secret


def seal_to(public: bytes, content: bytes) -> Sent:
    """Seals content to a public key (X25519, 32 bytes), under keys made for this message alone."""
    ours = X25519PrivateKey.generate()
    mine = ours.public_key().public_bytes_raw()
    shared = ours.exchange(X25519PublicKey.from_public_bytes(public))
    key, answer_key = _keys(shared, mine, public)
    with key, _padded(content, pad_padme(len(content) + _LENGTH.size)) as plain:
        return Sent(mine + bytes(encrypt(key, NONCE_ZERO, plain, _INFO)), answer_key)


def open_sent(private: X25519PrivateKey, message: bytes) -> Received:
    """Opens what `seal_to` sealed to this key; raises `Tampered`."""
    theirs = message[:PUBLIC_SIZE]
    try:
        shared = private.exchange(X25519PublicKey.from_public_bytes(theirs))
    except ValueError:  # too short, or a point that makes no secret
        raise Tampered("a message to a recogniser does not begin with a public key") from None
    key, answer_key = _keys(shared, theirs, private.public_key().public_bytes_raw())
    with key:
        plain = decrypt(key, NONCE_ZERO, message[PUBLIC_SIZE:], _INFO, "a message to a recogniser")
    return Received(_unpadded(plain), answer_key)


def seal_answer(key: Secret, content: bytes) -> bytes:
    """Seals an answer; the nonce is random, because a message that is sent twice has two."""
    size = -(-(len(content) + _LENGTH.size) // _STEP) * _STEP
    nonce = secrets.token_bytes(_NONCE_SIZE)
    with _padded(content, size) as plain:
        return nonce + bytes(encrypt(key, nonce, plain, _INFO))


def open_answer(key: Secret, answer: bytes) -> Secret:
    """Opens what `seal_answer` sealed; raises `Tampered`."""
    nonce, sealed = answer[:_NONCE_SIZE], answer[_NONCE_SIZE:]
    return _unpadded(decrypt(key, nonce, sealed, _INFO, "the answer of a recogniser"))


def words_to_json(words: Sequence[Word]) -> bytes:
    """Returns words as they travel, within an answer."""
    rows = [[it.word, it.start_ms, it.end_ms, it.confidence] for it in words]
    return json.dumps({"words": rows}).encode()


def _keys(shared: bytes, sender: bytes, receiver: bytes) -> tuple[Secret, Secret]:
    with derive(bytearray(shared), sender + receiver, _INFO, 2 * KEY_SIZE) as both:
        view = memoryview(both)
        return Secret(view[:KEY_SIZE]), Secret(view[KEY_SIZE:])


def _padded(content: bytes, size: int) -> Secret:
    out = Secret(size)
    view = memoryview(out)
    view[: _LENGTH.size] = _LENGTH.pack(len(content))
    view[_LENGTH.size : _LENGTH.size + len(content)] = content
    return out


def _unpadded(plain: Secret) -> Secret:
    with plain:
        if len(plain) < _LENGTH.size:
            raise Tampered("what came from a recogniser is too short")
        (length,) = _LENGTH.unpack_from(plain)
        if length > len(plain) - _LENGTH.size:
            raise Tampered("what came from a recogniser is shorter than it says")
        return Secret(memoryview(plain)[_LENGTH.size : _LENGTH.size + length])
