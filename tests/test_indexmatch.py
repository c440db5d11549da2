"""Searching a segment gives what reading every transcript gives."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.indexformat import parse
from pipeline.indexmatch import matching
from pipeline.indexmerge import segment_of
from pipeline.query import Query
from pipeline.query import parse as asked
from tests.test_indexformat import said

WORD = st.sampled_from(["a", "ab", "abc", "b", "ba", "don't", "don", "ö", "öl", "日本", "zzz"])
PIECE = st.one_of(
    WORD,
    WORD.map("{}*".format),
    st.lists(st.one_of(WORD, WORD.map("{}*".format)), min_size=2, max_size=3).map(
        lambda words: '"' + " ".join(words) + '"'
    ),
)


@given(st.lists(st.lists(WORD, max_size=7), max_size=9), st.lists(PIECE, max_size=3))
def test_it_finds_what_reading_everything_finds(texts: list[list[str]], pieces: list[str]) -> None:
    query = asked(" ".join(pieces))
    text = parse(segment_of(said(n, words) for n, words in enumerate(texts)).encode()).text
    naive = [n for n, words in enumerate(texts) if query.finds(words)]
    assert matching(text, query).tolist() == naive


def test_a_phrase_ends_with_its_member() -> None:
    text = segment_of([said(1, ["one"]), said(2, []), said(3, ["two"])]).text
    assert matching(text, asked('"one two"')).tolist() == []
    assert matching(text, asked("one*")).tolist() == [0]


def test_nothing_asked_finds_nothing() -> None:
    assert not np.any(matching(segment_of([said(1, ["one"])]).text, Query(())))
