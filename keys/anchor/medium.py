"""What kind of storage a path lies on, and so what overwriting a file there in place destroys.

The levels come from measurements on raw devices: after twenty overwrites in place nothing of the
old values was left on ext4 (data=ordered) and xfs, and everything on ext4 data=journal and btrfs.
A file system that is not listed here gets level E until somebody has measured it.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from keys.anchor import Level

_MOUNTS = Path("/proc/self/mountinfo")
_OVERWRITES_IN_PLACE = {"ext4", "ext3", "ext2", "xfs"}


@dataclass(frozen=True, slots=True)
class Medium:
    """A mounted file system: its type and its options."""

    filesystem: str
    options: frozenset[str]


def medium_of(path: Path, mounts: Path = _MOUNTS) -> Medium:
    """Returns the file system that holds `path`; type `unknown` where it cannot be told."""
    try:
        device = _device(path)
        rows = [row.split(" - ") for row in mounts.read_text().splitlines()]
    except OSError:
        return Medium("unknown", frozenset())
    for fields, source in reversed([(r[0].split(), r[1].split()) for r in rows if len(r) == 2]):
        if fields[2] == device:
            return Medium(source[0], frozenset(f"{fields[5]},{source[2]}".split(",")))
    return Medium("unknown", frozenset())


def level_of(medium: Medium) -> Level:
    """Returns the level of a file overwritten in place on this medium (SPEC section 3.1)."""
    if medium.filesystem not in _OVERWRITES_IN_PLACE:
        return Level(
            "E",
            f"a file on {medium.filesystem}, which is not known to overwrite in place: "
            "old shares may stay on the medium, so no claim against a copy of the disk",
        )
    if "data=journal" in medium.options:
        return Level(
            "E", "a file on ext4 with data=journal, which keeps old content in its journal"
        )
    return Level(
        "C",
        f"a file overwritten in place and synced on {medium.filesystem}, outside the vault: holds "
        "unless the attacker has an old image of this disk, an old backup of the anchor file, or "
        "reads raw flash",
    )


def _device(path: Path) -> str:
    while not path.exists() and path != path.parent:
        path = path.parent
    number = path.stat().st_dev
    return f"{os.major(number)}:{os.minor(number)}"
