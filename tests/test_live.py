"""keys.live against its vectors, the definitions, and everything that a forger could alter.

The vectors come from `vectors/make_live.py`, whose recursive definitions are the reference here
too. Change a vector only together with its generator.
"""

import json
import runpy
from collections.abc import Callable, Mapping
from itertools import chain, combinations, product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys import live
from keys.errors import Tampered
from keys.live import EMPTY, leaf_of, prove, roots_from, verify_change
from keys.merkle import Hash, leaf_hash, node_hash
from keys.model import Commitment

VECTORS_DIR = Path(__file__).parent / "vectors"
VECTORS = json.loads((VECTORS_DIR / "live.json").read_text(encoding="utf-8"))
REFERENCE = runpy.run_path(str(VECTORS_DIR / "make_live.py"))
Live = dict[int, Commitment]
some: Callable[..., Live] = REFERENCE["some"]
reference_root: Callable[[int, Live], Hash] = REFERENCE["root"]
reference_node: Callable[[int, int, Live], Hash] = REFERENCE["node"]

REFUSALS = {
    "slots": "a slot is beyond|a change of no slot|cannot cover",
    "commitment size": "commitment is not 32",
    "sibling size": "sibling is not 32",
    "too short": "siblings is too short",
    "too long": "siblings is too long",
    "before": "another live root before",
    "after": "another live root after",
}


def proof_of(size: int, slots: list[int], living: Live) -> tuple[Hash, ...]:
    return prove(size, slots, lambda level, index: reference_node(level, index, living))


def without(living: Live, slots: Mapping[int, object] | list[int]) -> Live:
    return {slot: c for slot, c in living.items() if slot not in slots}


# Vectors


def test_generator_reproduces_the_vectors() -> None:
    assert REFERENCE["build"]() == (VECTORS_DIR / "live.json").read_text(encoding="utf-8")


@pytest.mark.parametrize("case", VECTORS["changes"], ids=lambda case: case["name"])
def test_change_vector(case: dict[str, Any]) -> None:
    erased = {int(slot): Commitment(bytes.fromhex(c)) for slot, c in case["erased"].items()}
    before, after, *siblings = (
        Hash(bytes.fromhex(h)) for h in (case["before"], case["after"], *case["siblings"])
    )
    if case["rejected_by"] is None:
        verify_change(int(case["size"]), erased, siblings, before, after)
        return
    with pytest.raises(Tampered, match=REFUSALS[case["rejected_by"]]):
        verify_change(int(case["size"]), erased, siblings, before, after)


@pytest.mark.parametrize("case", VECTORS["roots"], ids=lambda case: f"{case['size']} slots")
def test_root_vector(case: dict[str, Any]) -> None:
    assert live.root(case["size"], some(case["live"])).hex() == case["root"]


def test_empty_nodes_are_those_of_the_vectors() -> None:
    assert [live.empty_node(level).hex() for level in range(64)] == VECTORS["empty"]


def test_no_vector_is_missing() -> None:
    assert {case["rejected_by"] for case in VECTORS["changes"]} == {None, *REFUSALS}


# Properties


@st.composite
def changes(draw: st.DrawFn, largest: int = 70) -> tuple[int, Live, Live]:
    """A size, who lives before, and who of these is erased."""
    size = draw(st.integers(1, largest))
    living = some(draw(st.sets(st.integers(0, size - 1), min_size=1)))
    erased = draw(st.sets(st.sampled_from(sorted(living)), min_size=1))
    return size, living, {slot: living[slot] for slot in erased}


@given(changes())
def test_every_change_verifies_and_its_roots_are_those_of_the_definitions(
    change: tuple[int, Live, Live],
) -> None:
    size, living, erased = change
    before, after = reference_root(size, living), reference_root(size, without(living, erased))
    assert (live.root(size, living), live.root(size, without(living, erased))) == (before, after)
    siblings = proof_of(size, list(erased), living)
    assert list(siblings) == REFERENCE["proof"](size, sorted(erased), living)
    verify_change(size, erased, siblings, before, after)


@given(changes(), st.data())
def test_every_altered_change_is_refused(
    change: tuple[int, Live, Live], data: st.DataObject
) -> None:
    size, living, erased = change
    before, after = reference_root(size, living), reference_root(size, without(living, erased))
    siblings = list(proof_of(size, list(erased), living))
    slot = data.draw(st.sampled_from(sorted(erased)))
    other_size = data.draw(st.integers(0, 200).filter(lambda n: n != size))
    other_slot = data.draw(st.integers(-3, size + 3).filter(lambda n: n not in erased))
    moved = {**without(erased, [slot]), other_slot: erased[slot]}
    more = {**erased, other_slot: some([other_slot])[other_slot]}
    flipped = {**erased, slot: Commitment(data.draw(flips(erased[slot])))}
    for args in (
        (other_size, erased, siblings, before, after),
        (size, moved, siblings, before, after),
        (size, more, siblings, before, after),
        (size, without(erased, [slot]), siblings, before, after),
        (size, flipped, siblings, before, after),
        (size, erased, data.draw(alterations(siblings)), before, after),
        (size, erased, siblings, Hash(data.draw(flips(before))), after),
        (size, erased, siblings, before, Hash(data.draw(flips(after)))),
        (size, erased, siblings, after, before),
    ):
        with pytest.raises(Tampered):
            verify_change(*args)


def flips(value: bytes) -> st.SearchStrategy[bytes]:
    """The value with one bit changed."""
    bits = st.integers(0, 255)
    return bits.map(lambda i: (int.from_bytes(value) ^ 1 << i).to_bytes(32))


@st.composite
def alterations(draw: st.DrawFn, proof: list[Hash]) -> list[Hash]:
    """The proof with a bit flipped, a byte moved, a hash added, left out, or two exchanged."""
    at = draw(st.integers(0, max(len(proof) - 1, 0)))
    ways = [[*proof[:at], EMPTY, *proof[at:]], [*proof, EMPTY]]
    if proof:
        ways.append([*proof[:at], Hash(draw(flips(proof[at]))), *proof[at + 1 :]])
        ways.append([*proof[:at], *proof[at + 1 :]])
        ways.append([*proof[: at + 1], *proof[at:]])
        ways.append([*proof[:at], Hash(proof[at] + b"\0"), *proof[at + 1 :]])
    if proof[::-1] != proof:
        ways.append(proof[::-1])
    return draw(st.sampled_from(ways))


def subsets(slots: list[int]) -> list[tuple[int, ...]]:
    return list(chain.from_iterable(combinations(slots, n) for n in range(len(slots) + 1)))


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_a_change_is_shown_only_by_the_slots_that_changed_and_by_one_proof(size: int) -> None:
    """Exhaustive: each tree before, each after, each claim, with the siblings of each tree."""
    trees = [some(slots) for slots in subsets(list(range(size)))]
    shown = 0
    for claim, tree, other in product(trees[1:], trees, trees):
        roots = reference_root(size, tree), reference_root(size, other)
        is_true = without(tree, claim) == other and claim.items() <= tree.items()
        own = proof_of(size, list(claim), tree)
        for proof in {proof_of(size, list(claim), each) for each in trees}:
            held = holds(size, claim, proof, *roots)
            assert held == (is_true and proof == own)
            shown += held
    assert shown == 3**size - 2**size  # a slot stays empty, stays live or is erased; some are


def holds(size: int, claim: Live, proof: tuple[Hash, ...], before: Hash, after: Hash) -> bool:
    try:
        verify_change(size, claim, proof, before, after)
    except Tampered:
        return False
    return True


# Sizes and forms that must not be taken for one another


@given(st.integers(0, 60), st.integers(0, 60), st.sets(st.integers(0, 59)))
def test_no_two_sizes_have_the_same_root(one: int, two: int, slots: set[int]) -> None:
    living = some(slot for slot in slots if slot < min(one, two))
    assert (live.root(one, living) == live.root(two, living)) == (one == two)


def test_an_empty_leaf_is_no_commitment_and_no_node() -> None:
    assert bytes(32) != EMPTY
    with pytest.raises(Tampered, match="32 bytes"):
        leaf_of(Commitment(b""))  # its hash would be EMPTY
    assert leaf_hash(b"") == EMPTY
    assert len({live.empty_node(level) for level in range(64)}) == 64


def test_the_deepest_tree_is_proved_as_quickly_as_a_small_one() -> None:
    size, slots = live.MAX_SIZE, [0, 1, 2**40, 2**63 - 1]
    living = some([*slots, 5])
    siblings = proof_of(size, slots, living)
    before, after = roots_from(size, {s: (leaf_of(living[s]), EMPTY) for s in slots}, siblings)
    assert before == reference_root(size, living)
    assert after == reference_root(size, some([5]))
    assert len(siblings) < 4 * 63


@pytest.mark.parametrize("slots", [[], [3, 3], [5], [-1], [0, 5]])
def test_there_is_no_proof_for_what_is_not_there(slots: list[int]) -> None:
    with pytest.raises(ValueError, match="expected distinct slots from 0 to 4"):
        prove(5, slots, lambda _level, _index: EMPTY)


def test_only_the_nodes_of_the_proof_are_read() -> None:
    read: list[tuple[int, int]] = []

    def read_node(level: int, index: int) -> Hash:
        read.append((level, index))
        return EMPTY

    prove(300, [0, 1, 255, 299], read_node)
    assert read == sorted(read)
    assert len(set(read)) == len(read)
    assert all(index << level < 300 for level, index in read)


# What the hashes are made of


def test_a_tree_of_three_slots_by_hand() -> None:
    """The definition written out: slots 0 and 2 live, 1 was erased, 3 is beyond."""
    c = some([0, 2])
    left = node_hash(leaf_hash(c[0]), EMPTY)
    right = node_hash(leaf_hash(c[2]), EMPTY)
    assert live.root(3, c) == live.root_of(3, node_hash(left, right))
    assert proof_of(3, [2], c) == (left,)  # slot 3 lies beyond and is not listed
    assert proof_of(3, [0], c) == (EMPTY, right)  # slot 1 is empty, but a slot
