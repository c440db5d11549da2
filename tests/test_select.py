"""Selecting what to forget: each way alone, its order, its refusals, its messages."""

import secrets
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from keys.errors import Erased
from keys.model import InteractionId
from pipeline import write
from pipeline.errors import NotFound, Refused
from pipeline.history import Filter
from pipeline.select import Selection, parse_time, select
from pipeline.session import acting
from pipeline.vault import Vault
from tests.household import clock, forget, make, parts_of, say

TEXTS = ("turn on the light", "order a pizza", "the light is too bright")


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return make(tmp_path)


@pytest.fixture
def ids(vault: Vault) -> list[InteractionId]:
    return say(vault, *TEXTS)  # heard at 08:00:00, 08:00:01 and 08:00:02


def chosen(vault: Vault, selection: Selection) -> list[InteractionId]:
    with acting(vault, clock):
        return select(vault, selection)


def at(second: int) -> datetime:
    return datetime(2026, 2, 1, 8, 0, second, tzinfo=UTC)


def test_by_id_whole_or_by_its_start_each_once(vault: Vault, ids: list[InteractionId]) -> None:
    whole, start = ids[1].hex(), ids[0].hex()[:10].upper()
    assert chosen(vault, Selection(ids=(whole, start, whole[:12]))) == [ids[1], ids[0]]


def test_the_last_is_the_last_that_lives(vault: Vault, ids: list[InteractionId]) -> None:
    assert chosen(vault, Selection(last=True)) == [ids[2]]
    forget(vault, ids[2])
    assert chosen(vault, Selection(last=True)) == [ids[1]]


def test_everything_is_newest_first(vault: Vault, ids: list[InteractionId]) -> None:
    assert chosen(vault, Selection(everything=True)) == ids[::-1]


@pytest.mark.parametrize(
    ("words", "found"),
    [(("LIGHT",), [2, 0]), (("light", "on"), [0]), (("the light",), [2, 0]), (("piz",), [])],
)
def test_by_words_all_of_them_whole_in_any_case(
    vault: Vault, ids: list[InteractionId], words: tuple[str, ...], found: list[int]
) -> None:
    if found:
        assert chosen(vault, Selection(match=words)) == [ids[n] for n in found]
    else:
        with pytest.raises(NotFound, match="nothing was erased"):
            chosen(vault, Selection(match=words))


@pytest.mark.parametrize(
    ("since", "until", "found"),
    [(1, None, [2, 1]), (None, 1, [0]), (0, 2, [1, 0]), (1, 2, [1])],
)
def test_by_time_from_since_and_before_until(
    vault: Vault,
    ids: list[InteractionId],
    since: int | None,
    until: int | None,
    found: list[int],
) -> None:
    which = Filter(
        at(since) if since is not None else None, at(until) if until is not None else None
    )
    assert chosen(vault, Selection(which=which)) == [ids[n] for n in found]


def test_by_profile_alone_and_with_a_time(vault: Vault, ids: list[InteractionId]) -> None:
    with acting(vault, clock):
        child = write.create(vault, parts_of("bedtime story", profile="child"))
    assert chosen(vault, Selection(which=Filter(profile="child"))) == [child]
    assert set(chosen(vault, Selection(which=Filter(profile="default")))) == set(ids)
    with pytest.raises(NotFound):
        chosen(vault, Selection(which=Filter(since=at(59), profile="child")))


@pytest.mark.parametrize(
    "selection",
    [
        Selection(),
        Selection(last=True, everything=True),
        Selection(ids=("abcd",), match=("light",)),
        Selection(last=True, which=Filter(profile="child")),
    ],
)
def test_exactly_one_way(vault: Vault, selection: Selection) -> None:
    with pytest.raises(Refused, match="exactly one way"):
        chosen(vault, selection)


@pytest.mark.parametrize("text", ["", "abc", "pizza", "../../etc", "0" * 33, "ffff-foreign"])
def test_an_id_that_is_none(vault: Vault, ids: list[InteractionId], text: str) -> None:
    assert ids
    with pytest.raises(NotFound, match="32 hex digits"):
        chosen(vault, Selection(ids=(text,)))


def test_an_id_that_was_erased_is_not_one_that_never_was(
    vault: Vault, ids: list[InteractionId]
) -> None:
    forget(vault, ids[0])
    with pytest.raises(Erased, match=ids[0].hex()):
        chosen(vault, Selection(ids=(ids[0].hex()[:8],)))


def test_the_start_of_two_ids_is_refused(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = iter(range(100))
    monkeypatch.setattr(
        secrets, "token_bytes", lambda n: b"\xab" * (n - 1) + bytes([next(numbers)])
    )
    one, other = say(vault, "one", "other")
    with pytest.raises(NotFound, match="start of 2 interactions"):
        chosen(vault, Selection(ids=("abab",)))
    assert chosen(vault, Selection(ids=(one.hex(),))) == [one]
    forget(vault, other)
    assert chosen(vault, Selection(ids=("abab",))) == [one]


def test_a_foreign_file_in_a_bucket_is_in_nobodys_way(
    vault: Vault, ids: list[InteractionId]
) -> None:
    (vault.bucket(ids[0]) / f"{ids[0].hex()[:4]}-holiday.jpg").write_bytes(b"x")
    assert chosen(vault, Selection(ids=(ids[0].hex()[:4],))) == [ids[0]]


def test_nothing_to_select_in_an_empty_vault(vault: Vault) -> None:
    for selection in (Selection(last=True), Selection(everything=True)):
        with pytest.raises(NotFound, match="nothing was erased"):
            chosen(vault, selection)


def test_messages_and_reprs_do_not_repeat_the_words(vault: Vault, ids: list[InteractionId]) -> None:
    assert ids
    selection = Selection(match=("strawberry",))
    with pytest.raises(NotFound) as raised:
        chosen(vault, selection)
    assert "strawberry" not in f"{raised.value} {selection!r}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-31T12:00:00Z", datetime(2026, 1, 31, 12, tzinfo=UTC)),
        (" 2026-01-31T14:00:00+02:00 ", datetime(2026, 1, 31, 12, tzinfo=UTC)),
        ("2026-01-31", datetime(2026, 1, 31).astimezone()),
    ],
)
def test_times(text: str, expected: datetime) -> None:
    assert parse_time(text) == expected


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01", "12:00", "x" * 1000])
def test_times_that_are_none(text: str) -> None:
    with pytest.raises(Refused, match="expected a time") as raised:
        parse_time(text)
    assert len(str(raised.value)) < 200


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/Lima"])
@pytest.mark.parametrize("text", ["0001-01-01", "9999-12-31T23:59:59"])
def test_times_at_the_ends_of_the_calendar_are_refused_or_read(
    text: str, zone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        assert parse_time(text).year in {1, 9999}
    except Refused:
        pass
    finally:
        monkeypatch.undo()
        time.tzset()
