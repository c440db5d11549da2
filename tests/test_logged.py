"""Looking in the log for what an erasure reaches does not grow with the erasures before it."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest

from pipeline.erase import erase
from pipeline.plan import make_plan
from pipeline.session import acting
from pipeline.vault import Vault
from tests.bench.filling import fill
from tests.household import NOON, clock, make


def looked_for(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Forgets twelve of one segment, one by one; returns how many ids were looked for each time."""
    with acting(vault, clock):
        ids = list(fill(vault, iter([f"text {n}" for n in range(40)])))
    real, asked, found = vault.log.mentions, [0], list[int]()

    def mentions(wanted: Collection[bytes], oldest: int = 0) -> Any:  # noqa: ANN401
        asked[0] += len(wanted)
        return real(wanted, oldest)

    monkeypatch.setattr(vault.log, "mentions", mentions)
    for one in ids[:12]:
        asked[0] = 0
        with acting(vault, clock):
            plan = make_plan(vault, [one], NOON)
        found.append(asked[0])
        with acting(vault, clock):
            erase(vault, plan, clock)
    return found


def test_old_generations_of_a_segment_are_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = looked_for(make(tmp_path), monkeypatch)
    assert found[1] == found[-1]


def test_control_where_the_dead_are_taken_for_living_each_costs_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.logged.is_living", lambda *_: True)
    found = looked_for(make(tmp_path), monkeypatch)
    assert found[1] < found[-1]
