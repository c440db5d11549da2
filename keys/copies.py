"""Finds sealed files in a copy: a file, a folder, a tar file; plain or in gzip, bzip2 or xz.

Reads headers only, by their magic, whatever the files are called; opens nothing, needs no key.
Refuses to pass over in silence what could hold sealed files and cannot be read: a folder raises, a
file or tar file is named as found and damaged; and to expand what grows beyond measure. Looks into
a tar file, not into one inside another.
"""

import bz2
import errno
import gzip
import lzma
import os
import tarfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, Self, cast

from keys.errors import Malformed
from keys.sealed import HEADER_SIZE, MAGIC, Header, parse_header

LIVE, ERASED, UNKNOWN = "live", "erased", "unknown"
_COMPRESSED: dict[bytes, Callable[[Path], object]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\0": lzma.open,
}
_FREE_SIZE = 1 << 26
_MOST_TIMES = 100
"""Sealed files do not shrink: what grows more than so many times, from 64 MiB on, is no copy."""
_BLOCK = 1 << 20
_TAR_NAMES = {".tar", ".tgz", ".tbz", ".tbz2", ".txz", ".tzst"}
# What the readers of a damaged or hostile file raise, between them.
_UNREADABLE = (tarfile.TarError, EOFError, OSError, ValueError, zlib.error, lzma.LZMAError)


@dataclass(frozen=True, slots=True)
class Found:
    """A sealed file in a copy: where, and its header.

    The header is None when it is damaged, and when `name` is a file that cannot be read to its end.
    """

    name: str
    header: Header | None
    content: Callable[[], bytes] = field(default=bytes, compare=False, repr=False)
    """Reads the whole sealed file, before the next one is asked for; raises `Malformed`."""


class _Bounded:
    """Reads what is compressed, and raises `Malformed` where it grows beyond measure."""

    def __init__(self, path: Path, file: IO[bytes]) -> None:
        self._path, self._file = path, file
        self._most = max(_FREE_SIZE, _MOST_TIMES * path.stat().st_size)

    def read(self, size: int = -1) -> bytes:
        """Reads so many bytes, or all, never more at once than a block."""
        parts, left = list[bytes](), self._most + 1 if size < 0 else size
        while left and (part := self._file.read(min(left, _BLOCK))):
            parts.append(part)
            left -= len(part)
            self._check(self._file.tell())
        return b"".join(parts)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Goes to a place from the beginning, which reads all before it."""
        if whence == os.SEEK_SET:
            self._check(offset)
        return self._file.seek(offset, whence)

    def seekable(self) -> bool:
        """Tells that `seek` works."""
        return True

    def tell(self) -> int:
        """Returns the place."""
        return self._file.tell()

    def _check(self, place: int) -> None:
        if place > self._most:
            raise Malformed(
                f"{self._path} expands to more than {self._most} bytes, which no copy of a vault "
                "does; if you trust it, unpack it yourself and name the folder"
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def find_sealed(path: Path) -> Iterator[Found]:
    """Yields every sealed file at or below `path`.

    Raises `FileNotFoundError`, `OSError`, and `Malformed` where a file expands beyond measure.
    """
    if path.is_dir():
        for folder, folders, names in os.walk(path, onerror=_raise):
            folders.sort()
            for name in sorted(names):
                yield from _in_file(Path(folder) / name)
    elif path.is_file():
        yield from _in_file(path)
    else:
        raise FileNotFoundError(errno.ENOENT, "neither a file nor a folder", str(path))


def _in_file(path: Path) -> Iterator[Found]:
    if not path.is_file():  # a pipe would never end
        return
    try:
        with _open(path) as file:
            yield from _in_content(path, file)
    except _UNREADABLE:
        yield Found(str(path), None)


def _open(path: Path) -> IO[bytes]:
    with path.open("rb") as file:
        first = file.read(6)
    for magic, opener in _COMPRESSED.items():
        if first.startswith(magic):
            return cast(IO[bytes], _Bounded(path, cast(IO[bytes], opener(path))))
    return path.open("rb")


def _in_content(path: Path, file: IO[bytes]) -> Iterator[Found]:
    first = file.read(tarfile.BLOCKSIZE)
    if first.startswith(MAGIC):
        yield Found(str(path), _header(first[:HEADER_SIZE]), partial(_whole, file))
    elif first[257:262] == b"ustar" or _TAR_NAMES.intersection(path.suffixes):
        file.seek(0)
        yield from _in_tar(path, file)


def _in_tar(path: Path, file: IO[bytes]) -> Iterator[Found]:
    with tarfile.open(fileobj=file, mode="r:") as tar:
        for member in tar:
            content = tar.extractfile(member) if member.isfile() else None
            first = content.read(HEADER_SIZE) if content else b""
            if first.startswith(MAGIC):
                yield Found(f"{path}:{member.name}", _header(first), partial(_whole, content))
        # The library takes a damaged header for the end; the true end is a block of zeros.
        file.seek(tar.offset)
        if file.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            yield Found(str(path), None)


def _whole(file: IO[bytes] | None) -> bytes:
    if file is None:
        return b""
    try:
        file.seek(0)
        return file.read()
    except _UNREADABLE as error:
        raise Malformed("a sealed file in the copy cannot be read to its end") from error


def _header(first: bytes) -> Header | None:
    try:
        return parse_header(first)
    except Malformed:
        return None


def _raise(error: OSError) -> None:
    raise error
