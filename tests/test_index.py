"""The index of a vault: nothing living is passed over, nothing erased is found or left anywhere.

Segments are small here, so that a few interactions make and merge several. What the index finds is
held against reading every transcript, whatever was sealed, indexed, merged, erased or damaged.
"""

import random
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from keys.durable import expect
from keys.model import InteractionId
from keys.sealed import Opener
from pipeline import history, index, indexing, write
from pipeline.artefact import AUDIO, INDEX, TRANSCRIPT, Transcript
from pipeline.audit import audit
from pipeline.history import Filter
from pipeline.indexstate import open_index
from pipeline.query import parse, terms
from pipeline.search import Finding
from pipeline.session import acting
from pipeline.vault import Artefact, Vault
from tests.household import clock, forget, make, parts_of, say

WORDS = ["light", "lights", "moon", "doctor's", "blood", "pressure", "Ärztin", "zanzibar", "the"]
FAST = [Phase.explicit, Phase.reuse, Phase.generate]
"""Without shrinking: an example takes a second."""
QUERIES = ["light", "light*", '"blood pressure"', "the moon", "ärzt*", "doctor's the", "nowhere"]


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"TAIL": 3, "FAN": 2, "MOST": 12, "DISTANCE": 40}.items():
        monkeypatch.setattr(indexing, name, value)


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return make(tmp_path)


def texts(number: int, seed: int = 0) -> list[str]:
    chance = random.Random(seed)
    return [" ".join(chance.choices(WORDS, k=chance.randint(1, 6))) for _ in range(number)]


def tidy(vault: Vault) -> None:
    indexing.keep_up(vault, clock)


def naive(vault: Vault, query: str) -> list[InteractionId]:
    """Reads every transcript there is."""
    asked = parse(query)
    found = []
    for it in vault.interactions():
        said = Transcript.decode(vault.read(it, TRANSCRIPT)).text
        if asked.finds(terms(said)):
            found.append(it)
    return found


def assert_exact(vault: Vault) -> None:
    with acting(vault, clock):
        everything = list(vault.interactions())
        assert [row.interaction for row in index.rows(vault)] == everything
        for query in QUERIES:
            found = [row.interaction for row in history.matching(vault, [query])]
            assert found == naive(vault, query), query
        assert vault.unreadable == set()
        assert audit(vault).problems == []


def segments(vault: Vault) -> list[int]:
    with acting(vault, clock):
        return [it.head.members for it in open_index(vault).segments]


def test_what_is_indexed_is_found_as_what_is_not(vault: Vault) -> None:
    for number in (2, 2, 5, 1, 13, 1):
        say(vault, *texts(number, number))
        assert_exact(vault)
        tidy(vault)
        assert_exact(vault)
    assert sum(segments(vault)) >= 22
    assert max(segments(vault)) > 3
    assert len(segments(vault)) < 6


def test_an_empty_vault_has_nothing(vault: Vault) -> None:
    tidy(vault)
    assert_exact(vault)
    assert segments(vault) == []


ACTS = st.lists(
    st.one_of(
        st.tuples(st.just("say"), st.integers(1, 5)),
        st.tuples(st.just("tidy"), st.just(0)),
        st.tuples(st.just("forget"), st.integers(0, 30)),
        st.tuples(st.just("audio"), st.integers(0, 30)),
        st.tuples(st.just("lose"), st.integers(0, 9)),
        st.tuples(st.just("spoil"), st.integers(0, 9)),
    ),
    max_size=9,
)


@settings(max_examples=25, phases=FAST, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(acts=ACTS, seed=st.integers(0, 99))
def test_whatever_happens_nothing_is_passed_over(
    tmp_path_factory: pytest.TempPathFactory, acts: list[tuple[str, int]], seed: int
) -> None:
    vault = make(tmp_path_factory.mktemp("house"))
    damages = 0
    for n, (act, number) in enumerate(acts):
        with acting(vault, clock):
            ids, owners = list(vault.interactions()), vault.owned(INDEX)
        if act == "say":
            say(vault, *texts(number, seed + n))
        elif act == "tidy":
            tidy(vault)
        elif act == "forget" and ids:
            forget(vault, ids[number % len(ids)])
        elif act == "audio" and (loud := audible(vault)):
            forget(vault, loud[number % len(loud)], only_audio=True)
        elif act in {"lose", "spoil"} and owners:
            damage(vault, owners[number % len(owners)], whole=act == "lose")
            damages += 1
        assert_found(vault)
    tidy(vault)
    tidy(vault)
    assert_exact(vault)


def audible(vault: Vault) -> list[InteractionId]:
    with acting(vault, clock):
        return [it for it in vault.interactions() if AUDIO in kinds(vault, it)]


def kinds(vault: Vault, interaction: InteractionId) -> set[str]:
    return {it.kind for it in vault.artefacts(interaction)}


def assert_found(vault: Vault) -> None:
    """As `assert_exact`, in any order, and with an audit that names what is damaged."""
    with acting(vault, clock):
        assert {row.interaction for row in index.rows(vault)} == set(vault.interactions())
        for query in QUERIES:
            found = [row.interaction for row in history.matching(vault, [query])]
            assert len(found) == len(set(found))
            assert set(found) == set(naive(vault, query)), query


def damage(vault: Vault, owner: InteractionId, *, whole: bool) -> None:
    with acting(vault, clock):
        (artefact,) = vault.artefacts(owner)
    if whole:
        artefact.path.unlink()
        return
    data = bytearray(artefact.path.read_bytes())
    data[len(data) // 2] ^= 1
    artefact.path.write_bytes(data)


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("which", [0, -1])
def test_a_damaged_segment_hides_nothing_and_is_mended(
    vault: Vault, which: int, whole: bool
) -> None:
    for n in range(3):
        say(vault, *texts(7, n))
        tidy(vault)
    with acting(vault, clock):
        owners = vault.owned(INDEX)
    assert len(owners) > 1
    damage(vault, owners[which], whole=whole)
    assert_found(vault)
    with acting(vault, clock):
        finding = Finding(vault, parse("light"))
        history.found(vault, finding, None)
        assert list(finding.damaged) == [owners[which]]
    indexing.keep_up(vault, clock, list(finding.damaged))
    assert_exact(vault)
    assert sum(segments(vault)) == 21


def test_rows_tell_what_meta_tells_indexed_or_not(vault: Vault) -> None:
    with acting(vault, clock):
        for n in range(4):
            write.create(vault, parts_of(f"text {n}", f"2026-02-0{n + 1}T08:00:00.5Z", f"p{n % 2}"))
        before = list(index.rows(vault))
    assert [row.started_at.day for row in before] == [4, 3, 2, 1]
    assert [row.profile for row in before] == ["p1", "p0", "p1", "p0"]
    tidy(vault)
    assert segments(vault) == [4]
    with acting(vault, clock):
        assert list(index.rows(vault)) == before
        assert len(list(index.rows(vault, index.Which(profile="p0")))) == 2
        assert not list(index.rows(vault, index.Which(profile="nobody")))


def test_a_filtered_history_opens_only_what_it_shows(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    with acting(vault, clock):
        for n in range(9):
            write.create(vault, parts_of(f"text {n}", f"2026-02-0{n + 1}T08:00:00Z"))
    tidy(vault)
    since = datetime.fromisoformat("2026-02-04T08:00:00Z")
    until = datetime.fromisoformat("2026-02-06T08:00:00Z")
    opened = list[str]()
    real = vault.open

    def open_(artefact: Artefact) -> Opener:
        opened.append(artefact.kind)
        return real(artefact)

    monkeypatch.setattr(vault, "open", open_)
    with acting(vault, clock):
        found = history.history(vault, Filter(since, until, "default"), None)
    assert [row.text for row in found] == ["text 4", "text 3"]
    assert opened == [INDEX, *["meta", "transcript"] * 2]


def test_an_utterance_without_words_is_taken_in_when_it_has_them(vault: Vault) -> None:
    """One that was cut off is recognised later; until then the index must not close over it."""
    say(vault, "zanzibar first")
    with acting(vault, clock):
        late = write.create(vault, [it for it in parts_of("zanzibar late") if it[0] != TRANSCRIPT])
    say(vault, *texts(5))
    tidy(vault)
    say(vault, *texts(4))
    tidy(vault)
    with acting(vault, clock):
        assert late in {row.interaction for row in index.rows(vault)}
        transcript = next(it for it in parts_of("zanzibar late") if it[0] == TRANSCRIPT)
        write.add(vault, late, transcript)
    with acting(vault, clock):
        assert late in [row.interaction for row in history.matching(vault, ["late"])]
    say(vault, *texts(4))
    tidy(vault)
    with acting(vault, clock):
        assert late not in {it.interaction for it in open_index(vault).unindexed}
        assert [row.interaction for row in history.matching(vault, ["late"])] == [late]
    assert_exact(vault)


def test_merging_is_by_retiring_and_leaves_no_receipt(vault: Vault) -> None:
    for n in range(6):
        say(vault, *texts(3, n))
        tidy(vault)
    assert not list(vault.receipts.glob("*"))
    with acting(vault, clock):
        alive = {it.owner for it in open_index(vault).segments}
        assert set(vault.owned(INDEX)) == alive
        assert len(list((vault.sealed / "own").iterdir())) == len(alive)


def test_the_log_is_not_looked_back_for_ever(vault: Vault) -> None:
    say(vault, *texts(5))
    tidy(vault)
    with acting(vault, clock):
        for it in vault.interactions():
            vault.note("read", "show", [it])
        for _ in range(indexing.DISTANCE):
            vault.note("read", "show", [next(vault.interactions())])
    tidy(vault)
    with acting(vault, clock):
        assert open_index(vault).distance < 10
    assert_exact(vault)


def test_nothing_of_the_index_shows_what_was_said(vault: Vault) -> None:
    say(vault, "zanzibar " * 3, "zanzibar", "zanzibar")
    tidy(vault)
    with acting(vault, clock):
        state = open_index(vault)
        (segment,) = state.segments
        rows = list(index.rows(vault))
        finding = Finding(vault, parse("zanzibar"))
        shown = repr([state, segment.whole(), segment.text(), rows, finding, finding.query])
    assert "zanzibar" not in shown
    assert "default" not in repr(rows)


def test_erasing_opens_no_more_than_it_must(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexing, "FAN", 99)
    for n in range(6):
        say(vault, *texts(3, n))
        tidy(vault)
    opened = list[InteractionId]()
    real = vault.open

    def counted(artefact: Artefact) -> Opener:
        if artefact.kind == INDEX:
            opened.append(artefact.header.label.interaction)
        return real(artefact)

    with acting(vault, clock):
        assert len(vault.owned(INDEX)) == 6
        oldest = list(vault.interactions())[-1]
    monkeypatch.setattr(vault, "open", counted)
    forget(vault, oldest)
    assert 0 < len(set(opened)) <= 2
    monkeypatch.undo()
    assert_exact(vault)


def test_a_hint_to_the_system_needs_no_file_and_keeps_none_open(tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.write_bytes(bytes(10_000))
    opened = Path("/proc/self/fd")
    before = len(list(opened.iterdir())) if opened.is_dir() else 0
    expect([there, tmp_path / "missing", tmp_path])
    assert not before or len(list(opened.iterdir())) == before
