"""The recovery copy: the root of one epoch in a file, by the user's wish (SPEC section 3.7).

Whoever has it opens every copy of the ring of that epoch, for ever: it is outstanding, like a way
to the root, until its user swears it destroyed. Pure but for the random name and salt; takes
exactly what it encodes. A passphrase is stretched by the caller; without one the key follows from
the file itself, and the tag is a checksum that hides nothing.
"""

import secrets
import struct
from dataclasses import dataclass
from typing import Self

from keys.errors import AnchorFailure, Malformed, Tampered
from keys.model import ID_SIZE, KEY_SIZE, Epoch, VaultId
from keys.secret import NONCE_ZERO, TAG_SIZE, Secret, decrypt, derive, encrypt

PREFIX = "recovery-"
"""How the names of recovery copies begin, among the names of ways."""
_MAGIC = b"anechoic-recovery/1\n"
_HEAD = struct.Struct(f">20s{ID_SIZE}sQ4s{ID_SIZE}sB")
_SIZE = _HEAD.size + KEY_SIZE + TAG_SIZE


@dataclass(frozen=True, slots=True)
class RecoveryHead:
    """What stands in clear: of which vault and epoch the copy is, its number, the salt."""

    vault: VaultId
    epoch: Epoch
    number: bytes
    salt: bytes
    has_passphrase: bool

    @classmethod
    def draw(cls, vault: VaultId, epoch: Epoch, *, has_passphrase: bool) -> Self:
        """Returns the head of a new copy."""
        random = secrets.token_bytes(4), secrets.token_bytes(ID_SIZE)
        return cls(vault, epoch, *random, has_passphrase)

    @property
    def name(self) -> str:
        """The name of the copy among the ways to the root."""
        return PREFIX + self.number.hex()

    def encode(self) -> bytes:
        """Returns the first bytes of the file."""
        parts = self.vault, self.epoch, self.number, self.salt, self.has_passphrase
        return _HEAD.pack(_MAGIC, *parts)

    def seal(self, root: Secret, passphrase_key: Secret | None) -> bytes:
        """Returns the whole file."""
        with self._key(passphrase_key) as key:
            return self.encode() + encrypt(key, NONCE_ZERO, root, self.encode())

    def open(self, data: bytes | bytearray, passphrase_key: Secret | None) -> Secret:
        """Returns the root in the file of this head; raises `AnchorFailure`."""
        try:
            with self._key(passphrase_key) as key:
                sealed = memoryview(data)[_HEAD.size :]
                return decrypt(key, NONCE_ZERO, sealed, self.encode(), "the recovery copy")
        except Tampered:
            wrong = "its passphrase is wrong, or it" if self.has_passphrase else "it"
            raise AnchorFailure(f"{self.name} does not open: {wrong} is damaged") from None

    def _key(self, passphrase_key: Secret | None) -> Secret:
        if self.has_passphrase != (passphrase_key is not None):
            raise AnchorFailure(
                f"{self.name} has {'a' if self.has_passphrase else 'no'} passphrase"
            )
        return derive(passphrase_key or Secret(), self.salt, self.encode())


def parse_head(data: bytes | bytearray) -> RecoveryHead:
    """Returns the head of a recovery copy; raises `Malformed` for what is none."""
    if len(data) != _SIZE or not data.startswith(_MAGIC):
        raise Malformed("this is no recovery copy of this version")
    _, vault, epoch, number, salt, has_passphrase = _HEAD.unpack_from(data)
    head = RecoveryHead(VaultId(vault), Epoch(epoch), number, salt, bool(has_passphrase))
    if head.encode() != data[: _HEAD.size] or not 0 < epoch < 2**63:
        raise Malformed("this is no recovery copy in its canonical form")
    return head
