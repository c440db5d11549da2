"""Lines found by their bytes are those that reading every line finds."""

from pathlib import Path
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys import logsearch
from keys.durable import RealDisk
from keys.entry import Noted, SealedEntry
from keys.errors import Tampered
from pipeline.session import acting
from tests.household import clock, make, say
from tests.world.disk import Medium, SimulatedDisk

HERE = Path("/log")
LINES = st.lists(st.text("ab0 ", min_size=1, max_size=9), max_size=30)


@given(LINES, st.lists(st.text("ab0", min_size=1, max_size=3), max_size=3), st.integers(1, 40))
def test_every_line_with_any_of_it_once_newest_first(
    lines: list[str], wanted: list[str], block: int
) -> None:
    disk = SimulatedDisk(Medium(frozenset({HERE, *HERE.parents})))
    data = "".join(f"{line}\n" for line in lines).encode()
    disk.write(HERE / "entries", 0, data + b"after the end ab0\n")
    with mock.patch.object(logsearch, "_BLOCK", block):
        needles = [each.encode() for each in wanted]
        found = list(logsearch.lines_with(disk, HERE / "entries", len(data), needles))
    naive = [line.encode() for line in lines if any(each in line for each in wanted)]
    assert found == naive[::-1]


def test_a_log_tells_what_it_has_of_an_id(tmp_path: Path) -> None:
    vault = make(tmp_path)
    ids = say(vault, "one", "two", "three")
    with acting(vault, clock):
        vault.note("disclose", "plain-export", [ids[1], ids[2]])
        naive = [(n, entry) for n, entry in vault.log.scan_back() if ids[1].hex() in entry.format()]
        assert list(vault.log.mentions([ids[1]])) == naive
        assert len(naive) == 5
        assert isinstance(naive[0][1], Noted)
        transcript = next(e for _, e in naive if isinstance(e, SealedEntry)).label.artefact
        assert len(list(vault.log.mentions([transcript]))) >= 1


def test_a_line_that_the_log_does_not_have_is_refused(tmp_path: Path) -> None:
    """The bytes of a line are held against its Merkle leaf."""
    vault = make(tmp_path)
    ids = say(vault, "one", "two")
    path = vault.directory / "log" / "entries"
    with acting(vault, clock):
        line = next(it for it in path.read_bytes().splitlines() if ids[0].hex().encode() in it)
        swapped = line.replace(ids[0].hex().encode(), ids[1].hex().encode())
        path.write_bytes(path.read_bytes().replace(line, swapped))
        with pytest.raises(Tampered):
            list(vault.log.mentions([ids[1]]))


def test_the_real_disk_too(tmp_path: Path) -> None:
    (tmp_path / "entries").write_bytes(b"one a\ntwo b\nthree a\n")
    found = logsearch.lines_with(RealDisk(), tmp_path / "entries", 20, [b"a"])
    assert list(found) == [b"three a", b"one a"]
