"""How late a busy machine is, measured when it matters: what a limit in seconds is raised by."""

import subprocess
import sys
import time

INTERPRETERS = 10


def lateness_s() -> float:
    """Returns how long some interpreters take to start and end now, one after another.

    That is a third of a second where nothing else runs, and ten seconds where a process waits
    for its turn most of the time. Meanwhile whatever is late has as long to come.
    """
    began_s = time.monotonic()
    for _ in range(INTERPRETERS):
        subprocess.run([sys.executable, "-c", ""], check=True)
    return time.monotonic() - began_s
