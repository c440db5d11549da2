"""A finish that was cut off, given up by whoever settles: what takes its place stands alone.

The files that had arrived of it are gone for good before the log says so, else a power cut may
bring one back, and it would be placed beside what was made of the segments instead.
"""

from pathlib import Path

import pytest

from keys.model import InteractionId
from pipeline import unfinished
from pipeline.recording import mark_of, segment_files
from pipeline.session import acting
from pipeline.vault import Vault
from tests.household import HouseDisk, clock, reopen
from tests.test_listen_crash import house, judge_recording, moments_with_least
from tests.test_write_crash import House
from tests.world.disk import SimulatedDisk, When

__all__ = ["house"]


def cut_off_in_finish(house: House) -> tuple[HouseDisk, int]:
    """Returns the disk when a process is killed with its audio and one file more written.

    And how many samples were durable by the last cut.
    """
    for (disk, _), least in moments_with_least(house):
        names = [path.suffix for path in disk.cached.names if path.parent.parent.name == "capture"]
        if names.count(".transcript") == 1 and ".meta" not in names:
            return disk.fork(), least
    raise AssertionError("no process was ever killed there")


def settled_and_cut_off(house: House) -> int:
    """Settles it, has the power go after each file that is sealed instead, and settles again."""
    disk, least = cut_off_in_finish(house)
    moments: list[HouseDisk] = []

    def watch(now: SimulatedDisk, what: str, path: Path, when: When) -> None:
        assert isinstance(now, HouseDisk)
        if (what, when) == ("sync", When.AFTER) and path.parent.parent.name == "capture":
            moments.append(now.fork())

    disk.watch = watch
    with acting(reopen(house.base, disk), clock):
        disk.watch = None
    states = 0
    for moment in moments:
        for medium in moment.survivors(64):
            left = HouseDisk(medium, moment.history)
            vault = reopen(house.base, left)
            with acting(vault, clock):
                judge_recording(house, least)(vault, left, is_done=False)
            states += 1
    return states


def test_what_is_given_up_does_not_come_back_beside_what_takes_its_place(house: House) -> None:
    states = settled_and_cut_off(house)
    print(f"given up: {states} states")
    assert states > 4


def test_control_deleting_it_without_a_sync_is_caught(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def give_up(vault: Vault, interaction: InteractionId, number: int) -> None:
        mark, segments = mark_of(vault, interaction), segment_files(vault, interaction)
        for name in vault.disk.names(mark):
            if name not in segments:
                vault.disk.delete(mark / name)
        vault.note("discard", unfinished.LATE, [interaction] * number)

    monkeypatch.setattr(unfinished, "_give_up", give_up)
    with pytest.raises(AssertionError):
        settled_and_cut_off(house)
