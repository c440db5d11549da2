"""The Merkle tree of an append-only log: hashes, proofs and their verification (RFC 9162, 2.1).

It promises that a proof made here verifies, that a verifier returns only when the proof holds and
otherwise raises `Tampered`, and that one append-only list of 32-byte hashes answers everything in
O(log n) reads. It holds no state and touches no disk: `read` is given by the caller. Nothing here
may be changed without the vectors of `tests/vectors/merkle.json`, which pin it to the RFC.
"""

from collections.abc import Callable, Sequence
from functools import reduce
from hashlib import sha256
from typing import NewType

from keys.errors import Tampered

Hash = NewType("Hash", bytes)
"""A SHA-256 value: exactly 32 bytes."""

HASH_SIZE = 32
EMPTY_ROOT = Hash(sha256(b"").digest())
"""The root of the tree without leaves (RFC 9162, 2.1.1)."""


def leaf_hash(data: bytes) -> Hash:
    """Hash one entry as a leaf: SHA-256(0x00 || data) (RFC 9162, 2.1.1)."""
    return Hash(sha256(b"\x00" + data).digest())


def node_hash(left: Hash, right: Hash) -> Hash:
    """Hash two children as an interior node: SHA-256(0x01 || left || right) (RFC 9162, 2.1.1)."""
    return Hash(sha256(b"\x01" + left + right).digest())


# The stored order. Every complete subtree is written once, right after the leaf that completes it:
# leaf 0, leaf 1, node(0..1), leaf 2, leaf 3, node(2..3), node(0..3), leaf 4, ... Nothing is ever
# rewritten. (Crosby and Wallach 2009, 3.3; Go's golang.org/x/mod/sumdb/tlog.)


def stored_count(size: int) -> int:
    """Count the hashes stored for a log of `size` leaves."""
    # One per leaf and one per complete pair at each level: size + size//2 + size//4 + ...
    return 2 * size - size.bit_count()


def stored_index(level: int, n: int) -> int:
    """Give the position of the `n`-th complete subtree of 2**level leaves in the stored order."""
    last_leaf = ((n + 1) << level) - 1
    return stored_count(last_leaf) + level


def stored_hashes(n: int, leaf: Hash, read: Callable[[int], Hash]) -> list[Hash]:
    """Return the hashes to append for leaf number `n`: the leaf, then each subtree it completes."""
    hashes = [leaf]
    # Each trailing 1 bit of n means that this subtree is a right child: its parent is complete.
    while n & 1:
        left = read(stored_index(len(hashes) - 1, n - 1))
        hashes.append(node_hash(left, hashes[-1]))
        n >>= 1
    return hashes


def tree_root(size: int, read: Callable[[int], Hash]) -> Hash:
    """Return the root of the first `size` leaves."""
    _require(size >= 0, f"a tree has no negative size: {size}")
    return _range_root(0, size, read) if size else EMPTY_ROOT


def inclusion_proof(index: int, size: int, read: Callable[[int], Hash]) -> list[Hash]:
    """Prove leaf `index` in the tree of `size` leaves, from its sibling up (RFC 9162, 2.1.3.1).

    Raises ValueError when there is no such leaf.
    """
    _require(0 <= index < size, f"leaf {index} is not in a tree of {size} leaves")
    return _path(index, 0, size, read)


def consistency_proof(old_size: int, new_size: int, read: Callable[[int], Hash]) -> list[Hash]:
    """Prove that the old tree is a prefix of the new one (RFC 9162, 2.1.4.1).

    Empty when the old tree is empty or the sizes are equal. Raises ValueError when it is larger.
    """
    _require(0 <= old_size <= new_size, f"a log of {old_size} cannot become one of {new_size}")
    return _subproof(old_size, 0, new_size, read) if old_size else []


def verify_inclusion(leaf: Hash, index: int, size: int, proof: Sequence[Hash], root: Hash) -> None:
    """Return only if `proof` leads from `leaf` at `index` to `root` (RFC 9162, 2.1.3.2).

    `size` must come with `root` from one signed checkpoint: a path alone does not bind the size,
    because trees of neighbouring sizes can have paths of the same shape. Raises Tampered.
    """
    _demand_hashes(leaf, root, *proof)
    _demand(0 <= index < size, f"leaf {index} cannot be in a tree of {size} leaves")
    fn, sn, r = index, size - 1, leaf
    for p in proof:
        _demand(sn != 0, "the inclusion proof is too long")
        if fn & 1 or fn == sn:
            r = node_hash(p, r)
            fn, sn = _skip_unpaired(fn, sn)
        else:
            r = node_hash(r, p)
        fn, sn = fn >> 1, sn >> 1
    _demand(sn == 0, "the inclusion proof is too short")
    _demand(r == root, f"the inclusion proof of leaf {index} leads to another root")


def verify_consistency(
    old_size: int, old_root: Hash, new_size: int, new_root: Hash, proof: Sequence[Hash]
) -> None:
    """Return only if `proof` shows the old tree to be a prefix of the new (RFC 9162, 2.1.4.2).

    Each size must come with its root from one signed checkpoint. The RFC leaves an empty old tree
    undefined: here it must have `EMPTY_ROOT`, and its proof is empty. Raises Tampered.
    """
    _demand_hashes(old_root, new_root, *proof)
    _demand(0 <= old_size <= new_size, f"a log of {old_size} cannot become one of {new_size}")
    if old_size in (0, new_size):
        _demand(not proof, "the consistency proof should be empty")
        _demand(old_size > 0 or old_root == EMPTY_ROOT, "an empty tree has another root")
        _demand(old_size < new_size or old_root == new_root, "two trees of one size differ")
        return
    implied_old, implied_new = _replay(old_size, old_root, new_size, proof)
    _demand(implied_old == old_root, "the consistency proof leads to another old root")
    _demand(implied_new == new_root, "the consistency proof leads to another new root")


def _replay(
    old_size: int, old_root: Hash, new_size: int, proof: Sequence[Hash]
) -> tuple[Hash, Hash]:
    """Run steps 2 to 6 of RFC 9162, 2.1.4.2: the old and the new root that the proof implies."""
    whole = old_size & (old_size - 1) == 0  # the old tree is one complete subtree of the new
    path = [old_root, *proof] if whole else list(proof)
    _demand(len(proof) > 0, "the consistency proof is empty")
    fn, sn = old_size - 1, new_size - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    fr = sr = path[0]
    for c in path[1:]:
        _demand(sn != 0, "the consistency proof is too long")
        if fn & 1 or fn == sn:
            fr, sr = node_hash(c, fr), node_hash(c, sr)
            fn, sn = _skip_unpaired(fn, sn)
        else:
            sr = node_hash(sr, c)
        fn, sn = fn >> 1, sn >> 1
    _demand(sn == 0, "the consistency proof is too short")
    return fr, sr


def _skip_unpaired(fn: int, sn: int) -> tuple[int, int]:
    """Skip the levels at which the last subtree has no sibling and moves up unchanged."""
    while fn and not fn & 1:
        fn, sn = fn >> 1, sn >> 1
    return fn, sn


def _path(m: int, lo: int, hi: int, read: Callable[[int], Hash]) -> list[Hash]:
    """PATH(m, D[lo:hi]) of RFC 9162, 2.1.3.1; `m` counts from the start of the log."""
    if hi - lo == 1:
        return []
    mid = lo + _split(hi - lo)
    if m < mid:
        return [*_path(m, lo, mid, read), _range_root(mid, hi, read)]
    return [*_path(m, mid, hi, read), _range_root(lo, mid, read)]


def _subproof(m: int, lo: int, hi: int, read: Callable[[int], Hash]) -> list[Hash]:
    """SUBPROOF(m, D[lo:hi], lo == 0) of RFC 9162, 2.1.4.1; `m` counts from the start of the log."""
    if m == hi:
        # The verifier knows this subtree's hash only when it is the whole old tree.
        return [_range_root(lo, hi, read)] if lo else []
    mid = lo + _split(hi - lo)
    if m <= mid:
        return [*_subproof(m, lo, mid, read), _range_root(mid, hi, read)]
    return [*_subproof(m, mid, hi, read), _range_root(lo, mid, read)]


def _split(n: int) -> int:
    """The largest power of two smaller than `n`, for n > 1 (RFC 9162, 2.1.1)."""
    return 1 << (n - 1).bit_length() - 1


def _range_root(lo: int, hi: int, read: Callable[[int], Hash]) -> Hash:
    """MTH(D[lo:hi]) from the complete subtrees of a non-empty range that starts on a subtree."""
    peaks = []
    while lo < hi:
        level = (hi - lo).bit_length() - 1
        peaks.append(read(stored_index(level, lo >> level)))
        lo += 1 << level
    return reduce(lambda right, left: node_hash(left, right), reversed(peaks))


def _require(condition: bool, refusal: str) -> None:
    if not condition:
        raise ValueError(refusal)


def _demand(condition: bool, refusal: str) -> None:
    if not condition:
        raise Tampered(refusal)


def _demand_hashes(*hashes: bytes) -> None:
    # Without this a byte could move from one child to its neighbour and leave the node unchanged.
    _demand(all(len(h) == HASH_SIZE for h in hashes), "a hash is not 32 bytes long")
