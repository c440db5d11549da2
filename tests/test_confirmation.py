"""keys.confirmation and pipeline.confirm: a pending receipt is confirmed once, and only when true.

The erasure is made while the second anchor, a stick, is away; it comes back later.
"""

import json
import shutil
from argparse import Namespace
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys import confirmation
from keys.attested import Trust
from keys.confirmation import Confirmation, Confirmed, encode_confirmation, parse_confirmation
from keys.entry import ConfirmedEntry
from keys.errors import Malformed, StateUnknown, Tampered
from keys.log import Log, signer_of
from keys.model import Slot, VaultId
from keys.outcome import Outcome, verify_files
from keys.receipt import CONFIRMED, PENDING, Check, Verified, verify
from keys.verify import main
from pipeline import checking, confirm, logkey
from pipeline.audit import audit
from pipeline.erase import Erasure, erase
from pipeline.plan import make_plan
from pipeline.session import acting, create_vault, open_vault
from pipeline.vault import Vault
from tests.household import (
    NOON,
    HouseDisk,
    clock,
    forget,
    house_disk,
    no_passphrase,
    say,
    sealed_of,
    settled,
)
from tests.test_pending import Stick
from tests.test_write_crash import moments_of
from tests.world.adversary import Adversary, shares_in
from tests.world.disk import Medium, Name

LATER = "2026-04-01T12:00:00Z"


@pytest.fixture
def stick(tmp_path: Path) -> Stick:
    return Stick(tmp_path)


@pytest.fixture
def done(stick: Stick) -> Erasure:
    stick.pull_out()
    return forget(stick.vault(), stick.dead)


@pytest.fixture
def vault(stick: Stick, done: Erasure) -> Vault:
    """The vault after the stick has come back: the receipt is confirmed."""
    assert done.statement.verdict == PENDING
    stick.put_in()
    vault = stick.vault()
    with acting(vault, lambda: LATER):
        return vault


@pytest.fixture
def confirmed(vault: Vault, done: Erasure) -> Erasure:
    """The erasure whose receipt has been confirmed since."""
    assert vault.receipts == done.receipt.parent
    return done


def names(vault: Vault) -> list[str]:
    return sorted(path.name for path in vault.receipts.iterdir())


def files(done: Erasure) -> tuple[Path, Path]:
    return done.receipt, done.receipt.with_suffix(".confirmed")


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


# The stand-alone verifier


def test_keys_verify_calls_it_confirmed_by_its_entry(
    vault: Vault, done: Erasure, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    receipt, note = files(done)
    with acting(vault, clock):
        key = logkey.signer(vault).verifier.format()
    assert main([str(receipt), "--explain", "--log-key", key]) == 0
    out = capsys.readouterr().out
    assert "verifies, confirmed (pending at first; by confirmation, log entry" in out
    assert "step 10    subject of the confirmation" in out
    apart = tmp_path / "apart.receipt"
    apart.write_bytes(receipt.read_bytes())
    assert main([str(apart)]) == 0
    assert "verifies, pending\n" in capsys.readouterr().out
    for order in ([apart, note], [note, apart]):
        assert main(list(map(str, order))) == 0
        assert "verifies, confirmed (pending" in capsys.readouterr().out


def test_the_commands_show_it(
    stick: Stick,
    confirmed: Erasure,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ANECHOIC_ANCHOR_DIR", str(stick.here))
    options = Namespace(json=False, vault=stick.base / "vault", receipts=[confirmed.receipt])
    options.log_key, options.copy, options.explain = None, [], True
    assert checking.verify(options) == 0
    out = capsys.readouterr().out
    assert "subject of the confirmation" in out
    assert "pending at first; by confirmation, log entry" in out
    assert "(of the vault here)" in out
    assert checking.receipts(options) == 0
    assert "confirmed by log entry" in capsys.readouterr().out
    options.json = True
    assert checking.receipts(options) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["verdict"], row["statement"]["verdict"]) == ("confirmed", "pending")
    assert row["confirmation"]["statement"]["plan"] == confirmed.statement.plan
    assert checking.audit(options) == 0
    assert json.loads(capsys.readouterr().out)["confirmations"] == 1


def test_copies_count_as_erased_only_with_the_confirmation(
    stick: Stick, confirmed: Erasure, capsys: pytest.CaptureFixture[str]
) -> None:
    receipt, note = files(confirmed)
    command = [str(receipt), "--copy", str(stick.base / "backup")]
    assert main(command) == 0
    assert capsys.readouterr().out.count("\nerased   ") == len(stick.sealed)
    note.unlink()
    assert main(command) == 0
    assert "\nerased   " not in capsys.readouterr().out


@pytest.mark.parametrize("is_beside", [True, False])
def test_a_confirmation_that_does_not_hold_is_an_outcome_and_confirms_nothing(
    confirmed: Erasure, tmp_path: Path, *, is_beside: bool
) -> None:
    receipt, note = files(confirmed)
    altered = note.read_bytes().replace(b"2 of 2", b"3 of 3")
    place = note if is_beside else tmp_path / "altered"
    note.unlink()
    place.write_bytes(altered)
    one, other = verify_files([receipt, *([] if is_beside else [place])], Trust())
    assert (one.path, one.verdict, other.path, other.verified) == (receipt, PENDING, place, None)
    assert "another root" in other.problem
    assert main([str(receipt), str(place)]) == 5


def test_a_confirmation_alone_confirms_nothing(confirmed: Erasure) -> None:
    assert main([str(files(confirmed)[1])]) == 5


def test_no_byte_of_a_confirmation_can_be_changed(confirmed: Erasure) -> None:
    data = files(confirmed)[1].read_bytes()
    confirmation.verify(data)
    for at in range(len(data)):
        for mask in (0x01, 0x20, 0x80):
            bent = data[:at] + bytes([data[at] ^ mask]) + data[at + 1 :]
            with pytest.raises((Malformed, Tampered)):
                confirmation.verify(bent)
    for end in range(len(data)):
        with pytest.raises((Malformed, Tampered)):
            confirmation.verify(data[:end])


def changed(it: Confirmation, change: dict[str, Any]) -> Confirmation:
    return replace(it, **change)


def pair(done: Erasure) -> tuple[Confirmed, Verified]:
    return confirmation.verify(files(done)[1].read_bytes()), verify(files(done)[0].read_bytes())


@pytest.mark.parametrize(
    ("field", "value", "why"),
    [
        ("vault", "11" * 16, "another receipt"),
        ("plan", "11" * 16, "another receipt"),
        ("receipt", "11" * 32, "another receipt"),
        ("epoch", 1, "older"),
    ],
)
def test_a_confirmation_of_something_else_does_not_match(
    confirmed: Erasure, field: str, value: object, why: str
) -> None:
    it, of = pair(confirmed)
    confirmation.match(it, of)
    with pytest.raises(Tampered, match=why):
        confirmation.match(replace(it, statement=changed(it.statement, {field: value})), of)


def test_only_a_pending_receipt_under_the_same_key_and_before_it_matches(
    confirmed: Erasure,
) -> None:
    it, of = pair(confirmed)
    other = signer_of(VaultId(bytes(16)), bytearray(32)).verifier
    for one, two in ((replace(it, key=other), of), (replace(it, index=of.index), of)):
        with pytest.raises(Tampered, match=r"different keys|older"):
            confirmation.match(one, two)
    lied = replace(of.statement, verdict=CONFIRMED)
    (said, _) = parse_confirmation(files(confirmed)[1].read_bytes())
    said = replace(said, receipt=sha256(lied.encode()).hexdigest())
    with pytest.raises(Tampered, match="only a pending one"):
        confirmation.match(replace(it, statement=said), replace(of, statement=lied))


def test_of_another_place_than_the_log_has_is_refused(vault: Vault, done: Erasure) -> None:
    said, _ = parse_confirmation(files(done)[1].read_bytes())
    with acting(vault, clock):
        lied = replace(said, position=said.position + 5)
        at = vault.log.append([lied.entry()])
        signed = encode_confirmation(lied, vault.log.prove(at, logkey.signer(vault)))
    with pytest.raises(Tampered, match="place"):
        confirmation.verify(signed)


@pytest.mark.parametrize(
    "change",
    [
        {"checks": ()},
        {"epoch": -1},
        {"epoch": True},
        {"position": 2**63},
        {"confirmed_at": "yesterday"},
        {"receipt": "AB" * 32},
        {"plan": ""},
        {"tool": "a\nb"},
        {"checks": (Check("x", "\x1b"),)},
    ],
)
def test_a_field_of_another_form_is_malformed(
    confirmed: Erasure, change: dict[str, object]
) -> None:
    said, _ = parse_confirmation(files(confirmed)[1].read_bytes())
    assert Confirmation.parse(said.encode()) == said
    with pytest.raises(Malformed):
        Confirmation.parse(changed(said, change).encode())


@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_anything_else_is_malformed(data: bytes) -> None:
    for start in (b"", b'{\n  "format": "anechoic-confirmation/1"', b"{}\n\n"):
        with pytest.raises(Malformed):
            confirmation.verify(start + data)


# Crashes


class Simulated:
    """The same on a simulated disk: an erasure while the stick was away, and the stick back."""

    def __init__(self, base: Path) -> None:
        self.base, self.stick, disk = base, base / "stick", house_disk(base)
        made = create_vault(base / "vault", base / "here", f"file|file:{self.stick}", disk=disk)
        self.dead, self.other = say(made, "said before", "said as well")
        disk = settled(disk)
        share = self.stick / f"{made.id.hex()}.share"
        file = disk.cached.names[share]
        away = disk.cached.after([Name(share, None)])
        disk = HouseDisk(away, disk.history)
        vault = self.vault(disk)
        with acting(vault, clock):
            plan = make_plan(vault, [self.dead], NOON)
            results = list[Erasure]()
            self.erasing = moments_of(disk, lambda: results.append(erase(vault, plan, clock)))
            (self.done,) = results
        assert self.done.statement.verdict == PENDING
        self.anchors = {anchor.name for anchor in vault.ring.anchors}
        self.come_back = Name(share, file)
        self.disk = self.with_stick(settled(disk).cached, disk)

    def with_stick(self, medium: Medium, disk: HouseDisk) -> HouseDisk:
        return HouseDisk(medium.after([self.come_back]), disk.history)

    def vault(self, disk: HouseDisk) -> Vault:
        return open_vault(self.base / "vault", self.base / "here", no_passphrase, disk)

    def thief(self, disk: HouseDisk) -> Adversary:
        places = (self.stick, self.base / "here")
        shares = {s for it in places for raw in disk.durable.raw(it) for s in shares_in(raw)}
        versions = [data for path, data in disk.history if self.base / "vault" in path.parents]
        return Adversary(versions, dict.fromkeys(self.anchors, shares))

    def sealed(self, disk: HouseDisk) -> dict[str, bytes]:
        dead = self.dead.hex()
        return {path.name: data for path, data in disk.history if path.name.startswith(dead)}

    def judge(self, disk: HouseDisk) -> None:
        """After one more act there is one whole confirmation, of one entry, and nothing else."""
        vault, (receipt, note) = self.vault(disk), files(self.done)
        with acting(vault, clock):
            assert audit(vault).problems == []
            assert audit(vault).confirmations == 1
            assert disk.names(vault.receipts) == [note.name, receipt.name]
            entries = [it for _, it in vault.log.scan() if isinstance(it, ConfirmedEntry)]
            assert len(entries) == 1
            it = confirmation.verify(bytes(disk.read(note)), logkey.signer(vault).verifier)
            confirmation.match(it, verify(bytes(disk.read(receipt))))
        before = disk.cached.files()
        with acting(self.vault(disk), clock):
            assert disk.cached.files() == before


@pytest.fixture
def simulated(tmp_path: Path) -> Simulated:
    return Simulated(tmp_path)


def confirming(it: Simulated) -> list[tuple[HouseDisk, bool]]:
    def act() -> None:
        with acting(it.vault(it.disk), clock):
            pass

    return moments_of(it.disk, act)


def test_no_crash_leaves_a_receipt_unconfirmed_or_confirmed_twice(simulated: Simulated) -> None:
    states, seen = 0, set[tuple[object, ...]]()
    for disk, _ in confirming(simulated):
        media = [HouseDisk(it, disk.history) for it in disk.survivors(8, seed=states)]
        for one in [*media, disk.fork()]:
            image = _image(one.durable), _image(one.cached)
            if image not in seen:
                seen.add(image)
                states += 1
                simulated.judge(one)
    print(f"confirm: {states} states")
    assert states > 40


def test_no_crash_of_a_pending_erasure_leaves_it_unconfirmed_later(simulated: Simulated) -> None:
    """The erasure is stopped while the stick is away; then the stick comes back."""
    states, erased, seen = 0, 0, set[object]()
    for disk, is_done in simulated.erasing:
        for medium in [*disk.survivors(4, seed=states), disk.cached]:
            one = simulated.with_stick(medium, disk)
            if (image := _image(one.cached)) in seen:
                continue
            seen.add(image)
            states += 1
            vault = simulated.vault(one)
            with acting(vault, clock):
                is_erased = not any(
                    map(vault.ring.is_live, map(Slot, simulated.done.statement.slots))
                )
                assert is_erased or not is_done
                found = audit(vault)
                assert (found.problems, found.receipts) == ([], int(is_erased))
                receipts = [name for name in one.names(vault.receipts) if name.endswith("receipt")]
                pending = [
                    it
                    for name in receipts
                    if (it := verify(bytes(one.read(vault.receipts / name))).statement).verdict
                    == PENDING
                ]
                assert found.confirmations == len(pending)
                erased += len(pending)
    print(f"a pending erasure, confirmed later: {states} states, {erased} of them pending at first")
    assert states > 40
    assert 0 < erased < states


def test_at_no_moment_is_confirmed_what_opens(simulated: Simulated) -> None:
    """For whoever has every version of every file, and both anchors as they are at that moment."""
    opened = {False: 0, True: 0}
    for disk, _ in confirming(simulated):
        is_confirmed = files(simulated.done)[1] in disk.cached.names
        opened[is_confirmed] += bool(simulated.thief(disk).opened(simulated.sealed(disk)))
    assert opened[True] == 0
    assert opened[False] > 0, "the control: before the stick has rotated it opens all"


@pytest.mark.parametrize("number", range(1, 40, 3))
def test_the_same_process_goes_on_after_a_failed_operation(
    simulated: Simulated, number: int
) -> None:
    vault = simulated.vault(simulated.disk)
    simulated.disk.fail_at = simulated.disk.operations + number
    try:
        with acting(vault, clock):
            pass
    except StateUnknown:
        with acting(vault, clock):
            pass
    simulated.judge(simulated.disk)


def test_an_entry_that_is_not_found_again_shows_as_two(
    simulated: Simulated, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: with a log that never knows what it has, a crash makes a second entry."""
    monkeypatch.setattr(Log, "has", lambda *_: False)
    moments = [disk.fork() for disk, _ in confirming(simulated)]
    with pytest.raises(AssertionError):
        list(map(simulated.judge, moments))


def _image(medium: Medium) -> object:
    return frozenset(medium.files().items()), medium.directories


def test_the_mark_is_what_makes_it_happen(simulated: Simulated) -> None:
    """The control: without the mark nothing is confirmed, and the audit says so."""
    mark = files(simulated.done)[0].with_suffix(confirm.MARK)
    simulated.disk.delete(mark)
    vault = simulated.vault(simulated.disk)
    with acting(vault, clock):
        assert [row for row in audit(vault).problems if "not confirmed" in row]
