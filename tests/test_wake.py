"""The wake word's real detector, on speech made here: it wakes on its word, and on no other."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import soxr
from numpy.typing import NDArray

from pipeline.errors import Refused
from pipeline.model import RATE_HZ
from pipeline.segment import CHUNK_SAMPLES
from pipeline.wake import wake_word

pytest.importorskip("pymicro_wakeword", reason="the extra `wake` is not installed")
SAMPLES = Path(__file__).parent.parent / "samples"


def wakes(word: str, pcm: NDArray[np.int16]) -> int:
    """Returns how many chunks say that the word was said."""
    heard = wake_word(word)
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


@pytest.mark.parametrize("word", ["hey jarvis", "Okay Nabu"])
def test_it_wakes_on_its_word(word: str, tmp_path: Path) -> None:
    assert any(wakes(word, spoken(word, tmp_path, voice)) for voice in ("slt", "rms", "awb"))


@pytest.mark.parametrize("sample", ["01-timer", "06-pizza", "10-moon", "noise"])
def test_it_sleeps_through_other_speech(sample: str) -> None:
    assert wakes("hey jarvis", sf.read(SAMPLES / f"{sample}.wav", dtype="int16")[0]) == 0


def test_a_word_without_a_model_is_refused() -> None:
    with pytest.raises(Refused, match="hey jarvis"):
        wake_word("open sesame")
