"""Forgetting with choices: what may be kept of an interaction, and that all else goes."""

from pathlib import Path

import pytest

from keys.entry import Noted
from keys.errors import Erased
from keys.model import InteractionId
from keys.receipt import verify
from pipeline import forgetting, keep, write
from pipeline.artefact import ACTION, FIRED, RECORD
from pipeline.assistant.values import ALARM, ITEM, MESSAGE, Action, Fired, describe
from pipeline.audit import audit
from pipeline.errors import NotFound
from pipeline.select import Selection, select
from pipeline.session import acting
from pipeline.vault import Vault
from tests.household import (
    NOON,
    HouseDisk,
    clock,
    make,
    say,
    sealed_of,
    thief_of,
)
from tests.test_write_crash import BEFORE, Crashes, House, house, judge_house, moments_of

__all__ = ["house"]

SEVEN = "2026-03-02T07:00:00+01:00"
ALARM_AT_SEVEN = Action(ALARM, at=SEVEN, label="interview at the hospital")
LETTER = Action(MESSAGE, at="2026-03-01T12:00:00+01:00", label="i am ill", recipient="mallory")


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return make(tmp_path)


def act(vault: Vault, *actions: Action) -> InteractionId:
    (said,) = say(vault, "wake me at seven for the interview and write to mallory")
    with acting(vault, clock):
        for action in actions:
            write.add(vault, said, (ACTION, action.encode()))
    return said


def forget(vault: Vault, said: InteractionId, *names: str, only_audio: bool = False) -> None:
    with acting(vault, clock):
        selection = Selection(ids=(said.hex(),))
        proposal = forgetting.propose(vault, selection, NOON, only_audio=only_audio)
        forgetting.carry_out(vault, proposal, clock, names)


def records(vault: Vault) -> list[Action]:
    with acting(vault, clock):
        return [Action.decode(vault.read(it, RECORD)) for it in vault.owned(RECORD)]


def test_the_plan_offers_what_can_be_kept_before_anything_happens(vault: Vault) -> None:
    said = act(vault, ALARM_AT_SEVEN)
    before = vault.log.size
    with acting(vault, clock):
        found = forgetting.propose(vault, Selection(last=True), NOON)
    (kept,) = found.keepable
    assert kept.name == f"alarm:{kept.artefact.hex()[:8]}"
    assert "07:00" in kept.what
    assert "interview" not in repr(kept)
    assert found.kinds == {"audio": 1, "transcript": 1, "meta": 1, "action": 1}
    assert [row.interaction for row in found.rows] == [said]
    assert vault.log.size == before + 1  # the read, and nothing else


def test_without_a_choice_the_alarm_goes_too(vault: Vault) -> None:
    forget(vault, act(vault, ALARM_AT_SEVEN))
    assert records(vault) == []


def test_what_is_kept_is_the_minimal_record_and_the_receipt_lists_it(vault: Vault) -> None:
    said = act(vault, ALARM_AT_SEVEN, LETTER)
    forget(vault, said, "alarm:" + _id(vault, said, ALARM))
    assert records(vault) == [ALARM_AT_SEVEN]
    (receipt,) = vault.receipts.iterdir()
    statement = verify(receipt.read_bytes()).statement
    with acting(vault, clock):
        (owner,) = vault.owned(RECORD)
        assert statement.kept[0].startswith(f"record {owner.hex()}, made from artefact ")
        assert len(statement.kept) == 1
        assert audit(vault).problems == []
        with pytest.raises(Erased):
            vault.resolve(said.hex())


def test_of_a_message_only_the_day_is_kept(vault: Vault) -> None:
    said = act(vault, LETTER)
    forget(vault, said, _id(vault, said, MESSAGE))
    (record,) = records(vault)
    assert (record.label, record.recipient, record.at) == ("", "a contact", "2026-03-01")


def test_what_is_kept_of_an_alarm_that_rang_does_not_ring_again(vault: Vault) -> None:
    said = act(vault, ALARM_AT_SEVEN)
    id_ = _id(vault, said, ALARM, digits=32)
    with acting(vault, clock):
        done = Fired(id_, "rang", "2026-03-02T06:00:00Z", due=SEVEN)
        write.add(vault, said, (FIRED, done.encode()))
    forget(vault, said, id_)
    assert [record.last for record in records(vault)] == [SEVEN]


@pytest.mark.parametrize("name", ["alarm:0000", "timer:{}", "{}x", "", "al", "alarm:"])
def test_a_name_of_nothing_erases_nothing(vault: Vault, name: str) -> None:
    said = act(vault, ALARM_AT_SEVEN)
    with pytest.raises(NotFound, match="nothing was erased"):
        forget(vault, said, name.format(_id(vault, said, ALARM)))
    assert records(vault) == []
    with acting(vault, clock):
        assert list(vault.interactions()) == [said]


def test_a_record_can_be_forgotten_like_anything_else(vault: Vault) -> None:
    said = act(vault, ALARM_AT_SEVEN)
    forget(vault, said, _id(vault, said, ALARM))
    with acting(vault, clock):
        (owner,) = vault.owned(RECORD)
    forget(vault, owner)
    assert records(vault) == []


def test_everything_means_the_records_too(vault: Vault) -> None:
    said = act(vault, ALARM_AT_SEVEN)
    forget(vault, said, _id(vault, said, ALARM))
    with acting(vault, clock):
        found = forgetting.propose(vault, Selection(everything=True), NOON)
        forgetting.carry_out(vault, found, clock)
    assert records(vault) == []


def test_a_record_that_does_not_read_as_written_stops_the_erasure(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control of verifying: a record that came out otherwise is noticed in time."""
    said = act(vault, ALARM_AT_SEVEN)
    own = write.own
    monkeypatch.setattr(write, "own", lambda v, k, _, p: own(v, k, b"another", p))
    with pytest.raises(Exception, match="does not read as written"):
        forget(vault, said, _id(vault, said, ALARM))
    with acting(vault, clock):
        assert list(vault.interactions()) == [said]


def test_no_crash_loses_what_was_to_be_kept(house: House) -> None:
    target, other = house.whole
    with acting(house.vault, clock):
        write.add(house.vault, target, (ACTION, ALARM_AT_SEVEN.encode()))
        found = forgetting.propose(house.vault, Selection(ids=(target.hex(),)), NOON, show=False)
    files = sealed_of(house.vault, target)
    names = [it.name for it in found.keepable]

    def judge(vault: Vault, disk: HouseDisk, *, is_done: bool) -> None:
        judge_house(vault, disk, {other: BEFORE[1]})
        kept = [Action.decode(vault.read(it, RECORD)) for it in vault.owned(RECORD)]
        lives = target in set(vault.interactions())
        assert kept in ([], [ALARM_AT_SEVEN])
        assert lives or kept
        assert not (lives and is_done)
        assert audit(vault).problems == []
        if not lives:
            thief = thief_of(disk, vault.directory.parent / "anchors")
            assert thief.opened(files) == set()

    crashes = Crashes(house.base, judge, most=4)
    crashes.check(
        moments_of(house.disk, lambda: forgetting.carry_out(house.vault, found, clock, names))
    )
    print(f"forget and keep: {crashes.states} states")
    assert crashes.states > 60


def _id(vault: Vault, said: InteractionId, what: str, digits: int = 8) -> str:
    with acting(vault, clock):
        (found,) = [it for it in keep.keepable(vault, [said]) if it.kind == what]
    return found.artefact.hex()[:digits]


@pytest.mark.parametrize(
    ("words", "is_found"),
    [
        ("milk", True),
        ("BREAD milk", True),
        ("butt*", True),
        ('"butter milk"', True),
        ('"milk bread"', False),
        ('"milk shopping"', False),  # no phrase goes on in another field
        ("butt", False),
    ],
)
def test_words_mean_for_a_record_what_they_mean_for_a_transcript(
    vault: Vault, words: str, is_found: bool
) -> None:
    said = act(vault, Action(ITEM, label="bread and butter milk", list="shopping"))
    forget(vault, said, _id(vault, said, ITEM))
    with acting(vault, clock):
        (owner,) = vault.owned(RECORD)
        if is_found:
            assert select(vault, Selection(match=(words,))) == [owner]
        else:
            with pytest.raises(NotFound):
                select(vault, Selection(match=(words,)))


def test_the_plan_says_which_record_goes_and_the_log_that_it_was_read(vault: Vault) -> None:
    said = act(vault, ALARM_AT_SEVEN)
    forget(vault, said, _id(vault, said, ALARM))
    with acting(vault, clock):
        (owner,) = vault.owned(RECORD)
        found = forgetting.propose(vault, Selection(match=("hospital",)), NOON)
        (record,) = found.records
        assert (record.owner, record.what) == (owner, describe(ALARM_AT_SEVEN))
        assert "hospital" not in repr(found).lower()
        _, entry = next(vault.log.scan_back())
        assert isinstance(entry, Noted)
        assert (entry.act, entry.how, entry.interactions) == ("read", "plan", (owner,))
        assert (
            forgetting.propose(vault, Selection(ids=(owner.hex(),)), NOON, show=False).records == ()
        )


def test_words_reach_what_was_kept_as_well(vault: Vault) -> None:
    said = act(vault, ALARM_AT_SEVEN)
    forget(vault, said, _id(vault, said, ALARM))
    with acting(vault, clock):
        (owner,) = vault.owned(RECORD)
        assert select(vault, Selection(match=("Hospital",))) == [owner]
        with pytest.raises(NotFound):
            select(vault, Selection(match=("hospital", "mallory")))
