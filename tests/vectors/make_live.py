"""Writes live.json: roots of live trees, changes with their proofs, and mutants of these.

It computes with the definitions, top down and by recursion, and shares no code with `keys.live`.
Run it to write the file again; a test checks that it reproduces the file byte for byte. All
commitments are made up: SHA-256 of `commitment N`.
"""

import json
from collections.abc import Iterable, Iterator
from functools import cache
from hashlib import sha256
from pathlib import Path

Case = dict[str, object]
Live = dict[int, bytes]
END = 2**63


def commitment(slot: int) -> bytes:
    """The commitment that a slot has in all vectors."""
    return sha256(b"commitment %d" % slot).digest()


def some(slots: Iterable[int]) -> Live:
    """These slots, living under their commitments."""
    return {slot: commitment(slot) for slot in slots}


# The definitions.


@cache
def empty(level: int) -> bytes:
    """The node over empty leaves alone."""
    if level == 0:
        return sha256(b"\x00").digest()
    return sha256(b"\x01" + empty(level - 1) + empty(level - 1)).digest()


def node(level: int, index: int, live: Live) -> bytes:
    """The node over the leaves from index * 2^level on, 2^level of them."""
    below = {slot: c for slot, c in live.items() if slot >> level == index}
    if not below:
        return empty(level)
    if level == 0:
        return sha256(b"\x00" + below[index]).digest()
    left, right = (node(level - 1, child, below) for child in (2 * index, 2 * index + 1))
    return sha256(b"\x01" + left + right).digest()


def depth(size: int) -> int:
    """The least depth whose leaves cover the slots."""
    levels = 0
    while 2**levels < size:
        levels += 1
    return levels


def bound(size: int, topmost: bytes) -> bytes:
    """The root: the topmost node bound to the size."""
    return sha256(b"\x02" + size.to_bytes(8, "big") + topmost).digest()


def root(size: int, live: Live) -> bytes:
    """The root of `size` slots of which these live."""
    return bound(size, node(depth(size), 0, live))


def places(level: int, index: int, size: int, slots: list[int]) -> Iterator[tuple[int, int]]:
    """The nodes to be listed at or below one node, top down."""
    if not any(slot >> level == index for slot in slots):
        if index * 2**level < size:
            yield level, index
    elif level > 0:
        yield from places(level - 1, 2 * index, size, slots)
        yield from places(level - 1, 2 * index + 1, size, slots)


def proof(size: int, slots: list[int], live: Live) -> list[bytes]:
    """The proof of a change of these slots."""
    there = sorted(places(depth(size), 0, size, slots))
    return [node(level, index, live) for level, index in there]


# The cases. `rejected_by` names the check that must refuse, null means accepted: "slots",
# "commitment size", "sibling size", "too short", "too long", "before" or "after".


def case(
    name: str,
    size: int,
    erased: Live,
    siblings: list[bytes],
    roots: tuple[bytes, bytes],
    rejected_by: str | None,
) -> Case:
    """One case; slots are text, because they may need 63 bits."""
    return {
        "name": name,
        "size": str(size),
        "erased": {str(slot): c.hex() for slot, c in erased.items()},
        "siblings": [sibling.hex() for sibling in siblings],
        "before": roots[0].hex(),
        "after": roots[1].hex(),
        "rejected_by": rejected_by,
    }


def without(live: Live, slots: Iterable[int]) -> Live:
    """The slots that live on."""
    gone = set(slots)
    return {slot: c for slot, c in live.items() if slot not in gone}


def flip(value: bytes) -> bytes:
    """The same bytes but for one bit."""
    return bytes([value[0] ^ 0x80]) + value[1:]


CHANGES: list[tuple[str, int, Live, list[int]]] = [
    ("the only slot", 1, some([0]), [0]),
    ("one of two", 2, some(range(2)), [1]),
    ("the last of three", 3, some(range(3)), [2]),
    ("first and last of five", 5, some(range(5)), [0, 4]),
    ("a slot amid empty ones", 6, some([3]), [3]),
    ("a pair", 8, some(range(8)), [4, 5]),
    ("all of eight", 8, some(range(8)), list(range(8))),
    ("the ninth", 9, some(range(9)), [8]),
    ("five of 300, half of them live", 300, some(range(0, 300, 2)), [0, 2, 254, 256, 298]),
    ("first and last of all slots", END, some([0, 1, END - 1]), [0, END - 1]),
]


def build_changes() -> Iterator[Case]:
    """Every change, accepted, and the mutants of the small ones."""
    for name, size, live, slots in CHANGES:
        erased = {slot: live[slot] for slot in slots}
        roots = root(size, live), root(size, without(live, slots))
        siblings = proof(size, slots, live)
        yield case(f"{name}: holds", size, erased, siblings, roots, None)
        if size > 9:
            continue
        yield from altered_proofs(name, size, erased, siblings, roots)
        yield from altered_slots(name, size, erased, siblings, roots)
        yield from altered_roots(name, size, erased, siblings, roots)
    yield from further()


def altered_proofs(
    of: str, size: int, erased: Live, siblings: list[bytes], roots: tuple[bytes, bytes]
) -> Iterator[Case]:
    """Siblings more, fewer, changed, exchanged, cut."""
    extra = empty(0)
    yield case(f"{of}: a sibling more", size, erased, [*siblings, extra], roots, "too long")
    if not siblings:
        return
    yield case(f"{of}: no siblings", size, erased, [], roots, "too short")
    yield case(f"{of}: without the last", size, erased, siblings[:-1], roots, "too short")
    yield case(f"{of}: without the first", size, erased, siblings[1:], roots, "too short")
    yield case(f"{of}: one more first", size, erased, [extra, *siblings], roots, "too long")
    cut = [*siblings[:-1], siblings[-1][:31]]
    yield case(f"{of}: a sibling of 31 bytes", size, erased, cut, roots, "sibling size")
    for i in sorted({0, len(siblings) // 2, len(siblings) - 1}):
        changed = [*siblings[:i], flip(siblings[i]), *siblings[i + 1 :]]
        yield case(f"{of}: a bit in sibling {i}", size, erased, changed, roots, "before")
    if siblings[::-1] != siblings:
        yield case(f"{of}: siblings reversed", size, erased, siblings[::-1], roots, "before")


def altered_slots(
    of: str, size: int, erased: Live, siblings: list[bytes], roots: tuple[bytes, bytes]
) -> Iterator[Case]:
    """Other slots, other commitments."""
    first, last = min(erased), max(erased)
    rest = without(erased, [last])
    other = {**erased, first: flip(erased[first])}
    yield case(f"{of}: a bit in a commitment", size, other, siblings, roots, "before")
    short = {**erased, first: erased[first][:31]}
    yield case(f"{of}: short commitment", size, short, siblings, roots, "commitment size")
    none = {**erased, first: b""}
    yield case(f"{of}: no commitment", size, none, siblings, roots, "commitment size")
    beyond = {**rest, size: erased[last]}
    yield case(f"{of}: a slot beyond", size, beyond, siblings, roots, "slots")
    below = {**rest, -1: erased[last]}
    yield case(f"{of}: a slot below zero", size, below, siblings, roots, "slots")
    yield case(f"{of}: no slot", size, {}, siblings, roots, "slots")
    yield case(f"{of}: no slots covered", 0, erased, siblings, roots, "slots")


def altered_roots(
    of: str, size: int, erased: Live, siblings: list[bytes], roots: tuple[bytes, bytes]
) -> Iterator[Case]:
    """Other roots."""
    before, after = roots
    yield case(f"{of}: a bit before", size, erased, siblings, (flip(before), after), "before")
    yield case(f"{of}: a bit after", size, erased, siblings, (before, flip(after)), "after")
    yield case(f"{of}: roots exchanged", size, erased, siblings, (after, before), "before")
    yield case(f"{of}: nothing changed", size, erased, siblings, (before, before), "after")


def further() -> Iterator[Case]:
    """What else a forger could try, on a tree of six slots of which 0 to 4 live."""
    size, live = 6, some(range(5))
    erased, siblings = some([1]), proof(6, [1], live)
    before, after = root(6, live), root(6, without(live, [1]))
    both = root(size, without(live, [1, 3]))
    yield case("another slot went too", size, erased, siblings, (before, both), "after")
    both_proof = proof(size, [1], without(live, [3]))
    yield case("the same, later siblings", size, erased, both_proof, (before, both), "before")
    new = root(size, {**live, 1: commitment(99)})
    yield case("a new key instead of none", size, erased, siblings, (before, new), "after")
    came = root(size, {**without(live, [1]), 5: commitment(5)})
    yield case("another slot came", size, erased, siblings, (before, came), "after")
    dead = root(size, without(live, [1]))
    yield case("it was empty before", size, erased, siblings, (dead, after), "before")
    two = {**erased, 3: commitment(3)}
    two_proof = proof(size, [1, 3], live)
    yield case("one slot too many claimed", size, two, two_proof, (before, after), "after")
    moved = {0: commitment(1)}
    yield case("its neighbour claimed", size, moved, siblings, (before, after), "before")
    listed = [*siblings, empty(1)]
    yield case("what lies beyond is listed", size, erased, listed, (before, after), "too long")
    for claimed in (5, 7, 8):  # the same depth, and here the same siblings
        yield case(f"size {claimed}", claimed, erased, siblings, (before, after), "before")
    yield case("size 4: half as deep", 4, erased, siblings, (before, after), "too long")
    yield case("size 9: deeper", 9, erased, siblings, (before, after), "too short")
    deeper = [*siblings, empty(3)]
    yield case("size 9: with a sibling", 9, erased, deeper, (before, after), "before")
    yield case("size beyond all slots", END + 1, erased, siblings, (before, after), "slots")
    tops = node(3, 0, live), node(3, 0, without(live, [1]))
    yield case("roots without their size", size, erased, siblings, tops, "before")
    pair = {0: node(0, 0, live) + node(0, 1, live)}
    upper = siblings[1:]
    yield case("a node as a commitment", 3, pair, upper, (before, after), "commitment size")


def roots() -> Iterator[Case]:
    """Roots of trees."""
    for size, live in [
        (0, {}),
        *((size, some(range(size))) for size in (1, 2, 3, 4, 5, 8, 9, 257)),
        (1, {}),
        (2, {}),
        (5, {}),
        (257, {}),
        (4, some(range(3))),
        (5, some(range(3))),
        (300, some(range(0, 300, 7))),
    ]:
        yield {"size": size, "live": sorted(live), "root": root(size, live).hex()}


def build() -> str:
    """The whole file."""
    vectors = {
        "about": "The live tree. Made by make_live.py. A live slot N has the commitment "
        "SHA-256('commitment N'). rejected_by names the check that must refuse.",
        "empty": [empty(level).hex() for level in range(64)],
        "roots": list(roots()),
        "changes": list(build_changes()),
    }
    return json.dumps(vectors, indent=1) + "\n"


if __name__ == "__main__":
    Path(__file__).with_name("live.json").write_text(build(), encoding="utf-8")
