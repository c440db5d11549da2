"""`serve --listen` at a virtual microphone: heard, sealed, shown nowhere, ended with the rest."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commandline import ROOT, Shell
from tests.memory import tree
from tests.microphone import VirtualMicrophone, shell_at, virtual_microphone

TIMER, PIZZA = (ROOT / "samples" / f"{name}.wav" for name in ("01-timer", "06-pizza"))
_PATIENCE_S = 60.0

pytestmark = [pytest.mark.microphone, pytest.mark.model]


@pytest.fixture(scope="module")
def microphone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VirtualMicrophone]:
    with virtual_microphone(tmp_path_factory.mktemp("sound")) as it:
        yield it


@pytest.fixture
def shell(tmp_path: Path, microphone: VirtualMicrophone) -> Shell:
    return shell_at(tmp_path, microphone)


def hears(shell: Shell, microphone: VirtualMicrophone, sound: Path, word: str) -> None:
    """Plays a sound until a word of it is in the vault."""
    until_s = time.monotonic() + _PATIENCE_S
    while word not in " ".join(row["text"] for row in shell.json("history")).split():
        assert time.monotonic() < until_s, "nothing was heard"
        microphone.play(sound)
        time.sleep(1.5)


def test_it_hears_seals_and_shows_nothing(shell: Shell, microphone: VirtualMicrophone) -> None:
    shell.json("init")
    it = shell.start("serve", "--listen", "--device", "pulse")
    try:
        hears(shell, microphone, PIZZA, "pizza")
        shell.json("forget", "--all", "--yes")  # a fresh worker goes on, in both
        assert shell.json("history") == []
        hears(shell, microphone, TIMER, "minutes")
        them = tree(it.pid)
        assert len(them) >= 4  # two supervisors, two workers
    finally:
        it.send_signal(signal.SIGTERM)
        out, err = it.communicate(timeout=_PATIENCE_S)
    assert it.returncode == 0
    assert out == ""
    assert not {"pizza", "minutes", "timer"} & set(err.lower().split())
    assert not [pid for pid in them if Path(f"/proc/{pid}").exists()]
    assert shell("audit").code == 0


def test_killed_it_takes_the_listener_along(shell: Shell, microphone: VirtualMicrophone) -> None:
    shell.json("init")
    it = shell.start("serve", "--listen", "--device", "pulse")
    hears(shell, microphone, PIZZA, "pizza")
    them = tree(it.pid)
    it.kill()
    it.communicate()
    until_s = time.monotonic() + 10
    while any(Path(f"/proc/{pid}").exists() for pid in them) and time.monotonic() < until_s:
        time.sleep(0.1)
    assert not [pid for pid in them if Path(f"/proc/{pid}").exists()]


def test_the_end_of_the_listener_ends_it_with_its_reason(shell: Shell) -> None:
    shell.json("init")
    refused = shell("serve", "--listen", "--device", "no such thing")
    assert refused.code == 8
    assert "no such thing" in refused.err


def test_a_listener_that_crashes_ends_it(shell: Shell, microphone: VirtualMicrophone) -> None:
    shell.json("init")
    it = shell.start("serve", "--listen", "--device", "pulse")
    hears(shell, microphone, PIZZA, "pizza")
    children = Path(f"/proc/{it.pid}/task/{it.pid}/children").read_text().split()
    listener = next(pid for pid in children if Path(f"/proc/{pid}/task/{pid}/children").read_text())
    os.kill(int(listener), signal.SIGKILL)
    _, err = it.communicate(timeout=_PATIENCE_S)
    assert it.returncode == 1
    assert "listening ended by itself" in err


def test_on_a_terminal_m_closes_and_opens_the_microphone(
    shell: Shell, microphone: VirtualMicrophone
) -> None:
    shell.json("init")
    with shell.terminal("serve", "--listen", "--device", "pulse") as screen:
        screen.until("at work")
        hears(shell, microphone, PIZZA, "pizza")
        screen.type("m\n")
        screen.until("muted; m and Enter lifts it")
        time.sleep(1)
        microphone.play(TIMER)
        time.sleep(1)
        assert "timer" not in " ".join(row["text"] for row in shell.json("history"))
        screen.type("m\n")
        screen.until("listening again")
        hears(shell, microphone, TIMER, "timer")
        screen.process.send_signal(signal.SIGTERM)
        screen.until_end()
        assert "pizza" not in screen.sent
