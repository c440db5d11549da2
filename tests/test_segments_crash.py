"""A crash costs the segment under way and no more, and no nonce is used twice.

A recording is played on the simulated disk and stopped at each moment of each operation; what a
power cut or the end of the process leaves is read back, and a new series goes on from there. The
control is a writer that takes up a torn file under its own salt.
"""

import itertools
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from keys.durable import Buffer, RealDisk
from keys.sealed import HEADER_SIZE, Sealer, _Stream, parse_header
from keys.secret import TAG_SIZE, Secret
from keys.segments import (
    SEGMENT_CHUNK_LOG2,
    Ending,
    SegmentWriter,
    pad_chunks,
)
from tests.recordings import (
    CHUNK,
    HERE,
    KEY,
    Progress,
    content,
    empty_disk,
    key,
    path,
    read_back,
    record,
    series,
)
from tests.world.disk import Crash, SimulatedDisk, When

# Stopped at every moment


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
from tests.recordings import KEY, content, series

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
