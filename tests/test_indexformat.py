"""The form of an index segment: round trips, strictness, and that what goes leaves nothing."""

import contextlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.errors import Malformed
from keys.model import ArtefactId, InteractionId, Slot
from pipeline.indexformat import Segment, parse
from pipeline.indexmerge import merged, segment_of
from pipeline.indexvalues import NEVER, UNKNOWN, Said

TERMS = st.text(st.characters(categories=("L", "M", "N")), min_size=1, max_size=6)


def said(n: int, terms: Sequence[str], profile: str = "default") -> Said:
    """Returns a member that is known by its number."""
    ids = InteractionId(n.to_bytes(16)), ArtefactId(n.to_bytes(16, "little"))
    slots, times = (Slot(2 * n + 1), Slot(2 * n)), (n * 10**6, n, UNKNOWN)
    return Said(*slots, *times, NEVER, 7 * n, 10 * n, profile, n % 2 > 0, *ids, terms)


def transcript(n: int) -> bytes:
    return n.to_bytes(16, "little")


MANY = st.dictionaries(
    st.integers(0, 60),
    st.tuples(st.lists(TERMS, max_size=6), st.sampled_from(["default", "anna", "ö"])),
    max_size=9,
)


def made(rows: dict[int, tuple[list[str], str]]) -> list[Said]:
    return [said(n, terms, profile) for n, (terms, profile) in rows.items()]


def terms_of(segment: Segment) -> dict[int, list[str]]:
    """Returns what each member said, by its number, read from the columns."""
    words, at, found = segment.text.terms(), 0, {}
    for member, length in zip(segment.members, segment.text.lengths.tolist(), strict=True):
        numbers = segment.text.numbers[at : at + length]
        found[int(member["slot"]) // 2] = [words[n].decode() for n in numbers]
        at += length
    return found


@given(MANY)
def test_what_was_indexed_can_be_read_back(rows: dict[int, tuple[list[str], str]]) -> None:
    segment = replace(
        segment_of(made(rows)),
        covered=77,
        others=((InteractionId(bytes(16)), Slot(3)),),
        left_out=((InteractionId(b"x" * 16), Slot(2)),),
    )
    data = segment.encode()
    back = parse(data)
    assert back.encode() == data
    assert terms_of(back) == {n: terms for n, (terms, _) in rows.items()}
    names = {int(it["slot"]) // 2: back.profiles[it["profile"]] for it in back.members}
    assert names == {n: profile for n, (_, profile) in rows.items()}
    assert (back.covered, back.others, back.left_out) == (77, segment.others, segment.left_out)


@given(MANY, MANY, st.sets(st.integers(0, 60), max_size=8))
def test_merging_and_cutting_out_is_indexing_the_survivors(
    one: dict[int, tuple[list[str], str]], two: dict[int, tuple[list[str], str]], dead: set[int]
) -> None:
    """Byte for byte: so nothing is left of those who go, and a member in both is there once."""
    two = {n: one.get(n, row) for n, row in two.items()}
    parts = [parse(segment_of(made(rows)).encode()) for rows in (one, two)]
    found = merged(parts, {transcript(n) for n in dead})
    left = {n: row for n, row in {**one, **two}.items() if n not in dead}
    assert found.encode() == segment_of(made(left)).encode()


@given(MANY, st.data())
def test_a_changed_byte_is_refused_or_another_whole_segment(
    rows: dict[int, tuple[list[str], str]], data: st.DataObject
) -> None:
    content = bytearray(segment_of(made(rows)).encode())
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= data.draw(st.integers(1, 255))
    with contextlib.suppress(Malformed):
        assert parse(bytes(content)).encode() == content


@given(MANY, st.integers(1, 9))
def test_more_or_less_is_refused(rows: dict[int, tuple[list[str], str]], number: int) -> None:
    content = segment_of(made(rows)).encode()
    for other in (content + bytes(number), content[:-number], b""):
        with pytest.raises(Malformed):
            parse(other)


def test_more_terms_than_two_bytes_count() -> None:
    words = [f"w{n}" for n in range(1 << 16)]
    for extra, width in (([], 2), (["more"], 4)):
        segment = segment_of([said(1, [*words, *extra])])
        back = parse(segment.encode())
        assert back.text.numbers.itemsize == width
        assert terms_of(back) == {1: [*words, *extra]}
    big = merged([segment_of([said(1, words)]), segment_of([said(2, ["more"])])])
    assert big.text.numbers.itemsize == 4
    assert merged([big], {transcript(2)}).encode() == segment_of([said(1, words)]).encode()


def test_it_shows_nothing_of_what_was_said() -> None:
    segment = segment_of([said(1, ["zanzibar"])])
    assert "zanzibar" not in f"{segment!r} {segment.text!r} {said(1, ['zanzibar'])!r}"
    with pytest.raises(Malformed) as raised:
        parse(segment.encode().replace(b"zanzibar", b"zanz\xffbar"))
    assert "zanz" not in str(raised.value)


CROOKED = {
    "terms out of order": lambda d: d.replace(b"\nblue\nred\n", b"\nred\nblue\n"),
    "a term twice": lambda d: d.replace(b"\nblue\nred\n", b"\nred\nred\n\n"),
    "an empty term": lambda d: d.replace(b"\nblue\nred\n", b"\n\nbluered\n"),
    "a term that nobody said": lambda d: d.replace(b"\0\0\1\0\n", b"\0\0\0\0\n"),
    "a number beyond the terms": lambda d: d.replace(b"\0\0\1\0\n", b"\0\0\2\0\n"),
    "another magic": lambda d: d.replace(b"index/1", b"index/2"),
}


@pytest.mark.parametrize("name", CROOKED)
def test_another_form_of_the_same_is_refused(name: str) -> None:
    good = segment_of([said(1, ["blue", "red"])]).encode()
    bad = CROOKED[name](good)
    assert bad != good
    with pytest.raises(Malformed):
        parse(bad)


def test_members_out_of_order_are_refused() -> None:
    good = segment_of([said(1, ["blue"]), said(2, ["red"])])
    crooked = replace(good, members=good.members[::-1], text=good.text)
    with pytest.raises(Malformed):
        parse(crooked.encode())
    twice = replace(good, members=np.concatenate([good.members[:1], good.members[:1]]))
    with pytest.raises(Malformed):
        parse(twice.encode())
