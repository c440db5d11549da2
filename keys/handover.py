"""The handover: a log changed its key, signed by the old key and the new (SPEC section 5.5).

Whoever trusts one key of a log can follow its handovers to the others, forwards and backwards.
Pure: `verify` returns what was verified or raises `Malformed` or `Tampered`. Both keys stand in the
log's entry, not in the note alone: anybody can add a signature to a note, nobody to the log.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from keys.entry import RekeyEntry, line_of, origin_of, parse_id, parse_line
from keys.errors import Malformed, Tampered
from keys.merkle import leaf_hash, verify_inclusion
from keys.model import VaultId
from keys.note import Checkpoint, LogProof, VerifierKey, open_note

MARK = b"anechoic-handover/1\n"


@dataclass(frozen=True, slots=True)
class Handover:
    """A change of a log's key at entry `index`: entries after it are signed by `new`."""

    old: VerifierKey
    new: VerifierKey
    generation: int
    index: int
    second: bytes = b""
    """The hash of the second key from here on, if there is one."""


def is_handover(data: bytes) -> bool:
    """Tells whether a file means to be a handover."""
    return data.startswith(MARK)


def encode(index: int, entry: RekeyEntry, proof: LogProof) -> bytes:
    """Returns the handover file."""
    return MARK + line_of(index, entry) + b"\n\n" + proof.format().encode()


def verify(data: bytes) -> Handover:
    """Verifies a handover by itself: by neither key more than by the other.

    1. The form is exact. 2. The checkpoint is that right after the entry. 3. Both keys of the entry
    have signed it. 4. The entry is in the log under it.
    """
    head, _, text = data.partition(b"\n\n")
    try:
        proof = LogProof.parse(text.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise Malformed("the handover's proof is not UTF-8") from error
    origin = Checkpoint.parse(proof.checkpoint_note.partition("\n\n")[0] + "\n").origin
    index, entry = parse_line(head.removeprefix(MARK), _vault_of(origin))
    if not isinstance(entry, RekeyEntry) or encode(index, entry, proof) != data or proof.extra:
        raise Malformed("not a handover in its canonical form")
    old, new = VerifierKey(origin, entry.old), VerifierKey(origin, entry.new)
    if old == new or entry.generation == 0:
        raise Malformed("a handover is from one key to another")
    checkpoint = Checkpoint.parse(open_note(proof.checkpoint_note, [old]))
    open_note(proof.checkpoint_note, [new])
    if checkpoint.origin != origin or (index, checkpoint.size) != (proof.index, index + 1):
        raise Tampered("the handover's checkpoint is not the one right after its entry")
    leaf = leaf_hash(line_of(index, entry))
    verify_inclusion(leaf, index, checkpoint.size, proof.hashes, checkpoint.root)
    return Handover(old, new, entry.generation, index, entry.second)


def refuse_forks(handovers: Iterable[Handover]) -> None:
    """Raises `Tampered` where one key is handed over twice, or two keys to one."""
    known = set(handovers)
    for keys in ([it.old for it in known], [it.new for it in known]):
        if len(set(keys)) < len(keys):
            raise Tampered("the handovers contradict each other: a key has two successors, or two")


def route(handovers: Sequence[Handover], start: VerifierKey, end: VerifierKey) -> list[Handover]:
    """Returns the handovers that lead forwards from one key to another; none where none do."""
    found, at = list[Handover](), start
    while at != end:
        step = next((it for it in handovers if it.old == at and it not in found), None)
        if step is None or (found and not _follows(found[-1], step)):
            return []
        found.append(step)
        at = step.new
    return found


def _follows(one: Handover, other: Handover) -> bool:
    return (other.generation, other.index > one.index) == (one.generation + 1, True)


def _vault_of(origin: str) -> VaultId:
    vault = VaultId(parse_id(origin.rpartition("/")[2]))
    if origin_of(vault) != origin:
        raise Malformed("the handover is of no log of a vault")
    return vault
