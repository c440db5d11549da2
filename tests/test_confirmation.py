"""pipeline.confirm: a pending receipt is confirmed once, and only when true."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from keys.attested import Trust
from keys.confirmation import encode_confirmation, parse_confirmation
from keys.entry import ConfirmedEntry
from keys.outcome import Outcome, verify_files
from keys.receipt import CONFIRMED, PENDING
from pipeline import logkey
from pipeline.audit import audit
from pipeline.erase import Erasure
from pipeline.session import acting
from pipeline.vault import Vault
from tests.confirmations import LATER, done, files, names, stick, vault
from tests.household import (
    NOON,
    clock,
    forget,
    say,
    sealed_of,
)
from tests.test_pending import Stick

__all__ = ["done", "stick", "vault"]


def the(done: Erasure) -> Outcome:
    (one,) = verify_files([done.receipt], Trust())
    return one


# What becomes of a pending receipt


def test_while_the_stick_is_away_nothing_is_confirmed(stick: Stick, done: Erasure) -> None:
    vault = stick.vault()
    with acting(vault, clock):
        assert audit(vault).problems == []
        assert audit(vault).confirmations == 0
    assert names(vault) == [f"{done.statement.plan}{it}" for it in (".pending", ".receipt")]
    assert the(done).verdict == PENDING


def test_when_it_has_come_back_the_receipt_is_confirmed(vault: Vault, done: Erasure) -> None:
    assert names(vault) == [f"{done.statement.plan}{it}" for it in (".confirmed", ".receipt")]
    one = the(done)
    assert one.verified
    assert one.confirmed
    said = one.confirmed.statement
    assert (one.verdict, one.verified.statement.verdict) == (CONFIRMED, PENDING)
    assert (said.plan, said.confirmed_at) == (done.statement.plan, LATER)
    assert said.epoch == vault.ring.epoch > done.statement.epoch_to
    assert [row.found for row in said.checks] == [
        "2 of 2 slots empty",
        "no share but that of the current epoch",
    ]
    with acting(vault, clock):
        entries = [(n, it) for n, it in vault.log.scan() if isinstance(it, ConfirmedEntry)]
        assert entries == [(one.confirmed.index, said.entry())]
        assert (audit(vault).problems, audit(vault).confirmations) == ([], 1)


def test_it_is_confirmed_once(stick: Stick, vault: Vault, done: Erasure) -> None:
    before = files(done)[1].read_bytes()
    for _ in range(2):
        with acting(stick.vault(), clock):
            pass
    assert files(done)[1].read_bytes() == before
    with acting(vault, clock):
        assert sum(isinstance(it, ConfirmedEntry) for _, it in vault.log.scan()) == 1


def test_two_pending_receipts_are_confirmed_each(stick: Stick) -> None:
    (more,) = say(stick.vault(), "said before as well")
    stick.pull_out()
    done, second = forget(stick.vault(), stick.dead), forget(stick.vault(), more)
    assert second.statement.verdict == PENDING
    stick.put_in()
    vault = stick.vault()
    with acting(vault, clock):
        assert (audit(vault).problems, audit(vault).confirmations) == ([], 2)
    outcomes = verify_files([done.receipt, second.receipt], Trust())
    assert [it.verdict for it in outcomes] == [CONFIRMED] * 2
    assert len({it.confirmed.index for it in outcomes if it.confirmed}) == 2


def test_what_was_said_while_the_stick_was_away_waits_for_nothing(
    stick: Stick, done: Erasure
) -> None:
    late, later = say(stick.vault(), "said while it was away", "and this")
    stick.sealed = sealed_of(stick.vault(), late)
    shutil.copytree(stick.base / "vault", stick.base / "backup" / "late")
    shutil.copytree(stick.here, stick.base / "old")
    second = forget(stick.vault(), late)
    assert (second.statement.verdict, the(done).verdict) == (CONFIRMED, PENDING)
    assert not any("the way" in row for row in second.statement.residual)
    assert not stick.opens_from_backup(stick.here, stick.base / "pocket")
    assert stick.opens_from_backup(stick.base / "old"), "the control"
    assert forget(stick.vault(), later).statement.verdict == CONFIRMED
    vault = stick.vault()
    with acting(vault, clock):
        assert audit(vault).problems == []


def test_nothing_is_signed_that_does_not_hold(
    stick: Stick, done: Erasure, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control of the checks: a slot that still has a key, as an old ring would have."""
    stick.put_in()
    vault, is_live = stick.vault(), type(stick.vault().ring).is_live
    dead = set(done.statement.slots)
    monkeypatch.setattr(type(vault.ring), "is_live", lambda it, s: s in dead or is_live(it, s))
    with acting(vault, clock):
        assert not vault.ring.outstanding
        assert not [it for _, it in vault.log.scan() if isinstance(it, ConfirmedEntry)]
        monkeypatch.undo()
        assert any("not confirmed" in row for row in audit(vault).problems)
    assert names(vault) == [f"{done.statement.plan}{it}" for it in (".pending", ".receipt")]


def remove_it(path: Path, _: Vault) -> None:
    path.unlink()


def alter_it(path: Path, _: Vault) -> None:
    path.write_bytes(path.read_bytes().replace(b"2 of 2", b"3 of 3"))


def replace_it(path: Path, _: Vault) -> None:
    """By a statement that the log has not, under a proof of what it has."""
    it, proof = parse_confirmation(path.read_bytes())
    path.write_bytes(encode_confirmation(replace(it, confirmed_at=NOON), proof))


@pytest.mark.parametrize("damage", [remove_it, alter_it, replace_it])
def test_the_audit_names_a_confirmation_that_is_damaged(
    vault: Vault, done: Erasure, damage: Callable[[Path, Vault], None]
) -> None:
    damage(files(done)[1], vault)
    with acting(vault, clock):
        found = audit(vault)
    assert any(".confirmed" in row for row in found.problems)
    assert found.confirmations == 0


def test_a_key_changed_in_between_is_followed(stick: Stick, done: Erasure) -> None:
    """The receipt is under the first key, the confirmation under the second."""
    vault = stick.vault()
    with acting(vault, clock):
        old = logkey.signer(vault).verifier
        change = logkey.rotate(vault)
    stick.put_in()
    with acting(stick.vault(), clock):
        pass
    with acting(vault, clock):
        assert (audit(vault).problems, audit(vault).confirmations) == ([], 1)
    for trust in (Trust(), Trust((old,))):
        (one,) = verify_files([done.receipt], trust)
        assert one.verdict == CONFIRMED
        assert one.confirmed
        assert one.confirmed.key != old
    change.unlink()
    one, refused = verify_files([done.receipt], Trust())
    assert (one.verdict, refused.verified) == (PENDING, None)
    assert "different keys" in refused.problem
