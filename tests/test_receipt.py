"""keys.receipt: exactly one form, every byte of it vouched for, no other key, vault or statement.

The vectors come from `vectors/make_receipts.py`. Change a vector only with its generator.
"""

import json
import runpy
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keys.durable import RealDisk
from keys.entry import Begun, line_of, origin_of
from keys.errors import KeysError, Malformed, Tampered
from keys.live import prove
from keys.log import Log, signer_of
from keys.merkle import Hash, leaf_hash, tree_root
from keys.model import Slot, VaultId
from keys.note import Checkpoint, LogProof, VerifierKey, sign
from keys.receipt import (
    VERDICTS,
    AnchorLevel,
    Check,
    DeadArtefact,
    DeadInteraction,
    DeadSlot,
    Receipt,
    Statement,
    parse_receipt,
    verify,
)

VECTORS = Path(__file__).parent / "vectors"
REFERENCE = runpy.run_path(str(VECTORS / "make_receipts.py"))
INDEX: dict[str, Any] = json.loads((VECTORS / "receipts" / "receipts.json").read_text())
KEY = VerifierKey.parse(INDEX["log_key"])
OTHER_KEY = VerifierKey.parse(INDEX["other_key"])
VALID = (VECTORS / "receipts" / "valid.receipt").read_bytes()
REFUSALS: dict[str, type[KeysError]] = {"malformed": Malformed, "tampered": Tampered}


def vector(name: str) -> bytes:
    return (VECTORS / "receipts" / f"{name}.receipt").read_bytes()


# Vectors


def test_generator_reproduces_the_vectors() -> None:
    built = REFERENCE["build"]()
    assert {path.name for path in (VECTORS / "receipts").iterdir()} == set(built)
    for name, data in built.items():
        assert (VECTORS / "receipts" / name).read_bytes() == data, name


@pytest.mark.parametrize("case", INDEX["cases"], ids=lambda case: case["name"])
@pytest.mark.parametrize("trusted", [None, KEY], ids=["key of the receipt", "key given"])
def test_vector(case: dict[str, Any], trusted: VerifierKey | None) -> None:
    data = vector(case["name"])
    if case["rejected_by"] is None:
        verified = verify(data, trusted)
        assert (verified.key, verified.index, verified.checkpoint.size) == (KEY, 1, 2)
        assert data.startswith(verified.statement.encode() + b"\n\n")
        return
    with pytest.raises(KeysError) as refusal:
        verify(data, trusted)
    foreign_key = trusted is not None and case["name"].startswith("key-of-another")
    wanted = Tampered if foreign_key else REFUSALS[case["rejected_by"]]
    assert type(refusal.value) is wanted


# Every byte


@pytest.mark.parametrize("mask", [0x01, 0x02, 0x10, 0x20, 0x40, 0x80, 0xFF])
def test_no_byte_of_a_receipt_can_be_changed(mask: int) -> None:
    """Every byte of a receipt, and several bits of each."""
    for at in range(len(VALID)):
        bent = VALID[:at] + bytes([VALID[at] ^ mask]) + VALID[at + 1 :]
        with pytest.raises((Malformed, Tampered)):
            verify(bent)


def test_no_byte_of_a_receipt_can_go_or_be_doubled() -> None:
    for at in range(len(VALID)):
        # Taking one of two equal neighbours gives the same bytes as taking the other.
        for bent in (VALID[:at] + VALID[at + 1 :], VALID[: at + 1] + VALID[at:]):
            with pytest.raises((Malformed, Tampered)):
                verify(bent)


def test_no_receipt_can_be_cut_off() -> None:
    for end in range(len(VALID)):
        with pytest.raises((Malformed, Tampered)):
            verify(VALID[:end])


@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_anything_else_is_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        verify(data)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@settings(max_examples=300)
@given(st.data())
def test_a_field_of_another_type_is_malformed(data: st.DataObject) -> None:
    """Any JSON value in any place of the statement: read as it is written, or refused."""
    row = REFERENCE["fields"]()
    where: Any = row
    while True:
        keys = list(where) if isinstance(where, dict) else list(range(len(where)))
        if not keys:
            return
        key = data.draw(st.sampled_from(keys))
        if not isinstance(where[key], dict | list) or data.draw(st.booleans()):
            break
        where = where[key]
    before, where[key] = where[key], data.draw(json_values)
    encoded = REFERENCE["encode"](row)
    try:
        statement = Statement.parse(encoded)
    except Malformed:
        return
    assert statement.encode() == encoded
    assert type(where[key]) is type(before)


# Values

texts = st.text(st.characters(codec="utf-8"), max_size=20).filter(str.isprintable)
numbers = st.integers(0, 2**63 - 1)


def hexes(size: int) -> st.SearchStrategy[str]:
    return st.binary(min_size=size, max_size=size).map(bytes.hex)


def tuples(of: st.SearchStrategy[Any], least: int = 0) -> st.SearchStrategy[Any]:
    return st.lists(of, min_size=least, max_size=3).map(tuple)


@st.composite
def interactions(draw: st.DrawFn) -> DeadInteraction:
    slots = draw(tuples(st.builds(DeadSlot, numbers, hexes(32)), 1))
    kinds = st.from_regex(r"[a-z][a-z0-9-]{0,15}", fullmatch=True)
    slot = st.sampled_from([it.slot for it in slots])
    artefacts = st.builds(DeadArtefact, hexes(16), kinds, slot, hexes(32))
    return DeadInteraction(draw(hexes(16)), slots, draw(tuples(artefacts)))


def once(rows: tuple[DeadInteraction, ...]) -> bool:
    slots = [slot.slot for row in rows for slot in row.slots]
    return len(set(slots)) == len(slots)


times = st.datetimes().map(lambda it: it.replace(microsecond=0).isoformat() + "Z")
statements = st.builds(
    Statement,
    vault=hexes(16),
    plan=hexes(16),
    requested_at=times,
    erased_at=times,
    log_key=texts,
    tool=texts,
    technique=texts,
    verdict=st.sampled_from(VERDICTS),
    epoch_from=st.integers(0, 2**62),
    epoch_to=st.integers(2**62 + 1, 2**63 - 1),
    anchors=tuples(st.builds(AnchorLevel, texts, texts, texts)),
    live_position=numbers,
    live_size=numbers,
    live_before=hexes(32),
    live_after=hexes(32),
    live_siblings=tuples(hexes(32)),
    erased=tuples(interactions()).filter(once),
    kept=tuples(texts),
    disclosed=tuples(texts),
    residual=tuples(texts),
    checks=tuples(st.builds(Check, texts, texts)),
    proves=tuples(texts),
    does_not_prove=tuples(texts),
)


@given(statements)
def test_a_statement_comes_back_from_its_bytes(statement: Statement) -> None:
    data = statement.encode()
    assert b"\n\n" not in data  # or the receipt would be cut apart in the wrong place
    assert Statement.parse(data) == statement
    proof = parse_receipt(VALID).proof
    assert parse_receipt(Receipt(statement, proof).encode()) == Receipt(statement, proof)


def test_many_slots_and_files_are_read_in_time() -> None:
    """A hostile receipt must not be able to keep the verifier busy: no product of its lengths."""
    slots = tuple(DeadSlot(n, "61" * 32) for n in range(20_000))
    artefacts = tuple(DeadArtefact("30" * 16, "audio", n, "62" * 32) for n in range(20_000))
    row = DeadInteraction("20" * 16, slots, artefacts)
    data = replace(parse_receipt(VALID).statement, erased=(row,)).encode()
    start = time.process_time()
    Statement.parse(data)
    assert time.process_time() - start < 10  # under 1 s where it was written; a product takes 100


def test_a_change_of_many_slots_far_apart_is_verified_in_time() -> None:
    """As many hashes as slots times levels, and no more."""
    slots = [n << 40 for n in range(1_000)]
    rows = tuple(DeadSlot(slot, "61" * 32) for slot in slots)
    base = replace(parse_receipt(VALID).statement, live_size=2**63 - 1)
    statement = replace(base, erased=(DeadInteraction("20" * 16, rows, ()),))
    data = REFERENCE["receipt"](statement.encode())
    start = time.process_time()
    with pytest.raises(Tampered, match="too short"):
        verify(data)
    needed = len(prove(2**63 - 1, map(Slot, slots), lambda *_: Hash(bytes(32))))
    full = replace(statement, live_siblings=("00" * 32,) * needed)
    with pytest.raises(Tampered, match="another live root before"):
        verify(REFERENCE["receipt"](full.encode()))
    assert time.process_time() - start < 10  # about 1 s where it was written


# Whose it is


def test_the_trusted_key_must_be_the_one_of_the_receipt() -> None:
    assert verify(VALID, KEY).key == KEY
    with pytest.raises(Tampered, match="expected"):
        verify(VALID, OTHER_KEY)


def made(folder: Path, vault: VaultId, seed: bytes) -> tuple[Log, bytes]:
    """A receipt that the product's own log vouches for."""
    log, signer = Log(RealDisk(), folder, vault), signer_of(vault, bytearray(seed))
    log.create()
    named = replace(parse_receipt(VALID).statement, vault=vault.hex())
    statement = replace(named, log_key=signer.verifier.format())
    index = log.append([statement.entry()])
    return log, Receipt(statement, log.prove(index, signer)).encode()


def test_a_receipt_of_a_real_log_verifies(tmp_path: Path) -> None:
    log, data = made(tmp_path / "log", VaultId(bytes(16)), bytes(32))
    verified = verify(data)
    assert (verified.index, verified.checkpoint.size) == (1, 2)
    assert verified.checkpoint.root == log.root()


def test_statements_of_two_vaults_cannot_be_swapped(tmp_path: Path) -> None:
    """Not even when the two vaults share a signing key."""
    _, one = made(tmp_path / "one", VaultId(bytes(16)), bytes(32))
    _, two = made(tmp_path / "two", VaultId(b"\1" * 16), bytes(32))
    first, second = parse_receipt(one), parse_receipt(two)
    for statement, proof in ((first.statement, second.proof), (second.statement, first.proof)):
        with pytest.raises(Tampered):
            verify(Receipt(statement, proof).encode())


def test_two_statements_of_one_log_cannot_be_swapped(tmp_path: Path) -> None:
    vault, signer = VaultId(bytes(16)), signer_of(VaultId(bytes(16)), bytearray(32))
    log = Log(RealDisk(), tmp_path / "log", vault)
    log.create()
    base = replace(parse_receipt(VALID).statement, vault=vault.hex())
    base = replace(base, log_key=signer.verifier.format())
    both = [replace(base, plan=f"{n:02x}" * 16, live_position=n + 1) for n in range(2)]
    log.append([it.entry() for it in both])
    proofs = [log.prove(index, signer) for index in (1, 2)]
    for n in range(2):
        verify(Receipt(both[n], proofs[n]).encode())
        with pytest.raises(Tampered):
            verify(Receipt(both[n], proofs[1 - n]).encode())


def test_an_empty_log_vouches_for_nothing() -> None:
    vault = VaultId(bytes(range(0x10, 0x20)))
    signer = signer_of(vault, bytearray(REFERENCE["SEED"]))
    statement = parse_receipt(VALID).statement
    for leaves in ([], [line_of(0, Begun(vault))]):
        hashes = [leaf_hash(line) for line in leaves]
        head = Checkpoint(origin_of(vault), len(leaves), tree_root(len(leaves), hashes.__getitem__))
        proof = LogProof(0, (), sign(head.format(), [signer]))
        with pytest.raises(Tampered):
            verify(Receipt(statement, proof).encode())
