"""The bytes of the ring: pages of keys, the top page, the head of a state, journal records.

Pure encodings (SPEC sections 2.1, 2.2 and 2.4): a page is sealed under a one-time key kept in the
top page, the top page under the root, and every seal is bound to vault, epoch and place. Each form
starts with a version marker or is bound to one; parsers take exactly the canonical form.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from keys.errors import Malformed, Tampered
from keys.model import KEY_SIZE, Epoch, Slot, VaultId
from keys.pagetable import ROW_SIZE, PageRef, PageTable
from keys.secret import NONCE_ZERO, TAG_SIZE, Secret, decrypt, derive, encrypt, fill_random

MAGIC = b"anechoic-ring/1\n"
SLOTS_PER_PAGE = 1024
PAGE_SIZE = SLOTS_PER_PAGE * KEY_SIZE
FRAME_SIZE = 36_864
"""A sealed page takes 32,784 bytes; a frame is whole 4 KiB blocks, so no two share a block."""
EMPTY = bytes(KEY_SIZE)
"""The mark of a slot without a key. A random key is all zeros once in 2^256."""

_HEAD = struct.Struct(">16s16sQH")
_TOP = struct.Struct(">QI32s")
_COUNTS = struct.Struct(">QI")
_LENGTH = struct.Struct(">I")
_NONCE_SIZE = 12
_RECORD_LEAST = _LENGTH.size + _NONCE_SIZE + TAG_SIZE
_WORK_FREE, _WORK_TIMES, _WORK_LEAST = 1 << 20, 64, 1 << 10
"""How many bytes are tried to open after a bad record: so many, and so many times its tail."""


@dataclass(frozen=True, slots=True)
class Stanza:
    """One way to the root: which anchors together open it, and the root wrapped for them."""

    anchors: str
    wrapped: bytes


@dataclass(frozen=True, slots=True)
class Head:
    """The clear head of a state file."""

    vault: VaultId
    epoch: Epoch
    stanzas: tuple[Stanza, ...]

    def encode(self) -> bytes:
        """Returns the bytes of SPEC section 2.4."""
        rows = [_short(s.anchors.encode()) + _short(s.wrapped) for s in self.stanzas]
        return _HEAD.pack(MAGIC, self.vault, self.epoch, len(rows)) + b"".join(rows)


@dataclass(slots=True)
class Top:
    """The content of a top page: everything that the root gives access to."""

    next_slot: int
    signer_seed: Secret
    pages: PageTable = field(default_factory=PageTable)
    pending: bytes = b""

    def wipe(self) -> None:
        """Overwrites the keys and forgets the pages."""
        self.signer_seed.wipe()
        self.pages.wipe()


@dataclass(frozen=True, slots=True)
class Intent:
    """A requested erasure: the slots to destroy, and the plan that the caller will finish."""

    slots: tuple[Slot, ...]
    plan: bytes

    def encode(self) -> bytes:
        """Returns count, slots in rising order, plan."""
        return struct.pack(f">I{len(self.slots)}Q", len(self.slots), *self.slots) + self.plan


def parse_intent(data: bytes) -> Intent:
    """Parses what `Intent.encode` wrote."""
    (count,) = _LENGTH.unpack_from(data)
    end = _LENGTH.size + 8 * count
    return Intent(struct.unpack(f">{count}Q", data[_LENGTH.size : end]), data[end:])


def parse_head(data: bytes | bytearray) -> tuple[Head, int]:
    """Parses the head at the start of a state file; returns it with its length."""
    try:
        magic, vault, epoch, count = _HEAD.unpack_from(data)
        if magic != MAGIC:
            raise Malformed("not a ring state: its first bytes are not anechoic-ring/1")
        at, stanzas = _HEAD.size, []
        for _ in range(count):
            name, at = _take_short(data, at)
            wrapped, at = _take_short(data, at)
            stanzas.append(Stanza(name.decode("ascii"), wrapped))
    except (struct.error, UnicodeDecodeError) as error:
        raise Malformed("a ring state's head is cut off or not in its form") from error
    return Head(VaultId(vault), Epoch(epoch), tuple(stanzas)), at


def encode_top(top: Top) -> Secret:
    """Returns the content of a top page."""
    rows = top.pages.rows
    plain = Secret(_TOP.size + len(rows) + len(top.pending))
    _TOP.pack_into(plain, 0, top.next_slot, len(top.pages), top.signer_seed)
    view, end = memoryview(plain), _TOP.size + len(rows)
    view[_TOP.size : end], view[end:] = rows, top.pending
    return plain


def seal_top(plain: Secret, root: Secret, head: bytes) -> bytes:
    """Returns the sealed top page with its length before it, bound to the state's head."""
    with _top_key(root) as key:
        sealed = encrypt(key, NONCE_ZERO, plain, head)
    return _LENGTH.pack(len(sealed)) + sealed


def open_top(data: memoryview, root: Secret, head: bytes) -> tuple[Top, int]:
    """Opens the top page at the start of `data`; returns it with the bytes it took."""
    plain, end = unseal_top(data, root, head)
    with plain:
        return _parse_top(memoryview(plain)), end


def unseal_top(data: memoryview, root: Secret, head: bytes) -> tuple[Secret, int]:
    """Returns the content of the top page at the start of `data`, with the bytes it took."""
    end = _LENGTH.size + (_LENGTH.unpack_from(data)[0] if len(data) >= _LENGTH.size else 0)
    if end > len(data):  # not for the tag to find: a slice past the end would hide it
        raise Tampered(f"the ring's top page is cut off: {len(data)} of {end} bytes")
    with _top_key(root) as key:
        return decrypt(key, NONCE_ZERO, data[_LENGTH.size : end], head, "the ring's top page"), end


def _parse_top(view: memoryview) -> Top:
    next_slot, count = _COUNTS.unpack_from(view)
    end = _TOP.size + ROW_SIZE * count
    pages = PageTable(Secret(view[_TOP.size : end]))
    return Top(next_slot, Secret(view[_COUNTS.size : _TOP.size]), pages, bytes(view[end:]))


def seal_page(keys: Secret, ref: PageRef, vault: VaultId, number: int) -> bytearray:
    """Returns the sealed page, bound to vault and slot range; its key is used this once."""
    return encrypt(ref.key, NONCE_ZERO, keys, _page_context(vault, number))


def open_page(sealed: bytearray, ref: PageRef, vault: VaultId, number: int) -> Secret:
    """Opens a page into its `SLOTS_PER_PAGE` keys."""
    return decrypt(ref.key, NONCE_ZERO, sealed, _page_context(vault, number), f"ring page {number}")


class Journal:
    """Seals and opens the records that follow a top page in its state file.

    Record n is a length, a random nonce, and a ciphertext bound to vault, epoch and n. The nonce is
    random because a torn record may be written again under the same number.
    """

    def __init__(self, root: Secret, vault: VaultId, epoch: Epoch) -> None:
        self._key = derive(root, b"", b"anechoic-ring/1 journal")
        self._context = MAGIC + vault + struct.pack(">Q", epoch)

    def seal(self, number: int, record: Secret) -> bytes:
        """Returns record `number`, ready to be appended."""
        nonce = Secret(_NONCE_SIZE)
        fill_random(memoryview(nonce))
        sealed = encrypt(self._key, bytes(nonce), record, self._at(number))
        return _LENGTH.pack(_NONCE_SIZE + len(sealed)) + nonce + sealed

    def open(self, data: memoryview) -> Iterator[tuple[int, Secret]]:
        """Yields (end offset, record) for each whole record; a torn end is passed over.

        Raises `Tampered` when a record does not open and a later one does: no crash does that.
        """
        at, number = 0, 0
        while (found := self._record_at(data, at, number)) is not None:
            yield found
            at, number = found[0], number + 1
        if self._is_followed(data[at:], number):
            raise Tampered(f"ring journal record {number} does not open, and one after it does")

    def _is_followed(self, tail: memoryview, number: int) -> bool:
        """Tells whether a record opens after the one that `tail` begins with, which does not.

        Looks where the lengths lead from that one, and wherever they lead to the very end. A crash
        leaves next to no such places: a tail that takes long was made by somebody.
        """
        work = _WORK_FREE + _WORK_TIMES * len(tail)
        for at, end in self._places_after(tail):
            for later in range(number + 1, number + 2 + at // _RECORD_LEAST):
                work -= end - at + _WORK_LEAST
                if work < 0 or self._record_at(tail, at, later):
                    return True
        return False

    def _places_after(self, tail: memoryview) -> Iterator[tuple[int, int]]:
        at = self._end(tail, 0)
        while at is not None and (end := self._end(tail, at)) is not None:
            yield at, end
            at = end
        ends, leads = dict[int, int](), {len(tail)}
        for at in range(len(tail) - _RECORD_LEAST, 0, -1):
            if (end := self._end(tail, at)) in leads:
                leads.add(at)
                ends[at] = end
        yield from sorted(ends.items())

    def _record_at(self, data: memoryview, at: int, number: int) -> tuple[int, Secret] | None:
        end = self._end(data, at)
        try:
            return None if end is None else (end, self._open_one(data[at:end], number))
        except Tampered:
            return None

    def _open_one(self, data: memoryview, number: int) -> Secret:
        body = data[_LENGTH.size :]
        nonce, sealed = bytes(body[:_NONCE_SIZE]), body[_NONCE_SIZE:]
        return decrypt(self._key, nonce, sealed, self._at(number), f"ring journal record {number}")

    def _end(self, data: memoryview, at: int) -> int | None:
        if len(data) - at < _LENGTH.size:
            return None
        size: int = _LENGTH.unpack_from(data, at)[0]
        end = at + _LENGTH.size + size
        return end if size >= _NONCE_SIZE + TAG_SIZE and end <= len(data) else None

    def _at(self, number: int) -> bytes:
        return self._context + struct.pack(">Q", number)


def _top_key(root: Secret) -> Secret:
    return derive(root, b"", b"anechoic-ring/1 top")


def _page_context(vault: VaultId, number: int) -> bytes:
    return MAGIC + vault + struct.pack(">QQ", number * SLOTS_PER_PAGE, SLOTS_PER_PAGE)


def _short(data: bytes) -> bytes:
    return bytes([len(data)]) + data


def _take_short(data: bytes | bytearray, at: int) -> tuple[bytes, int]:
    if at >= len(data) or at + 1 + data[at] > len(data):
        raise Malformed("a ring state's head is cut off")
    return bytes(data[at + 1 : at + 1 + data[at]]), at + 1 + data[at]
