"""keys.copies: no sealed file in a copy is missed, and what cannot be read is not passed over."""

import bz2
import gzip
import io
import lzma
import os
import tarfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from keys.copies import Found, find_sealed
from keys.errors import Malformed
from keys.model import ArtefactId, InteractionId, Label, Slot, VaultId
from keys.sealed import HEADER_SIZE, MAGIC, SMALL_CHUNK_LOG2, Header, pad_steps, seal

Compress = Callable[[bytes], bytes]
COMPRESS: dict[str, Compress] = {
    "": bytes,
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
}


def sealed(n: int) -> tuple[Header, bytes]:
    ids = VaultId(bytes(16)), InteractionId(bytes([n]) * 16), ArtefactId(bytes([n]) * 16)
    label = Label(*ids, "audio", Slot(n))
    return seal(bytearray(32), label, bytes(24), b"hello", pad_steps, SMALL_CHUNK_LOG2)


FIRST, SECOND = sealed(1), sealed(2)
MEMBERS = {"a/first": FIRST[1], "a/notes.txt": b"nothing", "b/second": SECOND[1], "b/empty": b""}


def tar(members: dict[str, bytes], form: int = tarfile.GNU_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as file:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
    return out.getvalue()


def found(path: Path) -> list[tuple[str, Header | None]]:
    base = str(path.parent if path.is_file() else path) + os.sep
    return [(it.name.removeprefix(base), it.header) for it in find_sealed(path)]


def put(path: Path, content: bytes | bytearray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_a_folder_is_walked(tmp_path: Path) -> None:
    for name, content in MEMBERS.items():
        put(tmp_path / name, content)
    put(tmp_path / "b" / "deep" / "copy.bin", SECOND[1])
    assert found(tmp_path) == [
        ("a/first", FIRST[0]),
        ("b/second", SECOND[0]),
        ("b/deep/copy.bin", SECOND[0]),
    ]


@pytest.mark.parametrize("ending", COMPRESS)
@pytest.mark.parametrize("name", ["one", "one.tar"])
def test_a_single_file_is_known_by_its_content(tmp_path: Path, ending: str, name: str) -> None:
    path = put(tmp_path / (name + ending), COMPRESS[ending](FIRST[1]))
    assert [it.header for it in find_sealed(path)] == [FIRST[0]]


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("ending", COMPRESS)
@pytest.mark.parametrize("name", ["backup.tar", "backup"])
def test_a_tar_file_is_looked_into(tmp_path: Path, form: int, ending: str, name: str) -> None:
    path = put(tmp_path / (name + ending), COMPRESS[ending](tar(MEMBERS, form)))
    assert [it.header for it in find_sealed(path)] == [FIRST[0], SECOND[0]]
    assert [it.name for it in find_sealed(path)] == [f"{path}:a/first", f"{path}:b/second"]


def test_a_tar_file_older_than_the_standard_is_known_by_its_name(tmp_path: Path) -> None:
    """Tar of 1979 has no magic; only the name tells."""
    content = bytearray(tar({"first": FIRST[1]}))
    content[257:265] = bytes(8)
    content[148:156] = b"%06o\0 " % (sum(content[:148]) + 8 * 32 + sum(content[156:512]))
    assert found(put(tmp_path / "old.tar", content)) == [("old.tar:first", FIRST[0])]


def test_what_holds_nothing_sealed_is_passed_over(tmp_path: Path) -> None:
    put(tmp_path / "plain.txt", b"hello")
    put(tmp_path / "empty", b"")
    put(tmp_path / "notes.gz", gzip.compress(b"hello"))
    put(tmp_path / "notes.tar", tar({"notes": b"hello"}))
    (tmp_path / "dangling").symlink_to("nowhere")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")  # reading it would never end
    assert found(tmp_path) == []


HEADER = FIRST[1][:HEADER_SIZE]
WHOLE = tar(MEMBERS)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("cut-header", HEADER[:-1]),
        ("magic-alone", HEADER[:16]),
        ("bent-header", HEADER[:64] + b"\xff" + HEADER[65:]),
        ("not-a.tar", b"hello"),
        ("empty.tar", b""),
        ("unknown.tar.zst", b"\x28\xb5\x2f\xfd" + bytes(40)),
        ("cut.gz", gzip.compress(bytes(range(256)))[:-99]),
        ("bent.gz", b"\x1f\x8b" + bytes(40)),
        ("cut.xz", lzma.compress(bytes(range(256)))[:-99]),
        ("bent.xz", b"\xfd7zXZ\0" + bytes(40)),
        ("bent.bz2", b"BZh" + bytes(40)),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, name: str, content: bytes) -> None:
    """And it does not keep the rest of the folder from being looked at."""
    put(tmp_path / "a" / name, content)
    put(tmp_path / "z", FIRST[1])
    assert found(tmp_path) == [("z", FIRST[0]), (f"a/{name}", None)]


@pytest.mark.parametrize("kept", range(512, len(WHOLE) - 10_240, 512))
def test_a_tar_file_cut_off_is_named_after_what_it_holds(tmp_path: Path, kept: int) -> None:
    path = put(tmp_path / "backup", WHOLE[:kept])
    *whole, last = find_sealed(path)
    assert last == Found(str(path), None)
    assert [it.header for it in whole] == [FIRST[0], SECOND[0]][: len(whole)]


def test_a_damaged_header_does_not_hide_what_follows_it(tmp_path: Path) -> None:
    content = bytearray(WHOLE)
    at = WHOLE.index(b"a/notes.txt")
    content[at] ^= 1
    path = put(tmp_path / "backup.tar", content)
    assert list(find_sealed(path)) == [
        Found(f"{path}:a/first", FIRST[0]),
        Found(str(path), None),
    ]


@pytest.mark.parametrize("kind", ["missing", "dangling"])
def test_a_path_that_is_not_there_is_an_error(tmp_path: Path, kind: str) -> None:
    """Finding nothing in it would read as: nothing of the interaction is left there."""
    if kind == "dangling":
        (tmp_path / kind).symlink_to("nowhere")
    with pytest.raises(FileNotFoundError):
        list(find_sealed(tmp_path / kind))


def test_a_folder_that_cannot_be_read_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "private" / "first", FIRST[1])
    true_scandir = os.scandir

    def scandir(path: str) -> object:
        if str(path).endswith("private"):
            raise PermissionError(13, "Permission denied", path)
        return true_scandir(path)

    monkeypatch.setattr(os, "scandir", scandir)  # for root no folder is unreadable
    with pytest.raises(PermissionError):
        list(find_sealed(tmp_path))


# Bombs


def bomb(path: Path, size: int, *, as_tar: bool) -> Path:
    """Zeros, or a tar file that says it holds so many, in gzip."""
    with gzip.open(path, "wb", compresslevel=9) as file:
        if as_tar:
            info = tarfile.TarInfo("zeros")
            info.size = size
            file.write(info.tobuf())
        for _ in range(size >> 20):
            file.write(bytes(1 << 20))
    return path


@pytest.mark.parametrize("as_tar", [True, False])
def test_what_expands_beyond_measure_is_refused_in_words(tmp_path: Path, *, as_tar: bool) -> None:
    name = "zeros.tgz" if as_tar else "zeros.gz"
    path = bomb(tmp_path / name, 70 << 20, as_tar=as_tar)
    assert path.stat().st_size < 1 << 20
    if as_tar:
        with pytest.raises(Malformed, match="unpack it yourself"):
            list(find_sealed(tmp_path))
    else:
        assert not list(find_sealed(tmp_path)), "its first bytes are those of no sealed file"
    small = bomb(tmp_path / "small.tgz", 30 << 20, as_tar=True)
    assert [it.name for it in find_sealed(small)] in ([], [str(small)])


def test_a_sealed_file_that_never_ends_is_refused_before_it_fills_the_memory(
    tmp_path: Path,
) -> None:
    with gzip.open(tmp_path / "one.gz", "wb") as file:
        file.write(MAGIC)
        for _ in range(70):
            file.write(bytes(1 << 20))
    they = find_sealed(tmp_path)  # which keeps the file open
    found = next(they)
    tracemalloc.start()
    with pytest.raises(Malformed, match="expands"):
        found.content()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    del they
    assert peak < 200 << 20
