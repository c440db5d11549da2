"""The time here: now, in the zone of this machine, with its changes of the clocks.

The only place of this package that asks what time it is and where; everything else is told.
"""

import os
from datetime import UTC, datetime, tzinfo
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_LOCAL = Path("/etc/localtime")


def now() -> datetime:
    """Returns the time, in the zone of this machine."""
    return datetime.now(zone())


def zone() -> tzinfo:
    """Returns the zone of this machine: that of TZ, else the system's, else its offset today."""
    return _zone(os.environ.get("TZ", "").removeprefix(":"))


@cache
def _zone(named: str) -> tzinfo:
    if named:
        try:
            return ZoneInfo(named)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            pass  # such as CET-1CEST, which only the system reads
    try:
        _, found, name = str(_LOCAL.resolve()).partition("zoneinfo/")
        if found:
            return ZoneInfo(name)
        with _LOCAL.open("rb") as file:
            return ZoneInfo.from_file(file, key="local")
    except (ZoneInfoNotFoundError, OSError, ValueError):
        return datetime.now().astimezone().tzinfo or UTC
