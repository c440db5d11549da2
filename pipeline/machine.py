"""What this machine does with memory and disks that weakens an erasure, and what to do about it.

Looks only; changes nothing but, in `harden` and `lock_memory`, this process. Every finding says
what was found and what to do. A new weakness that others have met belongs here, with its remedy.
"""

import ctypes
import os
import sys
from dataclasses import dataclass
from pathlib import Path

OK, WARN, BAD = "ok", "warn", "bad"
FIXED, LEFT = "fixed", "left"
"""What the doctor says of what it was asked to fix."""
_PR_SET_DUMPABLE = 4
_LOCK_ALL = 1 | 2 | 4  # MCL_CURRENT, MCL_FUTURE, MCL_ONFAULT: what is never touched costs nothing


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at: its state (ok, warn, bad; fixed, left), what was found, what to do."""

    check: str
    state: str
    found: str
    remedy: str = ""


def harden() -> None:
    """Forbids this process to leave core dumps and others of the same user to read its memory."""
    if sys.platform == "win32":
        return
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def lock_memory() -> bool:
    """Keeps the memory of this process out of swap where that is allowed; tells whether it is.

    Only where there is no limit: under one, a program that grows would be refused its memory.
    """
    if sys.platform != "linux":
        return False
    import resource

    limit = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0]
    if limit != resource.RLIM_INFINITY and os.geteuid() != 0:
        return False
    return bool(ctypes.CDLL(None).mlockall(_LOCK_ALL) == 0)


def swap(table: Path = Path("/proc/swaps")) -> Finding:
    """Tells whether memory, and so speech and keys, may be written to an unencrypted disk."""
    try:
        rows = table.read_text().splitlines()[1:]
    except OSError:
        return Finding("swap", WARN, "cannot be told on this platform", "use encrypted swap")
    open_areas = [area for row in rows if not _keeps_nothing(area := row.split()[0])]
    if not open_areas:
        return Finding("swap", OK, "none, or only compressed memory or an encrypted device")
    return Finding(
        "swap",
        WARN,
        f"{', '.join(open_areas)}: speech and keys in memory may be written there in the clear",
        "turn swap off (`swapoff -a`), or use zram or an encrypted swap device",
    )


def core_dumps() -> Finding:
    """Tells whether this process could leave its memory in a file."""
    if sys.platform == "win32":
        return Finding("core dumps", WARN, "cannot be told on this platform")
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    if (soft, hard) == (0, 0):
        return Finding("core dumps", OK, "forbidden for this process")
    return Finding("core dumps", BAD, "allowed", "run `ulimit -c 0` first, and report this")


def permissions(directory: Path) -> Finding:
    """Tells whether other users of the machine can look into a directory."""
    if sys.platform == "win32" or not directory.exists():
        return Finding("permissions", OK, f"{directory} is not there, or not of this kind")
    mode = directory.stat().st_mode & 0o777
    if mode & 0o077 == 0:
        return Finding("permissions", OK, f"{directory} is private ({mode:04o})")
    return Finding(
        "permissions",
        WARN,
        f"{directory} can be read by others ({mode:04o}): sealed, but sizes and times show",
        f"chmod 700 {directory}",
    )


def _keeps_nothing(area: str) -> bool:
    device = Path(os.path.realpath(area)).name
    if device.startswith("zram"):
        return True
    uuid = Path("/sys/class/block") / device / "dm" / "uuid"
    return uuid.exists() and uuid.read_text().startswith("CRYPT-")
