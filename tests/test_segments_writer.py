"""The writer of segments asks for the key each time, wipes what it held, and is never taken up."""

from functools import partial

import pytest

from keys.errors import Erased, StateUnknown
from keys.secret import Secret
from keys.segments import (
    SegmentWriter,
)
from tests.recordings import (
    HERE,
    KEY,
    Progress,
    content,
    empty_disk,
    key,
    path,
    record,
    series,
    written,
)


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
