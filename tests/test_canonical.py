"""Statements are spelled as `json.dumps` spells them, whatever is in them, and read in no other."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keys import canonical, confirmation, receipt
from keys.canonical import check_leaves, encode_json
from keys.confirmation import Confirmation
from keys.errors import Malformed
from keys.receipt import Statement

TEXT = st.one_of(
    st.text(max_size=5), st.sampled_from(["", '"', "\\", "\x00\x7f\n\t", "ö 日本 😀", "\ud800"])
)
NUMBER = st.one_of(st.integers(), st.sampled_from([0, 2**63 - 1, 2**70]))


def of(kind: Any) -> st.SearchStrategy[Any]:  # noqa: ANN401
    """Returns what makes values of the type of a field."""
    if kind in (str, int):
        return TEXT if kind is str else NUMBER
    if (inner := getattr(kind, "__args__", None)) is not None:
        return st.lists(of(inner[0]), max_size=2).map(tuple)
    return made(kind)


def made(kind: Any) -> st.SearchStrategy[Any]:  # noqa: ANN401
    return st.builds(kind, **{it.name: of(it.type) for it in fields(kind)})


STATEMENTS = st.one_of(
    st.tuples(st.just(receipt.FORMAT), made(Statement)),
    st.tuples(st.just(confirmation.FORMAT), made(Confirmation)),
)


def dumped(mark: str, statement: Any) -> bytes:  # noqa: ANN401
    return json.dumps({"format": mark, **asdict(statement)}, indent=2).encode("ascii")


@settings(max_examples=40)
@given(STATEMENTS)
def test_the_spelling_is_that_of_json(found: tuple[str, Any]) -> None:
    mark, statement = found
    assert encode_json(mark, statement) == dumped(mark, statement)
    assert statement.encode() == dumped(mark, statement)


@dataclass(frozen=True, slots=True)
class Odd:
    """Has what no statement may have."""

    text: str
    texts: tuple[str, ...] = ()


@pytest.mark.parametrize("value", [True, None, 1.0, [], ["a"], {}, {"a": "b"}, b"a"])
def test_what_no_statement_has_is_refused(value: Any) -> None:  # noqa: ANN401
    check_leaves(Odd("a", ("b",)))
    for odd in (Odd(value), Odd("a", (value,))):
        with pytest.raises(Malformed):
            check_leaves(odd)


Spelling = Callable[[dict[str, Any]], str]
SPELLINGS: dict[str, Spelling] = {
    "closer": json.dumps,
    "wider": lambda row: json.dumps(row, indent=4),
    "sorted": lambda row: json.dumps(dict(sorted(row.items())), indent=2),
    "backwards": lambda row: json.dumps(dict(reversed(row.items())), indent=2),
    "with a newline": lambda row: json.dumps(row, indent=2) + "\n",
    "with one more": lambda row: json.dumps({**row, "more": "a"}, indent=2),
    "with a truth": lambda row: json.dumps({**row, "epoch": True}, indent=2),
    "with a fraction": lambda row: json.dumps({**row, "epoch": 1.0}, indent=2),
    "with a list in a text": lambda row: json.dumps({**row, "tool": ["a"]}, indent=2),
    "with a text for rows": lambda row: json.dumps({**row, "checks": "ab"}, indent=2),
    "escaped": lambda row: json.dumps(row, indent=2).replace("anechoic 1", "anechoi\\u0063 1"),
    "in capitals": lambda row: json.dumps({**row, "plan": "A" * 32}, indent=2),
    "with a name twice": lambda row: json.dumps(row, indent=2).replace(
        '  "epoch": 1', '  "epoch": 1,\n  "epoch": 1'
    ),
}
PLAIN = Confirmation(
    vault="a" * 32,
    plan="b" * 32,
    receipt="c" * 64,
    log_key="key",
    tool="anechoic 1",
    confirmed_at="2026-03-01T12:00:00Z",
    epoch=1,
    position=2,
    checks=(receipt.Check("ring", "2 of 2"),),
)


@pytest.mark.parametrize("name", SPELLINGS)
def test_no_other_spelling_is_read(name: str) -> None:
    row = {"format": confirmation.FORMAT, **asdict(PLAIN)}
    assert Confirmation.parse(json.dumps(row, indent=2).encode()) == PLAIN
    other = SPELLINGS[name](row).encode()
    assert other != PLAIN.encode()
    with pytest.raises(Malformed):
        Confirmation.parse(other)


def test_control_a_spelling_that_does_not_escape_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(canonical, "_text", '"{}"'.format)
    assert encode_json("m", Odd('a"b')) != dumped("m", Odd('a"b'))
