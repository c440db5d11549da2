"""How long work looks while it goes on: after a second a bar on a terminal, otherwise nothing.

It is on standard error, so that no result is torn apart, and gone when the work is over. Nothing of
it runs beside the work: it is drawn when something is counted (`keys.progress`), ten times a second
at most.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from keys.progress import watched
from pipeline.terminal import Terminal

if TYPE_CHECKING:
    from rich.progress import Progress

_PATIENCE_S, _EVERY_S, _WIDTH = 1.0, 0.1, 20


@contextmanager
def working(it: Terminal) -> Iterator[None]:
    """Shows a bar for what is counted within, where a person waits for it."""
    if not sys.stderr.isatty():
        yield
        return
    bar = _Bar(it)
    try:
        with watched(bar.show):
            yield
    finally:
        bar.close()


class _Bar:
    """A bar that is drawn once it is worth it."""

    def __init__(self, it: Terminal) -> None:
        self._it, self._due_s = it, time.monotonic() + _PATIENCE_S
        self._drawn: Progress | None = None

    def show(self, what: str, done: int, total: int | None) -> None:
        now_s = time.monotonic()
        if now_s < self._due_s:
            return
        self._due_s = now_s + _EVERY_S
        self._drawn = self._drawn or self._draw(what)
        task = self._drawn.task_ids[0]
        self._drawn.update(task, description=what, completed=done, total=total, refresh=True)

    def close(self) -> None:
        if self._drawn:
            self._drawn.stop()

    def _draw(self, what: str) -> "Progress":
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        columns = TextColumn("{task.description}"), BarColumn(_WIDTH), MofNCompleteColumn()
        drawn = Progress(*columns, console=self._it.err, transient=True, auto_refresh=False)
        drawn.add_task(what, total=None)
        drawn.start()
        return drawn
