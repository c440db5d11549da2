"""The file `pages` of a ring: which frame holds which page, and what is folded into it (SPEC 2.1).

Promises never to write to a frame that the pages in use name, and to keep what it has read only
until `forget`. Which pages are in use is said by the caller's top page alone; nothing here decides
when a page goes. The place of a slot, the choice of frames and the cache may be changed here.
"""

from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import count
from pathlib import Path

from keys.durable import Disk
from keys.errors import Tampered
from keys.model import KEY_SIZE, Slot, VaultId
from keys.pages import (
    EMPTY,
    FRAME_SIZE,
    PAGE_SIZE,
    SLOTS_PER_PAGE,
    open_page,
    seal_page,
)
from keys.pagetable import PageRef, PageTable
from keys.secret import TAG_SIZE, Secret, random_secret

_CACHED = 64
_FRAMES_SPARE = 2
"""So many free frames more than there are pages are no waste: the next rotations need them."""
_NO_KEYS = Secret(PAGE_SIZE)


class PageFile:
    """Reads and writes the pages of one vault's ring in the file at `path`."""

    def __init__(self, disk: Disk, path: Path, vault: VaultId) -> None:
        self._disk, self._path, self._vault = disk, path, vault
        self._cache: dict[int, Secret] = {}

    def key(self, pages: PageTable, slot: Slot) -> Secret | None:
        """Returns a copy of the slot's key, None when there is none; raises `Tampered`."""
        number = slot // SLOTS_PER_PAGE
        if number not in pages:
            return None
        key = _place(memoryview(self._page(number, pages[number])), slot)
        return None if key == EMPTY else Secret(key)

    def live(self, pages: PageTable, number: int) -> bytes:
        """Tells of each slot of a page whether it has a key, as 0 or 1; raises `Tampered`."""
        if number not in pages:
            return bytes(SLOTS_PER_PAGE)
        keys = self._page(number, pages[number])
        if keys.find(EMPTY) < 0:
            return b"\1" * SLOTS_PER_PAGE
        view = memoryview(keys)
        return bytes(_place(view, Slot(n)) != EMPTY for n in range(SLOTS_PER_PAGE))

    def fold(
        self,
        pages: PageTable,
        fresh: Mapping[Slot, Secret],
        dead: Iterable[Slot],
        first_frame: int = 0,
    ) -> PageTable:
        """Writes each page that gains a fresh key or loses a dead one; returns where all lie then.

        A page left without keys is not written. Where most frames are free, the page that lies
        last is written again nearer to the beginning. Durable after `sync`.
        """
        gains, there = _by_page(fresh), _by_page(dead)
        losses = {number: it for number, it in there.items() if number in pages or number in gains}
        after, free = dict[int, PageRef | None](), self._free_frames(pages, first_frame)
        moved = self._last_of_few(pages) if not first_frame else set()
        for number in sorted(gains.keys() | losses.keys() | moved):
            after[number] = None
            with self._copy(pages, number) as keys:
                _put(keys, {slot: fresh[slot] for slot in gains.get(number, ())})
                _empty(keys, losses.get(number, ()))
                if keys != _NO_KEYS:
                    after[number] = self._write(number, keys, next(free))
        return pages.replaced(after)

    def check(self, pages: PageTable, known: PageTable) -> None:
        """Reads and opens each page that does not lie where it is `known`; raises `Tampered`."""
        for number, frame in pages.frames.items():
            if known.frames.get(number) != frame:
                self._read(number, pages[number]).wipe()

    def sync(self) -> None:
        """Makes what was folded durable."""
        self._disk.sync(self._path)

    def cut(self, pages: PageTable) -> None:
        """Cuts the file after the last frame in use."""
        size = FRAME_SIZE * (1 + max(pages.frames.values(), default=-1))
        if (self._disk.size(self._path) or 0) > size:
            self._disk.truncate(self._path, size)

    def end(self) -> int:
        """Returns the number of the first frame after the end of the file."""
        return -(-(self._disk.size(self._path) or 0) // FRAME_SIZE)

    def forget(self) -> None:
        """Wipes what was read; due whenever other pages come into use."""
        for page in self._cache.values():
            page.wipe()
        self._cache.clear()

    def _last_of_few(self, pages: PageTable) -> set[int]:
        """Returns the page that lies last where most frames are free: it moves to an earlier one.

        One a rotation, so that the file shrinks in time and no erasure pays for it at once.
        """
        if self.end() <= 2 * len(pages) + _FRAMES_SPARE:
            return set()
        return {max(pages, key=pages.frames.__getitem__)} if pages else set()

    def _free_frames(self, pages: PageTable, first: int) -> Iterator[int]:
        used = set(pages.frames.values())
        return (frame for frame in count(first) if frame not in used)

    def _copy(self, pages: PageTable, number: int) -> Secret:
        return Secret(self._page(number, pages[number]) if number in pages else PAGE_SIZE)

    def _write(self, number: int, keys: Secret, frame: int) -> PageRef:
        ref = PageRef(frame, random_secret())
        self._disk.write(self._path, frame * FRAME_SIZE, seal_page(keys, ref, self._vault, number))
        return ref

    def _page(self, number: int, ref: PageRef) -> Secret:
        if number not in self._cache:
            if len(self._cache) >= _CACHED:
                self._cache.pop(next(iter(self._cache))).wipe()
            self._cache[number] = self._read(number, ref)
        return self._cache[number]

    def _read(self, number: int, ref: PageRef) -> Secret:
        try:
            sealed = self._disk.read(self._path, ref.frame * FRAME_SIZE, PAGE_SIZE + TAG_SIZE)
        except FileNotFoundError:
            raise Tampered(f"{self._path} is missing; put it back from a copy") from None
        return open_page(sealed, ref, self._vault, number)


def _by_page(slots: Iterable[Slot]) -> Mapping[int, Collection[Slot]]:
    """Returns the slots of each page, in rising order; of very many each is looked at once."""
    rising, pages, start = sorted(slots), dict[int, list[Slot]](), 0
    while start < len(rising):
        number = rising[start] // SLOTS_PER_PAGE
        end = bisect_left(rising, (number + 1) * SLOTS_PER_PAGE, start)
        pages[number], start = rising[start:end], end
    return pages


def _put(page: Secret, keys: Mapping[Slot, Secret | bytes]) -> None:
    view = memoryview(page)
    for slot, key in keys.items():
        _place(view, slot)[:] = key


def _empty(page: Secret, slots: Iterable[Slot]) -> None:
    view = memoryview(page)
    for slot in slots:
        at = slot % SLOTS_PER_PAGE * KEY_SIZE
        view[at : at + KEY_SIZE] = EMPTY


def _place(page: memoryview, slot: Slot) -> memoryview:
    at = slot % SLOTS_PER_PAGE * KEY_SIZE
    return page[at : at + KEY_SIZE]
