"""Few are looked for in the log in another way than many: the plans of both ways are the same."""

import random
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keys.model import InteractionId
from pipeline import indexing, indexrebuild, logged, write
from pipeline.artefact import ACTION, RECORD, TRANSCRIPT
from pipeline.plan import Plan, derived_ids, dying, make_plan, read_back
from pipeline.session import acting
from pipeline.vault import Vault
from tests.household import NOON, clock, forget, make, say

ACTS = ("say", "index", "forget", "forget_sound", "keep", "tell", "begin_to_forget")


class Life:
    """A vault in which things happen; whom they concern is left to chance."""

    def __init__(self, base: Path, seed: int) -> None:
        self.vault, self.chance = make(base), random.Random(seed)
        self.ids = list[InteractionId]()
        self.say()

    def say(self) -> None:
        self.ids += say(self.vault, *(f"text {n}" for n in range(3)))

    def index(self) -> None:
        indexing.keep_up(self.vault, clock)

    def forget(self) -> None:
        if one := self.some(2):
            forget(self.vault, *one)

    def forget_sound(self) -> None:
        if one := self.some(1):
            with acting(self.vault, clock):
                has_sound = bool(make_plan(self.vault, one, NOON, only_audio=True).erased)
            if has_sound:
                forget(self.vault, *one, only_audio=True)

    def keep(self) -> None:
        with acting(self.vault, clock):
            for one in self.some(1):
                action = write.add(self.vault, one, (ACTION, b"set"))
                self.ids.append(write.own(self.vault, RECORD, b"kept", [action]))

    def tell(self) -> None:
        with acting(self.vault, clock):
            self.vault.note("disclose", "home-assistant", self.some(2) or self.ids[:1])

    def begin_to_forget(self) -> None:
        """Goes no further than to the segments of who survives."""
        with acting(self.vault, clock):
            plan = make_plan(self.vault, self.some(1), NOON)
            indexrebuild.rebuild(self.vault, derived_ids(plan), dying(plan, TRANSCRIPT))

    def some(self, most: int) -> list[InteractionId]:
        """Returns a few that live."""
        there = list(self.vault.interactions())
        return self.chance.sample(there, min(most, len(there)))


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"TAIL": 2, "FAN": 2, "MOST": 8}.items():
        monkeypatch.setattr(indexing, name, value)


def planned(
    vault: Vault, ids: Sequence[InteractionId], few: int, *, only_audio: bool = False
) -> Plan:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(logged, "FEW", few)
        patch.setattr("pipeline.plan.FEW", few)
        plan = make_plan(vault, ids, NOON, only_audio=only_audio)
        assert read_back(vault, plan.encode()) == plan
        return plan


def both(life: Life) -> bool:
    """Tells whether the plans are the same in both ways, of those who are dead as well."""
    ids = life.chance.sample(life.ids, life.chance.randint(1, 3))
    found = set[object]()
    with acting(life.vault, clock):
        for few in (0, 16):
            plans = [planned(life.vault, ids, few, only_audio=it) for it in (False, True)]
            found.add(tuple((it.erased, it.disclosed) for it in plans))
    return len(found) == 1


@settings(max_examples=10)
@given(st.lists(st.sampled_from(ACTS), max_size=8), st.integers(0, 9))
def test_the_plan_is_the_same_however_many_there_are(
    tmp_path_factory: pytest.TempPathFactory, acts: list[str], seed: int
) -> None:
    life = Life(tmp_path_factory.mktemp("life"), seed)
    for act in acts:
        getattr(life, act)()
        assert both(life)


def test_control_segments_that_are_not_looked_for_are_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    life = Life(tmp_path, 1)
    life.index()
    assert both(life)
    monkeypatch.setattr(logged, "is_aggregated", lambda _: False)
    assert not both(life)
