"""Where each page of a ring lies and which key opens it: the rows of a top page (SPEC section 2.4).

The rows stay packed, as they are sealed, in one `Secret`: a rotation of a million slots changes a
few of a thousand, and one key is one only while it is used. A table is never changed, `replaced`
makes another. The form of a row is normative.
"""

import struct
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from keys.errors import Malformed
from keys.model import KEY_SIZE
from keys.secret import Secret

_ROW = struct.Struct(f">II{KEY_SIZE}x")
"""Number and frame; the key that follows is never a value of its own, which would be `bytes`."""
ROW_SIZE = _ROW.size


class PageRef(NamedTuple):
    """Where one page lies and the one-time key that opens it, a `Secret` or its place in one."""

    frame: int
    key: bytearray | memoryview


class PageTable(Mapping[int, PageRef]):
    """The pages in use by their numbers; raises `Malformed` for rows that do not rise."""

    def __init__(self, rows: Secret | None = None) -> None:
        self.rows = Secret() if rows is None else rows
        self.frames: dict[int, int] = dict(_ROW.iter_unpack(self.rows))
        """The frame of each page by its number, in rising order."""
        self._numbers = sorted(self.frames)
        if len(self._numbers) * ROW_SIZE != len(self.rows) or self._numbers != list(self.frames):
            raise Malformed("the pages of a ring's top page are not in rising order")

    def __getitem__(self, number: int) -> PageRef:
        frame = self.frames[number]
        end = (bisect_left(self._numbers, number) + 1) * ROW_SIZE
        return PageRef(frame, memoryview(self.rows)[end - KEY_SIZE : end])

    def __contains__(self, number: object) -> bool:
        return number in self.frames

    def __iter__(self) -> Iterator[int]:
        return iter(self._numbers)

    def __len__(self) -> int:
        return len(self._numbers)

    def replaced(self, changes: Mapping[int, PageRef | None]) -> "PageTable":
        """Returns the table with other rows for some pages, and without those that have none."""
        fresh = {number: ref for number, ref in changes.items() if ref is not None}
        if len(fresh) == len(changes) and self.frames.keys() >= fresh.keys():
            numbers, rows = self._numbers, Secret(self.rows)
        else:
            fresh = {number: self[number] for number in self if number not in changes} | fresh
            numbers, rows = sorted(fresh), Secret(ROW_SIZE * len(fresh))
        for number, ref in fresh.items():
            at = bisect_left(numbers, number) * ROW_SIZE
            _ROW.pack_into(rows, at, number, ref.frame)
            memoryview(rows)[at + ROW_SIZE - KEY_SIZE : at + ROW_SIZE] = ref.key
        return PageTable(rows)

    def wipe(self) -> None:
        """Overwrites the keys and forgets the pages."""
        self.rows.wipe()
        self.frames.clear()
        self._numbers.clear()
