"""What was said is in no memory and no file two seconds after it was forgotten.

A real `listen` at a virtual microphone hears a sentence; all processes of it are stopped and read
from outside, before and after another process has forgotten it. Single words are in the model's own
list of words, so those are counted against a scan before anything was said; three in a row, and the
sound, must be nowhere. The control is the same with replacement switched off.
"""

import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from pipeline.artefact import AUDIO, decode_audio
from pipeline.session import acting, open_vault
from tests.commandline import COMMAND, ROOT, Shell
from tests.memory import hits, hits_in, stopped, tree
from tests.microphone import Ear, VirtualMicrophone, shell_at, virtual_microphone

SAMPLES = ROOT / "samples"
TIMER, PIZZA = SAMPLES / "01-timer.wav", SAMPLES / "06-pizza.wav"
ENCODINGS = ("utf-8", "utf-16-le", "utf-32-le")
"""Without the zeros at their ends they are found in the big-endian ones too."""
WINDOW, STEP = 16, 2401
FORGOTTEN_S = 2.0
SWITCHED_OFF = """
import sys
from pipeline import cli, supervisor
supervisor.Erasures.look = lambda self: 0
sys.exit(cli.main())
"""
NOT_REPLACED = (sys.executable, "-c", SWITCHED_OFF)

pytestmark = [
    pytest.mark.microphone,
    pytest.mark.model,
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/PID/mem"),
    pytest.mark.skipif(
        sys.platform != "win32" and os.geteuid() != 0,
        reason="needs root: these processes cannot be read by others of their user",
    ),
]


@pytest.fixture(scope="module")
def microphone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VirtualMicrophone]:
    with virtual_microphone(tmp_path_factory.mktemp("sound")) as it:
        yield it


@dataclass(frozen=True, slots=True)
class Canary:
    """What was said, as it may lie in memory: by three words, by one, and as sound."""

    phrases: frozenset[bytes]
    words: frozenset[bytes]
    sound: frozenset[bytes]

    @property
    def all(self) -> frozenset[bytes]:
        return self.phrases | self.words | self.sound


def encoded(texts: list[str]) -> frozenset[bytes]:
    return frozenset(
        text.encode(encoding).rstrip(b"\0") for text in texts for encoding in ENCODINGS
    )


def canary_of(shell: Shell, text: str, words: frozenset[bytes]) -> Canary:
    vault = open_vault(shell.vault, shell.anchors, bytearray)
    with acting(vault):
        pcm = decode_audio(vault.read(next(vault.interactions()), AUDIO))
    loud = [at for at in range(0, len(pcm) - WINDOW, STEP) if np.ptp(pcm[at : at + WINDOW]) > 500]
    assert len(loud) >= 10
    spoken = text.split()
    wide = (pcm, pcm.astype(np.float32), (pcm / 32768).astype(np.float32))
    return Canary(
        encoded([" ".join(spoken[at : at + 3]) for at in range(len(spoken) - 2)]),
        words,
        frozenset(it[at : at + WINDOW].tobytes().strip(b"\0") for it in wide for at in loud),
    )


def in_memory(pid: int, needles: frozenset[bytes]) -> dict[int, Counter[bytes]]:
    """Counts hits in each process of the tree, which stands still meanwhile."""
    pids = tree(pid)
    with stopped(pids):
        return {it: hits(it, needles, "r") for it in pids}


def in_files(*homes: Path, canary: Canary) -> list[Path]:
    files = (path for home in homes for path in home.rglob("*") if path.is_file())
    return [path for path in files if hits_in(path.read_bytes(), canary.all)]


def total(found: dict[int, Counter[bytes]], needles: frozenset[bytes]) -> int:
    return sum(count for each in found.values() for it, count in each.items() if it in needles)


@pytest.mark.parametrize("is_replaced", [True, False], ids=["replaced", "control"])
def test_two_seconds_after_it_was_forgotten_it_is_in_no_memory_and_no_file(
    tmp_path: Path, microphone: VirtualMicrophone, *, is_replaced: bool
) -> None:
    shell = shell_at(tmp_path, microphone).having(TMPDIR=str(tmp_path / "home"))
    said = PIZZA.with_suffix(".txt").read_text().lower().split()
    words = encoded([it for it in said if it.isalpha() and len(it) > 5])
    process = shell.start("--json", "listen", command=COMMAND if is_replaced else NOT_REPLACED)
    ear = Ear(process)
    try:
        ear.wait_for("listening to")
        at_first = in_memory(process.pid, words)
        microphone.play(PIZZA)
        canary = canary_of(shell, ear.said(0)[1]["text"], words)
        before = in_memory(process.pid, canary.all)
        shell.json("forget", "--last", "--yes")
        time.sleep(FORGOTTEN_S)
        after = in_memory(process.pid, canary.all)
        files = in_files(shell.home, Path(microphone.folder), canary=canary)
        microphone.play(TIMER)
        assert "timer" in ear.said(1)[1]["text"], "it did not go on hearing"
        assert ear.stop() == 0
    finally:
        if process.poll() is None:
            ear.stop(signal.SIGKILL)
    rows = {
        name: [total(found, getattr(canary, name)) for found in (at_first, before, after)]
        for name in ("phrases", "sound", "words")
    }
    print(f"\nhits at first, before it was forgotten, and after: {rows}")
    phrases, sound, single = rows.values()
    assert files == []
    assert phrases[0] == sound[0] == 0
    assert phrases[1] > 0
    assert sound[1] > 0
    assert single[1] > single[0], "the search sees single words, and not only those of the model"
    assert before.keys() - after.keys() if is_replaced else before.keys() == after.keys()
    assert (phrases[2] == sound[2] == 0) is is_replaced
    assert (single[2] == single[0]) is is_replaced
