"""Times said in words: read, resolved after now in a zone, said back and read again the same.

The two changes of the clocks of Berlin in 2026: on 29 March 02:00 becomes 03:00, on 25 October
03:00 becomes 02:00. Monday 23 November 2026, 14:00, is now where nothing else is said.
"""

import random
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.assistant.clocks import duration
from pipeline.assistant.moments import EVERY_DAY, MONTH_NAMES, WEEKDAY_NAMES, When, find
from pipeline.assistant.numerals import cardinal, in_words, ordinal, plain, tokens_of, year
from pipeline.assistant.past import Span, span, trailing_span
from pipeline.assistant.resolve import (
    NO_DATE,
    NO_TIME,
    PAST,
    Habit,
    Unclear,
    end_of,
    last_occurrence,
    next_occurrence,
    resolve,
    said,
    said_days,
    said_length,
)

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 23, 14, 0, tzinfo=BERLIN)
DAY, EARLY = Habit(default=time(9)), Habit(early=True)


def resolved(
    text: str, now: datetime = NOW, habit: Habit = DAY, *, loose: bool = False
) -> datetime:
    when, rest = find(tokens_of(text), loose=loose)
    assert rest == (), rest
    return resolve(when, now, habit)


SAID = {
    "tomorrow at half past seven": "2026-11-24T07:30",
    "tomorrow at seven thirty p m": "2026-11-24T19:30",
    "next friday at three pm": "2026-12-04T15:00",
    "on friday at three": "2026-11-27T15:00",
    "in twenty five minutes": "2026-11-23T14:25",
    "in an hour and a half": "2026-11-23T15:30",
    "in half an hour": "2026-11-23T14:30",
    "half an hour from now": "2026-11-23T14:30",
    "in two and a half hours": "2026-11-23T16:30",
    "on the third of december at noon": "2026-12-03T12:00",
    "on december third at noon": "2026-12-03T12:00",
    "at noon on the twenty first of january": "2027-01-21T12:00",
    "on the third of november at ten": "2027-11-03T10:00",
    "tonight at nine": "2026-11-23T21:00",
    "tonight at one": "2026-11-24T01:00",
    "tonight at midnight": "2026-11-24T00:00",
    "this evening": "2026-11-23T18:00",
    "at three": "2026-11-23T15:00",
    "at two": "2026-11-24T02:00",
    "at nine": "2026-11-23T21:00",
    "at nine in the morning": "2026-11-24T09:00",
    "at nine am": "2026-11-24T09:00",
    "at seven oh five": "2026-11-23T19:05",
    "at quarter to eight tomorrow": "2026-11-24T07:45",
    "at ten past six tomorrow evening": "2026-11-24T18:10",
    "tomorrow at twelve": "2026-11-24T12:00",
    "tomorrow at twelve am": "2026-11-24T00:00",
    "at half seven": "2026-11-23T19:30",
    "at nineteen thirty": "2026-11-23T19:30",
    "at ten hundred hours": "2026-11-24T10:00",
    "the day after tomorrow at nine": "2026-11-25T09:00",
    "in three days at eight pm": "2026-11-26T20:00",
    "in a couple of weeks": "2026-12-07T09:00",
    "on the fifteenth": "2026-12-15T09:00",
    "on monday": "2026-11-30T09:00",
    "next monday at four in the afternoon": "2026-11-30T16:00",
    "on tuesday next week at ten": "2026-12-01T10:00",
    "every weekday at six thirty in the evening": "2026-11-23T18:30",
    "every day at two": "2026-11-24T14:00",
    "on sundays at ten": "2026-11-29T10:00",
    "every monday and friday at eight am": "2026-11-27T08:00",
    "on december third twenty twenty seven at 07:05": "2027-12-03T07:05",
    "on the twenty ninth of february": "2028-02-29T09:00",
    "Tomorrow at 7:30 p.m.": "2026-11-24T19:30",
    "Tomorrow, at 7 p. m.": "2026-11-24T19:00",
    "at 19.30": "2026-11-23T19:30",
}


@pytest.mark.parametrize(("text", "expected"), SAID.items())
def test_what_is_said_is_the_next_sensible_time(text: str, expected: str) -> None:
    assert resolved(text).isoformat(timespec="minutes") == expected + "+01:00"


LOOSE = {
    "for ten minutes": "2026-11-23T14:10",
    "ten minutes": "2026-11-23T14:10",
    "one hour twenty minutes": "2026-11-23T15:20",
    "for seven thirty": "2026-11-23T19:30",
    "seven": "2026-11-23T19:00",
    "tomorrow seven thirty": "2026-11-24T07:30",
    "for every weekday at seven": "2026-11-24T07:00",
    "weekdays at seven": "2026-11-24T07:00",
}


@pytest.mark.parametrize(("text", "expected"), LOOSE.items())
def test_where_a_time_is_expected_less_has_to_be_said(text: str, expected: str) -> None:
    assert resolved(text, loose=True).isoformat(timespec="minutes") == expected + "+01:00"


def test_early_hours_are_those_of_who_wants_to_be_woken() -> None:
    assert resolved("tomorrow at six", habit=EARLY).hour == 6
    assert resolved("tomorrow at six").hour == 18
    assert resolved("at six", habit=EARLY).isoformat() == "2026-11-23T18:00:00+01:00"
    assert resolved("at six", habit=Habit(woken=True)).isoformat() == "2026-11-24T06:00:00+01:00"
    assert resolved("at half past six tomorrow morning", habit=EARLY).hour == 6


NOT_TIMES = [
    "remind me to look at one of the houses",
    "book a table for two",
    "buy seven up",
    "to watch the friday film",
    "go in",
    "at least",
    "in the garden",
    "on the second floor",
    "and one more story",
    "march to the sea",
    "may i",
    "the hour is late",
]


@pytest.mark.parametrize("text", NOT_TIMES)
def test_other_words_are_no_times(text: str) -> None:
    assert find(tokens_of(text), loose=False) == (When(), tokens_of(text))


def test_a_time_is_taken_out_of_its_sentence_and_a_second_one_stays() -> None:
    text = "remind me at nine tomorrow to watch the match at ten"
    when, rest = find(tokens_of(text), loose=False)
    assert " ".join(rest) == "remind me to watch the match at ten"
    assert resolve(when, NOW, DAY).isoformat() == "2026-11-24T09:00:00+01:00"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("today at nine am", PAST),
        ("this morning", PAST),
        ("on the third of may twenty twenty", PAST),
        ("on the thirty first of june", NO_DATE),
        ("on the thirtieth of february twenty twenty seven", NO_DATE),
    ],
)
def test_what_is_over_or_never_comes_is_asked_for(text: str, why: str) -> None:
    with pytest.raises(Unclear) as unclear:
        resolved(text)
    assert unclear.value.why == why


def test_a_day_without_a_time_is_asked_for_unless_there_is_a_usual_one() -> None:
    with pytest.raises(Unclear) as unclear:
        resolved("tomorrow", habit=EARLY)
    assert unclear.value.why == NO_TIME


def test_from_one_hour_to_another() -> None:
    when, _ = find(tokens_of("tomorrow from nine to half past ten"), loose=False)
    start = resolve(when, NOW, DAY)
    end = end_of(when, start)
    assert end is not None
    assert (start.hour, end.hour, end.minute) == (9, 10, 30)
    late, _ = find(tokens_of("tomorrow from eleven pm to one"), loose=False)
    start = resolve(late, NOW, DAY)
    end = end_of(late, start)
    assert end is not None
    assert end - start == timedelta(hours=2)


# --- the changes of the clocks

SPRING = datetime(2026, 3, 28, 20, 0, tzinfo=BERLIN)
AUTUMN = datetime(2026, 10, 24, 20, 0, tzinfo=BERLIN)


def test_a_time_that_the_clocks_leave_out_is_an_hour_later() -> None:
    at = resolved("tomorrow at half past two am", SPRING)
    assert at.isoformat() == "2026-03-29T03:30:00+02:00"


def test_a_time_that_the_clocks_show_twice_is_the_first() -> None:
    at = resolved("tomorrow at half past two am", AUTUMN)
    assert at.isoformat() == "2026-10-25T02:30:00+02:00"


def test_a_length_of_time_is_as_long_as_it_was_said_to_be() -> None:
    for now in (SPRING, AUTUMN):
        at = resolved("in ten hours", now)
        assert at.astimezone(UTC) - now.astimezone(UTC) == timedelta(hours=10)
    assert resolved("in ten hours", SPRING).hour == 7
    assert resolved("in ten hours", AUTUMN).hour == 5


def test_seven_is_seven_on_both_sides_of_a_change() -> None:
    for now in (SPRING, AUTUMN):
        at = next_occurrence(EVERY_DAY, time(7), now)
        assert (at.hour, (at.astimezone(UTC) - now.astimezone(UTC)).seconds) != (0, 0)
        assert at.hour == 7


def test_every_night_at_half_past_two_comes_once_a_night() -> None:
    for now in (SPRING, AUTUMN):
        nights, at = [], now
        for _ in range(3):
            at = next_occurrence(EVERY_DAY, time(2, 30), at)
            nights.append(at)
        assert [it.day for it in nights] == [now.day + 1, now.day + 2, now.day + 3]


def test_in_the_hour_that_comes_twice_the_first_is_over_in_the_second() -> None:
    """Python compares two times of one zone by what clocks show; then this would be to come."""
    second_ten_past = datetime(2026, 10, 25, 2, 10, tzinfo=BERLIN, fold=1)
    assert last_occurrence(EVERY_DAY, time(2, 30), second_ten_past).day == 25
    assert next_occurrence(EVERY_DAY, time(2, 30), second_ten_past).day == 26
    with pytest.raises(Unclear):
        resolved("today at 02:30", second_ten_past)


# --- properties

NAMES = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "UTC"]
ZONES = st.sampled_from([ZoneInfo(name) for name in NAMES])
START = datetime(2026, 1, 1, tzinfo=UTC)
MOMENTS = st.integers(0, 63 * 365 * 24 * 60).map(lambda it: START + timedelta(minutes=it))
MINUTES = st.integers(1, 3 * 366 * 24 * 60)


def later(now: datetime, minutes: int) -> datetime:
    at = (now.astimezone(UTC) + timedelta(minutes=minutes)).astimezone(now.tzinfo)
    return at.replace(second=0, microsecond=0)


@given(MOMENTS, ZONES, MINUTES)
@example(SPRING.astimezone(UTC), BERLIN, 500)
@example(datetime(2028, 2, 28, 12, tzinfo=UTC), BERLIN, 60 * 24 * 366)
def test_what_is_said_back_is_read_as_the_same_time(
    moment: datetime, zone: ZoneInfo, minutes: int
) -> None:
    now = moment.astimezone(zone)
    at = later(now, minutes + 1)
    if at.fold:
        return  # the second of two same hours cannot be said
    text = said(at, now)
    assert resolved(text, now).timestamp() == at.timestamp(), text
    assert resolved(text, now, EARLY).timestamp() == at.timestamp(), text


def clock_phrases(at: datetime) -> list[str]:
    """Ways to say a time of day, as a recogniser writes them."""
    hour, minute = (at.hour - 1) % 12 + 1, at.minute
    half = ("a m", "p m")[at.hour >= 12]
    following = in_words(hour % 12 + 1)
    part = "in the morning" if at.hour < 12 else "in the afternoon"
    small = f"oh {in_words(minute)}" if 0 < minute < 10 else in_words(minute) if minute else ""
    phrases = [
        f"at {in_words(hour)} {small} {half}".replace("  ", " "),
        f"at {hour}:{minute:02} {half[0]}.m.",
        f"at {at:%H:%M}",
    ]
    if at.hour not in {0, 12}:
        phrases.append(f"at {in_words(hour)} {small} {part}".replace("  ", " "))
    if 0 < minute <= 30:
        phrases.append(f"at {in_words(minute)} minutes past {in_words(hour)} {half}")
    if minute > 30 and hour not in {11, 12}:
        phrases.append(f"at {in_words(60 - minute)} minutes to {following} {half}")
    return phrases


ORDINALS = (
    *(
        tokens_of(
            "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth"
        )
    ),
    *(tokens_of("thirteenth fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth")),
    *("twentieth", "twenty first", "twenty second", "twenty third", "twenty fourth"),
    *("twenty fifth", "twenty sixth", "twenty seventh", "twenty eighth", "twenty ninth"),
    *("thirtieth", "thirty first"),
)


def day_phrases(at: datetime) -> list[str]:
    month, day = MONTH_NAMES[at.month - 1], ORDINALS[at.day - 1]
    years = f"twenty {in_words(at.year % 100)}" if at.year % 100 >= 10 else str(at.year)
    weekday = WEEKDAY_NAMES[at.weekday()]
    return [
        f"on the {day} of {month} {years}",
        f"on {month} {day} {years}",
        f"on {weekday} the {day} of {month} {years}",
        f"on {at.day} {month} {at.year}",
    ]


@given(MOMENTS, MINUTES, st.randoms(use_true_random=False), st.booleans())
def test_what_is_said_in_words_is_read_as_what_it_says(
    now: datetime, minutes: int, chance: random.Random, first_the_day: bool
) -> None:
    at = later(now, minutes + 1)
    phrases = [chance.choice(day_phrases(at)), chance.choice(clock_phrases(at))]
    text = " ".join(phrases if first_the_day else phrases[::-1])
    assert resolved(text, now) == at, text


@given(st.integers(1, 10 * 86_400))
def test_a_length_of_time_is_read_as_it_is_said(seconds: int) -> None:
    days, rest = divmod(seconds, 86_400)
    tokens = tokens_of(said_length(rest))
    if rest:
        assert duration(tokens, 0) == (rest, len(tokens))
    assert said_length(seconds).startswith(f"{days} day") == (days > 0)


@given(st.lists(st.sampled_from(["at", "nine", "to", "on", "the", "third", "of", "may", "half"])))
def test_no_words_stop_the_grammar_and_none_is_lost(words: list[str]) -> None:
    for loose in (False, True):
        when, rest = find(tuple(words), loose=loose)
        assert bool(when) == (len(rest) < len(words))


@given(st.text())
def test_any_text_is_read(text: str) -> None:
    assert plain(text) == " ".join(plain(text.upper()).split()).lower() or not text.isascii()
    find(tokens_of(text), loose=True)
    span(tokens_of(text), NOW)


def test_numbers() -> None:
    for number in range(100):
        words = tokens_of(in_words(number))
        assert cardinal(words, 0) == (number, len(words))
    assert cardinal(tokens_of("a hundred and five"), 0) == (105, 4)
    assert cardinal(tokens_of("two hundred twenty"), 0) == (220, 3)
    assert cardinal(["house"], 0) is None
    for number, said_so in enumerate(ORDINALS, 1):
        assert ordinal(tokens_of(said_so), 0) == (number, len(tokens_of(said_so)))
    assert ordinal(["22nd"], 0) == (22, 1)
    assert year(tokens_of("two thousand and nine"), 0) == (2009, 4)


def test_weekdays_are_said() -> None:
    assert said_days((0, 1, 2, 3, 4)) == "every weekday"
    assert said_days(EVERY_DAY) == "every day"
    assert said_days((0, 3)) == "every Monday and Thursday"


# --- times that are over

OVER = {
    "today": ("2026-11-23T00:00", "2026-11-24T00:00"),
    "yesterday": ("2026-11-22T00:00", "2026-11-23T00:00"),
    "since nine": ("2026-11-23T09:00", ""),
    "since three": ("2026-11-23T03:00", ""),
    "since nine yesterday": ("2026-11-22T09:00", ""),
    "since yesterday": ("2026-11-22T00:00", ""),
    "before noon": ("", "2026-11-23T12:00"),
    "in the last hour": ("2026-11-23T13:00", ""),
    "in the last half hour": ("2026-11-23T13:30", ""),
    "the last ten minutes": ("2026-11-23T13:50", ""),
    "the past two days": ("2026-11-21T14:00", ""),
    "last night": ("2026-11-22T20:00", "2026-11-23T06:00"),
    "this morning": ("2026-11-23T00:00", "2026-11-23T12:00"),
    "yesterday evening": ("2026-11-22T17:00", "2026-11-23T00:00"),
    "between nine and ten": ("2026-11-23T09:00", "2026-11-23T10:00"),
    "from nine to ten yesterday": ("2026-11-22T09:00", "2026-11-22T10:00"),
    "on monday": ("2026-11-16T00:00", "2026-11-17T00:00"),
    "last friday": ("2026-11-20T00:00", "2026-11-21T00:00"),
    "this week": ("2026-11-23T00:00", ""),
    "on the third of november": ("2026-11-03T00:00", "2026-11-04T00:00"),
    "on the third of december": ("2025-12-03T00:00", "2025-12-04T00:00"),
}


@pytest.mark.parametrize(("text", "expected"), OVER.items())
def test_stretches_of_time_that_are_over(text: str, expected: tuple[str, str]) -> None:
    found = span(text.split(), NOW)
    assert found is not None
    assert (
        tuple(
            it.astimezone(BERLIN).isoformat(timespec="minutes")[:16] if it else ""
            for it in (found.since, found.until)
        )
        == expected
    )


@pytest.mark.parametrize("text", ["", "me not", "the doctor", "tomorrow", "since lunch", "nine"])
def test_other_words_are_no_stretch_of_time(text: str) -> None:
    assert span(text.split(), NOW) is None


def test_a_stretch_of_time_at_the_end_is_split_off() -> None:
    found, rest = trailing_span(tokens_of("the doctor since nine"), NOW)
    assert rest == ("the", "doctor")
    assert found == Span(datetime(2026, 11, 23, 9, tzinfo=BERLIN))
    assert trailing_span(tokens_of("the doctor"), NOW) == (None, ("the", "doctor"))
