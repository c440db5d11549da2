"""Segments: content sealed while it comes into being, so that a crash costs only the last of them.

Promises that what came before a `cut` is durable once that has returned; that a series read back is
in order, with nothing missing before its end, doubled, or from another series; and that no stream
is ever continued: each segment is a sealed file of its own with a fresh salt, and a series is never
taken up again. Knows nothing of what the content is. A change here is one of SPEC section 4.5.
"""

import contextlib
import re
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from keys.durable import Buffer, Disk
from keys.errors import Malformed, StateUnknown, Tampered
from keys.model import ArtefactId, InteractionId, Label, Slot, VaultId
from keys.sealed import SALT_SIZE, Opener, Sealer, open_torn
from keys.secret import Secret

SEGMENT_CHUNK_LOG2 = 12
"""4 KiB: 128 ms of speech at 16 kHz and 16 bits."""
NUMBER_END = 2**32
_NAME = re.compile(r"([0-9a-f]{32})\.([0-9a-f]{32})\.(part|end)-([0-9]{10})")


class Ending(Enum):
    """How a series ends."""

    CLOSED = "closed"
    """By its end mark: nothing is missing."""
    OPEN = "open"
    """After a whole segment: what came after it, if anything did, is lost."""
    TORN = "torn"
    """Within a segment: its first chunks were read, and what came after them is lost."""


@dataclass(frozen=True, slots=True)
class Series:
    """Names a series of segments: a label without its kind, under an artefact id of its own."""

    vault: VaultId
    interaction: InteractionId
    artefact: ArtefactId
    slot: Slot

    def part(self, number: int) -> Label:
        """Returns the label of segment `number`, counted from 0."""
        return self._label("part", number)

    def end(self, number: int) -> Label:
        """Returns the label of the mark that `number` segments are all."""
        return self._label("end", number)

    def _label(self, word: str, number: int) -> Label:
        if number >= NUMBER_END:
            raise Malformed(f"a series has at most {NUMBER_END} segments")
        kind = f"{word}-{number:010}"
        return Label(self.vault, self.interaction, self.artefact, kind, self.slot)


def segment_name(label: Label) -> str:
    """Returns the name of a segment's file; the names of a series sort in its order."""
    return f"{label.interaction.hex()}.{label.artefact.hex()}.{label.kind}"


def series_in(disk: Disk, directory: Path, interaction: InteractionId) -> list[ArtefactId]:
    """Returns the artefact ids of an interaction's series that have a file in the directory."""
    found = filter(None, map(_NAME.fullmatch, disk.names(directory)))
    ids = {match[2] for match in found if match[1] == interaction.hex()}
    return [ArtefactId(bytes.fromhex(each)) for each in sorted(ids)]


def remove_series(disk: Disk, directory: Path, series: Series) -> None:
    """Deletes the files of a series, durable on return; that it is to go is on record before."""
    for name in _names(disk, directory, series):
        disk.delete(directory / name)
    disk.sync_dir(directory)


def pad_chunks(size: int) -> int:
    """Pads to whole chunks: a segment's size tells its length to 4 KiB, and no closer."""
    return -(-size >> SEGMENT_CHUNK_LOG2) << SEGMENT_CHUNK_LOG2


class SegmentWriter:
    """Writes a new series into a directory whose name is durable.

    `key` is asked for the slot's key once a segment, and its answer is wiped at once: a key that is
    destroyed meanwhile ends the series, with what `key` raises, at the next segment. After any
    failure the writer raises `StateUnknown` only; what is there then is for `Recovery` to read.
    """

    def __init__(
        self, disk: Disk, directory: Path, key: Callable[[], Secret], series: Series
    ) -> None:
        self._disk, self._directory, self._key, self._series = disk, directory, key, series
        self._sealer: Sealer | None = None
        self._path, self._end, self._number = directory, 0, 0
        self._is_usable = True

    def write(self, content: Buffer) -> None:
        """Takes content; whole chunks of it are with the system on return, durable after `cut`."""
        with self._unless_it_fails():
            sealer = self._sealer or self._begin(self._series.part(self._number))
            self._put(sealer.update(memoryview(content).cast("B")))

    def cut(self) -> None:
        """Ends the segment under way, if there is one: all content so far is durable on return."""
        with self._unless_it_fails():
            self._finish()

    def close(self) -> None:
        """Cuts and marks the end, durable on return; nothing can be written any more."""
        with self._unless_it_fails():
            self._finish()
            self._begin(self._series.end(self._number))
            self._finish()
        self._is_usable = False

    @contextlib.contextmanager
    def _unless_it_fails(self) -> Iterator[None]:
        if not self._is_usable:
            raise StateUnknown("this series has ended; read what is there, and begin another")
        self._is_usable = False  # whatever is raised in here, Ctrl-C included, ends the series
        try:
            yield
            self._is_usable = True
        finally:
            if not self._is_usable and self._sealer:
                self._sealer.wipe()

    def _begin(self, label: Label) -> Sealer:
        self._path, self._end = self._directory / segment_name(label), 0
        if self._disk.size(self._path) is not None:
            raise StateUnknown(f"{self._path} is there already; a series is never taken up again")
        with self._key() as key:
            salt = secrets.token_bytes(SALT_SIZE)
            self._sealer = Sealer(key, label, salt, pad_chunks, SEGMENT_CHUNK_LOG2)
        self._put(self._sealer.header.encode())
        return self._sealer

    def _finish(self) -> None:
        if self._sealer is None:
            return
        self._put(self._sealer.finish())
        self._disk.sync(self._path)
        self._disk.sync_dir(self._directory)
        self._sealer, self._number = None, self._number + 1

    def _put(self, data: Buffer) -> None:
        if data:
            self._disk.write(self._path, self._end, data)
        self._end += len(data)


class Recovery:
    """Reads a series back, in order: iterate for its content, then ask for its `ending`.

    It changes nothing and can be begun again. Making one checks that the segments are there without
    a gap, and raises `Tampered` otherwise; so does reading, at what does not open as itself.
    """

    def __init__(self, disk: Disk, directory: Path, key: bytearray, series: Series) -> None:
        self._disk, self._directory, self._key, self._series = disk, directory, key, series
        names = _names(disk, directory, series)
        self._is_marked = any(".end-" in name for name in names)
        self._count = len(names) - self._is_marked
        parts = [segment_name(series.part(n)) for n in range(self._count)]
        end = [segment_name(series.end(self._count))] if self._is_marked else []
        if names != sorted(parts + end):
            raise Tampered(f"of the segments of {series.artefact.hex()} one is missing or too many")
        self.ending = Ending.OPEN
        """How the series ends; to be relied on when all content has been read."""

    def __iter__(self) -> Iterator[Secret]:
        """Yields the content, piece by piece; the caller wipes what it got.

        A whole segment is verified in full before it is given out. Only the last may be torn: each
        was durable before the next was begun, the end mark as well.
        """
        is_last_durable = self._is_marked
        for number in range(self._count):
            is_last = number == self._count - 1 and not is_last_durable
            yield from self._read(self._series.part(number), may_be_torn=is_last)
        if self._is_marked:
            self._read_mark()

    def _read_mark(self) -> None:
        self.ending = Ending.CLOSED
        for content in self._read(self._series.end(self._count), may_be_torn=True):
            content.wipe()
            raise Malformed("the end mark of a series has no content")
        if self.ending is Ending.TORN:  # the segments before it are whole nevertheless
            self.ending = Ending.OPEN

    def _read(self, label: Label, *, may_be_torn: bool) -> Iterator[Secret]:
        path = self._directory / segment_name(label)
        size = self._disk.size(path) or 0

        def read(offset: int, length: int) -> Secret:
            return self._disk.read(path, offset, length)

        try:
            content = Opener(self._key, read, size, label).read()
        except (Malformed, Tampered):
            if not may_be_torn:
                raise
            self.ending = Ending.TORN
            yield from open_torn(self._key, label, SEGMENT_CHUNK_LOG2, read)
        else:
            if content:
                yield content


def _names(disk: Disk, directory: Path, series: Series) -> list[str]:
    start = f"{series.interaction.hex()}.{series.artefact.hex()}."
    found = [name for name in disk.names(directory) if name.startswith(start)]
    return [name for name in found if _NAME.fullmatch(name)]
