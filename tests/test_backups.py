"""BACKUP.md is true: its commands run with the real restic, borg and rsync, and do what it says.

Each test lives a few days in a scratch home: something is said, a backup is made, something is
forgotten. Then generations come back, a thief has all of them, or the disk dies. The commands are
those of the document, found by their headings; a block that no test runs is a failure.
"""

import contextlib
import copy
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import pytest
from _pytest.mark import ParameterSet

from keys.errors import Erased, KeysError
from keys.model import InteractionId
from pipeline import anchoring
from pipeline.audit import audit
from pipeline.errors import Refused
from pipeline.history import one
from pipeline.restore import restore
from pipeline.session import acting, create_vault, open_vault
from pipeline.vault import Vault
from tests.commandline import Shell
from tests.household import (
    Thief,
    assert_whole,
    clock,
    forget,
    make,
    no_passphrase,
    reopen,
    say,
    sealed_of,
)
from tests.test_readme import Step, run, steps
from tests.world.adversary import shares_in, versions_in

ROOT = Path(__file__).parent.parent
DOCUMENT = (ROOT / "BACKUP.md").read_text("utf-8")
TOOLS = ("restic", "borg", "rsync")
DAYS = 3


def tool_of(name: str) -> ParameterSet:
    missing = pytest.mark.skipif(shutil.which(name) is None, reason=f"{name} is not installed")
    return pytest.param(name, marks=[pytest.mark.anchors, pytest.mark.slow, missing])


PER_TOOL = {
    "Every day",
    "Which generations there are",
    "Take one out",
    "Is an anchor in it",
    "Throw one away",
    "The whole home",
}
ENCRYPTED = {"Settings", "Once"}
COMMON = {
    ("Bringing something back", "From any generation"),
    ("The day the disk dies", "Before"),
    ("The day the disk dies", "After"),
}
WRONG = {  # what somebody does who has not read the document
    "restic": "restic backup ~",
    "borg": "borg create ::wrong ~",
    "rsync": "rsync -a ~/ $BACKUP/anechoic/wrong/",
}
METADATA = 64 * 1024
"""More than a tool writes about a generation of some files: names, sizes, places."""
VANISHED = {"restic": 3, "borg": 1, "rsync": 24}


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


@pytest.fixture(scope="module", params=[tool_of(name) for name in TOOLS])
def three_days(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> tuple[Home, Path]:
    """A home that has lived, and a copy of all that it was then; whoever uses it spoils it."""
    base = tmp_path_factory.mktemp(request.param)
    (base / "now").mkdir()
    home = Home(base / "now", request.param)
    home.live()
    shutil.copytree(home.base, base / "then", symlinks=True)
    return home, base / "then"


@pytest.fixture
def lived(three_days: tuple[Home, Path]) -> Home:
    """A home after three days, put back as it was then."""
    home, then = three_days
    shutil.rmtree(home.base)
    shutil.copytree(then, home.base, symlinks=True)
    again = copy.copy(home)
    again.said, again.sealed = {**home.said}, {**home.sealed}
    again.gone, again.days = [*home.gone], [*home.days]
    again.vault = open_vault(home.place, home.anchors, no_passphrase)
    return again


def shares_below(*places: Path) -> set[bytes]:
    files = (path for place in places for path in place.rglob("*.share"))
    return {share for path in files for share in shares_in(path.read_bytes())}


def test_every_generation_brings_back_what_lives_and_nothing_else(lived: Home) -> None:
    home = lived
    generations = home.generations()
    assert len(generations) == DAYS
    for generation, there in zip(generations, home.days, strict=True):
        home.lose_files()
        home.take_out(generation)
        said = home.do("Bringing something back", "From any generation")
        assert said.count("stays erased") == len(there & {*home.gone}) > 0
        home.assert_here(there - {*home.gone})
        assert not home.found.exists()
    with acting(home.vault, clock):
        assert not audit(home.vault).problems  # the last generation had all that lives


def test_who_has_all_generations_and_the_anchor_of_today_revives_nothing(lived: Home) -> None:
    home = lived
    assert not home.do("Is an anchor in it")
    places = [*home.taken_out(), home.base / "backup", home.place]
    thief = Thief([d for it in places for d in versions_in(it)], shares_below(home.anchors))
    assert thief.opened(home.sealed) == home.of(home.alive)
    assert home.of({*home.gone})


def test_a_backup_that_has_the_anchor_revives(lived: Home) -> None:
    """The control, and the limit: it opens all of its day, and the document's check finds it."""
    home = lived
    (victim,) = home.say("forgotten after the wrong backup")
    before = home.generations()
    home.shell([Step(WRONG[home.tool])])
    home.forget(victim)
    (wrong,) = {*home.generations()} - {*before}
    assert home.do("Is an anchor in it").count(".share") == 1

    home.take_out(wrong)
    out = home.found.rename(home.base / "wrong")
    (place,), (anchors,) = out.rglob("anechoic/vault"), out.rglob("anechoic/anchors")
    with acting(again := open_vault(place, anchors, no_passphrase), clock):
        assert_whole(again, victim, home.said[victim])
    thief = Thief(list(versions_in(out)), shares_below(anchors))
    assert thief.opened(home.sealed) >= home.of({victim})
    thief = Thief(list(versions_in(out)), shares_below(home.anchors))
    assert not thief.opened(home.sealed) & home.of({victim})

    home.do("Throw one away", GENERATION=wrong)
    assert home.generations() == before
    assert not home.do("Is an anchor in it")


def test_the_whole_home_is_backed_up_without_the_anchor(home: Home) -> None:
    (kept,) = home.say("in the home")
    if home.tool == "rsync":  # what an earlier run copied has to go as well
        home.shell([Step("rsync -a ~/ $BACKUP/home/")])
        assert home.do("Is an anchor in it")
    home.do("The whole home")
    assert not home.do("Is an anchor in it")
    home.lose_files()
    if home.tool == "rsync":
        shutil.copytree(home.base / "backup" / "home", home.found)
    else:
        home.take_out(home.generations()[-1])
    home.do("Bringing something back", "From any generation")
    home.assert_here({kept})


def die(home: Home) -> Path:
    """The disk with the home dies; a new one has nothing but the password from the paper."""
    dead = home.home.rename(home.base / "dead")
    config = home.home / ".config"
    config.mkdir(parents=True)
    for password in (dead / ".config").glob("*-password"):
        shutil.copy(password, config)
    return dead


def test_the_disk_dies_and_all_that_was_backed_up_is_there(home: Home) -> None:
    home.do("The day the disk dies", "Before")
    home.live()
    there = home.alive
    home.say("after the last backup")
    home.forget(next(iter(there)))
    dead = die(home)
    home.take_out(home.generations()[-1])
    home.do("The day the disk dies", "After")

    home.vault = open_vault(home.place, home.anchors, no_passphrase)
    home.assert_here(there - {*home.gone})
    (new,) = home.say("after the disk died")
    home.assert_here((there | {new}) - {*home.gone})
    # What dies now waits for the anchor of the dead disk, and rightly so.
    victim = next(iter(there - {*home.gone}))
    assert forget(home.vault, victim).statement.verdict == "pending"
    assert home.vault.ring.outstanding == {"file"}
    out = home.taken_out()
    versions = [d for it in (*out, home.base / "anechoic", home.place) for d in versions_in(it)]
    thief = Thief(versions, shares_below(dead))
    opened = thief.opened(home.sealed)
    assert not opened & home.of({*home.gone})
    assert not opened & home.of({new})
    # The limit: who finds the dead disk has the share that nobody could wipe, and a ring of then.
    opened = Thief([*versions, *versions_in(dead)], shares_below(dead)).opened(home.sealed)
    assert opened >= home.of({victim})
    assert not opened & home.of({*home.gone, new})


def test_forgetting_makes_no_sealed_file_be_stored_again(home: Home) -> None:
    ids = home.say(*(f"number {n} of many" for n in range(40)))
    home.do("Every day")
    home.days.append({*ids})
    before = stored(home.base / "backup")
    home.forget(ids[0])
    home.do("Every day")
    rest = stored(home.place) - stored(home.place / "sealed")
    cost = stored(home.base / "backup") - before
    assert 0 < cost < rest + METADATA < stored(home.place / "sealed")


def stored(directory: Path) -> int:
    """Returns how many bytes the files of a directory hold, hard links counted once."""
    found = (path.lstat() for path in directory.rglob("*") if path.is_file())
    return sum({it.st_ino: it.st_size for it in found}.values())


def test_the_anchor_that_died_is_not_replaced_by_one_of_its_name(tmp_path: Path) -> None:
    """Why the document names the new one otherwise: a receipt would confirm what still opens."""
    vault = make(tmp_path)
    (tmp_path / "stick").mkdir()
    with acting(vault, clock):
        anchoring.add(vault, f"file:{tmp_path / 'stick'}")
    (victim,) = say(vault, "in the vault when the disk died")
    sealed = sealed_of(vault, victim)
    shutil.copytree(vault.directory, tmp_path / "dead" / "vault")
    (tmp_path / "anchors").rename(tmp_path / "dead" / "anchors")
    again = reopen(tmp_path)
    with acting(again, clock):
        anchoring.remove(again, "file")
        with pytest.raises(Refused, match="file"):
            anchoring.add(again, "file")
        anchoring.add(again, f"file:{tmp_path / 'anchors' / 'new'}")
    assert forget(again, victim).statement.verdict == "pending"
    thief = Thief(list(versions_in(tmp_path / "dead")), shares_below(tmp_path / "dead"))
    assert thief.opened(sealed) == sealed.keys()


# A backup that is made while somebody speaks

WRITER = """
import sys
from pathlib import Path
from pipeline.session import open_vault
from tests.household import forget, no_passphrase, say

vault = open_vault(Path(sys.argv[1]), Path(sys.argv[2]), no_passphrase)
for n in range(100_000):
    (it,) = say(vault, f"said meanwhile, number {n}")
    if n % 2:
        forget(vault, it)
    print(n, flush=True)
"""


@contextlib.contextmanager
def writing(home: Home) -> Iterator[IO[bytes]]:
    """Another process speaks and forgets all the time; it is killed in the middle."""
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(home.place), str(home.anchors)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout
        try:
            yield process.stdout
        finally:
            process.kill()


def test_in_a_copy_made_while_it_is_written_each_sealed_file_is_good(home: Home) -> None:
    ids = home.say("said before", "forgotten before")
    home.forget(ids[1])
    with writing(home) as said:
        for _ in range(4):
            for _ in range(3):
                assert said.readline()
            home.shell(BLOCKS[home.tool, "Every day"], also=VANISHED[home.tool])
            home.days.append({*ids})  # another day
    home.lose_files()
    states, alone = Counter[str](), 0
    for folder in home.taken_out():
        (place,) = (it.parent for it in folder.rglob("vault.json"))
        with acting(home.vault, clock):
            back = list(restore(home.vault, place))
        states.update(row.state for row in back if "/sealed/" in row.name)
        alone += opens_alone(place, home.anchors)
    print(f"{home.tool}: {dict(states)}; {alone} of 4 copies open as a vault of their own")
    assert states.keys() <= {"restored", "present", "erased"}
    assert states["restored"] >= 2 * 3
    with acting(home.vault, clock):
        assert_whole(home.vault, ids[0], home.said[ids[0]])
        assert all("the file is missing" in it for it in audit(home.vault).problems)


def opens_alone(place: Path, anchors: Path) -> bool:
    try:
        with acting(open_vault(place, anchors, no_passphrase), clock):
            return True
    except KeysError:
        return False


@pytest.mark.parametrize("old", ["ring", "log"])
def test_a_torn_copy_is_good_enough(tmp_path: Path, old: str) -> None:
    """Ring or log are of the moment before an erasure, and all else of the one after it."""
    vault, torn = make(tmp_path), tmp_path / "torn"
    texts = ("erased meanwhile", "there before", "said meanwhile")
    ids = say(vault, *texts[:2])
    shutil.copytree(vault.directory / old, tmp_path / "before")
    forget(vault, ids[0])
    ids += say(vault, texts[2])
    shutil.copytree(vault.directory, torn)
    shutil.rmtree(torn / old)
    (tmp_path / "before").rename(torn / old)

    with acting(vault, clock):
        for path in list(vault.paths()):
            path.unlink()
        assert Counter(row.state for row in restore(vault, torn)) == {"restored": 6}
        assert_whole(vault, ids[1], texts[1])
        assert_whole(vault, ids[2], texts[2])
        assert not audit(vault).problems
    assert not is_sound(torn, tmp_path / "anchors")


def is_sound(place: Path, anchors: Path) -> bool:
    """Tells whether a copy opens as a vault, and its audit finds nothing."""
    try:
        with acting(again := open_vault(place, anchors, no_passphrase), clock):
            return not audit(again).problems
    except KeysError:
        return False


# What no backup has


def one_lost(base: Path) -> tuple[Vault, InteractionId, InteractionId]:
    """Returns a vault, an interaction that is in it, and one of which no backup had the files."""
    vault = make(base)
    kept, lost = say(vault, "in the backup", "said after the last backup")
    with acting(vault, clock):
        for artefact in vault.artefacts(lost):
            artefact.path.unlink()
    return vault, kept, lost


@pytest.mark.parametrize(
    "command", ["history", "search backup", "forget --all --yes", "forget LOST --yes"]
)
def test_what_no_backup_has_stops_no_command(tmp_path: Path, command: str) -> None:
    """It must be possible to forget it too: somebody may find the disk that died."""
    _, _, lost = one_lost(tmp_path)
    done = Shell(tmp_path)(*command.replace("LOST", lost.hex()).split())
    assert done.code == 0, done.err


def test_beside_what_no_backup_has_the_rest_can_be_shown_and_forgotten(tmp_path: Path) -> None:
    vault, kept, lost = one_lost(tmp_path)
    with acting(vault, clock):
        assert one(vault, kept, "show").text == "in the backup"
    assert forget(vault, kept).statement.verdict == "confirmed"
    with acting(vault, clock):
        assert list(vault.interactions()) == [lost]


# The document itself


def test_each_command_of_the_document_is_one_that_is_run_here() -> None:
    expected = {(tool, part) for tool in TOOLS for part in PER_TOOL}
    expected |= {(tool, part) for tool in ("restic", "borg") for part in ENCRYPTED} | COMMON
    assert set(BLOCKS) == expected
    shown = re.findall(r"^\$ (.*)$", DOCUMENT, re.MULTILINE)
    not_run = [line for line in shown if line.endswith("# not run")]
    assert all(line.startswith("export ") for line in not_run)
    assert sum(map(len, BLOCKS.values())) == len(shown) - len(not_run)


def test_what_the_document_names_is_in_the_vault(tmp_path: Path) -> None:
    vault = make(tmp_path)
    forget(vault, *say(vault, "once"))
    listed = re.findall(r"^\| (`.*?`) \|", DOCUMENT, re.MULTILINE)
    named = set(re.findall(r"`([a-z.]+)/?`", " ".join(listed)))
    assert named == {path.name for path in vault.directory.iterdir()} - {"lock", "lock.queue"}
