"""What a process holds itself: the bytes that its allocators have handed out and not got back.

What is resident is more by all that they keep for the next act, which depends on the largest act so
far. This depends on what is still held alone, so one kilobyte that stays from each act is seen.
Looks at glibc and CPython from within; what a library maps by itself is seen in what is resident.
"""

import ctypes
import gc
import os
import re
import sys


class _Counts(ctypes.Structure):
    """What `mallinfo2` of glibc 2.33 returns, in bytes but for the numbers of blocks."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            "arena", "ordblks", "smblks", "hblks", "hblkhd",
            "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost",
        )
    ]  # fmt: skip


def held_mib() -> float:
    """Returns what this process holds in MiB, without what nobody can reach any more."""
    gc.collect()
    return (_of_c() + _of_python()) / 2**20


def _of_c() -> int:
    ask = ctypes.CDLL(None).mallinfo2
    ask.restype = _Counts
    counts = ask()
    return int(counts.uordblks + counts.hblkhd)


def _of_python() -> int:
    """Returns the bytes of small objects, for which Python has an allocator of its own."""
    found = re.search(rb"# bytes in allocated blocks *= *([\d,]+)", _statistics())
    assert found, "expected CPython with its own allocator"
    return int(found[1].replace(b",", b""))


def _statistics() -> bytes:
    """Returns what Python tells of its allocator, which it tells the standard error alone."""
    sys.stderr.flush()
    kept, told = os.dup(2), os.memfd_create("statistics")
    try:
        os.dup2(told, 2)
        sys._debugmallocstats()
        os.dup2(kept, 2)
        return os.pread(told, 1 << 20, 0)
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(told)
