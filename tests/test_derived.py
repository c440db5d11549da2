"""Artefacts with a slot of their own: what was made from several interactions, and what is kept.

Nothing undeclared is written; an aggregate dies with any of its parents, in the same rotation; a
record does not. Made, replaced and erased, each stopped at every disk operation and settled again.
"""

from dataclasses import replace
from pathlib import Path

import pytest

from keys.entry import SealedEntry
from keys.errors import Erased
from keys.model import ArtefactId, InteractionId
from keys.receipt import verify
from pipeline import lineage, write
from pipeline.artefact import AUDIO, META, RECORD, TRANSCRIPT
from pipeline.audit import audit
from pipeline.erase import erase, retire
from pipeline.lineage import OWN, Kind
from pipeline.plan import derived_ids, make_plan, plan_ids
from pipeline.session import acting
from pipeline.vault import Vault
from tests.household import (
    NOON,
    HouseDisk,
    clock,
    forget,
    make,
    reopen,
    say,
    sealed_of,
    thief_of,
)
from tests.test_write_crash import BEFORE, Crashes, House, house, judge_house, moments_of
from tests.world.extent import some_of

__all__ = ["house"]

MADE = b"made from what was said"
SUMMARY, CHOICE = "summary", "choice"


@pytest.fixture(autouse=True)
def kinds(monkeypatch: pytest.MonkeyPatch) -> None:
    """An aggregate and a kind without parents that nothing else in the product knows."""
    monkeypatch.setitem(lineage.KINDS, SUMMARY, Kind(OWN, (TRANSCRIPT, SUMMARY)))
    monkeypatch.setitem(lineage.KINDS, CHOICE, Kind(OWN))


def artefact_of(vault: Vault, interaction: InteractionId, kind: str = TRANSCRIPT) -> ArtefactId:
    (found,) = [it for it in vault.artefacts(interaction) if it.kind == kind]
    return found.header.label.artefact


def aggregate(vault: Vault, *interactions: InteractionId, kind: str = SUMMARY) -> InteractionId:
    """Seals an aggregate of the transcripts of these, or of other aggregates."""
    parents = [artefact_of(vault, it, TRANSCRIPT) for it in interactions]
    with acting(vault, clock):
        return write.own(vault, kind, MADE, parents)


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return make(tmp_path)


def test_nothing_is_written_whose_origin_is_not_declared(vault: Vault) -> None:
    (only,) = say(vault, "words")
    before = vault.log.size
    with acting(vault, clock), pytest.raises(ValueError, match="declares"):
        write.add(vault, only, ("centroid", b"of a voice"))
    with acting(vault, clock), pytest.raises(ValueError, match="no slot of its own"):
        write.own(vault, TRANSCRIPT, b"words")
    assert vault.log.size == before


def test_the_log_has_the_parents_of_everything(vault: Vault) -> None:
    (only,) = say(vault, "words")
    with acting(vault, clock):
        write.add(vault, only, ("intent", MADE))
    sealed = [entry for _, entry in vault.log.scan() if isinstance(entry, SealedEntry)]
    parents = {entry.label.kind: entry.parents for entry in sealed}
    assert parents == {
        AUDIO: (),
        TRANSCRIPT: (artefact_of(vault, only, AUDIO),),
        META: (artefact_of(vault, only, AUDIO),),
        "intent": (artefact_of(vault, only, TRANSCRIPT),),
    }


def test_an_owner_is_no_interaction_and_can_be_named(vault: Vault) -> None:
    ids = say(vault, "one", "two")
    owner = aggregate(vault, *ids)
    with acting(vault, clock):
        assert list(vault.interactions()) == ids[::-1]
        assert vault.owned(SUMMARY) == [owner]
        assert vault.owned(RECORD) == []
        assert bytes(vault.read(owner, SUMMARY)) == MADE
        assert vault.resolve(owner.hex()[:8]) == owner


def test_an_aggregate_dies_with_any_of_its_parents_and_by_the_same_receipt(vault: Vault) -> None:
    ids = say(vault, "one", "two", "three")
    both, other = aggregate(vault, *ids[:2]), aggregate(vault, ids[2])
    with acting(vault, clock):
        plan = make_plan(vault, ids[:1], NOON)
        assert (plan_ids(plan), derived_ids(plan)) == (ids[:1], [both])
        epoch = vault.ring.epoch
        done = erase(vault, plan, clock)
        assert vault.ring.epoch == epoch + 1
        assert vault.owned(SUMMARY) == [other]
        with pytest.raises(Erased):
            vault.resolve(both.hex())
        assert audit(vault).problems == []
    statement = verify(done.receipt.read_bytes()).statement
    assert [row.interaction for row in statement.erased] == [ids[0].hex(), both.hex()]


def test_what_was_made_from_an_aggregate_dies_with_it(vault: Vault) -> None:
    ids = say(vault, "one", "two")
    first = aggregate(vault, ids[0])
    with acting(vault, clock):
        (of_first,) = vault.artefacts(first)
        second = write.own(vault, SUMMARY, MADE, [of_first.header.label.artefact])
    forget(vault, ids[0])
    with acting(vault, clock):
        assert vault.owned(SUMMARY) == []
        assert vault.resolve(ids[1].hex()) == ids[1]
        assert not vault.artefacts(second)


def test_the_words_live_on_without_the_audio_and_so_does_what_was_made_of_them(
    vault: Vault,
) -> None:
    ids = say(vault, "one", "two")
    owner = aggregate(vault, *ids)
    forget(vault, ids[0], only_audio=True)
    with acting(vault, clock):
        assert vault.owned(SUMMARY) == [owner]


def test_a_record_outlives_its_source_and_is_erased_when_it_is_named(vault: Vault) -> None:
    (only,) = say(vault, "wake me at seven")
    with acting(vault, clock):
        action = write.add(vault, only, ("action", b"alarm"))
        record = write.own(vault, RECORD, b"07:00", [action])
    forget(vault, only)
    with acting(vault, clock):
        assert bytes(vault.read(record, RECORD)) == b"07:00"
        assert audit(vault).problems == []
        assert plan_ids(make_plan(vault, [record], NOON)) == [record]
    forget(vault, record)
    with acting(vault, clock):
        assert vault.owned(RECORD) == []
        assert audit(vault).problems == []


def test_the_audit_names_an_aggregate_that_outlived_a_parent(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control of this file: with the rule switched off an aggregate lives on, and is named."""
    ids = say(vault, "one", "two")
    owner = aggregate(vault, *ids)
    outlives = replace(lineage.KINDS[SUMMARY], dies_with_parents=False)
    with monkeypatch.context() as broken:
        broken.setitem(lineage.KINDS, SUMMARY, outlives)
        forget(vault, ids[0])
    with acting(vault, clock):
        assert vault.owned(SUMMARY) == [owner]
        problems = audit(vault).problems
    assert len(problems) == 1
    assert "which it was made from, is erased" in problems[0]


def test_what_is_retired_is_gone_without_a_receipt(vault: Vault) -> None:
    with acting(vault, clock):
        old = write.own(vault, CHOICE, b"old")
        new = write.own(vault, CHOICE, b"new")
        retire(vault, [old], clock)
        assert vault.owned(CHOICE) == [new]
        assert not list(vault.receipts.iterdir())
        assert audit(vault).problems == []
    (only,) = say(vault, "words")
    forget(vault, only)  # its live roots count the retired slot as empty
    again = reopen(vault.directory.parent)
    with acting(again, clock):
        assert audit(again).problems == []


def judge_owners(vault: Vault, disk: HouseDisk, house: House, expected: list[set[bytes]]) -> None:
    judge_house(vault, disk, dict(zip(house.whole, BEFORE, strict=True)))
    assert {bytes(vault.read(it, CHOICE)) for it in vault.owned(CHOICE)} in expected


@pytest.mark.parametrize("deep", [0, 1])
def test_no_crash_leaves_half_an_owner(house: House, deep: int) -> None:
    def judge(vault: Vault, disk: HouseDisk, *, is_done: bool) -> None:
        judge_owners(vault, disk, house, [{MADE}] if is_done else [{MADE}, set()])

    moments = moments_of(house.disk, lambda: write.own(house.vault, CHOICE, MADE))
    crashes = Crashes(house.base, judge, most=5)
    crashes.check(some_of(moments, 5) if deep else moments, deep=deep)
    print(f"own: {crashes.states} states")
    assert crashes.states > 20


@pytest.mark.parametrize("deep", [0, 1])
def test_no_crash_leaves_something_half_retired(house: House, deep: int) -> None:
    with acting(house.vault, clock):
        old = write.own(house.vault, CHOICE, b"old")
        write.own(house.vault, CHOICE, b"new")
    files = sealed_of(house.vault, old)

    def judge(vault: Vault, disk: HouseDisk, *, is_done: bool) -> None:
        judge_owners(vault, disk, house, [{b"new"}] if is_done else [{b"new"}, {b"old", b"new"}])
        assert not disk.names(vault.receipts)
        if old not in vault.owned(CHOICE):
            assert thief_of(disk, vault.directory.parent / "anchors").opened(files) == set()

    moments = moments_of(house.disk, lambda: retire(house.vault, [old], clock))
    crashes = Crashes(house.base, judge, most=5)
    crashes.check(some_of(moments, 5) if deep else moments, deep=deep)
    print(f"retire: {crashes.states} states")
    assert crashes.states > 20


def test_no_crash_leaves_an_aggregate_beside_a_dead_parent(house: House) -> None:
    target, other = house.whole
    owner = aggregate(house.vault, target, other)
    files = {**sealed_of(house.vault, target), **sealed_of(house.vault, owner)}
    with acting(house.vault, clock):
        plan = make_plan(house.vault, [target], NOON)

    def judge(vault: Vault, disk: HouseDisk, *, is_done: bool) -> None:
        judge_house(vault, disk, {other: BEFORE[1]})
        alive = {target in set(vault.interactions()), owner in vault.owned(SUMMARY)}
        assert len(alive) == 1
        assert alive == {False} or not is_done
        if alive == {False}:
            thief = thief_of(disk, vault.directory.parent / "anchors")
            assert thief.opened(files) == set()

    crashes = Crashes(house.base, judge, most=5)
    crashes.check(moments_of(house.disk, lambda: erase(house.vault, plan, clock)))
    print(f"erase with an aggregate: {crashes.states} states")
    assert crashes.states > 40
