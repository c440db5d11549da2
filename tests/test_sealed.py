"""keys.sealed: every content comes back, no byte can be bent, and no file opens under two keys.

The vectors come from `vectors/make_sealed.py`. Change a vector only with its generator.
"""

import json
import runpy
import struct
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given, settings
from hypothesis import strategies as st

from keys.errors import KeysError, Malformed, Tampered
from keys.model import ArtefactId, InteractionId, Label, Slot, VaultId
from keys.sealed import (
    HEADER_SIZE,
    MAGIC,
    Header,
    Opener,
    Sealer,
    _Stream,
    pad_padme,
    pad_steps,
    parse_header,
    seal,
)

VECTORS = Path(__file__).parent / "vectors"
REFERENCE = runpy.run_path(str(VECTORS / "make_sealed.py"))
INDEX: dict[str, Any] = json.loads((VECTORS / "sealed" / "sealed.json").read_text())
KEY, OTHER_KEY = bytearray.fromhex(INDEX["key"]), bytearray.fromhex(INDEX["other_key"])
REFUSALS: dict[str, type[KeysError]] = {"malformed": Malformed, "tampered": Tampered}
LABEL = Label(VaultId(bytes(16)), InteractionId(bytes(16)), ArtefactId(bytes(16)), "audio", Slot(0))
SALT = bytes(24)

Pad = Callable[[int], int]
PADS: list[Pad] = [pad_steps, pad_padme, lambda size: size, lambda _: 0]

contents = st.integers(0, 5000).map(REFERENCE["content"]) | st.binary(max_size=300)
chunk_log2s = st.integers(10, 13)
pads = st.sampled_from(PADS)


def opener(data: bytes | bytearray, key: bytearray = KEY) -> Opener:
    return Opener(key, lambda at, size: data[at : at + size], len(data))


def read(data: bytes | bytearray, key: bytearray = KEY) -> bytes:
    return bytes(opener(data, key).read())


# Vectors


def test_generator_reproduces_the_vectors() -> None:
    built = REFERENCE["build"]()
    assert {path.name for path in (VECTORS / "sealed").iterdir()} == set(built)
    for name, data in built.items():
        assert (VECTORS / "sealed" / name).read_bytes() == data, name


def vector(case: dict[str, Any]) -> bytes:
    return (VECTORS / "sealed" / f"{case['name']}.sealed").read_bytes()


LAYERS = {
    "header": "header|^a kind is|^a slot is",
    "commitment": "committed",
    "label": "asked for",
    "chunk": r"^chunk \d+ of|cut off after its header",
    "padding": "padded",
    "length": "length",
}
"""What each layer says, so that a vector cannot be refused by the wrong one unseen."""


def expected_label(case: dict[str, Any]) -> Label | None:
    if (row := case["expected_label"]) is None:
        return None
    ids = (bytes.fromhex(row[name]) for name in ("vault", "interaction", "artefact"))
    vault, interaction, artefact = ids
    rest = row["kind"], Slot(row["slot"])
    return Label(VaultId(vault), InteractionId(interaction), ArtefactId(artefact), *rest)


def vector_opener(case: dict[str, Any], key: bytearray = KEY) -> Opener:
    data = vector(case)
    return Opener(key, lambda at, n: data[at : at + n], len(data), expected_label(case))


@pytest.mark.parametrize("case", INDEX["cases"], ids=lambda case: case["name"])
def test_vector(case: dict[str, Any]) -> None:
    if case["rejected_by"] is None:
        assert sha256(read(vector(case))).hexdigest() == case["content_sha256"]
        assert b"".join(map(bytes, vector_opener(case))) == read(vector(case))
        return
    with pytest.raises(KeysError, match=LAYERS[case["layer"]]) as refusal:
        vector_opener(case).read() if case["late"] else vector_opener(case)
    assert type(refusal.value) is REFUSALS[case["rejected_by"]]
    if case["late"]:
        vector_opener(case)


def test_there_are_vectors_of_every_layer() -> None:
    assert {case["layer"] for case in INDEX["cases"]} == {*LAYERS, None}
    assert sorted(LAYERS.values()) == sorted(set(LAYERS.values()))


@pytest.mark.parametrize("case", INDEX["cases"], ids=lambda case: case["name"])
def test_vector_opens_under_no_other_key(case: dict[str, Any]) -> None:
    with pytest.raises((Malformed, Tampered)):
        vector_opener(case, OTHER_KEY)


@pytest.mark.parametrize(
    "name", [case["name"] for case in INDEX["cases"] if case["layer"] == "label"]
)
def test_a_file_that_is_not_the_one_expected_opens_as_itself(name: str) -> None:
    data = vector({"name": name})
    itself = parse_header(data[:HEADER_SIZE]).label
    opened = Opener(KEY, lambda at, n: data[at : at + n], len(data), itself)
    assert bytes(opened.read()) == read(data) == b"hello"


# Properties


@given(contents, chunk_log2s, pads, st.data())
def test_content_comes_back_however_it_arrives(
    content: bytes, chunk_log2: int, pad: Pad, data: st.DataObject
) -> None:
    sealer = Sealer(KEY, LABEL, SALT, pad, chunk_log2)
    out, rest = sealer.header.encode(), memoryview(content)
    while rest:
        piece = data.draw(st.integers(0, len(rest)), label="piece")
        out += sealer.update(rest[:piece])
        rest = rest[piece:]
        if not piece:
            out += sealer.update(rest)
            break
    out += sealer.finish()
    header, whole = seal(KEY, LABEL, SALT, content, pad, chunk_log2)
    assert (out, sealer.header) == (whole, header)
    assert parse_header(out[:HEADER_SIZE]) == header
    assert read(out) == content
    assert b"".join(map(bytes, opener(out))) == content


@given(contents, chunk_log2s, pads, st.data())
def test_reading_at_random_is_a_slice(
    content: bytes, chunk_log2: int, pad: Pad, data: st.DataObject
) -> None:
    it = opener(seal(KEY, LABEL, SALT, content, pad, chunk_log2)[1])
    assert it.length == len(content)
    for _ in range(5):
        offset = data.draw(st.integers(0, len(content) + 20))
        size = data.draw(st.none() | st.integers(0, len(content) + 20))
        end = None if size is None else offset + size
        assert bytes(it.read(offset, size)) == content[offset:end]


@given(contents, chunk_log2s, pads, st.data())
def test_a_changed_byte_gives_no_content(
    content: bytes, chunk_log2: int, pad: Pad, data: st.DataObject
) -> None:
    file = bytearray(seal(KEY, LABEL, SALT, content, pad, chunk_log2)[1])
    file[data.draw(st.integers(0, len(file) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises((Malformed, Tampered)):
        read_every_byte(file)


@given(contents, chunk_log2s, st.data())
def test_a_file_cut_off_gives_no_content_at_all(
    content: bytes, chunk_log2: int, data: st.DataObject
) -> None:
    file = seal(KEY, LABEL, SALT, content, pad_padme, chunk_log2)[1]
    with pytest.raises((Malformed, Tampered)):
        opener(file[: data.draw(st.integers(0, len(file) - 1))])


@given(contents, st.binary(min_size=1, max_size=40))
def test_a_file_with_more_at_its_end_gives_no_content_at_all(content: bytes, more: bytes) -> None:
    with pytest.raises((Malformed, Tampered)):
        opener(seal(KEY, LABEL, SALT, content, pad_padme, 10)[1] + more)


@pytest.mark.parametrize("mask", [0x01, 0x80])
def test_every_byte_of_a_small_file(mask: int) -> None:
    file = seal(KEY, LABEL, SALT, REFERENCE["content"](1500), pad_padme, 10)[1]
    for at in range(len(file)):
        with pytest.raises((Malformed, Tampered)):
            read_every_byte(file[:at] + bytes([file[at] ^ mask]) + file[at + 1 :])


def read_every_byte(file: bytes | bytearray) -> None:
    """Opens every chunk, those that hold only padding too; no content has been given out before."""
    it = opener(file)
    for index in range(it._count):
        it._open_chunk(index)
    it.read()


@given(st.binary(min_size=HEADER_SIZE, max_size=HEADER_SIZE) | st.binary(max_size=200))
def test_any_other_header_is_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        parse_header(data)


@given(st.binary(min_size=HEADER_SIZE - 16, max_size=HEADER_SIZE - 16), st.integers(0, 1))
def test_a_header_that_is_read_is_written_the_same(rest: bytes, zeros: int) -> None:
    data = bytearray(MAGIC + rest)
    if zeros:  # so that some get through
        data[64:80], data[80], data[88:104] = b"audio".ljust(16, b"\0"), 0, b"\x10" + bytes(15)
    try:
        header = parse_header(data)
    except Malformed:
        assert not zeros
        return
    assert header.encode() == data


@given(st.integers(0, 2**50))
def test_padding_tells_little(size: int) -> None:
    steps, padme = pad_steps(size), pad_padme(size)
    assert size <= steps < size + 4096
    assert (steps + HEADER_SIZE + 16) % 4096 == 0
    assert size <= padme <= size * 1.12 + 1
    assert pad_padme(padme) == padme
    low = size.bit_length() and (size.bit_length() - 1).bit_length()
    assert padme.bit_count() <= low + 1  # no more than so many bits of the length are told


def test_the_size_of_a_file_says_no_more_than_its_padding() -> None:
    sizes = {len(seal(KEY, LABEL, SALT, bytes(n), pad_steps, 14)[1]) for n in range(3900)}
    assert sizes == {4096}


def test_two_files_share_no_key_stream() -> None:
    """Another salt, or anything else in the label, gives another key: no nonce can repeat."""
    label = {"vault": bytes([1]) * 16, "interaction": bytes([1]) * 16, "artefact": bytes([1]) * 16}
    labels = [LABEL] + [
        Label(**{**{k: bytes(16) for k in label}, "kind": "audio", "slot": Slot(0), name: value})  # type: ignore[arg-type]
        for name, value in [*label.items(), ("kind", "audi"), ("slot", Slot(1))]
    ]
    streams = [_Stream(KEY, it, log2, SALT) for it in labels for log2 in (10, 16)]
    streams += [_Stream(KEY, LABEL, 10, bytes([1]) * 24), _Stream(OTHER_KEY, LABEL, 10, SALT)]
    assert len({bytes(it.file_key) for it in streams}) == len(streams)
    assert len({it.commitment for it in streams}) == len(streams)
    nonces = {streams[0].nonce(n, last=last) for n in (0, 1, 2**32 - 1) for last in (False, True)}
    assert len(nonces) == 6
    assert {len(nonce) for nonce in nonces} == {12}


def test_the_key_is_wiped_when_the_file_is_finished() -> None:
    sealer = Sealer(KEY, LABEL, SALT, pad_padme, 10)
    sealer.update(b"hello")
    sealer.finish()
    assert not any(sealer._stream.file_key)
    assert not any(sealer._chunk)


# Hostile lengths


def test_more_chunks_than_the_counter_has_are_malformed() -> None:
    """A sparse file of 4 TiB costs its maker nothing."""
    file = seal(KEY, LABEL, SALT, b"hello", pad_steps, 10)[1]
    size = HEADER_SIZE + (2**32 + 1) * (1024 + 16)
    for more in (0, 1, 500):
        with pytest.raises((Malformed, Tampered)):
            Opener(KEY, lambda at, n: file[at : at + n].ljust(n, b"\0"), size + more)


# Two keys for one file (guarantee G7). GCM alone allows it: a tag is a polynomial over GF(2^128) in
# the ciphertext, so one free block makes the tags of two keys agree (Grubbs, Lu, Ristenpart 2017;
# Dodis, Grubbs, Ristenpart, Woodage 2018). The file below is such a one, made under one honest
# header. It has 2^32 chunks, all but two of which nobody reads: with a size like this the length
# that the second key finds in the last chunk makes sense for one key in 2^18, so that one was found
# in seconds by counting up.

FIRST_KEY, SECOND_KEY = bytearray(32), bytearray((308_606).to_bytes(32, "big"))
LOG2, LAST = 14, 2**32 - 1
SIZE = HEADER_SIZE + LAST * ((1 << LOG2) + 16) + 32 + 16


def times(x: int, y: int) -> int:
    """The product in the field of GCM (NIST SP 800-38D, 6.3)."""
    out = 0
    for bit in range(127, -1, -1):
        out ^= y if x >> bit & 1 else 0
        y = y >> 1 ^ (0xE1 << 120 if y & 1 else 0)
    return out


def power(x: int, n: int) -> int:
    out = 1 << 127  # the one of this field
    while n:
        out, x, n = times(out, x) if n & 1 else out, times(x, x), n >> 1
    return out


class Gcm:
    """One key's view of one chunk: its hash key, its key stream, the mask of its tag."""

    def __init__(self, key: bytearray, index: int, blocks: int, *, last: bool) -> None:
        stream = _Stream(key, LABEL, LOG2, SALT)
        cipher = Cipher(algorithms.AES(bytes(stream.file_key)), modes.ECB()).encryptor()  # noqa: S305
        nonce = stream.nonce(index, last=last)
        self.h = int.from_bytes(cipher.update(bytes(16)))
        self.mask = int.from_bytes(cipher.update(nonce + struct.pack(">I", 1)))
        counters = (nonce + struct.pack(">I", n + 2) for n in range(blocks))
        self.stream = [int.from_bytes(cipher.update(counter)) for counter in counters]

    def tag(self, blocks: list[int]) -> int:
        total = 0
        for block in [*blocks, len(blocks) * 128]:
            total = times(total ^ block, self.h)
        return total ^ self.mask


def collide(blocks: list[int], free: int, one: Gcm, two: Gcm) -> bytes:
    """Chooses block `free` so that the chunk has one tag under both keys (NIST SP 800-38D, 6.4)."""
    blocks[free] = 0
    difference = one.tag(blocks) ^ two.tag(blocks)
    exponent = len(blocks) - free + 1
    both = power(one.h, exponent) ^ power(two.h, exponent)
    blocks[free] = times(difference, power(both, 2**128 - 2))
    assert one.tag(blocks) == two.tag(blocks)
    return b"".join(n.to_bytes(16) for n in [*blocks, one.tag(blocks)])


def file_of_two_keys() -> Callable[[int, int], bytes]:
    """Reads from a file whose first chunk says one thing to one key and another to the other."""
    count = (1 << LOG2) // 16
    one, two = (Gcm(key, 0, count, last=False) for key in (FIRST_KEY, SECOND_KEY))
    blocks = [0] * count
    blocks[0] = one.stream[0] ^ int.from_bytes(b"hello to the one")
    blocks[1] = two.stream[1] ^ int.from_bytes(b"and to the other")
    first = collide(blocks, 2, one, two)
    one, two = (Gcm(key, LAST, 2, last=True) for key in (FIRST_KEY, SECOND_KEY))
    last = collide([0, one.stream[1] ^ 32], 0, one, two)
    header = Header(LABEL, LOG2, SALT, _Stream(FIRST_KEY, LABEL, LOG2, SALT).commitment).encode()
    parts = {0: header, HEADER_SIZE: first, SIZE - len(last): last}
    return lambda at, size: parts[at][:size]


def test_a_file_made_for_two_keys_opens_under_one() -> None:
    read_at = file_of_two_keys()
    assert Opener(FIRST_KEY, read_at, SIZE).read(0, 16) == b"hello to the one"
    with pytest.raises(Tampered, match="committed"):
        Opener(SECOND_KEY, read_at, SIZE)


def test_without_the_commitment_it_would_open_under_both(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: what GCM alone says of that file, and of one that was not made for it."""
    monkeypatch.setattr("keys.sealed.hmac.compare_digest", lambda *_: True)
    read_at = file_of_two_keys()
    assert Opener(FIRST_KEY, read_at, SIZE).read(0, 16) == b"hello to the one"
    assert Opener(SECOND_KEY, read_at, SIZE).read(16, 16) == b"and to the other"
    with pytest.raises(Tampered, match="chunk"):
        opener(seal(KEY, LABEL, SALT, b"hello", pad_steps, 14)[1], OTHER_KEY)


@settings(max_examples=50)
@given(st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32))
def test_a_file_opens_under_no_other_key(one: bytes, two: bytes) -> None:
    file = seal(bytearray(one), LABEL, SALT, b"hello", pad_steps, 14)[1]
    assert read(file, bytearray(one)) == b"hello"
    if one != two:
        with pytest.raises(Tampered):
            opener(file, bytearray(two))
