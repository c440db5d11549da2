"""Writes the vectors of keys.receipt: one receipt a file in `receipts/`, and `receipts.json`.

It joins strings, hashes and signs with `cryptography` alone, sharing no code with `keys`; trees of
live slots are those of `make_live.py`, which computes them from their definition. Run it to write
the files again; a test checks that it reproduces them byte for byte. Each receipt shows one
behaviour; the index names the layer that must reject it ("malformed", "tampered", null: accepted).
"""

import json
import runpy
from base64 import b64encode
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

Fields = dict[str, object]

HERE = Path(__file__).parent / "receipts"
VAULT = bytes(range(0x10, 0x20)).hex()
INTERACTION, ARTEFACT, PLAN = "20" * 16, "30" * 16, "40" * 16
SEED, OTHER_SEED = bytes([0x51]) * 32, bytes([0x52]) * 32
COMMITMENT, HEADER = "61" * 32, "62" * 32
ORIGIN = f"anechoic/{VAULT}"
TREE = runpy.run_path(str(Path(__file__).parent / "make_live.py"))
LIVE = {n: bytes([0x70 + n]) * 32 for n in (0, 1, 5)} | {4: bytes.fromhex(COMMITMENT)}
"""The commitments of the slots that live before the erasure, of six given out."""


def public(seed: bytes) -> bytes:
    """The type byte and the public key."""
    return b"\x01" + Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()


def key_id(seed: bytes, name: str) -> bytes:
    """The id of a key under a name."""
    return sha256(name.encode() + b"\n" + public(seed)).digest()[:4]


def vkey(seed: bytes = SEED, name: str = ORIGIN) -> str:
    """The key as a receipt names it."""
    return f"{name}+{key_id(seed, name).hex()}+{b64encode(public(seed)).decode()}"


def fields(**changes: object) -> Fields:
    """The fields of a small statement, in their order."""
    artefact = {"artefact": ARTEFACT, "kind": "audio", "slot": 4, "header": HEADER}
    erased = {
        "interaction": INTERACTION,
        "slots": [{"slot": 4, "commitment": COMMITMENT}],
        "artefacts": [artefact],
    }
    return {
        "format": "anechoic-receipt/1",
        "vault": VAULT,
        "plan": PLAN,
        "log_key": vkey(),
        "tool": "vectors 1",
        "requested_at": "2026-01-31T12:00:00Z",
        "erased_at": "2026-01-31T12:00:01Z",
        "verdict": "confirmed",
        "technique": "cryptographic erase",
        "epoch_from": 7,
        "epoch_to": 8,
        **live(),
        "anchors": [{"anchor": "file", "level": "C", "rests_on": "a file"}],
        "erased": [erased],
        "kept": [],
        "disclosed": [],
        "residual": ["swap: none"],
        "checks": [{"check": "the ring", "found": "1 of 1 slots empty"}],
        "proves": ["something"],
        "does_not_prove": ["more"],
    } | changes


def live(
    slots: tuple[int, ...] = (4,),
    before: dict[int, bytes] = LIVE,
    after: dict[int, bytes] | None = None,
    size: int = 6,
) -> Fields:
    """The fields of the live tree when these slots go; `after` is what lives then."""
    rest = {slot: it for slot, it in before.items() if slot not in slots}
    return {
        "live_position": 1,
        "live_size": size,
        "live_before": TREE["root"](size, before).hex(),
        "live_after": TREE["root"](size, rest if after is None else after).hex(),
        "live_siblings": [it.hex() for it in TREE["proof"](size, list(slots), rest)],
    }


def encode(row: Fields) -> bytes:
    """The canonical JSON."""
    return json.dumps(row, indent=2).encode()


def line(index: int, statement: bytes, epochs: str = "7:8", plan: str = PLAN) -> bytes:
    """The entry of the log that vouches for a statement."""
    return f"{index} erase {plan} {epochs} {sha256(statement).hexdigest()}".encode()


def checkpoint(leaves: list[bytes], seed: bytes, origin: str, name: str) -> str:
    """The signed note of a log of two entries."""
    root = node(*map(leaf, leaves))
    text = f"{origin}\n{len(leaves)}\n{b64encode(root).decode()}\n"
    signature = Ed25519PrivateKey.from_private_bytes(seed).sign(text.encode())
    return f"{text}\n— {name} {b64encode(key_id(seed, name) + signature).decode()}\n"


def leaf(data: bytes) -> bytes:
    """RFC 9162, 2.1.1."""
    return sha256(b"\0" + data).digest()


def node(left: bytes, right: bytes) -> bytes:
    """RFC 9162, 2.1.1."""
    return sha256(b"\1" + left + right).digest()


def proof(
    statement: bytes,
    seed: bytes = SEED,
    origin: str = ORIGIN,
    name: str = ORIGIN,
    logged: bytes = b"",
) -> str:
    """The proof that entry 1 of a log of two is that of the statement."""
    first = f"0 anechoic-log/1 {VAULT}".encode()
    leaves = [first, logged or line(1, statement)]
    hashes = b64encode(leaf(first)).decode()
    head = f"c2sp.org/tlog-proof@v1\nindex 1\n{hashes}\n\n"
    return head + checkpoint(leaves, seed, origin, name)


def receipt(statement: bytes, **how: object) -> bytes:
    """A whole receipt."""
    return statement + b"\n\n" + proof(statement, **how).encode()  # type: ignore[arg-type]


GOOD = encode(fields())
OK, SHAPE, FALSE = None, "malformed", "tampered"


def cases() -> Iterator[tuple[str, str | None, bytes]]:
    """The name, the layer that rejects it, and the receipt, of every behaviour."""
    yield "valid", OK, receipt(GOOD)
    yield "valid-failed", OK, receipt(encode(fields(verdict="failed")))
    more = receipt(GOOD).decode() + "— witness.example AAAAAAAAAAAA\n"
    yield "valid-signed-by-an-unknown-witness-too", OK, more.encode()
    yield "valid-of-two-interactions", OK, receipt(encode(two()))
    yield from statements()
    yield from trees()
    yield from proofs()


def statements() -> Iterator[tuple[str, str | None, bytes]]:
    """Statements that are honestly logged and signed, and not in their form."""
    bent: dict[str, Fields] = {
        "another-format": fields(format="anechoic-receipt/2"),
        "field-missing": {k: v for k, v in fields().items() if k != "residual"},
        "field-unknown": fields(note="hello"),
        "fields-in-another-order": dict(sorted(fields().items())),
        "epoch-a-string": fields(epoch_from="7", epoch_to="8"),
        "epoch-a-fraction": fields(epoch_from=7.0),
        "epoch-a-boolean": fields(epoch_from=False),
        "epoch-negative": fields(epoch_from=-1),
        "epoch-too-large": fields(epoch_to=2**63),
        "epoch-does-not-rise": fields(epoch_from=8),
        "slot-null": fields(erased=erased(slots=[slot(None)], artefacts=[])),
        "slot-a-fraction": fields(erased=erased(slots=[slot(4.0)], artefacts=[])),
        "slot-a-boolean": fields(erased=erased(slots=[slot(number=True)], artefacts=[])),
        "slot-not-a-number": fields(erased=erased(slots=[slot(float("nan"))], artefacts=[])),
        "artefact-under-another-slot": fields(erased=erased(slots=[slot(5)])),
        "text-a-number": fields(tool=1),
        "text-a-list": fields(technique=["cryptographic", "erase"]),
        "text-with-an-escape-sequence": fields(tool="\x1b[2J"),
        "text-with-a-newline": fields(residual=["swap: none\n  anchor    tpm, level A"]),
        "text-with-half-a-surrogate-pair": fields(tool="\ud800"),
        "text-written-backwards": fields(tool="\u202eevil"),
        "list-a-string": fields(kept="abc"),
        "list-of-lists": fields(kept=[["abc"]]),
        "list-of-null": fields(kept=[None]),
        "anchor-level-a-number": fields(anchors=[{"anchor": "file", "level": 1, "rests_on": "a"}]),
        "verdict-unknown": fields(verdict="perhaps"),
        "time-of-another-zone": fields(erased_at="2026-01-31T12:00:01+00:00"),
        "time-of-other-digits": fields(erased_at="\uff12026-01-31T12:00:01Z"),
        "time-that-never-was": fields(erased_at="2026-02-30T12:00:01Z"),
        "root-in-upper-case": fields(live_before="AB" * 32),
        "root-too-short": fields(live_after="ab" * 31),
        "root-null": fields(live_after=None),
        "siblings-a-string": fields(live_siblings=fields()["live_before"]),
        "sibling-too-long": fields(live_siblings=["ab" * 33]),
        "live-size-a-string": fields(live_size="6"),
        "live-size-negative": fields(live_size=-6),
        "live-size-too-large": fields(live_size=2**63),
        "live-position-a-boolean": fields(live_position=True),
        "slot-twice-in-an-interaction": fields(erased=erased(slots=[slot(4), slot(4)])),
        "slot-twice-in-two-interactions": fields(erased=2 * erased()),
        "id-in-upper-case": fields(plan="AB" * 16),
        "id-too-short": fields(plan="40" * 15),
    }
    for name, row in bent.items():
        yield f"statement-{name}", SHAPE, receipt(encode(row))
    twice = GOOD.replace(b'"tool":', b'"tool": "another",\n  "tool":')
    yield "statement-field-twice", SHAPE, receipt(twice)
    yield "statement-compact", SHAPE, receipt(json.dumps(fields()).encode())
    yield "statement-trailing-space", SHAPE, receipt(GOOD + b" ")
    yield "statement-escaped-letter", SHAPE, receipt(GOOD.replace(b"vectors", b"\\u0076ectors"))
    yield "statement-nested-too-deep", SHAPE, receipt(b"[" * 20_000)
    digits = GOOD.replace(b'"epoch_to": 8', b'"epoch_to": ' + b"8" * 5000)
    yield "statement-number-of-5000-digits", SHAPE, receipt(digits)
    yield "statement-a-list", SHAPE, receipt(b"[]")
    yield "statement-empty", SHAPE, receipt(b"")


def erased(**changes: object) -> list[Fields]:
    """The list of the one interaction erased."""
    row = fields()["erased"]
    assert isinstance(row, list)
    return [row[0] | changes]


def slot(number: object) -> Fields:
    """A dead slot."""
    return {"slot": number, "commitment": COMMITMENT}


def two() -> Fields:
    """A statement that two interactions are gone, the later slot listed first."""
    other = {"interaction": "21" * 16, "slots": [{"slot": 1, "commitment": "71" * 32}]}
    return fields(erased=[*erased(), other | {"artefacts": []}], **live((1, 4)))


def trees() -> Iterator[tuple[str, str | None, bytes]]:
    """Statements in their form, honestly logged and signed, of a change that was another one."""
    good, siblings = fields(), live()["live_siblings"]
    assert isinstance(siblings, list)
    rest = {n: it for n, it in LIVE.items() if n != 4}
    another = {**LIVE, 5: b"\x99" * 32}
    bent: dict[str, Fields] = {
        "of-another-position": fields(live_position=0),
        "of-a-later-position": fields(live_position=2),
        "in-which-another-slot-goes-too": fields(**live(after={0: rest[0], 1: rest[1]})),
        "in-which-another-slot-comes": fields(**live(after={**rest, 3: b"\x98" * 32})),
        "in-which-another-slot-changes": fields(**live(after={**rest, 5: another[5]})),
        "in-which-the-slot-stays": fields(**live(after=LIVE)),
        "in-which-the-slot-gets-another-key": fields(**live(after=another)),
        "in-which-the-slot-was-empty": fields(**live(before=rest)),
        "of-another-commitment": fields(erased=erased(slots=[slot(4) | {"commitment": "63" * 32}])),
        "of-another-slot": fields(erased=erased(slots=[slot(0)], artefacts=[])),
        "of-a-slot-beyond": fields(erased=erased(slots=[slot(6)], artefacts=[])),
        "of-no-slot": fields(erased=erased(slots=[], artefacts=[])),
        "of-one-slot-more": fields(erased=two()["erased"]),
        "of-one-slot-less": fields(**live((1, 4))),
        "of-another-size": fields(live_size=5),
        "of-no-size": fields(live_size=0),
        "with-the-roots-swapped": fields(
            live_before=good["live_after"], live_after=good["live_before"]
        ),
        "without-a-sibling": fields(live_siblings=siblings[:-1]),
        "with-a-sibling-more": fields(live_siblings=[*siblings, "00" * 32]),
        "with-siblings-swapped": fields(live_siblings=siblings[::-1]),
    }
    for name, row in bent.items():
        yield f"change-{name}", FALSE, receipt(encode(row))


def proofs() -> Iterator[tuple[str, str | None, bytes]]:
    """A good statement with a proof that does not vouch for it."""
    other = encode(fields(tool="vectors 2"))
    yield "proof-of-another-statement", FALSE, GOOD + b"\n\n" + proof(other).encode()
    epochs = line(1, GOOD, "6:8")
    yield "proof-of-other-epochs", FALSE, receipt(GOOD, logged=epochs)
    yield "proof-of-another-plan", FALSE, receipt(GOOD, logged=line(1, GOOD, plan="41" * 16))
    yield "proof-of-another-index", FALSE, receipt(GOOD, logged=line(2, GOOD))
    yield "proof-signed-by-another-key", FALSE, receipt(GOOD, seed=OTHER_SEED)
    another = f"anechoic/{'11' * 16}"
    yield "proof-of-another-log", FALSE, receipt(GOOD, origin=another)
    named = encode(fields(log_key=vkey(name=another)))
    yield "key-of-another-vault", FALSE, receipt(named, name=another)
    yield "key-of-another-vault-and-log", FALSE, receipt(named, name=another, origin=another)
    yield "key-misspelt", SHAPE, receipt(encode(fields(log_key=vkey()[:-1])))
    good = receipt(GOOD).decode()
    extra = good.replace("\nindex 1", f"\nextra {b64encode(b'free').decode()}\nindex 1")
    yield "proof-with-extra-data", SHAPE, extra.encode()
    yield "proof-missing", SHAPE, GOOD + b"\n\n"
    yield "proof-without-gap", SHAPE, GOOD + b"\n" + proof(GOOD).encode()
    yield "proof-not-utf-8", SHAPE, receipt(GOOD) + b"\xff\n"
    yield "proof-trailing-line", SHAPE, receipt(GOOD) + b"\n"
    yield "empty", SHAPE, b""


def build() -> dict[str, bytes]:
    """Every file by its name, the index included."""
    rows = list(cases())
    index = [{"name": name, "rejected_by": by} for name, by, _ in rows]
    about = {"log_key": vkey(), "other_key": vkey(OTHER_SEED), "cases": index}
    files = {f"{name}.receipt": data for name, _, data in rows}
    return {**files, "receipts.json": (json.dumps(about, indent=1) + "\n").encode()}


if __name__ == "__main__":
    HERE.mkdir(exist_ok=True)
    for file, data in build().items():
        (HERE / file).write_bytes(data)
