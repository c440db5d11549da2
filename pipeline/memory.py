"""The whole index in the memory of one process: for a worker that answers many queries.

Promises what `search.Finding` promises, as of its last `catch_up`, and to know when it is out of
date: an erasure anywhere makes it so, and then it is wiped. It holds what was said in clear, so it
lives in a process that speech may be in, and never in one that outlives an erasure. Numbers of
places where each term was said, by term: 32 bytes an interaction, and 8 a word.
"""

import itertools
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from keys.entry import SealedEntry
from keys.errors import Malformed, Tampered
from keys.model import InteractionId
from pipeline.artefact import TRANSCRIPT
from pipeline.indexmerge import merged, segment_of
from pipeline.indexrow import said_by, words_of
from pipeline.indexstate import open_index
from pipeline.query import Item, Phrase, Query, terms
from pipeline.vault import Vault

_CHUNK = 256
Places = NDArray[np.uint32]
"""Positions among all that was said, ascending."""


@dataclass(frozen=True, slots=True, repr=False)
class Hit:
    """An interaction found, with its terms in order; its repr shows none of them."""

    interaction: InteractionId
    terms: tuple[str, ...]


class Memory:
    """All that the index and the unindexed hold, made by one reading of it."""

    def __init__(self, vault: Vault) -> None:
        index = open_index(vault)
        self.epoch, self.size = vault.ring.epoch, vault.log.size
        fresh = (said_by(vault, it.interaction) for it in index.unindexed)
        parts = [it.whole() for it in index.segments]
        whole = merged([*parts, segment_of(it for it in fresh if it)])
        self.damaged = tuple(index.damaged)
        self._terms, self._numbers = whole.text.terms(), whole.text.numbers.copy()
        self._slots = whole.members["slot"].copy()
        self._ids = whole.members["interaction"].copy()
        self._ends = np.cumsum(whole.text.lengths, dtype=np.int64)
        self._places = np.argsort(whole.text.numbers, kind="stable").astype(np.uint32)
        counts = np.bincount(whole.text.numbers, minlength=len(self._terms))
        self._starts = np.concatenate([[0], np.cumsum(counts)])
        self._later: dict[int, tuple[InteractionId, list[str]]] = {}

    def catch_up(self, vault: Vault) -> bool:
        """Takes in what was sealed since; False where something went: then make another one."""
        if vault.ring.epoch != self.epoch or vault.log.size < self.size:
            self.wipe()
            return False
        if vault.log.size == self.size:
            return True
        new = itertools.takewhile(lambda row: row[0] >= self.size, vault.log.scan_back())
        for _, entry in new:
            if isinstance(entry, SealedEntry) and entry.label.kind == TRANSCRIPT:
                it = entry.label.interaction
                if (words := words_of(vault, it)) is not None:
                    said = [term for word in words for term in terms(word)]
                    self._later[entry.label.slot] = it, said
        self.size = vault.log.size
        return True

    def wipe(self) -> None:
        """Overwrites what was said, as far as it is held in one place; it finds nothing then."""
        for array in (self._places, self._numbers, self._slots, self._ids, self._ends):
            array[:] = np.zeros((), array.dtype)
        self._terms, self._later = [], {}
        self._starts = np.zeros(1, np.int64)

    def find(self, query: Query) -> Iterator[Hit]:
        """Yields what a query finds, newest first."""
        later = sorted(self._later.items(), reverse=True)
        if not query.phrases:
            return
        found = ((slot, Hit(it, tuple(said))) for slot, (it, said) in later if query.finds(said))
        first = next(found, None)
        for member in self._members(query):
            slot = int(self._slots[member])
            while first and first[0] > slot:
                yield first[1]
                first = next(found, None)
            if slot not in self._later:
                yield self._hit(member)
        while first:
            yield first[1]
            first = next(found, None)

    def _hit(self, member: int) -> Hit:
        start = int(self._ends[member - 1]) if member else 0
        numbers = self._numbers[start : int(self._ends[member])].tolist()
        said = tuple(self._terms[n].decode() for n in numbers)
        return Hit(InteractionId(self._ids[member].tobytes()), said)

    def _members(self, query: Query) -> Iterator[int]:
        """Yields the members that a query finds, the newest first, looking at few at a time."""
        phrases = sorted((self._parts(phrase) for phrase in query.phrases), key=_effort)
        if any(not len(places) for places in itertools.chain(*phrases)):
            return
        first, *others = phrases
        rest = [_follow(parts, parts[_rarest(parts)], _rarest(parts)) for parts in others]
        lead, last = _rarest(first), -1
        for chunk in _from_the_end(first[lead]):
            at = _follow(first, chunk, lead)
            at = at[self._is_within(at, len(first))]
            members = np.unique(np.searchsorted(self._ends, at, "right"))[::-1]
            for parts, places in zip(others, rest, strict=True):
                members = members[self._has(members, places, len(parts))]
            for member in members.tolist():
                if member != last:
                    yield member
                last = member

    def _parts(self, phrase: Phrase) -> list[Places]:
        return [self._said_at(item) for item in phrase]

    def _said_at(self, item: Item) -> Places:
        wanted = item.term.encode()
        first = end = bisect_left(self._terms, wanted)
        if item.is_prefix:
            end = bisect_left(self._terms, wanted + b"\xff")  # which no text has in UTF-8
        elif first < len(self._terms) and self._terms[first] == wanted:
            end = first + 1
        places = self._places[self._starts[first] : self._starts[end]]
        return np.sort(places) if end > first + 1 else places

    def _is_within(self, at: Places, length: int) -> NDArray[np.bool_]:
        members = np.searchsorted(self._ends, at, "right")
        within: NDArray[np.bool_] = at.astype(np.int64) + length <= self._ends[members]
        return within

    def _has(self, members: NDArray[np.intp], places: Places, length: int) -> NDArray[np.bool_]:
        """Tells of members whether a phrase begins in them, and ends there too."""
        ends = self._ends[members]
        starts = np.where(members > 0, self._ends[members - 1], 0)
        at = np.searchsorted(places, starts)
        padded = np.append(places.astype(np.int64), np.iinfo(np.int64).max - length)
        has: NDArray[np.bool_] = padded[at] + length <= ends
        return has


def of(vault: Vault) -> Memory | None:
    """Reads the index into memory; None where a segment is damaged, until that is mended."""
    try:
        memory = Memory(vault)
    except (Malformed, Tampered):
        return None
    return None if memory.damaged else memory


def _effort(parts: list[Places]) -> int:
    return min(map(len, parts))


def _rarest(parts: list[Places]) -> int:
    return min(range(len(parts)), key=lambda n: len(parts[n]))


def _follow(parts: list[Places], chunk: Places, lead: int) -> Places:
    """Returns where a phrase begins whose item number `lead` was said at these places."""
    at = chunk[chunk >= lead] - np.uint32(lead)
    for n, places in enumerate(parts):
        if n != lead and len(at):
            wanted = at + np.uint32(n)
            found = np.searchsorted(places, wanted)
            at = at[places[np.minimum(found, len(places) - 1)] == wanted]
    return at


def _from_the_end(places: Places) -> Iterator[Places]:
    end, size = len(places), _CHUNK
    while end > 0:
        yield places[max(0, end - size) : end]
        end, size = end - size, size * 4
