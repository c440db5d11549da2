"""Retention on vaults: what is erased when its time has come, by whatever clock.

The clock is moved by hand. What is erased is checked as for any erasure: gone, with a receipt that
verifies.
"""

from collections import Counter
from dataclasses import replace

import pytest

from keys.errors import Erased
from keys.receipt import CONFIRMED, verify
from pipeline import agenda, index, retention, write
from pipeline.artefact import AUDIO, INDEX, META, TRANSCRIPT
from pipeline.audit import audit
from pipeline.indexing import keep_up
from pipeline.reckoning import LEAP_S
from pipeline.session import acting
from pipeline.settings import DAY_S, HOUR_S, MINUTE_S
from tests.household import (
    words_of,
)
from tests.retention_home import (
    CHILD,
    ILL,
    LIGHT,
    Home,
    home,
    left_behind,
    meta_of,
)

__all__ = ["home"]


# What falls due


def test_audio_then_words_go_at_their_time_and_not_before(home: Home) -> None:
    home.wish(audio="1h", words="1d")
    it = home.must_say(LIGHT)
    assert home.after(HOUR_S - 1) == {it: {AUDIO, TRANSCRIPT, META}}
    assert home.after(1) == {it: {TRANSCRIPT, META}}
    assert home.after(23 * HOUR_S - 1) == {it: {TRANSCRIPT, META}}
    assert home.after(1) == {}
    for path in home.receipts():
        assert verify(path.read_bytes()).statement.verdict == CONFIRMED
    assert len(home.receipts()) == 2
    assert audit(home.vault).problems == []


def test_all_that_is_due_goes_in_one_rotation_with_one_receipt(home: Home) -> None:
    home.wish(words="1h")
    whole = [home.must_say(f"{LIGHT} {n}") for n in range(3)]
    home.wish(audio="1h", words="forever")
    part = home.must_say(LIGHT)
    epoch = home.vault.ring.epoch
    assert home.after(HOUR_S) == {part: {TRANSCRIPT, META}}
    assert home.vault.ring.epoch == epoch + 1
    (receipt,) = home.receipts()
    gone = Counter(len(row.artefacts) for row in verify(receipt.read_bytes()).statement.erased)
    assert gone == {3: len(whole), 1: 1}


def test_without_settings_nothing_ever_goes(home: Home) -> None:
    it = home.must_say(ILL)
    assert home.after(5 * DAY_S) == {it: {AUDIO, TRANSCRIPT, META}}
    assert not agenda.exists(home.vault)


def test_limits_are_fixed_when_it_is_captured(home: Home) -> None:
    home.wish(words="1h")
    first = home.must_say(LIGHT)
    home.wish(words="forever")
    second = home.must_say(LIGHT)
    home.wish(words="30m")
    assert home.living().keys() == {first, second}
    assert home.after(HOUR_S).keys() == {second}, "neither longer by the second, nor by the third"
    assert home.after(5 * DAY_S).keys() == {second}


def test_existing_shortens_what_is_held_at_once(home: Home) -> None:
    first = home.must_say(LIGHT)
    home.time.passes(2 * HOUR_S)
    home.wish(audio="1h", existing=True)
    assert home.after() == {first: {TRANSCRIPT, META}}
    home.wish(words="none", existing=True)
    assert home.after() == {}


def test_a_sensitive_word_shortens(home: Home) -> None:
    home.wish(words="5d", sensitive="1h", own_words=("zanzibar",))
    plain, ill, own = map(home.must_say, (LIGHT, ILL, "a trip to Zanzibar"))
    assert home.after(HOUR_S).keys() == {plain}
    assert {ill, own}.isdisjoint(home.living())


def test_a_child_of_whom_nothing_is_heard_loses_everything(home: Home) -> None:
    home.child()
    home.wish(profile=CHILD, words="1y", inactive="3d", consent_by="Ada")
    adult, first = home.must_say(LIGHT), home.must_say(LIGHT, CHILD)
    home.after(2 * DAY_S)
    second = home.must_say(LIGHT, CHILD)
    assert home.after(3 * DAY_S - 1).keys() == {adult, first, second}
    assert home.after(1).keys() == {adult}
    assert len(home.receipts()) == 1


def test_what_falls_due_leaves_the_index_with_the_others_in_it(home: Home) -> None:
    home.wish(words="1h")
    gone = [home.must_say(f"{LIGHT} {n}") for n in range(40)]
    home.wish(words="forever")
    stay = {home.must_say(f"{LIGHT} {n}") for n in range(40)}
    keep_up(home.vault, home.time)
    (before,) = home.vault.owned(INDEX)
    assert home.after(HOUR_S).keys() == stay
    assert before not in home.vault.owned(INDEX)
    assert {row.interaction for row in index.rows(home.vault)} == stay
    assert not stay & set(gone)
    assert audit(home.vault).problems == []


# Late and left behind


def test_what_a_crash_has_left_behind_falls_due_as_anything(home: Home) -> None:
    home.wish(words="1h")
    it = left_behind(home)
    assert home.after(HOUR_S - 1) == {it: {AUDIO, META}}
    assert home.after(1) == {}


def test_a_recovered_recording_without_a_date_of_processing_falls_due(home: Home) -> None:
    """Its meta has limits and no time of processing: they count from the end of the speech."""
    home.wish(words="1h")
    meta = replace(meta_of(home, "default"), truncated=True, words_limit_s=HOUR_S)
    with acting(home.vault, home.time):
        write.create(home.vault, [(META, meta.encode())])
        retention.recheck(home.vault, home.time)
    assert len(home.after(HOUR_S - 1)) == 1
    assert home.after(1) == {}


def test_a_transcript_that_comes_after_the_limit_is_not_written(home: Home) -> None:
    home.wish(words="1h")
    it = left_behind(home)
    home.time.passes(HOUR_S)
    with acting(home.vault, home.time), pytest.raises(Erased):
        write.add(home.vault, it, (TRANSCRIPT, words_of(LIGHT).encode()))
    assert home.living() == {}
    assert len(home.receipts()) == 1


def test_what_was_cut_off_is_kept_as_if_it_were_sensitive(home: Home) -> None:
    """Nobody knows what it says; and once it is known, limits are not made longer."""
    home.wish(words="5d", sensitive="1h")
    it = left_behind(home)
    with acting(home.vault, home.time):
        write.add(home.vault, it, (TRANSCRIPT, words_of(LIGHT).encode()))
    assert home.after(HOUR_S - 1) == {it: {AUDIO, META, TRANSCRIPT}}
    assert home.after(1) == {}


def test_where_nothing_sensitive_is_stored_no_sound_is_until_it_is_recognised(home: Home) -> None:
    home.wish(sensitive="none")
    with acting(home.vault, home.time):
        assert retention.begin(home.vault, meta_of(home, "ada"), home.time) is None
    assert home.say(ILL) is None
    assert home.say(LIGHT)


# Clocks


def test_a_clock_that_is_set_back_does_not_extend_retention_without_end(home: Home) -> None:
    home.wish(words="1d")
    home.must_say(LIGHT)
    for _ in range(4):  # every twelve hours somebody sets it back by twelve
        home.after(12 * HOUR_S, step_s=HOUR_S)
        home.time.s -= 12 * HOUR_S
    assert home.after() == {}


def test_a_clock_that_is_set_back_revives_nothing_and_erases_nothing_early(home: Home) -> None:
    home.wish(words="1d")
    home.after(12 * HOUR_S)
    home.time.s -= 365 * DAY_S
    it = home.must_say(LIGHT)
    assert home.after(DAY_S - MINUTE_S).keys() == {it}
    assert home.after(DAY_S + HOUR_S) == {}, "at half the pace"


def test_a_clock_that_leaps_ahead_erases_nothing_for_a_day(home: Home) -> None:
    home.wish(words="5d")
    it = home.must_say(LIGHT)
    home.time.s += 365 * DAY_S
    assert home.after().keys() == {it}
    with acting(home.vault, home.time):
        assert "leap" in str(retention.doubt(home.vault, home.time))
    assert home.after(DAY_S - MINUTE_S).keys() == {it}
    assert home.after(MINUTE_S) == {}, "then it is believed"
    with acting(home.vault, home.time):
        assert retention.doubt(home.vault, home.time) is None


def test_a_leap_that_is_put_right_erases_nothing(home: Home) -> None:
    home.wish(words="5d")
    it = home.must_say(LIGHT)
    home.time.s += 365 * DAY_S
    during = home.must_say("said meanwhile")
    assert home.after(HOUR_S).keys() == {it, during}
    home.time.s -= 365 * DAY_S
    assert home.after(5 * DAY_S - HOUR_S - 1).keys() == {it, during}
    assert home.after(2) == {}


def test_the_control_a_leap_that_the_user_believes_erases_at_once(home: Home) -> None:
    home.wish(words="5d")
    home.must_say(LIGHT)
    home.time.s += LEAP_S + DAY_S
    with acting(home.vault, home.time):
        retention.believe(home.vault, home.time)
    assert home.after() == {}
