"""What the page costs: `python -m tests.bench.web [NUMBER]`.

Start-up and memory of `serve` with and without it, and the time of its pages in a vault of many
interactions, made in bulk as `tests/bench/filling.py` does; by a client on the same machine.
"""

import argparse
import contextlib
import http.client
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode

from pipeline.session import acting, create_vault
from tests.bench.filling import fill
from tests.bench.said import sentences

ROUNDS = 7


@contextmanager
def serving(base: Path, *words: str) -> Iterator[tuple["subprocess.Popen[str]", str, float]]:
    """Starts `serve`; yields it, its first line, and the seconds until that came."""
    places = {"ANECHOIC_VAULT": str(base / "vault"), "ANECHOIC_ANCHOR_DIR": str(base / "anchors")}
    begun_s = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "pipeline.cli", "serve", *words],
        env={**os.environ, **places},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr
    line = process.stderr.readline()
    try:
        yield process, line, time.perf_counter() - begun_s
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()


def resident_mib(pid: int) -> tuple[float, float]:
    """Returns the memory that a process tree shares fairly and has for itself, in MiB."""
    fields = {"Pss": 0, "Private_Dirty": 0}
    for each in [pid, *children(pid)]:
        for line in Path(f"/proc/{each}/smaps_rollup").read_text().splitlines():
            name, _, rest = line.partition(":")
            if name in fields:
                fields[name] += int(rest.split()[0])
    return fields["Pss"] / 1024, fields["Private_Dirty"] / 1024


def children(pid: int) -> list[int]:
    """Returns the processes that a process has started."""
    return [int(it) for it in Path(f"/proc/{pid}/task/{pid}/children").read_text().split() if it]


class Client:
    """A browser that has come in."""

    def __init__(self, link: str) -> None:
        self.name = link.split("/")[2]
        body = {"ticket": link.partition("#")[2]}
        self.cookie = ""
        while not self.cookie:
            with contextlib.suppress(ConnectionError):
                self.cookie = self.ask("POST", "/enter", body)[1].partition(";")[0]

    def ask(self, method: str, path: str, fields: dict[str, str] | None = None) -> tuple[str, str]:
        """Returns the body and the cookie of an answer."""
        line = http.client.HTTPConnection(self.name, timeout=120)
        headers = {"Origin": f"http://{self.name}", "Cookie": self.cookie}
        if fields:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        line.request(method, path, urlencode(fields or {}), headers)
        answer = line.getresponse()
        text = answer.read().decode()
        assert answer.status < 400, (answer.status, text[-600:])
        return text, answer.headers.get("set-cookie", "")

    def patiently(self, path: str) -> float:
        """Returns the seconds until a page comes: what `serve` does at its start goes first."""
        begun_s = time.perf_counter()
        while True:
            try:
                self.ask("GET", path)
            except AssertionError:
                continue
            return time.perf_counter() - begun_s

    def timed_ms(self, method: str, path: str, fields: dict[str, str] | None = None) -> str:
        """Returns the first, the median and the slowest time of several, in milliseconds."""
        times = []
        for _ in range(ROUNDS):
            begun_s = time.perf_counter()
            self.ask(method, path, fields)
            times.append(1000 * (time.perf_counter() - begun_s))
        return (
            f"first {times[0]:7.0f}  median {statistics.median(times):7.0f}  most {max(times):7.0f}"
        )


def starting(base: Path) -> None:
    """Prints what the page adds to the start and the memory of `serve`."""
    for words in ((), ("--web", "127.0.0.1:0")):
        with serving(base, *words) as (process, line, until_s):
            if words:
                first_s = Client(re.findall(r"http\S+", line)[0]).patiently("/")
                print(f"the first page {first_s:.2f} s after that")
            else:
                time.sleep(3)
            shared, own = resident_mib(process.pid)
            name = " ".join(("serve", *words))
            print(f"{name:28} {until_s:5.2f} s to its first line, ", end="")
            print(f"{shared:.0f} MiB, {own:.0f} of it its own")


def pages(base: Path) -> None:
    """Prints the time of each page."""
    with serving(base, "--web", "127.0.0.1:0") as (process, line, _):
        it = Client(re.findall(r"http\S+", line)[0])
        it.patiently("/")
        csrf = re.findall(r'name="csrf" content="(\w+)"', it.ask("GET", "/")[0])[0]
        one = re.findall(r"/interactions/[0-9a-f]{32}", it.ask("GET", "/?until=2026-01-02")[0])[0]
        newest = re.findall(r"/interactions/([0-9a-f]{32})", it.ask("GET", "/")[0])[1]
        path = "/"
        for page in range(1, 4):
            print(f"timeline, page {page}              {it.timed_ms('GET', path)} ms", flush=True)
            path = re.findall(r'id="older" href="([^"]+)"', it.ask("GET", path)[0])[0]
            path = path.replace("&amp;", "&")
        for name, path in (
            ("timeline, the oldest days  ", "/?until=2026-01-02"),
            ("one, of the oldest         ", one),
            ("forget                     ", "/forget"),
            ("agenda                     ", "/agenda"),
            ("what is held               ", "/held"),
            ("settings                   ", "/settings"),
            ("skills                     ", "/skills"),
        ):
            print(f"{name}       {it.timed_ms('GET', path)} ms", flush=True)
        for name, path, fields in (
            ("search                     ", "/search", {"words": "the"}),
            ("what came since            ", "/newer", {"seen": newest}),
            ("the plan of one            ", "/plan", {"way": "time", "until": "2026-01-01T00:01Z"}),
        ):
            more = {**fields, "csrf": csrf}
            print(f"{name}       {it.timed_ms('POST', path, more)} ms", flush=True)
        shared, own = resident_mib(process.pid)
        print(f"memory then {shared:.0f} MiB, {own:.0f} of it its own")


def main() -> None:
    """Prints the tables."""
    options = argparse.ArgumentParser()
    options.add_argument("number", nargs="?", type=int, default=100_000)
    options.add_argument("--at", type=Path)
    given = options.parse_args()
    base = given.at or Path(tempfile.mkdtemp())
    try:
        if not (base / "vault").exists():
            vault = create_vault(base / "vault", base / "anchors")
            with acting(vault):
                for _ in fill(vault, iter(list(sentences(given.number)))):
                    pass
        starting(base)
        pages(base)
    finally:
        if not given.at:
            shutil.rmtree(base)


if __name__ == "__main__":
    main()
