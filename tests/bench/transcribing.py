"""Transcribing files and sealing what was said, beside Vosk's own program on the same files.

The samples are repeated, each time a little louder or fainter, to as many files as there shall be.
The *day* is samples with nine times their length of a quiet room before each, scaled down from 24
hours: to an hour, ten minutes when quick. It is one recording, of which Vosk's program hears one
second after the other, and the same length in four files, of which it hears as many at once as
there are processors. Its ffmpeg counts by the clock only: it does not wait for it to be counted.
Both sides load the same model and leave a text for each file; ours may use all processors, and
seals audio and words besides. The disk is what the vault has in the end, beside those files.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path

import numpy as np
import soundfile as sf
from numpy.typing import NDArray

from pipeline import models
from pipeline.model import RATE_HZ
from pipeline.sources import blocks
from tests.bench import peers
from tests.bench.figures import Line, Measured, Target, against
from tests.bench.hear import SAMPLES
from tests.bench.metering import Cost, command, cost, size_of

_ROOM = 20  # about 64 dB below full scale: a quiet room, as a microphone hears it
_SILENCE = 9  # times as long as what is said


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is transcribed."""

    files: int
    day_minutes: int


QUICK, FULL = Sizes(60, 10), Sizes(600, 60)
_IN_FILES = {1: "one recording", 4: "four files"}


def lines(base: Path, sizes: Sizes) -> list[Line]:
    """Measures both jobs, and the disk that the first leaves used."""
    folder, jobs = base / "files", os.cpu_count() or 1
    _write(folder, _louder_and_fainter(), sizes.files)
    ours, theirs = _both(base / "many", folder, jobs)
    made = f"{sizes.files} files of the samples, {_seconds(folder):.0f} s, {jobs} processors"
    many = _time(f"transcribe {made}", ours, theirs)
    cpu = _cpu(f"processor time of that ({made})", ours, theirs)
    disk = _disk(base / "many", folder)
    days = [it for files in _IN_FILES for it in _day(base, sizes.day_minutes, files, jobs)]
    return [many, cpu, *days, disk]


def _day(base: Path, minutes: int, files: int, jobs: int) -> list[Line]:
    folder = base / f"day-{files}"
    _write(folder, _days(minutes * 60 * RATE_HZ // files), files)
    ours, theirs = _both(base / f"silent-{files}", folder, jobs)
    silent = f"a day, nine tenths silence, scaled to {minutes} minutes, {_IN_FILES[files]}"
    faster = Target("at least 5 times as fast", ours.wall_s / theirs.wall_s, 1 / 5)
    day = _line(f"transcribe {silent}", ours.wall_s, theirs.wall_s, faster)
    return [day, _line(f"processor time of that ({silent})", ours.cpu_s, theirs.cpu_s)]


def _both(base: Path, folder: Path, jobs: int) -> tuple[Cost, Cost]:
    base.mkdir()
    command(base, "init")
    ours = command(base, "ingest", folder, "--jobs", str(jobs))
    model = models.find(None)
    theirs = cost(lambda: peers.transcribe(model, folder, base / "texts"))
    heard = sum(bool(it.read_text().strip()) for it in (base / "texts").iterdir())
    if heard < len(list(folder.iterdir())) / 2:
        raise peers.Lacking(f"vosk-transcriber heard something in {heard} of the files only")
    return ours, theirs


def _time(job: str, ours: Cost, theirs: Cost) -> Line:
    mine, peer = _pair(ours.wall_s, theirs.wall_s)
    return Line(job, mine, (peer,), (against("at least as fast", mine, peer, 1.0),))


def _cpu(job: str, ours: Cost, theirs: Cost) -> Line:
    mine, peer = _pair(ours.cpu_s, theirs.cpu_s)
    return Line(job, mine, (peer,), (against("at most 3 % more", mine, peer, 1.03),))


def _line(job: str, ours: float, theirs: float, *targets: Target) -> Line:
    mine, peer = _pair(ours, theirs)
    return Line(job, mine, (peer,), targets)


def _pair(ours: float, theirs: float) -> tuple[Measured, Measured]:
    mine = Measured("`anechoic ingest`, sealed", ours, "s")
    return mine, Measured("`vosk-transcriber`", theirs, "s")


def _disk(base: Path, folder: Path) -> Line:
    (ours, blocks_of_ours), (theirs, _) = size_of(base / "vault", base / "anchors"), size_of(folder)
    mine = Measured("all of the vault", ours / 2**20, "MiB")
    peer = Measured("the WAV files", theirs / 2**20, "MiB")
    texts = Measured("vault in whole blocks of the disk", blocks_of_ours / 2**20, "MiB")
    target = against("at most 0.65 of the WAV files", mine, peer, 0.65)
    return Line("disk, everything included", mine, (peer, texts), (target,))


def _seconds(folder: Path) -> float:
    return float(sum(sf.info(str(path)).duration for path in folder.iterdir()))


def _samples() -> list[NDArray[np.int16]]:
    return [np.concatenate(list(blocks(path))) for path in sorted(SAMPLES.glob("[01]*.wav"))]


def _louder_and_fainter() -> Iterator[NDArray[np.int16]]:
    samples = _samples()
    for n in count():
        gain = 10 ** ((n // len(samples) % 13 - 9) / 20)  # from 9 dB fainter to 3 dB louder
        sound = samples[n % len(samples)] * gain
        yield np.clip(sound, -32768, 32767).astype(np.int16)


def _days(samples: int) -> Iterator[NDArray[np.int16]]:
    said, chance = _samples(), np.random.default_rng(1)
    for part in count():
        pieces, length = list[NDArray[np.int16]](), 0
        for sound in islice((said[n % len(said)] for n in count(7 * part)), len(said) ** 2):
            if length + (1 + _SILENCE) * len(sound) > samples:
                break
            pieces += [np.zeros(_SILENCE * len(sound), np.int16), sound]
            length += (1 + _SILENCE) * len(sound)
        day = np.concatenate(pieces)
        yield (day + chance.normal(0, _ROOM, len(day))).clip(-32768, 32767).astype(np.int16)


def _write(folder: Path, sounds: Iterator[NDArray[np.int16]], number: int) -> None:
    folder.mkdir()
    for n, sound in enumerate(islice(sounds, number)):
        sf.write(str(folder / f"{n:04}.wav"), sound, RATE_HZ, subtype="PCM_16")
