"""A conversation: what is asked for is done, said back, and open until it is over or called off."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from keys.errors import Busy, Malformed
from keys.lock import locked
from pipeline.artefact import ACTION, ANSWER, FIRED, INTENT
from pipeline.assistant.calendar import ics
from pipeline.assistant.derived import KEEP, MUTE, SILENCE
from pipeline.assistant.respond import Assistant
from pipeline.assistant.values import (
    ALARM,
    EVENT,
    ITEM,
    MESSAGE,
    ORDER,
    REMINDER,
    TIMER,
    Action,
    Answer,
    Fired,
    Intent,
    describe,
    minimal,
)
from pipeline.session import acting
from pipeline.skills.interface import Declined, Outcome, Result, Unknown
from pipeline.vault import Vault
from tests.conversation import MONDAY, Talk
from tests.household import forget, make, reopen


@pytest.fixture
def talk(tmp_path: Path) -> Talk:
    return Talk(make(tmp_path))


@pytest.fixture
def with_skills(monkeypatch: pytest.MonkeyPatch) -> None:
    enabled = frozenset({"message", "order", "ride", "home-assistant"})
    monkeypatch.setattr("pipeline.assistant.respond._enabled", lambda: enabled)


SAID_BACK = {
    "set a timer for ten minutes": "Timer of 10 minutes, until 14:10.",
    "set a timer for the eggs for ten minutes": "Timer of 10 minutes for the eggs, until 14:10.",
    "wake me up at half past six tomorrow morning": "Alarm tomorrow at 06:30.",
    "set an alarm for every weekday at seven for work": (
        "Alarm every weekday at 07:00, the next time tomorrow at 07:00, work."
    ),
    "remind me to buy flowers on friday": (
        "I will remind you on Friday, 27 November at 09:00: buy flowers."
    ),
    "put a meeting with the school on monday at nine in the morning": (
        "In the calendar on Monday, 30 November at 09:00: meeting with the school."
    ),
    "schedule a call with the bank tomorrow from nine to ten": (
        "In the calendar tomorrow at 09:00 until 10:00: call with the bank."
    ),
    "add anna's birthday to my calendar on the fifth of may": (
        "In the calendar on Wednesday, 5 May: anna's birthday."
    ),
    "add milk and bread to the shopping list": "On the shopping list: milk and bread.",
    "add call the plumber and pay to my to do list": (
        "On the to-do list: call the plumber and pay."
    ),
    "what time is it": "It is 14:00.",
    "what day is it": "Today is Monday, 23 November 2026.",
    "how long is left on the timer": "No timer is running.",
    "cancel the alarm": "There is no such alarm.",
    "what's on the shopping list": "On the shopping list: nothing.",
    "set an alarm": "For what time shall the alarm be?",
    "remind me today at nine am to sleep": "That is over. When shall I remind you?",
    "remind me on the thirty first of june to go": "There is no such day. When shall I remind you?",
    "set a timer": "For how long?",
    "order a pizza": "Order: a pizza. No skill for that is enabled, so nothing was sent.",
    "the doctor said that it is too high": "",
}


@pytest.mark.parametrize(("text", "answer"), SAID_BACK.items())
def test_what_was_understood_is_said_back(talk: Talk, text: str, answer: str) -> None:
    assert talk.say(text).text == answer


def kinds_of(talk: Talk, number: int = -1) -> list[str]:
    with acting(talk.vault):
        return sorted(it.kind for it in talk.vault.artefacts(talk.sealed[number]))


def test_intent_action_and_answer_are_sealed_with_the_words(talk: Talk) -> None:
    talk.say("add milk and bread to the shopping list")
    assert kinds_of(talk) == [ACTION, ACTION, ANSWER, INTENT, "meta", "transcript"]
    with acting(talk.vault):
        intent = Intent.decode(talk.vault.read(talk.sealed[-1], INTENT))
        answer = Answer.decode(talk.vault.read(talk.sealed[-1], ANSWER))
    assert (intent.name, answer.text) == ("item-add", "On the shopping list: milk and bread.")


def test_what_is_no_command_is_sealed_as_ever(talk: Talk) -> None:
    talk.say("the doctor said that my blood pressure is too high again")
    assert kinds_of(talk) == ["meta", "transcript"]


def test_lists_are_filled_read_and_emptied(talk: Talk) -> None:
    talk.answers(
        "add milk and bread to the shopping list",
        "add a dozen eggs to the shopping list",
        "add call mum to my to do list",
    )
    assert talk.say("take the bread off the shopping list").text == "Off the shopping list: bread."
    assert (
        talk.say("remove butter from the shopping list").text == "That is not on the shopping list."
    )
    assert sorted(talk.open()) == ["call mum", "dozen eggs", "milk"]
    talk.say("clear the shopping list")
    assert talk.open() == ["call mum"]
    assert talk.say("what's on my to do list").text == "On the to-do list: call mum."


def test_timers_are_counted_down_and_called_off(talk: Talk) -> None:
    talk.answers("set a timer for ten minutes", "set an egg timer for five minutes")
    talk.clock.forward(minutes=2)
    assert talk.say("how much time is left on the egg timer").text == (
        "There are 3 minutes left for egg."
    )
    assert "Say which" in talk.say("cancel the timer").text
    assert len(talk.open()) == 2
    assert talk.say("cancel the egg timer").text == "Called off: timer of 5 minutes, egg."
    talk.say("set a timer for three minutes")
    assert talk.say("cancel the ten minute timer").text == "Called off: timer of 10 minutes."
    assert talk.say("cancel all timers").text == "Called off: timer of 3 minutes."
    assert talk.open() == []


def test_alarms_and_reminders_are_called_off_by_time_and_label(talk: Talk) -> None:
    talk.answers(
        "set an alarm for seven",
        "set an alarm for eight for work",
        "remind me tomorrow at nine to call mum",
    )
    assert talk.say("cancel the seven o'clock alarm").text.startswith("Called off: alarm")
    assert talk.say("turn off my work alarm").text.startswith("Called off: work")
    assert (
        talk.say("cancel the reminder to call mum").text
        == "Called off: call mum tomorrow at 09:00."
    )
    assert talk.open() == []


def test_the_calendar_is_read_by_day(talk: Talk) -> None:
    talk.answers(
        "add a dentist appointment tomorrow at ten",
        "put lunch with anna in my calendar on friday at noon",
    )
    assert talk.say("what's on my calendar tomorrow").text == (
        "Dentist appointment tomorrow at 10:00."
    )
    assert talk.say("what do i have planned on thursday").text == (
        "There is nothing in the calendar then."
    )
    assert talk.say("cancel the lunch with anna").text.startswith("Called off: lunch with anna")
    talk.clock.forward(days=2)
    assert talk.say("what is on my calendar").text == "There is nothing in the calendar."


def test_a_time_that_was_asked_for_belongs_to_what_asked(talk: Talk) -> None:
    assert talk.say("remind me to call mum").text == "When shall I remind you?"
    assert talk.say("tomorrow at nine").text == "I will remind you tomorrow at 09:00: call mum."
    assert len(talk.sealed) == 1
    assert kinds_of(talk) == [ACTION, ANSWER, ANSWER, INTENT, INTENT, "meta", "transcript"]
    assert talk.open() == ["call mum"]


def test_a_question_is_forgotten_after_a_minute_and_by_other_words(talk: Talk) -> None:
    talk.say("remind me to call mum")
    talk.clock.forward(seconds=61)
    assert talk.say("tomorrow at nine").text == ""
    talk.say("set an alarm")
    talk.say("what time is it")
    talk.say("at seven")
    assert talk.open() == []
    assert len(talk.sealed) == 5


def test_a_day_answered_first_and_a_time_then(talk: Talk) -> None:
    talk.say("wake me up")
    assert talk.say("tomorrow").text == "For what time shall the alarm be?"
    assert talk.say("at six").text == "Alarm tomorrow at 06:00."


def test_yes_means_nothing_where_nothing_was_asked(talk: Talk) -> None:
    assert talk.answers("yes", "no", "keep the alarm") == ["", "", ""]
    assert len(talk.sealed) == 3


def test_what_the_device_shall_do_is_not_stored(talk: Talk) -> None:
    assert talk.say("stop listening").effect == MUTE
    assert talk.say("keep that").effect == KEEP
    assert talk.sealed == []


def test_stop_silences_what_rings_and_means_nothing_else(tmp_path: Path) -> None:
    ringing = [True]
    talk = Talk(make(tmp_path), is_ringing=lambda: ringing[0])
    for text in ("stop", "stop the timer", "turn off the alarm"):
        assert talk.say(text).effect == SILENCE
    assert talk.sealed == []
    ringing[0] = False
    assert [talk.say(text).effect for text in ("stop", "stop the timer")] == ["", ""]
    assert len(talk.sealed) == 2


def test_snoozed_it_is_silent_and_rings_again(tmp_path: Path) -> None:
    talk = Talk(make(tmp_path), is_ringing=lambda: True)
    reply = talk.say("snooze")
    assert (reply.text, reply.effect) == ("It rings again at 14:09.", SILENCE)
    assert talk.open() == ["snoozed"]


def test_what_is_forgotten_while_it_is_called_off_is_no_trouble(talk: Talk) -> None:
    talk.say("set a timer for ten minutes")
    derived = talk.assistant.hear("cancel the timer")
    forget(reopen(talk.vault.directory.parent), talk.sealed[0])
    assert talk.assistant.done(derived, None).text == "Called off: timer of 10 minutes."
    assert talk.open() == []


def test_a_busy_vault_is_said_and_nothing_is_done(talk: Talk) -> None:
    talk.say("set a timer for ten minutes")
    busy = mock.Mock(side_effect=Busy("held"))
    with mock.patch("pipeline.assistant.respond.acting", busy):
        derived = talk.assistant.hear("cancel the timer")
        assert derived.parts == ()
        assert "busy" in talk.assistant.done(derived, None).text
        wish = talk.assistant.hear("forget what i just said")
        assert "busy" in talk.assistant.done(wish, None).text
    assert talk.open() == ["timer"]


def test_without_a_vault_nothing_is_promised() -> None:
    assistant = Assistant(None, lambda: MONDAY)
    for text, answer in {
        "set a timer for ten minutes": "Nothing is stored now, so that cannot be done.",
        "forget what i just said": "Nothing is stored now, so there is nothing of that.",
        "what time is it": "It is 14:00.",
    }.items():
        assert assistant.done(assistant.hear(text), None).text == answer
    assert assistant.done(assistant.hear("keep that"), None).effect == KEEP


def test_what_a_profile_does_not_store_is_not_promised_either(talk: Talk) -> None:
    derived = talk.assistant.hear("set a timer for ten minutes")
    assert "Nothing is stored" in talk.assistant.done(derived, None).text


def test_what_is_known_is_told_by_number_and_not_stored(talk: Talk) -> None:
    talk.answers("set a timer for ten minutes", "add milk and bread to the shopping list")
    said = talk.say("what do you know about me").text
    assert said.startswith("I hold 2 interactions, 1 timer and 2 items. Nothing of it has left")
    assert len(talk.sealed) == 2


# --- errands


@pytest.mark.usefixtures("with_skills")
def test_an_errand_is_said_back_and_done_after_yes(talk: Talk) -> None:
    said = talk.say("send a message to my friend robert we will be late").text
    assert said == "Message to my friend robert: we will be late. Shall I? Say yes or no."
    assert talk.skills.given == []
    talk.skills.outcome = Result({"text": "Sent."})
    assert talk.say("yes").text == "Sent."
    assert talk.skills.given == [
        ("message", {"recipient": "my friend robert", "text": "we will be late"})
    ]
    assert kinds_of(talk) == [ACTION, ANSWER, ANSWER, FIRED, INTENT, "meta", "transcript"]
    assert talk.answers("yes") == [""]
    assert len(talk.skills.given) == 1


@pytest.mark.usefixtures("with_skills")
def test_an_errand_is_not_done_after_no_silence_or_too_late(talk: Talk) -> None:
    talk.answers("order a pizza", "no", "order a pizza", "what time is it", "yes")
    talk.say("order a pizza")
    talk.clock.forward(seconds=61)
    talk.say("yes")
    assert talk.skills.given == []
    assert [it for it in talk.entries() if it.action.what == ORDER] == []


@pytest.mark.usefixtures("with_skills")
def test_a_yes_to_something_else_does_no_errand(talk: Talk) -> None:
    talk.answers("order a pizza", "yes but keep it small", "yes")
    assert talk.skills.given == []


@pytest.mark.usefixtures("with_skills")
def test_what_was_given_is_not_asked_for_again_where_the_vault_is_busy(
    talk: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.assistant.respond._PATIENT_S", 0.0)
    talk.skills.outcome = Result({"text": "Sent."})
    give = talk.skills.use
    with ExitStack() as held:

        def use(vault: Vault, *about: Any) -> Outcome:  # noqa: ANN401 - passed on
            outcome = give(vault, *about)
            held.enter_context(locked(vault.directory / "lock"))
            return outcome

        talk.assistant._use = use
        talk.say("order a pizza")
        assert talk.say("yes").text == "Sent."


@pytest.mark.usefixtures("with_skills")
@pytest.mark.parametrize(
    ("outcome", "how", "said"),
    [
        (Result(), "sent", "It is done."),
        (Declined(), "unsent", "It was declined. What was asked for has left this machine."),
        (Unknown(), "sent", "No answer came, so whether it was done cannot be told."),
    ],
)
def test_what_became_of_an_errand_is_told_and_kept(
    talk: Talk, outcome: Outcome, how: str, said: str
) -> None:
    talk.skills.outcome = outcome
    assert talk.answers("i need a ride to the airport at four", "yes")[1] == said
    (entry,) = talk.entries()
    assert (entry.how, entry.is_open) == (how, False)
    fields = {"to": "the airport", "when": "2026-11-23T16:00:00+01:00"}
    assert talk.skills.given == [("ride", fields)]


@pytest.mark.usefixtures("with_skills")
def test_where_nobody_can_answer_an_errand_is_done_at_once(tmp_path: Path) -> None:
    talk = Talk(make(tmp_path), asks=False)
    talk.skills.outcome = Result()
    assert talk.say("order a large pizza").text == "It is done."
    assert talk.skills.given == [("order", {"items": "a large pizza"})]


@pytest.mark.usefixtures("with_skills")
def test_what_is_said_to_the_house_goes_there_word_for_word_and_at_once(talk: Talk) -> None:
    talk.skills.outcome = Result({"text": "Turned on the light", "kind": "action_done"})
    assert talk.say("Turn on the kitchen light").text == "Turned on the light"
    talk.say("tell the house to run the morning scene")
    assert talk.skills.given == [
        ("home-assistant", {"text": "turn on the kitchen light"}),
        ("home-assistant", {"text": "run the morning scene"}),
    ]
    assert kinds_of(talk) == [ACTION, ANSWER, FIRED, INTENT, "meta", "transcript"]


@pytest.mark.usefixtures("with_skills")
@pytest.mark.parametrize(
    "text", ["unlock the front door", "open the garage", "tell the house to unlock the gate"]
)
def test_no_door_is_opened_without_a_yes(talk: Talk, tmp_path: Path, text: str) -> None:
    talk.skills.outcome = Result()
    said = text.removeprefix("tell the house to ")
    assert talk.say(text).text == f"To the house: {said}. Shall I? Say yes or no."
    assert talk.skills.given == []
    assert talk.say("yes").text == "It is done."
    assert talk.skills.given == [("home-assistant", {"text": said})]
    alone = Talk(make(tmp_path / "alone"), asks=False)
    assert "so nothing was sent" in alone.say(text).text
    assert alone.skills.given == []
    assert talk.say("open the blinds").text == "It is done."  # control: nobody comes in by these


@pytest.mark.usefixtures("with_skills")
@pytest.mark.parametrize(
    "text",
    [
        "the doctor said that it is too high",
        "i left the light on",
        "he told me to turn on the light",
        "we should open the window",
        "turn off the alarm",
        "stop",
    ],
)
def test_nothing_else_of_what_is_heard_goes_to_the_house(talk: Talk, text: str) -> None:
    talk.say(text)
    assert talk.skills.given == []


def test_without_a_skill_for_the_house_a_light_is_no_command(talk: Talk) -> None:
    assert talk.say("turn on the kitchen light").text == ""
    assert talk.skills.given == []
    assert kinds_of(talk) == ["meta", "transcript"]


# --- values


ACTIONS = [
    Action(TIMER, at="2026-11-23T14:10:00+01:00", length_s=600, label="eggs"),
    Action(ALARM, at="2026-11-24T07:00:00+01:00", repeat=(0, 1, 2, 3, 4), label="work"),
    Action(REMINDER, at="2026-11-27T09:00:00+01:00", label="buy flowers"),
    Action(
        EVENT, at="2026-11-30T09:00:00+01:00", until="2026-11-30T10:00:00+01:00", label="school"
    ),
    Action(EVENT, at="2026-11-30T00:00:00+01:00", all_day=True, label="birthday"),
    Action(ITEM, list="shopping", label="milk"),
    Action(MESSAGE, at="2026-11-23T14:00:00+01:00", recipient="robert", label="we are late"),
    Action(ORDER, at="2026-11-23T14:00:00+01:00", label="a pizza"),
]
DESCRIBED = [
    "timer of 10 minutes, 14:10, eggs",
    "alarm 07:00 every weekday, work",
    "reminder 2026-11-27 09:00, buy flowers",
    "event 2026-11-30 09:00, school",
    "event 2026-11-30, birthday",
    "shopping list: milk",
    "message 2026-11-23 14:00, we are late, to robert",
    "order 2026-11-23 14:00, a pizza",
]


@pytest.mark.parametrize("action", ACTIONS)
def test_values_are_read_as_they_were_written(action: Action) -> None:
    assert Action.decode(action.encode()) == action
    assert action.label not in repr(action)


@pytest.mark.parametrize(("action", "said"), list(zip(ACTIONS, DESCRIBED, strict=True)))
def test_an_action_in_one_line(action: Action, said: str) -> None:
    assert describe(action) == said


@pytest.mark.parametrize("action", ACTIONS[:6])
def test_the_minimal_record_is_an_action_that_does_the_same(action: Action) -> None:
    assert Action.decode(minimal(action)) == action


@pytest.mark.parametrize("action", ACTIONS[6:])
def test_of_messages_and_orders_only_date_and_kind_are_kept(action: Action) -> None:
    record = Action.decode(minimal(action))
    assert (record.at, record.label) == ("2026-11-23", "")
    assert record.recipient == ("a contact" if action.recipient else "")
    for word in ("robert", "late", "pizza", "14:00"):
        assert word.encode() not in minimal(action)


@pytest.mark.parametrize("cls", [Intent, Action, Answer, Fired])
@pytest.mark.parametrize("data", [b"", b"xylophone", b"[]", b'{"what": "xylophone"}', b"\xff"])
def test_content_in_no_form_is_malformed_and_does_not_say_what_it_is(
    cls: type[Action], data: bytes
) -> None:
    if cls is Action and data.startswith(b'{"what'):
        data = b'{"what": "alarm", "at": "xylophone", "repeat": []}'
    with pytest.raises(Malformed) as malformed:
        cls.decode(data)
    assert "xylophone" not in str(malformed.value)


def test_the_calendar_is_a_file_that_programs_read(talk: Talk) -> None:
    from icalendar import Calendar

    talk.answers(
        "schedule a call with the bank tomorrow from nine to ten",
        "add anna's birthday to my calendar on the fifth of may",
        "remind me every monday at eight am to water the plants",
        "set a timer for ten minutes",
        "put lunch in my calendar on friday at noon",
        "cancel the lunch",
    )
    file = ics(talk.entries(), MONDAY)
    events = {str(it["summary"]): it for it in Calendar.from_ical(file).walk("VEVENT")}
    assert set(events) == {"call with the bank", "anna's birthday", "water the plants"}
    call = events["call with the bank"]
    assert call.decoded("dtstart").isoformat() == "2026-11-24T08:00:00+00:00"
    assert call.decoded("dtend").isoformat() == "2026-11-24T09:00:00+00:00"
    assert events["anna's birthday"].decoded("dtstart").isoformat() == "2027-05-05"
    plants = events["water the plants"]
    assert plants.decoded("dtstart").isoformat() == "2026-11-30T08:00:00"
    assert plants["rrule"].to_ical() == b"FREQ=WEEKLY;BYDAY=MO"


def test_what_is_open_is_read_by_another_process_too(tmp_path: Path) -> None:
    talk = Talk(make(tmp_path))
    talk.say("add milk to the shopping list")
    other = Talk(reopen(tmp_path))
    assert other.open() == ["milk"]
    other.say("remove milk from the shopping list")
    assert talk.open() == []
    assert talk.say("what's on the shopping list").text == "On the shopping list: nothing."
