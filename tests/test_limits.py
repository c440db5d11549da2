"""Settings, profiles, what is sensitive, and what falls due when: values only, no vault."""

from dataclasses import asdict, replace

import pytest

from keys.errors import Malformed
from keys.model import InteractionId
from pipeline.artefact import Meta
from pipeline.errors import NotFound, Refused
from pipeline.limits import Due, Row, due, falls_due, fixed, next_due, row_of, snapshot
from pipeline.profiles import Newcomer, Wish, add, remove, set_limits
from pipeline.reckoning import Reckoning, begin, seconds_of, time_of
from pipeline.sensitive import health, is_sensitive
from pipeline.settings import (
    CHILD,
    DAY_S,
    HOUR_S,
    Limits,
    Settings,
    format_duration,
    parse_duration,
)

NOON = "2026-03-01T12:00:00Z"
NOON_S = seconds_of(NOON)
PLAIN = ["turn", "on", "the", "light"]
ILL = ["the", "doctor", "said", "my", "blood", "pressure", "is", "too", "high"]
META = Meta("2026-03-01T11:59:50.000Z", 4000, "default", "a.wav", 0, "none")
ONE, TWO, THREE = (InteractionId(bytes([n]) * 16) for n in (1, 2, 3))


def child(
    consent: str | None = "Ada",
    *,
    audio: str | None = None,
    words: str | None = None,
    inactive: str | None = None,
) -> Settings:
    """A child's profile, with consent or not, with the limits of a child or these."""
    settings = add(Settings(), Newcomer("tim", is_child=True, consent_by=consent), NOON)
    wish = Wish("tim", audio=audio, words=words, inactive=inactive, consent_by=consent)
    return set_limits(settings, wish, NOON)


def test_durations_are_read_and_written() -> None:
    for text in ("none", "forever", "30m", "1h", "36h", "7d", "2w", "1y"):
        assert format_duration(parse_duration(text)) == ("14d" if text == "2w" else text)
    assert parse_duration("1d") == DAY_S
    assert (parse_duration("forever"), parse_duration("none")) == (None, 0)


@pytest.mark.parametrize(
    "text", ["", "0d", "-1d", "1", "1 d", "1s", "d", "1.5h", "100000d", "Never"]
)
def test_another_duration_is_refused(text: str) -> None:
    with pytest.raises(Refused, match="expected a duration"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["101y", "99999y", "99999w"])
def test_a_duration_beyond_all_dates_is_refused(text: str) -> None:
    with pytest.raises(Refused, match="forever"):
        parse_duration(text)


def test_settings_are_sealed_and_read_again_whole() -> None:
    settings = child(audio="1d", words="7d")
    settings = set_limits(settings, Wish(audio="1h", existing=True, own_words=("gärtner",)), NOON)
    settings = add(settings, Newcomer("Grandma", devices=("kitchen",)), NOON)
    assert Settings.decode(settings.encode()) == settings
    assert Settings.decode(Settings().encode()) == Settings()


@pytest.mark.parametrize("data", [b"", b"tim", b"[]", b"{}", b'{"profiles": [{"name": "tim"}]}'])
def test_other_settings_are_refused_and_not_repeated(data: bytes) -> None:
    with pytest.raises(Malformed, match="another form") as refusal:
        Settings.decode(data)
    assert "tim" not in str(refusal.value)


def test_no_repr_names_anybody() -> None:
    settings = replace(child(), words=("pineapple",))
    shown = repr((settings, settings.profiles, settings.profiles[0].consent, Wish("tim")))
    assert not any(word in shown for word in ("tim", "Ada", "pineapple"))


# Who


def test_nothing_set_keeps_everything_for_ever() -> None:
    kept = snapshot(Settings(), "anybody", ILL)
    assert (kept.limits, kept.stores, kept.has_audio) == (Limits(), True, True)
    assert kept.sensitive, "it is marked, and has no limit until there is one"


def test_a_child_without_consent_is_not_stored_at_all() -> None:
    kept = snapshot(child(consent=None), "tim", PLAIN)
    assert (kept.stores, kept.has_audio) == (False, False)


def test_a_child_with_consent_keeps_words_for_a_week_and_no_audio() -> None:
    kept = snapshot(child(), "tim", PLAIN)
    assert (kept.stores, kept.has_audio, kept.limits.words_s) == (True, False, 7 * DAY_S)
    assert snapshot(child(), "tim", ILL).limits.words_s == DAY_S
    assert snapshot(child(), "somebody", PLAIN).limits == Limits()


def test_a_child_gets_no_longer_limits_without_a_guardian() -> None:
    for wish in (Wish("tim", audio="1h"), Wish("tim", words="30d"), Wish("tim", words="forever")):
        with pytest.raises(Refused, match="guardian"):
            set_limits(child(), wish, NOON)
        agreed = set_limits(child(), replace(wish, consent_by="Grace"), NOON)
        consent = agreed.profiles[0].consent
        assert consent
        assert (consent.by, consent.at) == ("Grace", NOON)
    assert (
        set_limits(child(), Wish("tim", words="1h"), NOON).policy_of("tim").limits.words_s == HOUR_S
    )


def test_a_child_is_one_however_its_name_is_written() -> None:
    for name in ("Tim", "TIM", " tim "):
        assert not snapshot(child(), name, PLAIN).has_audio
        assert child().name_of(name) == "tim"
    again = add(child(), Newcomer("Tim", devices=("nursery",)), NOON)
    assert [it.name for it in again.profiles] == ["tim"]
    short = set_limits(child(), Wish("TIM", words="1h", existing=True), NOON)
    assert due([held(ONE, "tim", NOON_S - HOUR_S)], short, NOON_S) == Due((ONE,))
    assert not remove(child(), "TIM").profiles


def test_limits_beyond_the_consent_do_not_hold_however_they_came_there() -> None:
    """The control: settings that no function of ours makes, with longer limits than agreed to."""
    (tim,) = child().profiles
    forged = Settings(profiles=(replace(tim, limits=Limits(None, None)),))
    assert forged.policy_of("tim").limits == CHILD.limits


def test_a_child_does_not_become_an_adult_in_passing() -> None:
    settings = add(child(), Newcomer("tim", devices=("nursery",)), NOON)
    assert settings.policy_of("tim").is_child
    assert settings.profiles[0].devices == ("nursery",)
    assert not remove(settings, "tim").profiles


@pytest.mark.parametrize(
    "newcomer",
    [
        Newcomer(""),
        Newcomer(" "),
        Newcomer("a\nb"),
        Newcomer("ada", consent_by="Grace"),
        Newcomer("tim", is_child=True, consent_by=" "),
        Newcomer("x", devices=(" ",)),
    ],
)
def test_what_is_no_profile_is_refused(newcomer: Newcomer) -> None:
    with pytest.raises(Refused):
        add(Settings(), newcomer, NOON)


@pytest.mark.parametrize(
    "wish",
    [
        Wish(inactive="1d"),
        Wish(consent_by="Ada"),
        Wish("ada", inactive="1d"),
        Wish("ada", sensitive="1d"),
        Wish("ada", own_words=("x",)),
        Wish(audio="soon"),
        Wish("tim", inactive="none"),
        Wish(existing=True),
    ],
)
def test_what_makes_no_sense_is_refused(wish: Wish) -> None:
    with pytest.raises(Refused):
        set_limits(child(), wish, NOON)


def test_a_profile_that_is_not_there_is_not_removed() -> None:
    with pytest.raises(NotFound, match="there are: tim"):
        remove(child(), "tom")


def test_a_microphone_belongs_to_one_profile() -> None:
    settings = add(child(), Newcomer("tim", devices=("Nursery",)), NOON)
    assert settings.of_device("USB nursery microphone") == "tim"
    assert settings.of_device("kitchen") is None
    with pytest.raises(Refused, match="another profile"):
        add(settings, Newcomer("ada", devices=("nursery 2",)), NOON)


# What


def test_words_for_health_are_sensitive_and_others_are_not() -> None:
    assert len(health()) > 150
    for text in (
        "my blood pressure",
        "She is PREGNANT!",
        "two pills a day",
        "the psychiatrist called",
    ):
        assert is_sensitive(text.split()), text
    for text in ("order a pizza", "the pressure of blood orange", "set an alarm", "a pillow", ""):
        assert not is_sensitive(text.split()), text


def test_words_of_the_users_own_are_sensitive() -> None:
    assert not is_sensitive(["call", "my", "lawyer"])
    assert is_sensitive(["call", "my", "lawyer"], ("LAWYER",))
    assert is_sensitive(["my", "parole", "officer"], ("parole off*",))
    assert not is_sensitive(["anything"], ("", "*"))


# When


def held(
    interaction: InteractionId = ONE, profile: str = "default", at_s: int = NOON_S, **limits: int
) -> Row:
    return Row(interaction, profile, at_s, Limits(**limits))


def test_limits_are_fixed_in_the_meta_and_count_from_its_processing() -> None:
    settings = Settings(Limits(HOUR_S, DAY_S))
    meta = fixed(META, snapshot(settings, "default", PLAIN), begin(NOON_S))
    assert Meta.decode(meta.encode()) == meta
    row = row_of(ONE, meta, has_audio=True)
    assert falls_due(row, Settings(), NOON_S) == (NOON_S + HOUR_S, NOON_S + DAY_S)
    longer = Settings(Limits(None, None))
    assert falls_due(row, longer, NOON_S) == (NOON_S + HOUR_S, NOON_S + DAY_S)


def test_a_meta_of_before_there_were_limits_parses_and_is_kept_for_ever() -> None:
    row = {
        k: v
        for k, v in asdict(META).items()
        if k in {"started_at", "duration_ms", "profile", "source", "offset_ms", "recogniser"}
    }
    assert falls_due(row_of(ONE, Meta(**row), has_audio=True), Settings(), NOON_S) == (None, None)


def test_without_a_time_of_processing_limits_count_from_the_end_of_the_speech() -> None:
    meta = replace(META, words_limit_s=DAY_S)
    early = replace(meta, started_at="2026-03-01T11:50:56.500Z")
    late = replace(early, duration_ms=5000)
    until = [row_of(ONE, it, has_audio=True).processed_s for it in (early, late)]
    assert until == [NOON_S - 9 * 60, NOON_S - 9 * 60 + 1]


def test_things_fall_due_at_full_minutes_and_not_before_their_limit_is_over() -> None:
    rows = [held(at_s=NOON_S + after, words_s=HOUR_S) for after in (0, 1, 59, 60)]
    due_s = [falls_due(row, Settings(), NOON_S)[1] for row in rows]
    assert due_s == [NOON_S + HOUR_S + after for after in (0, 60, 60, 60)]
    at_once = set_limits(Settings(), Wish(words="none", existing=True), time_of(NOON_S + 7))
    assert falls_due(held(at_s=NOON_S + 7), at_once, NOON_S)[1] == NOON_S + 7


def test_each_falls_due_at_its_second_and_not_before() -> None:
    rows = [held(ONE, words_s=HOUR_S), held(TWO, audio_s=HOUR_S), held(THREE)]
    assert not due(rows, Settings(), NOON_S + HOUR_S - 1)
    assert due(rows, Settings(), NOON_S + HOUR_S) == Due((ONE,), (TWO,))
    assert next_due(rows, Settings(), NOON_S) == NOON_S + HOUR_S
    gone = [replace(rows[1], has_audio=False), rows[2]]
    assert next_due(gone, Settings(), NOON_S) is None
    assert not due(gone, Settings(), NOON_S + 99 * DAY_S)


def test_audio_goes_with_its_words_at_the_latest() -> None:
    rows = [held(ONE, words_s=HOUR_S), held(TWO, audio_s=DAY_S, words_s=HOUR_S)]
    assert due(rows, Settings(), NOON_S + HOUR_S) == Due((ONE, TWO))
    assert Limits(None, HOUR_S).within(Limits()).audio_s == HOUR_S


def test_existing_shortens_what_was_before_and_nothing_that_comes_after() -> None:
    settings = set_limits(Settings(), Wish(words="1h", existing=True), time_of(NOON_S))
    before, after = held(ONE, at_s=NOON_S), held(TWO, at_s=NOON_S + 1)
    assert falls_due(before, settings, NOON_S)[1] == NOON_S + HOUR_S
    assert falls_due(after, settings, NOON_S)[1] is None
    shorter = held(THREE, words_s=60)
    assert falls_due(shorter, settings, NOON_S)[1] == NOON_S + 60, "never longer"
    longer = set_limits(settings, Wish(words="1y", existing=True), time_of(NOON_S + 5))
    assert falls_due(before, longer, NOON_S)[1] == NOON_S + HOUR_S, "not even by asking"


def test_existing_for_one_profile_leaves_the_others() -> None:
    settings = set_limits(Settings(), Wish("ada", audio="none", existing=True), NOON)
    rows = [held(ONE, "ada"), held(TWO, "bob")]
    assert due(rows, settings, NOON_S) == Due((), (ONE,))


def test_a_child_of_whom_nothing_is_heard_loses_everything() -> None:
    settings = child(words="1y", inactive="30d")
    day = [held(ONE, "tim"), held(TWO, "tim", NOON_S + 20 * DAY_S), held(THREE, "ada")]
    assert not due(day, settings, NOON_S + 50 * DAY_S - 1)
    assert due(day, settings, NOON_S + 50 * DAY_S) == Due((ONE, TWO))
    assert next_due(day, settings, NOON_S) == NOON_S + 50 * DAY_S
    assert not due(day, child(words="1y", inactive="forever"), NOON_S + 999 * DAY_S)


def test_silence_counts_from_when_a_profile_became_a_childs() -> None:
    rows = [held(ONE, "tim", NOON_S - 300 * DAY_S)]
    assert not due(rows, child(), NOON_S + 30 * DAY_S - 1)
    assert due(rows, child(), NOON_S + 30 * DAY_S) == Due((ONE,))


# Clocks


def test_what_was_captured_by_a_clock_far_ahead_goes_by_the_time_reckoned() -> None:
    year_s = 365 * DAY_S
    leapt = Reckoning(NOON_S, NOON_S).step(NOON_S + year_s)
    meta = fixed(META, snapshot(Settings(Limits(None, DAY_S)), "default", PLAIN), leapt)
    row = row_of(ONE, meta, has_audio=True)
    assert falls_due(row, Settings(), NOON_S)[1] == NOON_S + DAY_S, "the clock was wrong"
    believed = NOON_S + year_s + HOUR_S
    assert falls_due(row, Settings(), believed)[1] == NOON_S + year_s + DAY_S, "it was right"


def test_what_was_captured_by_a_clock_far_behind_does_not_fall_due_at_once() -> None:
    behind = Reckoning(NOON_S, NOON_S).step(0)
    meta = fixed(META, snapshot(Settings(Limits(None, DAY_S)), "default", PLAIN), behind)
    assert falls_due(row_of(ONE, meta, has_audio=True), Settings(), NOON_S)[1] == NOON_S + DAY_S
