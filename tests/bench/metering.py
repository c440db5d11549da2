"""What an act or a program costs: time by the wall, time of the processors, bytes, memory."""

import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

ANECHOIC = Path(sys.executable).with_name("anechoic")
_BLOCK = 512  # bytes; what ru_oublock counts in


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds by the wall and of the processors, and bytes sent to the disk."""

    wall_s: float
    cpu_s: float
    written: int

    @property
    def ms(self) -> float:
        """The time by the wall in milliseconds."""
        return 1000 * self.wall_s

    def __add__(self, other: "Cost") -> "Cost":
        """Returns what both cost, one after the other."""
        both = self.wall_s + other.wall_s, self.cpu_s + other.cpu_s
        return Cost(*both, self.written + other.written)


def cost(act: Callable[[], object]) -> Cost:
    """Returns what an act of this process costs, with the programs that it runs."""
    before, started = _used(), time.perf_counter()
    act()
    wall_s, after = time.perf_counter() - started, _used()
    return Cost(wall_s, after[0] - before[0], after[1] - before[1])


def _used() -> tuple[float, int]:
    both = [resource.getrusage(it) for it in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    cpu_s = sum(it.ru_utime + it.ru_stime for it in both)
    return cpu_s, _BLOCK * sum(it.ru_oublock for it in both)


def program(*words: str | Path, env: dict[str, str] | None = None) -> Cost:
    """Runs a program, silently, and returns what it costs; raises where it fails."""
    command, started = list(map(str, words)), time.perf_counter()
    with subprocess.Popen(
        command,
        env=environment(env),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as process:
        said = process.stderr.read() if process.stderr else b""
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    wall_s = time.perf_counter() - started
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command, stderr=said)
    return Cost(wall_s, used.ru_utime + used.ru_stime, _BLOCK * used.ru_oublock)


def resident_mib() -> float:
    """Returns how much memory this process has now, in MiB (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def peak_mib(base: Path, *words: str) -> float:
    """Returns the most memory that `anechoic` holds in a command.

    Through a small program between, because a new process counts what its parent held.
    """
    told = subprocess.run(
        [sys.executable, "-S", "-c", _PEAK, str(ANECHOIC), "--json", *words],
        env=environment(_places(base)),
        check=True,
        capture_output=True,
        text=True,
    )
    return int(told.stderr.split()[-1]) / 1024


_PEAK = """
import os, resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
"""


def environment(more: dict[str, str] | None = None) -> dict[str, str]:
    """Returns the variables for programs: Python may keep what it compiled, as it does for users.

    Else each start would compile everything anew, ours far more than a peer's single line.
    """
    here = {name: it for name, it in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**here, **(more or {})}


def command(base: Path, *words: str | Path) -> Cost:
    """Runs `anechoic` on the vault in a folder and returns what it costs."""
    return program(ANECHOIC, "--json", *words, env=_places(base))


def _places(base: Path) -> dict[str, str]:
    return {"ANECHOIC_VAULT": str(base / "vault"), "ANECHOIC_ANCHOR_DIR": str(base / "anchors")}


def middle(costs: Iterable[Cost]) -> Cost:
    """Returns what is in the middle of several, each figure for itself."""
    them = list(costs)
    written = int(median(it.written for it in them))
    wall_s, cpu_s = median(it.wall_s for it in them), median(it.cpu_s for it in them)
    return Cost(wall_s, cpu_s, written)


def load() -> float:
    """Returns how many programs want a processor just now, on average over a minute."""
    return os.getloadavg()[0]


def size_of(*folders: Path) -> tuple[int, int]:
    """Returns the bytes of all files in these folders: of their content, and on the disk."""
    found = [it.lstat() for folder in folders for it in folder.rglob("*") if it.is_file()]
    return sum(it.st_size for it in found), _BLOCK * sum(it.st_blocks for it in found)
