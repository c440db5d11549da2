"""What is heard at the moment, on the page: while it is spoken, and nowhere a moment later.

Without a microphone: a script tells what a listener would, and pages look. The controls: a place
that is not wiped still has the words, and a stream that is asked while somebody speaks has them.
"""

import asyncio
import json
import multiprocessing
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from keys.model import ID_SIZE, InteractionId
from pipeline import glimpse, heard
from pipeline.capture import Back, Gone
from pipeline.glimpse import SIZE, Now, Place
from pipeline.telling import SEALED, Teller
from pipeline.web.house import House
from tests.household import make, reopen, say
from tests.web_client import Browser

CANARY = "zanzibar xylophone"
ID = InteractionId(bytes(range(ID_SIZE)))
LOUD = np.full(512, 16000, np.int16)
QUIET = heard.Sound(np.zeros(512, np.int16), speaking=False, lost_ms=0)


@pytest.fixture
def place() -> Place:
    found = glimpse.place()
    if found is None:
        pytest.skip("there is no memory without a name here")
    return found


def there(place: Place) -> bytes:
    """All that lies in a place, whoever reads it."""
    return bytes(place._mapped[:SIZE])


def told(place: Place, *events: heard.Heard, muted: threading.Event | None = None) -> list[Now]:
    """What a page would see after each of these events."""
    seen = []
    teller = Teller(place, muted or threading.Event())
    with teller:
        for event in events:
            teller._shown_s = 0.0  # as if time went by
            teller.take(event)
            now = place.look()
            assert now
            seen.append(now)
    return seen


def test_words_are_there_while_they_are_spoken_and_gone_with_their_end(place: Place) -> None:
    said = heard.Said(ID, "desk", 1.0, CANARY, truncated=False)
    sound, *partials, end = told(
        place,
        heard.Sound(LOUD, speaking=True, lost_ms=0),
        heard.Partial("zanzibar"),
        heard.Partial(CANARY),
        said,
    )
    assert (sound.state, sound.level, sound.words) == ("speech", 9, "")
    assert [it.words for it in partials] == ["zanzibar", CANARY]
    assert (end.words, end.sealed, end.note, end.number) == ("", ID.hex(), SEALED, 1)
    assert b"zanzibar" not in there(place)


@pytest.mark.parametrize(
    "event",
    [
        heard.Said(None, "desk", 1.0, CANARY, truncated=False),
        heard.Dropped("it was forgotten while it was spoken"),
        heard.Partial(""),
        Gone("the device is away"),
        heard.Asleep(),
    ],
    ids=["ephemeral", "forgotten", "cleared", "away", "asleep"],
)
def test_however_an_utterance_ends_nothing_of_it_is_left(place: Place, event: heard.Heard) -> None:
    teller = Teller(place, threading.Event())
    with teller:
        teller.take(heard.Partial(CANARY))
        assert b"xylophone" in there(place)  # control: there it was
        teller.take(event)
        assert b"xylophone" not in there(place)
        assert b"zanzibar" not in there(place)


def test_the_end_of_a_turn_in_the_middle_of_a_word_leaves_nothing(place: Place) -> None:
    told(place, heard.Partial(CANARY))
    assert b"zanzibar" not in there(place)


def test_the_next_turn_wipes_what_a_killed_one_left(place: Place) -> None:
    place.show(Now(words=CANARY))
    with Teller(place, threading.Event()):
        assert b"zanzibar" not in there(place)


def test_states_follow_the_device(place: Place) -> None:
    muted = threading.Event()
    events = (heard.Asleep(), heard.Woken(), QUIET, Gone("away"), Back())
    states = [it.state for it in told(place, *events, muted=muted)]
    assert states == ["waiting", "listening", "listening", "away", "listening"]
    muted.set()
    assert told(place, Gone("muted"), muted=muted)[0].state == "muted"
    now = place.look()
    assert now
    assert now.state == "muted"  # also between two turns


def test_a_wish_is_obeyed_once_also_while_the_device_is_closed(place: Place) -> None:
    muted = threading.Event()
    with Teller(place, muted):
        for wanted in (True, False):
            place.wish(is_muted=wanted)
            assert muted.wait(5) if wanted else _cleared(muted)
            assert place.take_wish() is None


def _cleared(event: threading.Event) -> bool:
    ticks = threading.Event()
    return any(not event.is_set() or ticks.wait(0.02) for _ in range(250))


def test_half_a_change_is_not_looked_at(place: Place) -> None:
    place.show(Now(words="whole"))
    place._mapped[40] ^= 1
    assert place.look() is None
    place.show(Now(words="whole"))
    assert place.look() == Now(words="whole")
    place.clear()
    assert place.look() is None
    assert there(place)[:-1] == bytes(SIZE - 1)


def test_words_without_end_show_their_end(place: Place) -> None:
    place.show(Now(words="\U0001f600" * 5000 + CANARY))
    now = place.look()
    assert now
    assert now.words.endswith(CANARY)
    assert len(now.words) == 1000


def _show(place: Place) -> None:
    place.show(Now(words=CANARY))


@pytest.mark.parametrize("way", ["fork", "spawn"])
def test_another_process_shows_what_this_one_looks_at(place: Place, way: str) -> None:
    kind = multiprocessing.get_context(way)
    process = kind.Process(target=_show, args=(place,))  # type: ignore[attr-defined]
    process.start()
    process.join(60)
    now = place.look()
    assert now
    assert now.words == CANARY


def test_a_moment_shows_itself_in_no_repr(place: Place) -> None:
    place.show(Now(words=CANARY))
    assert CANARY not in f"{Now(words=CANARY)!r} {place!r}"


def test_whoever_only_hands_it_on_never_maps_it(place: Place) -> None:
    maps = Path("/proc/self/maps").read_text().count("glimpse")
    place.look()
    assert Path("/proc/self/maps").read_text().count("glimpse") == maps + 1  # control: looking does


# The page


@pytest.fixture
def browser(tmp_path: Path, place: Place) -> Iterator[Browser]:
    say(make(tmp_path), "earlier")
    it = Browser(lambda: reopen(tmp_path), place=place)
    yield it
    it.house.close()


def stream(house: House, entries: Path, number: int) -> list[tuple[str, str]]:
    """The first events that a page which opens now is told of."""

    async def take() -> list[tuple[str, str]]:
        found = []
        async for it in house.changes(entries):
            found.append(it)
            if len(found) == number:
                break
        return found

    return asyncio.run(asyncio.wait_for(take(), 10))


def test_a_page_that_opens_gets_this_moment_and_none_before(browser: Browser, place: Place) -> None:
    entries = browser.house.entries()
    for words in ("zanzibar", "zanzibar xylo", CANARY):
        place.show(Now("speech", 5, words))
    opened, moment = stream(browser.house, entries, 2)
    assert opened == ("", "")
    assert moment[0] == "now"
    assert json.loads(moment[1])["words"] == CANARY  # control
    place.show(Now("listening", number=1, sealed=ID.hex(), note=SEALED))
    later = stream(browser.house, entries, 2)[1][1]
    assert "zanzibar" not in later
    assert json.loads(later)["sealed"] == ID.hex()


def test_without_a_microphone_no_moment_is_told_of(tmp_path: Path) -> None:
    say(make(tmp_path), "earlier")
    browser = Browser(lambda: reopen(tmp_path))
    assert 'id="mic"' not in browser.get("/").text
    assert browser.post("/microphone", {"wish": "mute"}).status == 404


def test_the_page_mutes_and_opens_the_microphone(browser: Browser, place: Place) -> None:
    assert 'id="mic"' in browser.get("/").text
    for wish, is_muted in (("mute", True), ("listen", False)):
        assert browser.post("/microphone", {"wish": wish}).status == 204
        assert place.take_wish() is is_muted
    for refused in (
        browser.post("/microphone", {"wish": "mute"}, csrf=False),
        browser.post("/microphone", {"wish": "mute"}, origin="http://evil.example"),
        browser.post("/microphone", {"wish": "mute"}, cookie=None),
        browser.post("/microphone", {"wish": "shout"}),
    ):
        assert refused.status in {401, 403, 404}
    assert place.take_wish() is None


def test_no_page_holds_words_of_the_moment(browser: Browser, place: Place) -> None:
    """They come by the stream alone, which no browser stores; what is loaded has none."""
    place.show(Now("speech", 5, CANARY))
    for path in ("/", "/agenda", "/held", "/settings"):
        assert "zanzibar" not in browser.get(path).text


def test_rows_that_came_since_are_sent_and_no_others(browser: Browser, tmp_path: Path) -> None:
    (first,) = say(reopen(tmp_path), "the first")
    (second, third) = say(reopen(tmp_path), "the second", "the third")
    page = browser.post("/newer", {"seen": first.hex()}).text
    assert [it.hex() in page for it in (first, second, third)] == [False, True, True]
    assert "4 interactions held" in page
    assert 'class="said"' not in browser.post("/newer", {"seen": third.hex()}).text
    assert browser.post("/newer", {"seen": ""}).text.count('class="said"') == 4
