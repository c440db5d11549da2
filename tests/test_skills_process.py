"""The process of a skill: what it gets, what is kept from it, and that it ends.

The skills here are plug-ins, installed for the test as anybody's would be.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from unittest import mock

import pytest

from pipeline.disclosures import Reference
from pipeline.errors import NotFound, Refused
from pipeline.skills import process, use
from pipeline.skills.catalogue import BUILT_IN, described, known_skill, known_skills
from pipeline.skills.confine import FILES, NETWORK
from pipeline.skills.interface import NotSent, Outcome, Request, Result, Unknown
from tests.lateness import lateness_s
from tests.shop import configure, install, shop, until

CANARY = "the doctor said marmalade"
REFERENCE = Reference(bytes(range(16)))
MODULE = """
import json, os, socket, subprocess, sys, time
from pipeline.skills.interface import *

def manifest(name, *, leaves=False, to="nowhere", answers=("text",)):
    return Manifest(name, "for the test", (Field("text", "to see", leaves),), to, answers)

class Echo:
    manifest = manifest("echo")
    def handle(self, request):
        open_ones = []
        for fd in range(64):
            try:
                found = os.fstat(fd)
                open_ones.append([found.st_dev, found.st_ino])
            except OSError:
                pass
        got = {"fields": dict(request.fields), "env": dict(os.environ), "argv": sys.orig_argv,
               "open": open_ones, "cwd": os.getcwd(), "settings": dict(request.settings),
               "path": sys.path}
        return Result({"text": json.dumps(got)})
    def erase(self, request):
        return Answer("refused" if request.fields else "erased")

class Net(Echo):
    manifest = manifest("net", leaves=True)
    def handle(self, request):
        host, port = request.settings["address"].split(":")
        try:
            socket.create_connection((host, int(port)), 2).close()
        except OSError as error:
            return Result({"text": type(error).__name__})
        return Result({"text": "reached"})

class NoNet(Net):
    manifest = manifest("nonet")

class Files(Echo):
    manifest = manifest("files")
    def handle(self, request):
        found = {}
        for name, path in request.settings.items():
            try:
                found[name] = "written" if open(path, "a").write(request.fields["text"]) else ""
            except OSError:
                try:
                    found[name] = "read" if open(path, "rb").read() else "empty"
                except OSError as error:
                    found[name] = type(error).__name__
        return Result({"text": json.dumps(found)})

class Loud(Echo):
    manifest = manifest("loud")
    def handle(self, request):
        text = request.fields["text"]
        print(text, flush=True)
        print(text, file=sys.stderr, flush=True)
        os.write(1, text.encode())
        os.write(2, text.encode())
        raise ValueError(text)

class Slow(Echo):
    manifest = manifest("slow")
    def handle(self, request):
        time.sleep(60)

class Family(Echo):
    manifest = manifest("family")
    def handle(self, request):
        own = os.fork()
        if not own:
            if request.settings.get("apart"):
                os.setsid()
            time.sleep(60)
        if request.settings.get("tell"):
            open(request.settings["tell"], "w").write(str(own))
        time.sleep(60)

class Endless(Echo):
    manifest = manifest("endless")
    def handle(self, request):
        for fd in range(3, 16):
            try:
                while True:
                    os.write(fd, b"[" * 4096)
            except OSError:
                pass

class Chatty(Echo):
    manifest = manifest("chatty", answers=("text", "kind"))
    def handle(self, request):
        return Result({"text": "yes", "kind": "b" * 5000, "more": request.fields["text"]})

class Odd(Echo):
    manifest = manifest("odd")
    def handle(self, request):
        return {"text": "not an outcome"}
    def erase(self, request):
        return Answer("perhaps")

class Fickle(Echo):
    manifest = manifest("fickle", to=str(time.monotonic_ns()))

class Masked(Echo):
    manifest = manifest("another")

class Greedy(Echo):
    manifest = manifest("greedy")
    def handle(self, request):
        return Result({"text": str(len(bytearray(4 << 30)))})
"""
CLASSES = "Echo Net NoNet Files Loud Slow Family Endless Chatty Odd Fickle Masked Greedy"
NAMES = {it.lower(): it for it in CLASSES.split()} | {"order": "Echo", "broken": "Missing"}

linux = pytest.mark.skipif(sys.platform != "linux", reason="what only Linux can keep from it")


@pytest.fixture(autouse=True)
def plugged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    install(monkeypatch, tmp_path / "plug-ins", MODULE, **NAMES)
    return enable(tmp_path, monkeypatch)


def enable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: str = "") -> Path:
    rows = "".join(f"[{name}]\nenabled = true\n" for name in NAMES)
    return configure(monkeypatch, tmp_path / "config", rows + more)


def with_options(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    folder: Path | None = None,
    **options: str,
) -> None:
    rows = [f'{key} = "{value}"' for key, value in options.items()]
    where = [f'folder = "{folder}"'] if folder else []
    text = "\n".join([f"[{name}]", "enabled = true", *where, f"[{name}.options]", *rows])
    configure(monkeypatch, tmp_path / "config", text)


def used(name: str, **fields: str) -> Outcome:
    return use.carry_out(use.prepare(name, fields or {"text": CANARY}), REFERENCE)


def text_of(outcome: Outcome) -> str:
    assert isinstance(outcome, Result)
    return outcome.answer["text"]


def children() -> list[int]:
    """The processes that this one has started, and not waited for."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if path.read_text().rpartition(")")[2].split()[1] == str(os.getpid()):
                found.append(int(path.parent.name))
    return found


def is_alive(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


# What it gets


def test_it_gets_what_it_declares_and_no_more() -> None:
    got = json.loads(text_of(used("echo", text=CANARY, recipient="anna", secret="plum")))
    assert got["fields"] == {"text": CANARY}
    assert (got["settings"], got["cwd"]) == ({}, "/")


def test_the_user_can_allow_less(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configure(monkeypatch, tmp_path / "config", "[echo]\nenabled = true\nfields = []\n")
    with pytest.raises(Refused, match="needs text"):
        use.prepare("echo", {"text": CANARY})


def test_it_gets_no_variable_and_no_argument(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANECHOIC_PASSPHRASE", "hunter2")
    got = json.loads(text_of(used("echo")))
    assert set(got["env"]) <= {"LANG", "PATH", "LC_CTYPE", "SYSTEMROOT"}
    assert "hunter2" not in json.dumps(got)
    assert CANARY not in " ".join(got["argv"])


def test_it_gets_no_descriptor(tmp_path: Path) -> None:
    path = tmp_path / "open"
    with path.open("wb") as file:
        os.set_inheritable(file.fileno(), True)  # noqa: FBT003 - it takes it so
        of_file = [os.fstat(file.fileno()).st_dev, os.fstat(file.fileno()).st_ino]
        assert of_file not in json.loads(text_of(used("echo")))["open"]
        with mock.patch.object(subprocess, "Popen", _leaky(subprocess.Popen)):
            assert of_file in json.loads(text_of(used("echo")))["open"]  # the control


def _leaky(popen: type) -> object:
    return lambda *args, **named: popen(*args, **{**named, "close_fds": False})


@linux
def test_nothing_of_it_is_in_the_process_list() -> None:
    ready, before = use.prepare("slow", {"text": CANARY}), set(children())
    busy = threading.Thread(target=lambda: use.carry_out(ready, REFERENCE), daemon=True)
    with mock.patch.object(use, "USE_S", 2.0):
        busy.start()
        seen = dict[int, bytes]()
        while busy.is_alive():
            for pid in set(children()) - before:
                with contextlib.suppress(OSError):
                    files = (Path(f"/proc/{pid}/{name}") for name in ("cmdline", "environ", "comm"))
                    seen[pid] = seen.get(pid, b"") + b"".join(it.read_bytes() for it in files)
            time.sleep(0.05)
    assert seen
    assert all(b"pipeline.skills.child" in it for it in seen.values())
    assert not any(CANARY.encode() in it or REFERENCE.hex().encode() in it for it in seen.values())


def test_our_working_directory_is_no_place_to_import_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))  # the vault and the anchors are in it
    assert str(tmp_path) in sys.path
    assert str(tmp_path) not in json.loads(text_of(used("echo")))["path"]


def test_nor_is_the_directory_in_which_we_were_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`python -m` puts it first; a skill could read all that lies in it."""
    (tmp_path / "documents").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path / "documents"))
    assert str(tmp_path / "documents") in json.loads(text_of(used("echo")))["path"]  # control
    monkeypatch.chdir(tmp_path / "documents")
    assert str(tmp_path / "documents") not in json.loads(text_of(used("echo")))["path"]


# What is kept from it


@linux
def test_without_network_when_nothing_leaves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if NETWORK in described(known_skill("nonet")).undone:
        pytest.skip("this system does not let a process cut off its own network")
    with shop() as it:
        address = it.url.removeprefix("http://").partition("/")[0].replace("localhost", "127.0.0.1")
        with_options(tmp_path, monkeypatch, "nonet", address=address)
        assert text_of(used("nonet")) != "reached"
        with_options(tmp_path, monkeypatch, "net", address=address)
        assert text_of(used("net")) == "reached"  # the control: it says that it leaves


@linux
def test_it_reads_nothing_of_ours_and_writes_where_it_may(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if FILES in described(known_skill("files")).undone:
        pytest.skip("this kernel is without Landlock")
    own = tmp_path / "own"
    own.mkdir()
    for name in ("vault", "anchors", "home"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("a key")
    paths = {name: str(tmp_path / name / "file") for name in ("vault", "anchors", "home", "own")}
    paths |= {"configuration": str(tmp_path / "config" / "skills.toml"), "system": "/etc/passwd"}
    paths |= {"elsewhere": str(tmp_path / "new"), "process": f"/proc/{os.getpid()}/environ"}
    with_options(tmp_path, monkeypatch, "files", own, **paths)
    found = json.loads(text_of(used("files")))
    assert found.pop("own") == "written"  # the controls: what it may do, it does
    assert found.pop("system") == "read"
    assert found.pop("elsewhere") != "written"
    assert set(found.values()) == {"PermissionError"}
    assert not (tmp_path / "new").exists()
    assert [path.name for path in own.iterdir()] == ["file"]


def test_what_it_prints_goes_nowhere(capfd: pytest.CaptureFixture[str]) -> None:
    assert used("loud") == Unknown()
    assert tuple(capfd.readouterr()) == ("", "")


@linux
def test_its_memory_is_bounded() -> None:
    assert used("greedy") == Unknown()


# That it ends


@linux
def test_it_ends_when_its_time_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(use, "USE_S", 1.0)
    before, start = set(children()), time.monotonic()
    assert used("slow") == Unknown()
    took_s = time.monotonic() - start
    assert took_s < 3 + lateness_s()
    assert set(children()) <= before


@linux
def test_what_it_started_ends_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "own"
    own.mkdir()
    with_options(tmp_path, monkeypatch, "family", own, tell=str(own / "pid"))
    monkeypatch.setattr(use, "USE_S", 1.0 + lateness_s())
    assert used("family") == Unknown()
    pid = int((own / "pid").read_text())
    until(lambda: not is_alive(pid))


@linux
def test_what_ran_away_from_it_cannot_hold_us_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It left the group, so it lives, and it holds the pipe; nobody waits for it."""
    own = tmp_path / "own"
    own.mkdir()
    with_options(tmp_path, monkeypatch, "family", own, tell=str(own / "pid"), apart="yes")
    late_s = lateness_s()
    monkeypatch.setattr(use, "USE_S", 1.0 + late_s)
    start = time.monotonic()
    assert used("family") == Unknown()
    assert time.monotonic() - start < 3 + 3 * late_s
    pid = int((own / "pid").read_text())
    assert is_alive(pid)
    os.kill(pid, signal.SIGKILL)


def test_an_endless_answer_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(use, "USE_S", 2.0)
    assert used("endless") == Unknown()


@linux
def test_it_dies_with_us(tmp_path: Path) -> None:
    """A process of ours that is killed while a skill is used leaves none behind."""
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); from pipeline.skills.process import running\n"
        "with running('plugged:Slow', 60) as it: print(it.line._process.pid, flush=True)\n"
        "    ; import time; time.sleep(60)\n"
    ).replace("\n    ; ", "; ")
    ours = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "plug-ins")],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert ours.stdout
    with ours.stdout as out:
        pid = int(out.readline())
    assert is_alive(pid)
    ours.kill()
    ours.wait()
    until(lambda: not is_alive(pid))


# What it answers


def test_only_what_it_declares_to_answer_comes_back() -> None:
    outcome = used("chatty")
    assert isinstance(outcome, Result)
    assert outcome.answer == {"text": "yes"}  # one field is too long, one was not declared


def test_what_is_of_no_known_form_is_no_answer() -> None:
    assert used("odd") == Unknown()
    with process.running("plugged:Odd", 5) as it:
        request = Request(REFERENCE.hex(), {})
        assert not it.erase(request).how
    with process.running("plugged:Echo", 5) as it:
        assert it.erase(request).how == "erased"  # which has no fields, or else it would refuse


def test_outcomes_show_nothing_of_what_was_said() -> None:
    ready = use.prepare("echo", {"text": CANARY})
    outcome = use.carry_out(ready, REFERENCE)
    assert CANARY in text_of(outcome)
    assert CANARY not in repr(ready) + repr(outcome)
    assert CANARY not in repr(Request("", {"text": CANARY}))


# Which there are


def test_a_skill_that_changes_its_mind_is_given_nothing() -> None:
    assert used("fickle") == NotSent()


def test_a_plug_in_under_another_name_or_without_a_class_does_not_start() -> None:
    for name in ("masked", "broken"):
        assert described(known_skill(name)).manifest is None
        with pytest.raises(Refused, match="does not start"):
            use.prepare(name, {"text": CANARY})


def test_a_plug_in_cannot_take_the_name_of_one_built_in() -> None:
    assert known_skill("order").where == BUILT_IN["order"]


def test_a_plug_in_is_never_loaded_here() -> None:
    assert {it.name for it in known_skills()} >= NAMES.keys() | BUILT_IN.keys()
    assert described(known_skill("echo")).manifest
    assert "plugged" not in sys.modules


def test_none_is_enabled_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANECHOIC_CONFIG_DIR", str(tmp_path / "none"))
    assert not any(it.configured.enabled for it in known_skills())
    for name in ("echo", *BUILT_IN):
        with pytest.raises(Refused, match=f"skill {name} is not enabled"):
            use.prepare(name, {"text": CANARY})
    with pytest.raises(NotFound, match="no skill 'tarot'"):
        use.prepare("tarot", {"text": CANARY})


def test_too_much_is_refused() -> None:
    with pytest.raises(Refused, match="too much"):
        use.prepare("echo", {"text": "a" * 9000})
