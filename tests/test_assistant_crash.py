"""Ringing stopped at each disk operation, and looked at again: it rings once at most, and is one.

Either it was sealed that it rang, or it rings at the next look, late or not. A kept alarm, whose
record is replaced when it rings, is one alarm at every moment.
"""

from dataclasses import replace
from pathlib import Path
from unittest import mock

import pytest

from pipeline import write
from pipeline.artefact import META, RECORD, TRANSCRIPT, Meta
from pipeline.assistant import agenda
from pipeline.assistant.agenda import Agenda
from pipeline.assistant.derive import derive
from pipeline.assistant.derived import Context
from pipeline.assistant.entries import Entry
from pipeline.assistant.watch import Watch
from pipeline.erase import retire
from pipeline.forgetting import carry_out, propose
from pipeline.select import Selection
from pipeline.session import acting
from pipeline.vault import Vault
from tests.conversation import MONDAY, Clock
from tests.household import HouseDisk, clock, house_disk, make, reopen, settled, words_of
from tests.test_write_crash import Crashes, Moment

ALARM = "set an alarm for every day at three pm"
TIMER = "set a timer for an hour"


def house(base: Path, text: str, *, is_kept: bool) -> tuple[Vault, HouseDisk]:
    """A vault on a simulated disk at rest, with something that is about to ring."""
    disk = house_disk(base)
    vault = make(base, disk)
    meta = Meta("2026-11-23T13:00:00.000Z", 0, "default", "typed", 0, "none")
    parts = [(TRANSCRIPT, words_of(text).encode()), (META, meta.encode())]
    with acting(vault, clock):
        write.create(vault, [*parts, *derive(text, Context(MONDAY)).parts])
        if is_kept:
            found = propose(vault, Selection(last=True), clock())
            carry_out(vault, found, clock, [it.name for it in found.keepable])
    disk = settled(disk)
    return reopen(base, disk), disk


class Ringing:
    """What must hold after a crash at three o'clock."""

    def __init__(self, *, repeats: bool) -> None:
        self.repeats, self.rang = repeats, 0

    def look(self, vault: Vault, now: Clock) -> int:
        before = self.rang
        Watch(vault, lambda _: setattr(self, "rang", self.rang + 1), now).run_due()
        return self.rang - before

    def judge(self, vault: Vault, disk: HouseDisk, *, is_done: bool) -> None:
        assert disk.names(vault.capture) == []
        now = Clock()
        now.forward(hours=1)
        (entry,) = Agenda(vault).entries()
        was_sealed = entry.last is not None
        assert was_sealed or not is_done
        assert (entry.due(now()) is None) == was_sealed
        if self.repeats:
            now.forward(days=1)
            assert entry.due(now()) is not None


@pytest.mark.parametrize("is_kept", [False, True])
@pytest.mark.parametrize("text", [TIMER, ALARM])
def test_no_crash_rings_twice_or_loses_an_alarm(
    tmp_path: Path, text: str, *, is_kept: bool
) -> None:
    vault, disk = house(tmp_path, text, is_kept=is_kept)
    now, ringing = Clock(), Ringing(repeats=text == ALARM)
    now.forward(hours=1)
    moments = watched(vault, disk, ringing, now)
    assert ringing.rang == 1
    crashes = Crashes(tmp_path, ringing.judge)
    crashes.check([*moments, (disk, True)])
    print(f"ringing: {crashes.states} states")
    assert crashes.states > 8
    assert ringing.look(reopen_in(tmp_path, disk), now) == 0


def watched(vault: Vault, disk: HouseDisk, ringing: Ringing, now: Clock) -> list[Moment]:
    """Returns the disk at each moment of a look, at all of which nothing has rung yet."""
    moments: list[Moment] = []

    def watch(it: object, *_: object) -> None:
        assert isinstance(it, HouseDisk)
        assert ringing.rang == 0
        moments.append((it.fork(), False))

    with acting(vault, clock):
        disk.watch = watch
        ringing.look(vault, now)
        disk.watch = None
    return moments


def reopen_in(base: Path, disk: HouseDisk) -> Vault:
    vault = reopen(base, disk)
    with acting(vault, clock):
        return vault


def test_control_a_record_retired_before_the_new_one_is_sealed_is_lost(tmp_path: Path) -> None:
    def backwards(vault: Vault, entry: Entry, how: str, due: str, at: str) -> None:
        retire(vault, [entry.owner], lambda: at)
        write.own(vault, RECORD, replace(entry.action, state=how, last=due).encode())

    vault, disk = house(tmp_path, ALARM, is_kept=True)
    now, ringing = Clock(), Ringing(repeats=True)
    now.forward(hours=1)
    with mock.patch.object(agenda, "_replace", backwards):
        moments = watched(vault, disk, ringing, now)
    with pytest.raises(ValueError, match="not enough values to unpack"):
        Crashes(tmp_path, ringing.judge).check(moments)
