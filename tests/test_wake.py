"""The real detectors of wake words, on speech made here: each wakes on its word, and no other."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import soxr
from numpy.typing import NDArray

from pipeline import wake
from pipeline.errors import Refused
from pipeline.model import RATE_HZ
from pipeline.segment import CHUNK_SAMPLES
from pipeline.wake import Offers, WakeWord, wake_word

SAMPLES = Path(__file__).parent.parent / "samples"
MICRO, OPEN = ("pymicro_wakeword", "micro"), ("pyopen_wakeword", "open_source")


def offered(package: tuple[str, str]) -> Offers:
    pytest.importorskip(package[0], reason="its extra is not installed")
    offers: Offers = getattr(wake, package[1])()
    return offers


def wakes(heard: WakeWord, pcm: NDArray[np.int16]) -> int:
    """Returns how many chunks say that the word was said."""
    padded = np.concatenate([np.zeros(RATE_HZ, np.int16), pcm, np.zeros(RATE_HZ, np.int16)])
    whole = len(padded) - len(padded) % CHUNK_SAMPLES
    return sum(heard(chunk) for chunk in padded[:whole].reshape(-1, CHUNK_SAMPLES))


def spoken(text: str, folder: Path, voice: str) -> NDArray[np.int16]:
    if not shutil.which("flite"):
        pytest.skip("flite, which speaks the wake word, is not installed")
    path = folder / "spoken.wav"
    subprocess.run(["flite", "-voice", voice, "-t", text, "-o", path], check=True)
    pcm, rate_hz = sf.read(path, dtype="int16")
    return np.asarray(soxr.resample(pcm, rate_hz, RATE_HZ), np.int16)


@pytest.mark.parametrize(
    ("package", "word"),
    [
        (MICRO, "hey jarvis"),
        (MICRO, "okay nabu"),
        (OPEN, "hey jarvis"),
        (OPEN, "hey rhasspy"),
    ],
)
def test_it_wakes_on_its_word(package: tuple[str, str], word: str, tmp_path: Path) -> None:
    make = offered(package)[word]
    assert any(wakes(make(), spoken(word, tmp_path, voice)) for voice in ("slt", "rms", "awb"))


@pytest.mark.parametrize("package", [MICRO, OPEN])
@pytest.mark.parametrize("sample", ["01-timer", "06-pizza", "10-moon", "noise"])
def test_it_sleeps_through_other_speech(package: tuple[str, str], sample: str) -> None:
    heard = offered(package)["hey jarvis"]()
    assert wakes(heard, sf.read(SAMPLES / f"{sample}.wav", dtype="int16")[0]) == 0


def test_the_lighter_package_hears_what_both_have(monkeypatch: pytest.MonkeyPatch) -> None:
    def a_word(_: NDArray[np.int16]) -> bool:
        return True

    def another(_: NDArray[np.int16]) -> bool:
        return False

    light: Offers = {"both": lambda: a_word}
    heavy: Offers = {"both": lambda: another, "one": lambda: another}
    monkeypatch.setattr(wake, "_PACKAGES", {"a": lambda: light, "b": lambda: heavy})
    assert wake_word("Both") is a_word
    assert wake_word("ONE") is another
    with pytest.raises(Refused, match=r"expected one of both, one; found 'three'$"):
        wake_word("three")


def missing() -> Offers:
    raise ImportError


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    some: Offers = {"a word": lambda: lambda _: True}
    monkeypatch.setattr(wake, "_PACKAGES", {"a": lambda: some, "b": missing})
    with pytest.raises(Refused, match=r"a word; found 'hey'.*anechoic\[b\]"):
        wake_word("hey")
    monkeypatch.setattr(wake, "_PACKAGES", {"a": missing, "b": missing})
    with pytest.raises(Refused, match=r"anechoic\[a,b\]"):
        wake_word("a word")


def test_words_are_found_however_they_are_written() -> None:
    offered(MICRO)
    assert wakes(wake_word("Hey_Jarvis"), np.zeros(RATE_HZ, np.int16)) == 0
    with pytest.raises(Refused, match="hey jarvis"):
        wake_word("open sesame")
