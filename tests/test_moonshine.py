"""Moonshine: its errors beside Vosk's, what it knows of words, and that it asks no network."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline import models
from pipeline.errors import NoModel
from pipeline.hear import hear_all
from pipeline.model import RATE_HZ, Heard, plain
from pipeline.moonshine import Moonshine, spread
from pipeline.recognise import Loaded, Stopped, load
from pipeline.recognisers import Recognisers
from tests.test_recognise import error_rate, samples, sound

ROOT = Path(__file__).parent.parent
NAME = "moonshine-tiny-en"
_INSTALLED = any(found.model.name == NAME for found in models.installed())
needs_moonshine = pytest.mark.skipif(not _INSTALLED, reason="the extra `moonshine` is missing")
pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def moonshine() -> Loaded:
    return load(models.find(NAME))


def heard(recogniser: Loaded, path: Path) -> str:
    return " ".join(plain(word.word) for word in recogniser.recognise(sound(path)))


def measured(name: str, recogniser: Loaded, paths: list[Path]) -> float:
    """Returns the word error rate, and prints it with the share of real time and of a core."""
    seconds = sum(len(sound(path)) for path in paths) / RATE_HZ
    started, busy = time.perf_counter(), time.process_time()
    texts = [heard(recogniser, path) for path in paths]
    took_s, busy_s = time.perf_counter() - started, time.process_time() - busy
    print(f"\n{name}: {took_s / seconds:.1%} of real time, {busy_s / seconds:.1%} of a core")
    expected = [path.with_suffix(".txt").read_text() for path in paths]
    return error_rate(name, list(zip(expected, texts, strict=True)))


@needs_moonshine
def test_its_errors_on_the_samples_beside_those_of_vosk(moonshine: Loaded) -> None:
    paths = [path for path in samples() if path.with_suffix(".txt").read_text().strip()]
    assert len(paths) >= 13
    assert measured(NAME, moonshine, paths) < 0.08
    assert measured("vosk", load(models.find(None)), paths) < 0.05


@needs_moonshine
def test_it_writes_punctuation_and_casing_and_claims_no_confidence(moonshine: Loaded) -> None:
    words = moonshine.recognise(sound(ROOT / "samples" / "05-message.wav"))
    assert words[0].word == "Send"
    assert words[-1].word.endswith(".")
    assert {word.confidence for word in words} == {None}


@needs_moonshine
def test_times_are_in_order_and_within_the_utterance(moonshine: Loaded) -> None:
    pcm = sound(ROOT / "samples" / "05-message.wav")
    times = [t for word in moonshine.recognise(pcm) for t in (word.start_ms, word.end_ms)]
    assert times == sorted(times)
    assert 0 <= times[0] < times[-1] <= len(pcm) * 1000 // RATE_HZ + 1


def test_words_share_the_time_by_their_lengths() -> None:
    words = spread(["a", "long", "b."], 1.0, 1.0)
    assert [(w.start_ms, w.end_ms) for w in words] == [(1000, 1200), (1200, 1700), (1700, 2000)]
    assert spread([], 0.0, 1.0) == ()


@needs_moonshine
def test_live_it_hears_what_it_hears_at_once(moonshine: Loaded) -> None:
    pcm = sound(ROOT / "samples" / "05-message.wav")
    at_once = moonshine.recognise(pcm)
    partials: list[str] = []
    for chunk in np.array_split(pcm, len(pcm) // 512):
        moonshine.take(chunk)
        if (now := moonshine.so_far()) not in partials:
            partials.append(now)
    assert len(partials) >= 4
    assert any("message" in text for text in partials[:-1])
    assert moonshine.finish() == at_once
    assert moonshine.so_far() == ""
    moonshine.take(pcm)
    moonshine.abandon()
    assert moonshine.finish() == ()


@needs_moonshine
def test_hearing_all_again_as_it_grows_costs_a_few_times_the_whole(
    moonshine: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard_samples: list[int] = []

    def count(pcm: NDArray[np.int16]) -> tuple[()]:
        heard_samples.append(len(pcm))
        return ()

    monkeypatch.setattr(moonshine, "_words", count)
    for _ in range(30 * RATE_HZ // 512):
        moonshine.take(np.ones(512, np.int16))
        moonshine.so_far()
    assert sum(heard_samples) < 5 * 30 * RATE_HZ
    moonshine.abandon()


@needs_moonshine
def test_silence_and_nothing_have_no_words(moonshine: Loaded) -> None:
    faint: NDArray[np.int16] = np.tile(np.array([15, -15], np.int16), RATE_HZ)
    for pcm in (np.zeros(0, np.int16), np.zeros(RATE_HZ, np.int16), faint):
        assert moonshine.recognise(pcm) == ()


@needs_moonshine
def test_once_stopped_it_recognises_nothing() -> None:
    stopped = load(models.find(NAME))
    stopped.stop()
    with pytest.raises(Stopped):
        stopped.recognise(sound(samples()[0]))


@needs_moonshine
def test_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    load(models.find(NAME)).recognise(sound(samples()[0]), lambda _: None)
    assert capfd.readouterr() == ("", "")


@needs_moonshine
@pytest.mark.parametrize("name", ["encoder_model.ort", "decoder_model_merged.ort", "tokenizer.bin"])
def test_a_damaged_model_is_refused_without_a_sound(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], name: str
) -> None:
    for path in models.find(NAME).iterdir():
        data = path.read_bytes()
        (tmp_path / path.name).write_bytes(data[: len(data) // 3] if path.name == name else data)
    with pytest.raises(NoModel):
        Moonshine(tmp_path)
    assert capfd.readouterr() == ("", "")


ALONE = """
import ctypes, struct, sys
def forbid_the_network():
    # A filter of the kernel's: whoever connects or sends is ended, however it goes about it.
    CONNECT, SENDTO, SENDMSG, ALLOW, KILL = 42, 44, 46, 0x7FFF0000, 0x80000000
    code = b"".join(struct.pack("=HBBI", *it) for it in (
        (0x20, 0, 0, 0), (0x15, 3, 0, CONNECT), (0x15, 2, 0, SENDTO), (0x15, 1, 0, SENDMSG),
        (0x06, 0, 0, ALLOW), (0x06, 0, 0, KILL)))
    rules = ctypes.create_string_buffer(code, len(code))
    program = ctypes.create_string_buffer(struct.pack("=H6xQ", 6, ctypes.addressof(rules)), 16)
    libc = ctypes.CDLL(None)
    assert libc.prctl(38, 1, 0, 0, 0) == 0
    assert libc.prctl(22, 2, program, 0, 0) == 0
forbid_the_network()
if sys.argv[1] == "control":
    import socket
    socket.socket().connect(("127.0.0.1", 9))
from pipeline.recognise import load
from pipeline import models
import soundfile
recogniser = load(models.find("moonshine-tiny-en"))
pcm = soundfile.read(sys.argv[2], dtype="int16")[0]
print(" ".join(word.word for word in recogniser.recognise(pcm)))
"""


@needs_moonshine
@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the filter is for x86-64")
@pytest.mark.parametrize(("how", "ends"), [("as it is", 0), ("control", -31)])
def test_to_connect_would_be_the_end_of_it_and_it_connects_to_nothing(how: str, ends: int) -> None:
    sample = ROOT / "samples" / "05-message.wav"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", ALONE, how, str(sample)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == ends, done.stderr
    assert ("message to my friend" in done.stdout) is (ends == 0)


@needs_moonshine
def test_several_at_once_hear_what_one_hears() -> None:
    paths, texts = samples()[:3], []
    for jobs in (1, 2):
        with Recognisers(models.find(NAME), jobs) as recognisers:
            events = hear_all(paths, recognisers)
            texts.append([event.text for _, event in events if isinstance(event, Heard)])
    assert len(texts[0]) == 3
    assert texts[0] == texts[1]
