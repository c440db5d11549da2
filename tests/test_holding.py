"""What the note maker of the soak holds does not grow, and a leak as small as can be is seen.

Some hundred notes in seconds, while others forget and rotate; each counts for as long as it takes
in the soak, so that slopes are those of its hour. Controls: the same with a little that stays of
each note, in Python or in C, no more than what once rose there by the hour without being a leak.
"""

import ctypes
import gc
import itertools
import sys
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from keys.durable import RealDisk
from pipeline import anchoring
from pipeline.session import acting
from pipeline.vault import Vault
from tests.bench.holding import held_mib
from tests.bench.noting import CANARY, found, noted
from tests.bench.steady import Sample, Trend, trends
from tests.household import forget, make

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="asks glibc")
WARM, NOTES, TOLD_EACH, TEXTS, LIVING = 300, 120, 5, 30, 30
NOTE_S = 1.2
"""What a note takes in the soak, pause included."""
LEAK = 2000
"""Bytes a note: 6 MiB in the hour of the soak."""
LEVEL_MIB = 40.0
"""What a process of this test alone holds: of what other tests have left, no share is meant."""
Leak = Callable[[], object]


class Hasty(RealDisk):
    """A disk that makes nothing durable: nobody pulls a plug here."""

    def sync(self, path: Path) -> None:
        pass

    def sync_dir(self, directory: Path) -> None:
        pass


@dataclass
class NoteMaker:
    """One that goes on for all tests, as it does in the soak, and those who work beside it."""

    vault: Vault
    numbers: Iterator[int]
    before_mib: float

    def trend(self, leak: Leak, notes: int = NOTES) -> Trend:
        kept, told = list[object](), array("d", bytes(8 * notes))
        for number in range(notes):
            text = f"wake me {CANARY}{next(self.numbers) % TEXTS}"
            noted(self.vault, text, "label" if number % 3 == 0 else "")
            kept.append(leak())
            if number % TOLD_EACH == 0:
                found(self.vault, text)
                self.others()
                told[number] = LEVEL_MIB + held_mib() - self.before_mib
        samples = [Sample(n * NOTE_S, {"held": told[n]}) for n in range(0, notes, TOLD_EACH)]
        (trend,) = trends(samples)
        return trend

    def others(self) -> None:
        with acting(self.vault):
            old = list(self.vault.interactions())[LIVING:]
            anchoring.rotate(self.vault)
        if old:
            forget(self.vault, *old)


@pytest.fixture(scope="module")
def note_maker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NoteMaker]:
    vault = make(tmp_path_factory.mktemp("noting"), Hasty())
    it = NoteMaker(vault, itertools.count(), held_mib())
    gc.freeze()  # what the other tests have left is not looked through at each sample
    for number in range(500_000):  # pathlib interns parts of paths: that table grows once, by 1 MiB
        sys.intern(f"{CANARY}{number}")
    it.trend(lambda: None, WARM)
    yield it
    gc.unfreeze()


def test_what_a_note_maker_holds_does_not_grow(note_maker: NoteMaker) -> None:
    trend = note_maker.trend(lambda: None)
    assert not trend.grows, trend


def from_python() -> object:
    return [bytes(95) for _ in range(LEAK // 136)]  # 128 bytes each, and 8 in the list


def from_c() -> object:
    take = ctypes.CDLL(None).malloc
    take.restype = ctypes.c_void_p
    return take(ctypes.c_size_t(LEAK))


@pytest.mark.parametrize("leak", [from_python, from_c])
def test_what_stays_of_each_note_is_seen(note_maker: NoteMaker, leak: Leak) -> None:
    trend = note_maker.trend(leak)
    assert trend.grows, trend
    assert trend.slope == pytest.approx(LEAK * 3600 / NOTE_S / 2**20, rel=0.2), trend
