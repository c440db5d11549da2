"""The index in memory finds what reading everything finds, and knows when it is out of date."""

from itertools import islice
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keys.model import InteractionId
from pipeline import history, indexing, memory, write
from pipeline.artefact import INDEX, TRANSCRIPT, Transcript
from pipeline.query import parse, terms
from pipeline.session import acting
from pipeline.vault import Vault
from tests.household import clock, forget, make, parts_of, say
from tests.test_index import FAST, QUERIES, damage, naive, texts
from tests.test_indexmatch import PIECE, WORD


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"TAIL": 3, "FAN": 2, "MOST": 12}.items():
        monkeypatch.setattr(indexing, name, value)
    monkeypatch.setattr(memory, "_CHUNK", 2)


def said(vault: Vault, interaction: InteractionId) -> list[str]:
    return terms(Transcript.decode(vault.read(interaction, TRANSCRIPT)).text)


def made(vault: Vault) -> memory.Memory:
    with acting(vault, clock):
        found = memory.of(vault)
    assert found is not None
    return found


def ids(it: memory.Memory, query: str) -> list[InteractionId]:
    return [hit.interaction for hit in it.find(parse(query))]


def assert_exact(vault: Vault, it: memory.Memory) -> None:
    with acting(vault, clock):
        assert it.catch_up(vault)
        for query in QUERIES:
            assert ids(it, query) == naive(vault, query), query
            for hit in islice(it.find(parse(query)), 2):
                assert list(hit.terms) == said(vault, hit.interaction)


@settings(max_examples=30, phases=FAST, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.lists(WORD, min_size=1, max_size=7), min_size=1, max_size=7),
    st.lists(st.lists(PIECE, min_size=1, max_size=3), min_size=8, max_size=8),
)
def test_it_finds_what_reading_everything_finds(
    tmp_path_factory: pytest.TempPathFactory, lines: list[list[str]], asked: list[list[str]]
) -> None:
    vault = make(tmp_path_factory.mktemp("house"))
    say(vault, *(" ".join(words) for words in lines))
    it = made(vault)
    with acting(vault, clock):
        for pieces in asked:
            query = " ".join(pieces)
            assert ids(it, query) == naive(vault, query), query


def test_it_takes_in_what_comes(tmp_path: Path) -> None:
    vault = make(tmp_path)
    it = made(vault)
    assert_exact(vault, it)
    for n in range(3):
        say(vault, *texts(2, n))
        assert_exact(vault, it)
    with acting(vault, clock):
        late = write.create(vault, [p for p in parts_of("the light") if p[0] != TRANSCRIPT])
        it.catch_up(vault)
    say(vault, *texts(2, 9))
    with acting(vault, clock):
        write.add(vault, late, next(p for p in parts_of("the light") if p[0] == TRANSCRIPT))
    assert_exact(vault, it)
    assert ids(it, "light").count(late) == 1


@pytest.mark.parametrize("is_indexed", [True, False])
def test_after_an_erasure_it_finds_nothing_and_says_so(tmp_path: Path, is_indexed: bool) -> None:
    vault = make(tmp_path)
    there = say(vault, *texts(7))
    if is_indexed:
        indexing.keep_up(vault, clock)
    it = made(vault)
    assert ids(it, "the")
    forget(vault, there[2])
    with acting(vault, clock):
        assert not it.catch_up(vault)
    assert ids(it, "the") == []
    assert not it._places.any()
    assert not it._numbers.any()
    assert_exact(vault, made(vault))


def test_there_is_none_while_a_segment_is_damaged(tmp_path: Path) -> None:
    vault = make(tmp_path)
    say(vault, *texts(7))
    indexing.keep_up(vault, clock)
    with acting(vault, clock):
        (owner,) = vault.owned(INDEX)
    damage(vault, owner, whole=False)
    with acting(vault, clock):
        assert memory.of(vault) is None
    indexing.keep_up(vault, clock, [owner])
    assert_exact(vault, made(vault))


def test_it_does_not_show_what_was_said(tmp_path: Path) -> None:
    vault = make(tmp_path)
    (only,) = say(vault, "zanzibar")
    it = made(vault)
    (hit,) = it.find(parse("zanzibar"))
    assert hit.terms == ("zanzibar",)
    assert "zanzibar" not in repr(it) + repr(hit)
    with acting(vault, clock):
        rows = list(history.matching(vault, ["zanzibar"]))
    assert [row.interaction for row in rows] == [only]
