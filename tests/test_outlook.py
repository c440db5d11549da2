"""Deciding by columns names what deciding one by one names: `Outlook` beside `limits.due`."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.model import InteractionId, Slot
from pipeline import falling, index, indexing, outlook, retention
from pipeline.indexformat import MEMBER, Members
from pipeline.indexvalues import NEVER, UNKNOWN
from pipeline.limits import Due, Row, due
from pipeline.outlook import Outlook
from pipeline.reckoning import LEAP_S, time_of
from pipeline.session import acting
from pipeline.settings import Limits, Profile, Settings, Shortened, shorter
from tests.household import clock, forget, make, parts_of

NOW_S = 1_772_366_400
NAMES = ("ada", "bob", "tim")
SLOTS = 8
limit = st.sampled_from([None, 0, 1, 59, 60, 61, 3600, 86_400])
at = st.integers(-200_000, 200_000) | st.sampled_from([-86_400, -3600, -60, -1, 0, 1, LEAP_S + 9])
member = st.tuples(
    st.integers(0, SLOTS + 1),  # of its audio: some lie beyond what the ring gave out
    at,
    st.booleans(),
    at,
    st.booleans(),
    limit,
    limit,
    st.integers(0, 5000),
    st.integers(0, len(NAMES) - 1),
)
shortened = st.builds(
    Shortened,
    at.map(lambda it: time_of(NOW_S + it)),
    st.sampled_from([None, *NAMES, "nobody"]),
    st.builds(Limits, limit, limit),
)
profile = st.builds(
    Profile,
    st.sampled_from(NAMES),
    is_child=st.just(value=True),
    inactive_s=limit,
    child_since=st.just(time_of(NOW_S - 90_000)),
)
settings = st.builds(
    Settings,
    profiles=st.lists(profile, max_size=3, unique_by=lambda it: it.name).map(tuple),
    shortened=st.lists(shortened, max_size=2).map(tuple),
)
Fields = tuple[int, int, bool, int, bool, int | None, int | None, int, int]


def members_of(rows: Sequence[Fields]) -> Members:
    found: Members = np.zeros(len(rows), MEMBER)
    for n, row in enumerate(rows):
        audio, processed, has_processed, reckoned, has_reckoned, a, w, length, name = row
        found[n]["slot"], found[n]["audio_slot"] = n, audio
        found[n]["started_us"] = (NOW_S + processed) * 10**6 + 999_999
        found[n]["duration_ms"], found[n]["profile"] = length, name
        found[n]["processed_s"] = NOW_S + processed if has_processed else UNKNOWN
        found[n]["reckoned_s"] = NOW_S + reckoned if has_reckoned else UNKNOWN
        found[n]["audio_limit_s"] = NEVER if a is None else a
        found[n]["words_limit_s"] = NEVER if w is None else w
        found[n]["interaction"] = n.to_bytes(16)
    return found


def rows_of(members: Members, liveness: bytes) -> list[Row]:
    """Returns the members as `limits.due` takes them, by plain Python."""
    found = []
    for it in members:
        a, w = (int(it[name]) for name in ("audio_limit_s", "words_limit_s"))
        ended_s = (int(it["started_us"]) // 1000 + int(it["duration_ms"])) // 1000
        processed_s, reckoned_s = int(it["processed_s"]), int(it["reckoned_s"])
        audio = int(it["audio_slot"])
        found.append(
            Row(
                InteractionId(bytes(it["interaction"])),
                NAMES[int(it["profile"])],
                ended_s if processed_s == UNKNOWN else processed_s,
                Limits(None if a == NEVER else a, None if w == NEVER else w),
                None if reckoned_s == UNKNOWN else reckoned_s,
                a != 0 and audio < len(liveness) and bool(liveness[audio]),
            )
        )
    return found


def by_columns(parts: Sequence[Members], told: Settings, liveness: bytes) -> Due:
    it = Outlook(told, NOW_S, liveness)
    chosen = [part[it.undecided(part, NAMES)] for part in parts]
    found = due([row for part in chosen for row in rows_of(part, liveness)], told, NOW_S)
    return replace(found, next_s=shorter(found.next_s, it.next_s))


@given(
    st.lists(st.lists(member, max_size=8), min_size=1, max_size=3),
    settings,
    st.binary(min_size=SLOTS, max_size=SLOTS).map(lambda it: bytes(byte & 1 for byte in it)),
)
def test_the_same_falls_due_and_the_same_is_next(
    rows: list[list[Fields]], told: Settings, liveness: bytes
) -> None:
    parts = [members_of(some) for some in rows]
    whole = np.concatenate(parts)
    for n in range(len(whole)):
        whole[n]["interaction"] = n.to_bytes(16)
    parts = np.split(whole, np.cumsum([len(some) for some in rows])[:-1])
    expected = due(rows_of(whole, liveness), told, NOW_S)
    found = by_columns(parts, told, liveness)
    assert (found, found.next_s) == (expected, expected.next_s)


def test_control_an_outlook_that_forgets_to_round_up_is_told_apart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows: list[Fields] = [(0, -60, True, 0, False, None, 61, 0, 0)]
    expected = due(rows_of(members_of(rows), b"\1"), Settings(), NOW_S)
    assert by_columns([members_of(rows)], Settings(), b"\1").next_s == expected.next_s
    monkeypatch.setattr(outlook, "MINUTE_S", 1)
    assert by_columns([members_of(rows)], Settings(), b"\1").next_s != expected.next_s


def test_what_nothing_falls_due_of_is_not_looked_at_one_by_one() -> None:
    rows: list[Fields] = [(0, 0, True, 0, False, 3600, 86_400, 0, 0)] * 5
    it = Outlook(Settings(), NOW_S, b"\1")
    assert not it.undecided(members_of(rows), NAMES).any()
    assert it.next_s == NOW_S + 3600
    assert Outlook(Settings(), NOW_S, b"").next_s is None


def test_the_liveness_of_all_slots_is_that_of_each(tmp_path: Path) -> None:
    vault = make(tmp_path)
    with acting(vault, clock):
        vault.ring.allocate(3000)  # several pages, and some in the journal
        dead = (*range(5), *range(1024, 2048), 2500)
        vault.ring.destroy(map(Slot, dead), b"plan")
        vault.ring.allocate(7)
        slots = map(Slot, range(vault.ring.slot_count))
        assert list(vault.ring.liveness()) == [vault.ring.is_live(it) for it in slots]


def test_an_indexed_vault_and_one_without_index_agree(tmp_path: Path) -> None:
    """Segments are decided by columns, the newest one by one; both against all one by one."""
    vault = make(tmp_path)
    limits = Limits(audio_s=86_400, words_s=3 * 86_400)
    with acting(vault, clock):
        retention.change(vault, lambda *_: Settings(limits=limits), clock)
    ids = []
    for n in range(70):
        with acting(vault, clock):
            ids.append(retention.create(vault, parts_of(f"note {n}"), clock))
    indexing.keep_up(vault, clock)
    with acting(vault, clock):
        ids.append(retention.create(vault, parts_of("not in the index"), clock))
    assert ids[0]
    assert ids[1]
    forget(vault, ids[0])
    forget(vault, ids[1], only_audio=True)
    with acting(vault, clock):
        state = retention.state_of(vault, clock)
        assert state
        for passed_s in (0, 86_400, 86_460, 3 * 86_400):
            now_s = state.now_s + passed_s
            rows = [falling._row(vault, it) for it in index.rows(vault)]
            expected = due(rows, state.settings, now_s)
            found = falling.found(vault, state.settings, now_s)
            assert (found.next_s, set(found.whole), set(found.audio)) == (
                expected.next_s,
                set(expected.whole),
                set(expected.audio),
            )
        assert len(found.whole) == 70
