"""What happens in the hour of `soak`: real processes at one vault, one after the other and at once.

Two go on all the time and are measured: `serve`, with a page and as speech-to-text, and one that
makes notes. Beside them commands come and go: they hear files, search, forget in every way there
is, bring files back from backups, rotate. Some are killed at any moment. Whatever was acknowledged
goes into the model; what was done otherwise than it should be is a problem, which names no words.
"""

import asyncio
import contextlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from pipeline import models
from tests.bench.noting import CANARY
from tests.bench.soaked import Backups, Model
from tests.bench.web import Client
from tests.bench.wyoming import pcm_of
from tests.commandline import COMMAND, ROOT, Result, Shell
from tests.wyoming_client import AsyncTcpClient, begin, send, stop, text_of

SAMPLES = sorted((ROOT / "samples").glob("[01]*.wav"))[:-1]  # the last asks to forget
NOT_FOUND, ERASED, BUSY = 3, 4, 6
PATIENCE_S = 120.0


class Process:
    """One that goes on: its output in a file, or, line by line, to whoever wants it."""

    def __init__(self, shell: Shell, command: Sequence[str], log: Path) -> None:
        self.log = log
        with open(log, "wb") as file:
            self.it = subprocess.Popen(
                command,
                env=shell.environment,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=file,
                text=True,
                start_new_session=True,
            )

    @property
    def ran_on(self) -> bool:
        """Whether it has not ended."""
        return self.it.poll() is None

    def says(self, what: str) -> str:
        """Waits until this is in its log; returns the last that fits."""
        until_s = time.monotonic() + PATIENCE_S
        while not (found := re.findall(what, self.log.read_text())):
            assert self.ran_on, "it ended at once"
            assert time.monotonic() < until_s, "it never said so"
            time.sleep(0.1)
        return str(found[-1])

    def ends(self) -> int:
        """Asks it to end; returns its exit code."""
        self.it.send_signal(signal.SIGINT)
        self.it.communicate(timeout=PATIENCE_S)
        return self.it.returncode


class Noter(Process):
    """One that makes notes, of which the model learns as they are acknowledged."""

    def __init__(self, shell: Shell, model: Model, name: str, pause_s: float) -> None:
        words = ("-m", "tests.bench.noting", str(shell.home), name, str(pause_s))
        super().__init__(shell, (sys.executable, *words), shell.home / f"noter-{name}.log")
        self.told: list[tuple[str, str, str]] = []
        self.held: dict[str, float] = {}
        """What it holds, as it last told; nothing before."""
        self._model = model
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.it.stdout
        for line in self.it.stdout:
            with contextlib.suppress(ValueError):  # half a line of one that was killed
                row = json.loads(line)
                if isinstance(row, dict):
                    self.held = {"noter: MiB that it holds": row["held_mib"]}
                else:
                    self.told.append(tuple(row))

    def learn(self) -> None:
        """Has the model learn what it has told so far."""
        told, self.told = self.told, []
        for id_, text, label in told:
            self._model.learn(id_, text, label)


@dataclass
class Soak:
    """A vault, the model of it, and all that happens to it."""

    base: Path
    chance: random.Random
    audio_minutes: int
    words_minutes: int
    pause_s: float
    problems: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    found_by_control: list[int] = field(default_factory=list)
    dead_tried: int = 0
    log_key: str = ""
    verified: set[Path] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.shell = Shell(self.base, {"ANECHOIC_MODEL": str(models.find(None))})
        self.model = Model(60 * self.audio_minutes, 60 * self.words_minutes)
        self.backups = Backups(self.base, self.base / "backups")
        limits = ("--audio", f"{self.audio_minutes}m", "--words", f"{self.words_minutes}m")
        for words in (("init",), ("mirror", "add", self.base / "mirror")):
            self.command(*words)
        self.command("retention", "set", *limits)
        self.log_key = self.command("log-key", "show").json["log_keys"][-1]
        self.serve = self._served()
        self.noter = Noter(self.shell, self.model, "a", self.pause_s)

    def _served(self) -> Process:
        doors = ("--web", "127.0.0.1:0", "--wyoming", "tcp://127.0.0.1:0")
        for name in ("page", "csrf", "port"):
            self.__dict__.pop(name, None)
        number = self.counts["serve began"] = self.counts["serve began"] + 1
        log = self.base / f"serve-{number}.log"
        return Process(self.shell, (*COMMAND, "serve", *doors), log)

    @cached_property
    def page(self) -> Client:
        """The page of `serve`, to which a browser has come in."""
        return Client(self.serve.says(r"http\S+#\S+"))

    @cached_property
    def csrf(self) -> str:
        """What the forms of the page send along."""
        return str(re.findall(r'name="csrf" content="(\w+)"', self.page.ask("GET", "/")[0])[0])

    @cached_property
    def port(self) -> int:
        """Where `serve` hears."""
        return int(self.serve.says(r"tcp://127\.0\.0\.1:(\d+)"))

    # --- doing

    def begin(self) -> None:
        """Waits until `serve` is at work."""
        self.serve.says("at work")
        self._ask("GET", "/")

    def still_there(self) -> None:
        """Begins anew what should go on and has ended, which is a problem."""
        for it in (self.serve, self.noter):
            if not it.ran_on:
                self.wrong(f"{it.log.name}: it ended: {it.log.read_text()[-600:]}")
        if not self.serve.ran_on:
            self.serve = self._served()
            self.begin()
        if not self.noter.ran_on:
            self.noter = Noter(self.shell, self.model, f"n{len(self.problems)}x", self.pause_s)

    def command(self, *words: str | Path, may: Sequence[int] = (0,)) -> Result:
        """Runs a command to its end; an exit code that it may not have is a problem."""
        try:
            done = self.shell("--json", *words)
        except subprocess.TimeoutExpired:
            self.wrong(f"{words[0]} never ended")
            return Result(-1, "", "")
        if done.code == BUSY:
            self.counts["busy"] += 1
        elif done.code not in may:
            what = done.err.replace(CANARY, "…")[-600:]
            self.wrong(f"{words[0]} ended with {done.code}: {what}")
        return done

    def wrong(self, what: str) -> None:
        """Notes a problem, with the time."""
        self.problems.append(f"{time.strftime('%H:%M:%S', time.gmtime())} {what}")
        sys.stderr.write(f"PROBLEM {self.problems[-1]}\n")

    def act(self) -> None:
        """Does one thing, whichever."""
        name = self.chance.choices([*ACTS], [*ACTS.values()])[0]
        self.counts[name.__name__.strip("_")] += 1
        self.noter.learn()
        try:
            name(self)
        except (AssertionError, KeyError, ValueError, OSError) as error:
            self.wrong(f"{name.__name__}: {type(error).__name__} {traceback.format_exc()[-300:]}")
        self.still_there()

    def _some(self, most: int = 1) -> list[str]:
        """Returns some that live, and do not fall due within this minute or the next.

        None that a killed process may have forgotten: until that is known, nobody else touches it.
        """
        late_s, unsure = time.time() + 90, set().union(*self.model.doubtful)
        ids = [
            id_
            for id_, it in self.model.living.items()
            if it.processed_s and self.model.ends_s(it, self.model.words_s) > late_s
            if id_ not in unsure
        ]
        return self.chance.sample(ids, min(len(ids), self.chance.randint(1, most)))

    # hearing

    def _ingest(self) -> None:
        files = self.chance.sample(SAMPLES, self.chance.randint(1, 3))
        self._heard(self.command("ingest", *files).out)

    def _heard(self, out: str) -> None:
        for line in out.splitlines():
            with contextlib.suppress(ValueError):  # half a line of one that was killed
                row = json.loads(line)
                self.model.learn(row["interaction"], row["text"])

    def _dictate(self) -> None:
        sample = self.chance.choice(SAMPLES)
        try:
            text = asyncio.run(self._said(sample))
        except (OSError, EOFError, asyncio.IncompleteReadError) as error:
            self.wrong(f"{sample.name} was not answered: {type(error).__name__}")
            return
        if not text:
            self.wrong(f"{sample.name}: nothing was heard")

    async def _said(self, sample: Path) -> str | None:
        async with AsyncTcpClient("127.0.0.1", self.port, read_timeout=PATIENCE_S) as client:
            await begin(client)
            await send(client, pcm_of(sample, 0.8))
            return text_of(await stop(client))

    # looking

    def _look(self) -> None:
        for path in ("/", "/agenda", "/receipts", "/held"):
            self._ask("GET", path)
        for id_ in self._some(3):
            self._ask("GET", f"/interactions/{id_}")
        self._ask("POST", "/search", {"words": self.chance.choice(["light", "music", "timer"])})

    def _ask(self, method: str, path: str, fields: dict[str, str] | None = None) -> str:
        """Asks for a page; one that says that the vault is busy is asked for again."""
        more = {**fields, "csrf": self.csrf} if fields is not None else None
        until_s = time.monotonic() + PATIENCE_S
        while True:
            try:
                return self.page.ask(method, path, more)[0]
            except AssertionError as error:
                status = error.args[0][0]
                if status in {NOT_FOUND_PAGE, GONE_PAGE}:
                    self.counts["page of what had gone"] += 1
                    return ""
                if status != BUSY_PAGE or time.monotonic() > until_s:
                    self.wrong(f"{path.rpartition('/')[0]}: {status}")
                    return ""
                self.counts["busy page"] += 1
            except OSError as error:
                self.wrong(f"{path.rpartition('/')[0]}: {type(error).__name__}")
                return ""

    def _search(self) -> None:
        for id_ in self._some():
            text = self.model.living[id_].text or ""
            if CANARY in text:
                done = self.command("search", text.rsplit(" ", 1)[1])
                if done.code == 0 and [it["interaction"] for it in done.json] != [id_]:
                    self.wrong(f"search does not find {id_} alone")

    def _list(self) -> None:
        self.command("history", "--limit", "50")
        self.command("report")
        self.command("agenda")

    # forgetting

    def _forget(self) -> None:
        if ids := self._some(20):
            self._forgotten(ids, self.command("forget", *ids, "--yes", may=(0, ERASED)))

    def _forget_words(self) -> None:
        for id_ in self._some():
            text = self.model.living[id_].text or ""
            if CANARY in text:
                words = ("--match", text.rsplit(" ", 1)[1], "--yes")
                self._forgotten([id_], self.command("forget", *words, may=(0, NOT_FOUND)))

    def _forgotten(self, ids: Sequence[str], done: Result) -> None:
        if done.code == 0:
            if set(done.json["erased"]) != set(ids):
                self.wrong("forget erased others than it was told to")
            self.model.bury(ids)

    def _forget_sound(self) -> None:
        if ids := self._some(5):
            words = ("forget", *ids, "--only", "audio", "--yes")
            done = self.command(*words, may=(0, ERASED, NOT_FOUND))
            for id_ in ids:
                if done.code == 0:
                    self.model.living[id_].has_audio = False
                else:
                    self.model.unsure_of_audio.add(id_)

    def _keep_alarm(self) -> None:
        for id_ in self._some(30):
            if label := self.model.living[id_].label:
                names = self.command("forget", id_, "--dry-run").json["keepable"]
                keep = [word for it in names for word in ("--keep", it["name"])]
                done = self.command("forget", id_, *keep, "--yes")
                if done.code == 0:
                    self.model.records.add(label)
                self._forgotten([id_], done)
                return

    def _forget_on_the_page(self) -> None:
        for id_ in self._some():
            fields = {"way": "chosen", "id": id_}
            plan = _plan_in(self._ask("POST", "/plan", fields))
            self.model.doubtful.append({id_})
            while plan:  # a worker that is relieved takes the plan along, and it is shown anew
                plan = _plan_in(self._ask("POST", "/forget", {**fields, "plan": plan}))
                self.counts["plan shown anew"] += bool(plan)
            if f'"{id_}"' in self.command("history").out:
                self.wrong(f"{id_} was forgotten on the page and is listed")

    # copies

    def _lose_and_restore(self) -> None:
        if not self.backups.copies:
            return
        copy = self.chance.choice(self.backups.copies)
        lost = self._lose(copy)
        done = self.command("restore", copy)
        left = [it for it in lost if not it.exists() and self._owner(it) in self.model.living]
        if done.code == 0 and (bad := [it for it in left if not self._may_have_gone(it)]):
            self.wrong(f"{len(bad)} files were not restored, {self._owner(bad[0])}")

    def _lose(self, copy: Path) -> list[Path]:
        some, lost = self._some(3), list[Path]()
        for path in copy.glob("sealed/*/*"):
            here = self.base / "vault" / path.relative_to(copy)
            if self._owner(path) in some and here.exists():
                here.unlink()
                lost.append(here)
        return lost

    def _may_have_gone(self, path: Path) -> bool:
        said = self.model.living[self._owner(path)]
        ends_s = self.model.ends_s(said, self.model.audio_s)
        return path.name.endswith(".audio") and (not said.has_audio or ends_s <= time.time())

    @staticmethod
    def _owner(path: Path) -> str:
        return path.name.partition(".")[0]

    def _rotate(self) -> None:
        self.command("anchor", "rotate")

    # killing

    def _kill(self, *words: str | Path) -> str:
        """Starts a command, kills it alone at any moment, and sees that nothing of it is left."""
        it = self.shell.start("--json", *words)
        time.sleep(self.chance.uniform(0.1, 3.0))
        it.kill()
        out, _ = it.communicate()
        self._nothing_left(it.pid, str(words[0]))
        return str(out)

    def _nothing_left(self, session: int, what: str) -> None:
        until_s = time.monotonic() + 10
        while left := _in_session(session):
            if time.monotonic() > until_s:
                self.wrong(f"{what} was killed, and {len(left)} processes of it go on")
                for pid in left:
                    os.kill(pid, signal.SIGKILL)
                return
            time.sleep(0.2)

    def _kill_hearing(self) -> None:
        self._heard(self._kill("ingest", *self.chance.sample(SAMPLES, 3)))

    def _kill_forgetting(self) -> None:
        if ids := self._some(20):
            self.model.doubtful.append(set(ids))
            self._kill("forget", *ids, "--yes")

    def _kill_restoring(self) -> None:
        if self.backups.copies:
            self._kill("restore", self.chance.choice(self.backups.copies))

    def _kill_rotating(self) -> None:
        self._kill("anchor", "rotate")

    def _kill_service(self) -> None:
        self._kill("serve", "--wyoming", "tcp://127.0.0.1:0")

    def _kill_noter(self) -> None:
        name = f"k{self.counts['kill_noter']}x"
        it = Noter(self.shell, self.model, name, 0.0)
        time.sleep(self.chance.uniform(0.5, 4.0))
        it.it.kill()
        it.it.wait()
        it.it.communicate()
        it.learn()

    # --- holding it against the model

    def check(self) -> None:
        """Looks at everything: the model, the audit, the receipts, the machine, the thief."""
        self.counts["check"] += 1
        self.noter.learn()
        for what in self.model.check(self.base):
            self.wrong(what)
        audited = self.command("audit")
        if audited.code == 0 and audited.json["problems"]:
            self.wrong(f"audit: {audited.json['problems'][:3]}")
        bad = [it["check"] for it in self.command("doctor").json if it["state"] == "bad"]
        if bad:
            self.wrong(f"doctor: {bad}")
        self._verify()

    def _verify(self) -> None:
        fresh = set((self.base / "vault" / "receipts").glob("*.receipt")) - self.verified
        if fresh:
            words = ("-m", "keys.verify", *map(str, sorted(fresh)), "--log-key", self.log_key)
            done = subprocess.run(
                (sys.executable, *words), cwd=ROOT, capture_output=True, text=True, check=False
            )
            if done.returncode:
                self.wrong(f"verify ended with {done.returncode}: {done.stdout[-300:]}")
            self.verified |= fresh

    def thief(self) -> None:
        """Takes a backup, and has a thief try all of them."""
        self.counts["backup"] += 1
        self.backups.take()
        found, control = self.backups.opened(self.model)
        for name in found:
            self.wrong(f"{name} was forgotten and opens for a thief")
        self.found_by_control.append(control)

    def end(self) -> None:
        """Ends what goes on, and looks for what was said in all that is on the disk."""
        code = self.serve.ends()
        if code:
            self.wrong(f"serve ended with {code}: {self.serve.log.read_text()[-300:]}")
        self._nothing_left(self.serve.it.pid, "serve")
        self.noter.it.kill()
        self.noter.it.communicate()
        for path in self.base.rglob("*"):
            if path.is_file() and CANARY.encode() in path.read_bytes():
                self.wrong(f"{path.relative_to(self.base)} holds what was said")


NOT_FOUND_PAGE, GONE_PAGE, BUSY_PAGE = 404, 410, 503
ACTS: dict[Any, int] = {
    Soak._ingest: 3,
    Soak._dictate: 4,
    Soak._look: 5,
    Soak._search: 2,
    Soak._list: 1,
    Soak._forget: 3,
    Soak._forget_words: 1,
    Soak._forget_sound: 1,
    Soak._keep_alarm: 1,
    Soak._forget_on_the_page: 2,
    Soak._lose_and_restore: 1,
    Soak._rotate: 1,
    Soak._kill_hearing: 1,
    Soak._kill_forgetting: 2,
    Soak._kill_restoring: 1,
    Soak._kill_rotating: 1,
    Soak._kill_service: 1,
    Soak._kill_noter: 1,
}
"""What happens, and how often, beside each other."""


def _plan_in(page: str) -> str:
    return str(next(iter(re.findall(r'name="plan" value="(\w+)"', page)), ""))


def _in_session(session: int) -> list[int]:
    """Returns the processes that were started in a session and have not ended."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            state, *rest = (folder / "stat").read_text().rpartition(")")[2].split()
            if int(rest[2]) == session and state != "Z":
                found.append(int(folder.name))
    return found
