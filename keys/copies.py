"""Finds sealed files in a copy of anything: a file, a folder, a tar file of whatever compression.

Reads headers only, by their magic, whatever the files are called; opens nothing, needs no key.
"""

import os
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from keys.errors import Malformed
from keys.sealed import HEADER_SIZE, MAGIC, Header, parse_header

LIVE, ERASED, UNKNOWN = "live", "erased", "unknown"


@dataclass(frozen=True, slots=True)
class Found:
    """A sealed file in a copy: where, and its header, or None when that is damaged."""

    name: str
    header: Header | None


def find_sealed(path: Path) -> Iterator[Found]:
    """Yields every sealed file at or below `path`; raises `FileNotFoundError`, `OSError`."""
    if path.is_dir():
        for folder, folders, names in os.walk(path):
            folders.sort()
            for name in sorted(names):
                yield from _in_file(Path(folder) / name)
    else:
        yield from _in_file(path)


def _in_file(path: Path) -> Iterator[Found]:
    if not path.is_file():
        return
    with path.open("rb") as file:
        first = file.read(HEADER_SIZE)
    if first.startswith(MAGIC):
        yield Found(str(path), _header(first))
    elif _maybe_tar(path, first):
        yield from _in_tar(path)


def _maybe_tar(path: Path, first: bytes) -> bool:
    names = "".join(path.suffixes[-2:])
    compressed = first.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0"))
    return ".tar" in names or path.suffix in {".tgz", ".txz", ".tbz2"} or compressed or _ustar(path)


def _ustar(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(257)
        return file.read(5) == b"ustar"


def _in_tar(path: Path) -> Iterator[Found]:
    try:
        with tarfile.open(path, "r|*") as tar:
            for member in tar:
                content: IO[bytes] | None = tar.extractfile(member) if member.isfile() else None
                first = content.read(HEADER_SIZE) if content else b""
                if first.startswith(MAGIC):
                    yield Found(f"{path}:{member.name}", _header(first))
    except (tarfile.TarError, EOFError) as error:
        raise Malformed(f"{path}: not a tar file that can be read to its end ({error})") from error


def _header(first: bytes) -> Header | None:
    try:
        return parse_header(first)
    except Malformed:
        return None
