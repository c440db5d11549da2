"""A home that is backed up by the commands of BACKUP.md, with the real restic, borg or rsync.

The commands are found by the headings above them. Nothing is tested here.
"""

import os
import re
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

from keys.errors import Erased
from keys.model import InteractionId
from pipeline.session import acting, create_vault
from tests.household import (
    assert_whole,
    clock,
    forget,
    say,
    sealed_of,
)
from tests.test_readme import Step, run, steps
from tests.world.adversary import shares_in

ROOT = Path(__file__).parent.parent
DOCUMENT = (ROOT / "BACKUP.md").read_text("utf-8")
TOOLS = ("restic", "borg", "rsync")
DAYS = 3


def tool_of(name: str) -> ParameterSet:
    missing = pytest.mark.skipif(shutil.which(name) is None, reason=f"{name} is not installed")
    return pytest.param(name, marks=[pytest.mark.anchors, pytest.mark.slow, missing])


WRONG = {  # what somebody does who has not read the document
    "restic": "restic backup ~",
    "borg": "borg create ::wrong ~",
    "rsync": "rsync -a ~/ $BACKUP/anechoic/wrong/",
}


def blocks(text: str) -> dict[tuple[str, str], list[Step]]:
    """Returns the commands of the document by the two headings above them."""
    found = {}
    for chapter in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        first, *sections = re.split(r"^### ", chapter, flags=re.MULTILINE)
        for section in sections:
            if them := steps(section):
                found[first.splitlines()[0], section.splitlines()[0]] = them
    return found


BLOCKS = blocks(DOCUMENT)


@dataclass
class Home:
    """A home with a vault where it is by default, backed up by one tool; and what became of it."""

    base: Path
    tool: str
    said: dict[InteractionId, str] = field(default_factory=dict)
    sealed: dict[str, bytes] = field(default_factory=dict)
    gone: list[InteractionId] = field(default_factory=list)
    days: list[set[InteractionId]] = field(default_factory=list)
    """What the generation of each day has."""
    runs: int = 0

    def __post_init__(self) -> None:
        for name in ("home", "backup", "stick", "bin"):
            (self.base / name).mkdir()
        today = self.base / "bin" / "date"  # the days of a test go by quicker
        today.write_text("#!/bin/sh\necho $TODAY\n")
        today.chmod(0o755)
        self.vault = create_vault(self.place, self.anchors)
        if self.tool in {"restic", "borg"}:
            self.do("Once")

    @property
    def home(self) -> Path:
        return self.base / "home"

    @property
    def place(self) -> Path:
        return self.home / ".local/share/anechoic/vault"

    @property
    def anchors(self) -> Path:
        return self.home / ".local/state/anechoic/anchors"

    @property
    def found(self) -> Path:
        return self.home / "found"

    def do(self, *headings: str, **more: str) -> str:
        """Runs a block of the document; all of it must end as the document says."""
        key = (self.tool, *headings) if len(headings) == 1 else headings
        return self.shell(BLOCKS[key[0], key[1]], more=more)

    def shell(self, them: list[Step], also: int = 0, more: dict[str, str] | None = None) -> str:
        """Runs commands after the settings of the tool; returns what they printed."""
        settings = BLOCKS.get((self.tool, "Settings"), [])
        self.runs += 1
        folder = self.base / "runs" / str(self.runs)
        folder.mkdir(parents=True)
        done = run([*settings, *them], folder, self.environment | (more or {}))
        for step, (code, output) in zip([*settings, *them], done, strict=True):
            assert code in {step.code, also}, f"$ {step.command}\n{output}"
        return "".join(output for _, output in done)

    @property
    def environment(self) -> dict[str, str]:
        path = [self.base / "bin", Path(sys.executable).parent, os.environ["PATH"]]
        return {
            "PATH": os.pathsep.join(map(str, path)),
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            "PYTHONPATH": str(ROOT),
            "BACKUP": str(self.base / "backup"),
            "SECOND": str(self.base),
            "STICK": str(self.base / "stick"),
            "TODAY": f"2026-03-{len(self.days) + 1:02}",
        }

    def say(self, *texts: str) -> list[InteractionId]:
        ids = say(self.vault, *texts)
        self.said |= dict(zip(ids, texts, strict=True))
        for it in ids:
            self.sealed |= sealed_of(self.vault, it)
        return ids

    def forget(self, interaction: InteractionId) -> None:
        forget(self.vault, interaction)
        self.gone.append(interaction)

    def live(self) -> None:
        """Three days: three things are said, the backup is made, the first of them is forgotten.

        The day after, the last of the day before is forgotten too.
        """
        last: list[InteractionId] = []
        for day in range(DAYS):
            ids = self.say(*(f"number {n} of day {day}" for n in range(3)))
            self.do("Every day")
            self.days.append({*self.said} - {*self.gone})
            for it in (*ids[:1], *last[2:]):
                self.forget(it)
            last = ids

    def generations(self) -> list[str]:
        """Returns the names of all generations, the oldest first, as the document's list says."""
        lines = self.do("Which generations there are").splitlines()
        ids = [line.split()[0] for line in lines if re.match(r"[0-9a-f]{8}  |.*-|wrong", line)]
        return [it for it in ids if it.strip("-")]

    def take_out(self, generation: str) -> None:
        self.do("Take one out", GENERATION=generation)

    def taken_out(self) -> list[Path]:
        """Takes every generation out, each into a folder of its own."""
        folders = []
        for number, generation in enumerate(self.generations()):
            self.take_out(generation)
            folders.append(self.base / f"out-{number}")
            self.found.rename(folders[-1])
        return folders

    def lose_files(self) -> None:
        with acting(self.vault, clock):
            for path in list(self.vault.paths()):
                path.unlink()

    def of(self, interactions: set[InteractionId]) -> set[str]:
        ids = {it.hex() for it in interactions}
        return {name for name in self.sealed if name.partition(".")[0] in ids}

    @property
    def alive(self) -> set[InteractionId]:
        return {*self.said} - {*self.gone}

    def assert_here(self, expected: set[InteractionId]) -> None:
        """Asserts that these open and are whole, and that of all else no file is there."""
        with acting(self.vault, clock):
            for it, text in self.said.items():
                if it in expected:
                    assert_whole(self.vault, it, text)
                else:
                    assert not self.vault.artefacts(it)
            for it in self.gone:
                with pytest.raises(Erased):
                    self.vault.resolve(it.hex())


@pytest.fixture(params=[tool_of(name) for name in TOOLS])
def home(tmp_path: Path, request: pytest.FixtureRequest) -> Home:
    return Home(tmp_path, request.param)


def shares_below(*places: Path) -> set[bytes]:
    files = (path for place in places for path in place.rglob("*.share"))
    return {share for path in files for share in shares_in(path.read_bytes())}
