"""The real command in a scratch home: in a pipe, on a terminal, and vaults for it to work on.

Every command is a process of its own, with its own HOME, vault and anchors, and no variable of
whoever runs the tests. Vaults are made in this process, so that most tests need no model.
"""

import contextlib
import fcntl
import io
import json
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from pipeline import cli, write
from pipeline.artefact import AUDIO, META, TRANSCRIPT, Meta, Transcript, encode_audio
from pipeline.model import RATE_HZ, Word
from pipeline.session import acting, create_vault, open_vault

ROOT = Path(__file__).parent.parent
COMMAND = (sys.executable, "-m", "pipeline.cli")
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_PATIENCE_S = 60


@dataclass(frozen=True, slots=True)
class Result:
    """What a command said and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:  # noqa: ANN401 - JSON holds anything
        """Standard output, which must be exactly one JSON document."""
        return json.loads(self.out)


@dataclass(frozen=True, slots=True)
class Shell:
    """A user's home, with a vault or not."""

    home: Path
    more: dict[str, str] = field(default_factory=dict)

    @property
    def vault(self) -> Path:
        return self.home / "vault"

    @property
    def anchors(self) -> Path:
        return self.home / "anchors"

    @property
    def environment(self) -> dict[str, str]:
        ours = {
            "HOME": str(self.home),
            "ANECHOIC_VAULT": str(self.vault),
            "ANECHOIC_ANCHOR_DIR": str(self.anchors),
            "PYTHONPATH": str(ROOT),
            "TERM": "xterm-256color",
            "LANG": "C.UTF-8",
            "TZ": "UTC",
            "PULSE_SERVER": "none",  # its client library makes a folder when it looks for one
        }
        return {"PATH": os.environ["PATH"], **ours, **self.more}

    def having(self, **more: str) -> "Shell":
        return Shell(self.home, {**self.more, **more})

    def __call__(self, *words: str | Path, stdin: str = "") -> Result:
        """Runs the command in pipes."""
        done = subprocess.run(
            [*COMMAND, *map(str, words)],
            input=stdin,
            env=self.environment,
            cwd=self.home,
            capture_output=True,
            text=True,
            timeout=_PATIENCE_S,
            check=False,
        )
        return Result(done.returncode, done.stdout, done.stderr)

    def json(self, *words: str | Path) -> Any:  # noqa: ANN401 - JSON holds anything
        """Runs the command with `--json`, which must succeed, and returns its document.

        In this process, which is quicker: for what surrounds the thing that is tested.
        """
        out, err = io.StringIO(), io.StringIO()
        with (
            mock.patch.dict(os.environ, self.environment),
            mock.patch("pipeline.machine.harden"),  # it would last for all later tests
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            code = cli.main(["--json", *map(str, words)])
        assert code == 0, err.getvalue()
        return json.loads(out.getvalue())

    def start(
        self, *words: str | Path, command: Sequence[str] = COMMAND
    ) -> "subprocess.Popen[str]":
        """Starts the command, or what stands in for it, in a process group of its own, in pipes."""
        return subprocess.Popen(
            [*command, *map(str, words)],
            env=self.environment,
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def on_a_terminal(
        self, *words: str | Path, answers: Sequence[tuple[str, str]] = (), columns: int = 80
    ) -> tuple[int, str]:
        """Runs the command on a terminal; types each answer when its question is on the screen.

        Returns the exit code and all that the terminal was sent, escape codes included.
        """
        with self.terminal(*words, columns=columns) as screen:
            for question, answer in answers:
                screen.until(question)
                screen.type(answer)
            screen.until_end()
        return screen.process.returncode, screen.sent

    @contextlib.contextmanager
    def terminal(self, *words: str | Path, columns: int = 80) -> "Iterator[Screen]":
        """Runs the command on a terminal, as long as the block; leaving it early kills it."""
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
        with subprocess.Popen(
            [*COMMAND, *map(str, words)],
            env=self.environment,
            cwd=self.home,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        ) as process:
            os.close(theirs)
            try:
                yield Screen(process, ours)
            except BaseException:
                process.kill()
                raise
            finally:
                os.close(ours)

    def say(self, *texts: str, profile: str = "default") -> list[str]:
        """Seals an interaction for each text, an hour after each other; returns their ids.

        The first was heard on 2026-02-01 at 08:00 UTC. Makes the vault where there is none.
        """
        made = (self.vault / "vault.json").exists()
        vault = (
            open_vault(self.vault, self.anchors, bytearray)
            if made
            else create_vault(self.vault, self.anchors)
        )
        pcm = (np.sin(np.arange(RATE_HZ // 2) / 9) * 4000).astype(np.int16)
        found = []
        for hour, text in enumerate(texts, 8):
            words = tuple(Word(w, 100 * n, 100 * n + 90, 1.0) for n, w in enumerate(text.split()))
            meta = Meta(f"2026-02-01T{hour:02}:00:00.000Z", 500, profile, "kitchen.wav", 0, "none")
            parts = [(AUDIO, encode_audio(pcm)), (TRANSCRIPT, Transcript(words).encode())]
            with acting(vault):
                found.append(write.create(vault, [*parts, (META, meta.encode())]).hex())
        return found

    def epoch(self) -> int:
        """The epoch of the ring, as the audit tells it."""
        return int(self.json("audit")["epoch"])


@dataclass(slots=True)
class Screen:
    """The terminal of a command that runs, as a person sees it."""

    process: "subprocess.Popen[bytes]"
    terminal: int
    sent: str = ""
    """All that it was sent, escape codes included."""
    seen: int = 0

    def until(self, what: str) -> str:
        """Waits until this is on the screen; returns what came since the last wait, as it looks."""
        patience_s = time.monotonic() + _PATIENCE_S
        while what not in plain(self.sent[self.seen :]):
            assert time.monotonic() < patience_s, f"{what!r} never came; there was: {self.sent}"
            assert self._read(), f"{what!r} never came; there was: {self.sent}"
        return self._news()

    def until_end(self) -> str:
        """Waits until all processes on it have gone; returns what came since the last wait."""
        patience_s = time.monotonic() + _PATIENCE_S
        while self._read():
            assert time.monotonic() < patience_s, f"it never ended; there was: {self.sent}"
        self.process.wait(_PATIENCE_S)
        return self._news()

    def type(self, text: str) -> None:
        os.write(self.terminal, text.encode())

    def _news(self) -> str:
        news, self.seen = plain(self.sent[self.seen :]), len(self.sent)
        return news

    def _read(self) -> bool:
        """Takes what comes within a moment; tells whether there can be more."""
        if select.select([self.terminal], [], [], 0.1)[0]:
            try:
                data = os.read(self.terminal, 65536)
            except OSError:  # Linux's way to say that the last process has gone
                data = b""
            self.sent += data.decode(errors="replace")
            return bool(data)
        return True


def plain(screen: str) -> str:
    """Returns what was sent to a terminal without colours and moves."""
    return ESCAPES.sub("", screen).replace("\r\n", "\n")
