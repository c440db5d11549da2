"""Make the sample recordings of the household story, the same bytes every time.

It promises: one sound file and one text of the same name for each line of `SAMPLES`; the text is
what is spoken, lower case and without punctuation, one line an utterance, so that a word error
rate can be counted against it directly. It needs Debian's `flite` (2.2) and refuses to write
anything when that is missing. Everything after the voice is integer arithmetic, so that no
processor or library version changes a sample. Change a sentence only together with the word
error rate in `samples/README.md`.
"""

import argparse
import random
import shutil
import subprocess
import sys
import tempfile
import wave
from array import array
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import soundfile

Samples: TypeAlias = "array[int]"
"""16-bit samples; quoted because Python 3.11 cannot subscript the class."""

RATE_HZ = 16_000
"""The rate of the flite voices used, and of recognition."""

STEREO_RATE_HZ = 44_100
LEAD_MS, TAIL_MS, PAUSE_MS = 300, 500, 1_300
"""Silence before, after and between utterances; flite adds some of its own at each end."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One file to make: who speaks, what, and how it is written."""

    name: str
    voice: str
    utterances: tuple[str, ...]

    @property
    def text(self) -> str:
        """The words alone, one utterance a line, as a recogniser should give them."""
        return "".join(f"{plain(each)}\n" for each in self.utterances)


SAMPLES = (
    Sample("01-timer.wav", "rms", ("Set a timer for ten minutes.",)),
    Sample("02-alarm.wav", "slt", ("Wake me up at half past six tomorrow morning.",)),
    Sample(
        "03-anniversary.wav", "rms", ("Remind me to buy flowers for our anniversary on Friday.",)
    ),
    Sample(
        "04-meeting.wav",
        "rms",
        ("Put a meeting with the school on Monday at nine in the morning.",),
    ),
    Sample(
        "05-message.wav",
        "slt",
        ("Send a message to my friend Robert, we will be late for dinner.",),
    ),
    Sample("06-pizza.wav", "awb", ("Order a large pizza with mushrooms and extra cheese.",)),
    Sample("07-ride.wav", "rms", ("I need a ride to the airport at four in the afternoon.",)),
    Sample(
        "08-blood-pressure.wav",
        "awb",
        ("The doctor said that my blood pressure is too high again.",),
    ),
    Sample("09-bedtime.wav", "slt", ("Can I have one more story before I go to bed?",)),
    Sample("10-moon.wav", "slt", ("Why does the moon follow us when we drive home?",)),
    Sample("11-snow.wav", "awb", ("Did you see the snow on the mountains this morning?",)),
    Sample(
        "12-sister.wav",
        "rms",
        ("My sister called last night and they are moving to a new house in the spring.",),
    ),
    Sample("13-delete-that.wav", "slt", ("Delete what I just said.",)),
    Sample(
        "two-utterances.wav",
        "slt",
        (
            "What is the weather going to be like tomorrow?",
            "Add milk and bread to the shopping list.",
        ),
    ),
    Sample("stereo-44100.wav", "awb", ("Turn on the light in the kitchen.",)),
    Sample("music.flac", "awb", ("Play some quiet music in the living room.",)),
    Sample("noise.wav", "", ()),
)


def make(directory: Path, speak: Callable[[str, str], Samples]) -> list[Path]:
    """Writes every sample and its text below `directory` and returns the sound files.

    `speak` takes a voice and a sentence and gives 16-bit mono samples at `RATE_HZ`.
    """
    return [_write(directory / sample.name, sample, speak) for sample in SAMPLES]


def plain(sentence: str) -> str:
    """Returns `sentence` in lower case without punctuation."""
    return "".join(c for c in sentence.lower() if c.isalnum() or c == " ")


def flite(voice: str, sentence: str) -> Samples:
    """Speaks `sentence` with a voice of flite: 16-bit mono samples at `RATE_HZ`."""
    with tempfile.TemporaryDirectory() as scratch:
        spoken = Path(scratch, "spoken.wav")
        subprocess.run(["flite", "-voice", voice, "-t", sentence, "-o", str(spoken)], check=True)
        with wave.open(str(spoken)) as source:
            return _from_little_endian(source.readframes(source.getnframes()))


def noise(seconds: int = 4, loudness: int = 900) -> Samples:
    """Returns the hiss of a fan with nobody speaking; the same samples every time.

    A mean over eight draws takes the edge off white noise. `random.random` is the one
    generator whose sequence Python promises to keep for a seed.
    """
    draw = random.Random(2019)
    white = [int((draw.random() * 2 - 1) * loudness) for _ in range(seconds * RATE_HZ + 8)]
    return array("h", (sum(white[i : i + 8]) // 8 for i in range(seconds * RATE_HZ)))


def to_stereo(mono: Samples) -> Samples:
    """Returns `mono` at 44.1 kHz in two channels, as two microphones hear one speaker.

    The right one is at half the level and 1 ms later. Straight lines between samples, in
    integers: exact everywhere, and good enough for speech that is brought back to 16 kHz.
    """
    step, unit = RATE_HZ // 100, STEREO_RATE_HZ // 100
    left = array("h")
    for i in range((len(mono) - 1) * unit // step):
        at, rest = divmod(i * step, unit)
        left.append((mono[at] * (unit - rest) + mono[at + 1] * rest) // unit)
    late = array("h", bytes(2 * (STEREO_RATE_HZ // 1000))) + left
    return array("h", (s for a, b in zip(left, late, strict=False) for s in (a, b // 2)))


def _write(path: Path, sample: Sample, speak: Callable[[str, str], Samples]) -> Path:
    path.with_suffix(".txt").write_text(sample.text, encoding="ascii", newline="\n")
    mono = _conversation(sample, speak) if sample.utterances else noise()
    if path.suffix == ".flac":
        soundfile.write(path, memoryview(mono), RATE_HZ, subtype="PCM_16")
    elif path.stem.startswith("stereo"):
        _write_wav(path, to_stereo(mono), STEREO_RATE_HZ, channels=2)
    else:
        _write_wav(path, mono, RATE_HZ, channels=1)
    return path


def _conversation(sample: Sample, speak: Callable[[str, str], Samples]) -> Samples:
    samples = _silence(LEAD_MS)
    for number, sentence in enumerate(sample.utterances):
        samples += _silence(PAUSE_MS if number else 0) + speak(sample.voice, sentence)
    return samples + _silence(TAIL_MS)


def _silence(length_ms: int) -> Samples:
    return array("h", bytes(2 * RATE_HZ * length_ms // 1000))


def _write_wav(path: Path, samples: Samples, rate_hz: int, *, channels: int) -> None:
    with wave.open(str(path), "wb") as target:
        target.setnchannels(channels)
        target.setsampwidth(2)
        target.setframerate(rate_hz)
        target.writeframes(_from_little_endian(samples.tobytes()).tobytes())


def _from_little_endian(pcm: bytes) -> Samples:
    samples = array("h", pcm)
    if sys.byteorder == "big":
        samples.byteswap()
    return samples


def main() -> int:
    """Makes the samples beside this script, or in the directory given with `--out`."""
    options = argparse.ArgumentParser(description="Make the sample recordings with flite.")
    options.add_argument("--out", type=Path, default=Path(__file__).parent, metavar="DIR")
    directory: Path = options.parse_args().out
    if shutil.which("flite") is None:
        print("samples: flite is not installed; apt-get install flite", file=sys.stderr)
        return 1
    made = make(directory, flite)
    print(f"samples: {len(made)} in {directory}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
