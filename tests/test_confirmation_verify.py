"""keys.confirmation: who verifies a receipt takes its confirmation into account, and no other."""

import json
from argparse import Namespace
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
from keys.errors import Malformed, Tampered
from keys.log import signer_of
from keys.model import VaultId
from keys.outcome import verify_files
from keys.receipt import CONFIRMED, PENDING, Check, Verified, verify
from keys.verify import main
from pipeline import checking, logkey
from pipeline.erase import Erasure
from pipeline.session import acting
from pipeline.vault import Vault
from tests.confirmations import confirmed, done, files, stick, vault
from tests.household import (
    clock,
)
from tests.test_pending import Stick

__all__ = ["confirmed", "done", "stick", "vault"]


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
