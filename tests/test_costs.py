"""The cost model counts what the protocols really do, and says how far off it is."""

from pathlib import Path

import pytest

from keys.model import InteractionId
from pipeline import write
from pipeline.erase import erase
from pipeline.plan import make_plan
from pipeline.session import acting, create_vault, now
from pipeline.vault import Vault
from tests.bench import costs
from tests.bench.costs import Job, Primitives, predicted
from tests.bench.counting import CountingDisk
from tests.bench.filling import fill
from tests.bench.forget import parts
from tests.bench.grown import Size
from tests.bench.metering import Cost

HERE = Primitives(1.0, 30.0, 0.006, 1_500_000, 200_000)


def syncs_of_forgetting(vault: Vault, disk: CountingDisk, one: InteractionId) -> int:
    with acting(vault):
        disk.reset()
        erase(vault, make_plan(vault, [one], now()), now)
        return disk.syncs


def test_the_syncs_of_the_model_are_those_of_the_protocols(tmp_path: Path) -> None:
    disk = CountingDisk()
    vault = create_vault(tmp_path / "vault", tmp_path / "anchors", disk=disk)
    with acting(vault):
        indexed = list(fill(vault, iter(["one", "two", "three"])))
        first, second = (write.create(vault, parts(1)) for _ in range(2))
    syncs_of_forgetting(vault, disk, first)  # the first makes the live tree
    with acting(vault):
        disk.reset()
        write.create(vault, parts(1))
        assert disk.syncs in {costs.SYNCS_SEAL, costs.SYNCS_SEAL + 1}  # a directory may be new
    assert syncs_of_forgetting(vault, disk, second) == costs.SYNCS_FORGET
    with_segment = costs.SYNCS_FORGET + costs.SYNCS_SEGMENT
    assert syncs_of_forgetting(vault, disk, indexed[1]) == with_segment


def test_what_costs_grow_with_is_what_the_design_says() -> None:
    small, large = predicted(10_000, HERE), predicted(1_000_000, HERE)
    ratio = {name: large[name].wall_ms(HERE) / small[name].wall_ms(HERE) for name in small}
    assert ratio["seal one"] == ratio["list fifty"] == 1
    assert ratio["forget one, new"] < 1.05
    assert 5 < ratio["forget one, the oldest"] < 100
    assert 30 < ratio["forget a tenth"] < 110  # directories are 4096 at most


def test_a_job_is_its_work_its_syncs_and_its_bytes() -> None:
    assert Job(5.0, 2, 400_000).wall_ms(HERE) == 5 + 2 + 2


@pytest.mark.parametrize(("factor", "told"), [(1.0, "by 0%"), (2.0, "by 50%")])
def test_it_says_how_far_off_it_is(factor: float, told: str) -> None:
    """Control: where all takes twice as long, the error says so."""
    size = Size(1000)
    for name, job in predicted(1000, HERE).items():
        wall_ms, cpu_ms = factor * job.wall_ms(HERE), factor * job.cpu_ms
        size.costs[name] = Cost(wall_ms / 1000, cpu_ms / 1000, 0)
    text = "\n".join(costs.markdown([size], HERE))
    assert text.count(f"{told} in the middle and {told.removeprefix('by ')} at most") == 2
