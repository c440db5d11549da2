"""The time reckoned for retention, with clocks that go back, leap ahead, stop, and are right."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.reckoning import LEAP_S, PROBATION_S, Reckoning, begin, seconds_of, time_of
from pipeline.settings import DAY_S, HOUR_S, MINUTE_S

NOON = seconds_of("2026-03-01T12:00:00Z")
YEAR_S = 365 * DAY_S


def ticked(reckoning: Reckoning, start_s: int, for_s: int, every_s: int = MINUTE_S) -> Reckoning:
    """A clock that is right in its pace is looked at so often."""
    for at_s in range(start_s, start_s + for_s + 1, every_s):
        reckoning = reckoning.step(at_s)
    return reckoning


def test_a_clock_that_is_right_is_followed() -> None:
    assert ticked(begin(NOON), NOON, DAY_S).now_s == NOON + DAY_S
    assert begin(NOON).step(NOON + 6 * DAY_S).now_s == NOON + 6 * DAY_S


def test_set_back_it_goes_on_at_half_the_pace() -> None:
    behind = begin(NOON).step(NOON - YEAR_S)
    assert behind.now_s == NOON
    for every_s in (1, 7, MINUTE_S, HOUR_S):
        later = ticked(behind, NOON - YEAR_S, 2 * DAY_S, every_s)
        assert abs(later.now_s - (NOON + DAY_S)) <= HOUR_S


def test_set_back_again_and_again_it_still_goes_on() -> None:
    """The control of whoever wants to extend retention without end."""
    reckoning = begin(NOON)
    for _ in range(30):
        reckoning = ticked(reckoning.step(NOON - DAY_S), NOON - DAY_S, 2 * DAY_S, HOUR_S)
    assert reckoning.now_s >= NOON + 29 * DAY_S


def test_an_hour_ahead_and_right_again_is_waited_for_and_not_kept_for_ever() -> None:
    ahead = begin(NOON).step(NOON + HOUR_S)
    later = ticked(ahead, NOON + MINUTE_S, 3 * HOUR_S)
    assert later.now_s == later.clock_s == NOON + MINUTE_S + 3 * HOUR_S


def test_a_leap_ahead_is_doubted_for_a_day_then_believed() -> None:
    leapt = begin(NOON).step(NOON + YEAR_S)
    assert (leapt.now_s, leapt.is_doubted) == (NOON, True)
    almost = ticked(leapt, NOON + YEAR_S, PROBATION_S - MINUTE_S)
    assert almost.is_doubted
    assert almost.now_s == NOON + PROBATION_S - MINUTE_S, "time goes on meanwhile"
    believed = almost.step(NOON + YEAR_S + PROBATION_S)
    assert (believed.now_s, believed.is_doubted) == (NOON + YEAR_S + PROBATION_S, False)


def test_a_leap_that_is_put_right_within_the_day_leaves_nothing() -> None:
    leapt = ticked(begin(NOON).step(NOON + YEAR_S), NOON + YEAR_S, 3 * HOUR_S)
    right = leapt.step(NOON + 3 * HOUR_S)
    assert right == Reckoning(NOON + 3 * HOUR_S, NOON + 3 * HOUR_S)


def test_a_leap_upon_a_leap_begins_the_day_anew() -> None:
    leapt = begin(NOON).step(NOON + YEAR_S).step(NOON + 3 * YEAR_S)
    assert (leapt.now_s, leapt.doubted_since_s) == (NOON, NOON + 3 * YEAR_S)


def test_the_user_can_say_that_the_clock_is_right() -> None:
    leapt = begin(NOON).step(NOON + YEAR_S).believing()
    assert (leapt.now_s, leapt.is_doubted) == (NOON + YEAR_S, False)


def test_a_machine_without_a_battery_that_is_set_right_by_the_network_is_not_doubted() -> None:
    started = begin(NOON).step(0)
    assert started.stamp_s >= NOON
    online = ticked(started, 0, 2 * MINUTE_S, 1).step(NOON + DAY_S)
    assert (online.now_s, online.is_doubted) == (NOON + DAY_S, False)


@given(st.lists(st.integers(0, 4_000_000_000), max_size=40))
def test_whatever_the_clock_does_time_never_goes_back_nor_leaps(looks: list[int]) -> None:
    reckoning = begin(NOON)
    for clock_s in looks:
        after = reckoning.step(clock_s)
        assert after.now_s >= reckoning.now_s
        assert after.stamp_s >= after.now_s
        believed = reckoning.is_doubted and not after.is_doubted and after.now_s == clock_s
        assert believed or after.now_s <= reckoning.now_s + LEAP_S
        reckoning = after


def test_times_are_written_and_read() -> None:
    assert time_of(NOON) == "2026-03-01T12:00:00Z"
    assert seconds_of("2026-03-01T13:00:00.250+01:00") == NOON
