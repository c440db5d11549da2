"""Listening beside other processes: they look, forget and hold the vault while somebody speaks."""

import numpy as np
import pytest

from keys.errors import Busy, Erased
from keys.lock import locked
from pipeline import history, write
from pipeline.artefact import AUDIO
from pipeline.audit import audit
from pipeline.capture import Block
from pipeline.errors import NotFound
from pipeline.heard import Dropped, Partial, Said
from pipeline.safekeeping import InVault
from pipeline.select import Selection, select
from pipeline.session import acting
from tests.household import clock, forget, reopen, say
from tests.parrot import WORDS, Home, hear, home, said, silence, voice

__all__ = ["home"]


def test_other_commands_pass_over_what_is_being_spoken(home: Home) -> None:
    before = say(home.vault, "there before")
    seen: list[object] = []

    def look() -> None:
        other = reopen(home.base)
        with acting(other, clock):
            seen.append(audit(other).problems)
            seen.append([row.interaction for row in history.history(other, history.Filter(), None)])
            (under_way,) = set(other.interactions()) - set(before)
            with pytest.raises(NotFound, match="being spoken"):
                history.one(other, under_way, "show")
            assert select(other, Selection(last=True)) == [under_way]
            assert history.some(other, [under_way], "plan") == []

    (it,) = said(hear(InVault(home.vault), voice(0, 1), look, voice(0, 1), silence(1)))
    assert seen == [[], before]
    assert home.row(it).text == WORDS[0]
    home.assert_sound()


@pytest.mark.parametrize("blocks", [0, 60])
def test_what_another_forgets_while_it_is_spoken_is_not_written(home: Home, blocks: int) -> None:
    def forget_it() -> None:
        other = reopen(home.base)
        with acting(other, clock):
            meant = select(other, Selection(last=True))
        assert forget(other, *meant).statement.verdict == "confirmed"

    more = voice(0, 2)[:blocks]
    events = hear(InVault(home.vault), voice(0, 1), forget_it, more, silence(1), voice(1, 1))
    assert [type(it) for it in events if not isinstance(it, Partial)] == [Dropped, Said]
    assert any(isinstance(it, Dropped) and "forgotten" in it.why for it in events)
    assert [it.text for it in said(events)] == [WORDS[1]]
    assert len(home.interactions) == 1
    home.assert_sound()


def test_keys_that_another_destroys_leave_the_memory_of_who_listens(home: Home) -> None:
    (it,) = said(hear(InVault(home.vault), voice(0, 1), silence(1)))
    assert it.interaction is not None
    created = home.vault.created(it.interaction)
    assert created is not None
    held = home.vault.ring._open_state.fresh
    slots = {slot for slot, _ in created.slots}
    forget(reopen(home.base), it.interaction)
    assert slots <= held.keys(), "the control: an erasure elsewhere does not reach this memory"
    hear(InVault(home.vault), silence(1.5))
    assert not held, "what is dropped wipes itself"


def test_a_vault_that_is_busy_costs_no_sound(home: Home) -> None:
    """From before the utterance to after its first second; it is taken up late, and whole."""
    holding = locked(home.vault.directory / "lock")
    spoken = voice(0, 3)
    script = [
        holding.__enter__,
        spoken[:50],
        lambda: holding.__exit__(None, None, None),
        spoken[50:],
        silence(1),
    ]
    (it,) = said(hear(InVault(home.vault), *script))
    pcm = np.concatenate([event.pcm for event in spoken if isinstance(event, Block)])
    assert np.array_equal(home.heard(it)[: len(pcm)], pcm)
    home.assert_sound()


def test_a_vault_that_stays_busy_ends_it_and_what_was_sealed_stays(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.safekeeping.WAIT_S", 0.02)
    holding = locked(home.vault.directory / "lock")
    with pytest.raises(Busy):
        hear(InVault(home.vault), voice(0, 1.5), holding.__enter__, silence(1))
    holding.__exit__(None, None, None)
    with acting(home.vault, clock):
        (row,) = history.rows(home.vault, history.Filter())
    assert row.meta.truncated
    assert row.seconds > 0.8
    home.assert_sound()


def test_a_hold_of_a_dead_process_is_cleared_away(home: Home) -> None:
    """A lock file that a killed process left, with its recording or without."""
    home.vault.capture.mkdir(exist_ok=True)
    (home.vault.capture / ("a" * 32 + ".lock")).write_bytes(b"")
    home.assert_sound()
    assert list(home.vault.capture.iterdir()) == []


def test_nobody_can_finish_twice(home: Home) -> None:
    with acting(home.vault, clock):
        recording = write.begin(home.vault)
    forgotten = recording.interaction
    with acting(home.vault, clock):
        write.cancel(home.vault, recording)
    with acting(home.vault, clock), pytest.raises(Erased):
        write.finish(home.vault, recording, [(AUDIO, b"x")])
    assert forgotten not in home.interactions
