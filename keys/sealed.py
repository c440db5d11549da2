"""The sealed file: one streaming format for every artefact (SPEC section 4).

Promises that a file opens under exactly one key, that a byte changed, dropped, moved or added
anywhere is refused before any content is handed out past it, and that truncation is refused before
any content is handed out at all. Pure: bytes in, bytes out; where they are kept is decided
elsewhere. A change here is a change of the format: new magic, new vectors.
"""

import hashlib
import hmac
import itertools
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from keys.errors import Malformed, Tampered
from keys.model import KEY_SIZE, ArtefactId, InteractionId, Label, Slot, VaultId
from keys.secret import TAG_SIZE, Secret, derive

MAGIC = b"anechoic-seal/1\n"
SALT_SIZE = 24
CHUNK_LOG2 = 16
"""64 KiB chunks for audio; small artefacts use `SMALL_CHUNK_LOG2`."""
SMALL_CHUNK_LOG2 = 14
ALIGN = 16
_HEADER = struct.Struct(">16s16s16s16s16sQB15x24s32s")
HEADER_SIZE = _HEADER.size
_SALT_AT = 104
_TRAILER = struct.Struct(">Q")
_COUNTER = struct.Struct(">IB")
_PREFIX_SIZE = 7
_DERIVED_SIZE = KEY_SIZE + _PREFIX_SIZE + 32
_CHUNKS_MAX = 2**32

Buffer = bytes | bytearray | memoryview
Pad = Callable[[int], int]
Read = Callable[[int, int], Buffer]
"""Returns as many bytes as asked for from an offset, or fewer at the end."""


@dataclass(frozen=True, slots=True)
class Header:
    """The clear first bytes of a sealed file: what it is, its salt and its key commitment."""

    label: Label
    chunk_log2: int
    salt: bytes
    commitment: bytes

    def encode(self) -> bytes:
        """Returns the `HEADER_SIZE` bytes of SPEC section 4.2."""
        label = self.label
        kind = label.kind.encode().ljust(16, b"\0")
        ids = (label.vault, label.interaction, label.artefact)
        return _HEADER.pack(
            MAGIC, *ids, kind, label.slot, self.chunk_log2, self.salt, self.commitment
        )

    @property
    def hash(self) -> bytes:
        """The SHA-256 of the encoded header: what log and receipts call this file."""
        return hashlib.sha256(self.encode()).digest()


def parse_header(data: bytes | bytearray) -> Header:
    """Parses exactly the first `HEADER_SIZE` bytes of a sealed file, or raises `Malformed`."""
    if len(data) != HEADER_SIZE or bytes(data[: len(MAGIC)]) != MAGIC:
        raise Malformed("not a sealed file: its first bytes are not a header of anechoic-seal/1")
    _, vault, interaction, artefact, kind, slot, log2, salt, commitment = _HEADER.unpack(data)
    text = kind.rstrip(b"\0").decode("ascii", "replace")
    ids = VaultId(vault), InteractionId(interaction), ArtefactId(artefact)
    header = Header(Label(*ids, text, Slot(slot)), log2, salt, commitment)
    if not 10 <= log2 <= 24 or header.encode() != data:
        raise Malformed("a sealed file's header is not in its canonical form")
    return header


def pad_steps(size: int) -> int:
    """Pads so that the files of small artefacts, of one chunk, are multiples of 4 KiB."""
    overhead = HEADER_SIZE + TAG_SIZE
    return -(-(size + overhead) // 4096) * 4096 - overhead


def pad_padme(size: int) -> int:
    """Pads to Padmé lengths: at most 12 % more, O(log log n) bits told (PURBs, section 4)."""
    if size < 2:
        return size
    exponent = size.bit_length() - 1
    low_bits = exponent - exponent.bit_length()
    step = 1 << max(0, low_bits)
    return -(-size // step) * step


class _Stream:
    """The keys of one file: the cipher and nonces derived from slot key, salt and label."""

    def __init__(self, key: bytearray, label: Label, chunk_log2: int, salt: bytes) -> None:
        info = Header(label, chunk_log2, bytes(SALT_SIZE), bytes(32)).encode()
        with derive(key, salt, info, _DERIVED_SIZE) as derived:
            view = memoryview(derived)
            self.file_key = Secret(view[:KEY_SIZE])
            self._prefix = bytes(view[KEY_SIZE : KEY_SIZE + _PREFIX_SIZE])
            self.commitment = bytes(view[KEY_SIZE + _PREFIX_SIZE :])

    def nonce(self, index: int, *, last: bool) -> bytes:
        return self._prefix + _COUNTER.pack(index, last)


class Sealer:
    """Seals one file as its content arrives; `header` is known, and may be logged, beforehand.

    `update` returns what is ready to be written, `finish` the rest. `pad` maps a length in bytes
    to a padded one. A sealer is used once: a stream is never continued after a crash.
    """

    def __init__(
        self, key: bytearray, label: Label, salt: bytes, pad: Pad, chunk_log2: int = CHUNK_LOG2
    ) -> None:
        self._stream = _Stream(key, label, chunk_log2, salt)
        self.header = Header(label, chunk_log2, salt, self._stream.commitment)
        self._cipher = AESGCM(self._stream.file_key)
        self._chunk = Secret(1 << chunk_log2)
        self._nonce, self._sealed_size = self._stream.nonce, (1 << chunk_log2) + TAG_SIZE
        self._one = self._out = memoryview(bytearray(self._sealed_size))
        self._pad, self._filled, self._index, self._length = pad, 0, 0, 0

    def update(self, data: Buffer) -> memoryview:
        """Takes content and returns the sealed chunks that it completes, valid until the next call.

        A whole chunk can go at once: the length that `finish` adds always comes after it.
        """
        self._length += len(data)
        if self._filled == 0 and len(data) == len(self._chunk):
            nonce = self._nonce(self._index, last=False)
            self._cipher.encrypt_into(nonce, data, None, self._one)
            self._index += 1
            return self._one
        return self._push(memoryview(data))

    def finish(self) -> bytearray:
        """Pads, adds the length, marks the last chunk, and returns the end of the file."""
        padded = max(self._pad(self._length + _TRAILER.size), self._length + _TRAILER.size)
        zeros = -(-padded // ALIGN) * ALIGN - self._length - _TRAILER.size
        size, nothing, out = len(self._chunk), memoryview(bytes(len(self._chunk))), bytearray()
        # All chunks but the last; that one takes from ALIGN bytes on, so the length is whole in it.
        for _ in range((self._filled + zeros + _TRAILER.size - 1) // size):
            zeros -= size - self._filled
            out += self._push(nothing[self._filled :])
        self._fill(nothing[:zeros])
        self._fill(memoryview(_TRAILER.pack(self._length)))
        out += self._seal_into(self._room(1), memoryview(self._chunk)[: self._filled], last=True)
        self.wipe()
        return out

    def wipe(self) -> None:
        """Overwrites the key and the content that is held back; the sealer is done with."""
        self._chunk.wipe()
        self._stream.file_key.wipe()
        vars(self).pop("_cipher", None)

    def _push(self, data: memoryview) -> memoryview:
        size = len(self._chunk)
        room, at = self._room((self._filled + len(data)) // size), 0
        if self._filled:
            taken = min(len(data), size - self._filled)
            self._fill(data[:taken])
            data = data[taken:]
            if self._filled == size:
                at += len(self._seal_into(room, memoryview(self._chunk), last=False))
        for start in range(0, len(data) - size + 1, size):
            at += len(self._seal_into(room[at:], data[start : start + size], last=False))
        self._fill(data[len(data) - len(data) % size :] if len(data) >= size else data)
        return room[:at]

    def _fill(self, data: memoryview) -> None:
        # through a view: assigning to a slice of a bytearray makes a copy that stays behind
        memoryview(self._chunk)[self._filled : self._filled + len(data)] = data
        self._filled += len(data)

    def _room(self, chunks: int) -> memoryview:
        if len(self._out) < chunks * self._sealed_size:
            self._out = memoryview(bytearray(chunks * self._sealed_size))
        return self._out

    def _seal_into(self, room: memoryview, plain: memoryview, *, last: bool) -> memoryview:
        out = room[: len(plain) + TAG_SIZE]
        self._cipher.encrypt_into(self._nonce(self._index, last=last), plain, None, out)
        self._index, self._filled = self._index + 1, 0
        return out


def seal(
    key: bytearray, label: Label, salt: bytes, content: bytes | bytearray, pad: Pad, chunk_log2: int
) -> tuple[Header, bytes]:
    """Seals content that is whole in memory; returns the header and the entire file."""
    sealer = Sealer(key, label, salt, pad, chunk_log2)
    return sealer.header, b"".join(
        [sealer.header.encode(), sealer.update(content).tobytes(), sealer.finish()]
    )


class Opener:
    """Opens one sealed file, in order or at random, through `read(offset, size)`.

    Making one checks the commitment, the label when one is expected, then the last chunk, so that a
    wrong key, a foreign file and a truncated one are refused before any content is seen. Raises
    `Malformed` or `Tampered`.
    """

    def __init__(self, key: bytearray, read: Read, size: int, label: Label | None = None) -> None:
        self.header = parse_header(bytes(read(0, HEADER_SIZE)))
        self._stream = _Stream(key, self.header.label, self.header.chunk_log2, self.header.salt)
        if not hmac.compare_digest(self._stream.commitment, self.header.commitment):
            raise Tampered("this key is not the one that the sealed file is committed to")
        if label not in {None, self.header.label}:
            raise Tampered("this sealed file is whole, and is not the one that was asked for")
        self._cipher = AESGCM(self._stream.file_key)
        self._read, self._body = read, size - HEADER_SIZE
        self._chunk_size = 1 << self.header.chunk_log2
        self._sealed_size = self._chunk_size + TAG_SIZE
        self._count = -(-self._body // self._sealed_size)
        self._last, self._nonce = self._count - 1, self._stream.nonce
        self.length = self._true_length()

    def read(self, offset: int = 0, size: int | None = None) -> Secret:
        """Returns `size` bytes of content (or all that follow) from `offset`."""
        end = self.length if size is None else min(self.length, offset + size)
        out = Secret(max(0, end - offset))
        self.read_into(offset, memoryview(out))
        return out

    def read_into(self, offset: int, out: memoryview) -> None:
        """Fills `out` with content from `offset`, which must hold that much."""
        size, end, at = self._chunk_size, len(out), 0
        while at < end:
            index, start = divmod(offset + at, size)
            if not start and at + size <= end and index < self._last:
                self._open_into(index, out if end == size else out[at : at + size])
                at += size
                continue
            take = min(size - start, end - at)
            with self._open_chunk(index) as chunk:
                out[at : at + take] = memoryview(chunk)[start : start + take]
            at += take

    def __iter__(self) -> Iterator[Secret]:
        """Yields the content chunk by chunk; the caller wipes what it got."""
        for offset in range(0, self.length, self._chunk_size):
            yield self.read(offset, self._chunk_size)

    def _true_length(self) -> int:
        if self._count < 1:
            raise Tampered("the sealed file is cut off after its header")
        if self._count > _CHUNKS_MAX:
            raise Malformed(f"a sealed file has at most 2^32 chunks: found {self._count}")
        with self._open_chunk(self._count - 1) as last:
            padded = (self._count - 1) * self._chunk_size + len(last)
            if len(last) < ALIGN or padded % ALIGN:
                raise Malformed("the sealed file's content is not padded as it must be")
            length: int = _TRAILER.unpack_from(last, len(last) - _TRAILER.size)[0]
        if length > padded - _TRAILER.size:
            raise Malformed("the sealed file's length does not fit in it")
        return length

    def _open_chunk(self, index: int) -> Secret:
        size = self._body - index * self._sealed_size if index == self._last else self._sealed_size
        if size < TAG_SIZE:
            raise Tampered(f"chunk {index} of {self._count} is cut off")
        out = Secret(size - TAG_SIZE)
        self._open_into(index, memoryview(out))
        return out

    def _open_into(self, index: int, out: memoryview) -> None:
        size = len(out) + TAG_SIZE
        sealed = self._read(HEADER_SIZE + index * self._sealed_size, size)
        if len(sealed) != size:
            raise Tampered("the sealed file is shorter than it was a moment ago")
        try:
            nonce = self._nonce(index, last=index == self._last)
            self._cipher.decrypt_into(nonce, sealed, None, out)
        except InvalidTag:
            raise Tampered(f"chunk {index} of {self._count} does not open") from None


def open_torn(key: bytearray, label: Label, chunk_log2: int, read: Read) -> Iterator[Secret]:
    """Returns the first chunks of a file whose end a crash took, up to the first that is not whole.

    Nothing comes of a torn header, in which every byte is right or zero. Raises `Tampered` for any
    other header. The last chunk given may end in up to seven zeros of padding (SPEC section 4.5).
    """
    found = bytes(read(0, HEADER_SIZE)).ljust(HEADER_SIZE, b"\0")
    salt = found[_SALT_AT : _SALT_AT + SALT_SIZE]
    stream = _Stream(key, label, chunk_log2, salt)
    right = Header(label, chunk_log2, salt, stream.commitment).encode()
    if any(byte not in {0, expected} for byte, expected in zip(found, right, strict=True)):
        raise Tampered("the file that is cut off is not the one that was asked for")
    return _whole_chunks(stream, 1 << chunk_log2, read) if found == right else iter(())


def _whole_chunks(stream: _Stream, chunk_size: int, read: Read) -> Iterator[Secret]:
    cipher = AESGCM(stream.file_key)
    for index in itertools.count():
        sealed = read(HEADER_SIZE + index * (chunk_size + TAG_SIZE), chunk_size + TAG_SIZE)
        chunk = Secret(chunk_size)
        if len(sealed) != chunk_size + TAG_SIZE:
            return
        try:
            cipher.decrypt_into(stream.nonce(index, last=False), sealed, None, chunk)
        except InvalidTag:
            return
        yield chunk
