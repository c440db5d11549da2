"""A vault with a clock that is moved by hand, for the tests of retention.

Nothing is tested here.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from keys.model import InteractionId
from pipeline import retention
from pipeline.artefact import Meta
from pipeline.model import RATE_HZ
from pipeline.profiles import Newcomer, Wish, add, set_limits
from pipeline.reckoning import LEAP_S, seconds_of, time_of
from pipeline.safekeeping import InVault
from pipeline.session import acting
from pipeline.settings import HOUR_S
from pipeline.vault import Vault
from tests.household import (
    make,
    parts_of,
)

START = "2026-03-01T09:00:00Z"
LIGHT, ILL = "turn on the light", "my blood pressure is too high"
CHILD = "rumpelstiltskin"
PIPELINE = Path(__file__).parent.parent / "pipeline"


class Time:
    """A clock that is moved by hand."""

    def __init__(self, at: str = START) -> None:
        self.s = seconds_of(at)

    def __call__(self) -> str:
        return time_of(self.s)

    def passes(self, seconds: int) -> None:
        """Moves it on, by less than a leap."""
        assert seconds <= LEAP_S
        self.s += seconds


@dataclass
class Home:
    """A vault with its clock."""

    vault: Vault
    time: Time

    def wish(self, **limits: object) -> None:
        wish = Wish(**limits)  # type: ignore[arg-type]  # each test names what it sets
        self.change(lambda old, at: set_limits(old, wish, at))

    def child(self, consent: str | None = "Ada") -> None:
        newcomer = Newcomer(CHILD, is_child=True, consent_by=consent)
        self.change(lambda old, at: add(old, newcomer, at))

    def change(self, make: retention.Change) -> None:
        with acting(self.vault, self.time):
            retention.change(self.vault, make, self.time)

    def say(self, text: str, profile: str = "default") -> InteractionId | None:
        with acting(self.vault, self.time):
            parts = parts_of(text, self.time(), profile)
            return retention.create(self.vault, parts, self.time)

    def must_say(self, text: str, profile: str = "default") -> InteractionId:
        interaction = self.say(text, profile)
        assert interaction
        return interaction

    def after(self, seconds: int = 0, step_s: int = 8 * HOUR_S) -> dict[InteractionId, set[str]]:
        """Lets time pass in steps; returns what lives then, and of which kinds."""
        until_s = self.time.s + seconds
        while True:
            self.time.s = min(until_s, self.time.s + step_s)
            with acting(self.vault, self.time):
                pass
            if self.time.s == until_s:
                return self.living()

    def living(self) -> dict[InteractionId, set[str]]:
        vault = self.vault
        return {
            it: {a.kind for a in vault.artefacts(it) if vault.is_live(a)}
            for it in vault.interactions()
        }

    def receipts(self) -> list[Path]:
        return sorted(self.vault.receipts.glob("*.receipt"))


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(make(tmp_path), Time())


def meta_of(home: Home, profile: str) -> Meta:
    return Meta(home.time(), 0, profile, "a microphone", 0, "none")


def sound(seconds: float = 1.0) -> "np.ndarray[tuple[int], np.dtype[np.int16]]":
    return np.random.default_rng(7).integers(-9000, 9000, round(seconds * RATE_HZ), np.int16)


def spoken(home: Home, profile: str) -> InteractionId | None:
    """Somebody speaks for three seconds and is recognised, as `listen` has it."""
    keeper = InVault(home.vault, home.time)
    keeper.begin(meta_of(home, profile))
    for _ in range(30):
        keeper.add(sound(0.1))
    return keeper.finish(parts_of(LIGHT, home.time(), profile))


def left_behind(home: Home, profile: str = "default") -> InteractionId:
    """A recording whose process ended while somebody spoke; settled, not recognised."""
    with acting(home.vault, home.time):
        begun = retention.begin(home.vault, meta_of(home, profile), home.time)
    assert begun
    recording, meta = begun
    recording.start(meta, lambda: acting(home.vault, home.time, wait_s=0))
    recording.add(sound())
    recording.release()
    with acting(home.vault, home.time):
        (it,) = home.vault.interactions()
    return it
