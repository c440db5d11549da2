"""The content of one segment of the search index: whose, and which terms were said in which order.

Bytes and values only; `parse` takes exactly what `encode` makes and raises `Malformed` for the
rest. All numbers are little-endian. Members are interactions, by the order of their words slots.
What was said is a column of numbers of terms, so that a member goes by cutting its numbers out, and
the terms that nobody else said with them. A change here is a new magic; what was sealed in an old
one is made again from the transcripts.

    magic, header | terms said by each member | numbers of the terms said | the terms | members
    | profiles | other segments | interactions left out
"""

import itertools
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from keys.errors import Malformed
from keys.model import InteractionId, Slot
from keys.secret import Secret
from pipeline.indexvalues import Place

MAGIC = b"anechoic-index/1"
MEMBER = np.dtype(
    [
        ("slot", "<u8"),
        ("audio_slot", "<u8"),
        ("started_us", "<i8"),
        ("processed_s", "<i8"),
        ("reckoned_s", "<i8"),
        ("audio_limit_s", "<u4"),
        ("words_limit_s", "<u4"),
        ("duration_ms", "<u4"),
        ("profile", "<u2"),
        ("flags", "<u2"),
        ("interaction", "V16"),
        ("transcript", "V16"),
    ]
)
"""One member, as its meta has it: times since 1970 in UTC; `slot` is that of its words, `flags` is
1 where it is sensitive."""
_HEADER = struct.Struct("<16sQQQ8I")
_OTHER = struct.Struct("<16sQ")
_SLOTS_END = 2**63

Numbers = NDArray[np.unsignedinteger]
Members = NDArray[np.void]
Read = Callable[[int, int], Secret]
"""Returns so many bytes of the content from an offset."""


@dataclass(frozen=True, slots=True)
class Head:
    """The fixed beginning of a segment: what it covers, and how much of each follows."""

    covered: int
    """So many entries of the log had been looked at: what was created in them is indexed, unless
    it is among those left out."""
    first: Slot
    last: Slot
    members: int
    said: int
    terms: int
    dictionary: int
    profiles: int
    profile_bytes: int
    others: int
    left_out: int

    @property
    def width(self) -> int:
        """How many bytes the number of a term takes."""
        return 2 if self.terms <= 1 << 16 else 4

    @property
    def text_end(self) -> int:
        """Where the part that searching reads ends, and the members begin."""
        return _HEADER.size + 4 * self.members + self.width * self.said + self.dictionary

    @property
    def rest_at(self) -> int:
        """Where the members end."""
        return self.text_end + MEMBER.itemsize * self.members

    @property
    def size(self) -> int:
        """The length of the whole content."""
        others = _OTHER.size * self.others
        return self.rest_at + self.profile_bytes + others + _OTHER.size * self.left_out

    def encode(self) -> bytes:
        """Returns the first bytes of the content."""
        span = self.covered, self.first, self.last
        text = self.members, self.said, self.terms, self.dictionary
        rest = self.profiles, self.profile_bytes, self.others, self.left_out
        return _HEADER.pack(MAGIC, *span, *text, *rest)


@dataclass(frozen=True, slots=True, repr=False)
class Text:
    """What the members of a segment said; its repr shows nothing of it."""

    lengths: Numbers
    numbers: Numbers
    dictionary: bytes | bytearray
    """The terms in UTF-8, in order, with a newline before the first and after each."""
    start: int = 0
    """Where the terms begin in `dictionary`, which may hold other things before them."""

    def terms(self) -> list[bytes]:
        """Returns the terms in the order of their numbers."""
        return bytes(memoryview(self.dictionary)[self.start :]).split(b"\n")[1:-1]


@dataclass(frozen=True, slots=True, repr=False)
class Segment:
    """A whole segment; its repr shows nothing of what was said."""

    covered: int
    text: Text
    members: Members
    profiles: tuple[str, ...]
    others: tuple[Place, ...] = ()
    """The other segments there were when this one was written, by slot."""
    left_out: tuple[Place, ...] = ()
    """The interactions that were created before, and that none of them has, by slot."""

    def encode(self) -> bytes:
        """Returns the content to be sealed."""
        names = [name.encode() for name in self.profiles]
        listed = b"".join(struct.pack("<H", len(name)) + name for name in names)
        text, members, terms = self.text, self.members, self.text.terms()
        blob = bytes(memoryview(text.dictionary)[text.start :])
        first, last = (members["slot"][0], members["slot"][-1]) if len(members) else (0, 0)
        head = Head(
            self.covered,
            Slot(int(first)),
            Slot(int(last)),
            len(members),
            len(text.numbers),
            len(terms),
            len(blob),
            len(names),
            len(listed),
            len(self.others),
            len(self.left_out),
        )
        said = text.lengths.astype("<u4").tobytes()
        said += text.numbers.astype(f"<u{head.width}").tobytes() + blob
        places = b"".join(_OTHER.pack(*it) for it in (*self.others, *self.left_out))
        rest = members.tobytes() + listed + places
        return head.encode() + said + rest


def read_head(read: Read, size: int) -> Head:
    """Reads the beginning of a content of `size` bytes; raises `Malformed`."""
    with read(0, _HEADER.size) as data:
        _demand(len(data) == _HEADER.size and data.startswith(MAGIC), "its beginning")
        fields = _HEADER.unpack(data)[1:]
    head = Head(*fields)
    _demand(head.size == size, "its length")
    _demand(head.first <= head.last < _SLOTS_END and head.covered < _SLOTS_END, "its span")
    _demand(head.members > 0 or (head.first, head.last) == (0, 0), "a span of no members")
    return head


def read_text(read: Read, head: Head) -> Text:
    """Reads what was said; raises `Malformed`."""
    data = read(_HEADER.size, head.text_end - _HEADER.size)
    lengths = np.frombuffer(data, "<u4", head.members)
    numbers = np.frombuffer(data, f"<u{head.width}", head.said, 4 * head.members)
    text = Text(lengths, numbers, data, len(data) - head.dictionary)
    _demand(int(lengths.sum(dtype=np.uint64)) == head.said, "how much was said")
    _demand(data.count(b"\n", text.start) == head.terms + 1 if head.dictionary else True, "terms")
    _demand(bool(head.terms) == bool(head.dictionary) == bool(head.said), "terms")
    _demand(not head.said or int(numbers.max()) < head.terms, "the number of a term")
    return text


def read_members(read: Read, head: Head, start: int = 0, number: int | None = None) -> Members:
    """Reads members, by default all; raises `Malformed`."""
    count = head.members - start if number is None else number
    data = read(head.text_end + MEMBER.itemsize * start, MEMBER.itemsize * count)
    found: Members = np.frombuffer(data, MEMBER, count)
    slots = found["slot"]
    _demand(bool(np.all(slots[1:] > slots[:-1])), "the order of the members")
    if count:
        is_in = head.first <= int(slots[0]) and int(slots[-1]) <= head.last
        _demand(is_in and int(found["profile"].max()) < head.profiles, "a member")
        _demand(int(found["flags"].max()) <= 1, "a flag")
    return found


def read_profiles(read: Read, head: Head) -> tuple[str, ...]:
    """Reads the names of the profiles; raises `Malformed`."""
    data, at, found = bytes(read(head.rest_at, head.profile_bytes)), 0, list[str]()
    for _ in range(head.profiles):
        size = int.from_bytes(data[at : at + 2], "little")
        name, at = data[at + 2 : at + 2 + size], at + 2 + size
        _demand(at <= len(data), "a profile")
        found.append(_text(name))
    _demand(at == len(data) and sorted(set(found)) == found, "the profiles")
    return tuple(found)


def read_rest(read: Read, head: Head) -> tuple[tuple[Place, ...], tuple[Place, ...]]:
    """Reads which other segments there were, and what was left out; raises `Malformed`."""
    at = head.rest_at + head.profile_bytes
    data = bytes(read(at, head.size - at))
    places = tuple((InteractionId(i), Slot(slot)) for i, slot in _OTHER.iter_unpack(data))
    others, left = places[: head.others], places[head.others :]
    for listed in (others, left):
        slots = [slot for _, slot in listed]
        _demand(_ascends(slots) and all(slot < _SLOTS_END for slot in slots), "a list at its end")
    return others, left


def parse(data: bytes | bytearray) -> Segment:
    """Parses a whole content; raises `Malformed` for all that `encode` does not make."""
    return read_segment(lambda at, size: Secret(data[at : at + size]), len(data))


def read_segment(read: Read, size: int) -> Segment:
    """Reads a whole segment; raises `Malformed` for all that `encode` does not make."""
    head = read_head(read, size)
    text, members, profiles = (
        read_text(read, head),
        read_members(read, head),
        read_profiles(read, head),
    )
    words = text.terms()
    _demand(_ascends(words) and all(words), "the order of the terms")
    _demand(not words or (text.dictionary[text.start], text.dictionary[-1]) == (10, 10), "terms")
    _text(b"\n".join(words))
    _demand(_all_used(text.numbers, len(words)), "a term that nobody said")
    _demand(_all_used(members["profile"], len(profiles)), "a profile of nobody")
    if len(members):
        ends = int(members["slot"][0]), int(members["slot"][-1])
        _demand(ends == (head.first, head.last), "its span")
    return Segment(head.covered, text, members, profiles, *read_rest(read, head))


def _all_used(numbers: Numbers, count: int) -> bool:
    return len(np.unique(numbers)) == count


def _ascends(rows: Sequence[int] | Sequence[bytes]) -> bool:
    return all(a < b for a, b in itertools.pairwise(rows))  # type: ignore[operator]


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:  # not passed on: it may hold what was said
        raise Malformed("a segment of the index holds what is no text") from None


def _demand(holds: bool, what: str) -> None:
    if not holds:
        raise Malformed(f"a segment of the index is not in its form: {what}")
