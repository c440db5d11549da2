"""Listening at a virtual microphone beside a minimal script of sounddevice and Vosk, in one run.

Run: `.venv/bin/python -m tests.bench.listen [SECONDS OF SILENCE] [--noise]`. Both hear the same
sound at the same time, with the same model. Ours also watches for a voice, seals every second and
makes it an interaction; the other keeps nothing. The delays count from when a word, or the last
loud sample, has left the player; half a second of them is how long both wait before they take it
for an end. With `--noise` silence is that of a room.

`--minutes N [--load]` listens for so long to a sentence now and then, with as many busy processes
as there are cores, and counts what was lost: as it is told, and by the samples and the clock.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from threading import Thread
from typing import Any

import numpy as np
import soundfile as sf

from pipeline import models
from pipeline.model import RATE_HZ
from pipeline.recognise import Vosk
from tests.microphone import VirtualMicrophone, virtual_microphone

ROOT = Path(__file__).parents[2]
SAMPLES = sorted((ROOT / "samples").glob("[01]*.wav"))[:6]
_TICK = os.sysconf("SC_CLK_TCK")

BARE = """
import json, queue, sys, time
import sounddevice, vosk
vosk.SetLogLevel(-1)
kaldi = vosk.KaldiRecognizer(vosk.Model(sys.argv[1]), 16000)
blocks = queue.Queue()
def say(what, text=""):
    print(json.dumps([time.monotonic(), what, text]), flush=True)
def copy(data, frames, at, status):
    blocks.put(bytes(data))
shown = ""
with sounddevice.RawInputStream(
    samplerate=16000, channels=1, dtype="int16", blocksize=2048, callback=copy
):
    say("ready")
    while True:
        if kaldi.AcceptWaveform(blocks.get()):
            if text := json.loads(kaldi.Result())["text"]:
                say("final", text)
        elif (now := json.loads(kaldi.PartialResult())["partial"]) != shown:
            shown = now
            say("partial", now)
"""

OURS = """
import json, sys, time
from pathlib import Path
from pipeline.devices import Microphone
from pipeline.heard import Partial, Said, Sound
from pipeline.listen import Request, listen
from pipeline.recognise import Vosk
from pipeline.safekeeping import InVault
from pipeline.session import create_vault
from pipeline.voice import Voice
def say(what, text=""):
    print(json.dumps([time.monotonic(), what, text]), flush=True)
recogniser = Vosk(Path(sys.argv[1]))
finish = recogniser.finish
def timed():
    words = finish()
    if words:
        say("final", " ".join(word.word for word in words))
    return words
recogniser.finish = timed
keeper = InVault(create_vault(Path(sys.argv[2]) / "vault", Path(sys.argv[2]) / "anchor"))
samples, told_s = 0, 0.0
for event in listen(Microphone(), keeper, recogniser, Voice(), Request("bench", "vosk")):
    if isinstance(event, Sound):
        if not samples:
            say("ready")
        samples += len(event.pcm)
        if time.monotonic() - told_s > 2:
            told_s = time.monotonic()
            say("heard", str(samples))
        if event.lost_ms:
            say("lost", str(event.lost_ms))
    elif isinstance(event, Partial):
        say("partial", event.text)
    elif isinstance(event, Said):
        say("durable", event.text)
"""


@dataclass
class Listener:
    """One of the two, as it runs: what it told, and when."""

    name: str
    process: "subprocess.Popen[str]"
    told: list[tuple[float, str, str]] = field(default_factory=list)

    def start(self) -> None:
        Thread(target=self._read, daemon=True).start()
        while not self.told:
            time.sleep(0.05)

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            at_s, what, text = json.loads(line)
            self.told.append((at_s, what, text))

    def since(self, at_s: float, what: str) -> list[tuple[float, str]]:
        return [(t, text) for t, kind, text in list(self.told) if t >= at_s and kind == what]

    def cpu_s(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / _TICK

    def resident_mb(self) -> float:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1024


def listener(name: str, code: str, microphone: VirtualMicrophone, *words: Path | str) -> Listener:
    environment = {**os.environ, **microphone.variables, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, words)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=ROOT,
    )
    return Listener(name, process)


def word_ends_s(vosk: Vosk, sample: Path) -> list[float]:
    """Returns when each word of a sample ends, by a recogniser that has all of it."""
    pcm = sf.read(sample, dtype="int16")[0]
    return [word.end_ms / 1000 for word in vosk.recognise(pcm)]


def partial_delays(it: Listener, began_s: float, ends_s: list[float]) -> list[float]:
    """Returns for each word how long after its end it was first on the screen."""
    seen = sorted(it.since(began_s, "partial") + it.since(began_s, "final"))
    found = []
    for number, end_s in enumerate(ends_s, 1):
        shown = [at_s for at_s, text in seen if len(text.split()) >= number]
        found += [shown[0] - began_s - end_s] if shown else []
    return found


def speech_end_s(sample: Path) -> float:
    pcm, rate_hz = sf.read(sample)
    return float(np.flatnonzero(np.abs(pcm) > 0.02)[-1]) / float(rate_hz)


def of(rows: list[float]) -> str:
    return f"{median(rows):.2f} s (most {max(rows):.2f})" if rows else "none"


def use(both: list[Listener], during: Any) -> dict[str, float]:  # noqa: ANN401 - any act
    """Returns how much of a core each used during an act."""
    before, began_s = [it.cpu_s() for it in both], time.monotonic()
    during()
    took_s = time.monotonic() - began_s
    return {it.name: (it.cpu_s() - b) / took_s for it, b in zip(both, before, strict=True)}


def listeners(microphone: VirtualMicrophone, folder: Path) -> list[Listener]:
    model = models.find(None)
    return [
        listener("anechoic", OURS, microphone, model, folder / "1"),
        listener("bare Vosk", BARE, microphone, model),
    ]


def room(folder: Path, seconds: float) -> Path:
    """Writes the noise of a room, 40 dB below full scale."""
    length = round(seconds * RATE_HZ)
    spectrum = np.fft.rfft(np.random.default_rng(1).normal(size=length))
    sound = np.fft.irfft(spectrum / np.sqrt(np.fft.rfftfreq(length, 1 / RATE_HZ).clip(25)), length)
    path = folder / "room.wav"
    sf.write(path, 0.01 * sound / sound.std(), RATE_HZ, subtype="PCM_16")
    return path


def measure(microphone: VirtualMicrophone, folder: Path, silent_s: float, *, noise: bool) -> None:
    vosk = Vosk(models.find(None))
    both = listeners(microphone, folder)
    try:
        for it in both:
            it.start()
        with playing(microphone, room(folder, silent_s + 4) if noise else None):
            time.sleep(4)  # until both are at rest
            silent = use(both, lambda: time.sleep(silent_s))
        rows: dict[tuple[str, str], list[float]] = {}
        speaking = use(both, lambda: _speak(microphone, both, vosk, rows))
        _print(both, rows, silent, speaking)
    finally:
        for it in both:
            it.process.kill()
            it.process.wait()


@contextlib.contextmanager
def playing(microphone: VirtualMicrophone, sound: Path | None) -> Iterator[None]:
    player = microphone.playing(sound) if sound else None
    try:
        yield
    finally:
        if player:
            player.kill()
            player.wait()


@contextlib.contextmanager
def loaded(*, busy: bool) -> Iterator[None]:
    """Keeps every core busy; nicely, so that it is the only one who suffers from others."""
    count = (os.cpu_count() or 1) * busy
    spin = [sys.executable, "-c", "import os; os.nice(5)\nwhile True: pass"]
    both = [subprocess.Popen(spin) for _ in range(count)]
    try:
        yield
    finally:
        for it in both:
            it.kill()
            it.wait()


def endure(microphone: VirtualMicrophone, folder: Path, minutes: float, *, busy: bool) -> None:
    ours, _ = both = listeners(microphone, folder)
    try:
        for it in both:
            it.start()
        said, began_s = 0, time.monotonic()
        noise = room(folder, minutes * 60 + 60)
        with loaded(busy=busy), playing(microphone, noise):
            print(f"load at the beginning {os.getloadavg()[0]:.1f}")
            while time.monotonic() - began_s < minutes * 60:
                microphone.play(SAMPLES[said % len(SAMPLES)])
                said += 1
                time.sleep(8)
            print(f"load at the end       {os.getloadavg()[0]:.1f}")
        (from_s, first), *_, (until_s, last) = ours.since(began_s, "heard")
        heard_s = (int(last) - int(first)) / RATE_HZ
        print(f"heard {heard_s:.2f} s of {until_s - from_s:.2f} s by the clock")
        print(f"lost, as it is told: {sum(int(t) for _, t in ours.since(0, 'lost'))} ms")
        print(f"{len(ours.since(0, 'durable'))} interactions of {said} sentences")
    finally:
        for it in both:
            it.process.kill()
            it.process.wait()


def _speak(
    microphone: VirtualMicrophone,
    both: list[Listener],
    vosk: Vosk,
    rows: dict[tuple[str, str], list[float]],
) -> None:
    for sample in SAMPLES:
        length_s = sf.info(sample).duration
        began_s = microphone.play(sample) - length_s  # it returns when the last sample is out
        time.sleep(2.0)
        for it in both:
            delays = partial_delays(it, began_s, word_ends_s(vosk, sample))
            rows.setdefault((it.name, "word to screen"), []).extend(delays)
            for what in ("final", "durable"):
                came = [at_s for at_s, _ in it.since(began_s, what)]
                late = [came[-1] - began_s - speech_end_s(sample)] if came else []
                rows.setdefault((it.name, f"end of speech to {what}"), []).extend(late)


def _print(
    both: list[Listener],
    rows: dict[tuple[str, str], list[float]],
    silent: dict[str, float],
    speaking: dict[str, float],
) -> None:
    for it in both:
        print(it.name)
        for (name, what), delays in rows.items():
            if name == it.name:
                print(f"  {what:24} {of(delays)}")
        print(f"  of a core while silent   {silent[it.name]:.1%}")
        print(f"  of a core while speaking {speaking[it.name]:.1%} (with pauses of 2 s)")
        print(f"  resident memory          {it.resident_mb():.0f} MB")
        print(f"  sound lost               {sum(int(t) for _, t in it.since(0, 'lost'))} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("silent_s", nargs="?", type=float, default=20.0)
    parser.add_argument("--noise", action="store_true")
    parser.add_argument("--minutes", type=float, default=0.0)
    parser.add_argument("--load", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        with virtual_microphone(place / "sound") as microphone:
            if options.minutes:
                endure(microphone, place, options.minutes, busy=options.load)
            else:
                measure(microphone, place, options.silent_s, noise=options.noise)


if __name__ == "__main__":
    main()
