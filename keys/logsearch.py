"""Lines of a log from its end, all of them or those that hold given bytes, none of them parsed.

Promises every such line before a given end, whole, newest first, from the line numbered `oldest`
on and maybe some before it. Bytes are compared and nothing else, some ten times as fast as reading
each line as an entry; what a line means, and whether the log has it, is for the caller to check.
"""

from collections.abc import Collection, Iterator
from pathlib import Path

from keys.durable import Disk

_BLOCK, _MOST = 1 << 15, 1 << 20
"""The size of the block at the end, where most things are, and that of the largest."""


def end_of_last_line(disk: Disk, path: Path, end: int) -> int:
    """Returns where the last whole line before `end` ends, 0 where there is none."""
    while end > 0:
        start = max(0, end - _MOST)
        newline = disk.read(path, start, end - start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0


def lines_back(disk: Disk, path: Path, end: int) -> Iterator[bytes]:
    """Yields the lines of a file before `end`, newest first."""
    rest, position = b"", end
    while position > 0:
        start = max(0, position - 2 * _BLOCK)
        block = disk.read(path, start, position - start)
        rest, *lines = (bytes(block) + rest).removesuffix(b"\n").split(b"\n")
        yield from reversed(lines)
        position = start
    if rest:
        yield rest


def lines_with(
    disk: Disk, path: Path, end: int, wanted: Collection[bytes], oldest: int = 0
) -> Iterator[bytes]:
    """Yields the lines of a file before `end` that hold any of the `wanted`, newest first."""
    carry, position, size = b"", end, _BLOCK
    while position > 0:
        start, size = max(0, position - size), min(2 * size, _MOST)
        data = bytes(disk.read(path, start, position - start)) + carry
        whole = data.find(b"\n") + 1 if start else 0
        if start and not whole:
            carry, position = data, start  # it is all of one long line
            continue
        carry, position = data[:whole], start
        yield from _in_block(data, whole, wanted)
        if whole < len(data) and _number(data, whole) < oldest:
            return


def _number(data: bytes, start: int) -> int:
    """Returns the number that a line begins with; a high one, which ends nothing, for none."""
    word = data[start : start + 20].partition(b" ")[0]
    return int(word) if word.isdigit() else 2**63


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
