"""A Dask cluster of real processes on this machine: a scheduler, workers, their local folders."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from pipeline import models
from tests.commandline import ROOT
from tests.memory import tree

IN_MEMORY = {
    "DASK_DISTRIBUTED__WORKER__MEMORY__TARGET": "False",
    "DASK_DISTRIBUTED__WORKER__MEMORY__SPILL": "False",
}
_PATIENCE_S = 60
_CACHE = models.installed()[0].path.parents[2] if models.installed() else Path()


class Cluster:
    """Runs until the block is left; everything that its processes write lies below `home`."""

    def __init__(self, home: Path, protocol: str = "tcp") -> None:
        self.home = home
        self.tls = _certificates(home / "tls") if protocol == "tls" else {}
        """The variables with which Dask finds the certificates of everybody."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.url = f"{protocol}://127.0.0.1:{free.getsockname()[1]}"
        port = self.url.rpartition(":")[2]
        self.scheduler = self._start(
            *("scheduler", "scheduler", "--host", "127.0.0.1", "--port", port),
            *("--protocol", protocol, "--no-dashboard"),
        )
        self.workers: list[subprocess.Popen[bytes]] = []

    def add(self, *words: str, may_spill: bool = False) -> "subprocess.Popen[bytes]":
        """Starts one worker with one thread; returns when it is registered."""
        folder = f"worker-{len(self.workers)}"
        process = self._start(
            folder,
            *("worker", self.url, "--nthreads", "1", "--no-nanny", "--no-dashboard", *words),
            *("--local-directory", str(self.home / folder)),
            **({} if may_spill else IN_MEMORY),
        )
        self.workers.append(process)
        self._until(folder, "Registered to")
        return process

    def children(self, worker: "subprocess.Popen[bytes]") -> list[int]:
        """The processes that hear for a worker."""
        return [pid for pid in tree(worker.pid) if pid != worker.pid]

    def end(self) -> None:
        for process in (*self.workers, self.scheduler):
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.wait()

    def _start(self, log: str, *words: str, **environment: str) -> "subprocess.Popen[bytes]":
        home = self.home / log
        home.mkdir()
        model = {"XDG_CACHE_HOME": str(_CACHE)}
        variables = {"PATH": os.environ["PATH"], "HOME": str(home), "TMPDIR": str(home)}
        with open(home / "log", "wb") as out:
            return subprocess.Popen(
                [sys.executable, "-m", "distributed.cli.dask_" + words[0], *words[1:]],
                env={**variables, **model, **self.tls, "PYTHONPATH": str(ROOT), **environment},
                cwd=home,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )

    def _until(self, log: str, what: str) -> None:
        patience_s = time.monotonic() + _PATIENCE_S
        while what not in (text := (self.home / log / "log").read_text()):
            assert time.monotonic() < patience_s, text
            time.sleep(0.1)


def _certificates(folder: Path) -> dict[str, str]:
    """Makes an authority that is its own only member; everybody shows its certificate."""
    folder.mkdir()
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-subj", "/CN=cluster", "-days", "2"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    tls = "DASK_DISTRIBUTED__COMM__TLS__"
    whose = ("SCHEDULER", "WORKER", "CLIENT")
    return {
        f"{tls}CA_FILE": str(certificate),
        **{f"{tls}{name}__KEY": str(key) for name in whose},
        **{f"{tls}{name}__CERT": str(certificate) for name in whose},
    }


@contextlib.contextmanager
def cluster(home: Path, workers: int, protocol: str = "tcp") -> Iterator[Cluster]:
    """A cluster of so many workers, each with one thread, that keep everything in memory."""
    it = Cluster(home, protocol)
    try:
        for _ in range(workers):
            it.add()
        yield it
    finally:
        it.end()
