"""The benchmarks at their smallest: they run, and their figures are what they say.

Those that need programs of others (restic, age, SQLCipher) are run by `make bench` alone.
"""

import math
from pathlib import Path

import pytest

from keys.durable import RealDisk
from pipeline.session import acting, create_vault
from tests.bench import households, ring, starting
from tests.bench.costs import primitives
from tests.bench.figures import (
    BEGIN,
    END,
    README,
    Line,
    Measured,
    Target,
    absolute,
    against,
    brief,
    markdown,
    with_figures,
)
from tests.bench.filling import fill
from tests.bench.growing import exponent
from tests.bench.hasty import HastyDisk
from tests.bench.metering import cost, size_of


def test_there_is_no_figure_without_its_peer() -> None:
    with pytest.raises(ValueError, match="without its peer"):
        Line("job", Measured("ours", 1, "s"), ())


def test_a_target_is_met_up_to_its_limit_and_says_by_how_much_it_is_missed() -> None:
    ours, theirs = Measured("ours", 30, "s"), Measured("theirs", 10, "s")
    missed = against("as fast", ours, theirs, 1.5)
    assert not missed.is_met
    assert missed.verdict() == "**missed** by 2 times: 3"
    assert against("as fast", ours, theirs, 3).is_met
    assert not absolute("under 29 s", ours, 29).is_met
    assert Target("at most", 1, 1).verdict() == "met: 1"


def test_the_table_has_a_row_for_each_peer_with_its_ratio() -> None:
    peers = Measured("one", 10, "ms"), Measured("two", 2, "ms")
    rows = list(markdown([Line("job", Measured("ours", 4, "ms"), peers)]))[2:]
    assert [row.split("|")[3:6] for row in rows] == [
        [" one ", " 10 ms ", " 2.5 "],
        [" two ", " 2 ms ", " 0.5 "],
    ]


@pytest.mark.parametrize("power", [0, 0.5, 1, 2])
def test_the_exponent_is_that_of_the_growth(power: float) -> None:
    found = exponent({n: 3 * n**power for n in (10, 100, 1000)})
    assert math.isclose(found, power, abs_tol=1e-9)


def test_bytes_and_time_are_those_of_the_act(tmp_path: Path) -> None:
    def write() -> None:
        RealDisk().write(tmp_path / "file", 0, bytes(1 << 20))
        RealDisk().sync(tmp_path / "file")

    found = cost(write)
    assert found.wall_s > 0
    assert found.written == 0 or found.written >= 1 << 20  # some systems do not count
    assert size_of(tmp_path)[0] == 1 << 20


def test_what_is_filled_in_bulk_is_what_lists_and_searches_find(tmp_path: Path) -> None:
    vault = create_vault(tmp_path / "vault", tmp_path / "anchors", disk=HastyDisk())
    with acting(vault):
        made = list(fill(vault, iter(["one two", "three"]), bare=True))
        assert list(vault.interactions()) == made[::-1]
        kinds = [line.split(b" ")[1] for line in _lines(vault.directory)]
        assert kinds.count(b"create") == 3  # with the segment of the index
        assert kinds.count(b"seal") == 2 * 3 + 1
        vault.log.check_hashes()


def _lines(vault: Path) -> list[bytes]:
    return (vault / "log" / "entries").read_bytes().splitlines()


def test_the_start_is_measured_beside_bare_python() -> None:
    (line,) = starting.lines(quick=True)
    assert line.ours.value > line.peers[0].value > 0


def test_a_machine_is_measured_for_the_cost_model(tmp_path: Path) -> None:
    found = primitives(tmp_path)
    assert min(found.sync_ms, found.start_ms, found.entry_ms, found.look_bytes_ms) > 0


def test_the_simulated_month_has_a_billion_interactions() -> None:
    told = households.simulate(2000)
    a_month = told.heard[0] * 3600 * 24 * 30
    assert math.isclose(a_month, households.HOUSEHOLDS * households.EACH, rel_tol=0.05)
    assert told.heard[1] > told.heard[0] > told.rotations[0] > 0


def test_the_rings_figures_are_of_two_sizes_and_within_their_targets(tmp_path: Path) -> None:
    found = {line.job: line for line in ring.lines(tmp_path, quick=True)}
    written = found["ring: written"]
    assert written.peers[0].value < written.ours.value < 128
    assert all(target.is_met for target in written.targets)
    assert found["ring: look up"].ours.value > 0


def test_the_readme_has_a_place_for_the_figures_and_keeps_the_rest() -> None:
    text = README.read_text()
    lines = [Line("job", Measured("ours", 4, "ms"), (Measured("theirs", 8, "ms"),))]
    assert len(list(brief(lines))) == 2  # without a target it is no row
    once = with_figures(text, ["| one |"])
    assert once.partition(BEGIN)[0] == text.partition(BEGIN)[0]
    assert once.partition(END)[2] == text.partition(END)[2] != ""
    assert with_figures(once, ["| one |"]) == once
