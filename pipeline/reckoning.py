"""What time it is for retention, when the clock of the machine may be wrong.

Promises that reckoned time never goes back; that a clock set back, even again and again, holds
it up by half at most; and that a clock that leaps ahead by more than a week is believed only after
it has gone on from there for a day, or when the user says so. Until then, nothing falls due that
the leap alone would make due. Pure; the time is in seconds since 1970, UTC.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime

from pipeline.settings import DAY_S

LEAP_S = 7 * DAY_S
"""A clock that is further ahead than this since it was last seen is not believed at once.

So a machine that was off for less than a week loses no time, and one that was off for longer a day.
"""
PROBATION_S = DAY_S


@dataclass(frozen=True, slots=True)
class Reckoning:
    """The time reckoned, the clock when it was last looked at, and since when it is doubted."""

    now_s: int
    clock_s: int
    doubted_since_s: int | None = None

    @property
    def is_doubted(self) -> bool:
        """Whether the clock has leapt ahead, and is not believed yet."""
        return self.doubted_since_s is not None

    @property
    def stamp_s(self) -> int:
        """The time to be given to what is captured now: by the clock, but never before `now_s`."""
        return max(self.now_s, self.clock_s)

    def step(self, clock_s: int) -> "Reckoning":
        """Returns the reckoning after another look at the clock."""
        passed_s = min(max(0, clock_s - self.clock_s), LEAP_S)
        if clock_s < self.now_s:
            # Half the pace: whoever sets the clock back doubles retention at most, and a clock that
            # was ahead and is right again is waited for. An odd second is left for the next look.
            return Reckoning(self.now_s + passed_s // 2, clock_s - passed_s % 2)
        if clock_s <= self.now_s + LEAP_S:
            return Reckoning(clock_s, clock_s)
        since_s = self.doubted_since_s
        if since_s is None or not 0 <= clock_s - self.clock_s <= LEAP_S:
            return Reckoning(self.now_s, clock_s, clock_s)  # it leaps, or leaps again
        if clock_s - since_s >= PROBATION_S:
            return Reckoning(clock_s, clock_s)
        return Reckoning(self.now_s + passed_s, clock_s, since_s)

    def believing(self) -> "Reckoning":
        """Returns the reckoning when the user says that the clock is right."""
        now_s = max(self.now_s, self.clock_s)
        return replace(self, now_s=now_s, doubted_since_s=None)


def begin(clock_s: int) -> Reckoning:
    """Returns the reckoning of whoever looks at the clock for the first time."""
    return Reckoning(clock_s, clock_s)


def seconds_of(time: str) -> int:
    """Returns an RFC 3339 time in seconds since 1970."""
    return int(datetime.fromisoformat(time).timestamp())


def time_of(seconds: int) -> str:
    """Writes seconds since 1970 as `2026-01-31T12:00:00Z`."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
