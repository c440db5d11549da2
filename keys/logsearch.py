"""Lines of a log that hold given bytes, found without parsing the others.

Promises every such line before a given end, whole, newest first. Bytes are compared and nothing
else, some hundred times as fast as reading each line as an entry; what a line means, and whether
the log has it, is for the caller to check.
"""

from collections.abc import Collection, Iterator
from pathlib import Path

from keys.durable import Disk

_BLOCK = 1 << 20


def lines_with(disk: Disk, path: Path, end: int, wanted: Collection[bytes]) -> Iterator[bytes]:
    """Yields the lines of a file before `end` that hold any of the `wanted`, newest first."""
    carry, position = b"", end
    while position > 0:
        start = max(0, position - _BLOCK)
        data = bytes(disk.read(path, start, position - start)) + carry
        whole = data.find(b"\n") + 1 if start else 0
        if start and not whole:
            carry, position = data, start  # it is all of one long line
            continue
        carry, position = data[:whole], start
        yield from _in_block(data, whole, wanted)


def _in_block(data: bytes, start: int, wanted: Collection[bytes]) -> Iterator[bytes]:
    found = {begin for each in wanted for begin in _begins(data, start, each)}
    for begin in sorted(found, reverse=True):
        end = data.find(b"\n", begin)
        yield data[begin : end if end >= 0 else len(data)]


def _begins(data: bytes, start: int, wanted: bytes) -> Iterator[int]:
    at = data.find(wanted, start)
    while at >= 0:
        yield max(start, data.rfind(b"\n", start, at) + 1)
        end = data.find(b"\n", at)
        at = data.find(wanted, end) if end >= 0 else -1
