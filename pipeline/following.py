"""Following the log of a vault from outside: every entry once, in order, without a key or a lock.

Promises that only whole lines count, that a vault made anew in the same place, or a log that was
put back, is noticed and followed from its beginning, and that nothing here writes or keeps anybody
waiting. Refuses, with `Tampered`, a log whose lines are not those of its vault.
"""

import mmap
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from keys.durable import RealDisk
from keys.entry import Entry, parse_line
from keys.errors import Malformed, Tampered
from keys.model import VaultId
from pipeline.identity import read_identity
from pipeline.session import exists

_BLOCK = 1 << 20


class Following:
    """Where one has come to in the log of the vault in a directory."""

    def __init__(self, directory: Path) -> None:
        self.directory, self._entries = directory, directory / "log" / "entries"
        self._vault, self.has_begun_anew = VaultId(b""), False
        self._forget_place()

    def news(self) -> Iterator[tuple[int, Entry]]:
        """Yields (index, entry) of all that has come since the last time.

        Nothing where there is no vault yet. What begins anew begins again with entry 0.
        """
        if not exists(self.directory):
            self._is_gone()
            return
        try:
            with open(self._entries, "rb") as log:
                if not self._is_where_we_were(log.seek(0, os.SEEK_END), log):
                    self._forget_place()
                    self.has_begun_anew = True
                if not self._end:
                    self._vault = read_identity(self.directory, RealDisk()).id
                yield from self._lines_of(log)
        except (FileNotFoundError, NotADirectoryError):
            self._is_gone()

    def skip(self) -> None:
        """Passes over all that is there now."""
        try:
            with open(self._entries, "rb") as log:
                self._vault = read_identity(self.directory, RealDisk()).id
                self._to_the_last_line(log)
        except (FileNotFoundError, NotADirectoryError):
            return

    def _to_the_last_line(self, log: BinaryIO) -> None:
        with mmap.mmap(log.fileno(), 0, access=mmap.ACCESS_READ) as content:
            end = content.rfind(b"\n") + 1
            self._end = content.rfind(b"\n", 0, max(0, end - 1)) + 1
            if line := content[self._end : end].rstrip(b"\n"):
                self._next = int(line.split(b" ", 1)[0])
                self._taken(line)

    def _is_gone(self) -> None:
        self.has_begun_anew |= self._end > 0
        self._forget_place()

    def _lines_of(self, log: BinaryIO) -> Iterator[tuple[int, Entry]]:
        log.seek(self._end)
        rest = b""
        while block := log.read(_BLOCK):
            *lines, rest = (rest + block).split(b"\n")
            for line in lines:
                yield self._taken(line)

    def _taken(self, line: bytes) -> tuple[int, Entry]:
        try:
            index, entry = parse_line(line, self._vault)
        except Malformed as error:
            raise Tampered(f"{self._entries}, entry {self._next}: {error}") from error
        if index != self._next:
            raise Tampered(f"{self._entries} has entry {index} where entry {self._next} belongs")
        self._next, self._last = index + 1, line + b"\n"
        self._end += len(self._last)
        return index, entry

    def _is_where_we_were(self, size: int, log: BinaryIO) -> bool:
        """Tells whether the last line taken is still where it was: each has ids of its own."""
        log.seek(self._end - len(self._last))
        return size >= self._end and log.read(len(self._last)) == self._last

    def _forget_place(self) -> None:
        self._next, self._end, self._last = 0, 0, b""
