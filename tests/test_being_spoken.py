"""Forgetting by time and profile reaches what is being spoken in another process; by words not."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from keys.errors import Erased
from pipeline import history, write
from pipeline.errors import NotFound
from pipeline.forgetting import carry_out, propose
from pipeline.heard import Dropped, Heard
from pipeline.history import Filter
from pipeline.plan import plan_ids
from pipeline.safekeeping import InVault
from pipeline.select import Selection, select, unknown_yet
from pipeline.session import acting
from pipeline.vault import Vault
from tests.household import clock, forget, make, reopen, say
from tests.parrot import NOON, hear, said, silence, voice

SOON, HOUR = timedelta(seconds=2), timedelta(hours=1)


def during(base: Path, vault: Vault, act: Callable[[Vault], None]) -> list[Heard]:
    """Speaks for two seconds, and acts in the middle, as another process does."""

    def other() -> None:
        there = reopen(base)
        with acting(there, clock):
            act(there)

    return hear(InVault(vault), *voice(0, 1.5), other, *voice(0, 1), *silence(1))


@pytest.mark.parametrize(
    ("which", "is_meant"),
    [
        (Filter(since=NOON - HOUR), True),
        (Filter(since=NOON - HOUR, until=NOON + SOON, profile="default"), True),
        (Filter(profile="default"), True),
        (Filter(profile="ada"), False),
        (Filter(since=NOON + HOUR), False),
        (Filter(until=NOON - HOUR), False),
    ],
)
def test_what_is_being_spoken_is_meant_by_its_time_and_profile(
    tmp_path: Path, which: Filter, *, is_meant: bool
) -> None:
    vault, found = make(tmp_path), []

    def look(other: Vault) -> None:
        ((now, meta),) = history.being_spoken(other)
        assert meta
        assert meta.profile == "default"
        selection = Selection(which=which)
        try:
            found.append(select(other, selection) == [now])
        except NotFound:
            found.append(False)
        assert unknown_yet(other, selection) == ""

    during(tmp_path, vault, look)
    assert found == [is_meant]


def test_forgetting_by_time_ends_what_is_being_spoken_and_nothing_of_it_is_written(
    tmp_path: Path,
) -> None:
    vault = make(tmp_path)
    before = say(vault, "there before")

    def go(other: Vault) -> None:
        proposal = propose(other, Selection(which=Filter(since=NOON - HOUR)), "2026-03-01")
        assert proposal.remark == ""
        assert plan_ids(proposal.plan) == select(other, Selection(last=True))
        carry_out(other, proposal, clock)
        assert list(history.being_spoken(other)) == []

    events = during(tmp_path, vault, go)
    assert said(events) == []
    assert any(isinstance(event, Dropped) and "forgotten" in event.why for event in events)
    with acting(vault, clock):
        assert [row.interaction for row in history.rows(vault, Filter())] == list(before)


def test_by_words_it_cannot_be_meant_and_the_plan_says_so(tmp_path: Path) -> None:
    vault = make(tmp_path)
    say(vault, "there before")
    seen: list[str] = []

    def look(other: Vault) -> None:
        seen.append(propose(other, Selection(match=("before",)), "2026-03-01").remark)
        with pytest.raises(NotFound, match=r"not known before it is over: --last and --all reach"):
            select(other, Selection(match=("nonsense",)))

    during(tmp_path, vault, look)
    assert "words are not known" in seen[0]
    with acting(vault, clock), pytest.raises(NotFound, match=r"nothing was erased$"):
        select(vault, Selection(match=("nonsense",)))


def test_of_what_has_only_begun_it_is_said_that_nothing_is_known(tmp_path: Path) -> None:
    vault = make(tmp_path)
    with acting(vault, clock):
        recording = write.begin(vault)
    other = reopen(tmp_path)
    with acting(other, clock):
        assert list(history.being_spoken(other)) == [(recording.interaction, None)]
        with pytest.raises(NotFound, match=r"not sealed yet: --last and --all reach"):
            select(other, Selection(which=Filter(profile="default")))
    forget(other, recording.interaction)
    recording.release()
    with acting(vault, clock), pytest.raises(Erased):
        vault.ring.key(recording.slots[0])
