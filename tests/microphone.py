"""A microphone for tests: a sound server of their own whose only source hears what is played to it.

It runs in real time, through the same PortAudio that a user's microphone comes through. Nobody's
own sound server is touched: everything lies in a scratch folder, and the variables say where.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from pipeline import models
from tests.commandline import Shell

_NEEDED = ("pulseaudio", "pactl", "pacat", "paplay")
_PLUGIN = ("alsa-lib/libasound_module_pcm_pulse.so",)
_PATIENCE_S = 10.0
_EAR_PATIENCE_S = 60.0


def missing() -> str:
    """Returns what a virtual microphone lacks on this machine, nothing where it lacks nothing."""
    lacking = [name for name in _NEEDED if shutil.which(name) is None]
    if not any(Path("/usr/lib").rglob(_PLUGIN[0])):
        lacking.append("the ALSA plugin for pulseaudio")
    try:
        import sounddevice  # noqa: F401
    except OSError:
        lacking.append("PortAudio")
    return ", ".join(lacking)


@dataclass
class VirtualMicrophone:
    """A sound server that can be started, played to, killed, and started again."""

    folder: Path
    _feeding: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    @property
    def variables(self) -> dict[str, str]:
        runtime = self.folder / "pulse"
        return {
            "XDG_RUNTIME_DIR": str(self.folder),
            "PULSE_RUNTIME_PATH": str(runtime),
            "PULSE_SERVER": f"unix:{runtime / 'native'}",
            "PULSE_COOKIE": str(self.folder / "cookie"),
        }

    def start(self) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Of a killed one, whose number may still be that of a process that nobody has waited for.
        (self.folder / "pulse" / "pid").unlink(missing_ok=True)
        self._run(
            *("pulseaudio", "-D", "-n", "--exit-idle-time=-1", "--disable-shm=1"),
            *("-L", "module-native-protocol-unix"),
            *("-L", "module-null-sink sink_name=vmic rate=16000 channels=1"),
        )
        self._run("pactl", "set-default-source", "vmic.monitor")
        # Without something that always plays, the first seconds of a recording are lost.
        silence = ("pacat", "-p", "-d", "vmic", "--latency-msec=20", "--rate=16000")
        self._feeding.append(
            subprocess.Popen(
                [*silence, "--channels=1", "--format=s16le", "/dev/zero"],
                env=self._environment,
                stderr=subprocess.DEVNULL,
            )
        )

    def play(self, *sounds: Path) -> float:
        """Plays sound files to their ends; returns the monotonic time at the end."""
        for sound in sounds:
            self._run("paplay", "-d", "vmic", str(sound))
        return time.monotonic()

    def playing(self, sound: Path) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(["paplay", "-d", "vmic", str(sound)], env=self._environment)

    @contextlib.contextmanager
    def over_and_over(self, sound: Path) -> Iterator[None]:
        """Plays a sound file again and again, for the block: whoever hears it may be late."""
        loop = ["sh", "-c", 'while paplay -d vmic "$0"; do :; done', str(sound)]
        with subprocess.Popen(loop, env=self._environment, start_new_session=True) as process:
            try:
                yield
            finally:
                os.killpg(process.pid, signal.SIGKILL)

    def kill(self) -> None:
        """Ends the server as a crash would."""
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            os.kill(int((self.folder / "pulse" / "pid").read_text()), 9)
        for process in self._feeding:
            process.kill()
            process.wait(_PATIENCE_S)
        self._feeding.clear()

    @property
    def _environment(self) -> dict[str, str]:
        ours = {"HOME": str(self.folder), "LANG": "C.UTF-8"}
        return {"PATH": os.environ["PATH"], **ours, **self.variables}

    def _run(self, *command: str) -> None:
        subprocess.run(
            command, env=self._environment, check=True, capture_output=True, timeout=_PATIENCE_S
        )


@contextlib.contextmanager
def virtual_microphone(folder: Path) -> Iterator[VirtualMicrophone]:
    """Runs a virtual microphone; skips the test, with the reason, where there can be none."""
    if lacking := missing():
        pytest.skip(f"a virtual microphone needs: {lacking}")
    it = VirtualMicrophone(folder)
    it.start()
    try:
        yield it
    finally:
        it.kill()


def shell_at(tmp_path: Path, microphone: VirtualMicrophone) -> Shell:
    home = tmp_path / "home"
    home.mkdir()
    return Shell(home).having(**microphone.variables, ANECHOIC_MODEL=str(models.find(None)))


class Ear:
    """A `listen` that runs: its lines as they come, with the time at which they came."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self.out: list[tuple[float, str]] = []
        self.err: list[tuple[float, str]] = []
        self._threads = [
            Thread(target=self._read, args=it, daemon=True)
            for it in ((process.stdout, self.out), (process.stderr, self.err))
        ]
        for thread in self._threads:
            thread.start()

    def _read(self, stream: Any, lines: list[tuple[float, str]]) -> None:  # noqa: ANN401
        with stream:
            lines.extend((time.monotonic(), line) for line in stream)

    def wait_for(self, what: str, *, times: int = 1) -> float:
        """Waits until something was said on standard error so often; returns when it was."""
        return self._wait(self.err, lambda line: what in line, times)

    def said(self, number: int) -> tuple[float, dict[str, Any]]:
        """Returns the line of utterance `number` from 0, and when it came."""
        at_s = self._wait(self.out, _is_utterance, number + 1)
        return at_s, json.loads([line for _, line in self.out if _is_utterance(line)][number])

    def stop(self, how: signal.Signals = signal.SIGINT) -> int:
        os.killpg(self.process.pid, how)
        code = self.process.wait(_EAR_PATIENCE_S)
        for thread in self._threads:
            thread.join(_EAR_PATIENCE_S)
        return code

    def _wait(self, lines: list[tuple[float, str]], fits: Any, times: int) -> float:  # noqa: ANN401
        until_s = time.monotonic() + _EAR_PATIENCE_S
        while time.monotonic() < until_s:
            found = [at_s for at_s, line in lines if fits(line)]
            if len(found) >= times:
                return found[times - 1]
            time.sleep(0.01)
        raise AssertionError(f"never came; there was: {self.err}, {len(self.out)} lines")


def _is_utterance(line: str) -> bool:
    return "text" in json.loads(line)  # an answer, or a ring, has none


@contextlib.contextmanager
def listening(shell: Shell, *words: str) -> Iterator[Ear]:
    ear = Ear(shell.start("--json", "listen", *words))
    try:
        ear.wait_for("listening to")
        yield ear
    finally:
        if ear.process.poll() is None:
            ear.stop(signal.SIGKILL)
