"""keys.segments: a crash costs the segment under way and no more, and no nonce is used twice.

A recording is played on the simulated disk and stopped at each moment of each operation; what a
power cut or the end of the process leaves is read back, and a new series goes on from there. The
control is a writer that takes up a torn file under its own salt. The vectors come from
`vectors/make_segments.py`.
"""

import itertools
import json
import runpy
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from keys.durable import Buffer, Disk, RealDisk
from keys.errors import Erased, KeysError, Malformed, StateUnknown, Tampered
from keys.model import ArtefactId, InteractionId, Slot, VaultId
from keys.sealed import HEADER_SIZE, Opener, Sealer, _Stream, parse_header, seal
from keys.secret import TAG_SIZE, Secret
from keys.segments import (
    SEGMENT_CHUNK_LOG2,
    Ending,
    Recovery,
    SegmentWriter,
    Series,
    pad_chunks,
    remove_series,
    segment_name,
    series_in,
)
from tests.world.disk import Crash, Medium, SimulatedDisk, When

VECTORS = Path(__file__).parent / "vectors"
REFERENCE = runpy.run_path(str(VECTORS / "make_segments.py"))
INDEX: dict[str, Any] = json.loads((VECTORS / "segments" / "segments.json").read_text())
KEY = bytearray(range(32))
HERE = Path("/capture")
CHUNK = 1 << SEGMENT_CHUNK_LOG2


def series(number: int = 0) -> Series:
    ids = VaultId(bytes([1]) * 16), InteractionId(bytes([2]) * 16)
    return Series(*ids, ArtefactId(bytes([3 + number]) * 16), Slot(7))


def key() -> Secret:
    return Secret(KEY)


def content(size: int, start: int = 0) -> bytes:
    """Bytes of which each stretch tells its place, and none is zero."""
    return bytes(1 + (n * 7 + n // 251) % 255 for n in range(start, start + size))


def empty_disk() -> SimulatedDisk:
    return SimulatedDisk(Medium(frozenset({HERE, *HERE.parents})))


def written(pieces: list[list[int]], *, close: bool = True) -> SimulatedDisk:
    """A disk with a series: each inner list is a segment, of writes of so many bytes."""
    disk, at = empty_disk(), 0
    writer = SegmentWriter(disk, HERE, key, series())
    for n, segment in enumerate(pieces):
        for size in segment:
            writer.write(content(size, at))
            at += size
        if close or n < len(pieces) - 1:
            writer.cut()
    if close:
        writer.close()
    return disk


def read_back(
    disk: Disk, which: Series | None = None, directory: Path = HERE
) -> tuple[bytes, Ending]:
    recovery = Recovery(disk, directory, KEY, which or series())
    return b"".join(map(bytes, recovery)), recovery.ending


def path(number: int, kind: str = "part") -> Path:
    label = series().part(number) if kind == "part" else series().end(number)
    return HERE / segment_name(label)


# What is written is read


@given(st.lists(st.lists(st.integers(0, 9000), max_size=3), max_size=4), st.booleans())
def test_content_comes_back(pieces: list[list[int]], close: bool) -> None:
    disk = written(pieces, close=close)
    total = sum(map(sum, pieces))
    found, ending = read_back(disk)
    if close:
        assert (found, ending) == (content(total), Ending.CLOSED)
        return
    whole = sum(map(sum, pieces[:-1]))
    assert content(total).startswith(found)
    assert len(found) >= whole + (total - whole) // CHUNK * CHUNK
    assert (ending is Ending.TORN) == bool(pieces and pieces[-1])


def test_on_a_real_disk(tmp_path: Path) -> None:
    writer = SegmentWriter(RealDisk(), tmp_path, key, series())
    for start in range(0, 96000, 3200):
        writer.write(content(3200, start))
        if start % 32000 == 28800:
            writer.cut()
    writer.close()
    assert len(list(tmp_path.iterdir())) == 4
    assert read_back(RealDisk(), directory=tmp_path) == (content(96000), Ending.CLOSED)
    assert series_in(RealDisk(), tmp_path, series().interaction) == [series().artefact]
    remove_series(RealDisk(), tmp_path, series())
    assert not list(tmp_path.iterdir())


def test_a_cut_without_content_writes_nothing() -> None:
    disk = empty_disk()
    writer = SegmentWriter(disk, HERE, key, series())
    writer.cut()
    assert disk.operations == 0
    assert read_back(disk) == (b"", Ending.OPEN)


def test_the_names_sort_in_the_order_of_the_series() -> None:
    names = [segment_name(series().part(n)) for n in (0, 9, 10, 99, 2**32 - 1)]
    assert names == sorted(names)
    with pytest.raises(Malformed):
        series().part(2**32)


def test_series_beside_each_other_do_not_mix() -> None:
    disk = written([[5000]])
    other = SegmentWriter(disk, HERE, key, series(1))
    other.write(b"another")
    other.close()
    disk.write(HERE / "something else", 0, b"x")
    disk.write(path(7).with_suffix(".part-7"), 0, b"x")  # not the name of a segment
    assert series_in(disk, HERE, series().interaction) == [series().artefact, series(1).artefact]
    assert read_back(disk) == (content(5000), Ending.CLOSED)
    assert read_back(disk, series(1)) == (b"another", Ending.CLOSED)
    remove_series(disk, HERE, series())
    assert series_in(disk, HERE, series().interaction) == [series(1).artefact]
    assert series_in(disk, HERE, InteractionId(bytes(16))) == []


@given(st.integers(0, 2**40))
def test_padding_fills_a_segment_up_to_whole_chunks(size: int) -> None:
    assert size <= pad_chunks(size) < size + CHUNK
    assert pad_chunks(size) % CHUNK == 0


# Vectors


def test_generator_reproduces_the_vectors() -> None:
    built = REFERENCE["build"]()
    assert {file.name for file in (VECTORS / "segments").iterdir()} == set(built)
    for name, data in built.items():
        assert (VECTORS / "segments" / name).read_bytes() == data, name


@pytest.mark.parametrize("case", INDEX["cases"], ids=lambda case: case["name"])
def test_vector(case: dict[str, Any]) -> None:
    disk, row = empty_disk(), INDEX["series"]
    for name, file in case["files"].items():
        disk.write(HERE / name, 0, (VECTORS / "segments" / file).read_bytes())
    vault, interaction, artefact = (
        bytes.fromhex(row[name]) for name in ("vault", "interaction", "artefact")
    )
    ids = VaultId(vault), InteractionId(interaction), ArtefactId(artefact)
    which = Series(*ids, Slot(row["slot"]))
    if case["rejected_by"] is not None:
        with pytest.raises(KeysError) as refusal:
            read_back(disk, which)
        expected = {"malformed": Malformed, "tampered": Tampered}[case["rejected_by"]]
        assert type(refusal.value) is expected
        return
    found, ending = read_back(disk, which)
    assert sha256(found).hexdigest() == case["content_sha256"]
    assert ending.value == case["ending"]


# The writer


def assert_over(writer: SegmentWriter) -> None:
    for act in (partial(writer.write, b"x"), writer.cut, writer.close):
        with pytest.raises(StateUnknown):
            act()


def test_the_key_is_asked_for_once_a_segment_and_its_answer_wiped() -> None:
    given_out: list[Secret] = []

    def watched() -> Secret:
        given_out.append(Secret(KEY))
        return given_out[-1]

    writer = SegmentWriter(empty_disk(), HERE, watched, series())
    for _ in range(3):
        writer.write(content(5000))
        writer.write(content(5000))
        writer.cut()
    writer.close()
    assert len(given_out) == 4
    assert not any(map(any, given_out))


def test_a_key_that_is_destroyed_ends_the_series() -> None:
    is_erased = False

    def erasable() -> Secret:
        if is_erased:
            raise Erased("gone")
        return Secret(KEY)

    disk = empty_disk()
    writer = SegmentWriter(disk, HERE, erasable, series())
    writer.write(content(100))
    writer.cut()
    is_erased = True
    with pytest.raises(Erased):
        writer.write(content(100))
    is_erased = False
    with pytest.raises(StateUnknown):
        writer.write(content(100))
    assert disk.names(HERE) == [path(0).name]


def test_a_series_is_never_taken_up_again() -> None:
    disk = written([[100]], close=False)
    before = disk.cached.files()
    writer = SegmentWriter(disk, HERE, key, series())
    with pytest.raises(StateUnknown, match="never taken up"):
        writer.write(b"more")
    assert disk.cached.files() == before


def test_a_closed_writer_takes_nothing() -> None:
    writer = SegmentWriter(empty_disk(), HERE, key, series())
    writer.close()
    assert_over(writer)


@pytest.mark.parametrize("operation", range(1, 12))
def test_after_a_failure_the_writer_is_wiped_and_takes_nothing(operation: int) -> None:
    disk = empty_disk()
    disk.fail_at = operation
    writer = SegmentWriter(disk, HERE, key, series())
    with pytest.raises(StateUnknown):
        record(writer, Progress())
    assert writer._sealer is not None
    assert not any(writer._sealer._stream.file_key)
    assert not any(writer._sealer._chunk)
    operations = disk.operations
    assert_over(writer)
    assert disk.operations == operations


def test_content_held_back_is_wiped() -> None:
    writer = SegmentWriter(empty_disk(), HERE, key, series())
    writer.write(content(100))
    sealer = writer._sealer
    assert sealer is not None
    assert any(sealer._chunk)
    writer.cut()
    assert not any(sealer._chunk)
    assert not any(sealer._stream.file_key)


# What is not a series is refused


def bent(change: str) -> SimulatedDisk:
    """A disk with a series of five segments, on which somebody changed something."""
    disk = written([[5000], [6000], [7000], [8000], [9000]])
    other = SegmentWriter(disk, HERE, key, series(1))
    for _ in range(5):
        other.write(content(6000))
        other.cut()
    other.close()
    parts = [bytes(disk.read(path(n))) for n in range(5)]
    end = bytes(disk.read(path(5, "end")))
    foreign = [bytes(disk.read(HERE / segment_name(series(1).part(n)))) for n in range(5)]
    foreign_end = bytes(disk.read(HERE / segment_name(series(1).end(5))))
    changes: dict[str, dict[Path, bytes | None]] = {
        "two swapped": {path(1): parts[2], path(2): parts[1]},
        "one doubled": {path(2): parts[1]},
        "one doubled at the end": {path(5): parts[4]},
        "one missing": {path(2): None},
        "the first missing": {path(0): None},
        "the last missing": {path(4): None},
        "one of another series": {path(2): foreign[2]},
        "the last of another series": {path(4): foreign[4]},
        "the mark of another series": {path(5, "end"): foreign_end},
        "a mark too early": {path(5, "end"): None, path(4, "end"): end},
        "a second mark": {path(4, "end"): end},
        "a segment for the mark": {path(5, "end"): parts[4]},
        "a mark for a segment": {path(4): end},
        "one cut off": {path(2): parts[2][:-1]},
        "one cut off at a chunk": {path(2): parts[2][: HEADER_SIZE + CHUNK + TAG_SIZE]},
        "the last cut off, with the mark there": {path(4): parts[4][:-1]},
        "the first empty": {path(0): b""},
        "the last empty, with the mark there": {path(4): b""},
        "the last of another series, without the mark": {path(4): foreign[4], path(5, "end"): None},
        "an earlier one at the end, without the mark": {path(4): parts[1], path(5, "end"): None},
        "the last without its salt": {
            path(4): parts[4][:104] + bytes(24) + parts[4][128:],
            path(5, "end"): None,
        },
    }
    for where, data in changes[change].items():
        disk.delete(where)
        if data is not None:
            disk.write(where, 0, data)
    return disk


CHANGES = [
    "two swapped",
    "one doubled",
    "one doubled at the end",
    "one missing",
    "the first missing",
    "the last missing",
    "one of another series",
    "the last of another series",
    "the mark of another series",
    "a mark too early",
    "a second mark",
    "a segment for the mark",
    "a mark for a segment",
    "one cut off",
    "one cut off at a chunk",
    "the last cut off, with the mark there",
    "the first empty",
    "the last empty, with the mark there",
    "the last of another series, without the mark",
    "an earlier one at the end, without the mark",
    "the last without its salt",
]


@pytest.mark.parametrize("change", CHANGES)
def test_a_series_that_was_bent_is_refused(change: str) -> None:
    with pytest.raises((Malformed, Tampered)):
        read_back(bent(change))


MOVED = [
    "two swapped",
    "one doubled",
    "one of another series",
    "the last of another series",
    "a mark for a segment",
    "the last of another series, without the mark",
    "an earlier one at the end, without the mark",
]


@pytest.mark.parametrize("change", MOVED)
def test_without_labels_what_was_moved_about_goes_unseen(
    change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: a writer with one label for all, and a reader that does not look at it."""
    label = series().part(0)
    monkeypatch.setattr("keys.segments.Sealer", lambda key, _, *rest: Sealer(key, label, *rest))
    monkeypatch.setattr("keys.segments.Opener", lambda *args: Opener(*args[:3]))
    assert read_back(bent(change))[0] != content(35000)


def test_a_mark_with_content_is_malformed() -> None:
    disk = written([[5000]])
    disk.delete(path(1, "end"))
    forged = seal(KEY, series().end(1), bytes(24), b"hello", pad_chunks, SEGMENT_CHUNK_LOG2)[1]
    disk.write(path(1, "end"), 0, forged)
    with pytest.raises(Malformed):
        read_back(disk)


def test_another_key_is_refused_also_for_a_torn_segment() -> None:
    disk = written([[5000]], close=False)
    with pytest.raises(Tampered):
        list(Recovery(disk, HERE, Secret(32), series()))


@pytest.mark.parametrize("size", [0, 1, 103, 110, 140, 159, 160, 161, 4271, 4272, 4273, 8383])
def test_of_a_torn_last_segment_the_whole_chunks_are_read(size: int) -> None:
    disk = written([[3000], [10000]], close=False)
    disk.truncate(path(1), size)
    whole = max(0, size - HEADER_SIZE) // (CHUNK + TAG_SIZE) * CHUNK
    assert read_back(disk) == (content(3000 + whole), Ending.TORN)


def test_a_torn_mark_takes_nothing_from_what_is_before_it() -> None:
    disk = written([[5000]])
    disk.truncate(path(1, "end"), 200)
    assert read_back(disk) == (content(5000), Ending.OPEN)


@given(st.integers(0, 2), st.integers(0, 8383), st.integers(1, 255))
def test_a_changed_byte_is_refused_or_cuts_the_end_off(number: int, at: int, mask: int) -> None:
    """At the very end, bytes that a crash spoilt and bytes that somebody changed look the same."""
    disk = written([[5000], [6000]])
    where = path(number) if number < 2 else path(2, "end")
    at %= disk.size(where) or 1
    disk.write(where, at, bytes([disk.read(where)[at] ^ mask]))
    try:
        found, ending = read_back(disk)
    except (Malformed, Tampered):
        return
    assert number == 2
    assert (found, ending) == (content(11000), Ending.OPEN)


# Stopped at every moment

CUTS = [[3000, 6000, 3000], [4096], [7000], [4092], [100]]
"""Segments by the sizes of their writes: of chunks and less, and one whose padding spills over."""


@dataclass
class Progress:
    """What the recording knew to be durable, and to be with the system, when it was stopped."""

    taken: int = 0
    durable: int = 0
    is_closed: bool = False


def record(writer: SegmentWriter, progress: Progress) -> None:
    """Writes the recording of `CUTS`; the last segment is cut by closing."""
    for n, segment in enumerate(CUTS, 1):
        for size in segment:
            progress.taken += size
            writer.write(content(size, progress.taken - size))
        if n < len(CUTS):
            writer.cut()
            progress.durable = progress.taken
    writer.close()
    progress.durable, progress.is_closed = progress.taken, True


@dataclass
class Nonces:
    """Every pair of file key and nonce that something was sealed under."""

    seen: set[tuple[bytes, bytes]] = field(default_factory=set)

    def cipher(self, secret: Secret) -> AESGCM:
        spy = self

        class Spy:
            def __init__(self) -> None:
                self._key, self._cipher = bytes(secret), AESGCM(secret)

            def encrypt_into(self, nonce: bytes, plain: Buffer, aad: None, out: memoryview) -> int:
                pair = self._key, bytes(nonce)
                assert pair not in spy.seen, "a nonce was used twice under one key"
                spy.seen.add(pair)
                return self._cipher.encrypt_into(nonce, plain, aad, out)

            def decrypt_into(self, nonce: bytes, sealed: Buffer, aad: None, out: Buffer) -> int:
                return self._cipher.decrypt_into(nonce, sealed, aad, out)

        return Spy()  # type: ignore[return-value]


@pytest.fixture
def nonces(monkeypatch: pytest.MonkeyPatch) -> Nonces:
    spy = Nonces()
    monkeypatch.setattr("keys.sealed.AESGCM", spy.cipher)
    return spy


def moments() -> Iterator[tuple[SimulatedDisk, Progress]]:
    """The disk at each moment of the recording, and what was known then."""
    found: list[tuple[SimulatedDisk, Progress]] = []
    disk, progress = empty_disk(), Progress()
    disk.tears = lambda size: [56] if size == HEADER_SIZE else [size // 2] if size > 1 else []
    disk.watch = lambda now, *_: found.append((now.fork(), replace(progress)))
    record(SegmentWriter(disk, HERE, key, series()), progress)
    found.append((disk, progress))
    yield from found


def judge(disk: SimulatedDisk, progress: Progress) -> Ending:
    """Asserts what must hold of what is read back."""
    whole = content(progress.taken)
    found, ending = read_back(disk)
    spilt = len(found) - len(whole)
    assert spilt <= 7
    assert found == whole[: len(found)] + bytes(max(0, spilt))  # padding of a torn segment
    assert len(found) >= progress.durable
    assert (ending is Ending.CLOSED) or not progress.is_closed
    assert (ending is not Ending.CLOSED) or found == whole
    return ending


def test_no_crash_loses_more_than_the_segment_under_way() -> None:
    states, endings = 0, set()
    for disk, progress in moments():
        for medium in disk.survivors(32, seed=states):
            endings.add(judge(SimulatedDisk(medium), progress))
            states += 1
        ending = judge(disk.fork(), progress)
        found, _ = read_back(disk)
        # The end of the process alone takes less than two chunks: one is held back, one not written
        assert len(found) >= progress.taken - 6000 - CHUNK
        endings.add(ending)
        states += 1
    assert endings == set(Ending)
    assert states > 500


def stopped(disk: SimulatedDisk, operation: int, when: When) -> Progress | None:
    """Records until the crash; None when there was none."""
    progress, disk.crash_at = Progress(), (operation, when)
    try:
        record(SegmentWriter(disk, HERE, key, series()), progress)
    except Crash:
        return progress
    return None


def test_going_on_after_a_crash_uses_no_nonce_twice(nonces: Nonces) -> None:
    """After each crash a new series re-seals what was read and goes on."""
    crashes = 0
    for operation in itertools.count(1):
        runs = 0
        for when in When:
            disk = empty_disk()
            if (progress := stopped(disk, operation, when)) is None:
                continue
            runs += 1
            after = disk.fork()
            found, _ = read_back(after)
            again = SegmentWriter(after, HERE, key, series(1))
            again.write(found)
            again.cut()
            again.write(content(9000))
            again.close()
            assert read_back(after, series(1)) == (found + content(9000), Ending.CLOSED)
            assert len(found) >= progress.durable
        crashes += runs
        if not runs:
            break
    assert crashes > 50
    assert len(nonces.seen) > 500


@pytest.mark.usefixtures("nonces")
def test_taking_up_a_torn_file_is_caught() -> None:
    """The control: a writer that goes on in the torn file, under its salt, where it ended."""
    disk = empty_disk()
    writer = SegmentWriter(disk, HERE, key, series())
    writer.write(content(10000))  # two chunks are written, of which the second is torn
    disk.truncate(path(0), HEADER_SIZE + CHUNK + TAG_SIZE + 100)
    header = parse_header(bytes(disk.read(path(0), 0, HEADER_SIZE)))
    stream = _Stream(KEY, header.label, header.chunk_log2, header.salt)
    taken_up = Sealer(KEY, header.label, header.salt, pad_chunks, SEGMENT_CHUNK_LOG2)
    taken_up._index = 1
    assert taken_up._stream.nonce(1, last=False) == stream.nonce(1, last=False)
    with pytest.raises(AssertionError, match="used twice"):
        taken_up.update(content(CHUNK))


@pytest.mark.usefixtures("nonces")
def test_a_salt_that_repeats_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: with one salt for a series that is begun again, nonces come again."""
    monkeypatch.setattr("keys.segments.secrets.token_bytes", bytes)
    writer = SegmentWriter(empty_disk(), HERE, key, series())
    writer.write(content(5000))
    with pytest.raises(AssertionError, match="used twice"):
        SegmentWriter(empty_disk(), HERE, key, series()).write(content(5000))


# A real process, killed while it records

RECORDER = """
import sys
from pathlib import Path
from keys.durable import RealDisk
from keys.secret import Secret
from keys.segments import SegmentWriter
from tests.test_segments import KEY, content, series

writer = SegmentWriter(RealDisk(), Path(sys.argv[1]), lambda: Secret(KEY), series())
for at in range(0, 10**9, 1600):
    writer.write(content(1600, at))
    if at % 16000 == 14400:
        writer.cut()
        print(at + 1600, flush=True)
"""


@pytest.mark.parametrize("lines", [1, 2, 5, 12])
def test_a_killed_process_loses_no_segment(lines: int, tmp_path: Path) -> None:
    root = Path(__file__).parent.parent
    command = [sys.executable, "-c", RECORDER, str(tmp_path)]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) as recorder:
        assert recorder.stdout is not None
        durable = [int(recorder.stdout.readline()) for _ in range(lines)][-1]
        recorder.kill()
    found, ending = read_back(RealDisk(), directory=tmp_path)
    assert len(found) >= durable >= 16000 * lines
    assert found == content(len(found))
    assert ending is not Ending.CLOSED
