"""What a full disk cuts off stays, and gets its transcript from the next who listens, once."""

import pytest

from keys.errors import StateUnknown
from pipeline import history
from pipeline.artefact import AUDIO, META, TRANSCRIPT
from pipeline.completing import complete
from pipeline.model import Word
from pipeline.safekeeping import InVault
from pipeline.session import acting
from tests.household import clock, forget, reopen, say
from tests.parrot import WORDS, FullDisk, Home, Parrot, hear, home, voice

__all__ = ["home"]


def test_a_full_disk_ends_it_with_a_reason_and_what_was_sealed_stays(home: Home) -> None:
    disk = FullDisk()
    vault = reopen(home.base, disk)
    with pytest.raises(StateUnknown, match="No space left"):
        hear(InVault(vault), voice(0, 2), lambda: setattr(disk, "is_full", True), voice(0, 2))
    with acting(home.vault, clock):
        (row,) = history.rows(home.vault, history.Filter())
    assert row.meta.truncated
    assert 1.8 <= row.seconds <= 2.1
    home.assert_sound()


def test_what_was_cut_off_gets_its_transcript_from_the_next_who_listens(home: Home) -> None:
    disk = FullDisk()
    with pytest.raises(StateUnknown):
        hear(
            InVault(reopen(home.base, disk)),
            *(voice(3, 2), lambda: setattr(disk, "is_full", True), voice(3, 2)),
        )
    say(home.vault, "something else")
    found = complete(home.vault, Parrot())
    with acting(home.vault, clock):
        rows = {row.interaction: row for row in history.rows(home.vault, history.Filter())}
    assert [rows[it].text for it in found] == [WORDS[3]]
    assert rows[found[0]].meta.truncated
    assert complete(home.vault, Parrot()) == []
    home.assert_sound()


def test_a_transcript_for_what_is_forgotten_meanwhile_is_not_written(home: Home) -> None:
    disk = FullDisk()
    with pytest.raises(StateUnknown):
        hear(
            InVault(reopen(home.base, disk)),
            *(voice(3, 2), lambda: setattr(disk, "is_full", True), voice(3, 2)),
        )

    class Slow(Parrot):
        def finish(self) -> tuple[Word, ...]:
            other = reopen(home.base)
            with acting(other, clock):
                meant = list(other.interactions())
            forget(other, *meant)
            return super().finish()

    assert complete(home.vault, Slow()) == []
    assert home.interactions == []
    home.assert_sound()


def test_what_two_processes_recognise_at_once_gets_one_transcript(home: Home) -> None:
    disk = FullDisk()
    with pytest.raises(StateUnknown):
        hear(
            InVault(reopen(home.base, disk)),
            *(voice(3, 2), lambda: setattr(disk, "is_full", True), voice(3, 2)),
        )

    class Slow(Parrot):
        def finish(self) -> tuple[Word, ...]:
            assert len(complete(reopen(home.base), Parrot())) == 1
            return super().finish()

    assert complete(home.vault, Slow()) == []
    with acting(home.vault, clock):
        (it,) = home.vault.interactions()
        kinds = [file.kind for file in home.vault.artefacts(it)]
    assert sorted(kinds) == [AUDIO, META, TRANSCRIPT]
