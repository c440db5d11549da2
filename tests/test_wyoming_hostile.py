"""Broken, slow and hostile clients: the service lives, answers the next one, and stays small.

All that is sent is made from a seed. Memory is that of the process in which the service runs.
"""

import asyncio
import json
import logging
import os
import random
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from pipeline import wyoming_connection, wyoming_frames
from pipeline.artefact import AUDIO, decode_audio
from pipeline.audit import audit
from pipeline.capture import Block
from pipeline.model import RATE_HZ
from pipeline.session import acting
from pipeline.wyoming_connection import Limits
from pipeline.wyoming_frames import LINE_MAX, PAYLOAD_MAX, BadFrame
from tests.household import clock, make, real_files, reopen
from tests.lateness import lateness_s
from tests.parrot import WORDS
from tests.test_canary import leaking, variables
from tests.test_wyoming import disclosures, rows, wait_until
from tests.test_wyoming_frames import read
from tests.wyoming_client import (
    BRISK,
    Apart,
    AudioChunk,
    AudioStart,
    AudioStop,
    Describe,
    Event,
    Running,
    Transcribe,
    begin,
    dictate,
    running,
    running_apart,
    send,
    spoken,
    stop,
    text_of,
    written,
)

FLOODS = 1500
MEGABYTE = 1 << 20
TOKENS = (
    *(b"null", b"true", b"-1", b"1e999", b"99999999999999999999", b"0", b'"16000"', b"[]", b"{}"),
    *(b"\xff\xfe", b"\0", b"\n", b'"\\ud800"', b"[[[[[[[[", b'{"a":' * 9, b"NaN", b"1048577"),
)


@cache
def conversation(number: int) -> tuple[bytes, ...]:
    """Returns the frames of one that keeps to the protocol."""
    chance = random.Random(number)
    pcm = spoken(chance.randrange(4), seconds=0.1)
    form = (chance.choice([8_000, 16_000, 44_100]), chance.choice([1, 2, 4]), chance.choice([1, 2]))
    chunks = [AudioChunk(*form, pcm[at : at + 1024]) for at in range(0, len(pcm), 1024)]
    events = [Describe(), Transcribe(language="en"), AudioStart(*form), *chunks, AudioStop()]
    return tuple(written(it.event()) for it in events)


def spoilt(chance: random.Random) -> bytes:
    """Returns a conversation in which something is wrong."""
    frames = list(conversation(chance.randrange(16)))
    at = chance.randrange(len(frames))
    frames[at] = chance.choice([_flipped, _cut, _swapped, _lied, _replaced])(frames[at], chance)
    if chance.random() < 0.3:
        chance.shuffle(frames)
    data = b"".join(frames)
    return data[: chance.randrange(len(data))] if chance.random() < 0.2 else data


def _flipped(frame: bytes, chance: random.Random) -> bytes:
    wrong = bytearray(frame)
    for _ in range(chance.randrange(1, 9)):
        wrong[chance.randrange(len(wrong))] ^= 1 << chance.randrange(8)
    return bytes(wrong)


def _cut(frame: bytes, chance: random.Random) -> bytes:
    return frame[: chance.randrange(len(frame))]


def _swapped(frame: bytes, chance: random.Random) -> bytes:
    """Puts something else where a value stands."""
    values = list(re.finditer(rb'(?<=: )("[^"]*"|[0-9]+|null)', frame[:300]))
    if not values:
        return _flipped(frame, chance)
    it = chance.choice(values)
    return frame[: it.start()] + chance.choice(TOKENS) + frame[it.end() :]


def _lied(frame: bytes, chance: random.Random) -> bytes:
    length = chance.choice([-1, 1, 10**5, PAYLOAD_MAX, PAYLOAD_MAX + 1, 2**31, 2**63, 10**30])
    name = chance.choice(["data_length", "payload_length"])
    return json.dumps({"type": "audio-chunk", name: length}).encode() + b"\n" + frame


def _replaced(frame: bytes, chance: random.Random) -> bytes:
    return chance.randbytes(len(frame)) if chance.random() < 0.5 else chance.choice(TOKENS) * 500


def resident() -> int:
    """Returns how much memory this process has, in bytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def exchange(it: Running, data: bytes) -> bytes:
    """Sends all of it, and takes what comes back until the other end closes."""
    found = b""
    with it.plug() as plug, suppress(ConnectionError):
        plug.sendall(data)
        plug.shutdown(socket.SHUT_WR)
        while piece := plug.recv(65536):
            found += piece
    return found


def is_well(it: Running) -> bool:
    return text_of(asyncio.run(dictate(it, spoken(0, 1)))) == " ".join(WORDS[:2])


def test_thousands_of_malformed_frames_are_frames_or_refused() -> None:
    chance, refused = random.Random(20260302), 0
    for _ in range(4000):
        try:
            assert all(len(frame.payload) <= PAYLOAD_MAX for frame in read(spoilt(chance)))
        except BadFrame:
            refused += 1
    assert refused > 2000


@pytest.mark.slow
def test_thousands_of_malformed_conversations(tmp_path: Path) -> None:
    vault, chance = make(tmp_path), random.Random(20260301)
    with running([None, None], replace(BRISK, idle_s=2.0)) as it:
        for _ in range(300):
            exchange(it, spoilt(chance))
        before = resident()
        answered = 0
        for n in range(FLOODS):
            answered += b'"error"' in exchange(it, spoilt(chance))
            if n % 500 == 0:
                assert is_well(it)
        assert resident() - before < 64 * MEGABYTE
        assert is_well(it)
    assert answered > FLOODS / 4
    assert it.failure is None
    assert not [told for told in it.told if "internal error" in told]
    assert len(it.told) < 50
    assert not [word for word in WORDS if word in "".join(it.told)]
    with acting(vault, clock):
        audit(vault)


def test_malformed_conversations_leave_a_vault_whole(tmp_path: Path) -> None:
    vault, chance = make(tmp_path), random.Random(7)
    with running([reopen(tmp_path)], replace(BRISK, idle_s=2.0)) as it:
        for _ in range(40):
            exchange(it, spoilt(chance))
        assert is_well(it)
    assert it.failure is None
    assert rows(vault)
    assert len(disclosures(vault)) <= len(rows(vault))
    with acting(vault, clock):
        audit(vault)


@contextmanager
def slow_clients(it: Apart, count: int, size: int = PAYLOAD_MAX) -> Iterator[list[socket.socket]]:
    """Holds connections that each have sent all of a large frame but its end."""
    head = json.dumps({"type": "audio-chunk", "payload_length": size}).encode() + b"\n"
    with ExitStack() as stack:
        plugs = [stack.enter_context(it.plug()) for _ in range(count)]
        for plug in plugs:
            plug.settimeout(1)
            with suppress(OSError):
                plug.sendall(head + bytes(size - 1))
        yield plugs


def described(it: Apart) -> bool:
    with it.plug() as plug, suppress(ConnectionError):
        plug.sendall(written(Describe().event()))
        return b'"info"' in plug.recv(1000)
    return False


def test_a_hundred_slow_clients_keep_little_and_nobody_waits_for_them(tmp_path: Path) -> None:
    make(tmp_path)
    with running_apart(tmp_path, idle_s=6.0, connections=64) as it:
        assert described(it)
        before = it.most_resident()
        with slow_clients(it, 63):
            assert described(it)
            # What they sent is read when the service comes to it; then it is held.
            wait_until(lambda: it.most_resident() - before > 63 * MEGABYTE / 2, within_s=5)
            assert it.most_resident() - before < 64 * 2.5 * MEGABYTE
            with it.plug(), slow_clients(it, 40) as more:
                assert any(b"too many connections" in _taken(plug) for plug in more)
                assert it.most_resident() - before < 64 * 2.5 * MEGABYTE
            wait_until(lambda: described(it), within_s=30)


def _taken(plug: socket.socket) -> bytes:
    with suppress(OSError):
        return plug.recv(1000)
    return b""


def test_without_a_limit_a_few_clients_could_take_all_memory(tmp_path: Path) -> None:
    make(tmp_path)
    with running_apart(tmp_path, payload_max=1 << 40) as it:
        assert described(it)
        before = it.most_resident()
        with slow_clients(it, 3, size=60 * MEGABYTE):
            assert described(it)
            assert it.most_resident() - before > 64 * 2.5 * MEGABYTE


def test_who_sends_nothing_whole_in_time_is_sent_away() -> None:
    slowest_s = 0.0
    with running([None], replace(BRISK, idle_s=0.4)) as it:
        for first in (b"", b"{", b'{"type": "describe"'):
            began_s = time.monotonic()
            with it.plug() as plug:
                plug.sendall(first)
                assert plug.recv(1000) == b""
            slowest_s = max(slowest_s, time.monotonic() - began_s)
    assert slowest_s < 2.0 + lateness_s()


def test_a_byte_at_a_time_is_not_enough() -> None:
    with running([None], replace(BRISK, idle_s=0.5)) as it, it.plug() as plug:
        began_s = time.monotonic()
        with suppress(ConnectionError):
            for byte in written(Describe().event()) * 9:
                plug.sendall(bytes([byte]))
                time.sleep(0.05)
                if time.monotonic() - began_s > 5:
                    pytest.fail("it was not sent away")
        assert is_well(it)


def test_a_stream_may_not_fall_ever_further_behind_the_clock(tmp_path: Path) -> None:
    vault = make(tmp_path)

    chunk = written(AudioChunk(RATE_HZ, 2, 1, bytes(320)).event())
    with running([reopen(tmp_path)], replace(BRISK, idle_s=1.0)) as it, it.plug() as plug:
        plug.sendall(written(AudioStart(RATE_HZ, 2, 1).event()))
        plug.sendall(written(AudioChunk(RATE_HZ, 2, 1, spoken(0, 1)).event()))
        plug.settimeout(0.2)
        answer, began_s = b"", time.monotonic()
        while b"slowly" not in answer:  # each chunk is in time
            plug.sendall(chunk)
            answer += _taken(plug)
            assert time.monotonic() - began_s < 10
    assert b"transcript" not in answer
    assert [(row.text, row.meta.truncated) for row in rows(vault)] == [(" ".join(WORDS[:2]), True)]
    assert disclosures(vault) == []


SOUNDLESS = written(AudioChunk(RATE_HZ, 2, 1, b"").event())


@contextmanager
def flood(it: Running, what: bytes, pause_s: float) -> Iterator[threading.Event]:
    """Sends this again and again, until sent away; yields what is set then."""
    ended, stops = threading.Event(), threading.Event()

    def send_on() -> None:
        with it.plug() as plug, suppress(OSError):
            while not stops.wait(pause_s):
                plug.sendall(what)
        ended.set()

    sending = threading.Thread(target=send_on)
    sending.start()
    try:
        yield ended
    finally:
        stops.set()
        sending.join(20)


@pytest.mark.parametrize(
    ("what", "pause_s"),
    [
        (SOUNDLESS, 0.01),
        (SOUNDLESS * 200, 0.0),
        (written(AudioChunk(RATE_HZ, 2, 1, bytes(2)).event()) * 200, 0.0),
        (SOUNDLESS + written(Event("ping")) * 200, 0.0),
    ],
    ids=["empty", "empty at once", "one sample each", "pings"],
)
def test_frames_without_sound_keep_no_place(what: bytes, pause_s: float) -> None:
    with running([None], replace(BRISK, idle_s=2.0)) as it, flood(it, what, pause_s) as ended:
        assert ended.wait(10)
        assert is_well(it)


def test_chunks_without_sound_cost_more_than_their_time() -> None:
    with running([None], replace(BRISK, idle_s=20.0)) as it, flood(it, SOUNDLESS, 0.01) as ended:
        assert ended.wait(10)


@pytest.mark.parametrize(
    "what",
    [SOUNDLESS, written(AudioStart(RATE_HZ, 2, 1).event()), b" ", b""],
    ids=["empty", "start", "header", "nothing"],
)
def test_who_brings_no_sound_does_not_keep_a_service_from_ending(what: bytes) -> None:
    """Its worker may hold what was forgotten."""
    limits = replace(BRISK, idle_s=30.0, ending_s=30.0, ending_idle_s=0.5)
    with running([None], limits) as it, it.plug() as talker, flood(it, what, 0.01):
        talker.sendall(written(AudioChunk(RATE_HZ, 2, 1, spoken(0)).event()))
        time.sleep(0.5)
        it.service.drain()
        assert it.ended.wait(5)


def test_who_speaks_while_a_service_ends_is_heard_to_the_end() -> None:
    async def talk(it: Running) -> list[Event]:
        async with it.client() as client:
            await begin(client)
            await send(client, spoken(0))
            await asyncio.sleep(0.5)
            it.service.drain()
            await send(client, spoken(1, seconds=1.2), pace_s=0.01)
            return await stop(client)

    with running([None], replace(BRISK, ending_idle_s=1.0 + lateness_s())) as it:
        assert text_of(asyncio.run(talk(it))) == " ".join(WORDS[:2])


def test_sound_without_end_has_one(tmp_path: Path) -> None:
    vault = make(tmp_path)

    pcm = spoken(0, 1, seconds=3)
    chunks = [AudioChunk(RATE_HZ, 2, 1, pcm[at : at + 3200]) for at in range(0, len(pcm), 3200)]
    with running([reopen(tmp_path)], replace(BRISK, sound_s=2.0)) as it:
        answer = exchange(it, b"".join(written(chunk.event()) for chunk in chunks))
        assert b"more than 2 s of sound" in answer
        assert b"transcript" not in answer
        assert is_well(it)
    cut = rows(vault)[1]
    assert cut.meta.truncated
    with acting(vault, clock):
        assert len(decode_audio(vault.read(cut.interaction, AUDIO))) <= 2 * RATE_HZ + 512
    assert cut.interaction not in disclosures(vault)


def test_too_many_at_once_are_told_so() -> None:
    async def crowd(it: Running) -> list[list[Event]]:
        async with it.client() as first:
            await begin(first)
            await send(first, spoken(0))
            talks = [dictate(it, spoken(1)) for _ in range(4)]
            found = await asyncio.gather(*talks)
            assert text_of(await stop(first)) == WORDS[0]
            return found

    with running([None], replace(BRISK, waiting=2, waiting_s=0.4)) as it:
        found = asyncio.run(crowd(it))
        assert is_well(it)
    assert [[event.type for event in events] for events in found] == [["error"]] * 4
    texts = [events[0].data["text"] for events in found]
    assert len([it for it in texts if "too many speak" in it]) == 2
    assert len([it for it in texts if "others are being heard" in it]) == 2


def test_who_does_not_read_is_not_waited_for(tmp_path: Path) -> None:
    make(tmp_path)
    ping = written(Event("ping", {"text": "x" * 900}))
    with running([reopen(tmp_path)], replace(BRISK, idle_s=0.5)) as it:
        before = resident()
        with it.plug() as plug:
            plug.settimeout(0.5)
            with suppress(OSError):
                for _ in range(40_000):
                    plug.sendall(ping)
            assert is_well(it)
            assert resident() - before < 32 * MEGABYTE
    assert it.failure is None


@pytest.fixture
def debugging(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Makes asyncio tell everything that it could ever tell."""
    monkeypatch.setenv("PYTHONASYNCIODEBUG", "1")
    make_loop = asyncio.BaseEventLoop.__init__

    def without_patience(self: asyncio.BaseEventLoop) -> None:
        make_loop(self)
        self.slow_callback_duration = 0.0

    monkeypatch.setattr(asyncio.BaseEventLoop, "__init__", without_patience)
    caplog.set_level(logging.DEBUG)


@pytest.fixture
def debugged(debugging: None, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001 - after it
    """Has the service itself run in asyncio's debug mode, as it never does."""
    run = asyncio.run
    monkeypatch.setattr(asyncio, "run", lambda it, **_: run(it))


def what_is_logged(
    base: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> str:
    """Has a talk in which all sorts of things happen; returns all that was logged and printed.

    What the client logs, in the main thread, is not the service's.
    """

    async def hang_up(it: Running) -> None:
        async with it.client() as client:
            await begin(client)
            await send(client, spoken(2, 3))

    vault = make(base)
    with running([reopen(base)]) as it:
        assert text_of(asyncio.run(dictate(it, spoken(0, 1, pause_s=1.2)))) == " ".join(WORDS[:2])
        exchange(it, written(Event("zanzibar", {"text": "marmalade"})) + b"xylophone\n")
        asyncio.run(hang_up(it))
        wait_until(lambda: len(rows(vault)) == 3)
    printed = capfd.readouterr()
    ours = [it.getMessage() for it in caplog.records if it.threadName != "MainThread"]
    return "\n".join([*ours, printed.out, printed.err, *it.told])


@pytest.mark.usefixtures("debugging")
def test_no_word_no_sound_and_no_address_is_in_any_log(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    for name, value in variables(tmp_path).items():
        monkeypatch.setenv(name, value)
    logged = what_is_logged(tmp_path, caplog, capfd)
    assert "a client was turned away" in logged
    assert "127.0.0.1" not in logged
    assert not [word for word in WORDS if word in logged.lower()]
    assert leaking(tmp_path) == []


@pytest.mark.usefixtures("debugged")
def test_in_debug_mode_addresses_would_be_in_the_log_but_still_no_word(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    logged = what_is_logged(tmp_path, caplog, capfd)
    assert "127.0.0.1" in logged
    assert "took 0." in logged
    assert not [word for word in WORDS if word in logged.lower()]


@pytest.mark.usefixtures("debugged")
def test_in_debug_mode_a_sound_that_shows_itself_would_be_in_the_log(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(Block, "__repr__", lambda self: f"Block({WORDS[0]}, {self.lost_ms})")
    assert WORDS[0] in what_is_logged(tmp_path, caplog, capfd)


def test_the_defaults_are_those_that_are_promised() -> None:
    assert (LINE_MAX, PAYLOAD_MAX, wyoming_frames.DATA_MAX) == (64 << 10, 1 << 20, 1 << 20)
    assert Limits().sound_s == 600
    assert wyoming_connection.Limits().idle_s == 30


def test_the_log_of_the_vault_names_nobody(tmp_path: Path) -> None:
    make(tmp_path)
    with running([reopen(tmp_path)]) as it:
        assert is_well(it)
    log = b"".join(data for path, data in real_files(tmp_path).items() if "log" in path.parts)
    assert b"home-assistant" in log
    assert b"127.0.0.1" not in log
