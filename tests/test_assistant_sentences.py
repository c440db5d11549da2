"""What is understood, in the words that recognisers write, and what must not be.

Each intent with several phrasings; sentences out of books and talk that hold the words of commands
and are none; and a user's own sentences beside those of the package.
"""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from pipeline.assistant.derive import derive
from pipeline.assistant.derived import Context, Derived
from pipeline.assistant.errands import split
from pipeline.assistant.sentences import sentences
from pipeline.assistant.understand import Understood, only_a_time, understand
from pipeline.errors import Refused

NOW = datetime(2026, 11, 23, 14, 0, tzinfo=ZoneInfo("Europe/Berlin"))

UNDERSTOOD = {
    "timer-set": [
        "set a timer for ten minutes",
        "set a ten minute timer for the eggs",
        "Set a timer for 5 minutes, please.",
        "could you start a timer for an hour and a half",
        "timer twenty seconds",
        "give me a five minute timer",
        "put on the pasta timer for nine minutes",
        "count down from ten minutes",
    ],
    "timer-cancel": [
        "cancel the timer",
        "stop the egg timer",
        "delete all timers",
        "please cancel all of my timers",
        "turn off the timer for the eggs",
    ],
    "timer-left": [
        "how long is left on the timer",
        "how much time is left on the egg timer",
        "how much time do i have left",
        "how long until the timer goes off",
        "what's left on the timer",
        "check the timer",
    ],
    "wake-set": [
        "wake me up at half past six tomorrow morning",
        "wake me at six",
        "Wake me up at 6:30 a.m.",
        "get me up at five thirty",
    ],
    "alarm-set": [
        "set an alarm for seven",
        "set an alarm for every weekday at seven for work",
        "set my work alarm for seven thirty a m",
        "alarm at nine",
    ],
    "alarm-cancel": [
        "cancel the alarm",
        "cancel the seven o'clock alarm",
        "turn off my work alarm",
        "delete all alarms",
        "don't wake me up",
    ],
    "alarm-list": ["what alarms do i have", "when is my next alarm", "show me all my alarms"],
    "snooze": ["snooze", "snooze for five minutes"],
    "reminder-set": [
        "remind me to buy flowers for our anniversary on friday",
        "remind me tomorrow at nine to call mum",
        "remind me in twenty minutes to take the cake out of the oven",
        "set a reminder to water the plants every saturday at ten",
        "don't let me forget the keys at eight",
        "remind us about the match at half past seven",
    ],
    "reminder-list": ["what are my reminders", "what reminders do i have", "read my reminders"],
    "reminder-cancel": ["cancel the reminder to call mum", "delete all reminders"],
    "event-add": [
        "put a meeting with the school on monday at nine in the morning",
        "add a dentist appointment on the third of december at ten thirty",
        "put lunch with anna in my calendar on friday at noon",
        "schedule a call with the bank tomorrow from nine to ten",
        "make an appointment with the doctor next tuesday at four",
        "add anna's birthday to my calendar on the fifth of may",
    ],
    "event-list": [
        "what's on my calendar tomorrow",
        "what do i have planned on friday",
        "what is on my calendar",
        "when is my next appointment",
        "am i free tomorrow afternoon",
    ],
    "event-cancel": [
        "cancel the meeting with the school",
        "cancel my dentist appointment",
        "take the lunch with anna off my calendar",
    ],
    "item-add": [
        "add milk and bread to the shopping list",
        "put a dozen eggs on the shopping list",
        "add call the plumber to my to do list",
        "add tomatoes to the list",
        "put to the shopping list butter",
    ],
    "item-remove": [
        "remove milk from the shopping list",
        "take the bread off the shopping list",
        "cross off milk on the shopping list",
    ],
    "list-show": [
        "what's on my shopping list",
        "read me the shopping list",
        "what is on the list",
        "what do we need to buy",
    ],
    "list-clear": ["clear the shopping list", "remove everything from my to do list"],
    "message-send": [
        "send a message to my friend robert we will be late for dinner",
        "write a message to anna saying happy birthday",
        "send a text message to my wife i am on my way",
    ],
    "order-place": [
        "order a large pizza with mushrooms and extra cheese",
        "i would like to order two coffees",
        "order me some flowers",
    ],
    "ride-book": [
        "i need a ride to the airport at four in the afternoon",
        "order me a taxi to the station at eight",
        "get me a cab",
        "call a taxi for tomorrow at six am",
    ],
    "home-tell": [
        "turn on the kitchen light",
        "switch the lights in the living room off please",
        "set the bedroom lamp to fifty percent",
        "open the garage door",
        "tell home assistant to run the morning scene",
    ],
    "time-ask": ["what time is it", "what's the time", "tell me the time", "What time is it now?"],
    "date-ask": ["what day is it today", "what's the date", "what is today's date"],
    "forget-last": [
        "forget what i just said",
        "delete what i just said",
        "forget that",
        "delete that",
        "erase the last thing i said",
        "please forget my last sentence",
    ],
    "forget-span": [
        "forget everything i said today",
        "forget everything i said since nine",
        "delete everything i said in the last hour",
        "forget the last ten minutes",
        "erase everything from yesterday",
        "forget what i said this morning",
        "forget everything you have heard since yesterday",
    ],
    "forget-about": [
        "forget everything i said about the doctor",
        "delete everything about my mother",
        "forget all i said about the doctor today",
        "erase what i told you about the money",
        "forget everything i said today about the doctor",
    ],
    "forget-everything": [
        "forget everything",
        "delete all my recordings",
        "forget everything i have ever said",
        "erase everything you know about me",
        "forget everything i said",
    ],
    "what-known": [
        "what do you know about me",
        "what have you stored about me",
        "what do you remember about me",
    ],
    "stop-listening": ["stop listening", "turn off the microphone", "mute yourself"],
    "keep-that": ["keep that", "save that", "keep what i said"],
    "yes": ["yes", "yes please", "yeah do it", "go ahead"],
    "no": ["no", "no thanks", "never mind", "nope"],
    "yes-but-keep": ["yes but keep the alarm", "keep the alarm", "yes but keep my reminder"],
    "help": ["help", "what can you do"],
}


@pytest.mark.parametrize(
    ("name", "text"), [(name, text) for name, texts in UNDERSTOOD.items() for text in texts]
)
def test_each_intent_in_several_phrasings(name: str, text: str) -> None:
    understood = understand(text)
    assert understood is not None
    assert understood.name == name


@pytest.mark.parametrize(
    ("heard", "name"),
    [
        ("say it an egg timer for five minutes", "timer-set"),
        ("said an egg timer for five minutes", "timer-set"),
        ("how long his left on the timer", "timer-left"),
        ("conceal the timer", "timer-cancel"),
        ("say it and alarm for every weekday at seven", "alarm-set"),
        ("add milk and bread do the shopping list", "item-add"),
        ("i need ride to the airport at four in the afternoon", "ride-book"),
    ],
)
def test_what_a_small_model_makes_of_some_commands(heard: str, name: str) -> None:
    """Each was heard so by Vosk, of flite's voices."""
    understood = understand(heard)
    assert understood is not None
    assert understood.name == name


def test_every_intent_there_is_has_been_said() -> None:
    assert set(sentences().sorts) == {*UNDERSTOOD, "silence"}


NOT_MEANT = """
the doctor said that my blood pressure is too high again
can i have one more story before i go to bed
why does the moon follow us when we drive home
did you see the snow on the mountains this morning
my sister called last night and they are moving to a new house in the spring
play some quiet music in the living room
turn on the light in the kitchen
what is the weather going to be like tomorrow
and mister john dashwood had then leisure to consider how much there might be in his power to do
he was not an ill disposed young man unless to be rather cold hearted is to be ill disposed
had he married a more amiable woman he might have been made still more respectable than he was
but missus john dashwood was a strong caricature of himself more narrow minded and selfish
it was the best of times it was the worst of times
there was no time to set the table before the guests came at seven
he told me to put the kettle on and to remind him of nothing
she asked him to set an alarm for seven but he forgot
order was restored in the hall by nine o'clock
order in the court
the order came at midnight to march at dawn
the alarm was raised at four in the morning
a timer is a strange thing
time and tide wait for no man
i need a moment to think
i need you to listen to me
i want to go home
call me ishmael
call it a day
forget me not
forget it not my friend
never forget what your mother told you
he could not forget everything that had been said about his brother
we shall forget our troubles by the fire
keep your head when all about you are losing theirs
stop right there
stop all the clocks cut off the telephone
what do you know about the war
what did you say
tell me a story about a dragon
tell him that i am not at home
send in the clowns
send my regards to your mother
write to me when you get there
remember to be kind
add insult to injury
put the book on the table
put your things in the car at eight
take the road to the left
make a cake tomorrow at three
plan your life
book early
schedule permitting we will come on friday
what is on your mind
what is on television
is there anything on the roof
read the paper
read me a poem
the list was long
cancel culture is a topic
delete nothing
clear the table
clear skies tomorrow
a meeting of minds on monday at nine
lunch was at noon
yes i think so
no i do not think that is right
yes and no
it is half past seven
nine
tomorrow
in ten minutes
at the meeting on monday we said nothing
she put a ring on it on friday
he said a prayer at seven
she sat a while at five
""".strip().splitlines()


@pytest.mark.parametrize("text", NOT_MEANT)
def test_no_command_is_heard_where_none_was_said(text: str) -> None:
    assert derive(text, Context(NOW)) == Derived()


@pytest.mark.parametrize("text", ["", "   ", "?!", "yes", "keep the door closed", "word " * 200])
def test_nothing_follows_from_what_is_no_command(text: str) -> None:
    assert derive(text, Context(NOW)) == Derived()


def test_slots_are_what_was_said_for_them() -> None:
    def slots(text: str) -> dict[str, str]:
        understood = understand(text)
        assert understood
        return dict(understood.slots)

    assert slots("put a meeting with the school on monday at nine") == {
        "label": "meeting with the school"
    }
    assert slots("add milk and bread to the shopping list") == {
        "item": "milk and bread",
        "list": "shopping",
    }
    assert slots("remind me on friday to buy flowers") == {"label": "buy flowers"}
    assert slots("order a large pizza with mushrooms") == {"label": "a large pizza with mushrooms"}
    assert slots("forget everything i said about the doctor") == {"topic": "the doctor"}


@pytest.mark.parametrize(
    ("said", "to", "text"),
    [
        ("my friend robert we will be late", "my friend robert", "we will be late"),
        ("my wife i am on my way", "my wife", "i am on my way"),
        ("anna saying happy birthday", "anna", "happy birthday"),
        ("robert smith that i am late", "robert smith", "i am late"),
        ("my mum dinner is ready", "my mum", "dinner is ready"),
        ("robert", "robert", ""),
    ],
)
def test_whom_a_message_is_for(said: str, to: str, text: str) -> None:
    assert split(said) == (to, text)


def test_a_contact_that_was_named_is_known_by_all_its_names() -> None:
    assert split("robert smith we are late", ("robert", "robert smith")) == (
        "robert smith",
        "we are late",
    )


def test_the_answer_to_a_question_is_a_time_and_nothing_else() -> None:
    assert only_a_time("ten minutes")
    assert only_a_time("tomorrow at seven")
    assert only_a_time("at seven i think") is None
    assert only_a_time("yes") is None


def test_only_the_intents_asked_for_count() -> None:
    stop = understand("stop", only={"yes", "no"})
    assert stop
    assert stop.name == "no"
    assert understand("what time is it", only={"yes", "no"}) is None


def test_nothing_that_was_said_is_shown_by_what_shows_itself() -> None:
    understood = understand("remind me to buy flowers on friday")
    derived = derive("remind me to buy flowers on friday", Context(NOW))
    for it in (understood, derived, derived.intent, *derived.actions):
        assert "flowers" not in repr(it)
    assert "flowers" not in repr(Understood("x", {"label": "flowers"}))


# --- a user's own sentences


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("ANECHOIC_CONFIG_DIR", str(tmp_path))
    sentences.cache_clear()
    yield tmp_path
    sentences.cache_clear()


OWN = """
[lists]
contact = ["robert", "my sister"]

[intents.timer-set]
timed = ["boil an egg"]

[intents.stop-listening]
sentences = ["cover your ears"]
"""


def test_a_user_adds_sentences_and_contacts(config: Path) -> None:
    (config / "sentences.toml").write_text(OWN)
    for text, name in {
        "boil an egg for four minutes": "timer-set",
        "cover your ears": "stop-listening",
        "tell robert that dinner is ready": "message-send",
        "set a timer for ten minutes": "timer-set",
    }.items():
        understood = understand(text)
        assert understood
        assert understood.name == name
    assert understand("boil an egg") is None


def test_without_them_they_are_not_understood(config: Path) -> None:
    assert not (config / "sentences.toml").exists()
    assert understand("cover your ears") is None
    assert understand("tell robert that dinner is ready") is None


@pytest.mark.parametrize(
    "mistake",
    [
        "[intents.no-such]\nsentences = ['x']",
        "[intents.timer-set]\ntime = 'sometimes'",
        "[intents.timer-set]\nsentence = ['x']",
        "[intents.timer-set]\nsentences = ['(set']",
        "[intents.timer-set]\nsentences = ['a {nowhere} b']",
        "[intents.timer-set]\nsentences = ['a <nowhere> b']",
        "[intents.reminder-set]\ndefault = 'noon'",
        "[other]\nx = 1",
        "not toml",
    ],
)
def test_a_mistake_in_a_users_file_is_told(config: Path, mistake: str) -> None:
    (config / "sentences.toml").write_text(mistake)
    with pytest.raises(Refused, match=r"sentences\.toml"):
        sentences()
