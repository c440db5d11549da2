"""What a query finds: by examples, and in step with a search that knows no positions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.query import parse, snippet, terms

SAID = "Well, the doctor's well-known remedy for blood-pressure: don\u2019t panic".split(" ")  # noqa: SIM905 - reads better


def finds(query: str, text: str) -> bool:
    return parse(query).finds(terms(text))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Turn ON the light.", ["turn", "on", "the", "light"]),
        ("don't rock'n'roll 'quoted' o''clock", ["don't", "rock'n'roll", "quoted", "o", "clock"]),
        ("don\u2019t \u02bctis", ["don't", "tis"]),
        ("Straße STRASSE ﬁne Åse", ["strasse", "strasse", "fine", "åse"]),
        ("A\u030ase e\u0301te\u0301", ["åse", "été"]),
        ("\uff26ull \uff37idth \uff12\uff10", ["full", "width", "20"]),
        ("हिन्दी में 你好", ["हिन्दी", "में", "你好"]),
        ("well-known, 7:30!", ["well", "known", "7", "30"]),
        ("?!… — \n\t \ud800", []),
    ],
)
def test_terms(text: str, expected: list[str]) -> None:
    assert terms(text) == expected


@given(st.text())
def test_terms_are_terms_of_themselves_and_of_any_case(text: str) -> None:
    found = terms(text)
    assert terms(" ".join(found)) == found
    assert all(term and "\n" not in term and '"' not in term for term in found)


@pytest.mark.parametrize(
    ("query", "is_found"),
    [
        ("doctor's", True),
        ("doctor", False),
        ("doctor*", True),
        ("DON'T panic", True),
        ("panic well", True),
        ('"panic well"', False),
        ('"for blood pressure"', True),
        ("blood-pressure", True),
        ("pressure-blood", False),
        ('"known rem* for"', True),
        ('well "the doc*', True),
        ("don't worry", False),
        ("", False),
        ("* ?", False),
        ("& panic", True),
    ],
)
def test_queries(query: str, is_found: bool) -> None:
    assert finds(query, " ".join(SAID)) is is_found


WORD = st.sampled_from(["a", "ab", "abc", "b", "ba"])


@given(st.lists(WORD, min_size=1, max_size=3), st.lists(WORD, max_size=8), st.booleans())
def test_a_phrase_is_found_where_its_text_is(
    phrase: list[str], text: list[str], is_prefix: bool
) -> None:
    inner = " ".join(phrase) + ("" if is_prefix else " ")
    assert finds(f'"{" ".join(phrase)}{"*" * is_prefix}"', " ".join(text)) is (
        f" {inner}" in f" {' '.join(text)} "
    )


def test_hits_and_snippets() -> None:
    query = parse('remed* "don\'t panic"')
    assert query.hits(terms(" ".join(SAID))) == {5, 9, 10}
    assert snippet(SAID, query, 1) == "… well-known remedy for …"
    assert snippet(SAID, query, 99) == " ".join(SAID)
    assert snippet(SAID, parse("nothing"), 1) == "Well, the …"
    assert snippet([], query) == ""


def test_nothing_of_it_is_shown() -> None:
    assert "zanzibar" not in repr(parse("zanzibar")) + repr(parse("zanzibar").phrases)
