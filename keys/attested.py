"""What the log vouches for: canonical JSON, an empty line, and a proof of its log entry.

Receipts and confirmations are of this form (SPEC section 6.2), and the steps that verify them are
here, each a function that returns what it found or raises `Malformed` or `Tampered`. A step tells
a `Trail` what it compares and what that proves, so that the explanation of a verdict comes from
the code that reached it. Pure; a step may be added, none may be left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol, Self

from keys.cosignature import CosignerKey, times
from keys.entry import Entry, line_of, origin_of, parse_id
from keys.errors import Malformed, Tampered
from keys.handover import Handover, route
from keys.merkle import leaf_hash, verify_inclusion
from keys.model import VaultId
from keys.note import Checkpoint, LogProof, VerifierKey, open_note
from keys.stamp import Authority


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a verification: what was compared, and what follows from it."""

    name: str
    compared: tuple[str, ...] = ()
    proves: str = ""


@dataclass(slots=True)
class Trail:
    """The steps of one verification so far; without a refusal the last one is done as well."""

    of: str = ""
    """What is being verified, where it is not the receipt: it is said with each step."""
    steps: list[Step] = field(default_factory=list)
    at: str = ""
    """The step that is under way: where a refusal stopped."""

    def begin(self, name: str) -> None:
        """Says which step comes now."""
        self.at = f"{name} of the {self.of}" if self.of else name

    def done(self, proves: str, *compared: str) -> None:
        """Says what the step has compared, all of which held, and what that proves."""
        self.steps.append(Step(self.at, compared, proves))
        self.at = ""


@dataclass(frozen=True, slots=True)
class Trust:
    """What whoever verifies has from elsewhere; without keys a log's own word has to do."""

    keys: tuple[VerifierKey, ...] = ()
    known: tuple[VerifierKey, ...] = ()
    """Keys that are trusted for the log that they are named after, such as one's own vault's."""
    handovers: tuple[Handover, ...] = ()
    """Changes of logs' keys, each verified by itself; `refuse_forks` has held them together."""
    seconds: tuple[CosignerKey, ...] = ()
    """Second keys of logs: a checkpoint of that name has to bear the signature of one."""
    witnesses: tuple[CosignerKey, ...] = ()
    """Witnesses, each of which has to have cosigned."""
    authorities: tuple[Authority, ...] = ()
    """Authorities, each of which has to have stamped the time (RFC 3161)."""

    def expected(self, origin: str) -> tuple[VerifierKey, ...]:
        """Returns the keys of which one must have signed for this log; none: any key."""
        return self.keys or tuple(it for it in self.known if it.name == origin)

    @classmethod
    def of(cls, it: "Trust | VerifierKey | None") -> "Trust":
        """Returns the trust in one key, or in none."""
        return it if isinstance(it, Trust) else cls(() if it is None else (it,))


class Named(Protocol):
    """A statement that names its vault and the key of its log."""

    @property
    def vault(self) -> str: ...
    @property
    def log_key(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Attested:
    """The bytes of a statement, with the proof that the log has their hash."""

    statement: bytes
    proof: LogProof

    def encode(self) -> bytes:
        """Returns the file."""
        return self.statement + b"\n\n" + self.proof.format().encode()

    @classmethod
    def parse(cls, data: bytes, what: str) -> Self:
        """Splits the file; the statement is not looked at yet. Raises `Malformed`."""
        statement, found, text = data.partition(b"\n\n")
        if not found:
            raise Malformed(f"not a {what}: expected a statement, an empty line and a proof")
        try:
            proof = LogProof.parse(text.decode("utf-8"))
        except UnicodeDecodeError as error:
            raise Malformed(f"the {what}'s proof is not UTF-8") from error
        if proof.extra is not None:  # nobody signs it, so anybody could have added it
            raise Malformed(f"the {what}'s proof carries extra data, and a {what} has none")
        return cls(statement, proof)


@dataclass(frozen=True, slots=True)
class Cosignature:
    """A cosignature that holds, and the time that it says (seconds since 1970, 0 for none)."""

    key: CosignerKey | Authority
    seconds: int

    @property
    def when(self) -> str:
        """The time in words."""
        if not self.seconds:
            return "at no stated time"
        return datetime.fromtimestamp(self.seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True, slots=True)
class NamedKey:
    """The key that must have signed, and what it is to the one trusted, where it is another."""

    key: VerifierKey
    relation: str = ""


def log_key_of(trail: Trail, what: str, it: Named, index: int, trust: Trust) -> NamedKey:
    """The step "log key": returns the key that must have signed entry `index`.

    It is one of those trusted, or handovers lead from one of these to it or from it to one.
    """
    trail.begin("log key")
    key, origin = VerifierKey.parse(it.log_key), origin_of(VaultId(parse_id(it.vault)))
    expected = trust.expected(origin)
    relation = _relation(what, key, expected, trust.handovers, has_second=bool(trust.seconds))
    if key.name != origin:
        raise Tampered(f"the {what} is of {origin}, its key is of another log")
    _check_in_force(what, key, index, trust.handovers)
    own = "nothing yet: anybody can make a log and a key, so compare this key with the signer's"
    trail.done(
        "that the key is one that you trust" if expected else own,
        f"the {what} names the log key {key.format()}",
        relation or "it is a key that is trusted"
        if expected
        else f"no key was given to hold the {what} to",
        f"its name is that of the vault's log, {origin}",
    )
    return NamedKey(key, relation)


def _relation(
    what: str,
    key: VerifierKey,
    expected: Sequence[VerifierKey],
    handovers: Sequence[Handover],
    *,
    has_second: bool,
) -> str:
    if not expected and has_second:
        return "not given; the second key that was given has to have signed along"
    if not expected or key in expected:
        return ""
    for one in expected:
        if path := route(handovers, one, key):
            return f"it came after the key that is trusted, at log entry {path[-1].index}"
        if path := route(handovers, key, one):
            return f"it came before the key that is trusted, until log entry {path[0].index}"
    wanted = " or ".join(it.format() for it in expected)
    raise Tampered(f"the {what} names the log key {key.format()}, expected {wanted}")


def _check_in_force(what: str, key: VerifierKey, index: int, handovers: Sequence[Handover]) -> None:
    """Raises `Tampered` where a key signs what came after its end or before its beginning."""
    for it in handovers:
        if it.old == key and index >= it.index:
            raise Tampered(f"the key of the {what} ended at log entry {it.index}, this is {index}")
        if it.new == key and index <= it.index:
            raise Tampered(f"the key of the {what} began at log entry {it.index}, this is {index}")


def checkpoint_of(trail: Trail, what: str, proof: LogProof, key: VerifierKey) -> Checkpoint:
    """The step "checkpoint": returns the head of the log that the key has signed."""
    trail.begin("checkpoint signature")
    checkpoint = Checkpoint.parse(open_note(proof.checkpoint_note, [key]))
    if checkpoint.origin != key.name:
        raise Tampered(f"the {what} is of {key.name}, its checkpoint is of another log")
    trail.done(
        "that the holder of the log key signed this size and root of the log",
        f"the checkpoint is of {checkpoint.origin}: {checkpoint.size} entries, "
        f"root {checkpoint.root.hex()}",
        f"its signature by key {key.id.hex()} holds (Ed25519)",
    )
    return checkpoint


def cosigned(
    trail: Trail, what: str, proof: LogProof, key: VerifierKey, trust: Trust
) -> tuple[Cosignature, ...]:
    """The steps "second signature", "witnesses", "time stamps": all that was given has to hold."""
    found = list[Cosignature]()
    if trust.seconds:
        trail.begin("second signature")
        own = [it for it in trust.seconds if it.name == key.name]  # no other log's key counts here
        found += [Cosignature(it, at) for it in own for at in times(proof.checkpoint_note, it)]
        if not found:
            wanted = " or ".join(map(str, trust.seconds))
            raise Tampered(f"the {what} bears no signature of the second key: {wanted}")
        named = [it.index for it in trust.handovers if it.new == key]
        hashes = {it.second for it in trust.handovers if it.new == key}
        in_log = any(it.hash in hashes for it in own)
        trail.done(
            "the same as the first signature, should that kind be broken one day",
            *(f"the signature of {one.key}, which you gave, holds" for one in found),
            *([f"the log named this key at entry {named[0]}"] if in_log else []),
        )
    if trust.witnesses:
        trail.begin("witnesses")
        seen = [_seen_by(what, proof, it) for it in trust.witnesses]
        trail.done(
            "that each of them saw this log, at this size and with this root",
            *(f"the cosignature of {one.key} holds, made {one.when}" for one in seen),
        )
        found += seen
    if trust.authorities:
        trail.begin("time stamps")
        note = proof.checkpoint_note
        stamped = [Cosignature(it, min(it.times(note))) for it in trust.authorities]
        trail.done(
            "that this size and root of the log were there at that time, if the authority is right",
            *(f"the time stamp of {one.key} holds, made {one.when}" for one in stamped),
        )
        found += stamped
    return tuple(found)


def _seen_by(what: str, proof: LogProof, witness: CosignerKey) -> Cosignature:
    if not (found := times(proof.checkpoint_note, witness)):
        raise Tampered(f"the {what}'s checkpoint is not cosigned by {witness}")
    return Cosignature(witness, max(found))


def include(trail: Trail, what: str, proof: LogProof, checkpoint: Checkpoint, entry: Entry) -> None:
    """The step "inclusion": the log under this checkpoint has this entry at the proof's index."""
    trail.begin("inclusion")
    leaf = leaf_hash(line_of(proof.index, entry))
    verify_inclusion(leaf, proof.index, checkpoint.size, proof.hashes, checkpoint.root)
    trail.done(
        f"that the log has this {what}, and that not a byte of it was changed since",
        f'the entry made from the {what} is "{line_of(proof.index, entry).decode()}"',
        f"as leaf {leaf.hex()} at place {proof.index} it leads, by {len(proof.hashes)} hash(es), "
        "to the root that was signed",
    )


def form(trail: Trail, what: str, size: int) -> None:
    """The step "form", when it has been taken: a statement of `size` bytes, and a proof."""
    trail.done(
        f"that this {what} has one reading",
        f"the file is a statement of {size} bytes, an empty line, and a proof",
        "written again from what was read, the statement has the same bytes",
    )
