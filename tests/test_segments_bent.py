"""What is not a series of segments is refused; of a torn end its whole chunks are read."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.errors import Malformed, Tampered
from keys.sealed import HEADER_SIZE, Opener, Sealer, seal
from keys.secret import TAG_SIZE, Secret
from keys.segments import (
    SEGMENT_CHUNK_LOG2,
    Ending,
    Recovery,
    SegmentWriter,
    pad_chunks,
    segment_name,
)
from tests.recordings import CHUNK, HERE, KEY, content, key, path, read_back, series, written
from tests.world.disk import SimulatedDisk


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
