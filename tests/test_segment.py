"""The segmenter, against made-up probabilities: what it keeps, how much, and in which order."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.errors import Refused
from pipeline.model import RATE_HZ, Utterance
from pipeline.segment import CHUNK_MS, CHUNK_SAMPLES, Endpointing, Segmenter

SHORT = Endpointing(
    pre_roll_ms=96, hang_over_ms=160, minimum_ms=64, maximum_ms=1600, cut_window_ms=320
)
RUNS = st.lists(
    st.tuples(st.sampled_from([0.0, 0.2, 0.4, 0.45, 0.6, 1.0]), st.integers(1, 30)), max_size=12
)


def numbered(index: int) -> NDArray[np.int16]:
    return np.full(CHUNK_SAMPLES, index, np.int16)


def cut(probabilities: list[float], endpointing: Endpointing = SHORT) -> list[Utterance]:
    segmenter = Segmenter(endpointing)
    found = [segmenter.feed(numbered(i), p) for i, p in enumerate(probabilities)]
    return [utterance for utterance in [*found, segmenter.flush()] if utterance]


def numbers(utterance: Utterance) -> list[int]:
    return [int(n) for n in utterance.pcm[::CHUNK_SAMPLES]]


def spoken(probabilities: list[float], endpointing: Endpointing) -> list[tuple[int, int]]:
    """Say from which to which chunk somebody speaks, hysteresis and hang-over considered."""
    quiet_enough = -(-endpointing.hang_over_ms // CHUNK_MS)
    spans: list[tuple[int, int]] = []
    start, last = -1, -1
    for i, p in enumerate([*probabilities, *[0.0] * quiet_enough]):
        if start < 0 and p >= endpointing.start:
            start = last = i
        elif start >= 0 and p >= endpointing.end:
            last = i
        elif start >= 0 and i - last >= quiet_enough:
            spans.append((start, last))
            start = -1
    return spans


def test_silence_gives_nothing() -> None:
    assert cut([0.0] * 200) == []


def test_speech_with_pre_roll_and_half_the_hang_over() -> None:
    (utterance,) = cut([0.0] * 10 + [0.9] * 20 + [0.0] * 20)
    assert numbers(utterance) == list(range(7, 33))  # 3 before; 5 of silence, less 2 for the next
    assert utterance.start_ms == 7 * CHUNK_MS
    assert utterance.duration_ms == 26 * CHUNK_MS


def test_a_pause_shorter_than_the_hang_over_does_not_end_it() -> None:
    assert len(cut([0.9] * 10 + [0.0] * 4 + [0.9] * 10 + [0.0] * 9)) == 1
    assert len(cut([0.9] * 10 + [0.0] * 5 + [0.9] * 10 + [0.0] * 9)) == 2


def test_hysteresis_goes_on_below_start_and_begins_only_at_it() -> None:
    assert cut([0.45] * 50) == []
    (utterance,) = cut([0.5] + [0.4] * 20 + [0.0] * 10)
    assert utterance.duration_ms >= 21 * CHUNK_MS


def test_a_click_is_dropped_and_what_follows_keeps_its_pre_roll() -> None:
    assert cut([0.0] * 5 + [0.9] + [0.0] * 20) == []
    (utterance,) = cut([0.9] + [0.0] * 5 + [0.9] * 8 + [0.0] * 8)
    assert numbers(utterance)[0] == 4


def test_speech_up_to_the_end_of_the_source_is_flushed() -> None:
    (utterance,) = cut([0.0] * 3 + [0.9] * 9)
    assert numbers(utterance) == list(range(12))


def test_a_long_utterance_is_cut_at_its_quietest_place() -> None:
    probabilities = [0.9] * 100
    probabilities[43:48] = [0.4] * 5  # within the last 10 of the first 50
    first, *rest = cut(probabilities + [0.0] * 9)
    assert numbers(first) == list(range(45))
    assert numbers(rest[0])[0] == 45


def test_what_is_left_after_a_cut_is_never_dropped_as_too_short() -> None:
    kept = [n for u in cut([0.9] * 50) for n in numbers(u)]
    assert kept == list(range(50))


@given(RUNS)
@example([(0.4, 1), (0.6, 1)])  # pre-roll that sounds like speech does not make it long enough
def test_every_spoken_chunk_is_in_exactly_one_utterance(runs: list[tuple[float, int]]) -> None:
    probabilities = [p for p, n in runs for _ in range(n)]
    found = cut(probabilities)
    kept = [n for utterance in found for n in numbers(utterance)]
    assert kept == sorted(set(kept))  # in order, none twice
    for utterance in found:
        mine = numbers(utterance)
        assert mine == list(range(mine[0], mine[0] + len(mine)))  # contiguous
        assert utterance.start_ms == mine[0] * CHUNK_MS
        assert len(utterance.pcm) * 1000 // RATE_HZ <= SHORT.maximum_ms
    for start, last in spoken(probabilities, SHORT):
        voiced = sum(p >= SHORT.end for p in probabilities[start : last + 1])
        inside = set(range(start, last + 1)) & set(kept)
        if voiced * CHUNK_MS >= SHORT.minimum_ms:
            assert len(inside) == last + 1 - start
        else:
            assert not inside


@given(RUNS)
def test_memory_is_bounded(runs: list[tuple[float, int]]) -> None:
    segmenter = Segmenter(SHORT)
    for p, n in runs:
        for _ in range(n * 5):
            segmenter.feed(numbered(0), p)
            held = len(segmenter._kept) + len(segmenter._before)
            assert held * CHUNK_MS <= SHORT.maximum_ms + SHORT.pre_roll_ms


def test_no_repr_shows_sound() -> None:
    (utterance,) = cut([0.9] * 9)
    assert "array" not in repr(utterance)


def test_a_chunk_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="512"):
        Segmenter().feed(np.zeros(511, np.int16), 0.0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"start": 0.3, "end": 0.5},
        {"end": 0.0},
        {"start": 1.5},
        {"pre_roll_ms": -1},
        {"hang_over_ms": 0},
        {"maximum_ms": 5_500},
        {"cut_window_ms": 32},
    ],
)
def test_contradicting_values_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(Refused, match="endpointing"):
        Endpointing(**wrong)  # type: ignore[arg-type]
