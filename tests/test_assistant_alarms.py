"""What rings, and when: a moved clock, a restart, two processes, a clock that goes back, erasure.

Controls break what the promise rests on: a watch that rings without sealing first rings twice, one
that keeps what it read across an epoch rings for what is erased.
"""

from pathlib import Path
from unittest import mock

import numpy as np
import pytest

from keys.receipt import Statement
from pipeline.artefact import FIRED, RECORD
from pipeline.assistant import bell, watch
from pipeline.assistant.agenda import Agenda
from pipeline.assistant.values import Action, minimal
from pipeline.forgetting import carry_out, propose
from pipeline.select import Selection
from pipeline.session import acting
from pipeline.vault import Vault
from pipeline.write import own
from tests.conversation import Bells, Clock, Talk
from tests.household import forget, make, reopen


@pytest.fixture
def talk(tmp_path: Path) -> Talk:
    return Talk(make(tmp_path))


@pytest.fixture
def bells(talk: Talk) -> Bells:
    return Bells(talk.vault, talk.clock)


def test_a_timer_rings_when_it_is_over_and_once(talk: Talk, bells: Bells) -> None:
    talk.say("set a timer for ten minutes for the eggs")
    assert bells.look() == []
    talk.clock.forward(minutes=9, seconds=59)
    assert bells.look() == []
    talk.clock.forward(seconds=1)
    assert bells.look() == ["timer, the eggs"]
    for _ in range(3):
        talk.clock.forward(minutes=1)
        assert bells.look() == []
    assert talk.open() == []


def test_alarms_reminders_and_timers_ring_each_in_its_turn(talk: Talk, bells: Bells) -> None:
    talk.answers(
        "set a timer for ten minutes",
        "set an alarm for three in the afternoon",
        "remind me at half past two to call mum",
        "put lunch in my calendar at four pm",
        "add milk to the shopping list",
    )
    rang = []
    for _ in range(3 * 60):
        talk.clock.forward(minutes=1)
        rang += [(f"{talk.clock():%H:%M}", it) for it in bells.look()]
    assert rang == [("14:10", "timer"), ("14:30", "reminder, call mum"), ("15:00", "alarm")]


def test_what_was_missed_rings_late_and_once_after_a_restart(tmp_path: Path) -> None:
    talk = Talk(make(tmp_path))
    talk.answers("set an alarm for seven", "set a timer for ten minutes")
    talk.clock.to("2026-11-24T09:30")
    restarted = Bells(reopen(tmp_path), talk.clock)
    assert sorted(restarted.look()) == ["alarm: missed at 19:00", "timer: missed at 14:10"]
    assert restarted.look() == []
    assert Bells(reopen(tmp_path), talk.clock).look() == []


def test_just_a_little_late_is_not_missed(talk: Talk, bells: Bells) -> None:
    talk.say("set a timer for ten minutes")
    talk.clock.forward(minutes=10, seconds=59)
    assert bells.look() == ["timer"]


def test_a_repeating_alarm_rings_once_for_each_occurrence(talk: Talk, bells: Bells) -> None:
    talk.say("set an alarm for every weekday at seven")
    rang = []
    for _ in range(8 * 24):
        talk.clock.forward(hours=1)
        rang += [f"{talk.clock():%a}" for _ in bells.look()]
    assert rang == ["Tue", "Wed", "Thu", "Fri", "Mon", "Tue"]
    assert talk.open() == ["alarm"]


def test_of_several_missed_occurrences_the_last_rings_once(talk: Talk, bells: Bells) -> None:
    talk.say("set an alarm for every weekday at seven")
    talk.clock.to("2026-12-01T12:00")
    assert bells.look() == ["alarm: missed at 07:00"]
    assert bells.look() == []
    talk.clock.to("2026-12-02T07:00")
    assert bells.look() == ["alarm"]


@pytest.mark.parametrize(
    "text", ["set a timer for ten minutes", "set an alarm for every day at three pm"]
)
def test_a_clock_that_goes_back_rings_nothing_twice(talk: Talk, bells: Bells, text: str) -> None:
    talk.say(text)
    talk.clock.forward(hours=1)
    assert len(bells.look()) == 1
    talk.clock.forward(hours=-1)
    for _ in range(90):
        talk.clock.forward(minutes=1)
        assert bells.look() == []
    assert Bells(reopen(talk.vault.directory.parent), talk.clock).look() == []


def test_in_the_night_in_which_the_clocks_change_it_rings_once(tmp_path: Path) -> None:
    for name, start in (("spring", "2026-03-28T12:00"), ("autumn", "2026-10-24T12:00")):
        base = tmp_path / name
        base.mkdir()
        clock = Clock()
        clock.to(start)
        talk = Talk(make(base), clock)
        bells = Bells(talk.vault, clock)
        talk.say("set an alarm for every day at half past two in the morning")
        rang = []
        for _ in range(2 * 24 * 2):
            clock.forward(minutes=30)
            rang += [f"{clock():%d %H:%M}" for _ in bells.look()]
        first = {"spring": "29 03:30", "autumn": "25 02:30"}[name]
        assert [it.split()[0] for it in rang] == [first[:2], f"{int(first[:2]) + 1}"]
        assert rang[0] == first


def test_what_was_called_off_does_not_ring(talk: Talk, bells: Bells) -> None:
    talk.answers("set a timer for ten minutes", "cancel the timer")
    talk.clock.forward(hours=1)
    assert bells.look() == []


def test_of_two_processes_one_rings(tmp_path: Path) -> None:
    talk = Talk(make(tmp_path))
    talk.say("set a timer for ten minutes")
    pair = [Bells(reopen(tmp_path), talk.clock) for _ in range(2)]
    assert [it.look() for it in pair] == [[], []]
    talk.clock.forward(minutes=10)
    assert [it.look() for it in pair] == [["timer"], []]


def test_what_was_added_and_called_off_elsewhere_is_seen(tmp_path: Path) -> None:
    talk = Talk(make(tmp_path))
    bells = Bells(reopen(tmp_path), talk.clock)
    assert bells.look() == []
    talk.answers("set a timer for ten minutes", "set an egg timer for five minutes")
    talk.clock.forward(minutes=5)
    assert bells.look() == ["timer, egg"]
    talk.say("cancel the timer")
    talk.clock.forward(minutes=5)
    assert bells.look() == []


# --- erased


def test_an_alarm_erased_by_another_process_does_not_ring(tmp_path: Path) -> None:
    talk = Talk(make(tmp_path))
    talk.answers("set a timer for ten minutes", "set an egg timer for ten minutes")
    bells = Bells(reopen(tmp_path), talk.clock)
    assert bells.look() == []
    forget(reopen(tmp_path), talk.sealed[0])
    talk.clock.forward(minutes=10)
    assert bells.look() == ["timer, egg"]


def test_control_a_watch_that_keeps_what_it_read_rings_for_what_is_erased(tmp_path: Path) -> None:
    talk = Talk(make(tmp_path))
    talk.say("set a timer for ten minutes")
    bells = Bells(reopen(tmp_path), talk.clock)
    bells.look()
    forget(reopen(tmp_path), talk.sealed[0])
    talk.clock.forward(minutes=10)
    kept = bells.watch._agenda._read
    assert kept is not None
    entries = list(kept.actions.values())
    rang: list[str] = []
    with (
        mock.patch.object(Agenda, "entries", return_value=entries),
        mock.patch.object(watch, "mark"),
        acting(bells.vault, talk.clock.utc),
    ):
        rang += [it.remark for it in bells.watch.run_due()]
    assert rang == ["timer: 14:10"]


def test_control_a_watch_that_does_not_seal_first_rings_again(tmp_path: Path) -> None:
    talk = Talk(make(tmp_path))
    talk.say("set a timer for ten minutes")
    talk.clock.forward(minutes=10)
    with mock.patch.object(watch, "mark"):
        assert Bells(reopen(tmp_path), talk.clock).look() == ["timer"]
    assert Bells(reopen(tmp_path), talk.clock).look() == ["timer"]


def test_that_it_rang_is_sealed_before_it_rings(tmp_path: Path) -> None:
    talk = Talk(make(tmp_path))
    talk.say("set a timer for ten minutes")
    talk.clock.forward(minutes=10)
    bells = Bells(reopen(tmp_path), talk.clock)

    def dies(_: object) -> None:
        kinds = [it.kind for it in bells.vault.artefacts(talk.sealed[0])]
        assert FIRED in kinds
        raise KeyboardInterrupt

    with mock.patch.object(bells.watch, "_ring", dies), pytest.raises(KeyboardInterrupt):
        bells.look()
    assert Bells(reopen(tmp_path), talk.clock).look() == []


# --- records


def kept(talk: Talk, text: str) -> Statement:
    """Says something, and forgets it but for the record of what it did."""
    talk.say(text)
    with acting(talk.vault, talk.clock.utc):
        found = propose(talk.vault, Selection(last=True), talk.clock.utc())
        names = [it.name for it in found.keepable]
        return carry_out(talk.vault, found, talk.clock.utc, names).statement


def test_a_kept_alarm_rings_once_and_its_record_says_so(talk: Talk, bells: Bells) -> None:
    assert len(kept(talk, "set an alarm for seven").kept) == 1
    assert [it.kind for it in talk.entries()] == [RECORD]
    talk.clock.to("2026-11-23T19:00")
    epoch = talk.vault.ring.epoch
    assert bells.look() == ["alarm"]
    (record,) = talk.entries()
    assert (record.is_open, record.action.last) == (False, "2026-11-23T19:00:00+01:00")
    assert bells.vault.ring.epoch == epoch + 1
    assert bells.look() == []
    assert Bells(reopen(talk.vault.directory.parent), talk.clock).look() == []


def test_a_kept_alarm_that_repeats_goes_on(talk: Talk, bells: Bells) -> None:
    kept(talk, "set an alarm for every day at seven am")
    rang = []
    for _ in range(3 * 24):
        talk.clock.forward(hours=1)
        rang += bells.look()
    assert rang == ["alarm"] * 3
    assert len(talk.entries()) == 1


def test_what_rang_before_it_was_kept_does_not_ring_again(talk: Talk, bells: Bells) -> None:
    talk.say("set a timer for ten minutes")
    talk.clock.forward(minutes=10)
    assert bells.look() == ["timer"]
    with acting(talk.vault, talk.clock.utc):
        found = propose(talk.vault, Selection(last=True), talk.clock.utc())
        carry_out(talk.vault, found, talk.clock.utc, [it.name for it in found.keepable])
    talk.clock.forward(minutes=1)
    assert bells.look() == []
    assert talk.open() == []


def test_a_kept_item_is_taken_off_its_list(talk: Talk) -> None:
    kept(talk, "add milk to the shopping list")
    assert talk.say("what's on the shopping list").text == "On the shopping list: milk."
    talk.say("remove milk from the shopping list")
    assert talk.say("what's on the shopping list").text == "On the shopping list: nothing."


def test_a_record_beside_its_living_action_counts_once(talk: Talk, bells: Bells) -> None:
    """A crash while something is kept leaves both."""
    talk.say("set a timer for ten minutes")
    (entry,) = talk.entries()
    with acting(talk.vault, talk.clock.utc):
        own(talk.vault, RECORD, minimal(entry.action), [entry.artefact])
    assert len(talk.entries()) == 1
    talk.clock.forward(minutes=10)
    assert bells.look() == ["timer"]
    assert bells.look() == []


def test_a_crash_while_a_record_is_replaced_rings_nothing_twice(talk: Talk, bells: Bells) -> None:
    kept(talk, "set an alarm for every day at seven am")
    talk.clock.to("2026-11-24T07:00")
    with (
        mock.patch("pipeline.erase.retire", side_effect=KeyboardInterrupt),
        pytest.raises(KeyboardInterrupt),
    ):
        bells.look()
    again = Bells(reopen(talk.vault.directory.parent), talk.clock)
    assert again.look() == []
    assert len(talk.entries()) == 1
    rang = []
    for _ in range(3):
        talk.clock.forward(days=1)
        rang += again.look()
        assert len(talk.entries()) == 1
    assert rang == ["alarm"] * 3
    assert again.look() == []


def test_kept_twice_because_of_a_crash_it_counts_once(talk: Talk, bells: Bells) -> None:
    talk.say("set an alarm for seven")
    (entry,) = talk.entries()
    with acting(talk.vault, talk.clock.utc):
        own(talk.vault, RECORD, minimal(entry.action), [entry.artefact])
        found = propose(talk.vault, Selection(last=True), talk.clock.utc())
        carry_out(talk.vault, found, talk.clock.utc, [found.keepable[0].name])
    assert len(talk.entries()) == 1
    talk.clock.to("2026-11-23T19:00")
    assert bells.look() == ["alarm"]
    assert bells.look() == []
    assert Bells(reopen(talk.vault.directory.parent), talk.clock).look() == []


# --- cheap, and passed over


def opened(vault: Vault) -> mock.Mock:
    return mock.Mock(wraps=vault.open)


def test_while_nothing_is_due_nothing_is_opened(talk: Talk, bells: Bells) -> None:
    talk.answers("set a timer for ten minutes", "add milk and bread to the shopping list")
    bells.look()
    opening = opened(bells.vault)
    with mock.patch.object(bells.vault, "open", opening):
        for _ in range(100):
            talk.clock.forward(seconds=1)
            assert bells.look() == []
        assert opening.call_count == 0
        talk.say("set an egg timer for five minutes")
        bells.look()
    assert opening.call_count == 1


def test_what_cannot_be_read_stops_nothing_else(talk: Talk, bells: Bells) -> None:
    talk.answers("set a timer for ten minutes", "set an egg timer for ten minutes")
    (path,) = (it.path for it in talk.vault.artefacts(talk.sealed[0]) if it.kind == "action")
    data = bytearray(path.read_bytes())
    data[-50] ^= 1
    path.write_bytes(data)
    talk.clock.forward(minutes=10)
    assert bells.look() == ["timer, egg"]
    assert bells.vault.unreadable == {talk.sealed[0]}


def test_after_all_of_it_the_vault_is_in_order(talk: Talk, bells: Bells) -> None:
    from pipeline.audit import audit

    talk.answers("set a timer for ten minutes", "remind me to call mum", "tomorrow at nine")
    kept(talk, "set an alarm for every day at seven am")
    for _ in range(30):
        talk.clock.forward(hours=1)
        bells.look()
    forget(talk.vault, talk.sealed[0])
    with acting(talk.vault, talk.clock.utc):
        assert audit(talk.vault).problems == []


# --- the bell


def test_a_tone_is_sound_and_begins_and_ends_in_silence() -> None:
    pcm = bell.tone(2)
    assert pcm.dtype == np.float32
    assert 0.1 < np.abs(pcm).max() <= 1.0
    assert (abs(pcm[0]), abs(pcm[-1])) == (0.0, 0.0)
    assert np.abs(np.diff(pcm)).max() < 0.05  # no click


def test_without_a_loudspeaker_it_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bell, "notify", lambda: False)
    with mock.patch.dict("sys.modules", sounddevice=None):
        it = bell.Bell()
        assert "no loudspeaker" in (it.ring("alarm") or "")
        assert it.ring("alarm") is None
        assert not it.is_ringing
        it.silence()


def test_a_notification_tells_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "notify-send"
    program.write_text('#!/bin/sh\necho "$@" > "$(dirname "$0")/shown"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nowhere")
    bell._run(["notify-send", "--app-name", bell.TITLE, bell.TITLE, bell.BODY])
    assert (tmp_path / "shown").read_text().split() == [
        "--app-name",
        "Anechoic",
        "Anechoic",
        "an",
        "alarm",
    ]
    assert bell.notify()
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS")
    monkeypatch.delenv("DISPLAY", raising=False)
    assert not bell.notify()


def test_an_action_is_told_by_its_own_words_only(talk: Talk) -> None:
    talk.say("set an alarm for seven for work")
    assert [Action.decode(minimal(it.action)).label for it in talk.entries()] == ["work"]
