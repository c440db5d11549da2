"""The entries of the log: one line each, of random ids, commitments and kinds, never content.

Exactly the grammar of SPEC section 5.2; `parse_line` and `line_of` are inverses, and everything
else is `Malformed`. A new kind of entry is a new class here and a new line there.
"""

import re
from dataclasses import dataclass

from keys.errors import Malformed
from keys.model import (
    ID_SIZE,
    KIND,
    ArtefactId,
    Commitment,
    Epoch,
    InteractionId,
    Label,
    PlanId,
    Slot,
    VaultId,
)


@dataclass(frozen=True, slots=True)
class Begun:
    """The first entry: whose log this is."""

    vault: VaultId

    def format(self) -> str:
        """Returns `anechoic-log/1 VAULT`."""
        return f"anechoic-log/1 {self.vault.hex()}"


@dataclass(frozen=True, slots=True)
class Created:
    """An interaction, or the owner of one artefact alone, and the commitments of its slots."""

    interaction: InteractionId
    slots: tuple[tuple[Slot, Commitment], ...]

    def format(self) -> str:
        """Returns `create INTERACTION SLOT:COMMITMENT…`."""
        slots = " ".join(f"{slot}:{commitment.hex()}" for slot, commitment in self.slots)
        return f"create {self.interaction.hex()} {slots}"


@dataclass(frozen=True, slots=True)
class SealedEntry:
    """A sealed file, by the hash of its header, before its content exists, and what it is made of.

    `parents` are artefacts of this log, each once.
    """

    label: Label
    header: bytes
    parents: tuple[ArtefactId, ...] = ()

    def format(self) -> str:
        """Returns `seal INTERACTION ARTEFACT KIND SLOT HEADER-HASH PARENT…`."""
        it = self.label
        ids = f"{it.interaction.hex()} {it.artefact.hex()}"
        made = f"{it.kind} {it.slot} {self.header.hex()}"
        return " ".join(["seal", ids, made, *(parent.hex() for parent in self.parents)])


@dataclass(frozen=True, slots=True)
class Noted:
    """An act on one or more interactions: `read`, `disclose` or `discard`; `how` is a kind.

    The day (`2026-01-31`, in UTC) is that of the act where it matters, else empty.
    """

    act: str
    how: str
    interactions: tuple[InteractionId, ...]
    day: str = ""

    def format(self) -> str:
        """Returns `ACT HOW INTERACTION…`, or `ACT HOW DAY INTERACTION…`."""
        ids = (i.hex() for i in self.interactions)
        return " ".join([self.act, self.how, *([self.day] if self.day else []), *ids])


@dataclass(frozen=True, slots=True)
class ErasedEntry:
    """An erasure: its plan, its epochs, and the hash of the statement of its receipt."""

    plan: PlanId
    epoch_from: Epoch
    epoch_to: Epoch
    statement: bytes

    def format(self) -> str:
        """Returns `erase PLAN FROM:TO STATEMENT-HASH`."""
        epochs = f"{self.epoch_from}:{self.epoch_to}"
        return f"erase {self.plan.hex()} {epochs} {self.statement.hex()}"


@dataclass(frozen=True, slots=True)
class ConfirmedEntry:
    """An erasure found complete: its plan, the epoch then, and the hash of the confirmation."""

    plan: PlanId
    epoch: Epoch
    statement: bytes

    def format(self) -> str:
        """Returns `confirm PLAN EPOCH STATEMENT-HASH`."""
        return f"confirm {self.plan.hex()} {self.epoch} {self.statement.hex()}"


@dataclass(frozen=True, slots=True)
class RekeyEntry:
    """A change of the log's key: the generation of the new one, and both public keys (32 bytes).

    `second` is the SHA-256 of the ML-DSA-44 key that signs along from here on, if one does.
    """

    generation: int
    old: bytes
    new: bytes
    second: bytes = b""

    def format(self) -> str:
        """Returns `rekey GENERATION OLD-KEY NEW-KEY`, and the second key's hash."""
        second = f" {self.second.hex()}" if self.second else ""
        return f"rekey {self.generation} {self.old.hex()} {self.new.hex()}{second}"


@dataclass(frozen=True, slots=True)
class AnchorEntry:
    """A way to the root by the user's own act: `how` is `copied`, `used` or `destroyed`.

    A recovery copy was made, was used, or a way is destroyed, by the word of the user alone.
    """

    how: str
    way: str

    def format(self) -> str:
        """Returns `anchor HOW WAY`."""
        return f"anchor {self.how} {self.way}"


def origin_of(vault: VaultId) -> str:
    """Returns the origin of a vault's log, which is also the name of its signing key."""
    return f"anechoic/{vault.hex()}"


Entry = (
    Begun | Created | SealedEntry | Noted | ErasedEntry | ConfirmedEntry | RekeyEntry | AnchorEntry
)
NOTED_ACTS = ("read", "disclose", "discard", "answer")
COPIED, USED, DESTROYED = "copied", "used", "destroyed"
NUMBER_END = 2**63
"""The end of the numbers that entries and receipts hold, so that any language can hold them."""
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_WAY = re.compile(r"[a-z][a-z0-9-]*(\+[a-z][a-z0-9-]*)*")
_NUMBER = re.compile(r"0|[1-9][0-9]{0,18}")


def line_of(index: int, entry: Entry) -> bytes:
    """Returns the line of the log, whose bytes without newline are the Merkle leaf."""
    return f"{index} {entry.format()}".encode("ascii")


def parse_line(line: bytes | bytearray, vault: VaultId) -> tuple[int, Entry]:
    """Parses one line of the log of `vault`; raises `Malformed`."""
    try:
        number, text = bytes(line).decode("ascii").split(" ", 1)
        index, entry = _parse_number(number), _parse_entry(text.split(" "), vault)
    except (ValueError, IndexError, TypeError) as error:
        raise Malformed("a line of the log is not in its form") from error
    if line_of(index, entry) != line:
        raise Malformed(f"line {index} of the log is not in its canonical form")
    if isinstance(entry, Begun) != (index == 0) or getattr(entry, "vault", vault) != vault:
        raise Malformed(f"line {index}: the log of a vault starts with its name, once")
    return index, entry


def _parse_entry(words: list[str], vault: VaultId) -> Entry:
    act, rest = words[0], words[1:]
    if act == "anechoic-log/1":
        return Begun(VaultId(parse_id(rest[0])))
    if act == "create" and rest[1:]:
        return Created(InteractionId(parse_id(rest[0])), tuple(map(_parse_slot, rest[1:])))
    if act == "seal":
        ids = InteractionId(parse_id(rest[0])), ArtefactId(parse_id(rest[1]))
        label = Label(vault, *ids, rest[2], Slot(_parse_number(rest[3])))
        parents = _parse_ids(rest[5:])
        if len(set(parents)) < len(parents):
            raise Malformed("an artefact in the log has one parent twice")
        return SealedEntry(label, parse_hash(rest[4]), parents)
    if act in NOTED_ACTS and KIND.fullmatch(rest[0]) and rest[1:]:
        day = rest.pop(1) if _DAY.fullmatch(rest[1]) else ""
        if interactions := tuple(InteractionId(parse_id(word)) for word in rest[1:]):
            return Noted(act, rest[0], interactions, day)
    return _parse_signed(act, rest)


def _parse_signed(act: str, rest: list[str]) -> Entry:
    """Parses an entry that vouches for something outside the log, or tells of the anchors."""
    if act == "erase":
        old, new = map(_parse_number, rest[1].split(":"))
        plan = PlanId(parse_id(rest[0]))
        return ErasedEntry(plan, Epoch(old), Epoch(new), parse_hash(rest[2]))
    if act == "confirm":
        epoch = Epoch(_parse_number(rest[1]))
        return ConfirmedEntry(PlanId(parse_id(rest[0])), epoch, parse_hash(rest[2]))
    if act == "anchor" and rest[0] in {COPIED, USED, DESTROYED} and _WAY.fullmatch(rest[1]):
        return AnchorEntry(rest[0], rest[1])
    if act == "rekey":
        keys = [parse_hash(word) for word in rest[1:4]]
        return RekeyEntry(_parse_number(rest[0]), *keys)
    raise Malformed("a line of the log is of no known kind")


def _parse_slot(word: str) -> tuple[Slot, Commitment]:
    slot, value = word.split(":")
    return Slot(_parse_number(slot)), Commitment(parse_hash(value))


def _parse_number(word: str) -> int:
    # int() alone would also take a sign, which would come back from `line_of` as it was.
    if not _NUMBER.fullmatch(word) or int(word) >= NUMBER_END:
        raise Malformed("a number in the log is from 0 to 2^63-1, in plain decimal digits")
    return int(word)


def parse_id(word: str) -> bytes:
    """Parses the 32 lower-case hex digits of an id; raises `Malformed`."""
    return _hex(word, ID_SIZE)


def _parse_ids(words: list[str]) -> tuple[ArtefactId, ...]:
    """Parses very many ids at once; that they are lower-case the line is compared for."""
    if any(len(word) != 2 * ID_SIZE for word in words):
        raise Malformed(f"expected {2 * ID_SIZE} lower-case hex digits")
    ids = bytes.fromhex("".join(words))
    return tuple(ArtefactId(ids[at : at + ID_SIZE]) for at in range(0, len(ids), ID_SIZE))


def parse_hash(word: str) -> bytes:
    """Parses the 64 lower-case hex digits of a hash or commitment; raises `Malformed`."""
    return _hex(word, 32)


def _hex(word: str, size: int) -> bytes:
    try:
        value = bytes.fromhex(word)
    except ValueError:
        value = b""
    if len(value) != size or value.hex() != word:
        raise Malformed(f"expected {2 * size} lower-case hex digits")
    return value
