"""The only place that touches a disk for keeps: every write, sync, rename and deletion of `keys`.

Each method is one operation that a crash can come before, within or after; nothing is durable
until the matching `sync` or `sync_dir` has returned. A failing operation raises `StateUnknown`,
because after a failed sync nobody knows what is on the disk. The simulated disk of the tests has
the same shape, so the protocols above run on either.
"""

import contextlib
import errno
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

from keys.errors import StateUnknown
from keys.secret import Secret

Buffer = bytes | bytearray | memoryview
_AGAIN = "run the command again, and it will recover what holds"
_REMEDIES = {
    errno.ENOSPC: "expected room on that disk, found none: make some, then " + _AGAIN,
    errno.EDQUOT: "expected room on that disk, found your share of it used up: make some, then "
    + _AGAIN,
    errno.EROFS: "expected a disk that can be written, found one that has become read-only, as one "
    "does that fails: see to it, then " + _AGAIN,
    errno.EIO: "expected a disk that works, found one that fails or has gone: see to it, then "
    + _AGAIN,
}


class Disk(Protocol):
    """What the protocols need of a file system, one crash point each."""

    def read(self, path: Path, offset: int = 0, size: int | None = None) -> Secret:
        """Returns `size` bytes (or all) from `offset`; fewer at the end; FileNotFoundError."""

    def size(self, path: Path) -> int | None:
        """Returns the length of the file, or None when there is none."""

    def names(self, directory: Path) -> list[str]:
        """Returns the sorted names in a directory; none when it does not exist."""

    def make_dir(self, directory: Path) -> None:
        """Makes the directory and its parents when absent; durable once the parents are synced."""

    def write(self, path: Path, offset: int, data: Buffer) -> None:
        """Writes in place at `offset`, making the file when absent."""

    def truncate(self, path: Path, size: int) -> None:
        """Cuts the file to `size` bytes."""

    def sync(self, path: Path) -> None:
        """Makes the file's content durable."""

    def sync_dir(self, directory: Path) -> None:
        """Makes the names in the directory durable."""

    def rename(self, source: Path, target: Path) -> None:
        """Gives the file a new name, replacing what had it."""

    def delete(self, path: Path) -> None:
        """Removes the file when it is there."""

    def remove_dir(self, directory: Path) -> None:
        """Removes the empty directory when it is there."""


@contextlib.contextmanager
def _unknown_if_it_fails(act: str, path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StateUnknown(
            f"could not {act} {path}: {error.strerror or error}; "
            + _REMEDIES.get(error.errno or 0, _AGAIN)
        ) from error


def expect(paths: Iterable[Path]) -> None:
    """Tells the system which files are read next, so that it fetches some while others are opened.

    A hint: nothing is read here, what is missing is passed over, and elsewhere than on Linux it may
    do nothing.
    """
    if not hasattr(os, "posix_fadvise"):
        return
    for path in paths:
        with contextlib.suppress(OSError), _opened(path, os.O_RDONLY) as fd:
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_WILLNEED)


def let_go(path: Path) -> None:
    """Tells the system that a durable file is not read soon, so that its memory is free for others.

    A hint, as `expect` is. What is in memory has to be given up page by page when it is deleted.
    """
    if hasattr(os, "posix_fadvise"):
        with contextlib.suppress(OSError), _opened(path, os.O_RDONLY) as fd:
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)


class RealDisk:
    """The file system of this machine; directories are private to the user (0700, files 0600)."""

    def read(self, path: Path, offset: int = 0, size: int | None = None) -> Secret:
        with open(path, "rb", buffering=0) as file:
            length = os.fstat(file.fileno()).st_size
            out = Secret(max(0, min(length - offset, length if size is None else size)))
            view, done = memoryview(out), 0
            file.seek(offset)
            while done < len(out) and (count := file.readinto(view[done:])):
                done += count
        return out

    def size(self, path: Path) -> int | None:
        try:
            return path.stat().st_size
        except FileNotFoundError:
            return None

    def names(self, directory: Path) -> list[str]:
        try:
            return sorted(os.listdir(directory))
        except FileNotFoundError:
            return []

    def make_dir(self, directory: Path) -> None:
        with _unknown_if_it_fails("make the directory", directory):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    def write(self, path: Path, offset: int, data: Buffer) -> None:
        with _unknown_if_it_fails("write", path), _opened(path, os.O_RDWR | os.O_CREAT) as fd:
            os.lseek(fd, offset, os.SEEK_SET)
            view = memoryview(data)
            while view:
                view = view[os.write(fd, view) :]

    def truncate(self, path: Path, size: int) -> None:
        with _unknown_if_it_fails("truncate", path):
            os.truncate(path, size)

    def sync(self, path: Path) -> None:
        with _unknown_if_it_fails("sync", path), _opened(path, os.O_RDWR) as fd:
            _flush(fd)

    def sync_dir(self, directory: Path) -> None:
        if sys.platform == "win32":
            return  # a directory cannot be opened there; NTFS journals its names by itself
        with _unknown_if_it_fails("sync", directory), _opened(directory, os.O_RDONLY) as fd:
            _flush(fd)

    def rename(self, source: Path, target: Path) -> None:
        with _unknown_if_it_fails("rename", source):
            source.replace(target)

    def delete(self, path: Path) -> None:
        with _unknown_if_it_fails("delete", path):
            path.unlink(missing_ok=True)

    def remove_dir(self, directory: Path) -> None:
        with _unknown_if_it_fails("remove", directory), contextlib.suppress(FileNotFoundError):
            directory.rmdir()


@contextlib.contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    fd = os.open(path, flags | getattr(os, "O_BINARY", 0), 0o600)  # O_BINARY is Windows' alone
    try:
        yield fd
    finally:
        os.close(fd)


def _flush(fd: int) -> None:
    if sys.platform == "darwin":
        import fcntl

        fcntl.fcntl(fd, fcntl.F_FULLFSYNC)  # fsync there leaves the drive's cache unflushed
    else:
        os.fsync(fd)


def replace_file(disk: Disk, path: Path, data: Buffer) -> None:
    """Puts `data` at `path` so that a crash leaves the old or the new content, never a mixture.

    For content that is not secret: the old content stays in the medium's free space.
    """
    fresh = path.with_name(path.name + ".new")
    disk.delete(fresh)
    disk.write(fresh, 0, data)
    disk.sync(fresh)
    disk.rename(fresh, path)
    disk.sync_dir(path.parent)
