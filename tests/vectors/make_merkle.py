"""Writes merkle.json: the tree of RFC 9162 as eight published leaves, their proofs, and mutants.

It computes with the recursive definitions of the RFC and shares no code with `keys.merkle`. Run it
to write the file again; a test checks that it reproduces the file byte for byte.

Published values: leaves, roots and proof pairs are those of Certificate Transparency's reference
tests (Apache-2.0, github.com/transparency-dev/merkle, testonly/constants.go and
proof/verify_test.go); `argon2020` is what Google's CT log of that name answered (BSD-3-Clause,
golang.org/x/mod, sumdb/tlog/testdata), the leaf given by its hash.
"""

import json
from base64 import b64decode
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

Case = dict[str, object]

LEAVES = [
    "",
    "00",
    "10",
    "2021",
    "3031",
    "40414243",
    "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
]
DATA = [bytes.fromhex(leaf) for leaf in LEAVES]
SOME_HASH = bytes.fromhex("abacaba000000000000000000000000000000000000000000060061e00123456")

ARGON_LEAF = "nCs3mfIydh9x4CKyQ+u2xtmpxmFggA5MLymHwNQSlLg="
ARGON_INDEX = 10000
ARGON_SIZE = 961984013
ARGON_ROOT = "dwlueapdd7LaOEnX2W2Wp9v2XE+KzejHRQGHwEx0oaM="
ARGON_OLD_SIZE = 3654490
ARGON_OLD_ROOT = "AuIZ5V6sDUj1vn3Y1K85oOaQ7y+FJJKtyRTl1edIKBQ="
ARGON_INCLUSION = """
T46AmJsuOM/gFiGlUp+IJJebp+1Z5qratFNW7U0JyOQ= 9Jj1Feodn42uRYEfffkV4HF/EIPFQ5Zo9IwkxbQ2uhk=
D53/1oCNebF4J59HHgioovKZxrmrKcVuCVhy3Izg8Ck= wSFDgGSrsXRPA+1c8WHoAFCsWeUv8NDyP/Q/SgsyVyY=
516/RcwsgdwdzHn18v1dJHqBkgFUbNhmCIWOGjsMJaE= naTFY2ajLFgrgs5XUl+zJYZnnlJksLGsA1VYwpLfqbY=
mKBRJo6qao+0Kdh/rhGkZUbHUAxMhrtrclrTpIbNjIg= Co4ueOFE7lpifLio94irxxsv1wFMMaK3tPu2ZQkHlro=
yRgy800K6JMYCC05sWfqF2kvCg2riT/pVM+nEa6V5+0= n2O38XJZC8/Wpbwi9HhgVizlUyeUHVZvYyQB1607MRc=
go3tAjuNfNSCj87y2Rg1xOroDknGN1eaf3cgvzObf7Q= 8D0Mj3/J7ySSnFb0afIHYXv6rlOhECnsebY6XKi1IR8=
6rcez46ZU8M5vPiWVMAUfJfAOV0pPP/mch/lYzZhj/M= 2rtIeXrPvSdUyHc5maIgSAVB2BzaKaupWxSAiVayDE4=
nniW/IMFQPN5xw8UsHFn7CRStYbm1gLu7NNa6kkRqJQ= mRPPi7sQS22MduIEyvcNzCNFqIt6kLwYPkNKrVtIcu8=
JvTivzESNS9wHI8aph5a7uieVmtS/p9PciMZ5D6GyOo= UTyQd+Ym0wY4zG+qK806bBORwi1CSVvFQ/KknnqoZj8=
hXODrqN+ff+U6zPqRQ+ZQKs6im1fPcxIerDSfNwflhE= II6GE+WY/DrpZzfHztLwkR46o37zVkNLCyPYlf68zA0=
d609kWWcNBllbA8Jb/ad4XAVVGnScLRmtP8FYyr+Dck= rikBsP0G0gioXRpBFED2CzQdSLrGPvRd0bEcbEZw1rI=
GXIElfmnRuWfbA4z7ubV/UwlpSRUbUeec7oL5HDDnh0= pR0SH/NYP6s9+8azWwaeUXA4Ze/3WCIgMfh5YW6wvcE=
f3GuAKYVrF8RBg3s15jvA/YvV9oAliWtzP/imwPhQVA= WHn8zDxlVgkV+lSlmzaOdfSBrTHoRr5nT3d76q0KKWE=
f2uV2ZxVgULzLPKuZcowRY3ZY7fRlX59iDBjV1R8kNQ= NzQVjJsvQwbi7WStMr9oFkh9VbHfK7LB6o7WwAqwNTs=
C0LttBeYHZHgL+032JIcJC3CTBIyza/hsbmJUgJfmDI= nixU5CWTFVDlF4BGdcU6kA7WSYurEpe9jRWc+F/7sOc=
"""
ARGON_CONSISTENCY = """
80Sfbj6UQEdVSZCSIgh9NMPj3vCBzcc1A48B2crJSWg= FZcrgAHUk6nNPviJZq8kEK6jCG1d18pJOFE45ZDc1TQ=
Q67reWXmPBo1UfmwBap4Xi9PMPfFdUSSw3WGlRZdG7k= eJ7CyhR4PxzBxDIsWgrVYW1eFUb9ndgf46tFmiqVrxA=
QrDwp062Grm5WY8KdrhFsBuuNjGzRox2Jb8PmVL5OYw= XM4YMjMEdLH/XJam/ZWyaP14k3cmsOtnPsOWQ54lW1s=
SGiBh+jOTGccXU48ZzgQ88lRcBmtB4wz4oSDndv2QTg= WAS6txqNLYKGL1GdBdpqmV42TTfn6cJsuDsqLXuTCNI=
QFmRS0rirUA7ZN3lxFjDncV+E1OCrn3NUB4RCp+5fzc= Hdbp7It2XBNZmNDBpCN/KPd7vfVqxgzwOosqVIaEA9E=
mxvHL0ZiblBdD7j7pIa1jlfB0gSqfJ6oX0UGo7L0VsU= q5hjyvoW6TL/PThgcitpDcSTrnKX2p1+aqscqH2euRA=
jTOWDqt3IHj2NVFeezyBz2ofpru+ztEywqKUAfFclKI= GIRn0w3HqJdvU9j1WVD//eR6lk2AaTVjyzjsJNP8U88=
x52GJvxG81fnQBrgOTbll1A5tz95/LXK0Ag1NhB0r1I= 6/0OqrcTgc3o5dD5PymmoC96lB9yLPFuTHVvLy8fSGk=
Gf+iKLfcXO5l4JEFmsZvSdG5q1uEeWPfYLrds6pmjz0= DGuaco+McyM3AfRSF6qX7RwSetwe2ieYJmxw5e9rVx0=
2tQJ9V32hnYp+fdpP6TcjmgJmLeNVOMKM0Ml1kk4cNU= 3PapK+IkyJr8I9yAErAmzuZezzLMzsg+PfeRCgNW8NQ=
s6xiYeejb+wtqHA+URJZ2I/SCPyIW8coP6aB00FJbMY= z9lSpmdTcr5M5ZzKlc4EPh3SrSypKFdk6JUF/UccaZU=
GXIElfmnRuWfbA4z7ubV/UwlpSRUbUeec7oL5HDDnh0= pR0SH/NYP6s9+8azWwaeUXA4Ze/3WCIgMfh5YW6wvcE=
f3GuAKYVrF8RBg3s15jvA/YvV9oAliWtzP/imwPhQVA= WHn8zDxlVgkV+lSlmzaOdfSBrTHoRr5nT3d76q0KKWE=
f2uV2ZxVgULzLPKuZcowRY3ZY7fRlX59iDBjV1R8kNQ= NzQVjJsvQwbi7WStMr9oFkh9VbHfK7LB6o7WwAqwNTs=
C0LttBeYHZHgL+032JIcJC3CTBIyza/hsbmJUgJfmDI= nixU5CWTFVDlF4BGdcU6kA7WSYurEpe9jRWc+F/7sOc=
"""


# The recursive definitions, RFC 9162, 2.1.1, 2.1.3.1 and 2.1.4.1.


def mth(data: list[bytes]) -> bytes:
    """The root of a list of entries."""
    if not data:
        return sha256(b"").digest()
    if len(data) == 1:
        return sha256(b"\x00" + data[0]).digest()
    k = split(len(data))
    return sha256(b"\x01" + mth(data[:k]) + mth(data[k:])).digest()


def path(m: int, data: list[bytes]) -> list[bytes]:
    """The inclusion proof of entry `m`."""
    if len(data) == 1:
        return []
    k = split(len(data))
    if m < k:
        return [*path(m, data[:k]), mth(data[k:])]
    return [*path(m - k, data[k:]), mth(data[:k])]


def subproof(m: int, data: list[bytes], whole: bool) -> list[bytes]:
    """The consistency proof from the first `m` entries."""
    if m == len(data):
        return [] if whole else [mth(data)]
    k = split(len(data))
    if m <= k:
        return [*subproof(m, data[:k], whole), mth(data[k:])]
    return [*subproof(m - k, data[k:], whole=False), mth(data[:k])]


def split(n: int) -> int:
    """The largest power of two smaller than `n`."""
    k = 1
    while 2 * k < n:
        k *= 2
    return k


def inclusion_depth(m: int, n: int) -> int:
    """How many hashes the inclusion proof of leaf `m` of `n` has."""
    if n == 1:
        return 0
    k = split(n)
    return 1 + (inclusion_depth(m, k) if m < k else inclusion_depth(m - k, n - k))


def consistency_depth(m: int, n: int, whole: bool = True) -> int:
    """How many hashes the consistency proof from `m` to `n` leaves has."""
    if m == n:
        return 0 if whole else 1
    k = split(n)
    if m <= k:
        return 1 + consistency_depth(m, k, whole)
    return 1 + consistency_depth(m - k, n - k, whole=False)


# The cases. `rejected_by` names the check that must refuse, null means accepted:
# "hash size", "bounds", "proof length" or "root".


def inclusion(
    name: str, index: int, size: int, leaf: bytes, proof: list[bytes], root: bytes
) -> Case:
    """An inclusion case with the check that must refuse it."""
    if any(len(h) != 32 for h in (leaf, root, *proof)):
        refusal: str | None = "hash size"
    elif not 0 <= index < size:
        refusal = "bounds"
    elif len(proof) != inclusion_depth(index, size):
        refusal = "proof length"
    else:
        refusal = "root"
    return {
        "name": name,
        "index": index,
        "size": size,
        "leaf": leaf.hex(),
        "proof": [h.hex() for h in proof],
        "root": root.hex(),
        "rejected_by": refusal,
    }


def consistency(
    name: str, sizes: tuple[int, int], roots: tuple[bytes, bytes], proof: list[bytes]
) -> Case:
    """A consistency case with the check that must refuse it."""
    if any(len(h) != 32 for h in (*roots, *proof)):
        refusal: str | None = "hash size"
    elif not 0 <= sizes[0] <= sizes[1]:
        refusal = "bounds"
    elif len(proof) != (consistency_depth(*sizes) if sizes[0] else 0):
        refusal = "proof length"
    else:
        refusal = "root"
    return {
        "name": name,
        "old_size": sizes[0],
        "new_size": sizes[1],
        "old_root": roots[0].hex(),
        "new_root": roots[1].hex(),
        "proof": [h.hex() for h in proof],
        "rejected_by": refusal,
    }


def accepted(case: Case) -> Case:
    """The same case, to be accepted."""
    return {**case, "rejected_by": None}


def flipped(proof: list[bytes], i: int) -> list[bytes]:
    """The proof with one bit of hash `i` changed."""
    return [*proof[:i], bytes([proof[i][0] ^ 8]) + proof[i][1:], *proof[i + 1 :]]


def inclusion_cases() -> Iterator[Case]:
    """Every proof pair of the reference tests, and its mutants."""
    for index, size in [(0, 1), (0, 8), (5, 8), (2, 3), (1, 5)]:
        leaf, proof, root = mth([DATA[index]]), path(index, DATA[:size]), mth(DATA[:size])
        of = f"leaf {index} of {size}"
        yield accepted(inclusion(f"{of}: holds", index, size, leaf, proof, root))
        for other in sorted({index - 1, index + 1, index ^ 2}):
            yield inclusion(f"{of}: index {other}", other, size, leaf, proof, root)
        for other in sorted({size * 2, size // 2, 0}):
            yield inclusion(f"{of}: size {other}", index, other, leaf, proof, root)
        yield inclusion(f"{of}: short leaf", index, size, leaf[:31], proof, root)
        yield inclusion(f"{of}: other leaf", index, size, SOME_HASH, proof, root)
        yield inclusion(f"{of}: empty root", index, size, leaf, proof, mth([]))
        yield inclusion(f"{of}: short root", index, size, leaf, proof, root[:31])
        yield inclusion(f"{of}: other root", index, size, leaf, proof, SOME_HASH)
        yield inclusion(f"{of}: empty hash after", index, size, leaf, [*proof, b""], root)
        yield inclusion(f"{of}: root after", index, size, leaf, [*proof, root], root)
        yield inclusion(f"{of}: root before", index, size, leaf, [root, *proof], root)
        for i in range(len(proof)):
            yield inclusion(f"{of}: bit in hash {i}", index, size, leaf, flipped(proof, i), root)
            yield inclusion(
                f"{of}: without {i}", index, size, leaf, proof[:i] + proof[i + 1 :], root
            )
        if len(proof) > 1:
            yield inclusion(f"{of}: reversed", index, size, leaf, proof[::-1], root)
    joined = [mth(DATA[:1])[:31], mth(DATA[:1])[31:] + mth(DATA[1:2])]
    name = "leaf 0 of 2: a byte moved from the leaf into the proof"
    yield inclusion(name, 0, 2, joined[0], joined[1:], mth(DATA[:2]))
    name = "leaf 0 of 3 claimed of 4: accepted, because a path does not bind the size"
    leaf, proof, root = mth(DATA[:1]), path(0, DATA[:3]), mth(DATA[:3])
    yield accepted(inclusion(name, 0, 4, leaf, proof, root))
    argon = ARGON_INDEX, ARGON_SIZE, b64decode(ARGON_LEAF), decoded(ARGON_INCLUSION)
    yield accepted(inclusion("argon2020", *argon, b64decode(ARGON_ROOT)))


def consistency_cases() -> Iterator[Case]:
    """Every proof pair of the reference tests, and its mutants."""
    for sizes in [(1, 8), (6, 8), (2, 5), (6, 7)]:
        old, new = sizes
        roots, proof = (mth(DATA[:old]), mth(DATA[:new])), subproof(old, DATA[:new], whole=True)
        of = f"{old} to {new}"
        yield accepted(consistency(f"{of}: holds", sizes, roots, proof))
        for other in sorted({old - 1, old + 1, old ^ 2}):
            yield consistency(f"{of}: old size {other}", (other, new), roots, proof)
        for other in (new * 2, new // 2):
            yield consistency(f"{of}: new size {other}", (old, other), roots, proof)
        yield consistency(f"{of}: short old root", sizes, (roots[0][:31], roots[1]), proof)
        yield consistency(f"{of}: short new root", sizes, (roots[0], roots[1][:31]), proof)
        yield consistency(f"{of}: other old root", sizes, (SOME_HASH, roots[1]), proof)
        yield consistency(f"{of}: other new root", sizes, (roots[0], SOME_HASH), proof)
        yield consistency(f"{of}: swapped roots", sizes, (roots[1], roots[0]), proof)
        yield consistency(f"{of}: no proof", sizes, roots, [])
        for extra, what in ((b"", "empty hash"), (roots[0], "old root"), (roots[1], "new root")):
            yield consistency(f"{of}: {what} after", sizes, roots, [*proof, extra])
            yield consistency(f"{of}: {what} before", sizes, roots, [extra, *proof])
        for i in range(len(proof)):
            yield consistency(f"{of}: bit in hash {i}", sizes, roots, flipped(proof, i))
            yield consistency(f"{of}: without {i}", sizes, roots, proof[:i] + proof[i + 1 :])
    yield from degenerate_consistency_cases()
    argon = (ARGON_OLD_SIZE, ARGON_SIZE), (b64decode(ARGON_OLD_ROOT), b64decode(ARGON_ROOT))
    yield accepted(consistency("argon2020", *argon, decoded(ARGON_CONSISTENCY)))


def degenerate_consistency_cases() -> Iterator[Case]:
    """Empty trees, equal trees, and time running backwards."""
    empty, one, two = mth([]), mth(DATA[:1]), mth(DATA[:2])
    yield accepted(consistency("0 to 0: holds", (0, 0), (empty, empty), []))
    yield accepted(consistency("0 to 1: holds", (0, 1), (empty, one), []))
    yield accepted(consistency("1 to 1: holds", (1, 1), (one, one), []))
    yield consistency("0 to 0: equal roots of something", (0, 0), (one, one), [])
    yield consistency("0 to 0: new root of something", (0, 0), (empty, one), [])
    yield consistency("0 to 1: old root of something", (0, 1), (one, one), [])
    yield consistency("0 to 1: needless proof", (0, 1), (empty, one), [one])
    yield consistency("1 to 1: needless proof", (1, 1), (one, one), [one])
    yield consistency("1 to 1: two roots", (1, 1), (one, two), [])
    yield consistency("2 to 1: backwards", (2, 1), (two, one), [])
    yield consistency("-1 to 1: below zero", (-1, 1), (empty, one), [])


def decoded(hashes: str) -> list[bytes]:
    """The hashes of a list in base64."""
    return [b64decode(h) for h in hashes.split()]


def build() -> str:
    """The whole file."""
    vectors = {
        "about": "RFC 9162, 2.1. Made by make_merkle.py, which says where the values come from.",
        "leaves": LEAVES,
        "roots": [mth(DATA[:size]).hex() for size in range(len(DATA) + 1)],
        "inclusion": list(inclusion_cases()),
        "consistency": list(consistency_cases()),
    }
    return json.dumps(vectors, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    Path(__file__).with_name("merkle.json").write_text(build(), encoding="utf-8")
