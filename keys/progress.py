"""How far long work is: whoever works counts, and whoever watches is told; mostly nobody does.

Promises that counting changes nothing of the work, and costs next to nothing. What is told is a
few words of ours and two numbers, never anything of what is worked on.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

Show = Callable[[str, int, int | None], None]
"""Is told what is being done, how many are done, and of how many if that is known."""
Item = TypeVar("Item")
_watching: ContextVar[Show | None] = ContextVar("watching", default=None)


@contextmanager
def watched(show: Show) -> Iterator[None]:
    """Tells `show` of all that is counted within, by this thread."""
    token = _watching.set(show)
    try:
        yield
    finally:
        _watching.reset(token)


def counted(items: Iterable[Item], what: str, total: int | None = None) -> Iterator[Item]:
    """Yields the items, and tells whoever watches of each that it comes."""
    for done, item in enumerate(items):
        if show := _watching.get():
            show(what, done, total)
        yield item
