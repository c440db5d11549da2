"""Starting the process of a skill, talking to it, and ending it; a plug-in is never loaded here.

Promises that the process gets no descriptor of ours but two pipes, no variable of our environment,
no argument that tells anything, and that it is killed at the end, with what it started in its
group, at the latest when its time is up. What it answers is bounded, of one form, or no answer.
"""

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

import pipeline
from pipeline import places
from pipeline.errors import PipelineError
from pipeline.skills.interface import (
    ANSWERS,
    Answer,
    Declined,
    Field,
    Manifest,
    NotSent,
    Outcome,
    Request,
    Result,
    Unknown,
)

_BOOT = (
    "import sys, json; sys.path[:] = json.loads(sys.stdin.buffer.readline()); "
    "from pipeline.skills.child import main; main()"
)
_LINE_BYTES = 64 * 1024
_LINES_AHEAD = 4
_TEXT_LETTERS = 4096
_ENDS: Mapping[str, type[Declined] | type[NotSent] | type[Unknown]] = {
    "declined": Declined,
    "not-sent": NotSent,
    "unknown": Unknown,
}


class SkillFailed(PipelineError):
    """The process of a skill did not start, or ended, or answered in another form."""


@dataclass(frozen=True, slots=True)
class Running:
    """The process of a skill: its manifest, and what could not be taken from it here."""

    manifest: Manifest
    undone: tuple[str, ...]
    line: "_Line"

    def handle(self, request: Request) -> Outcome:
        """Has it handle a request; `Unknown` where no answer comes, or one of no known form."""
        row = self._ask("handle", request)
        if row.get("end") != "done":
            return _ENDS.get(str(row.get("end")), Unknown)()
        answer = row.get("answer")
        answer = answer if isinstance(answer, dict) else {}
        return Result({k: v for k, v in answer.items() if k in self.manifest.answers and _text(v)})

    def erase(self, request: Request) -> Answer:
        """Asks it to erase what it keeps under a reference."""
        end = self._ask("erase", request).get("end")
        return Answer(end) if end in ANSWERS else Answer()

    def _ask(self, act: str, request: Request) -> dict[str, Any]:
        try:
            self.line.send({"act": act, **asdict(request)})
            return self.line.receive()
        except (OSError, SkillFailed):
            return {}


@contextlib.contextmanager
def running(
    where: str,
    seconds: float,
    *,
    network: bool = False,
    folder: Path | None = None,
    private: Iterable[Path] = (),
) -> Iterator[Running]:
    """Runs the skill `module:Class` for at most so long; raises `SkillFailed`.

    `private` are directories of ours that it shall not read, beside those that are known.
    """
    line = _Line(seconds)
    try:
        line.send(_paths([*private, *places.private()]))
        given = str(folder.resolve()) if folder else None
        line.send({"skill": where, "network": network, "folder": given})
        hello = line.receive()
        yield Running(_manifest(hello["manifest"]), tuple(hello["undone"]), line)
    except (OSError, KeyError, TypeError) as error:
        raise SkillFailed(f"the skill {where} did not start") from error
    finally:
        line.end()


class _Line:
    """A process, the lines to it and from it, and the time that it has."""

    def __init__(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds
        self._process = _started()
        self._in, self._out = _pipes(self._process)
        self._lines: queue.Queue[bytes] = queue.Queue(_LINES_AHEAD)
        # Read in a thread: what the process has started may hold the pipe open, and never write.
        threading.Thread(target=self._read, daemon=True).start()
        self._ending = threading.Timer(seconds, _kill, [self._process])
        self._ending.daemon = True
        self._ending.start()

    def send(self, row: object) -> None:
        """Writes one line; raises OSError where the process has ended."""
        self._in.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
        self._in.flush()

    def receive(self) -> dict[str, Any]:
        """Returns the next line; raises `SkillFailed` where none comes in time."""
        with contextlib.suppress(queue.Empty, ValueError, RecursionError):
            line = self._lines.get(timeout=max(0, self._until - time.monotonic()))
            row = json.loads(line) if line.endswith(b"\n") else None
            if isinstance(row, dict):
                return row
        raise SkillFailed("the process of a skill ended, or answered in another form")

    def end(self) -> None:
        """Ends the process with all that is in its group."""
        self._ending.cancel()
        _kill(self._process)
        self._process.wait()
        with contextlib.suppress(OSError):
            self._in.close()

    def _read(self) -> None:
        with self._out as out:
            while line := out.readline(_LINE_BYTES):
                with contextlib.suppress(queue.Full):
                    self._lines.put(line, timeout=max(0, self._until - time.monotonic()))
            with contextlib.suppress(queue.Full):
                self._lines.put_nowait(b"")


def _started() -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-I", "-S", "-B", "-c", _BOOT],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=_environment(),
        cwd=Path(os.sep).absolute(),
        close_fds=True,
        start_new_session=True,
    )


def _pipes(process: "subprocess.Popen[bytes]") -> tuple[IO[bytes], IO[bytes]]:
    if process.stdin is None or process.stdout is None:
        raise SkillFailed("the process of a skill has no pipes")
    return process.stdin, process.stdout


def _environment() -> dict[str, str]:
    if sys.platform == "win32":  # Python does not start without it
        return {"SYSTEMROOT": os.environ["SYSTEMROOT"]}
    return {"LANG": "C.UTF-8", "PATH": os.defpath}


def _paths(private: Sequence[Path]) -> list[str]:
    """Returns where it may import from: where we do, but no directory that something of ours is in.

    Nor the working directory, which Python puts first when it runs a module: whoever starts us
    there does not mean that a skill may read what lies in it.
    """
    ours, here = [path.resolve() for path in private], Path.cwd()
    package = Path(pipeline.__file__).parent.parent.resolve()
    found = [it for it in (Path(path).resolve() for path in sys.path if path) if it != here]
    found.append(package)
    return [str(it) for it in dict.fromkeys(found) if not any(p.is_relative_to(it) for p in ours)]


def _manifest(row: Mapping[str, Any]) -> Manifest:
    fields = tuple(Field(**it) for it in row["fields"])
    found = Manifest(**{**row, "fields": fields, "answers": tuple(row["answers"])})
    texts = [found.name, found.what_for, found.to, *found.answers]
    if not all(map(_text, [*texts, *(it.why for it in fields)])):
        raise TypeError
    return found


def _text(value: object) -> bool:
    return isinstance(value, str) and len(value) <= _TEXT_LETTERS


def _kill(process: "subprocess.Popen[bytes]") -> None:
    with contextlib.suppress(OSError):
        if sys.platform == "win32":
            process.kill()
        elif process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
