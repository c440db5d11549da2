"""What libraries write to the process's own stderr stays off the screen; what we say is on it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline import models
from tests.commandline import ROOT, Shell
from tests.microphone import virtual_microphone

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
    home = tmp_path / "home"
    home.mkdir()
    with virtual_microphone(tmp_path / "sound") as microphone:
        variables = {**microphone.variables, "ANECHOIC_MODEL": str(models.find(None))}
        shell = Shell(home).having(**variables)
        shell("init")
        with shell.start("listen") as process:
            time.sleep(5)
            microphone.kill()
            time.sleep(3)
            os.killpg(process.pid, signal.SIGINT)
            told = process.communicate(timeout=30)[1]
    assert process.returncode == 0
    lines = told.strip().splitlines()
    assert lines[0].startswith("listening to ")
    assert any("brings no sound any more" in line for line in lines)
    assert not [line for line in lines if "Expression" in line or "ALSA" in line]
