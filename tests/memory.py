"""Looking into the memory of running processes from outside, byte by byte; Linux only.

Whoever is looked at is stopped for that moment. Processes of ours forbid others of their user to
read them, so it takes root.
"""

import contextlib
import os
import signal
import sys
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np

_LEAST = 4


def memory(pid: int, rights: str = "w") -> Iterator[bytes]:
    """Yields each mapping of a process that has all of these rights."""
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", buffering=0) as content:
        for row in maps:
            span, found, *_ = row.split()
            if not set(rights) <= set(found) or row.rstrip().endswith(("[vvar]", "[vsyscall]")):
                continue
            start, end = (int(number, 16) for number in span.split("-"))
            with contextlib.suppress(OSError):  # a device, or behind the end of its file
                content.seek(start)
                data = bytearray()
                while len(data) < end - start and (part := content.read(end - start - len(data))):
                    data += part
                yield bytes(data)


def hits(pid: int, needles: Collection[bytes], rights: str = "w") -> Counter[bytes]:
    """Counts where each of the needles, of four bytes or more, lies in the memory of a process."""
    found: Counter[bytes] = Counter()
    for data in memory(pid, rights):
        found += hits_in(data, needles)
    return found


def hits_in(data: bytes, needles: Collection[bytes]) -> Counter[bytes]:
    """Counts where each of the needles, of four bytes or more, lies in the data."""
    found: Counter[bytes] = Counter()
    first, second = _sieve(needles, 0), _sieve(needles, 2)  # quick, by their first four bytes
    by_length: dict[int, set[bytes]] = {}
    for needle in needles:
        by_length.setdefault(len(needle), set()).add(needle)
    for shift in range(2):
        words = np.frombuffer(data, np.uint16, (len(data) - shift) // 2, shift)
        for place in np.flatnonzero(first[words[:-1]] & second[words[1:]]).tolist():
            at = 2 * place + shift
            for length, those in by_length.items():
                if (piece := data[at : at + length]) in those:
                    found[piece] += 1
    return found


def _sieve(needles: Collection[bytes], at: int) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
    assert all(len(needle) >= _LEAST for needle in needles)
    may_be = np.zeros(1 << 16, bool)
    may_be[[int.from_bytes(needle[at : at + 2], sys.byteorder) for needle in needles]] = True
    return may_be


def tree(pid: int) -> list[int]:
    """Returns a process and all that came from it and still have it as an ancestor."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(folder.name))
    found = [pid]
    for each in found:
        found += children.get(each, [])
    return found


@contextlib.contextmanager
def stopped(pids: Collection[int]) -> Iterator[None]:
    """Stops processes for the block."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
