"""The live tree: which slots hold a key, as one hash, and a proof of what one erasure changed.

It promises that `verify_change` returns only if, between two roots, exactly the slots given went
from their commitment to EMPTY and no other slot changed; it refuses, as `Tampered`, everything
else. The rules of leaves, nodes, roots and proofs are those of SPEC section 5.4, which gives the
reason of each. Pure, and small because auditors read it; change nothing here without
`tests/vectors/live.json`.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import accumulate, repeat

from keys.errors import Tampered
from keys.merkle import HASH_SIZE, Hash, leaf_hash, node_hash
from keys.model import Commitment

EMPTY = leaf_hash(b"")
"""The leaf of a slot without a key. A commitment is 32 bytes, so none hashes to the leaf of none;
and it is a hash like the others, so that zeros from a hole in a file are never a leaf."""

MAX_SIZE = 2**63
"""The end of the sizes, as slots are numbers from 0 to 2^63-1."""

_EMPTY_NODES = tuple(
    accumulate(repeat(None, 64), lambda node, _: node_hash(node, node), initial=EMPTY)
)


@dataclass(frozen=True, slots=True)
class Change:
    """An erasure in the live tree: the number of slots covered, both roots, and the proof."""

    size: int
    before: Hash
    after: Hash
    siblings: tuple[Hash, ...]


def depth(size: int) -> int:
    """Returns the number of levels between the leaves and the topmost node."""
    return max(size - 1, 0).bit_length()


def empty_node(level: int) -> Hash:
    """Returns the node `level` levels above leaves that are all EMPTY."""
    return _EMPTY_NODES[level]


def leaf_of(commitment: Commitment) -> Hash:
    """Returns the leaf of a live slot; raises `Tampered` for a commitment that is not 32 bytes."""
    _demand(len(commitment) == HASH_SIZE, "a commitment is not 32 bytes long")
    return leaf_hash(commitment)


def root_of(size: int, topmost: Hash) -> Hash:
    """Returns the root: the topmost node bound to the number of slots covered."""
    return Hash(sha256(b"\x02" + size.to_bytes(8) + topmost).digest())


def rows(row: bytes, level: int, height: int) -> Iterator[bytes]:
    """Yields a row of joined nodes at `level`, then the `height` rows above it, each shorter.

    What the row lacks at its right is EMPTY; a row of odd length comes with one such node more.
    """
    for above in range(height):
        if len(row) % (2 * HASH_SIZE):
            row += empty_node(level + above)
        yield row
        pairs = range(0, len(row), 2 * HASH_SIZE)
        row = b"".join([sha256(b"\x01" + row[at : at + 2 * HASH_SIZE]).digest() for at in pairs])
    yield row


def root(size: int, live: Mapping[int, Commitment]) -> Hash:
    """Returns the root of `size` slots of which these live, from nothing but the commitments."""
    _demand_slots(size, live)
    leaves = b"".join(leaf_of(live[slot]) if slot in live else EMPTY for slot in range(size))
    (*_, topmost) = rows(leaves or EMPTY, 0, depth(size))
    return root_of(size, Hash(topmost))


def prove(
    size: int, slots: Iterable[int], read_node: Callable[[int, int], Hash]
) -> tuple[Hash, ...]:
    """Returns the proof for a change of these slots; `read_node` takes a level and an index.

    Raises ValueError for no slots, for one beyond `size` and for one given twice.
    """
    indices = sorted(slots)
    if not indices or indices[0] < 0 or indices[-1] >= size or len(set(indices)) < len(indices):
        raise ValueError(f"expected distinct slots from 0 to {size - 1}")
    proof: list[Hash] = []
    for level in range(depth(size)):
        there = set(indices)
        lacking = (
            i ^ 1 for i in indices if i ^ 1 not in there and not _is_beyond(level, i ^ 1, size)
        )
        proof.extend(read_node(level, index) for index in lacking)
        indices = list(dict.fromkeys(i >> 1 for i in indices))
    return tuple(proof)


def verify_change(
    size: int,
    erased: Mapping[int, Commitment],
    siblings: Sequence[Hash],
    before: Hash,
    after: Hash,
) -> None:
    """Returns only if exactly these slots went from their commitment to EMPTY; `Tampered`."""
    _demand_slots(size, erased)
    changed = {slot: (leaf_of(commitment), EMPTY) for slot, commitment in erased.items()}
    implied = roots_from(size, changed, siblings)
    _demand(implied[0] == before, "the slots and siblings lead to another live root before")
    _demand(implied[1] == after, "the slots and siblings lead to another live root after")


def roots_from(
    size: int, changed: Mapping[int, tuple[Hash, Hash]], siblings: Sequence[Hash]
) -> tuple[Hash, Hash]:
    """Returns the roots before and after that a proof implies for leaves before and after.

    Raises `Tampered` where slots and siblings are not of the one form that a proof can have.
    """
    _demand_slots(size, changed)
    _demand(len(changed) > 0, "a change of no slot has no proof")
    _demand(all(len(h) == HASH_SIZE for h in siblings), "a sibling is not 32 bytes long")
    given, nodes = iter(siblings), dict(sorted(changed.items()))
    for level in range(depth(size)):
        nodes = _parents(level, nodes, size, given)
    _demand(next(given, None) is None, "the list of siblings is too long")
    before, after = nodes[0]
    return root_of(size, before), root_of(size, after)


_Pair = tuple[Hash, Hash]


def _parents(
    level: int, nodes: Mapping[int, _Pair], size: int, given: Iterator[Hash]
) -> dict[int, _Pair]:
    parents: dict[int, _Pair] = {}
    for index, node in nodes.items():  # from left to right
        if index >> 1 in parents:
            continue  # made already, with its left child
        other = nodes.get(index ^ 1) or _sibling(level, index ^ 1, size, given)
        left, right = (other, node) if index & 1 else (node, other)
        parents[index >> 1] = node_hash(left[0], right[0]), node_hash(left[1], right[1])
    return parents


def _sibling(level: int, index: int, size: int, given: Iterator[Hash]) -> _Pair:
    node = empty_node(level) if _is_beyond(level, index, size) else next(given, None)
    if node is None:
        raise Tampered("the list of siblings is too short")
    return node, node


def _is_beyond(level: int, index: int, size: int) -> bool:
    return index << level >= size


def _demand_slots(size: int, slots: Collection[int]) -> None:
    _demand(0 <= size <= MAX_SIZE, f"a live tree cannot cover {size} slots")
    _demand(
        all(0 <= slot < size for slot in slots), f"a slot is beyond the {size} that are covered"
    )


def _demand(condition: bool, refusal: str) -> None:
    if not condition:
        raise Tampered(refusal)
