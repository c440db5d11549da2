"""Which machine this is, and how busy: without that a figure says nothing."""

import os
import platform
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from tests.bench.metering import load


def described(folder: Path) -> Iterator[str]:
    """Yields lines for the head of the results."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    processors = os.cpu_count() or 1
    today = datetime.now(UTC).date().isoformat()
    yield f"{today} · {_processor()} · {processors} processors · {memory:.0f} GiB"
    system = f"{platform.system()} {platform.release()}"
    yield f"{system} · {_file_system(folder)} · Python {platform.python_version()}"
    yield f"load at the start {load():.1f}: {_verdict(load(), processors)}"


def _verdict(busy: float, processors: int) -> str:
    if busy < processors / 4:
        return "idle"
    return "other programs ran on it; ratios hold within this run, absolute figures do not"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((it.partition(": ")[2] for it in lines if it.startswith("model name")), "")


def _file_system(folder: Path) -> str:
    found = ""
    try:
        mounts = Path("/proc/self/mounts").read_text().splitlines()
    except OSError:
        return "an unknown file system"
    for place, kind in (it.split()[1:3] for it in mounts):
        if folder.resolve().is_relative_to(place) and kind != "rootfs":
            found = kind
    return found
