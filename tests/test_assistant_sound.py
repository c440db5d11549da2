"""An alarm that is heard: set by one process, rung by another, recorded at the sound server."""

import signal
import subprocess
import threading
from pathlib import Path

import numpy as np
import pytest

from pipeline.assistant.bell import _NOTES_HZ
from tests.commandline import Shell
from tests.microphone import virtual_microphone

pytestmark = pytest.mark.microphone
RATE_HZ = 16_000
PATIENCE_S = 40
_LOUD = 0.1


def test_what_ask_has_set_is_heard_when_serve_rings_it(tmp_path: Path) -> None:
    with virtual_microphone(tmp_path / "sound") as speaker:
        home = tmp_path / "home"
        home.mkdir()
        shell = Shell(home).having(**speaker.variables)
        shell("ask", stdin="set a timer for four seconds\n")
        with shell.start("serve") as process:
            heard = recorded(speaker.variables)
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 0
    for hz in _NOTES_HZ:
        assert share_of(heard, hz) > _LOUD, hz
    assert share_of(heard, 1500.0) < 0.01


def recorded(variables: dict[str, str]) -> "np.typing.NDArray[np.int16]":
    """Returns what is played until all notes were, or for as long as a busy machine may take."""
    words = ["parec", "-d", "vmic.monitor", f"--rate={RATE_HZ}", "--channels=1", "--format=s16le"]
    environment = {"PATH": "/usr/bin:/bin", "HOME": variables["XDG_RUNTIME_DIR"], **variables}
    heard = np.zeros(0, np.int16)
    with subprocess.Popen(words, env=environment, stdout=subprocess.PIPE) as recorder:
        assert recorder.stdout
        end = threading.Timer(PATIENCE_S, recorder.terminate)
        end.start()
        while second := recorder.stdout.read(2 * RATE_HZ):
            heard = np.append(heard, np.frombuffer(second[: len(second) // 2 * 2], np.int16))
            if all(share_of(heard, hz) > _LOUD for hz in _NOTES_HZ):
                break
        end.cancel()
        recorder.terminate()
    return heard


def share_of(pcm: "np.typing.NDArray[np.int16]", hz: float) -> float:
    """Returns how much of the energy is within 30 Hz of a note."""
    power = np.abs(np.fft.rfft(pcm.astype(np.float64))) ** 2
    near = np.abs(np.fft.rfftfreq(len(pcm), 1 / RATE_HZ) - hz) < 30
    return float(power[near].sum() / max(power.sum(), 1.0))
