"""Time stamps of RFC 3161, and cosignatures that come back in a file.

The authorities are made here with `openssl ts`, which shares no code with what is tested.
"""

import shutil
import subprocess
from base64 import b64encode
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pytest

from keys import stamp
from keys.attested import Attested, Trust
from keys.cosignature import ED25519
from keys.errors import KeysError, Malformed, Tampered
from keys.note import split_note
from keys.outcome import trust_in
from keys.receipt import verify
from keys.stamp import Authority, lines_in, request_of, with_lines
from keys.verify import main
from pipeline import stamping
from pipeline.audit import audit
from pipeline.session import acting
from tests.commandline import Shell
from tests.household import clock, forget, make, reopen, say
from tests.test_cosignature import KEYS, NAME, line

CONFIG = """
[tsa]
default_tsa = it
[it]
serial = {home}/serial
crypto_device = builtin
signer_cert = {home}/tsa.pem
certs = {home}/tsa.pem
signer_key = {home}/tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256, sha512
accuracy = secs:1
[ext]
basicConstraints = CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = {usage}
"""


def openssl(*words: str | Path) -> None:
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)


@dataclass(frozen=True, slots=True)
class Stamper:
    """A time stamp authority of openssl's, with a root of its own."""

    home: Path

    @classmethod
    def make(cls, home: Path, usage: str = "critical,timeStamping") -> "Stamper":
        home.mkdir()
        (home / "conf").write_text(CONFIG.format(home=home, usage=usage))
        (home / "serial").write_text("01")
        new = "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"
        ca = (
            "-keyout",
            home / "ca.key",
            "-out",
            home / "ca.pem",
            "-subj",
            f"/CN=root of {home.name}",
        )
        openssl("req", "-x509", *new, *ca, "-days", "3650")
        name = "-subj", f"/CN=stamps of {home.name}"
        openssl("req", *new, "-keyout", home / "tsa.key", "-out", home / "tsa.csr", *name)
        root = "-CA", home / "ca.pem", "-CAkey", home / "ca.key", "-CAcreateserial"
        ext = "-extfile", home / "conf", "-extensions", "ext", "-days", "3650"
        openssl("x509", "-req", "-in", home / "tsa.csr", *root, *ext, "-out", home / "tsa.pem")
        return cls(home)

    @property
    def root(self) -> Path:
        return self.home / "ca.pem"

    def answer(self, request: bytes) -> bytes:
        (self.home / "tsq").write_bytes(request)
        way = "-queryfile", self.home / "tsq", "-out", self.home / "tsr"
        openssl("ts", "-reply", "-config", self.home / "conf", *way)
        return (self.home / "tsr").read_bytes()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("authorities")


@pytest.fixture(scope="module")
def stamper(home: Path) -> Stamper:
    if shutil.which("openssl") is None:
        pytest.skip("openssl makes the authority")
    return Stamper.make(home / "good")


@pytest.fixture(scope="module")
def receipt(home: Path) -> Path:
    vault = make(home)
    return forget(vault, *say(vault, "said once")).receipt


@pytest.fixture
def mine(receipt: Path, tmp_path: Path) -> Path:
    """A copy of the receipt to be stamped."""
    return Path(shutil.copy(receipt, tmp_path / "mine.receipt"))


def text_of(path: Path) -> str:
    return split_note(Attested.parse(path.read_bytes(), "receipt").proof.checkpoint_note)[0]


def stamped(path: Path, stamper: Stamper) -> Path:
    answer = path.with_suffix(".tsr")
    answer.write_bytes(stamper.answer(request_of(text_of(path))))
    assert stamping.attach(path, [answer], Trust()) == 1
    return path


def trusted(*authorities: Stamper) -> Trust:
    return trust_in([], [], [it.root for it in authorities])


def test_the_request_is_what_openssl_makes_of_it(mine: Path, tmp_path: Path) -> None:
    text = text_of(mine)
    checkpoint, request = stamping.request(mine, tmp_path)
    assert split_note(checkpoint.read_text())[0] == text
    words = ["openssl", "ts", "-query", "-in", str(request), "-text"]
    told = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    rows = [row.partition(" - ")[2][:47] for row in told.splitlines() if " - " in row]
    assert "Hash Algorithm: sha256" in told
    assert bytes.fromhex("".join(rows).replace("-", " ")) == sha256(text.encode()).digest()


def test_a_receipt_with_a_stamp_verifies_and_tells_the_time(mine: Path, stamper: Stamper) -> None:
    before = verify(mine.read_bytes())
    with pytest.raises(Tampered, match="bears no time stamp"):
        verify(mine.read_bytes(), trusted(stamper))
    stamped(mine, stamper)
    found = verify(mine.read_bytes(), trusted(stamper))
    assert (found.statement, found.checkpoint) == (before.statement, before.checkpoint)
    (one,) = found.cosignatures
    assert str(one.key) == "CN=root of good (RFC 3161)"
    assert abs(one.seconds - (stamper.home / "tsr").stat().st_mtime) < 5
    assert verify(mine.read_bytes()).statement == before.statement, "for who does not ask"


def test_it_counts_by_the_certificates_that_are_named_alone(
    mine: Path, stamper: Stamper, home: Path
) -> None:
    other = Stamper.make(home / "other")
    stamped(mine, stamper)
    with pytest.raises(Tampered, match="no time stamp of CN=root of other"):
        verify(mine.read_bytes(), trusted(other))
    with pytest.raises(Tampered, match="other"):
        verify(mine.read_bytes(), trusted(stamper, other))
    stamped(mine, other)
    assert len(verify(mine.read_bytes(), trusted(stamper, other)).cosignatures) == 2


def test_a_certificate_without_the_root_above_it_is_not_enough(
    mine: Path, stamper: Stamper
) -> None:
    stamped(mine, stamper)
    leaf = Authority.parse((stamper.home / "tsa.pem").read_bytes())
    with pytest.raises(Tampered, match="stamps of good"):
        verify(mine.read_bytes(), Trust(authorities=(leaf,)))


def test_a_stamp_of_something_else_is_not_added(
    mine: Path, stamper: Stamper, tmp_path: Path
) -> None:
    answer, before = tmp_path / "answer", mine.read_bytes()
    answer.write_bytes(stamper.answer(request_of("another text\n")))
    with pytest.raises(Tampered, match="something else"):
        stamping.attach(mine, [answer], Trust())
    query = tmp_path / "query"
    openssl(
        "ts", "-query", "-data", write(tmp_path / "text", text_of(mine)), "-sha512", "-out", query
    )
    answer.write_bytes(stamper.answer(query.read_bytes()))
    with pytest.raises(Tampered, match="SHA-256"):
        stamping.attach(mine, [answer], Trust())
    assert mine.read_bytes() == before


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_what_is_put_under_another_checkpoint_by_hand_does_not_count(
    mine: Path, stamper: Stamper
) -> None:
    """The control of the one above: without its check, the verifier still refuses."""
    it = Attested.parse(mine.read_bytes(), "receipt")
    foreign = stamper.answer(request_of("another text\n"))
    forged = with_lines(it.proof, lines_in("another text\n", foreign))
    data = Attested(it.statement, forged).encode()
    verify(data)
    with pytest.raises(Tampered, match="something else"):
        verify(data, trusted(stamper))


def test_no_byte_of_a_stamp_can_be_changed(mine: Path, stamper: Stamper) -> None:
    text = text_of(mine)
    answer = stamper.answer(request_of(text))
    authority = Authority.parse(stamper.root.read_bytes())
    note = Attested.parse(mine.read_bytes(), "receipt").proof.checkpoint_note

    def times(data: bytes) -> list[int]:
        blob = stamp.KEY_ID + data
        return authority.times(note + f"— {stamp.NAME} {b64encode(blob).decode()}\n")

    assert len(times(answer)) == 1
    taken = 0
    for at in range(0, len(answer), 11):
        bent = answer[:at] + bytes([answer[at] ^ 0x41]) + answer[at + 1 :]
        try:
            taken += times(bent) != times(answer)
        except KeysError:
            continue
    assert not taken, "no change gives another time"
    for end in range(0, len(answer), 97):
        with pytest.raises(KeysError):
            times(answer[:end])
    with pytest.raises(KeysError):
        times(answer + b"\0")


@pytest.mark.parametrize(
    "data", [b"", b"0", b"0\x82", b"\xff\xfe", b"hello", b"\xe2\x80\x94 a b\n"]
)
def test_what_is_neither_is_malformed(data: bytes, mine: Path) -> None:
    with pytest.raises((Malformed, Tampered)):
        lines_in(text_of(mine), data)


def test_without_the_extra_it_says_what_to_install(
    mine: Path, stamper: Stamper, monkeypatch: pytest.MonkeyPatch
) -> None:
    stamped(mine, stamper)
    monkeypatch.setitem(__import__("sys").modules, "rfc3161_client", None)
    verify(mine.read_bytes())  # who does not ask needs nothing
    with pytest.raises(KeysError, match=r"anechoic\[timestamps\]"):
        verify(mine.read_bytes(), trusted(stamper))


# Witnesses, by the same way


def test_a_cosignature_that_comes_back_is_added(mine: Path, tmp_path: Path) -> None:
    text, key = text_of(mine), KEYS[ED25519]
    trust = Trust(witnesses=(key,))
    back = write(tmp_path / "back", line(ED25519, text))
    assert stamping.attach(mine, [back], trust) == 1
    assert stamping.attach(mine, [back], trust) == 0, "each line once"
    assert verify(mine.read_bytes(), trust).cosignatures[0].key == key
    whole = write(tmp_path / "whole", text + "\n" + line(ED25519, text, 5))
    assert stamping.attach(mine, [whole], trust) == 1


def test_a_cosignature_of_something_else_is_refused(mine: Path, tmp_path: Path) -> None:
    text, key, before = text_of(mine), KEYS[ED25519], mine.read_bytes()
    trust = Trust(witnesses=(key,))
    other = text.replace("anechoic/", "anechoic/0")
    with pytest.raises(Tampered, match="another checkpoint"):
        stamping.attach(mine, [write(tmp_path / "a", other + "\n" + line(ED25519, other))], trust)
    with pytest.raises(Tampered, match="does not hold"):
        stamping.attach(mine, [write(tmp_path / "b", line(ED25519, text, signed=other))], trust)
    stranger = line(ED25519, text).replace(NAME, "somebody.else")
    with pytest.raises(Tampered, match="not of"):
        stamping.attach(mine, [write(tmp_path / "c", stranger)], trust)
    assert mine.read_bytes() == before


# The doors


def test_the_command_asks_attaches_and_verifies(tmp_path: Path, stamper: Stamper) -> None:
    shell = Shell(tmp_path / "home")
    shell.home.mkdir()
    (one,) = shell.say("said once")
    receipt = shell.json("forget", one, "--yes")["receipt"]
    _, request = shell.json("stamp", receipt, "--to", str(tmp_path))["files"]
    answer = tmp_path / "answer"
    answer.write_bytes(stamper.answer(Path(request).read_bytes()))
    assert shell("verify", receipt, "--tsa", str(stamper.root)).code == 5
    done = shell("stamp", receipt, "--attach", str(answer), "--tsa", str(stamper.root))
    assert done.code == 0
    document = shell.json("verify", receipt, "--tsa", str(stamper.root))
    (row,) = document["receipts"][0]["cosignatures"]
    assert row["key"] == "CN=root of good (RFC 3161)"
    explained = " ".join(
        shell("verify", receipt, "--tsa", str(stamper.root), "--explain").out.split()
    )
    assert "time stamps" in explained
    assert shell("audit").code == 0
    assert main([receipt, "--tsa", str(stamper.root), "--json"]) == 0
    assert main([receipt, "--tsa", receipt]) == 5


def test_a_stamped_receipt_is_as_good_for_the_audit(
    home: Path, receipt: Path, stamper: Stamper
) -> None:
    kept = receipt.read_bytes()
    elsewhere = Path(shutil.copy(receipt, stamper.home / "copy.receipt"))
    receipt.write_bytes(stamped(elsewhere, stamper).read_bytes())
    with acting(vault := reopen(home), clock):
        assert audit(vault).problems == []
    receipt.write_bytes(kept)
