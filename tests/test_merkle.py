"""keys.merkle against the RFC, published trees and two other implementations.

The vectors come from `vectors/make_merkle.py`, whose recursive definitions are the reference here
too. Change a vector only together with its generator.
"""

import json
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.errors import Tampered
from keys.merkle import (
    EMPTY_ROOT,
    Hash,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    stored_count,
    stored_hashes,
    stored_index,
    tree_root,
    verify_consistency,
    verify_inclusion,
)

VECTORS_DIR = Path(__file__).parent / "vectors"
VECTORS = json.loads((VECTORS_DIR / "merkle.json").read_text(encoding="utf-8"))
REFERENCE = runpy.run_path(str(VECTORS_DIR / "make_merkle.py"))
DATA: list[bytes] = REFERENCE["DATA"]
mth: Callable[[list[bytes]], bytes] = REFERENCE["mth"]

REFUSALS = {
    "hash size": "not 32 bytes",
    "bounds": "cannot",
    "proof length": "too (long|short)|(should be|is) empty",
    "root": "another|differ",
}

# The roots of the eight leaves at sizes 0 to 8, as Certificate Transparency publishes them.
PUBLISHED_ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]

# Their complete subtrees as published, in the order in which they must be stored.
PUBLISHED_STORED = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "0298d122906dcfc10892cb53a73992fc5b9f493ea4c9badb27b791b4127a7fe7",
    "07506a85fd9dd2f120eb694f86011e5bb4662e5c415a62917033d4a9624487e7",
    "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    "4271a26be0d8a84f0bd54c8c302e7cb3a3b5d1fa6780a40bcce2873477dab658",
    "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
    "b08693ec2e721597130641e8211e7eedccb4c26413963eee6c1e2ed16ffb1a5f",
    "46f6ffadd3d06a09ff3c5860d2755c8b9819db7df44251788c7d8e3180de8eb1",
    "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
    "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


class Log:
    """A growing log kept as one append-only list of hashes."""

    def __init__(self, data: list[bytes]) -> None:
        self.data, self.stored = list[bytes](), list[Hash]()
        for entry in data:
            self.append(entry)

    def append(self, entry: bytes) -> None:
        self.stored += stored_hashes(len(self.data), leaf_hash(entry), self.read)
        self.data.append(entry)

    def read(self, index: int) -> Hash:
        return self.stored[index]

    def root(self, size: int) -> Hash:
        return tree_root(size, self.read)


def entries(count: int) -> list[bytes]:
    return [b"entry %d" % i for i in range(count)]


BIG = Log(entries(300))
SIZES = st.integers(1, 300)


def hashes(texts: list[str]) -> list[Hash]:
    return [Hash(bytes.fromhex(text)) for text in texts]


def expect(refusal: str | None, verify: Callable[[], None]) -> None:
    if refusal is None:
        verify()
    else:
        with pytest.raises(Tampered, match=REFUSALS[refusal]):
            verify()


def holds(verify: Callable[..., None], *args: object) -> bool:
    try:
        verify(*args)
    except Tampered:
        return False
    return True


# Vectors


def test_generator_reproduces_the_vectors() -> None:
    assert REFERENCE["build"]() == (VECTORS_DIR / "merkle.json").read_text(encoding="utf-8")


def test_published_roots_and_stored_order() -> None:
    log = Log(DATA)
    assert [log.root(size).hex() for size in range(9)] == PUBLISHED_ROOTS
    assert [h.hex() for h in log.stored] == PUBLISHED_STORED
    assert VECTORS["roots"] == PUBLISHED_ROOTS
    assert PUBLISHED_ROOTS[0] == EMPTY_ROOT.hex()


@pytest.mark.parametrize("case", VECTORS["inclusion"], ids=lambda case: case["name"])
def test_inclusion_vector(case: dict[str, Any]) -> None:
    (leaf,), proof, (root,) = hashes([case["leaf"]]), hashes(case["proof"]), hashes([case["root"]])
    expect(
        case["rejected_by"],
        lambda: verify_inclusion(leaf, case["index"], case["size"], proof, root),
    )


@pytest.mark.parametrize("case", VECTORS["consistency"], ids=lambda case: case["name"])
def test_consistency_vector(case: dict[str, Any]) -> None:
    old_root, new_root, *proof = hashes([case["old_root"], case["new_root"], *case["proof"]])
    expect(
        case["rejected_by"],
        lambda: verify_consistency(case["old_size"], old_root, case["new_size"], new_root, proof),
    )


def test_no_vector_is_missing() -> None:
    layers = {
        case["rejected_by"] for kind in ("inclusion", "consistency") for case in VECTORS[kind]
    }
    assert layers == {None, *REFUSALS}


# The reference


@given(st.lists(st.binary(max_size=8), max_size=40))
def test_root_and_proofs_are_those_of_the_recursive_definitions(data: list[bytes]) -> None:
    log = Log(data)
    assert log.root(len(data)) == mth(data)
    for m in range(len(data)):
        assert inclusion_proof(m, len(data), log.read) == REFERENCE["path"](m, data)
        expected = REFERENCE["subproof"](m + 1, data, whole=True)
        assert consistency_proof(m + 1, len(data), log.read) == expected


def turns(m: int, n: int) -> list[bool]:
    """The side of the sibling at each step from leaf `m` of `n` to the root: True is left."""
    if n == 1:
        return []
    k = REFERENCE["split"](n)
    return [*turns(m, k), False] if m < k else [*turns(m - k, n - k), True]


def test_an_inclusion_proof_holds_for_its_own_place_and_for_paths_of_the_same_shape_only() -> None:
    """Exhaustive to 16 leaves: in one tree no other index, in another only an identical path."""
    for size in range(1, 17):
        root = BIG.root(size)
        for index in range(size):
            proof, leaf = inclusion_proof(index, size, BIG.read), leaf_hash(BIG.data[index])
            for other_size in range(18):
                for other in range(-1, 18):
                    verdict = holds(verify_inclusion, leaf, other, other_size, proof, root)
                    same = 0 <= other < other_size
                    same = same and turns(other, other_size) == turns(index, size)
                    assert verdict == same
                    assert other_size != size or verdict == (other == index)


def implied_roots(
    m: int, n: int, old: bytes, proof: list[bytes], whole: bool = True
) -> tuple[bytes, bytes, list[bytes]] | None:
    """The two roots that a consistency proof implies, by the recursion of RFC 9162, 2.1.4.1."""
    if m == n:
        if whole:
            return old, old, proof
        return (proof[0], proof[0], proof[1:]) if proof else None
    k = REFERENCE["split"](n)
    left = m <= k
    below = (
        implied_roots(m, k, old, proof, whole)
        if left
        else implied_roots(m - k, n - k, old, proof, whole=False)
    )
    if below is None or not below[2]:
        return None
    old_below, new_below, (sibling, *rest) = below
    if left:
        return old_below, node_hash(Hash(new_below), Hash(sibling)), rest
    pair = (node_hash(Hash(sibling), Hash(h)) for h in (old_below, new_below))
    return *pair, rest  # type: ignore[return-value]


def pairs(largest: int) -> list[tuple[int, int]]:
    return [(old, new) for new in range(1, largest + 1) for old in range(1, new + 1)]


def test_consistency_verdicts_are_those_of_the_recursive_verifier() -> None:
    """Exhaustive to 12 leaves, with every other pair of sizes claimed for each proof."""
    own = 0
    for old, new in pairs(12):
        roots, proof = (BIG.root(old), BIG.root(new)), consistency_proof(old, new, BIG.read)
        for m, n in pairs(13):
            verdict = holds(verify_consistency, m, roots[0], n, roots[1], proof)
            assert verdict == (implied_roots(m, n, roots[0], list(proof)) == (*roots, []))
            own += verdict and (m, n) == (old, new)
            assert n != new or verdict == (m == old)
    assert own == 78


# Properties


@given(SIZES, st.data())
def test_every_inclusion_proof_verifies_and_every_altered_one_is_refused(
    size: int, data: st.DataObject
) -> None:
    index = data.draw(st.integers(0, size - 1))
    root, leaf = BIG.root(size), leaf_hash(BIG.data[index])
    proof = inclusion_proof(index, size, BIG.read)
    verify_inclusion(leaf, index, size, proof, root)
    other = data.draw(st.integers(-5, size + 5).filter(lambda i: i != index))
    altered = data.draw(alterations(proof))
    flipped_leaf, flipped_root = data.draw(flips(leaf)), data.draw(flips(root))
    for args in (
        (flipped_leaf, index, size, proof, root),
        (leaf, other, size, proof, root),
        (leaf, index, size, altered, root),
        (leaf, index, size, proof, flipped_root),
    ):
        with pytest.raises(Tampered):
            verify_inclusion(*args)


@given(SIZES, st.data())
def test_every_consistency_proof_verifies_and_every_altered_one_is_refused(
    new: int, data: st.DataObject
) -> None:
    old = data.draw(st.integers(1, new))
    old_root, new_root = BIG.root(old), BIG.root(new)
    proof = consistency_proof(old, new, BIG.read)
    verify_consistency(old, old_root, new, new_root, proof)
    other = data.draw(st.integers(-5, new + 5).filter(lambda i: i not in (0, old)))
    altered = data.draw(alterations(proof))
    for args in (
        (old, data.draw(flips(old_root)), new, new_root, proof),
        (other, old_root, new, new_root, proof),
        (old, old_root, new, data.draw(flips(new_root)), proof),
        (old, old_root, new, new_root, altered),
    ):
        with pytest.raises(Tampered):
            verify_consistency(*args)


@given(SIZES, SIZES, st.data())
def test_a_rewritten_past_has_no_consistency_proof(a: int, b: int, data: st.DataObject) -> None:
    """A log that changed one old entry cannot prove that it grew from the honest one."""
    old, new = sorted((a, b))
    forged = entries(new)
    forged[data.draw(st.integers(0, old - 1))] = b"rewritten"
    other = Log(forged)
    with pytest.raises(Tampered):
        verify_consistency(
            old, BIG.root(old), new, other.root(new), consistency_proof(old, new, other.read)
        )


def flips(value: Hash) -> st.SearchStrategy[Hash]:
    """The hash with one bit changed."""
    bits = st.integers(0, 255)
    return bits.map(lambda i: Hash((int.from_bytes(value) ^ 1 << i).to_bytes(32)))


@st.composite
def alterations(draw: st.DrawFn, proof: list[Hash]) -> list[Hash]:
    """The proof with a bit flipped, a hash added, left out, doubled, or two exchanged."""
    at = draw(st.integers(0, max(len(proof) - 1, 0)))
    ways = [[*proof[:at], leaf_hash(b"added"), *proof[at:]], [*proof, leaf_hash(b"after")]]
    if proof:
        ways.append([*proof[:at], draw(flips(proof[at])), *proof[at + 1 :]])
        ways.append([*proof[:at], *proof[at + 1 :]])
        ways.append([*proof[: at + 1], *proof[at:]])
    if len(proof) > 1:
        ways.append(proof[::-1])
    return draw(st.sampled_from(ways))


# The stored order


@given(SIZES)
def test_stored_order_is_dense_and_append_only(size: int) -> None:
    places = {}
    for level in range(size.bit_length()):
        for n in range(size >> level):
            places[stored_index(level, n)] = mth(BIG.data[n << level : (n + 1) << level])
    assert sorted(places) == list(range(stored_count(size)))
    assert [places[i] for i in range(len(places))] == BIG.stored[: stored_count(size)]


@given(st.integers(1, 2**62), st.data())
def test_everything_is_answered_with_logarithmically_many_reads(
    size: int, data: st.DataObject
) -> None:
    reads: list[int] = []

    def read(index: int) -> Hash:
        assert 0 <= index < stored_count(size)
        reads.append(index)
        return EMPTY_ROOT

    index, old = data.draw(st.integers(0, size - 1)), data.draw(st.integers(1, size))
    for ask, most in (
        (lambda: tree_root(size, read), 1),
        (lambda: inclusion_proof(index, size, read), 2),
        (lambda: consistency_proof(old, size, read), 3),
    ):
        reads.clear()
        ask()
        assert len(reads) <= most * size.bit_length()
    reads.clear()
    appended = stored_hashes(size, EMPTY_ROOT, read)
    assert len(reads) == len(appended) - 1 <= size.bit_length()
    assert stored_count(size) + len(appended) == stored_count(size + 1)


@pytest.mark.parametrize(
    "ask",
    [
        lambda: tree_root(-1, BIG.read),
        lambda: inclusion_proof(3, 3, BIG.read),
        lambda: inclusion_proof(-1, 3, BIG.read),
        lambda: consistency_proof(4, 3, BIG.read),
        lambda: consistency_proof(-1, 3, BIG.read),
    ],
)
def test_nothing_is_proved_of_what_is_not_there(ask: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match=r"negative|is not in|cannot become"):
        ask()


# Other implementations


def test_roots_are_those_of_pymerkle() -> None:
    pymerkle = pytest.importorskip("pymerkle")
    tree = pymerkle.InmemoryTree(algorithm="sha256")
    for size, entry in enumerate(BIG.data, start=1):
        tree.append_entry(entry)
        assert tree.get_root() == BIG.root(size)


def test_roots_and_proofs_are_those_of_aics_tlog() -> None:
    """A second implementation of these C2SP formats (Apache-2.0); it needs Python 3.12."""
    aics_tlog = pytest.importorskip("aics_tlog")
    tree = aics_tlog.MerkleTree(BIG.data[:100])
    for size in range(1, 101):
        root = BIG.root(size)
        assert root == tree.root(size)
        for m in range(size):
            proof, leaf = inclusion_proof(m, size, BIG.read), leaf_hash(BIG.data[m])
            assert proof == list(tree.inclusion_proof(m, size))
            assert aics_tlog.verify_inclusion(leaf, m, size, proof, root)
            grown = consistency_proof(m + 1, size, BIG.read)
            assert grown == list(tree.consistency_proof(m + 1, size))
            assert aics_tlog.verify_consistency(m + 1, size, tree.root(m + 1), root, grown)
