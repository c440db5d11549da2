"""Writes the vectors of keys.segments: a pool of files in `segments/`, and `segments.json`.

It derives and seals with `make_sealed.py`, sharing no code with `keys`. Each case is a series of
files by their names, each with a file of the pool as its content, and shows one behaviour: how the
series ends and what is read of it, or how it is refused. Run it to write the files again; a test
checks that it reproduces them byte for byte.
"""

import json
import runpy
from hashlib import sha256
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent / "segments"
SEALED = runpy.run_path(str(Path(__file__).parent / "make_sealed.py"))
KEY, INTERACTION, ARTEFACT = SEALED["KEY"], SEALED["INTERACTION"], SEALED["ARTEFACT"]
OTHER_ARTEFACT = bytes([0xD4]) * 16
CHUNK = 4096
SIZES = (5000, 6000, 4092)
"""The content of the segments; the padding of the last spills over into a second chunk."""


def content(size: int, start: int = 0) -> bytes:
    """Bytes of which none is zero, so that what padding adds is seen."""
    return bytes(1 + n * 7 % 255 for n in range(start, start + size))


def segment(kind: str, plain: bytes, salt: int, artefact: bytes = ARTEFACT) -> bytes:
    """A segment, with a salt made of one number."""
    header = SEALED["head"](kind=kind.encode(), log2=12, salt=bytes([salt]) * 24)
    header = header.replace(ARTEFACT, artefact)
    zeros = -(len(plain) + 8) % CHUNK
    sealed: bytes = SEALED["sealed_as"](SEALED["padded"](plain, zeros), header, CHUNK)
    return sealed


def put(data: bytes, at: int, new: bytes) -> bytes:
    """The data with some bytes replaced."""
    return data[:at] + new + data[at + len(new) :]


def pool() -> dict[str, bytes]:
    """The files that the cases are made of."""
    starts = [sum(SIZES[:n]) for n in range(len(SIZES))]
    parts = [
        segment(f"part-{n:010}", content(size, start), 1 + n)
        for n, (size, start) in enumerate(zip(SIZES, starts, strict=True))
    ]
    first = 160 + CHUNK + 16
    return {
        **{f"part-{n}": data for n, data in enumerate(parts)},
        "end-3": segment("end-0000000003", b"", 10),
        "end-0": segment("end-0000000000", b"", 11),
        "end-1": segment("end-0000000001", b"", 12),
        "end-1-with-content": segment("end-0000000001", b"hello", 13),
        "other-part-1": segment("part-0000000001", content(6000), 20, OTHER_ARTEFACT),
        "other-part-1-cut": segment("part-0000000001", content(6000), 20, OTHER_ARTEFACT)[:5000],
        "other-end-3": segment("end-0000000003", b"", 21, OTHER_ARTEFACT),
        "nothing": b"",
        "part-1-one-chunk": parts[1][:first],
        "part-1-cut-in-a-chunk": parts[1][: first - 1],
        "part-1-cut-in-its-header": parts[1][:100],
        "part-1-cut-in-its-commitment": parts[1][:140],
        "part-1-zeros-after-56-bytes": parts[1][:56] + bytes(len(parts[1]) - 56),
        "part-1-zeros-in-its-first-chunk": put(parts[1], 160, bytes(CHUNK + 16)),
        "part-1-flipped": put(parts[1], 5000, bytes([parts[1][5000] ^ 1])),
        "part-1-without-its-salt": put(parts[1], 104, bytes(24)),
        "part-1-another-commitment": put(parts[1], 128, bytes([parts[1][128] ^ 1])),
        "part-2-one-chunk": parts[2][:first],
        "end-3-cut": segment("end-0000000003", b"", 10)[:200],
    }


def cases() -> dict[str, tuple[str, bytes | None, dict[str, str]]]:
    """Each case: how it ends or is refused, what is read of it, and its files by their kinds."""
    whole = {f"part-{n:010}": f"part-{n}" for n in range(3)}
    zero, one, two = whole
    mark = "end-0000000003"
    first, every = content(5000), content(sum(SIZES))
    alone = {zero: "part-0"}
    marked = {**whole, mark: "end-3"}

    def without(kind: str) -> dict[str, str]:
        return {name: file for name, file in marked.items() if name != kind}

    return {
        "closed": ("closed", every, marked),
        "closed-without-a-segment": ("closed", b"", {"end-0000000000": "end-0"}),
        "nothing": ("open", b"", {}),
        "open": ("open", every, whole),
        "mark-torn": ("open", every, {**whole, mark: "end-3-cut"}),
        "mark-empty": ("open", every, {**whole, mark: "nothing"}),
        "torn-after-a-chunk": ("torn", content(5000 + CHUNK), {**alone, one: "part-1-one-chunk"}),
        "torn-in-a-chunk": ("torn", first, {**alone, one: "part-1-cut-in-a-chunk"}),
        "torn-in-the-header": ("torn", first, {**alone, one: "part-1-cut-in-its-header"}),
        "torn-in-the-commitment": ("torn", first, {**alone, one: "part-1-cut-in-its-commitment"}),
        "torn-to-zeros": ("torn", first, {**alone, one: "part-1-zeros-after-56-bytes"}),
        "torn-with-a-hole": ("torn", first, {**alone, one: "part-1-zeros-in-its-first-chunk"}),
        "torn-to-nothing": ("torn", first, {**alone, one: "nothing"}),
        "torn-with-padding": ("torn", every + bytes(4), {**whole, two: "part-2-one-chunk"}),
        "last-flipped": ("torn", content(5000 + CHUNK), {**alone, one: "part-1-flipped"}),
        "swapped": ("tampered", None, {**marked, zero: "part-1", one: "part-0"}),
        "doubled": ("tampered", None, {**marked, one: "part-0"}),
        "missing-first": ("tampered", None, without(zero)),
        "missing-in-the-middle": ("tampered", None, without(one)),
        "missing-before-the-mark": ("tampered", None, without(two)),
        "of-another-series": ("tampered", None, {**marked, one: "other-part-1"}),
        "last-of-another-series": ("tampered", None, {**alone, one: "other-part-1"}),
        "torn-last-of-another-series": ("tampered", None, {**alone, one: "other-part-1-cut"}),
        "mark-of-another-series": ("tampered", None, {**whole, mark: "other-end-3"}),
        "mark-of-another-number": ("tampered", None, {**whole, mark: "end-1"}),
        "mark-too-early": ("tampered", None, {**whole, "end-0000000001": "end-1"}),
        "two-marks": ("tampered", None, {**marked, "end-0000000001": "end-1"}),
        "mark-with-content": ("malformed", None, {**alone, "end-0000000001": "end-1-with-content"}),
        "torn-in-the-middle": ("tampered", None, {**marked, one: "part-1-one-chunk"}),
        "empty-in-the-middle": ("malformed", None, {**marked, one: "nothing"}),
        "torn-before-the-mark": ("tampered", None, {**marked, two: "part-2-one-chunk"}),
        "flipped-in-the-middle": ("tampered", None, {**marked, one: "part-1-flipped"}),
        "last-without-its-salt": ("tampered", None, {**alone, one: "part-1-without-its-salt"}),
        "last-committed-otherwise": (
            "tampered",
            None,
            {**alone, one: "part-1-another-commitment"},
        ),
    }


def build() -> dict[str, bytes]:
    """Every file by its name, the index included."""
    rows: list[dict[str, Any]] = [
        {
            "name": name,
            "ending": None if plain is None else result,
            "rejected_by": result if plain is None else None,
            "content_sha256": None if plain is None else sha256(plain).hexdigest(),
            "files": {
                f"{INTERACTION.hex()}.{ARTEFACT.hex()}.{kind}": f"{file}.sealed"
                for kind, file in files.items()
            },
        }
        for name, (result, plain, files) in cases().items()
    ]
    ids = {"vault": SEALED["VAULT"], "interaction": INTERACTION, "artefact": ARTEFACT}
    series = {**{name: value.hex() for name, value in ids.items()}, "slot": 5}
    about = {"key": KEY.hex(), "series": series, "cases": rows}
    out = {f"{name}.sealed": data for name, data in pool().items()}
    return {**out, "segments.json": (json.dumps(about, indent=1) + "\n").encode()}


if __name__ == "__main__":
    HERE.mkdir(exist_ok=True)
    for file, data in build().items():
        (HERE / file).write_bytes(data)
