"""keys.cosignature: what C2SP asks, by messages made here from its words, with no code of `keys`.

Published: the example of tlog-cosignature.md (CC BY 4.0), whose keys are not published. The
receipts are of a vault whose log signs with ML-DSA-44 along, and of witnesses who cosigned them.
"""

import json
import struct
from base64 import b64decode, b64encode
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey, MLDSA44PublicKey

from keys import confirmation
from keys.attested import Attested, Trust
from keys.cosignature import ED25519, ML_DSA_44, Cosigner, CosignerKey, times
from keys.errors import KeysError, Malformed, Tampered
from keys.log import second_signer_of, signer_of
from keys.merkle import Hash
from keys.model import VaultId
from keys.note import Checkpoint, LogProof, VerifierKey, open_note, sign, split_note
from keys.receipt import parse_receipt, verify
from keys.verify import main
from pipeline import logkey
from pipeline.audit import audit
from pipeline.erase import Erasure
from pipeline.session import acting
from pipeline.vault import Vault
from tests.household import clock, forget, make, say
from tests.test_pending import Stick

SEED, NAME, NOW = bytes(range(32)), "witness.example/w1", 1_679_315_147
HEAD = Checkpoint("example.com/log", 7, Hash(bytes(range(32))))
TEXT = HEAD.format()
LOG_SIGNER = signer_of(VaultId(bytes(16)), bytearray(32))


def public(kind: int, seed: bytes = SEED) -> bytes:
    if kind == ED25519:
        return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    return MLDSA44PrivateKey.from_seed_bytes(seed).public_key().public_bytes_raw()


def message(kind: int, text: str, time: int, name: str = NAME) -> bytes:
    """The signed message in the words of tlog-cosignature.md."""
    if kind == ED25519:
        return b"cosignature/v1\ntime " + str(time).encode() + b"\n" + text.encode()
    origin, size, root = text.splitlines()[:3]
    names = [bytes([len(it)]) + it.encode() for it in (name, origin)]
    where = struct.pack(">QQ", 0, int(size)) + b64decode(root)
    return b"subtree/v1\n\x00" + names[0] + struct.pack(">Q", time) + names[1] + where


def line(
    kind: int, text: str = TEXT, time: int = NOW, *, seed: bytes = SEED, signed: str | None = None
) -> str:
    """A witness's signature line; `signed` is the text that it signs, if it is another."""
    to_sign = message(kind, signed or text, time)
    if kind == ED25519:
        proof = Ed25519PrivateKey.from_private_bytes(seed).sign(to_sign)
    else:
        proof = MLDSA44PrivateKey.from_seed_bytes(seed).sign(to_sign)
    key_id = sha256(NAME.encode() + b"\n" + bytes([kind]) + public(kind)).digest()[:4]
    blob = key_id + struct.pack(">Q", time) + proof
    return f"— {NAME} {b64encode(blob).decode()}\n"


KEYS = {kind: CosignerKey(NAME, kind, public(kind)) for kind in (ED25519, ML_DSA_44)}
kinds = pytest.mark.parametrize("kind", [ED25519, ML_DSA_44], ids=["Ed25519", "ML-DSA-44"])


# Keys and signatures by themselves


@kinds
def test_what_another_signs_by_the_words_of_c2sp_holds(kind: int) -> None:
    note = sign(TEXT, [LOG_SIGNER]) + line(kind)
    assert times(note, KEYS[kind]) == [NOW]
    assert open_note(note, [KEYS[kind]]) == TEXT
    assert times(note, CosignerKey("another", kind, public(kind))) == []


def test_what_is_signed_here_holds_by_the_words_of_c2sp() -> None:
    signer = Cosigner(NAME, SEED, lambda: NOW)
    ((_, blob),) = split_note(sign(TEXT, [signer]))[1]
    assert blob[:4] == KEYS[ML_DSA_44].id
    assert blob[4:12] == struct.pack(">Q", NOW)
    signed = message(ML_DSA_44, TEXT, NOW)
    MLDSA44PublicKey.from_public_bytes(public(ML_DSA_44)).verify(blob[12:], signed)
    assert "redacted" in repr(signer)
    assert SEED.hex() not in repr(signer)


@kinds
def test_a_key_comes_back_from_its_text(kind: int) -> None:
    key = KEYS[kind]
    assert CosignerKey.parse(key.format()) == key
    blob = bytes([kind]) + public(kind)
    assert key.format() == f"{NAME}+{key.id.hex()}+{b64encode(blob).decode()}"
    name, key_id, rest = key.format().split("+", 2)
    bad = [
        f"{name}+00000000+{rest}",
        f"other+{key_id}+{rest}",
        f"{name}+{key_id}",
        f"{name}+{key_id}+{b64encode(blob[:-1]).decode()}",
        f"{name}+{key_id}+{b64encode(bytes([kind ^ 2]) + blob[1:]).decode()}",
        f"a b+{key_id}+{rest}",
        f"\udcca+{key_id}+{rest}",
        f"{'a' * 256}+{key_id}+{rest}",
    ]
    for text in bad:
        with pytest.raises(Malformed):
            CosignerKey.parse(text)


def test_the_key_of_a_witness_is_no_point_of_small_order() -> None:
    with pytest.raises(Malformed, match="small order"):
        CosignerKey(NAME, ED25519, (1).to_bytes(32, "little"))


def test_the_example_of_c2sp_is_read_and_its_unknown_keys_are_ignored() -> None:
    note = (
        "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n"
        "— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhc"
        "yv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n"
        "— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX"
        "3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n"
    )
    assert times(note, KEYS[ED25519]) == []
    (_, blob) = split_note(note)[1][1]
    assert struct.unpack(">Q", blob[4:12]) == (NOW,)
    assert len(blob) == 4 + 8 + 64


@kinds
def test_no_byte_of_a_cosignature_can_be_changed(kind: int) -> None:
    note = sign(TEXT, [LOG_SIGNER])
    ((_, blob),) = split_note(note.partition("\n\n")[0] + "\n\n" + line(kind))[1]
    step = 1 if kind == ED25519 else 7
    for at in range(4, len(blob), step):
        bent = blob[:at] + bytes([blob[at] ^ 1]) + blob[at + 1 :]
        with pytest.raises(Tampered):
            times(note + f"— {NAME} {b64encode(bent).decode()}\n", KEYS[kind])
    for cut in (4, 11, 12, len(blob) - 1):
        with pytest.raises(Tampered):
            KEYS[kind].verify(TEXT, blob[4:][: cut - 4])


@kinds
def test_a_cosignature_of_something_else_does_not_hold(kind: int) -> None:
    others = [
        Checkpoint("example.com/log", 8, HEAD.root).format(),
        Checkpoint("example.com/other", 7, HEAD.root).format(),
        Checkpoint("example.com/log", 7, Hash(bytes(32))).format(),
    ]
    for other in others:
        with pytest.raises(Tampered, match="does not hold"):
            times(sign(TEXT, [LOG_SIGNER]) + line(kind, signed=other), KEYS[kind])
    with pytest.raises(Tampered, match="does not hold"):
        times(sign(TEXT, [LOG_SIGNER]) + line(kind, seed=bytes(32)), KEYS[kind])
    with pytest.raises(Tampered, match="9999"):
        times(sign(TEXT, [LOG_SIGNER]) + line(kind, time=2**62), KEYS[kind])


def test_ml_dsa_does_not_sign_extension_lines_and_does_not_count_with_them() -> None:
    text = Checkpoint(HEAD.origin, HEAD.size, HEAD.root, ("a line more",)).format()
    note = sign(text, [LOG_SIGNER])
    with pytest.raises(Tampered, match="extension"):
        times(note + line(ML_DSA_44, text), KEYS[ML_DSA_44])
    assert times(note + line(ED25519, text), KEYS[ED25519]) == [NOW]


# A log with a second key


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    vault = make(tmp_path)
    with acting(vault, clock):
        logkey.rotate(vault, ml_dsa=True)
    return vault


@pytest.fixture
def done(vault: Vault) -> Erasure:
    return forget(vault, *say(vault, "said once"))


def keys_of(vault: Vault) -> tuple[VerifierKey, CosignerKey]:
    with acting(vault, clock):
        second = logkey.second_signer(vault)
        assert second
        return logkey.signer(vault).verifier, second.verifier


def without_second(data: bytes) -> bytes:
    receipt = parse_receipt(data)
    lines = receipt.proof.checkpoint_note.splitlines(keepends=True)
    assert len(lines[-1]) > 3000
    return with_note(data, "".join(lines[:-1]))


def with_note(data: bytes, note: str) -> bytes:
    parts = Attested.parse(data, "receipt")
    proof = LogProof(parts.proof.index, parts.proof.hashes, note)
    return Attested(parts.statement, proof).encode()


def test_a_receipt_holds_under_either_key_and_under_both(vault: Vault, done: Erasure) -> None:
    data, (first, second) = done.receipt.read_bytes(), keys_of(vault)
    for trust in (Trust((first,)), Trust(seconds=(second,)), Trust((first,), seconds=(second,))):
        found = verify(data, trust)
        assert [it.key for it in found.cosignatures] == list(trust.seconds)
        assert all(it.when == "at no stated time" for it in found.cosignatures)
    with acting(vault, clock):
        assert audit(vault).problems == []
    size = len(data) - len(without_second(data))
    print(f"receipt {len(data)} bytes, {size} of them the second signature")
    assert 3_200 < size < 3_400


def test_whoever_asks_for_the_second_signature_gets_no_receipt_without_it(
    vault: Vault, done: Erasure
) -> None:
    """The control: to strip it is noticed by whoever asks for it, and by nobody else."""
    first, second = keys_of(vault)
    stripped = without_second(done.receipt.read_bytes())
    verify(stripped, Trust((first,)))
    for keys in ((first,), ()):
        with pytest.raises(Tampered, match="no signature of the second key"):
            verify(stripped, Trust(keys, seconds=(second,)))
    other = second_signer_of(vault.id, bytearray(32), 1).verifier
    with pytest.raises(Tampered, match="no signature of the second key"):
        verify(done.receipt.read_bytes(), Trust((first,), seconds=(other,)))


def test_the_second_key_of_another_log_vouches_for_nothing(
    vault: Vault, done: Erasure, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Given alone, it must not let the receipts of other logs pass as if it had signed them."""
    second, other = keys_of(vault)[1], make(tmp_path / "other")
    with acting(other, clock):
        logkey.rotate(other, ml_dsa=True)
    foreign = forget(other, *say(other, "said elsewhere"))
    assert main([str(foreign.receipt), "--log-key", second.format()]) == 5
    assert "bears no signature of the second key" in capsys.readouterr().out
    assert main([str(done.receipt), "--log-key", second.format()]) == 0
    out = capsys.readouterr().out
    assert "(not given; the second key that was given has to have signed along)" in out
    assert "(given by you)" not in out


def test_a_second_signature_of_another_checkpoint_is_refused(vault: Vault, done: Erasure) -> None:
    first, second = keys_of(vault)
    other = forget(vault, *say(vault, "said later"))
    notes = [parse_receipt(it.receipt.read_bytes()).proof.checkpoint_note for it in (done, other)]
    lines = [note.splitlines(keepends=True) for note in notes]
    swapped = with_note(done.receipt.read_bytes(), "".join([*lines[0][:-1], lines[1][-1]]))
    verify(swapped, Trust((first,)))
    with pytest.raises(Tampered, match="does not hold"):
        verify(swapped, Trust((first,), seconds=(second,)))


def test_it_ends_with_a_change_of_key_without_it(vault: Vault) -> None:
    second = keys_of(vault)[1]
    with acting(vault, clock):
        logkey.rotate(vault)
        assert logkey.second_signer(vault) is None
    done = forget(vault, *say(vault, "said later"))
    data = done.receipt.read_bytes()
    verify(data)
    with pytest.raises(Tampered):
        verify(data, Trust(seconds=(second,)))
    with acting(vault, clock):
        logkey.rotate(vault, ml_dsa=True)
        again = logkey.second_signer(vault)
        assert again
        assert again.verifier != second


def test_a_confirmation_bears_it_too(tmp_path: Path) -> None:
    stick = Stick(tmp_path)
    with acting(stick.vault(), clock):
        pass
    vault = stick.vault()
    with acting(vault, clock):
        logkey.rotate(vault, ml_dsa=True)
    _, second = keys_of(vault)
    stick.pull_out()
    done = forget(stick.vault(), stick.dead)
    stick.put_in()
    with acting(stick.vault(), clock):
        pass
    data = done.receipt.with_suffix(".confirmed").read_bytes()
    confirmation.verify(data, Trust(seconds=(second,)))
    with pytest.raises(Tampered):
        confirmation.verify(without_second_of(data), Trust(seconds=(second,)))


def without_second_of(data: bytes) -> bytes:
    parts = Attested.parse(data, "confirmation")
    lines = parts.proof.checkpoint_note.splitlines(keepends=True)
    return with_note(data, "".join(lines[:-1]))


# Witnesses, and the command


@kinds
def test_a_witness_is_shown_and_asked_for(
    vault: Vault, done: Erasure, capsys: pytest.CaptureFixture[str], *, kind: int
) -> None:
    first, second = keys_of(vault)
    note = parse_receipt(done.receipt.read_bytes()).proof.checkpoint_note
    text = split_note(note)[0]
    path = done.receipt.with_name("witnessed.receipt")
    path.write_bytes(with_note(done.receipt.read_bytes(), note + line(kind, text)))
    witness = KEYS[kind].format()
    command = ["--log-key", first.format(), "--log-key", second.format(), "--witness", witness]
    assert main([str(path), *command, "--explain"]) == 0
    out = capsys.readouterr().out
    assert f"  cosigned  by {KEYS[kind]}, 2023-03-20T12:25:47Z" in out
    assert f"  cosigned  by {second}, at no stated time" in out
    assert "step 4    second signature" in out
    assert "step 5    witnesses" in out
    assert "the log named this key at entry 1" in out
    assert main([str(path)]) == 0
    assert "cosigned" not in capsys.readouterr().out
    assert main([str(path), *command, "--json"]) == 0
    row = json.loads(capsys.readouterr().out)["receipts"][0]
    assert [it["time"] for it in row["cosignatures"]] == [
        "at no stated time",
        "2023-03-20T12:25:47Z",
    ]
    assert main([str(done.receipt), *command]) == 5
    assert "is not cosigned by witness.example/w1" in capsys.readouterr().out


def test_a_key_of_a_wrong_type_is_a_usage_error(vault: Vault, done: Erasure) -> None:
    first, second = keys_of(vault)
    wrong = [("--witness", first.format()), ("--log-key", KEYS[ED25519].format())]
    for name, value in [*wrong, ("--witness", second.format()[:-4])]:
        with pytest.raises(SystemExit) as exit_:
            main([str(done.receipt), name, value])
        assert exit_.value.code == 2


def test_every_refusal_here_is_one_of_ours(vault: Vault, done: Erasure) -> None:
    """Any bytes for a signature: Malformed or Tampered, and never an error of a library."""
    _, second = keys_of(vault)
    note = parse_receipt(done.receipt.read_bytes()).proof.checkpoint_note
    for size in (1, 7, 8, 9, 100, 2427, 2429):
        blob = b64encode(second.id + bytes(size)).decode()
        with pytest.raises(KeysError):
            times(note + f"— {second.name} {blob}\n", second)
