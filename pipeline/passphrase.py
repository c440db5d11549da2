"""What becomes of a passphrase: a key of 32 bytes, by Argon2id (RFC 9106).

Promises no copy of the passphrase of its own. The costs belong to the format of the vault and of
recovery copies: other costs give other keys, and nothing would open.
"""

from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from keys.errors import AnchorFailure
from keys.model import KEY_SIZE
from keys.secret import Secret

_MEMORY_KIB = 64 * 1024
_ITERATIONS = 3
_LANES = 4


def stretch(passphrase: bytearray, salt: bytes) -> Secret:
    """Returns the key of a passphrase in UTF-8; raises `AnchorFailure` for an empty one."""
    if not passphrase:
        raise AnchorFailure("a passphrase is needed here, and none was given")
    out = Secret(KEY_SIZE)
    Argon2id(
        salt=salt,
        length=KEY_SIZE,
        iterations=_ITERATIONS,
        lanes=_LANES,
        memory_cost=_MEMORY_KIB,
    ).derive_into(passphrase, out)  # type: ignore[arg-type]  # its stub says bytes
    return out
