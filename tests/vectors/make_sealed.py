"""Writes the vectors of keys.sealed: one sealed file each in `sealed/`, and `sealed.json`.

It derives by HMAC and seals with AES-GCM of `cryptography`, sharing no code with `keys`. Run it to
write the files again; a test checks that it reproduces them byte for byte. Each file shows one
behaviour, in the manner of C2SP/CCTV's age vectors. The index says for each how it is refused
("malformed", "tampered", null: it opens), by which layer ("header", "commitment", "label", "chunk",
"padding", "length", in the order in which a reader comes to them), and whether only reading the
content shows it ("late"). A file of the layer "label" is whole: it is not the one that is expected.
"""

import hmac
import json
import struct
from collections.abc import Iterator
from hashlib import sha256, sha512
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

HERE = Path(__file__).parent / "sealed"
KEY, OTHER_KEY = bytes(range(32)), bytes(range(1, 33))
VAULT, INTERACTION, ARTEFACT = bytes([0xA1]) * 16, bytes([0xB2]) * 16, bytes([0xC3]) * 16
SALT = bytes(range(0x40, 0x58))
MAGIC = b"anechoic-seal/1\n"
CHUNK = 1024

Case = tuple[str, str | None, bytes]
"""A name, how it is refused, the file."""

OK, SHAPE, FALSE = None, "malformed", "tampered"


def content(size: int) -> bytes:
    """Bytes that repeat at no chunk."""
    return bytes((n * 7 + n // 251) % 256 for n in range(size))


def head(
    kind: bytes = b"audio", slot: int = 5, log2: int = 10, salt: bytes = SALT, tail: bytes = b""
) -> bytes:
    """A header; without a commitment it is the derivation's context but for the salt."""
    ids = MAGIC + VAULT + INTERACTION + ARTEFACT + kind.ljust(16, b"\0")
    return ids + struct.pack(">QB15x", slot, log2) + salt + (tail or bytes(32))


def derive(key: bytes, header: bytes) -> tuple[bytes, bytes, bytes]:
    """HKDF-SHA-512 (RFC 5869) of the file key, the nonce prefix and the commitment."""
    salt, context = header[104:128], header[:104] + bytes(56)
    extracted = hmac.digest(salt, key, sha512)
    first = hmac.digest(extracted, context + b"\1", sha512)
    out = first + hmac.digest(extracted, first + context + b"\2", sha512)
    return out[:32], out[32:39], out[39:71]


def chunk(key: bytes, header: bytes, index: int, plain: bytes, *, last: bool) -> bytes:
    """One sealed chunk."""
    file_key, prefix, _ = derive(key, header)
    return AESGCM(file_key).encrypt(prefix + struct.pack(">IB", index, last), plain, None)


def committed(key: bytes = KEY, header: bytes = b"") -> bytes:
    """The header with its commitment."""
    header = header or head()
    return header[:128] + derive(key, header)[2]


def padded(plain: bytes, zeros: int | None = None, length: int | None = None) -> bytes:
    """Content, zeros, length."""
    fill = -(len(plain) + 8) % 16 if zeros is None else zeros
    return plain + bytes(fill) + struct.pack(">Q", len(plain) if length is None else length)


def body(header: bytes, plain: bytes, size: int = CHUNK, key: bytes = KEY) -> list[bytes]:
    """The chunks of padded content."""
    parts = [plain[at : at + size] for at in range(0, len(plain), size)]
    end = len(parts) - 1
    return [chunk(key, header, n, part, last=n == end) for n, part in enumerate(parts)]


def sealed(plain: bytes, header: bytes = b"", size: int = CHUNK) -> bytes:
    """A whole file of content."""
    return sealed_as(padded(plain), header, size)


def sealed_as(plain: bytes, header: bytes, size: int) -> bytes:
    """A whole file of content that is padded already."""
    header = committed(header=header)
    return header + b"".join(body(header, plain, size))


def put(data: bytes, at: int, new: bytes) -> bytes:
    """The data with some bytes replaced."""
    return data[:at] + new + data[at + len(new) :]


def valid() -> Iterator[tuple[Case, bytes]]:
    """Files that open, with their content."""
    sizes = {
        "empty": 0,
        "one-byte": 1,
        "eight-bytes-without-padding": 8,
        "nine-bytes-with-the-most-padding-that-must-be": 9,
        "exactly-one-chunk": CHUNK - 8,
        "one-chunk-and-a-byte": CHUNK - 7,
        "content-fills-a-chunk-and-length-opens-the-next": CHUNK,
        "exactly-two-chunks": 2 * CHUNK - 8,
        "many-chunks": 5 * CHUNK + 100,
    }
    for name, size in sizes.items():
        yield (f"valid-{name}", OK, sealed(content(size))), content(size)
    heads = {
        "kind-of-sixteen": head(kind=b"a-kind-of-16-let"),
        "largest-slot": head(slot=2**63 - 1),
        "largest-chunks": head(log2=24),
    }
    for name, header in heads.items():
        yield (f"valid-{name}", OK, sealed(b"hello", header, 1 << 24)), b"hello"
    text = padded(b"hello", 4096 - 160 - 16 - 8 - 5)
    small = sealed_as(text, head(kind=b"transcript", log2=14), 1 << 14)
    yield ("valid-text-padded-to-4096-bytes", OK, small), b"hello"
    part = sealed_as(padded(content(5000), 8192 - 5008), head(b"part-0000000000", log2=12), 4096)
    yield ("valid-segment", OK, part), content(5000)
    mark = sealed_as(padded(b"", 4088), head(b"end-0000000001", log2=12), 4096)
    yield ("valid-end-mark", OK, mark), b""
    header = committed()
    more = header + b"".join(body(header, padded(b"hello", 3 * CHUNK - 13)))
    yield ("valid-padding-of-chunks", OK, more), b"hello"
    odd = header + b"".join(body(header, b"hello" + b"\xff" * 19 + struct.pack(">Q", 5)))
    yield ("valid-padding-is-not-looked-at", OK, odd), b"hello"


def headers() -> Iterator[Case]:
    """Headers that are out of form, or that are not the one that was sealed."""
    file = sealed(content(100))
    places = {
        "magic": (0, SHAPE),
        "vault": (16, FALSE),
        "interaction": (32, FALSE),
        "artefact": (48, FALSE),
        "slot": (87, FALSE),
        "salt": (104, FALSE),
        "commitment": (128, FALSE),
        "commitment-last-byte": (159, FALSE),
    }
    for name, (at, layer) in places.items():
        yield f"header-{name}-flipped", layer, put(file, at, bytes([file[at] ^ 1]))
    bent: dict[str, tuple[int, bytes, str]] = {
        "version-2": (14, b"2", SHAPE),
        "another-kind": (64, b"avdio", FALSE),
        "kind-in-upper-case": (64, b"Audio", SHAPE),
        "kind-empty": (64, bytes(5), SHAPE),
        "kind-with-a-zero-inside": (64, b"au\0io", SHAPE),
        "kind-not-ascii": (64, b"\xff", SHAPE),
        "slot-negative": (80, b"\x80", SHAPE),
        "chunk-size-another": (88, b"\x0b", FALSE),
        "chunk-size-too-small": (88, b"\x09", SHAPE),
        "chunk-size-too-large": (88, b"\x19", SHAPE),
        "reserved-first-not-zero": (89, b"\x01", SHAPE),
        "reserved-last-not-zero": (103, b"\x01", SHAPE),
    }
    for name, (at, new, layer) in bent.items():
        yield f"header-{name}", layer, put(file, at, new)
    yield "header-commitment-of-zeros", FALSE, put(file, 128, bytes(32))
    yield "header-in-upper-case", SHAPE, put(file, 0, b"ANECHOIC-SEAL/1\n")
    yield "header-after-a-byte", SHAPE, b"\0" + file
    other = committed(OTHER_KEY)
    yield "header-commitment-of-another-key", FALSE, other + file[160:]
    yield (
        "header-of-another-key-and-body-of-this",
        FALSE,
        other + b"".join(body(head(), padded(b""))),
    )
    yield "header-cut-off", SHAPE, file[:159]
    yield "header-alone", FALSE, file[:160]
    yield "nothing", SHAPE, b""


def bodies() -> Iterator[Case]:
    """Bodies with chunks changed, dropped, moved or added, under an honest header."""
    header = committed()
    plain = padded(content(3 * CHUNK + 100))
    one, two, three, end = body(header, plain)
    made = {
        "first-chunk-flipped": [bytes([one[0] ^ 1]) + one[1:], two, three, end],
        "middle-tag-flipped": [one, two[:-1] + bytes([two[-1] ^ 1]), three, end],
        "last-chunk-flipped": [one, two, three, bytes([end[0] ^ 1]) + end[1:]],
        "cut-at-a-chunk": [one, two, three],
        "cut-to-one-chunk": [one],
        "cut-inside-a-chunk": [one, two, three[:500]],
        "cut-inside-the-last-tag": [one, two, three, end[:-1]],
        "cut-to-less-than-a-tag": [one, two, three, end[:15]],
        "first-chunk-missing": [two, three, end],
        "middle-chunk-missing": [one, two, end],
        "chunks-swapped": [two, one, three, end],
        "chunk-repeated": [one, one, two, three, end],
        "last-chunk-repeated": [one, two, three, end, end],
        "last-mark-missing": [one, two, three, chunk(KEY, header, 3, plain[3072:], last=False)],
        "last-mark-too-early": [
            one,
            chunk(KEY, header, 1, plain[1024:2048], last=True),
            three,
            end,
        ],
        "counter-from-one": [
            chunk(KEY, header, n + 1, plain[n * CHUNK : (n + 1) * CHUNK], last=n == 3)
            for n in range(4)
        ],
        "byte-added": [one, two, three, end, b"\0"],
        "chunk-of-zeros-added": [one, two, three, end, bytes(CHUNK + 16)],
        "chunk-of-a-file-with-another-salt": [
            body(committed(header=head(salt=bytes(24))), plain)[0],
            two,
            three,
            end,
        ],
    }
    others = {
        "another-vault": head().replace(VAULT, bytes(16)),
        "another-interaction": head().replace(INTERACTION, bytes(16)),
        "another-artefact": head().replace(ARTEFACT, bytes(16)),
        "another-kind": head(kind=b"transcript"),
        "another-slot": head(slot=6),
        "another-chunk-size": head(log2=11),
    }
    for name, other in others.items():  # with the salt and the slot key of this
        made[f"of-{name}"] = body(other, plain)
    for name, chunks in made.items():
        yield f"body-{name}", FALSE, header + b"".join(chunks)


def endings() -> Iterator[Case]:
    """Files by who has the key and does not keep to the form at the end."""
    header = committed()
    full = content(CHUNK)
    made = {
        "length-too-large": body(header, padded(b"hello", 3, length=9)),
        "length-of-itself-too": body(header, padded(b"hello", 3, length=16)),
        "length-enormous": body(header, padded(b"hello", 3, length=2**64 - 1)),
        "unpadded": body(header, padded(b"hello", 0)),
        "length-alone": body(header, padded(b"", 0)),
        "padded-to-half-a-unit": body(header, padded(b"hello", 11)),
        "padded-to-half-a-unit-in-two-chunks": body(header, padded(full, 16)),
        "nothing-at-all": body(header, b"") or [chunk(KEY, header, 0, b"", last=True)],
        "last-chunk-empty": [
            chunk(KEY, header, 0, padded(full[:-8]), last=False),
            chunk(KEY, header, 1, b"", last=True),
        ],
        "length-in-two-chunks": body(header, padded(full[:-4], 0)),
    }
    for name, chunks in made.items():
        yield f"end-{name}", SHAPE, header + b"".join(chunks)


def labels() -> Iterator[tuple[Case, dict[str, str | int]]]:
    """Whole files that are not the one expected, with the label that is."""
    expected = label(head())
    others = {
        "vault": head().replace(VAULT, bytes(16)),
        "interaction": head().replace(INTERACTION, bytes(16)),
        "artefact": head().replace(ARTEFACT, bytes(16)),
        "kind": head(kind=b"transcript"),
        "slot": head(slot=6),
        "segment": head(kind=b"part-0000000001"),
    }
    for name, header in others.items():
        want = label(head(kind=b"part-0000000000")) if name == "segment" else expected
        yield (f"label-of-another-{name}", FALSE, sealed(b"hello", header)), want


def label(header: bytes) -> dict[str, str | int]:
    """The label in a header, for the index."""
    ids = {"vault": header[16:32], "interaction": header[32:48], "artefact": header[48:64]}
    kind, (slot,) = header[64:80].rstrip(b"\0").decode(), struct.unpack(">Q", header[80:88])
    return {**{name: value.hex() for name, value in ids.items()}, "kind": kind, "slot": slot}


LENGTH = {"end-length-too-large", "end-length-of-itself-too", "end-length-enormous"}
CHUNK_LAYER = {"header-alone"}


def layer(name: str, refused_as: str | None) -> str | None:
    """The layer that must refuse a file."""
    if refused_as is None:
        return None
    if name in CHUNK_LAYER or name.startswith("body-"):
        return "chunk"
    if name.startswith("label-"):
        return "label"
    if name.startswith("end-"):
        return "length" if name in LENGTH else "padding"
    return "header" if refused_as == SHAPE else "commitment"


LATE = {
    "body-first-chunk-flipped",
    "body-middle-tag-flipped",
    "body-chunks-swapped",
    "body-last-mark-too-early",
    "body-chunk-of-a-file-with-another-salt",
}
"""Only reading the chunk shows it; all the rest is refused before any content is seen."""


def build() -> dict[str, bytes]:
    """Every file by its name, the index included."""
    good, others = list(valid()), list(labels())
    plain = {name: sha256(content).hexdigest() for (name, _, _), content in good}
    expected = {name: want for (name, _, _), want in others}
    files = [case for case, _ in good]
    files += [*headers(), *bodies(), *endings(), *(case for case, _ in others)]
    rows = [
        {
            "name": name,
            "rejected_by": refused_as,
            "layer": layer(name, refused_as),
            "content_sha256": plain.get(name),
            "late": name in LATE,
            "expected_label": expected.get(name),
        }
        for name, refused_as, _ in files
    ]
    about = {"key": KEY.hex(), "other_key": OTHER_KEY.hex(), "cases": rows}
    out = {f"{name}.sealed": data for name, _, data in files}
    return {**out, "sealed.json": (json.dumps(about, indent=1) + "\n").encode()}


if __name__ == "__main__":
    HERE.mkdir(exist_ok=True)
    for file, data in build().items():
        (HERE / file).write_bytes(data)
