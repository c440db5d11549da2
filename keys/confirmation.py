"""The confirmation: that an erasure whose receipt was pending is complete (SPEC section 6.6).

A receipt is pending when a way to the root was away. When none is outstanding any more and that
was looked at, the log gets a second, small statement, in the same form as a receipt and with its
own proof. Pure: `parse_confirmation` takes exactly what is written, `verify` returns what was
verified or raises, and `match` is what makes it say something of one receipt.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Self

from keys.attested import (
    Attested,
    Trail,
    Trust,
    checkpoint_of,
    cosigned,
    form,
    include,
    log_key_of,
)
from keys.canonical import check_leaves, check_time, encode_json, parse_statement
from keys.entry import ConfirmedEntry, parse_hash, parse_id
from keys.errors import Malformed, Tampered
from keys.handover import Handover, route
from keys.model import Epoch, PlanId
from keys.note import Checkpoint, LogProof, VerifierKey
from keys.receipt import PENDING, Check, Verified

FORMAT = "anechoic-confirmation/1"
_MARK = f'{{\n  "format": "{FORMAT}"'.encode()


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What a confirmation states: of which receipt, when, in which epoch, and what was looked at.

    `receipt` is the hash of the receipt's statement, and `position` the place of this one's entry.
    """

    vault: str
    plan: str
    receipt: str
    log_key: str
    tool: str
    confirmed_at: str
    epoch: int
    position: int
    checks: tuple[Check, ...]

    def encode(self) -> bytes:
        """Returns the canonical JSON, in the form of a receipt's statement."""
        return encode_json(FORMAT, self)

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Parses exactly the canonical JSON; raises `Malformed`."""
        return parse_statement(
            "confirmation", FORMAT, data, lambda row: cls(**{**row, "checks": _checks(row)})
        )

    def check(self) -> None:
        """Raises `Malformed` where a field has not the form that its name promises."""
        check_leaves(self)
        parse_id(self.vault), parse_id(self.plan), parse_hash(self.receipt)
        check_time(self.confirmed_at)
        if not self.checks:
            raise Malformed("a confirmation of nothing that was looked at is none")

    def entry(self) -> ConfirmedEntry:
        """Returns the log entry that vouches for this statement."""
        plan, epoch = PlanId(parse_id(self.plan)), Epoch(self.epoch)
        return ConfirmedEntry(plan, epoch, sha256(self.encode()).digest())


@dataclass(frozen=True, slots=True)
class Confirmed:
    """A confirmation that verifies, and under which key and checkpoint it does."""

    statement: Confirmation
    key: VerifierKey
    checkpoint: Checkpoint
    index: int


def is_confirmation(data: bytes) -> bool:
    """Tells whether a file means to be a confirmation, by its first lines."""
    return data.startswith(_MARK)


def parse_confirmation(data: bytes) -> tuple[Confirmation, LogProof]:
    """Parses a confirmation file; raises `Malformed`."""
    parts = Attested.parse(data, "confirmation")
    return Confirmation.parse(parts.statement), parts.proof


def encode_confirmation(statement: Confirmation, proof: LogProof) -> bytes:
    """Returns the confirmation file."""
    return Attested(statement.encode(), proof).encode()


def verify(
    data: bytes, trust: Trust | VerifierKey | None = None, trail: Trail | None = None
) -> Confirmed:
    """Verifies a confirmation by itself, as `receipt.verify` does; raises `Malformed`, `Tampered`.

    It says nothing of any receipt until `match` has held the two together.
    """
    trail, trust = trail or Trail(), Trust.of(trust)
    trail.begin("form")
    statement, proof = parse_confirmation(data)
    form(trail, "confirmation", len(statement.encode()))
    key = log_key_of(trail, "confirmation", statement, proof.index, trust).key
    checkpoint = checkpoint_of(trail, "confirmation", proof, key)
    cosigned(trail, "confirmation", proof, key, trust)
    if statement.position != proof.index:
        raise Tampered(f"the confirmation is of place {statement.position}, not {proof.index}")
    include(trail, "confirmation", proof, checkpoint, statement.entry())
    return Confirmed(statement, key, checkpoint, proof.index)


def _checks(row: dict[str, Any]) -> tuple[Check, ...]:
    return tuple(Check(**check) for check in row["checks"])


def match(
    it: Confirmed,
    receipt: Verified,
    handovers: Sequence[Handover] = (),
    trail: Trail | None = None,
) -> None:
    """Returns only if this confirmation is of this receipt, which was pending; `Tampered`."""
    trail, said, of = trail or Trail(), it.statement, receipt.statement
    trail.begin("subject")
    wanted = sha256(of.encode()).hexdigest()
    if (said.vault, said.plan, said.receipt) != (of.vault, of.plan, wanted):
        raise Tampered("the confirmation is of another receipt")
    if of.verdict != PENDING:
        raise Tampered(f"the receipt is {of.verdict}, and only a pending one can be confirmed")
    if it.key != receipt.key and not route(handovers, receipt.key, it.key):
        raise Tampered("the confirmation and its receipt are signed by different keys")
    if it.index <= receipt.index or said.epoch < of.epoch_to:
        raise Tampered("the confirmation is older than its receipt")
    trail.done(
        "that the signer found the erasure of this receipt complete, as its checks say",
        f"it names plan {said.plan} and statement hash {said.receipt}: those of the receipt",
        f"the receipt is pending, and is entry {receipt.index}; this is entry {it.index}, later",
        f"the epoch was {said.epoch} then, and {of.epoch_to} after the erasure",
        *(f"the signer looked at {row.check}: {row.found}" for row in said.checks),
    )
