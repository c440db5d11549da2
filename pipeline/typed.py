"""What somebody types on the terminal while a command goes on, a line each.

Promises to read nothing where standard input is no terminal, and nothing any more after the block:
what is typed from then on is for whoever comes next.
"""

import os
import select
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Self

_LOOK_S = 0.05


class Typed:
    """Hands each line, in lower case, to `obey`, in a thread of its own, for a block.

    Nothing is read before `begins` is set, if it is given: two who read would wait for each other.
    """

    def __init__(self, obey: Callable[[str], None], begins: threading.Event | None = None) -> None:
        self._obey, self._begins, self._closed = obey, begins, threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Self:
        if sys.stdin is not None and sys.stdin.isatty():
            self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        if self._reader.is_alive() and sys.platform != "win32":
            self._reader.join()

    def _read(self) -> None:
        for line in self._lines():
            self._obey(line)

    def _lines(self) -> Iterator[str]:
        while self._begins and not (self._begins.wait(_LOOK_S) or self._closed.is_set()):
            pass
        while not self._closed.is_set():
            if sys.platform == "win32" or select.select([sys.stdin], [], [], _LOOK_S)[0]:
                if not (line := os.read(sys.stdin.fileno(), 1024)):
                    return
                yield line.decode(errors="replace").strip().lower()
