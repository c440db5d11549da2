"""What libraries write to the process's own stderr stays off the screen; what we say is on it."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.commandline import ROOT
from tests.microphone import listening, shell_at, virtual_microphone

SAMPLES = ROOT / "samples"
ALONE = """
import os, sys, threading
from pipeline.devices import _quiet, libraries_silenced
from pipeline.terminal import Terminal
def library(text):
    os.write(2, text.encode())
it = Terminal(as_json=False)
library("before ")
with libraries_silenced():
    library("hidden ")
    threads = [threading.Thread(target=library, args=("hidden too ",))]
    threads[0].start(); threads[0].join()
    it.say("said")
    with _quiet():
        it.say("said inside")
    library("still hidden ")
    print("printed \\u2019", file=sys.stderr)
library("after")
"""


def test_only_what_python_writes_comes_through() -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", ALONE], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stderr.split() == ["before", "said", "said", "inside", "printed", "\u2019", "after"]


@pytest.mark.microphone
@pytest.mark.model
def test_a_sound_server_that_dies_writes_nothing_on_the_screen(tmp_path: Path) -> None:
    with virtual_microphone(tmp_path / "sound") as microphone:
        shell = shell_at(tmp_path, microphone)
        shell("init")
        with listening(shell) as ear:
            microphone.kill()
            ear.wait_for("brings no sound any more")
            time.sleep(1)
            assert ear.stop() == 0
    lines = [line for _, line in ear.err]
    assert lines[0].startswith("listening to ")
    assert not [line for line in lines if "Expression" in line or "ALSA" in line]
