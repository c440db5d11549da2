"""Records that stand for the same action: after a keeping cut off, beside what replaced them.

Whoever forgets what is seen forgets all of them, in one rotation; what replaced a record while its
user thought about it goes as well, and late work brings none back.
"""

import shutil
from pathlib import Path

import pytest

from keys.errors import Erased
from keys.model import InteractionId
from keys.receipt import CONFIRMED, PENDING, Statement
from pipeline import disclosures, erase, forgetting, keep, retention, terms, write
from pipeline.artefact import ACTION, RECORD
from pipeline.assistant.agenda import Agenda, mark
from pipeline.assistant.derived import Mark
from pipeline.assistant.entries import Entry
from pipeline.assistant.values import ALARM, CANCELLED, RANG, Action
from pipeline.audit import audit
from pipeline.profiles import Wish, set_limits
from pipeline.select import Selection
from pipeline.session import acting
from pipeline.settings import Settings
from pipeline.vault import Vault
from tests.household import NOON, clock, make, parts_of, reopen, say

SEVEN = "2026-03-01T07:00:00+01:00"
DAILY = Action(ALARM, at=SEVEN, repeat=tuple(range(7)), label="pills")


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return make(tmp_path)


def act(vault: Vault) -> InteractionId:
    (said,) = say(vault, "wake me for my pills every day")
    with acting(vault, clock):
        write.add(vault, said, (ACTION, DAILY.encode()))
    return said


def forget(vault: Vault, owner: InteractionId, *, keeping: bool = False) -> Statement:
    with acting(vault, clock):
        found = forgetting.propose(vault, Selection(ids=(owner.hex(),)), NOON)
        names = [it.name for it in found.keepable] if keeping else []
        return forgetting.carry_out(vault, found, clock, names).statement


def cut_off(vault: Vault, said: InteractionId, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keeps what an interaction did, and fails before anything of it is erased."""

    def fails(*_: object) -> None:
        raise OSError

    with monkeypatch.context() as patch:
        patch.setattr(forgetting, "erase", fails)
        with pytest.raises(OSError):  # noqa: PT011 - the one from above
            forget(vault, said, keeping=True)


def entries(vault: Vault) -> list[Entry]:
    with acting(vault, clock):
        return Agenda(vault).entries()


def kept(vault: Vault) -> Entry:
    """Returns the record that is left of an interaction of which nothing else is."""
    forget(vault, act(vault), keeping=True)
    (entry,) = entries(vault)
    return entry


def is_empty(vault: Vault) -> bool:
    with acting(vault, clock):
        assert audit(vault).problems == []
        return not vault.owned(RECORD) and not Agenda(vault).entries()


def test_what_a_keeping_cut_off_has_left_goes_with_its_source(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = act(vault)
    cut_off(vault, said, monkeypatch)
    forget(vault, said)
    assert is_empty(vault)


def test_what_a_keeping_cut_off_has_left_goes_with_the_profile_of_its_source(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = act(vault)
    cut_off(vault, said, monkeypatch)
    with acting(vault, clock):
        terms._forget(vault, [said])
    assert is_empty(vault)


def test_a_second_keeping_leaves_one_record_and_forgetting_that_leaves_none(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = act(vault)
    cut_off(vault, said, monkeypatch)
    cut_off(vault, said, monkeypatch)
    forget(vault, said, keeping=True)
    with acting(vault, clock):
        (record,) = vault.owned(RECORD)
    forget(vault, record)
    assert is_empty(vault)


def test_what_a_keeping_cut_off_has_left_falls_due_with_its_source(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    with acting(vault, clock):
        retention.change(vault, lambda it, at: set_limits(it, Wish(words="1d"), at), clock)
    with acting(vault, clock):
        said = retention.create(vault, [*parts_of("pills"), (ACTION, DAILY.encode())], clock)
    assert said
    cut_off(vault, said, monkeypatch)
    with acting(vault, clock):
        (beside,) = vault.owned(RECORD)
        goes = retention.would_erase(vault, at_once, clock)
    assert (goes.whole, goes.records) == ((said,), (beside,))
    with acting(vault, lambda: "2026-03-03T12:00:00Z"):
        assert list(vault.interactions()) == []
    assert is_empty(vault)


def test_what_somebody_chose_to_keep_has_no_limit_and_is_not_said_to_go(vault: Vault) -> None:
    """The control is what a keeping that was cut off leaves, above: that goes, and is said."""
    record = kept(vault).owner
    with acting(vault, clock):
        assert not retention.would_erase(vault, at_once, clock)
        retention.change(vault, at_once, clock)
    with acting(vault, lambda: "2026-03-03T12:00:00Z"):
        assert vault.owned(RECORD) == [record]


def at_once(old: Settings, at: str) -> Settings:
    return set_limits(old, Wish(words="none", existing=True), at)


def test_what_a_crash_left_beside_a_record_that_rang_goes_with_it(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = kept(vault)
    with monkeypatch.context() as patch:
        patch.setattr(erase, "retire", lambda *_: None)
        with acting(vault, clock):
            mark(vault, Mark(old, RANG), NOON, SEVEN)
    (new,) = entries(vault)
    assert new.owner != old.owner
    forget(vault, new.owner)
    assert is_empty(vault)


@pytest.mark.parametrize("rings", [False, True])
def test_the_receipt_of_a_record_tells_what_left_of_its_source(
    vault: Vault, *, rings: bool
) -> None:
    """And nobody is asked for it once more: a shop that has not answered is awaited once."""
    said = act(vault)
    with acting(vault, clock):
        disclosures.disclose(vault, said, "plain-export", "/media", ("words",), "a test", NOON)
        reference = disclosures.give(vault, said, "shop", "a shop", ("items",), "a test", NOON)
    of_source = forget(vault, said, keeping=True)
    assert of_source.verdict == PENDING
    (entry,) = entries(vault)
    if rings:
        with acting(vault, clock):
            mark(vault, Mark(entry, RANG), NOON, SEVEN)
        (entry,) = entries(vault)
    of_record = forget(vault, entry.owner)
    export, shop = of_record.disclosed
    assert f"record {entry.owner.hex()}: made from interaction {said.hex()}: plain export" in export
    assert (
        f"skill shop, log entry {entry_of(of_source, 'shop')}, reference {reference.hex()}" in shop
    )
    assert all("in the receipt of that interaction" in row for row in of_record.disclosed)
    assert of_record.verdict == CONFIRMED
    assert not any(said.hex() in row for row in of_record.residual)


def entry_of(statement: Statement, skill: str) -> str:
    (row,) = (row for row in statement.disclosed if f"skill {skill}" in row)
    return row.partition("log entry ")[2].partition(",")[0]


def test_of_a_record_of_which_nothing_left_no_receipt_says_that_something_did(vault: Vault) -> None:
    """The control of the one before."""
    assert forget(vault, kept(vault).owner).disclosed == ()


def test_a_source_that_goes_in_the_same_plan_tells_it_once(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = act(vault)
    with acting(vault, clock):
        disclosures.disclose(vault, said, "plain-export", "/media", ("words",), "a test", NOON)
    cut_off(vault, said, monkeypatch)
    (row,) = forget(vault, said).disclosed
    assert row.startswith(f"interaction {said.hex()}")


@pytest.mark.parametrize("everything", [False, True])
def test_a_record_that_rings_between_question_and_yes_is_forgotten(
    vault: Vault, *, everything: bool
) -> None:
    old = kept(vault)
    say(vault, "something else")
    meant = Selection(everything=True) if everything else Selection(ids=(old.owner.hex(),))
    with acting(vault, clock):
        found = forgetting.propose(vault, meant, NOON)
    with acting(vault, clock):
        mark(vault, Mark(old, RANG), NOON, SEVEN)
    with acting(vault, clock):
        forgetting.carry_out(vault, found, clock)
    assert is_empty(vault)


def test_late_work_brings_no_record_back(vault: Vault) -> None:
    old = kept(vault)
    forget(vault, old.owner)
    with acting(vault, clock), pytest.raises(Erased):
        mark(vault, Mark(old, CANCELLED), NOON)
    assert is_empty(vault)


def test_late_work_is_done_on_what_took_the_place_of_a_record(vault: Vault) -> None:
    old = kept(vault)
    with acting(vault, clock):
        mark(vault, Mark(old, RANG), NOON, SEVEN)
    with acting(vault, clock):
        mark(vault, Mark(old, CANCELLED), NOON)
        (record,) = vault.owned(RECORD)
        action = Action.decode(vault.read(record, RECORD))
    assert (action.state, action.last) == (CANCELLED, SEVEN)


def test_what_left_of_a_record_is_in_the_receipt_of_what_took_its_place(vault: Vault) -> None:
    old = kept(vault)
    with acting(vault, clock):
        vault.note("disclose", "plain-export", [old.owner])
    for due in (SEVEN, SEVEN.replace("03-01", "03-02")):
        (entry,) = entries(vault)
        with acting(vault, clock):
            mark(vault, Mark(entry, RANG), NOON, due)
    (entry,) = entries(vault)
    with acting(vault, clock):
        found = forgetting.propose(vault, Selection(ids=(entry.owner.hex(),)), NOON)
        statement = forgetting.carry_out(vault, found, clock).statement
    (row,) = statement.disclosed
    assert row.startswith(f"interaction {entry.owner.hex()}: plain export")
    assert is_empty(vault)


def test_records_of_other_actions_stay(vault: Vault) -> None:
    """The control: what is not the same is not taken."""
    one, other = kept(vault), act(vault)
    forget(vault, other, keeping=True)
    forget(vault, one.owner)
    (left,) = entries(vault)
    assert left.owner != one.owner


def test_the_file_of_a_stranger_keeps_nobody_from_forgetting(vault: Vault) -> None:
    record, said = kept(vault), act(vault)
    with acting(vault, clock):
        (file,) = vault.artefacts(record.owner)
        shutil.copyfile(file.path, file.path.with_name(f"{'0' * 32}.{'0' * 32}.record"))
        data = bytearray(file.path.read_bytes())
        data[-1] ^= 1
        (file.path.parent / f"{'1' * 32}.{'1' * 32}.record").write_bytes(data)
    forget(vault, said)
    with acting(reopen(vault.directory.parent), clock):
        assert list(vault.interactions()) == []


def test_the_audio_alone_takes_no_record_and_keeps_none(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = act(vault)
    with acting(vault, clock):
        (name,) = [it.name for it in keep.keepable(vault, [said])]
        found = forgetting.propose(vault, Selection(last=True), NOON, only_audio=True)
        with pytest.raises(Exception, match="nothing was erased"):
            forgetting.carry_out(vault, found, clock, [name])
        assert vault.owned(RECORD) == []
    cut_off(vault, said, monkeypatch)
    with acting(vault, clock):
        found = forgetting.propose(vault, Selection(last=True), NOON, only_audio=True)
        forgetting.carry_out(vault, found, clock)
        assert len(vault.owned(RECORD)) == 1
