"""The crash table where every rotation moves a page: small pages, and no frame counts as spare.

In the ring as it is this takes thousands of slots, and one destruction in many. Here a page has two
slots, and of all pages the one that lies last is written anew at each rotation. A sample of the
states in the quick run; `ANECHOIC_EXHAUSTIVE=1` takes every one, and stops the recovery as well.
"""

from collections.abc import Iterator, Mapping
from itertools import count
from pathlib import Path

import pytest

from keys import pagefile, pages
from keys.durable import Disk
from keys.errors import KeysError
from keys.model import KEY_SIZE, Slot
from keys.pagefile import PageFile
from keys.pagetable import PageTable
from keys.ring import Ring
from keys.root import Roots
from keys.secret import Secret
from tests.world import adversary
from tests.world.crash import Checker, World
from tests.world.extent import either, some_of
from tests.world.ways import Site, WaysChecker, WaysWorld

EVERY, LAST = 5, 10
"""Of so many moments one is stopped at, and at the last ones."""
MOST = either(12, 1 << 10)
SLOTS, FRAME = 2, 4096


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Makes pages small and gives back the numbers of the pages that are moved, as they are."""
    for module in (pages, pagefile, adversary):
        monkeypatch.setattr(module, "SLOTS_PER_PAGE", SLOTS)
        monkeypatch.setattr(module, "PAGE_SIZE", SLOTS * KEY_SIZE)
        monkeypatch.setattr(module, "FRAME_SIZE", FRAME)
    monkeypatch.setattr(pagefile, "_NO_KEYS", Secret(SLOTS * KEY_SIZE))
    monkeypatch.setattr(pagefile, "_FRAMES_SPARE", -(10**6))
    moved, choose = list[int](), PageFile._last_of_few

    def watched(self: PageFile, known: PageTable) -> set[int]:
        found = choose(self, known)
        moved.extend(found)
        return found

    monkeypatch.setattr(PageFile, "_last_of_few", watched)
    for cached in (adversary._frames, adversary._keys_of_page):
        cached.cache_clear()
    yield moved
    for cached in (adversary._frames, adversary._keys_of_page):
        cached.cache_clear()


def scenario(world: World) -> None:
    world.create()
    slots = world.allocate(6)
    for slot in (slots[1], slots[0], slots[5]):
        world.destroy(slot)
    world.allocate(1)
    world.destroy(slots[2])


def check(world: World, checker: Checker) -> None:
    checker.check(some_of(world.moments, EVERY, LAST))
    print(f"\n{dict(sorted(checker.counts.items()))}")


def test_no_crash_loses_or_revives_while_pages_move(small: list[int]) -> None:
    world = World()
    scenario(world)
    assert len(small) == 3, "the first rotation has none to move yet, every other moves one"
    checker = Checker(most=MOST, deep=either(0, 1))
    check(world, checker)
    assert not checker.found, checker.notes.most_common(5)
    assert checker.counts["states"] > 50


def test_no_crash_with_two_ways_loses_or_revives_while_pages_move(small: list[int]) -> None:
    site = Site("file|b")
    world = WaysWorld(site)
    world.create()
    slots = world.allocate(6)
    world.destroy(slots[1])
    world.leave("b")
    world.destroy(slots[0])
    world.come_back()
    world.destroy(slots[5])
    assert len(small) >= 3
    checker = WaysChecker(site, [(), ("file",), ("b",)], most=MOST)
    check(world, checker)
    assert not checker.found, checker.notes.most_common(5)
    assert checker.counts["states"] > 50


class MovedInPlace(PageFile):
    """Broken: takes the frames of the pages that it writes anew for free."""

    def _free_frames(self, pages: PageTable, first: int) -> Iterator[int]:
        moved = self._last_of_few(pages) if not first else set()
        used = {ref.frame for number, ref in pages.items() if number not in moved}
        return (frame for frame in count(first) if frame not in used)


class CutTooShort(PageFile):
    """Broken: cuts the file after as many frames as there are pages."""

    def cut(self, pages: PageTable) -> None:
        if self._disk.size(self._path):
            self._disk.truncate(self._path, FRAME * len(pages))


@pytest.mark.parametrize("broken", [MovedInPlace, CutTooShort])
def test_the_table_catches(broken: type[PageFile]) -> None:
    class Broken(Ring):
        def __init__(self, disk: Disk, directory: Path, roots: Roots) -> None:
            super().__init__(disk, directory, roots)
            self._pages = broken(disk, directory / "pages", roots.vault)

    site = Site("file", ring=Broken)
    world, lost = WaysWorld(site), 0
    try:
        scenario(world)
    except KeysError as error:  # it may be lost while it is played
        lost = 1
        print(type(error).__name__)
    checker = WaysChecker(site, [()], most=12)
    check(world, checker)
    assert checker.counts["lost"] + lost > 0, checker.notes


def test_what_is_small_here_is_what_the_ring_uses(small: list[int]) -> None:
    """The control of the fixture: the keys lie in pages of two."""
    world = World()
    scenario(world)
    known: Mapping[int, object] = world.ring._open_state.top.pages
    assert set(known) <= {0, 1, 2, 3}
    assert world.ring.is_live(Slot(3))
    assert small
