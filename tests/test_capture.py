"""Loss by the clock, devices by name, and a source that outlives its device; no sound system.

`Cards` stands in for the sound library: its streams do what a script says.
"""

import itertools
import random
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pipeline import devices as sound
from pipeline.capture import Back, Block, Event, Gone, LossGauge
from pipeline.errors import NoAudioDevice

RATE_HZ = 16_000
BLOCK = 512
BLOCK_S = BLOCK / RATE_HZ


def run(gauge: LossGauge, arrivals: list[tuple[float, int]]) -> int:
    return sum(gauge.arrived(at_s, samples) for at_s, samples in arrivals)


def steady(blocks: int, start_s: float = 0.0, drift: float = 0.0) -> list[tuple[float, int]]:
    return [(start_s + (n + 1) * BLOCK_S * (1 + drift), BLOCK) for n in range(blocks)]


def test_a_steady_stream_loses_nothing() -> None:
    assert run(LossGauge(RATE_HZ), steady(2000)) == 0


@pytest.mark.parametrize("drift", [-300e-6, 300e-6])
def test_a_card_whose_clock_is_not_ours_loses_nothing_in_an_hour(drift: float) -> None:
    assert run(LossGauge(RATE_HZ), steady(3600 * RATE_HZ // BLOCK, drift=drift)) == 0


def test_late_blocks_that_are_made_up_for_are_no_loss() -> None:
    chance = random.Random(3)
    late = [at_s + chance.random() * 0.1 for at_s, _ in steady(2000)]
    arrivals = [(at_s, BLOCK) for at_s in itertools.accumulate(late, max)]  # one after the other
    assert run(LossGauge(RATE_HZ), arrivals) == 0


@pytest.mark.parametrize("stall_s", [0.3, 2.0])
def test_a_stall_after_which_all_comes_at_once_is_no_loss(stall_s: float) -> None:
    until_s = 10 + stall_s
    arrivals = [(until_s if 10 < at_s < until_s else at_s, n) for at_s, n in steady(1000)]
    assert run(LossGauge(RATE_HZ), arrivals) == 0


@pytest.mark.parametrize("blocks", [4, 20, 60])
def test_blocks_that_never_come_are_found_by_the_clock(blocks: int) -> None:
    arrivals = steady(1000)
    del arrivals[400 : 400 + blocks]
    lost_ms = run(LossGauge(RATE_HZ), arrivals)
    assert lost_ms == pytest.approx(blocks * BLOCK_S * 1000, abs=10)


def test_a_loss_is_known_within_a_second() -> None:
    gauge, arrivals = LossGauge(RATE_HZ), steady(1000)
    assert run(gauge, arrivals[:400]) == 0
    assert run(gauge, arrivals[420 : 420 + int(1 / BLOCK_S)]) > 600


def test_loss_is_found_again_and_again() -> None:
    """A callback too slow for its blocks: two of three never come."""
    arrivals = [it for n, it in enumerate(steady(3000)) if n < 300 or n % 30 < 10]
    lost_ms = run(LossGauge(RATE_HZ), arrivals)
    assert lost_ms == pytest.approx(2700 * 2 / 3 * BLOCK_S * 1000, rel=0.05)


def test_what_was_dropped_here_is_not_found_twice() -> None:
    gauge, arrivals = LossGauge(RATE_HZ), steady(1000)
    run(gauge, arrivals[:400])
    gauge.dropped(50 * BLOCK)
    assert run(gauge, arrivals[450:]) == 0


def test_a_loss_that_the_system_reports_is_never_nothing() -> None:
    gauge, arrivals = LossGauge(RATE_HZ), steady(200)
    run(gauge, arrivals[:100])
    gauge.flag()
    assert run(gauge, arrivals[100:]) == 1


class Broken(Exception):
    """What the library raises, like `PortAudioError`."""


class Cards:
    """The sound library with these devices; `scripts` is what each opened stream does in turn."""

    PortAudioError = Broken

    def __init__(self, *names: str, rate_hz: int = RATE_HZ) -> None:
        self.rows = [
            {
                "index": n,
                "name": name,
                "max_input_channels": 2 if "out" not in name else 0,
                "default_samplerate": float(rate_hz),
            }
            for n, name in enumerate(names)
        ]
        self.default = SimpleNamespace(device=[0, 0])
        self.rate_hz = rate_hz
        self.scripts: list[Callable[[Stream], None]] = []
        self.opened: list[Stream] = []
        self.restarts = 0

    def query_devices(self, kind: str | None = None) -> Any:  # noqa: ANN401 - as the library
        return self.rows[0] if kind else self.rows

    def check_input_settings(self, *_: object, samplerate: int) -> None:
        if samplerate != self.rate_hz:
            raise Broken("invalid sample rate")

    def RawInputStream(self, **how: Any) -> "Stream":  # noqa: ANN401, N802 - as the library
        if not self.scripts:
            raise Broken("device unavailable")
        self.opened.append(Stream(how, self.scripts.pop(0)))
        return self.opened[-1]

    def _terminate(self) -> None:
        self.restarts += 1

    def _initialize(self) -> None:
        pass


class Stream:
    """A stream whose callback is called by its script, in a thread of its own."""

    def __init__(self, how: dict[str, Any], script: Callable[["Stream"], None]) -> None:
        self.how, self._script = how, script
        self.closed = threading.Event()

    def start(self) -> None:
        threading.Thread(target=self._script, args=(self,), daemon=True).start()

    def bring(self, pcm: "np.ndarray[Any, Any]", *, overflow: bool = False) -> None:
        self.how["callback"](
            pcm.tobytes(), len(pcm), None, SimpleNamespace(input_overflow=overflow)
        )

    def abort(self) -> None:
        pass

    def close(self) -> None:
        self.closed.set()


def cards(monkeypatch: pytest.MonkeyPatch, *names: str, rate_hz: int = RATE_HZ) -> Cards:
    it = Cards(*names, rate_hz=rate_hz)
    monkeypatch.setattr(sound, "_sound_system", lambda: it)
    monkeypatch.setattr(sound, "_BACK_OFF_S", (0.01, 0.02))
    return it


def brings(number: int, value: int = 1, *, then_ends: bool = False) -> Callable[[Stream], None]:
    def script(stream: Stream) -> None:
        for _ in range(number):
            stream.bring(np.full(stream.how["blocksize"] * stream.how["channels"], value, np.int16))
        if then_ends:
            stream.how["finished_callback"]()

    return script


def take(microphone: sound.Microphone, stop: threading.Event, blocks: int) -> list[Event]:
    found: list[Event] = []
    for event in microphone.events():
        found.append(event)
        if sum(isinstance(it, Block) for it in found) >= blocks:
            stop.set()
    return found


def test_a_device_is_found_by_its_name_or_the_only_one_with_it_in_its_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    it = cards(monkeypatch, "hub", "USB mic", "USB mic pro", "out only")
    for wanted, index in ((None, 0), ("USB mic", 1), ("PRO", 2), ("hub", 0)):
        stop = threading.Event()
        it.scripts = [brings(1)]
        take(sound.Microphone(wanted, stop), stop, 1)
        assert it.opened[-1].how["device"] == index
    for wanted, why in (("usb", "more than one"), ("out", "no microphone"), ("x", "no microphone")):
        with pytest.raises(NoAudioDevice, match=why):
            list(sound.Microphone(wanted).events())


def test_no_device_and_no_answer_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    cards(monkeypatch)
    with pytest.raises(NoAudioDevice, match="no microphone was found"):
        list(sound.Microphone().events())
    cards(monkeypatch, "hub")
    with pytest.raises(NoAudioDevice, match="could not be opened"):
        list(sound.Microphone().events())


def test_devices_are_listed_without_those_that_only_play(monkeypatch: pytest.MonkeyPatch) -> None:
    cards(monkeypatch, "hub", "out only", "USB mic")
    assert [(it.name, it.is_default) for it in sound.devices()] == [
        ("hub", True),
        ("USB mic", False),
    ]


def test_another_rate_is_converted(monkeypatch: pytest.MonkeyPatch) -> None:
    it, stop = cards(monkeypatch, "hub", rate_hz=48_000), threading.Event()
    it.scripts = [brings(100, 1000)]
    pcm = np.concatenate(
        [e.pcm for e in take(sound.Microphone(None, stop), stop, 100) if isinstance(e, Block)]
    )
    assert it.opened[0].how["samplerate"] == 48_000
    assert len(pcm) == pytest.approx(100 * 0.032 * RATE_HZ, rel=0.05)
    assert abs(int(np.median(pcm)) - 1000) < 10


def test_a_stream_that_ends_is_opened_again(monkeypatch: pytest.MonkeyPatch) -> None:
    it, stop = cards(monkeypatch, "hub"), threading.Event()
    it.scripts = [brings(3, then_ends=True), brings(2)]
    found = take(sound.Microphone(None, stop), stop, 5)
    kinds = [type(event) for event in found]
    assert kinds == [Block, Block, Block, Gone, Back, Block, Block]
    assert it.restarts == 1
    assert it.opened[0].closed.wait(1)
    assert it.opened[1].closed.wait(1)


def test_a_device_that_stays_away_is_tried_until_it_is_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    it, stop = cards(monkeypatch, "hub"), threading.Event()
    it.scripts = [brings(1, then_ends=True)]
    threading.Timer(0.3, lambda: it.scripts.append(brings(1))).start()
    found = take(sound.Microphone(None, stop), stop, 2)
    assert [type(event) for event in found] == [Block, Gone, Back, Block]
    assert it.restarts > 3


def test_waiting_for_a_device_can_be_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    it, stop = cards(monkeypatch, "hub"), threading.Event()
    it.scripts = [brings(1, then_ends=True)]
    threading.Timer(0.2, stop.set).start()
    assert [type(event) for event in sound.Microphone(None, stop).events()] == [Block, Gone]


def test_a_silent_stream_is_noticed_within_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """As when the callback has failed: nothing ends, and nothing comes any more."""
    it, stop = cards(monkeypatch, "hub"), threading.Event()
    it.scripts = [brings(2), brings(1)]
    monkeypatch.setattr(sound, "_SILENT_S", 0.2)
    found = take(sound.Microphone(None, stop), stop, 3)
    assert [type(event) for event in found] == [Block, Block, Gone, Back, Block]


def test_muted_means_that_the_device_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    it, stop, muted = cards(monkeypatch, "hub"), threading.Event(), threading.Event()
    it.scripts = [brings(1), brings(1)]
    found: list[Event] = []
    for event in sound.Microphone(None, stop, muted).events():
        found.append(event)
        if isinstance(event, Gone):
            assert it.opened[0].closed.is_set()
            assert "muted" in event.reason
            muted.clear()
        elif len(found) == 1:
            muted.set()
        elif isinstance(event, Block):
            stop.set()
    assert [type(event) for event in found] == [Block, Gone, Back, Block]


def test_a_full_queue_drops_and_says_how_much(monkeypatch: pytest.MonkeyPatch) -> None:
    it, stop = cards(monkeypatch, "hub"), threading.Event()
    monkeypatch.setattr(sound, "_QUEUE_S", 10 * BLOCK_S)
    full = threading.Event()

    def script(stream: Stream) -> None:
        brings(30)(stream)
        full.set()
        while not stop.wait(0.01):
            brings(1)(stream)

    it.scripts = [script]
    found: list[Block] = []
    for event in sound.Microphone(None, stop).events():
        assert isinstance(event, Block)
        assert full.wait(5)
        found.append(event)
        if event.lost_ms:
            stop.set()
    kept = len(found) - 1
    assert 10 <= kept <= 11
    assert found[-1].lost_ms >= 32 * (30 - kept)


def test_a_block_shows_no_samples() -> None:
    assert "redacted" in repr(Block(np.full(5, 12345, np.int16)))
    assert "12345" not in repr(Block(np.full(5, 12345, np.int16)))
