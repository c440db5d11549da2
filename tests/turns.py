"""What scripted workers do in their turns, and how they tell of it; quick to import."""

import json
import os
import signal
import time
from pathlib import Path

from keys.errors import Busy
from pipeline.errors import NoAudioDevice
from pipeline.turn import RELIEVED, Turn

SECRET = "marmalade"
_PATIENCE_S = 20.0


def say(*what: object) -> None:
    os.write(1, (json.dumps(what) + "\n").encode())


def waits(_: Path, turn: Turn) -> int:
    """Does nothing, in turns; leaves the number of turns there have been; 7 when it is stopped."""
    turn.ready()
    turn.began.wait(_PATIENCE_S)
    say("began", os.getpid(), turn.is_first, turn.left.decode())
    while not turn.stop.is_set():
        if turn.over.wait(0.02):
            turn.leave(f"{int(turn.left or 0) + 1}".encode())
            return RELIEVED
    say("stopped", os.getpid())
    return 7


def hangs(_: Path, turn: Turn) -> int:
    """Is at something long, deaf to whatever it is told."""
    turn.ready()
    say("began", os.getpid())
    time.sleep(60)
    return 0


def never_ends(vault: Path, turn: Turn) -> int:
    return hangs(vault, turn) if turn.is_first else waits(vault, turn)


def crashes(_: Path, turn: Turn) -> int:
    say("began", os.getpid(), turn.is_first)
    os.kill(os.getpid(), signal.SIGKILL)
    return 0


def fails(_: Path, turn: Turn) -> int:
    raise NoAudioDevice("there is none; plug one in") if turn.is_first else AssertionError


def is_defect(_: Path, turn: Turn) -> int:  # noqa: ARG001 - as work is called
    raise ValueError(SECRET)


def cannot_follow(vault: Path, turn: Turn) -> int:
    if turn.is_first:
        return waits(vault, turn)
    raise NoAudioDevice("it is not there any more")


def follows_when_it_can(vault: Path, turn: Turn) -> int:
    if not turn.is_first and (vault / "busy").exists():
        (vault / "busy").unlink()
        raise Busy("another process has held it for 5 s")
    return waits(vault, turn)
