"""keys.note against C2SP's formats, Go's published notes, and every way to bend them.

The vectors come from `vectors/notes/make_notes.py`. Change a vector only with its generator.
"""

import json
import runpy
import string
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from keys.errors import KeysError, Malformed, Tampered
from keys.merkle import Hash, inclusion_proof, leaf_hash, stored_hashes, tree_root, verify_inclusion
from keys.note import (
    MAX_SIGNATURES,
    MAX_SIZE,
    Checkpoint,
    LogProof,
    Signer,
    VerifierKey,
    open_note,
    sign,
)

VECTORS_DIR = Path(__file__).parent / "vectors" / "notes"
REFERENCE = runpy.run_path(str(VECTORS_DIR / "make_notes.py"))
KINDS = ("vkey", "note", "checkpoint", "proof")
TEXT: str = REFERENCE["TEXT"]
PETER = VerifierKey.parse(REFERENCE["PETER"])
ENOCH = VerifierKey.parse(REFERENCE["ENOCH"])
NOTE: str = TEXT + "\n" + REFERENCE["PETER_LINE"]
SIGNER = Signer("PeterNeumann", REFERENCE["PETER_SEED"])

REFUSALS: dict[str, type[KeysError]] = {"shape": Malformed, "signature": Tampered}


def cases(kind: str) -> pytest.MarkDecorator:
    vectors = json.loads((VECTORS_DIR / f"{kind}.json").read_text(encoding="utf-8"))
    return pytest.mark.parametrize("case", vectors["cases"], ids=lambda case: case["name"])


def expect(case: dict[str, Any], read: Callable[[str], str], result: str) -> None:
    """The case is refused by exactly its layer, or read with this result."""
    if case["rejected_by"] is None:
        assert read(case["input"]) == result
    else:
        with pytest.raises(KeysError) as refusal:
            read(case["input"])
        assert type(refusal.value) is REFUSALS[case["rejected_by"]]


# Vectors


@pytest.mark.parametrize("kind", KINDS)
def test_generator_reproduces_the_vectors(kind: str) -> None:
    assert REFERENCE["build"](kind) == (VECTORS_DIR / f"{kind}.json").read_text(encoding="utf-8")


@cases("vkey")
def test_vkey_vector(case: dict[str, Any]) -> None:
    expect(case, lambda text: VerifierKey.parse(text).format(), case["input"])


@cases("note")
def test_note_vector(case: dict[str, Any]) -> None:
    keys = [VerifierKey.parse(key) for key in case.get("keys", [REFERENCE["PETER"]])]
    expect(case, lambda note: open_note(note, keys), case.get("text", ""))
    if "signed_by" in case:
        signer = Signer("PeterNeumann", bytes.fromhex(case["signed_by"]))
        assert sign(case["text"], [signer]) == case["input"]


@cases("checkpoint")
def test_checkpoint_vector(case: dict[str, Any]) -> None:
    expect(case, lambda text: Checkpoint.parse(text).format(), case["input"])


@cases("proof")
def test_proof_vector(case: dict[str, Any]) -> None:
    expect(case, lambda text: LogProof.parse(text).format(), case["input"])


def test_checkpoint_example_of_c2sp_means_what_it_says() -> None:
    checkpoint = Checkpoint.parse(REFERENCE["SOFA"])
    assert (checkpoint.origin, checkpoint.size) == ("example.com/behind-the-sofa", 20852163)
    assert checkpoint.root.hex().startswith("0ac518")
    assert checkpoint.extensions == ()


def test_proof_example_of_c2sp_means_what_it_says() -> None:
    head = REFERENCE["FANCY_HASHES"]
    signed = sign(REFERENCE["FANCY"], [SIGNER])
    proof = LogProof.parse(f"c2sp.org/tlog-proof@v1\nextra YWdl\nindex 73894\n{head}\n{signed}")
    assert (proof.index, len(proof.hashes), proof.extra) == (73894, 5, b"age")
    assert proof.hashes[0].hex().startswith("8122b2")
    assert Checkpoint.parse(open_note(proof.checkpoint_note, [PETER])).size == 109482


# Bending a key or a note


def test_no_part_of_a_vkey_is_a_vkey_and_no_character_may_change() -> None:
    vkey: str = REFERENCE["PETER"]
    parts = {vkey[i:j] for i in range(len(vkey)) for j in range(i + 1, len(vkey) + 1)} - {vkey}
    changed = {
        vkey[:i] + c + vkey[i + 1 :]
        for i, old in enumerate(vkey)
        for c in string.printable
        if c != old
    }
    for wrong in parts | changed:
        with pytest.raises(Malformed):
            VerifierKey.parse(wrong)


def test_every_flipped_bit_of_a_note_is_refused() -> None:
    raw = NOTE.encode()
    for position in range(8 * len(raw)):
        flipped = bytearray(raw)
        flipped[position // 8] ^= 1 << position % 8
        with pytest.raises((Malformed, Tampered, UnicodeDecodeError)):
            open_note(flipped.decode(), [PETER])


@given(st.data())
def test_every_edit_of_a_note_is_refused_or_leaves_the_text(data: st.DataObject) -> None:
    """Only what the format ignores, a signature line of an unknown key, can be added."""
    edited = data.draw(edits(NOTE + REFERENCE["ENOCH_LINE"]))
    try:
        text = open_note(edited, [PETER])
    except (Malformed, Tampered):
        return
    assert text == TEXT


def test_every_flipped_bit_of_a_signed_checkpoint_inside_a_proof_is_refused() -> None:
    proof, leaf = real_proof()
    raw = proof.format().encode()
    start = raw.index(b"\n", raw.index(b"index")) + 1  # the extra data is not authenticated
    for position in range(8 * start, 8 * len(raw)):
        flipped = bytearray(raw)
        flipped[position // 8] ^= 1 << position % 8
        with pytest.raises((Malformed, Tampered, UnicodeDecodeError)):
            check(LogProof.parse(flipped.decode()), leaf)


def test_a_proof_binds_leaf_index_and_checkpoint() -> None:
    proof, leaf = real_proof()
    check(proof, leaf)
    with pytest.raises(Tampered):
        check(proof, leaf_hash(b"another entry"))
    for index in {*range(20)} - {proof.index}:
        with pytest.raises(Tampered):
            check(LogProof(index, proof.hashes, proof.checkpoint_note), leaf)


def real_proof() -> tuple[LogProof, Hash]:
    stored: list[Hash] = []
    leaves = [leaf_hash(b"entry %d" % i) for i in range(11)]
    for n, leaf in enumerate(leaves):
        stored += stored_hashes(n, leaf, stored.__getitem__)
    checkpoint = Checkpoint("example.com/log", 11, tree_root(11, stored.__getitem__))
    hashes = tuple(inclusion_proof(6, 11, stored.__getitem__))
    note = sign(checkpoint.format(), [SIGNER])
    return LogProof(6, hashes, note, b"not authenticated"), leaves[6]


def check(proof: LogProof, leaf: Hash) -> None:
    head = Checkpoint.parse(open_note(proof.checkpoint_note, [PETER]))
    verify_inclusion(leaf, proof.index, head.size, proof.hashes, head.root)


# Properties


HASHES = st.binary(min_size=32, max_size=32).map(Hash)
TEXTS = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc"]) | st.just("\n"), max_size=60
).map(lambda text: text + "\n")
LINES = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1, max_size=20)
NAMES = st.text(string.ascii_letters + ".-/äß漢", min_size=1, max_size=20)
SIGNERS = st.builds(Signer, NAMES, st.binary(min_size=32, max_size=32).map(bytearray))
CHECKPOINTS = st.builds(
    Checkpoint,
    LINES,
    st.integers(0, MAX_SIZE),
    HASHES,
    st.lists(LINES, max_size=3).map(tuple),
)
PROOFS = st.builds(
    LogProof,
    st.integers(0, MAX_SIZE),
    st.lists(HASHES, max_size=63).map(tuple),
    CHECKPOINTS.map(lambda checkpoint: sign(checkpoint.format(), [SIGNER])),
    st.none() | st.binary(min_size=1, max_size=40),
)


@given(TEXTS, st.lists(SIGNERS, min_size=1, max_size=5))
def test_what_is_signed_opens_under_each_key(text: str, signers: list[Signer]) -> None:
    note = sign(text, signers)
    for signer in signers:
        assert open_note(note, [signer.verifier]) == text
    assert open_note(note, (signer.verifier for signer in signers)) == text
    with pytest.raises(Tampered):
        open_note(note, [ENOCH])


@given(SIGNERS)
def test_keys_round_trip(signer: Signer) -> None:
    assert VerifierKey.parse(signer.verifier.format()) == signer.verifier


@given(CHECKPOINTS)
def test_checkpoints_round_trip(checkpoint: Checkpoint) -> None:
    assert Checkpoint.parse(checkpoint.format()) == checkpoint


@given(PROOFS)
def test_proofs_round_trip(proof: LogProof) -> None:
    assert LogProof.parse(proof.format()) == proof


@pytest.mark.parametrize(
    ("parsed", "example"),
    [
        (VerifierKey, REFERENCE["PETER"]),
        (Checkpoint, REFERENCE["SOFA"] + "an extension\n"),
        (LogProof, real_proof()[0].format()),
    ],
    ids=["vkey", "checkpoint", "proof"],
)
@given(data=st.data())
def test_whatever_parses_formats_back_and_all_else_is_malformed(
    parsed: type[VerifierKey | Checkpoint | LogProof], example: str, data: st.DataObject
) -> None:
    """Edits of a good example, and anything at all: no other exception, no second spelling."""
    text = data.draw(edits(example) | st.text(st.characters()))
    try:
        value = parsed.parse(text)
    except Malformed:
        return
    assert value.format() == text


@st.composite
def edits(draw: st.DrawFn, text: str) -> str:
    """The text with one to three stretches of it replaced, removed, doubled or added."""
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 4)))
        piece = draw(
            st.text(st.sampled_from("\n =+/A09—\t\ud800é") | st.characters(), max_size=3)
            | st.just(text[start:end] * 2)
        )
        text = text[:start] + piece + text[end:]
    return text


# Values that must not exist


@pytest.mark.parametrize(
    "make",
    [
        lambda: sign("no newline", [SIGNER]),
        lambda: sign("", [SIGNER]),
        lambda: sign("a\ttab\n", [SIGNER]),
        lambda: sign("a lone surrogate \ud800\n", [SIGNER]),
        lambda: sign("nobody signs\n", []),
        lambda: sign("too many\n", [SIGNER] * (MAX_SIGNATURES + 1)),
        # Without the check it would be a note of another text: "Text.\n".
        lambda: sign(f"Text.\n\n{REFERENCE['PETER_LINE']}"[:-1], [SIGNER]),
        lambda: Signer("short", bytes(31)),
        lambda: Signer("long", bytearray(33)),
        lambda: Signer("a name", bytes(32)),
        lambda: VerifierKey("short", bytes(31)),
        lambda: VerifierKey("a+name", PETER.public),
        lambda: VerifierKey("surrogate\ud800", PETER.public),
        lambda: Checkpoint("", 0, Hash(bytes(32))),
        lambda: Checkpoint("two\nlines", 0, Hash(bytes(32))),
        lambda: Checkpoint("origin", -1, Hash(bytes(32))),
        lambda: Checkpoint("origin", MAX_SIZE + 1, Hash(bytes(32))),
        lambda: Checkpoint("origin", 0, Hash(bytes(31))),
        lambda: Checkpoint("origin", 0, Hash(bytes(32)), ("",)),
        lambda: Checkpoint("origin", 0, Hash(bytes(32)), ("one\ntwo",)),
        lambda: LogProof(-1, (), NOTE),
        lambda: LogProof(0, (), NOTE),
        lambda: LogProof(0, (), REFERENCE["SOFA"]),
        lambda: LogProof(0, (Hash(bytes(33)),), REFERENCE["SOFA_NOTE"]),
        lambda: LogProof(0, (), REFERENCE["SOFA_NOTE"], b""),
    ],
)
def test_nothing_can_be_made_that_would_not_be_read(make: Callable[[], object]) -> None:
    with pytest.raises(Malformed):
        make()


def test_two_keys_of_one_name_and_id_are_refused() -> None:
    """The id has 32 bits: these two were found by trying 160,000 keys."""
    twins = [
        VerifierKey("twin", sha256(b"anechoic collision %d" % i).digest()) for i in (14223, 161923)
    ]
    assert twins[0].id == twins[1].id
    assert twins[0] != twins[1]
    with pytest.raises(Malformed):
        open_note(NOTE, [PETER, *twins])


def test_a_key_of_small_order_would_sign_anything() -> None:
    """The attack that VerifierKey refuses works on the library below it: a control."""
    identity = b"\x01" + bytes(31)
    forged = identity + bytes(32)
    for text in (b"one", b"another"):
        Ed25519PublicKey.from_public_bytes(identity).verify(forged, text)
    with pytest.raises(Malformed):
        VerifierKey("weak", identity)


def test_refused_points_are_those_whose_order_divides_eight() -> None:
    """Doubled three times each is the identity, and no other point of the curve's is."""
    p = 2**255 - 19
    d = -121665 * pow(121666, -1, p) % p

    def double(y: int) -> int:
        x2 = (y * y - 1) * pow(d * y * y + 1, -1, p) % p
        return (y * y + x2) * pow(1 - d * x2 * y * y, -1, p) % p

    points = {
        int.from_bytes(raw, "little") % 2**255 % p for _, raw in REFERENCE["small_order_points"]()
    }
    assert {double(double(double(y))) for y in points} == {1}
    assert len(points) == 5  # y = 1 and y = -1 are one point each, the other three are two: eight
    assert double(double(double(int.from_bytes(PETER.public, "little") % 2**255))) != 1


# The secret


def test_a_signer_shows_no_secret_and_needs_its_seed_no_longer() -> None:
    seed = bytearray(REFERENCE["PETER_SEED"])
    signer = Signer("PeterNeumann", seed)
    seed[:] = bytes(32)
    assert sign(TEXT, [signer]) == NOTE
    assert "redacted" in repr(signer)
    for secret in (REFERENCE["PETER_SEED"].hex(), str(REFERENCE["PETER_SEED"])):
        assert secret not in repr(signer) + str(signer)
    assert not hasattr(signer, "__dict__")


# Another implementation


def test_notes_and_checkpoints_are_those_of_aics_tlog() -> None:
    """A second implementation of these C2SP formats (Apache-2.0); it needs Python 3.12."""
    aics_tlog = pytest.importorskip("aics_tlog")
    key = aics_tlog.parse_vkey(PETER.format())
    assert aics_tlog.format_vkey(key) == PETER.format()
    checkpoint = Checkpoint("example.com/log", 7, leaf_hash(b""), ("extension",))
    note = sign(checkpoint.format(), [SIGNER])
    theirs = aics_tlog.parse_note(note)
    assert aics_tlog.verify_note(theirs, [key])
    parsed = aics_tlog.parse_checkpoint(theirs.text)
    assert parsed.text() == checkpoint.format()
    assert (parsed.origin, parsed.size, parsed.root) == ("example.com/log", 7, leaf_hash(b""))
