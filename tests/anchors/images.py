"""File systems in image files: mounted for a test, cut off as by a power cut, and read raw."""

import fcntl
import os
import shutil
import struct
import subprocess
import tempfile
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

MIB = 1 << 20
_SHUTDOWN = 0x8004587D  # FS_IOC_SHUTDOWN, _IOR('X', 125, __u32)
_WITHOUT_THE_JOURNAL = 2


@dataclass(frozen=True, slots=True)
class Kind:
    """A file system to make and how to mount it; nothing is discarded, so nothing is cleared."""

    make: tuple[str, ...]
    size: int
    options: str
    package: str


KINDS = {
    "ext4": Kind(("mkfs.ext4", "-q", "-F"), 64 * MIB, "loop,nodiscard", "e2fsprogs"),
    "ext4-journal": Kind(
        ("mkfs.ext4", "-q", "-F"), 64 * MIB, "loop,nodiscard,data=journal", "e2fsprogs"
    ),
    "xfs": Kind(("mkfs.xfs", "-q", "-f"), 320 * MIB, "loop,nodiscard", "xfsprogs"),
    "btrfs": Kind(("mkfs.btrfs", "-q", "-f"), 128 * MIB, "loop,nodiscard", "btrfs-progs"),
}


@cache
def why_not(kind: str) -> str | None:
    """Returns why no image of this kind can be mounted here, None when one can."""
    if shutil.which(KINDS[kind].make[0]) is None:
        return f"{KINDS[kind].make[0]} is missing (Debian: {KINDS[kind].package})"
    try:
        with tempfile.TemporaryDirectory() as directory, Image(Path(directory), kind).mounted():
            return None
    except subprocess.CalledProcessError as error:
        return f"no {kind} image can be mounted: {error.stderr.strip().partition(chr(10))[0]}"


class Image:
    """A file system of one of `KINDS` in a sparse file of `directory`."""

    def __init__(self, directory: Path, kind: str) -> None:
        self._kind = KINDS[kind]
        self.path, self.point = directory / "image", directory / "mounted"
        self.point.mkdir()
        with open(self.path, "wb") as image:
            image.truncate(self._kind.size)
        _run(*self._kind.make, str(self.path))

    @contextmanager
    def mounted(self, more: str = "") -> Iterator[Path]:
        """Yields the directory where the image is mounted; unmounts it at the end."""
        _run("mount", "-o", self._kind.options + more, str(self.path), str(self.point))
        try:
            yield self.point
        finally:
            _unmount(self.point)

    def found(self, needles: Collection[bytes]) -> set[bytes]:
        """Returns which of the needles lie anywhere in the raw image."""
        return {needle for part in self._parts() for needle in needles if needle in part}

    def _parts(self) -> Iterator[bytes]:
        with open(self.path, "rb") as image:
            end, start = image.seek(0, os.SEEK_END), 0
            while start < end:
                try:
                    start = os.lseek(image.fileno(), start, os.SEEK_DATA)
                except OSError:  # nothing but holes follows
                    return
                stop = os.lseek(image.fileno(), start, os.SEEK_HOLE)
                yield os.pread(image.fileno(), stop - start, start)
                start = stop


def cut_power(directory: Path) -> None:
    """Stops the file system there at once; what was not synced is lost, the journal included."""
    fd = os.open(directory, os.O_RDONLY)
    try:
        fcntl.ioctl(fd, _SHUTDOWN, struct.pack("I", _WITHOUT_THE_JOURNAL))
    finally:
        os.close(fd)


def _unmount(point: Path) -> None:
    for _ in range(50):
        try:
            _run("umount", str(point))
        except subprocess.CalledProcessError as error:
            if "busy" not in error.stderr:
                raise
            time.sleep(0.1)
        else:
            return
    _run("umount", "--lazy", str(point))


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True)
