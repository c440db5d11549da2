"""Signed notes, checkpoints and log proofs, exactly as C2SP writes them.

It promises that whatever parses is formatted back to the same characters, that a text is returned
only under a valid signature of a key the caller named, and that all else raises: `Malformed` for
its shape, `Tampered` for its signatures. It implements c2sp.org/signed-note (Ed25519, type 0x01;
others are in `keys.cosignature`), c2sp.org/tlog-checkpoint and c2sp.org/tlog-proof@v1, and reads no
file and no clock. Nothing here may be changed without the vectors of `tests/vectors/notes`.
"""

from base64 import b64decode, b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Protocol, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from keys.errors import Malformed, Tampered
from keys.merkle import HASH_SIZE, Hash

MAX_SIGNATURES = 100
"""A note with more signature lines is refused unread; C2SP asks for at least 16."""

MAX_SIZE = 2**63 - 1
"""The largest tree size and leaf index, as in Go's tlog: both are an int64 there."""

_ED25519 = b"\x01"
ID_SIZE = 4
_KEY_SIZE = 32
_PROOF_MARK = "c2sp.org/tlog-proof@v1"

# The y-coordinates of the eight points of small order on the curve of RFC 8032, modulo its prime.
_P = 2**255 - 19
_Y8 = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7
_SMALL_ORDER_Y = frozenset({0, 1, _P - 1, _Y8, _P - _Y8})


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A named Ed25519 public key (32 bytes).

    Raises Malformed on a name that C2SP does not allow, and on a point of small order.
    """

    name: str
    public: bytes

    def __post_init__(self) -> None:
        check_name(self.name)
        _check(len(self.public) == _KEY_SIZE, "an Ed25519 public key has 32 bytes")
        # Under such a key one signature holds for many texts: it would commit its owner to nothing.
        # OpenSSL lets it pass. (Chalkias, Garillot, Nikolaenko: Taming the many EdDSAs, 2020.)
        y = int.from_bytes(self.public, "little") % 2**255 % _P
        _check(y not in _SMALL_ORDER_Y, "an Ed25519 public key is not a point of small order")

    @property
    def id(self) -> bytes:
        """SHA-256(name || 0x0A || 0x01 || public key)[:4] (signed-note, "Ed25519 signatures")."""
        return sha256(self.name.encode() + b"\n" + _ED25519 + self.public).digest()[:ID_SIZE]

    @classmethod
    def parse(cls, vkey: str) -> Self:
        """Read `name+hex id+base64(0x01 || public key)`; the id must be the key's own."""
        name, key_id, blob = parse_vkey(vkey)
        _check(blob[:1] == _ED25519, "a verifier key is not of type Ed25519 (0x01)")
        key = cls(name, blob[1:])
        _check(key_id == key.id.hex(), "a verifier key's id is not that of its name and key")
        return key

    def format(self) -> str:
        """Write the key as `parse` reads it."""
        return f"{self.name}+{self.id.hex()}+{_encode64(_ED25519 + self.public)}"

    def verify(self, text: str, signature: bytes) -> None:
        """Return only if the 64-byte `signature` over `text` is of this key; raises Tampered."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, text.encode())
        except InvalidSignature:
            raise Tampered(f"the signature of {self.name}+{self.id.hex()} does not hold") from None


class NoteKey(Protocol):
    """What a note's signature is checked with; `keys.cosignature` has another type of it."""

    @property
    def name(self) -> str:
        """The name that stands in the signature line."""

    @property
    def id(self) -> bytes:
        """The 4 bytes that stand before the signature."""

    def verify(self, text: str, signature: bytes) -> None:
        """Return only if the signature over `text` is of this key; raises Tampered."""


class NoteSigner(Protocol):
    """What signs a note."""

    def signature_line(self, text: str) -> str:
        """Return the signature line over `text`, with its newline."""


class Signer:
    """A named Ed25519 private key, built from its 32-byte seed.

    The seed is copied into OpenSSL, which clears its copy when the signer is freed: the caller may
    wipe its own at once. Raises Malformed on a wrong name or length.
    """

    __slots__ = ("_private", "verifier")

    verifier: VerifierKey

    def __init__(self, name: str, seed: bytes | bytearray | memoryview) -> None:
        _check(len(seed) == _KEY_SIZE, "an Ed25519 seed has 32 bytes")
        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        self.verifier = VerifierKey(name, self._private.public_key().public_bytes_raw())

    def __repr__(self) -> str:
        return f"Signer({self.verifier.format()}, private key redacted)"

    def signature_line(self, text: str) -> str:
        """Sign `text`: `— name base64(id || signature)` and a newline."""
        blob = self.verifier.id + self._private.sign(text.encode())
        return f"— {self.verifier.name} {_encode64(blob)}\n"


def sign(text: str, signers: Sequence[NoteSigner]) -> str:
    """Return the note of `text`, which ends in a newline, signed by each of 1 to 100 signers."""
    _check_characters(text)
    note = text + "\n" + "".join(signer.signature_line(text) for signer in signers)
    # Without its newline, a text could end in lines that would be read as signatures.
    _check(split_note(note)[0] == text, "a note's text ends in a newline")
    return note


def open_note(note: str, keys: Iterable[NoteKey]) -> str:
    """Return the text of `note` if every signature of a known key holds and there is at least one.

    Signatures of unknown keys are ignored, also when they share the name or the id of a known key.
    Raises Malformed, or Tampered when a signature does not hold or none is of a known key.
    """
    text, signatures = split_note(note)
    known = _by_name_and_id(keys)
    verified = 0
    for name, blob in signatures:
        key = known.get((name, blob[:ID_SIZE]))
        if key is not None:
            key.verify(text, blob[ID_SIZE:])
            verified += 1
    if not verified:
        raise Tampered("the note bears no signature of a known key")
    return text


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A log's tree head: origin line, number of leaves, root, opaque extension lines.

    Raises Malformed when a line is empty or holds a control character, or a number is out of range.
    """

    origin: str
    size: int
    root: Hash
    extensions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for line in (self.origin, *self.extensions):
            _check(line != "" and "\n" not in line, "a checkpoint's lines are single and not empty")
            _check_characters(line)
        _check(0 <= self.size <= MAX_SIZE, "a tree size is from 0 to 2**63 - 1")
        _check(len(self.root) == HASH_SIZE, "a root has 32 bytes")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the text of an opened note (tlog-checkpoint, "Note text")."""
        _check(text.endswith("\n"), "a checkpoint ends in a newline")
        lines = text[:-1].split("\n")
        _check(len(lines) >= 3, "a checkpoint has an origin, a size and a root")
        origin, size, root, *extensions = lines
        return cls(origin, _decode_decimal(size), _decode_hash(root), tuple(extensions))

    def format(self) -> str:
        """Write the text to be signed."""
        lines = (self.origin, str(self.size), _encode64(self.root), *self.extensions)
        return "".join(f"{line}\n" for line in lines)


@dataclass(frozen=True, slots=True)
class LogProof:
    """An inclusion proof with the signed checkpoint it leads to, and optional unsigned extra data.

    Parsing checks the shape only. Open the note, check the origin, then `verify_inclusion`.
    """

    index: int
    hashes: tuple[Hash, ...]
    checkpoint_note: str
    extra: bytes | None = None

    def __post_init__(self) -> None:
        _check(0 <= self.index <= MAX_SIZE, "a leaf index is from 0 to 2**63 - 1")
        _check(len(self.hashes) <= MAX_SIZE.bit_length(), "a proof has at most 63 hashes")
        _check(all(len(h) == HASH_SIZE for h in self.hashes), "a proof's hash has 32 bytes")
        _check(self.extra != b"", "extra data is not empty when it is present")
        Checkpoint.parse(split_note(self.checkpoint_note)[0])

    @classmethod
    def parse(cls, proof: str) -> Self:
        """Read a whole `.tlog-proof` (tlog-proof, "Format")."""
        head, _, checkpoint_note = proof.partition("\n\n")
        mark, *lines = head.split("\n")
        _check(mark == _PROOF_MARK, f"a proof starts with {_PROOF_MARK}")
        extra = None
        if lines and lines[0].startswith("extra "):
            extra = _decode64(lines.pop(0).removeprefix("extra "), "extra data")
        _check(bool(lines) and lines[0].startswith("index "), "a proof has an index line")
        index = _decode_decimal(lines.pop(0).removeprefix("index "))
        return cls(index, tuple(map(_decode_hash, lines)), checkpoint_note, extra)

    def format(self) -> str:
        """Write the proof as `parse` reads it."""
        extra = [] if self.extra is None else [f"extra {_encode64(self.extra)}"]
        lines = [_PROOF_MARK, *extra, f"index {self.index}", *map(_encode64, self.hashes)]
        return "".join(f"{line}\n" for line in lines) + "\n" + self.checkpoint_note


def parse_vkey(vkey: str) -> tuple[str, str, bytes]:
    """Split `name+id+base64(type || key)` into name, id in hex, and type || key; Malformed."""
    parts = vkey.split("+", 2)  # a name holds no plus, base64 may
    _check(len(parts) == 3, "a verifier key is name+id+key")
    blob = _decode64(parts[2], "a verifier key's last part")
    _check(len(blob) > 1, "a verifier key is not of type Ed25519 (0x01), nor of any other")
    return parts[0], parts[1], blob


def split_note(note: str) -> tuple[str, list[tuple[str, bytes]]]:
    """Split a note at its last empty line: its text, and (key name, id || signature) of each line.

    Nothing is verified yet. Raises Malformed.
    """
    _check_characters(note)
    body, gap, tail = note.rpartition("\n\n")
    _check(gap != "", "a note has an empty line before its signatures")
    _check(tail.endswith("\n"), "a note ends in a signature line with its newline")
    lines = tail[:-1].split("\n")
    _check(len(lines) <= MAX_SIGNATURES, f"a note has at most {MAX_SIGNATURES} signatures")
    return body + "\n", [_parse_signature(line) for line in lines]


def _parse_signature(line: str) -> tuple[str, bytes]:
    parts = line.split(" ")
    _check(len(parts) == 3 and parts[0] == "—", "a signature line is: dash, name, signature")
    check_name(parts[1])
    blob = _decode64(parts[2], "a signature")
    _check(len(blob) > ID_SIZE, "a signature is a key id of 4 bytes and at least one more")
    return parts[1], blob


def _by_name_and_id(keys: Iterable[NoteKey]) -> dict[tuple[str, bytes], NoteKey]:
    known: dict[tuple[str, bytes], NoteKey] = {}
    for key in keys:
        # The id is 32 bits: two keys can be made to share it, and then neither may win silently.
        same = known.setdefault((key.name, key.id), key) == key
        _check(same, f"two different keys are called {key.name}+{key.id.hex()}")
    return known


def _check(condition: bool, rule: str) -> None:
    if not condition:
        raise Malformed(f"not the canonical form: {rule}")


def _check_characters(text: str) -> None:
    """Demand valid UTF-8 without ASCII control characters other than newline (signed-note)."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Malformed("not the canonical form: the text is not valid UTF-8") from None
    _check(all(c >= " " or c == "\n" for c in text), "no control characters but newline")


def check_name(name: str) -> None:
    """Demand a key name: not empty, no Unicode space, no plus (signed-note, "Format")."""
    _check_characters(name)
    usable = name != "" and "+" not in name and not any(c.isspace() for c in name)
    _check(usable, "a key name is not empty and holds no space and no plus")


def _encode64(data: bytes) -> str:
    return b64encode(data).decode()


def _decode64(text: str, what: str) -> bytes:
    try:
        data = b64decode(text, validate=True)
    except ValueError:
        raise Malformed(f"not the canonical form: {what} is not base64") from None
    # The decoder ignores the unused bits of the last character; only one encoding may pass.
    _check(_encode64(data) == text, f"{what} is not canonical base64")
    return data


def _decode_hash(text: str) -> Hash:
    return Hash(_decode64(text, "a hash"))  # whoever keeps it checks its length


def _decode_decimal(text: str) -> int:
    """Read ASCII digits without a sign or leading zeroes; the caller checks the range."""
    # The length is bounded first: int() refuses very long input with an error of its own.
    _check(text.isascii() and text.isdigit() and len(text) < 20, "a number is 1 to 19 digits")
    _check(text == "0" or text[0] != "0", "a number has no leading zeroes")
    return int(text)
