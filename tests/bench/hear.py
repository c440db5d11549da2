"""Hearing and sealing the samples beside bare Vosk on the same files, and the word error rates.

Run: `.venv/bin/python -m tests.bench.hear`. Both load the same model; bare Vosk gets each file
whole, silence included, and keeps nothing. One run; compare the ratio, not the times.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from pipeline import models
from pipeline.ingest import Request, Sealed, ingest
from pipeline.model import RATE_HZ
from pipeline.recognise import Vosk
from pipeline.recognisers import Recognisers
from pipeline.session import create_vault
from pipeline.sources import blocks

SAMPLES = Path(__file__).parents[2] / "samples"
LIBRIVOX = Path("/usr/share/pocketsphinx/test/data/librivox")


def errors(said: list[str], heard: list[str]) -> int:
    """Returns the word errors: the edit distance in words."""
    row = list(range(len(heard) + 1))
    for n, word in enumerate(said, 1):
        last, row[0] = row[0], n
        for m, other in enumerate(heard, 1):
            last, row[m] = row[m], min(row[m] + 1, row[m - 1] + 1, last + (word != other))
    return row[-1]


def bare(model: Path, files: list[Path]) -> dict[Path, str]:
    """Returns what bare Vosk hears in each file."""
    vosk = Vosk(model)
    heard = {}
    for path in files:
        words = vosk.recognise(np.concatenate(list(blocks(path))))
        heard[path] = " ".join(word.word for word in words)
    return heard


def sealed(model: Path, files: list[Path], jobs: int) -> dict[Path, str]:
    """Returns what the pipeline hears in each file while it seals it in a vault."""
    heard = dict.fromkeys(files, "")
    with tempfile.TemporaryDirectory() as folder, Recognisers(model, jobs) as recognisers:
        vault = create_vault(Path(folder) / "vault", Path(folder) / "anchor")
        for event in ingest(vault, Request(tuple(files), "bench", model.name), recognisers):
            if isinstance(event, Sealed):
                heard[event.source] = f"{heard[event.source]} {event.text}".strip()
    return heard


def reference(path: Path) -> list[str]:
    """Returns the words said in a sample or in a LibriVox clip."""
    if path.parent == SAMPLES:
        return path.with_suffix(".txt").read_text().split()
    for line in (LIBRIVOX / "transcription").read_text().splitlines():
        text, _, name = line.rpartition("(")
        if name.rstrip(")") == path.stem:
            return [w.lower() for w in text.split() if not w.startswith("<")]
    raise LookupError(path.name)


def report(name: str, files: list[Path], hear: Callable[[], dict[Path, str]]) -> float:
    """Prints one line; returns the seconds it took."""
    start = time.perf_counter()
    heard = hear()
    took = time.perf_counter() - start
    seconds = sum(len(block) for path in files for block in blocks(path)) / RATE_HZ
    wrong = sum(errors(reference(path), heard[path].split()) for path in files)
    words = sum(len(reference(path)) for path in files)
    rate = f"{wrong} of {words} words wrong ({100 * wrong / words:.1f} %)"
    print(f"{name:28}{took:8.1f} s  {took / seconds:6.3f} of real time  {rate}")
    return took


def main() -> None:
    """Prints the table."""
    model = models.find(None)
    print(f"model {model.name}; times include loading it")
    sets = {"samples": sorted([*SAMPLES.glob("*.wav"), *SAMPLES.glob("*.flac")])}
    if LIBRIVOX.is_dir():
        sets["LibriVox"] = sorted(LIBRIVOX.glob("*.wav"))
    else:
        sys.stderr.write("no LibriVox clips: apt-get install pocketsphinx-testdata\n")
    for name, files in sets.items():
        alone = report(f"{name}, bare Vosk", files, partial(bare, model, files))
        for jobs in (1, 2):
            took = report(
                f"{name}, sealed, {jobs} job(s)", files, partial(sealed, model, files, jobs)
            )
            print(f"{'':28}{took / alone:8.2f} of bare Vosk")


if __name__ == "__main__":
    main()
