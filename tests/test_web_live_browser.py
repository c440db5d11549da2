"""Live words in a real Chromium: as they are spoken, gone when sealed, forgotten or muted.

First without a microphone, by a page whose listener is played by the test; then all of it at a
virtual microphone, with every process and every file of the browser searched for what was said.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pipeline import glimpse
from pipeline.glimpse import LISTENING, MUTED, SPEECH, Now, Place
from pipeline.web.door import Door, door
from tests.commandline import ROOT, Shell
from tests.household import forget, make, reopen, say
from tests.memory import hits, stopped, tree
from tests.microphone import VirtualMicrophone, shell_at, virtual_microphone
from tests.test_web_browser import BROWSER, Served, chromium, sync_api

if TYPE_CHECKING:
    from playwright.sync_api import Page

CANARY = "zanzibar xylophone"
PIZZA = ROOT / "samples" / "06-pizza.wav"
PHRASES, CODES = ("large pizza with", "pizza with mushrooms"), ("utf-8", "utf-16-le")
PATIENCE_S = 60.0

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not BROWSER, reason="there is no Chromium"),
]


@contextlib.contextmanager
def opened(base: Path) -> Iterator[tuple[Door, Place]]:
    """The page of a vault in this process, with a listener that the test plays."""
    place = glimpse.place()
    if place is None:
        pytest.skip("there is no memory without a name here")
    it = door("127.0.0.1:0")
    with it.opened(lambda: reopen(base), lambda _: None, place):
        yield it, place
    it.listening.close()


def test_words_come_and_go_on_every_page_that_is_open(tmp_path: Path) -> None:
    vault = make(tmp_path)
    say(vault, "earlier")
    with opened(tmp_path) as (it, place), chromium(tmp_path / "profile") as browser:
        page = browser.pages[0]
        page.goto(it.link)
        page.locator(".said").first.wait_for()
        place.show(Now(LISTENING, 1))
        page.get_by_role("button", name="Listening").wait_for()
        other = browser.new_page()  # it watches by way of the first
        other.goto(page.url)
        other.get_by_role("button", name="Listening").wait_for()
        for words in ("zanzibar", CANARY):
            place.show(Now(SPEECH, 7, words))
            for each in (page, other):
                each.locator("#live-words").get_by_text(words, exact=True).wait_for()
        (heard,) = say(vault, CANARY)
        place.show(Now(LISTENING, 0, number=1, sealed=heard.hex(), note="sealed"))
        for each in (page, other):
            sync_api.expect(each.locator("#live-words")).to_have_text("")
            row = each.locator(f'.said[data-interaction="{heard.hex()}"]')
            row.wait_for()
            sync_api.expect(each.locator("#total")).to_have_text(
                "2 interactions held on this machine."
            )
        place.show(Now(SPEECH, 7, "about to be forgotten", number=1))
        page.get_by_text("about to be forgotten").wait_for()
        place.show(Now(SPEECH, 7, "", number=2, note="it was forgotten while it was spoken"))
        forget(vault, heard)
        for each in (page, other):
            sync_api.expect(each.locator(".said")).to_have_count(1)
            assert "zanzibar" not in each.content()
            assert "about to be" not in each.content()
        assert "#" not in page.url
        assert page.url.count("/") == 3


def test_muting_by_the_button_and_a_page_that_is_left_alone(tmp_path: Path) -> None:
    say(make(tmp_path), "earlier")
    with chromium(tmp_path / "profile") as browser:
        with opened(tmp_path) as (it, place):
            page = browser.pages[0]
            page.goto(it.link)
            place.show(Now(LISTENING))
            page.get_by_role("button", name="Listening").click()
            assert wished(place) is True
            place.show(Now(MUTED))
            page.get_by_role("button", name="Muted").click()
            assert wished(place) is False
            place.show(Now(SPEECH, 7, CANARY))
            page.get_by_text(CANARY).wait_for()
        sync_api.expect(page.locator("#live-words")).to_have_text("")  # nobody answers any more


def wished(place: Place) -> bool | None:
    until_s = time.monotonic() + 10
    while time.monotonic() < until_s:
        if (wish := place.take_wish()) is not None:
            return wish
        time.sleep(0.02)
    return None


# At a microphone


@pytest.fixture(scope="module")
def microphone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VirtualMicrophone]:
    with virtual_microphone(tmp_path_factory.mktemp("sound")) as it:
        yield it


@contextlib.contextmanager
def serving(shell: Shell, *words: str) -> Iterator[Served]:
    process: subprocess.Popen[str] = shell.start(
        *("serve", "--web", "127.0.0.1:0", "--listen", "--device", "pulse"), *words
    )
    try:
        yield Served(process)
    finally:
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, err
    assert not {"pizza", "mushrooms", "cheese"} & set((out + err).lower().split())


def spoken(page: "Page", microphone: VirtualMicrophone, sound: Path, word: str) -> None:
    """Plays a sound and waits until the page shows a word of it while it goes on."""
    until_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < until_s:
        playing = microphone.playing(sound)
        with contextlib.suppress(sync_api.TimeoutError):
            page.locator("#live-words").get_by_text(word).wait_for(timeout=6000)
            playing.wait(PATIENCE_S)
            return
        playing.wait(PATIENCE_S)
    raise AssertionError("it was never shown")


@pytest.mark.microphone
@pytest.mark.model
def test_at_a_microphone(tmp_path: Path, microphone: VirtualMicrophone) -> None:
    """Shown while spoken, sealed into a row, forgotten, and then in no process and no file."""
    shell = shell_at(tmp_path, microphone)
    shell.json("init")
    profile = tmp_path / "profile"
    with serving(shell) as it, chromium(profile) as browser:
        page = browser.pages[0]
        page.goto(it.link)
        page.get_by_role("button", name="Listening").wait_for(timeout=PATIENCE_S * 1000)
        spoken(page, microphone, PIZZA, "pizza")
        page.locator(".said .words").get_by_text("pizza").wait_for()
        sync_api.expect(page.locator("#live-words")).to_have_text("")
        pid, needles = it.process.pid, {w.encode(c) for w in PHRASES for c in CODES}
        heard_it, may_look = workers(pid), sys.platform == "linux" and os.geteuid() == 0
        assert len(heard_it) == 2
        assert not may_look or found_in(heard_it, needles)  # control: now it is somewhere
        assert not may_look or not found_in(set(tree(pid)) - heard_it, needles)
        shell.json("forget", "--all", "--yes")
        sync_api.expect(page.locator(".said")).to_have_count(0)
        until_s = time.monotonic() + PATIENCE_S
        while heard_it & set(tree(pid)) and time.monotonic() < until_s:
            time.sleep(0.1)
        assert not may_look or not found_in(set(tree(pid)), needles)
        page.get_by_role("button", name="Listening").click()
        page.get_by_role("button", name="Muted").wait_for()
        microphone.play(PIZZA)
        assert page.inner_text("#live-words") == ""
        page.get_by_role("button", name="Muted").click()
        page.get_by_role("button", name="Listening").wait_for()
        spoken(page, microphone, PIZZA, "pizza")
    files = [path.read_bytes() for path in profile.rglob("*") if path.is_file()]
    assert any(b"anechoic" in data for data in files)
    assert not any(needle in data for needle in needles for data in files)


@pytest.mark.microphone
@pytest.mark.model
def test_ephemeral_at_a_microphone(tmp_path: Path, microphone: VirtualMicrophone) -> None:
    shell = shell_at(tmp_path, microphone)
    shell.json("init")
    with serving(shell, "--ephemeral") as it, chromium(tmp_path / "profile") as browser:
        page = browser.pages[0]
        page.goto(it.link)
        page.get_by_role("button", name="storing nothing").wait_for(timeout=PATIENCE_S * 1000)
        spoken(page, microphone, PIZZA, "pizza")
        page.get_by_text("Not kept").wait_for()
        assert page.inner_text("#live-words") == ""
        assert page.locator(".said").count() == 0
    assert shell.json("history") == []


def workers(pid: int) -> set[int]:
    """The processes of it that hear or show: those that have made no other."""
    return {it for it in tree(pid) if len(tree(it)) == 1}


def found_in(pids: set[int], needles: set[bytes]) -> int:
    with stopped(pids), contextlib.suppress(ProcessLookupError):
        return sum(sum(hits(it, needles).values()) for it in pids)
    raise AssertionError("a process has ended while it was looked at")


@pytest.mark.microphone
@pytest.mark.model
def test_forgotten_while_it_is_spoken(tmp_path: Path, microphone: VirtualMicrophone) -> None:
    """The words leave the page, and no row comes; the control is what is said after that."""
    shell = shell_at(tmp_path, microphone)
    shell.json("init")
    with serving(shell, "--pause", "5000") as it, chromium(tmp_path / "profile") as browser:
        page = browser.pages[0]
        page.goto(it.link)
        page.get_by_role("button", name="Listening").wait_for(timeout=PATIENCE_S * 1000)
        spoken(page, microphone, PIZZA, "pizza")  # and nobody is silent for five seconds
        assert "pizza" in page.inner_text("#live-words")
        shell.json("forget", "--last", "--yes")
        sync_api.expect(page.locator("#live-words")).to_have_text("")
        page.get_by_role("button", name="Listening").wait_for()
        assert "pizza" not in page.content()
        assert shell.json("history") == []
        time.sleep(7)  # until they are silent, whoever spoke is not heard at all
        spoken(page, microphone, PIZZA, "pizza")
        page.locator(".said .words").get_by_text("pizza").wait_for()  # five seconds later
    assert len(shell.json("history")) == 1
