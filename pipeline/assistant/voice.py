"""Saying answers aloud, by a program of the system that the user has: espeak-ng, or flite.

Promises that the words go to its standard input and nowhere else: no argument, file or variable.
Where there is none, or nothing to hear it by, nothing is raised. Only who asked for it hears it.
"""

import contextlib
import shutil
import subprocess
from collections.abc import Sequence

_PROGRAMS: Sequence[tuple[str, ...]] = (
    ("espeak-ng", "--stdin"),
    ("flite", "-f", "-", "-o", "play"),
)
_LONGEST_S = 60.0


def speaker() -> tuple[str, ...] | None:
    """Returns the command that says what it reads, None where there is none."""
    return next((it for it in _PROGRAMS if shutil.which(it[0])), None)


def say(text: str, command: Sequence[str] | None = None) -> bool:
    """Says a text, returns when it was said, and tells whether there was anything to say it."""
    command = command or speaker()
    if command is None or not text:
        return False
    nothing = subprocess.DEVNULL
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        subprocess.run(
            command,
            input=text.encode(),
            stdout=nothing,
            stderr=nothing,
            timeout=_LONGEST_S,
            check=False,
        )
        return True
    return False
