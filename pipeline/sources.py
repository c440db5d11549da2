"""Sound files as blocks of 16 kHz mono samples, and where to find such files.

Promises bounded memory whatever the length, rate and channel count of a file, and that a file
which is cut short is refused as a whole, before its first block, wherever its format lets that be
known: WAV, RF64 and AIFF by their chunk sizes, FLAC, OGG and MP3 by decoding them once first. For
the other formats of libsndfile its own word is taken. Refuses with `BadAudio`, in one line, what
is not audio, empty, cut short or unreadable. Add a container's own check to `_refuse_cut_short`.
"""

import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import BadAudio
from pipeline.model import RATE_HZ

if TYPE_CHECKING:  # importing it loads a library: only when a file is really read
    import soundfile

EXTENSIONS = frozenset(
    {".wav", ".wave", ".rf64", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff"}
)
"""What is taken from a folder; a file that is named itself may be called anything."""

_LOWEST_RATE_HZ = 4_000  # no speech fits below; also keeps the resampler's ratio sane
_MAX_BLOCK_VALUES = 1 << 20  # samples times channels in one read: 4 MiB as float32
_UNKNOWN_FRAMES = 1 << 62  # libsndfile's "until the end", of a stream without a stated length
_DECODED_FIRST = frozenset({"FLAC", "OGG", "MP3"})


def find_audio(paths: Iterable[Path]) -> Iterator[Path | BadAudio]:
    """Yield the sound files among `paths`, and a problem for each path that leads to none.

    Files are taken as they are named; folders are searched with their subfolders, in sorted order,
    for `EXTENSIONS`, without hidden files. A folder reached twice through links is read once.
    """
    for path in paths:
        if path.is_dir():
            yield from _in_folder(path)
        elif os.path.lexists(path):
            yield path
        else:
            yield _problem(path, "a sound file or a folder", "nothing there", "check the path")


def blocks(path: Path) -> Iterator[NDArray[np.int16]]:
    """Yield the sound of a file as int16 mono blocks of about a second at `RATE_HZ`.

    Channels are averaged; floating-point samples that are not finite count as silence, those
    beyond full scale are clipped. Raises `BadAudio`, before the first block unless the file
    changes while it is read or its format hides the damage.
    """
    with _refusals(path):
        _refuse_special(path)
        _refuse_cut_short(path)
        with _opened(path) as file:
            if file.format in _DECODED_FIRST:
                _count(path, file)
                file.seek(0)
            yield from _resampled(path, file)


def _in_folder(folder: Path) -> Iterator[Path | BadAudio]:
    found_none, seen = True, {_identity(folder)}
    unreadable: list[OSError] = []
    for parent, folders, files in os.walk(folder, onerror=unreadable.append, followlinks=True):
        folders[:] = [name for name in sorted(folders) if _first_visit(Path(parent, name), seen)]
        for name in sorted(files):
            if not name.startswith(".") and Path(name).suffix.lower() in EXTENSIONS:
                found_none = False
                yield Path(parent, name)
    for error in unreadable:
        yield _unreadable(Path(error.filename), error)
    if found_none and not unreadable:
        yield _problem(
            folder, "a folder with sound files", "none of a known kind", "name a file itself"
        )


def _first_visit(folder: Path, seen: set[tuple[int, int]]) -> bool:
    try:
        identity = _identity(folder)
    except OSError:
        return True  # the walk itself reports it
    new = identity not in seen
    seen.add(identity)
    return new and not folder.name.startswith(".")


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino


@contextmanager
def _refusals(path: Path) -> Iterator[None]:
    import soundfile

    try:
        yield
    except OSError as error:
        raise _unreadable(path, error) from None
    except soundfile.SoundFileError as error:
        found = getattr(error, "error_string", "").rstrip(".").lower() or "damaged data"
        raise _problem(path, "readable audio", found, "convert it to WAV or FLAC") from None


def _refuse_special(path: Path) -> None:
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):  # opening a named pipe would wait for ever
        raise _problem(path, "a sound file", "something that is no file", "name a file")
    if not status.st_size:
        raise _problem(path, "a sound file", "an empty file (0 bytes)", "record or copy it again")


def _refuse_cut_short(path: Path) -> None:
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        head = file.read(12)
        if head[:4] in {b"RIFF", b"RF64", b"RIFX", b"FORM"}:
            promised = _promised_by_chunks(file, head[:4], size)
            if promised > size:
                raise _cut_short(path, f"{promised} bytes", f"{size}")
        elif head[:4] == b"OggS" and not _ogg_ends(file, size):
            raise _cut_short(path, "a last page marked as the end", "none")


def _promised_by_chunks(file: BinaryIO, kind: bytes, size: int) -> int:
    """Return the file size that the sound chunk's header implies; 0 where it says nothing."""
    order: Literal["big", "little"] = "big" if kind in {b"RIFX", b"FORM"} else "little"
    at, data_size_64 = 12, 0
    for _ in range(1000):  # a well-formed file has a handful; zeroes must not cost an hour
        file.seek(at)
        head = file.read(8)
        length = int.from_bytes(head[4:], order)
        if head[:4] == b"ds64":
            data_size_64 = int.from_bytes(file.read(16)[8:], "little")
        if head[:4] in {b"data", b"SSND"}:
            if length == 0xFFFFFFFF and data_size_64:
                return at + 8 + data_size_64
            return 0 if _length_unknown(length) else at + 8 + length
        at += 8 + length + length % 2
        if len(head) < 8 or at >= size:
            break
    return 0


def _length_unknown(length: int) -> bool:
    """Whether a chunk size is what programs write that do not know it when they stream."""
    return 0x7FFFF000 <= length <= 0x80000000 or length >= 0xFFFFFF00


def _ogg_ends(file: BinaryIO, size: int) -> bool:
    """Whether the pages reach the end of the file and the last is marked so (RFC 3533 §6)."""
    at, last = 0, False
    while at < size:
        file.seek(at)
        head = file.read(27)
        if len(head) < 27 or head[:4] != b"OggS":
            return last  # what follows a proper end is not ours to judge
        table = file.read(head[26])
        at += 27 + head[26] + sum(table)
        last = bool(head[5] & 0x04) and at <= size
    return last


@contextmanager
def _opened(path: Path) -> Iterator["soundfile.SoundFile"]:
    import soundfile

    try:
        # soundfile encodes a str strictly, and refuses names that are not Unicode.
        file = soundfile.SoundFile(os.fsencode(path) if os.name == "posix" else path)
    except TypeError:  # a name ending in .raw: samples without a header
        raise _problem(path, "a file with a header", "raw samples", "convert it to WAV") from None
    with file:
        if not file.frames:
            raise _problem(path, "sound", "a header and no samples", "record or copy it again")
        if file.samplerate < _LOWEST_RATE_HZ:
            rates = f"at least {_LOWEST_RATE_HZ} samples a second"
            raise _problem(path, rates, f"{file.samplerate}", "use another recording")
        yield file


def _resampled(path: Path, file: "soundfile.SoundFile") -> Iterator[NDArray[np.int16]]:
    if file.samplerate == RATE_HZ:
        as_it_is = file.channels == 1 and file.subtype == "PCM_16"
        yield from _mono(path, file, "int16") if as_it_is else map(_int16, _mono(path, file))
        return
    import soxr

    stream = soxr.ResampleStream(file.samplerate, RATE_HZ, 1, dtype="float32")
    for block in _mono(path, file):
        yield _int16(stream.resample_chunk(block))
    yield _int16(stream.resample_chunk(np.zeros(0, np.float32), last=True))


def _mono(
    path: Path, file: "soundfile.SoundFile", kind: Literal["float32", "int16"] = "float32"
) -> Iterator[NDArray[Any]]:
    frames = 0
    while len(block := _read(file, kind)):
        frames += len(block)
        if kind == "float32" and not np.isfinite(block).all():
            np.nan_to_num(block, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
        yield block[:, 0] if block.shape[1] == 1 else block.mean(axis=1, dtype=np.float32)
    _refuse_fewer(path, file, frames)


def _count(path: Path, file: "soundfile.SoundFile") -> None:
    frames = 0
    while got := len(_read(file)):
        frames += got
    _refuse_fewer(path, file, frames)


def _read(
    file: "soundfile.SoundFile", kind: Literal["float32", "int16"] = "float32"
) -> NDArray[Any]:
    frames = max(1, min(file.samplerate, _MAX_BLOCK_VALUES // file.channels))
    block: NDArray[Any] = file.read(frames, dtype=kind, always_2d=True)
    return block


def _refuse_fewer(path: Path, file: "soundfile.SoundFile", frames: int) -> None:
    if frames < file.frames < _UNKNOWN_FRAMES:
        raise _cut_short(path, f"{file.frames} samples", f"{frames}")


def _int16(block: NDArray[np.float32]) -> NDArray[np.int16]:
    pcm: NDArray[np.int16] = np.clip(np.rint(block * 32768.0), -32768, 32767).astype(np.int16)
    return pcm


def _cut_short(path: Path, expected: str, found: str) -> BadAudio:
    return _problem(path, expected, f"{found}: it is cut short", "copy or record it again")


def _unreadable(path: Path, error: OSError) -> BadAudio:
    found = error.strerror or type(error).__name__
    return _problem(path, "a readable file", found.lower(), "check that it is there and yours")


def _problem(path: Path, expected: str, found: str, then: str) -> BadAudio:
    return BadAudio(f"{_one_line(str(path))}: expected {expected}, found {found}; {then}")


def _one_line(text: str) -> str:
    """Escape what could move a terminal's cursor, or cannot be printed at all."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
