"""keys/SPEC.md is true: its worked example is what the code writes, and what the code cites exists.

The example is made with the randomness replaced by the fixed bytes that the document names, through
the same functions that write a vault. A change of any format shows here, and is a change there.
"""

import hmac
import json
import re
import secrets
import struct
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

import keys.pages
import keys.ring
import keys.root
from keys import confirmation, handover
from keys.anchor.file import FileAnchor
from keys.confirmation import Confirmation, encode_confirmation
from keys.durable import RealDisk
from keys.entry import ConfirmedEntry, Created, ErasedEntry, SealedEntry
from keys.errors import Erased
from keys.live import Change, root
from keys.livetree import LiveTree
from keys.log import Log, signer_of
from keys.model import ArtefactId, Commitment, Epoch, InteractionId, Label, PlanId, Slot, VaultId
from keys.note import Signer
from keys.pages import seal_page
from keys.pagetable import PageRef
from keys.receipt import (
    PENDING,
    AnchorLevel,
    Check,
    DeadArtefact,
    DeadInteraction,
    DeadSlot,
    Receipt,
    Statement,
    verify,
)
from keys.recovery import RecoveryHead
from keys.recovery import parse_head as parse_recovery
from keys.ring import Ring
from keys.root import Roots
from keys.sealed import HEADER_SIZE, Header, Opener, _Stream, parse_header, seal
from keys.secret import Secret, commitment, derive
from keys.segments import SegmentWriter, Series

ROOT = Path(__file__).parent.parent
SPEC = (ROOT / "keys" / "SPEC.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(hex|text) ([a-z0-9-]+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def span(first: int, size: int) -> bytes:
    return bytes(range(first, first + size))


VAULT, INTERACTION, ARTEFACT = (
    VaultId(span(0x00, 16)),
    InteractionId(span(0x10, 16)),
    ArtefactId(span(0x20, 16)),
)
PLAN = PlanId(span(0x30, 16))
SLOT_KEY, SALT = bytearray(span(0x40, 32)), span(0x60, 24)
SIGNER_SEED = span(0x80, 32)
ROOT_1, SHARE_1 = span(0xA0, 32), span(0xC0, 32)
NONCE = span(0xE0, 12)
PAGE_KEY = span(0x70, 32)
RECOVERY = RecoveryHead(VAULT, Epoch(1), span(0xF0, 4), span(0x60, 16), has_passphrase=False)
LABEL = Label(VAULT, INTERACTION, ARTEFACT, "transcript", Slot(0))


class Fixed:
    """Stands for the operating system's randomness: each piece once, in the order of the draws."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = iter(pieces)

    def secret(self, size: int = 32) -> Secret:
        piece = next(self._pieces)
        assert len(piece) == size
        return Secret(piece)

    def fill(self, view: memoryview) -> None:
        view[:] = self.secret(len(view))


def example(folder: Path) -> dict[str, bytes]:
    """Every block of the worked example by its name."""
    header, file = seal(SLOT_KEY, LABEL, SALT, b"hello", lambda size: size, 14)
    return {
        **sealed_blocks(header, file),
        **ring_blocks(folder),
        **log_blocks(folder, header),
        **segment_blocks(folder),
        "recovery-copy": RECOVERY.seal(Secret(ROOT_1), None),
    }


def segment_blocks(folder: Path) -> dict[str, bytes]:
    """A series of one segment with its end mark."""
    (folder / "capture").mkdir()
    series = Series(VAULT, INTERACTION, ArtefactId(span(0x50, 16)), Slot(0))
    salts = iter([SALT, span(0x78, 24)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(secrets, "token_bytes", lambda _: next(salts))
        writer = SegmentWriter(RealDisk(), folder / "capture", lambda: Secret(SLOT_KEY), series)
        writer.write(b"hello")
        writer.close()
    files = sorted((folder / "capture").iterdir(), key=lambda it: it.name, reverse=True)
    part, end = (path.read_bytes() for path in files)
    return {
        "segment-names": b"".join(path.name.encode() + b"\n" for path in files),
        "segment-header": part[:HEADER_SIZE],
        "segment-hash": sha256(part).digest(),
        "segment-end-header": end[:HEADER_SIZE],
        "segment-end-hash": sha256(end).digest(),
    }


def sealed_blocks(header: Header, file: bytes) -> dict[str, bytes]:
    info = Header(LABEL, 14, bytes(24), bytes(32)).encode()
    stream = _Stream(SLOT_KEY, LABEL, 14, SALT)
    parts = bytes(stream.file_key), stream.nonce(0, last=True)[:7], stream.commitment
    assert bytes(derive(SLOT_KEY, SALT, info, 71)) == b"".join(parts)
    return {
        "seal-info": info,
        "seal-file-key": bytes(stream.file_key),
        "seal-nonce": stream.nonce(0, last=True),
        "seal-commitment": stream.commitment,
        "seal-header": header.encode(),
        "seal-header-hash": header.hash,
        "seal-file": file,
        "slot-commitment": commitment(SLOT_KEY),
    }


def ring_blocks(folder: Path) -> dict[str, bytes]:
    disk, fixed = RealDisk(), Fixed(ROOT_1, SHARE_1, SIGNER_SEED, bytes(SLOT_KEY), NONCE)
    anchor = FileAnchor(disk, folder / "anchors" / "share", VAULT)
    ring = Ring(disk, folder / "ring", Roots(VAULT, [[anchor]]))
    with pytest.MonkeyPatch.context() as patch:
        # Draws come in this order: root and share, the log's seed, the slot's key, a nonce.
        patch.setattr(keys.root, "random_secret", fixed.secret)
        patch.setattr(keys.ring, "random_secret", fixed.secret)
        patch.setattr(keys.ring, "fill_random", fixed.fill)
        patch.setattr(keys.pages, "fill_random", fixed.fill)
        ring.create()
        assert ring.allocate(1) == [0]
    state = (folder / "ring" / f"state-{1:020}").read_bytes()
    head = 16 + 16 + 8 + 2 + 1 + 4 + 1 + 48
    top = head + 4 + int.from_bytes(state[head : head + 4])
    page = Secret(32 * 1024)
    page[:32] = SLOT_KEY
    sealed_page = seal_page(page, PageRef(0, Secret(PAGE_KEY)), VAULT, 0)
    return {
        "state-head": state[:head],
        "state-top": state[head:top],
        "state-journal": state[top:],
        "page-hash": sha256(sealed_page).digest(),
        "anchor-place": (folder / "anchors" / "share").read_bytes()[:104],
    }


def log_blocks(folder: Path, header: Header) -> dict[str, bytes]:
    signer = signer_of(VAULT, bytearray(SIGNER_SEED))
    log = Log(RealDisk(), folder / "log", VAULT)
    log.create()
    created = Created(INTERACTION, ((Slot(0), commitment(SLOT_KEY)),))
    log.append([created, SealedEntry(LABEL, header.hash)])
    blocks = {
        "log-entries": (folder / "log" / "entries").read_bytes(),
        "log-hashes": (folder / "log" / "hashes").read_bytes(),
        "log-key": signer.verifier.format().encode() + b"\n",
        "log-checkpoint": log.checkpoint(signer).encode(),
    }
    tree = LiveTree(RealDisk(), folder / "live")
    tree.rebuild(created.slots, log.size)
    change = tree.change(dict(created.slots))
    statement = make_statement(header, signer.verifier.format(), change)
    index = log.append([statement.entry()])
    receipt = Receipt(statement, log.prove(index, signer)).encode()
    blocks |= {
        "live-before": change.before,
        "live-after": change.after,
        "erase-entry": last_line(folder),
        "receipt": receipt,
    }
    said = make_confirmation(statement)
    index = log.append([said.entry()])
    blocks |= {
        "confirm-entry": last_line(folder),
        "confirmation": encode_confirmation(said, log.prove(index, signer)),
    }
    following = signer_of(VAULT, bytearray(SIGNER_SEED), 1)
    log.rekey(signer.verifier, following.verifier)
    ((index, entry),) = log.rekeys()
    proof = log.prove(index, signer, following)
    return {**blocks, "handover": handover.encode(index, entry, proof)}


def make_confirmation(of: Statement) -> Confirmation:
    return Confirmation(
        vault=of.vault,
        plan=of.plan,
        receipt=sha256(of.encode()).hexdigest(),
        log_key=of.log_key,
        tool=of.tool,
        confirmed_at="2026-02-01T12:00:00Z",
        epoch=3,
        position=4,
        checks=(Check("the anchors, read again", "no share but that of the current epoch"),),
    )


def last_line(folder: Path) -> bytes:
    return (folder / "log" / "entries").read_bytes().splitlines(keepends=True)[-1]


def make_statement(header: Header, log_key: str, change: Change) -> Statement:
    slot = DeadSlot(0, commitment(SLOT_KEY).hex())
    artefact = DeadArtefact(ARTEFACT.hex(), "transcript", 0, header.hash.hex())
    return Statement(
        vault=VAULT.hex(),
        plan=PLAN.hex(),
        log_key=log_key,
        tool="example 1",
        requested_at="2026-01-31T12:00:00Z",
        erased_at="2026-01-31T12:00:01Z",
        verdict=PENDING,
        technique="cryptographic erase",
        epoch_from=1,
        epoch_to=2,
        live_position=3,
        live_size=change.size,
        live_before=change.before.hex(),
        live_after=change.after.hex(),
        live_siblings=tuple(it.hex() for it in change.siblings),
        anchors=(
            AnchorLevel("file", "C", "a file overwritten in place"),
            AnchorLevel("stick", "-", "it was not here"),
        ),
        erased=(DeadInteraction(INTERACTION.hex(), (slot,), (artefact,)),),
        kept=(),
        disclosed=(),
        residual=("the way stick to the root was away",),
        checks=(Check("the ring, read again from the disk", "1 of 1 slots empty"),),
        proves=("this statement is in the log",),
        does_not_prove=("that no copy was made elsewhere",),
    )


def blocks() -> dict[str, bytes]:
    """The named blocks of the document."""
    found = {name: (kind, text) for kind, name, text in BLOCK.findall(SPEC)}
    return {
        name: bytes.fromhex(text) if kind == "hex" else text.encode()
        for name, (kind, text) in found.items()
    }


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return example(tmp_path_factory.mktemp("example"))


def test_the_document_has_every_block_once(made: dict[str, bytes]) -> None:
    names = [name for _, name, _ in BLOCK.findall(SPEC)]
    assert sorted(names) == sorted(made)
    assert SPEC.count("\n```hex ") + SPEC.count("\n```text ") == len(names)


@pytest.mark.parametrize("name", blocks())
def test_the_code_writes_what_the_document_shows(made: dict[str, bytes], name: str) -> None:
    assert blocks()[name] == made[name]


# The document alone, read back: what stands in it opens, verifies and leads from part to part.


def test_the_file_of_the_document_opens() -> None:
    file, header = blocks()["seal-file"], blocks()["seal-header"]
    assert file[:HEADER_SIZE] == header
    assert parse_header(header).hash == blocks()["seal-header-hash"]
    assert parse_header(header).commitment == blocks()["seal-commitment"]
    opener = Opener(SLOT_KEY, lambda at, size: file[at : at + size], len(file))
    assert bytes(opener.read()) == b"hello"


def test_the_ring_of_the_document_opens(tmp_path: Path) -> None:
    found = blocks()
    for folder in ("ring", "anchors"):
        (tmp_path / folder).mkdir()
    state = found["state-head"] + found["state-top"] + found["state-journal"]
    (tmp_path / "ring" / f"state-{1:020}").write_bytes(state)
    (tmp_path / "anchors" / "share").write_bytes(found["anchor-place"].ljust(8192, b"\0"))
    disk = RealDisk()
    anchor = FileAnchor(disk, tmp_path / "anchors" / "share", VAULT)
    ring = Ring(disk, tmp_path / "ring", Roots(VAULT, [[anchor]]))
    ring.open()
    assert bytes(ring.key(Slot(0))) == SLOT_KEY
    assert ring.commitment(Slot(0)) == found["slot-commitment"]
    assert bytes(ring.signer_seed()) == SIGNER_SEED
    ring.destroy([Slot(0)], b"")
    with pytest.raises(Erased):
        ring.key(Slot(0))
    assert (ring.epoch, sorted(anchor.shares())) == (2, [2])


def hkdf_of(key: bytes, salt: bytes, info: bytes, size: int) -> bytes:
    """HKDF-SHA-512 of section 1 by hand."""
    secret, block, out = hmac.digest(salt, key, "sha512"), b"", b""
    for n in range(1, 3):
        block = hmac.digest(secret, block + info + bytes([n]), "sha512")
        out += block
    return out[:size]


def test_the_segments_of_the_document_are_what_its_words_make() -> None:
    """Sections 4.1 to 4.5 followed by hand, with no code of `keys`."""
    found = blocks()
    kinds = [name.rsplit(".", 1)[1] for name in found["segment-names"].decode().split()]
    assert kinds == ["part-0000000000", "end-0000000001"]
    for name, content, kind in (("segment", b"hello", kinds[0]), ("segment-end", b"", kinds[1])):
        header = found[f"{name}-header"]
        assert header[64:80].rstrip(b"\0").decode() == kind
        info, salt = header[:104] + bytes(56), header[104:128]
        derived = hkdf_of(bytes(SLOT_KEY), salt, info, 71)
        assert derived[39:] == header[128:]
        padded = content + bytes(4096 - 8 - len(content)) + struct.pack(">Q", len(content))
        nonce = derived[32:39] + struct.pack(">IB", 0, 1)
        file = header + AESGCM(derived[:32]).encrypt(nonce, padded, b"")
        assert sha256(file).digest() == found[f"{name}-hash"]


def test_the_recovery_copy_of_the_document_opens_by_its_words_alone() -> None:
    data = blocks()["recovery-copy"]
    head, sealed = data[:65], data[65:]
    key = hkdf_of(b"", head[48:64], head, 32)
    assert AESGCM(key).decrypt(bytes(12), sealed, head) == ROOT_1
    assert parse_recovery(data) == RECOVERY


def hkdf(key: bytes, info: bytes) -> bytes:
    """HKDF-SHA-512 of section 1 with an empty salt, by hand, for 32 bytes."""
    return hmac.digest(hmac.digest(bytes(64), key, "sha512"), info + b"\1", "sha512")[:32]


def test_the_ring_of_the_document_opens_by_its_words_alone() -> None:
    """Section 2 followed by hand, with no code of `keys`: what it says is enough."""
    found, epoch = blocks(), struct.pack(">Q", 1)
    context = b"anechoic-root/1\n" + VAULT + epoch + b"file"
    wrapped = found["state-head"][-48:]
    root = AESGCM(hkdf(SHARE_1, context)).decrypt(bytes(12), wrapped, context)
    assert root == ROOT_1
    top = AESGCM(hkdf(root, b"anechoic-ring/1 top"))
    content = top.decrypt(bytes(12), found["state-top"][4:], found["state-head"])
    assert content == struct.pack(">QI", 0, 0) + SIGNER_SEED
    journal = AESGCM(hkdf(root, b"anechoic-ring/1 journal"))
    place = b"anechoic-ring/1\n" + VAULT + epoch + struct.pack(">Q", 0)
    record = journal.decrypt(NONCE, found["state-journal"][16:], place)
    assert record == b"S" + struct.pack(">Q", 0) + SLOT_KEY
    page = SLOT_KEY + bytes(32 * 1023)
    bound = b"anechoic-ring/1\n" + VAULT + struct.pack(">QQ", 0, 1024)
    sealed = AESGCM(PAGE_KEY).encrypt(bytes(12), bytes(page), bound)
    assert sha256(sealed).digest() == found["page-hash"]
    checked = b"anechoic-share/1" + VAULT + epoch + SHARE_1
    assert found["anchor-place"] == checked + sha256(checked).digest()
    assert found["slot-commitment"] == hmac.digest(SLOT_KEY, b"commit\x01", "sha256")


def test_the_receipt_of_the_document_verifies() -> None:
    verified = verify(blocks()["receipt"])
    assert blocks()["log-key"].decode() == verified.key.format() + "\n"
    assert (verified.index, verified.checkpoint.size) == (3, 4)
    (row,) = verified.statement.erased
    assert row.artefacts[0].header == blocks()["seal-header-hash"].hex()
    assert row.slots[0].commitment == blocks()["slot-commitment"].hex()
    entry = verified.statement.entry()
    assert isinstance(entry, ErasedEntry)
    assert blocks()["erase-entry"].decode() == f"3 {entry.format()}\n"


def test_the_confirmation_of_the_document_confirms_its_receipt() -> None:
    it = confirmation.verify(blocks()["confirmation"])
    confirmation.match(it, verify(blocks()["receipt"]))
    entry = it.statement.entry()
    assert isinstance(entry, ConfirmedEntry)
    assert blocks()["confirm-entry"].decode() == f"4 {entry.format()}\n"


def test_the_handover_of_the_document_is_of_its_key() -> None:
    it = handover.verify(blocks()["handover"])
    assert it.old == verify(blocks()["receipt"]).key
    assert (it.generation, it.index) == (1, 5)
    seed = hkdf(SIGNER_SEED, b"anechoic-log/1 ed25519" + struct.pack(">Q", 1))
    assert it.new == Signer(it.old.name, seed).verifier


def test_the_live_roots_of_the_document_follow_by_its_words_alone() -> None:
    """Section 5.4 followed by hand, with no code of `keys`, for the example and for three slots."""

    def sha(*parts: bytes) -> bytes:
        return sha256(b"".join(parts)).digest()

    found, size = blocks(), struct.pack(">Q", 1)
    leaf, empty = sha(b"\0", found["slot-commitment"]), sha(b"\0")
    assert found["live-before"] == sha(b"\2", size, leaf)
    assert found["live-after"] == sha(b"\2", size, empty)
    statement = verify(found["receipt"]).statement
    assert statement.live_before == found["live-before"].hex()
    assert statement.live_after == found["live-after"].hex()
    a, b = sha(b"\0", b"a" * 32), sha(b"\0", b"b" * 32)
    top = sha(b"\1", sha(b"\1", a, empty), sha(b"\1", b, empty))  # slots 0 and 2 of three
    lives = {0: Commitment(b"a" * 32), 2: Commitment(b"b" * 32)}
    assert root(3, lives) == sha(b"\2", struct.pack(">Q", 3), top)


def test_the_fields_of_a_statement_are_described_in_their_order() -> None:
    section = SPEC.partition("### 6.1")[2].partition("### 6.2")[0]
    rows = re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)
    statement = verify(blocks()["receipt"]).statement
    assert rows == list(json.loads(replace(statement, tool="").encode()))
    section = SPEC.partition("### 6.6")[2].partition("## 7")[0]
    rows = re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)
    assert rows == list(
        json.loads(confirmation.verify(blocks()["confirmation"]).statement.encode())
    )


# Citations


def cited() -> Iterator[tuple[str, str]]:
    for top in ("keys", "pipeline"):
        for path in sorted((ROOT / top).rglob("*.py")):
            text = re.sub(r"\s+", " ", path.read_text(encoding="utf-8"))
            for match in re.findall(r"SPEC(?:\.md`)? sections? ([0-9., and]+)", text):
                for number in re.findall(r"\d+(?:\.\d+)?", match):
                    yield path.name, number


def test_every_section_that_the_code_cites_exists() -> None:
    there = set(re.findall(r"^#{2,3} (\d+(?:\.\d+)?)\.? ", SPEC, re.MULTILINE))
    wanted = set(cited())
    assert len(wanted) >= 12
    assert not {(name, number) for name, number in wanted if number not in there}
