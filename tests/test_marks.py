"""Marks that a crash leaves or brings back: they excuse no file that is missing.

An addition that was cut off after the log had it is noted as discarded, and the audit then misses
no file for it. So there must be no such note but for what is really not there. Each table has its
control: without what is shown, some state has a note too many.
"""

from collections import Counter
from collections.abc import Iterable

import pytest

from keys.model import InteractionId
from pipeline import unfinished, write
from pipeline.artefact import DISCLOSURE, TRANSCRIPT
from pipeline.audit import audit, ledger_of
from pipeline.erase import erase
from pipeline.plan import make_plan
from pipeline.recording import mark_of
from pipeline.session import acting
from pipeline.vault import Vault
from tests.household import NOON, HouseDisk, clock, parts_of, reopen
from tests.test_write_crash import ADDED, NEW, Crashes, House, house, moments_of

__all__ = ["house"]


def excused(vault: Vault) -> Counter[InteractionId]:
    """Returns how many missing files of each interaction the audit would not name."""
    return ledger_of(vault).late


def missing(vault: Vault) -> Counter[InteractionId]:
    """Returns how many files of each interaction are in the log, live, and not there."""
    there = {header.hash for header in vault.headers()}
    labels = (it for header, it in ledger_of(vault).files.items() if header not in there)
    return Counter(it.interaction for it in labels if vault.ring.is_live(it.slot))


def judge(vault: Vault, disk: HouseDisk, *, is_done: bool) -> None:
    del is_done
    assert audit(vault).problems == []
    assert disk.names(vault.capture) == []
    assert excused(vault) == missing(vault)


def silence(house: House, interaction: InteractionId) -> None:
    """Erases the audio alone."""
    with acting(house.vault, clock):
        plan = make_plan(house.vault, [interaction], NOON, only_audio=True)
        erase(house.vault, plan, clock)


def adding_to_the_silent(house: House) -> int:
    only = next(iter(house.whole))
    silence(house, only)
    crashes = Crashes(house.base, judge, most=4)
    crashes.check(moments_of(house.disk, lambda: write.add(house.vault, only, (DISCLOSURE, ADDED))))
    return crashes.states


def test_no_crash_of_adding_to_what_lost_its_audio_excuses_anything(house: House) -> None:
    assert adding_to_the_silent(house) > 15


def test_control_waiting_for_what_was_erased_excuses_a_file(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unfinished, "_was_erased", lambda *_: False)
    with pytest.raises(AssertionError):
        adding_to_the_silent(house)


def losing_a_file(house: House) -> int:
    """Has a file go missing, and then the power; returns in how many states the audit names it."""
    with acting(house.vault, clock):
        interaction = write.create(house.vault, parts_of(NEW))
        (gone,) = (it for it in house.vault.artefacts(interaction) if it.kind == TRANSCRIPT)
    house.disk.delete(gone.path)
    house.disk.sync_dir(gone.path.parent)
    states = 0
    for medium in house.disk.survivors(64):
        vault = reopen(house.base, HouseDisk(medium))
        with acting(vault, clock):
            assert any(gone.path.name in it for it in audit(vault).problems)
        states += 1
    return states


def test_a_mark_comes_back_for_no_file_that_went_missing(house: House) -> None:
    assert losing_a_file(house)


def test_control_a_mark_that_is_removed_without_a_sync_comes_back_and_excuses_one(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsynced(vault: Vault, interactions: Iterable[InteractionId]) -> None:
        for it in interactions:
            vault.disk.remove_dir(mark_of(vault, it))

    monkeypatch.setattr(write, "remove_marks", unsynced)
    with pytest.raises(AssertionError):
        losing_a_file(house)
