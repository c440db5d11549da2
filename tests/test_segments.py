"""keys.segments: what is written is read, and the vectors of `vectors/make_segments.py`."""

import json
import runpy
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.durable import RealDisk
from keys.errors import KeysError, Malformed, Tampered
from keys.model import ArtefactId, InteractionId, Slot, VaultId
from keys.segments import (
    Ending,
    SegmentWriter,
    Series,
    pad_chunks,
    remove_series,
    segment_name,
    series_in,
)
from tests.recordings import CHUNK, HERE, content, empty_disk, key, path, read_back, series, written

VECTORS = Path(__file__).parent / "vectors"
REFERENCE = runpy.run_path(str(VECTORS / "make_segments.py"))
INDEX: dict[str, Any] = json.loads((VECTORS / "segments" / "segments.json").read_text())


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
