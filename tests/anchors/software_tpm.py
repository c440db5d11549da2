"""A TPM in software (`swtpm`) on a socket of its own, whose state directory tests may put back."""

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Self


def why_not() -> str | None:
    """Returns what is missing for a software TPM, None when nothing is."""
    if shutil.which("swtpm") is None:
        return "swtpm is missing (Debian: swtpm)"
    if find_spec("tpm2_pytss") is None:
        return "tpm2-pytss is missing (Debian: libtss2-dev gcc python3-dev, then anechoic[tpm])"
    return None


class SoftwareTpm:
    """One swtpm process with its sockets in `directory` and its state there or in `state`."""

    def __init__(self, directory: Path, state: Path | None = None) -> None:
        self.state = (state or directory) / "state"
        self.state.mkdir(exist_ok=True)
        self._socket = directory / "tpm"
        self.tcti = f"swtpm:path={self._socket}"

    def __enter__(self) -> Self:
        control = self._socket.with_name(self._socket.name + ".ctrl")  # where libtss2 looks for it
        self._process = subprocess.Popen(
            [
                *("swtpm", "socket", "--tpm2", "--tpmstate", f"dir={self.state}"),
                *("--server", f"type=unixio,path={self._socket}"),
                *("--ctrl", f"type=unixio,path={control}"),
                *("--flags", "not-need-init,startup-clear"),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until = time.monotonic() + 10
        while not (self._socket.exists() and control.exists()) and time.monotonic() < until:
            assert self._process.poll() is None, "swtpm ended at once"
            time.sleep(0.01)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(timeout=10)
        for path in self._socket.parent.glob("tpm*"):
            path.unlink()


@contextmanager
def fresh_tpm() -> Iterator[SoftwareTpm]:
    """Yields a new TPM; its directory is short, because a socket's path may have 107 bytes."""
    with (
        tempfile.TemporaryDirectory(prefix="tpm-") as directory,
        SoftwareTpm(Path(directory)) as tpm,
    ):
        yield tpm
