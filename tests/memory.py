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

PAGE = os.sysconf("SC_PAGE_SIZE")
_LEAST = 6


def memory(pid: int, rights: str = "w") -> Iterator[bytes]:
    """Yields all that is there of a process's mappings that have all of these rights."""
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", buffering=0) as content:
        for row in maps:
            span, found, *_ = row.split()
            if not set(rights) <= set(found) or row.rstrip().endswith(("[vvar]", "[vsyscall]")):
                continue
            for start, size in _present(pid, *(int(number, 16) for number in span.split("-"))):
                with contextlib.suppress(OSError):  # a device, or behind the end of its file
                    content.seek(start)
                    data = bytearray()
                    while len(data) < size and (part := content.read(size - len(data))):
                        data += part
                    yield bytes(data)


def _present(pid: int, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yields start and size of each stretch that is in memory or swap: most was never touched."""
    with open(f"/proc/{pid}/pagemap", "rb", buffering=0) as pagemap:
        pagemap.seek(start // PAGE * 8)
        flags = np.frombuffer(pagemap.read((end - start) // PAGE * 8), np.uint64) >> np.uint64(62)
    edges = np.flatnonzero(np.diff(flags != 0, prepend=False, append=False))
    for first, last in edges.reshape(-1, 2).tolist():
        yield start + first * PAGE, (last - first) * PAGE


def hits(pid: int, needles: Collection[bytes], rights: str = "w") -> Counter[bytes]:
    """Counts where each of the needles, of six bytes or more, lies in the memory of a process."""
    found: Counter[bytes] = Counter()
    for data in memory(pid, rights):
        found += hits_in(data, needles)
    return found


def hits_in(data: bytes, needles: Collection[bytes]) -> Counter[bytes]:
    """Counts where each of the needles, of six bytes or more, lies in the data."""
    found: Counter[bytes] = Counter()
    first, second, third = (_sieve(needles, at) for at in (0, 2, 4))
    starts: dict[bytes, list[bytes]] = {}
    for needle in needles:
        starts.setdefault(needle[:_LEAST], []).append(needle)
    for shift in range(min(2, len(data))):
        words = np.frombuffer(data, np.uint16, (len(data) - shift) // 2, shift)
        places = np.flatnonzero(first[words[:-2]])
        places = places[second[words[places + 1]] & third[words[places + 2]]]
        for at in (2 * places + shift).tolist():
            found.update(
                it for it in starts.get(data[at : at + _LEAST], ()) if data.startswith(it, at)
            )
    return found


def _sieve(needles: Collection[bytes], at: int) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
    """Returns which two bytes may be those at a place of a needle."""
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
