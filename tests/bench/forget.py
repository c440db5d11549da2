"""What a whole `forget` and a whole sealing cost in time, bytes and syncs, beside their peers.

Run: `.venv/bin/python -m tests.bench.forget [DIRECTORY]`. Beside `forget`: `shred -u` of the same
sealed files, which reaches this one copy only. One run; compare the ratio, not the times.
"""

import os
import subprocess
import sys
import tempfile
from functools import partial
from itertools import islice
from pathlib import Path
from statistics import median

import numpy as np

from pipeline import write
from pipeline.artefact import AUDIO, META, TRANSCRIPT, Meta, Transcript, encode_audio
from pipeline.erase import erase
from pipeline.model import RATE_HZ, Word
from pipeline.plan import make_plan
from pipeline.session import acting, create_vault, now, now_ms
from pipeline.vault import Vault
from tests.bench.counting import CountingDisk
from tests.bench.ring import timed_ms

ROUNDS = 15


def parts(seconds: int) -> list[write.Part]:
    """Returns the parts of an interaction with so much noise for audio."""
    pcm = np.frombuffer(os.urandom(2 * RATE_HZ * seconds), np.int16)
    meta = Meta(now_ms(), seconds * 1000, "default", "bench", 0, "none")
    words = Transcript((Word("word", 0, 100, 1.0),))
    return [(AUDIO, encode_audio(pcm)), (TRANSCRIPT, words.encode()), (META, meta.encode())]


def main() -> None:
    """Prints the table."""
    base = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    print(f"{'':24}{'ms':>10}{'KiB':>10}{'syncs':>8}")
    with tempfile.TemporaryDirectory(dir=base) as folder:
        disk = CountingDisk()
        vault = create_vault(Path(folder) / "vault", Path(folder) / "anchor", disk=disk)
        for seconds in (3, 60, 1800):
            measure(vault, disk, seconds, 3 if seconds > 1000 else ROUNDS)


def measure(vault: Vault, disk: CountingDisk, seconds: int, rounds: int) -> None:
    """Prints the lines of one length of audio."""
    content = parts(seconds)
    with acting(vault):
        disk.reset()
        sealing = [timed_ms(partial(write.create, vault, content)) for _ in range(rounds)]
        row(f"seal {seconds} s", median(sealing), disk, rounds)
        ids = list(islice(vault.interactions(), rounds))
        copies = [copy(vault.artefacts(it)[0].path, vault.directory.parent) for it in ids]
        plans = [make_plan(vault, [it], now()) for it in ids]
        disk.reset()
        forgetting = [timed_ms(partial(erase, vault, plan, now)) for plan in plans]
        row(f"forget {seconds} s", median(forgetting), disk, rounds)
    shred = [timed_ms(partial(subprocess.run, ["shred", "-u", it], check=True)) for it in copies]
    print(f"{'shred -u of its audio':24}{median(shred):10.2f}")


def copy(path: Path, folder: Path) -> Path:
    """Returns a copy of a sealed file, outside the vault."""
    target = folder / path.name
    target.write_bytes(path.read_bytes())
    return target


def row(name: str, ms: float, disk: CountingDisk, rounds: int) -> None:
    """Prints one line."""
    print(f"{name:24}{ms:10.2f}{disk.written / rounds / 1024:10.1f}{disk.syncs / rounds:8.1f}")


if __name__ == "__main__":
    main()
