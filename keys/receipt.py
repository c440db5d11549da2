"""The receipt: what one erasure did, proved by the log (SPEC section 6).

A receipt is a statement (canonical JSON), an empty line, and a `tlog-proof` of the log entry that
holds the statement's hash; the statement shows what changed in the live tree. Pure: `parse_receipt`
takes exactly what `Receipt.encode` writes, and `verify` returns what was verified or raises. A
receipt holds random ids, commitments, hashes of these, kinds and the time of the erasure; nothing
that was said, and nothing derived from it that could confirm a guess.
"""

from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Self

from keys.attested import (
    Attested,
    Cosignature,
    Trail,
    Trust,
    checkpoint_of,
    cosigned,
    form,
    include,
    log_key_of,
)
from keys.canonical import check_leaves, check_time, encode_json, parse_statement
from keys.entry import ErasedEntry, parse_hash, parse_id
from keys.errors import Malformed, Tampered
from keys.live import verify_change
from keys.merkle import Hash
from keys.model import KIND, Commitment, Epoch, PlanId
from keys.note import Checkpoint, LogProof, VerifierKey

FORMAT = "anechoic-receipt/1"
CONFIRMED, PENDING, FAILED = "confirmed", "pending", "failed"
VERDICTS = (CONFIRMED, PENDING, FAILED)
PROVES = (
    "the holder of the log key signed this statement, and it is in the log under this checkpoint",
    "the statement has not been changed since: not one byte of it",
    "each sealed file listed opens under no key but the one of its commitment",
    "between the two live roots exactly the slots listed went from their commitment to empty",
)
DOES_NOT_PROVE = (
    "that no copy of a key or of plaintext was ever made outside the vault and its anchors",
    "that the storage medium keeps no trace of overwritten shares",
    "that the software and the machine that signed were honest",
    "that the live root before is the one of the log: recompute it from the log and its statements",
)
TECHNIQUE = (
    "cryptographic erase: the keys of the interaction were destroyed by rotating the root of the "
    "key ring; the statement's fields are modelled on the certificate of sanitization of NIST SP "
    "800-88r2; no claim to NIST Purge is made"
)


@dataclass(frozen=True, slots=True)
class DeadSlot:
    """A slot whose key was destroyed, and the commitment that the key had."""

    slot: int
    commitment: str


@dataclass(frozen=True, slots=True)
class DeadArtefact:
    """A sealed file that no key opens any more, by the hash of its header."""

    artefact: str
    kind: str
    slot: int
    header: str


@dataclass(frozen=True, slots=True)
class DeadInteraction:
    """What was erased of one interaction."""

    interaction: str
    slots: tuple[DeadSlot, ...]
    artefacts: tuple[DeadArtefact, ...]


@dataclass(frozen=True, slots=True)
class AnchorLevel:
    """An anchor at the time of the erasure, its level, and what that level rests on."""

    anchor: str
    level: str
    rests_on: str


@dataclass(frozen=True, slots=True)
class Check:
    """Something that was looked at after the erasure, and what was found."""

    check: str
    found: str


@dataclass(frozen=True, slots=True)
class Statement:
    """What a receipt states: ids and hashes in hex, times in UTC to the second.

    `live_position` is the number of log entries that the live root before takes into account, all
    those ahead of the statement's own, and `live_size` the number of slots that both roots cover.
    """

    vault: str
    plan: str
    log_key: str
    tool: str
    requested_at: str
    erased_at: str
    verdict: str
    technique: str
    epoch_from: int
    epoch_to: int
    live_position: int
    live_size: int
    live_before: str
    live_after: str
    live_siblings: tuple[str, ...]
    anchors: tuple[AnchorLevel, ...]
    erased: tuple[DeadInteraction, ...]
    kept: tuple[str, ...]
    disclosed: tuple[str, ...]
    residual: tuple[str, ...]
    checks: tuple[Check, ...]
    proves: tuple[str, ...]
    does_not_prove: tuple[str, ...]

    def encode(self) -> bytes:
        """Returns the canonical JSON: the format first, fields in order, two spaces, ASCII."""
        return encode_json(FORMAT, self)

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Parses exactly the canonical JSON; raises `Malformed`."""
        return parse_statement("receipt", FORMAT, data, lambda row: cls(**{**row, **_nested(row)}))

    def check(self) -> None:
        """Raises `Malformed` where a field has not the form that its name promises."""
        check_leaves(self)
        parse_id(self.vault), parse_id(self.plan)
        if self.verdict not in VERDICTS or self.epoch_to <= self.epoch_from:
            raise Malformed("the receipt's verdict or epochs make no sense")
        check_time(self.requested_at)
        check_time(self.erased_at)
        for node in (self.live_before, self.live_after, *self.live_siblings):
            parse_hash(node)
        for interaction in self.erased:
            _check_interaction(interaction)
        if len(self.slots) < sum(len(interaction.slots) for interaction in self.erased):
            raise Malformed("the receipt lists a slot twice")

    @property
    def slots(self) -> dict[int, Commitment]:
        """The slots that the receipt calls erased, with the commitments that their keys had."""
        rows = (slot for interaction in self.erased for slot in interaction.slots)
        return {row.slot: Commitment(parse_hash(row.commitment)) for row in rows}

    @property
    def headers(self) -> frozenset[str]:
        """The header hashes of all sealed files that the receipt calls erased."""
        return frozenset(a.header for i in self.erased for a in i.artefacts)

    def entry(self, encoded: bytes = b"") -> ErasedEntry:
        """Returns the log entry that vouches for this statement; what is `encoded` is not again."""
        epochs = Epoch(self.epoch_from), Epoch(self.epoch_to)
        hashed = sha256(encoded or self.encode()).digest()
        return ErasedEntry(PlanId(parse_id(self.plan)), *epochs, hashed)


@dataclass(frozen=True, slots=True)
class Receipt:
    """A statement with the proof that it is in the log."""

    statement: Statement
    proof: LogProof

    def encode(self) -> bytes:
        """Returns the receipt file."""
        return Attested(self.statement.encode(), self.proof).encode()


@dataclass(frozen=True, slots=True)
class Verified:
    """A receipt that verifies, and under which key and checkpoint it does."""

    statement: Statement
    key: VerifierKey
    checkpoint: Checkpoint
    index: int
    relation: str = ""
    """What the key is to the one trusted, where it is an earlier or later one of the log."""
    cosignatures: tuple[Cosignature, ...] = ()
    """Of the second keys and witnesses that were asked for."""


def parse_receipt(data: bytes) -> Receipt:
    """Parses exactly what `Receipt.encode` writes; raises `Malformed`."""
    parts = Attested.parse(data, "receipt")
    return Receipt(Statement.parse(parts.statement), parts.proof)


def verify(
    data: bytes, trust: Trust | VerifierKey | None = None, trail: Trail | None = None
) -> Verified:
    """Verifies a receipt against what is trusted, or else against the key that it names itself.

    1. The form is exact. 2. The key is one trusted and is named after the vault. 3. The checkpoint
    is signed by it and of this log, and by every second key and witness asked for. 4. The log holds
    the entry with the statement's hash. 5. The live root before is of all entries ahead of that
    one, and exactly the slots listed changed from it to the live root after (SPEC section 6.4). The
    trail is told of each.
    Raises `Malformed` or `Tampered`.
    """
    trail, trust = trail or Trail(), Trust.of(trust)
    trail.begin("form")
    receipt = parse_receipt(data)
    form(trail, "receipt", len(receipt.statement.encode()))
    statement, proof = receipt.statement, receipt.proof
    named = log_key_of(trail, "receipt", statement, proof.index, trust)
    checkpoint = checkpoint_of(trail, "receipt", proof, named.key)
    along = cosigned(trail, "receipt", proof, named.key, trust)
    include(trail, "receipt", proof, checkpoint, statement.entry())
    _verify_live(trail, statement, proof.index)
    return Verified(statement, named.key, checkpoint, proof.index, named.relation, along)


def _verify_live(trail: Trail, statement: Statement, index: int) -> None:
    trail.begin("live change")
    if statement.live_position != index:
        raise Tampered(f"the live root is of {statement.live_position} entries, expected {index}")
    siblings = [Hash(parse_hash(it)) for it in statement.live_siblings]
    roots = (Hash(parse_hash(it)) for it in (statement.live_before, statement.live_after))
    verify_change(statement.live_size, statement.slots, siblings, *roots)
    trail.done(
        "that between the two roots exactly these slots lost their keys, and no other changed",
        f"the live tree of {statement.live_size} slots is the one ahead of entry {index}",
        f"with the commitments of {len(statement.slots)} slot(s) listed and {len(siblings)} other "
        f"hash(es) its root is {statement.live_before}, as stated",
        f"with the same hashes and these slots empty it is {statement.live_after}, as stated",
    )


def _nested(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "anchors": tuple(AnchorLevel(**anchor) for anchor in row["anchors"]),
        "erased": tuple(parse_interaction(it) for it in row["erased"]),
        "checks": tuple(Check(**check) for check in row["checks"]),
        **{name: tuple(row[name]) for name in _LISTS},
    }


_LISTS = ("live_siblings", "kept", "disclosed", "residual", "proves", "does_not_prove")


def parse_interaction(row: dict[str, Any]) -> DeadInteraction:
    """Makes the value of one row of `erased`; raises `KeyError` or `TypeError` for another form."""
    slots = tuple(DeadSlot(**slot) for slot in row["slots"])
    artefacts = tuple(DeadArtefact(**artefact) for artefact in row["artefacts"])
    return DeadInteraction(**{**row, "slots": slots, "artefacts": artefacts})


def _check_interaction(row: DeadInteraction) -> None:
    parse_id(row.interaction)
    slots = {slot.slot for slot in row.slots}
    for slot in row.slots:
        parse_hash(slot.commitment)
    for artefact in row.artefacts:
        parse_id(artefact.artefact), parse_hash(artefact.header)
        if not KIND.fullmatch(artefact.kind) or artefact.slot not in slots:
            raise Malformed("a sealed file in the receipt is of no kind, or under no erased slot")
