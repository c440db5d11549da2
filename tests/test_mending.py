"""`doctor --fix`: each fix from the broken state, what is left and why; that else it is idle."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from keys.anchor.medium import Medium
from keys.lock import locked
from pipeline import machine, mending
from pipeline.machine import Finding
from pipeline.session import acting, open_vault
from tests.commandline import Shell

MOON = "why does the moon follow us"


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    home = tmp_path / "home"
    home.mkdir()
    return Shell(home)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """A vault that needs nothing, with an index."""
    shell = Shell(tmp_path_factory.mktemp("model"))
    shell.say(MOON)
    for _ in range(6):
        shell.say(*(f"sentence number {n}" for n in range(11)))
    shell.json("search", "moon")
    fix(shell)
    return shell


@pytest.fixture
def healthy(model: Shell, shell: Shell) -> Shell:
    for of, to in ((model.vault, shell.vault), (model.anchors, shell.anchors)):
        shutil.copytree(of, to)
    return shell


def fix(shell: Shell) -> dict[str, str]:
    """Returns what was fixed: what was looked at, and what was done."""
    found = mending.mend(shell.vault, shell.anchors, bytearray)
    return {it.check: it.found for it in found if it.state == "fixed"}


def left(shell: Shell) -> dict[str, Finding]:
    found = mending.mend(shell.vault, shell.anchors, bytearray)
    return {it.check: it for it in found if it.state == "left"}


def snapshot(shell: Shell) -> dict[str, tuple[int, int, bytes]]:
    """All that is there, with its mode and time; the empty lock and its time aside."""
    found = {}
    tops = shell.vault, shell.anchors
    for path in sorted([*tops, *(path for top in tops for path in top.rglob("*"))]):
        state = path.stat()
        content = path.read_bytes() if path.is_file() else b""
        found[str(path)] = (state.st_mode, state.st_mtime_ns if content else 0, content)
    return found


def test_a_healthy_vault_is_not_written_to(healthy: Shell) -> None:
    before = snapshot(healthy)
    assert fix(healthy) == {}
    assert snapshot(healthy) == before


def test_it_makes_no_vault(shell: Shell) -> None:
    assert fix(shell) == {}
    assert list(shell.home.iterdir()) == []


def test_folders_that_are_none_of_ours_stay_as_they_are(healthy: Shell, tmp_path: Path) -> None:
    """A variable that names the wrong place: a backup program would leave such a folder out."""
    documents, shared = tmp_path / "documents", tmp_path / "shared"
    for folder in (documents, shared):
        folder.mkdir(mode=0o755)
        (folder / "thesis.txt").write_text("of somebody")
    wide(healthy)
    for vault in (shared, healthy.vault):
        fixed = [it for it in mending.mend(vault, documents, bytearray) if it.state == "fixed"]
        assert [it.check for it in fixed] == ["permissions"] * (vault == healthy.vault)
    for folder in (documents, shared):
        assert [it.name for it in folder.iterdir()] == ["thesis.txt"]
        assert folder.stat().st_mode & 0o777 == 0o755


def test_a_file_of_somebody_in_the_vault_stays(healthy: Shell) -> None:
    half_written(healthy)
    theirs = healthy.vault / "my-notes.new"
    theirs.write_text("precious")
    assert "4 files" in fix(healthy)["half-written files"]
    assert theirs.read_text() == "precious"


def test_the_command_does_it_and_then_looks(healthy: Shell) -> None:
    wide(healthy)
    done = healthy("--json", "doctor", "--fix")
    states = [(row["state"], row["check"]) for row in done.json]
    assert states[0] == ("fixed", "permissions")
    assert states.count(("ok", "permissions")) == 2
    assert all(list(row) == ["check", "state", "found", "remedy"] for row in done.json)


def test_without_the_option_it_only_looks(healthy: Shell) -> None:
    healthy.vault.chmod(0o755)
    (healthy.anchors / ".nobackup").unlink()
    before = snapshot(healthy)
    healthy("doctor")
    assert snapshot(healthy) == before


def wide(shell: Shell) -> None:
    shell.vault.chmod(0o755)


def wide_anchors(shell: Shell) -> None:
    shell.anchors.chmod(0o750)


def half_written(shell: Shell) -> None:
    for name in ("vault.json.new", "log-keys.new", "log/hashes.new", "receipts/x.receipt.new"):
        (shell.vault / name).write_bytes(b"half")


def untagged(shell: Shell) -> None:
    (shell.anchors / ".nobackup").unlink()


def other_keys(shell: Shell) -> None:
    (shell.vault / "log-keys").write_bytes(b"2 00\nnonsense\n")


def no_index(shell: Shell) -> None:
    for path in (shell.vault / "sealed" / "own").glob("*.index"):
        path.unlink()


def damaged_index(shell: Shell) -> None:
    (path,) = (shell.vault / "sealed" / "own").glob("*.index")
    data = bytearray(path.read_bytes())
    data[-20] ^= 1
    path.write_bytes(data)


@pytest.mark.skipif(sys.platform == "win32", reason="permissions of POSIX")
@pytest.mark.parametrize(
    ("break_it", "check"),
    [
        (wide, "permissions"),
        (wide_anchors, "permissions"),
        (half_written, "half-written files"),
        (untagged, "anchor and backups"),
        (other_keys, "log keys"),
        (no_index, "index"),
        (damaged_index, "index"),
    ],
)
def test_each_fix(healthy: Shell, break_it: Callable[[Shell], None], check: str) -> None:
    live = {row["interaction"] for row in healthy.json("history")}
    break_it(healthy)
    broken = snapshot(healthy)
    assert list(fix(healthy)) == [check]
    assert snapshot(healthy) != broken
    assert fix(healthy) == {}  # once is enough
    assert healthy("audit").code == 0
    assert {row["interaction"] for row in healthy.json("history")} == live
    assert len(healthy.json("search", "moon")) == 1
    for path in (healthy.vault, healthy.anchors):
        assert path.stat().st_mode & 0o777 == 0o700
    assert not list(healthy.vault.rglob("*.new"))


def test_keys_of_a_long_log_are_remembered_anew(healthy: Shell) -> None:
    healthy.json("log-key", "rotate")
    assert len((healthy.vault / "log" / "entries").read_bytes().splitlines()) > 256
    vault = open_vault(healthy.vault, healthy.anchors, bytearray)
    with acting(vault):
        right = vault.log.rekeys()
    other_keys(healthy)
    assert list(fix(healthy)) == ["log keys"]
    kept = (healthy.vault / "log-keys").read_text().splitlines()
    assert [line.split()[1] for line in kept[1:]] == ["rekey"] * len(right)


def test_what_another_process_writes_is_left_alone(healthy: Shell) -> None:
    half_written(healthy)
    with locked(healthy.vault / "lock"):
        row = left(healthy)["half-written files"]
    assert "another process" in row.found
    assert len(list(healthy.vault.rglob("*.new"))) == 4
    assert list(fix(healthy)) == ["half-written files"]


def test_what_needs_a_key_is_left_where_there_is_none(healthy: Shell) -> None:
    damaged_index(healthy)
    half_written(healthy)
    (share,) = healthy.anchors.glob("*.share")
    share.rename(healthy.home / "elsewhere")
    row = left(healthy)["index"]
    assert "missing" in row.found
    assert not list(healthy.vault.rglob("*.new"))  # that needed none
    (healthy.home / "elsewhere").rename(share)
    assert list(fix(healthy)) == ["index"]


def test_a_passphrase_that_nobody_can_be_asked_for(shell: Shell) -> None:
    secret = shell.having(ANECHOIC_PASSPHRASE="hush")
    assert secret("init", "--passphrase").code == 0
    without = {row["check"]: row for row in shell("--json", "doctor", "--fix").json}
    assert "ANECHOIC_PASSPHRASE" in without["index"]["found"]
    assert without["index"]["state"] == "left"
    assert "index" not in {row["check"] for row in secret("--json", "doctor", "--fix").json}


def test_what_it_will_not_do_is_said_with_why(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shell.say(MOON)
    states = tmp_path / "state"
    states.write_text("freeze mem disk\n")
    monkeypatch.setattr(mending, "_SLEEP", states)
    swap = Finding("swap", "warn", "/swapfile: open", "turn swap off")
    monkeypatch.setattr(machine, "swap", lambda: swap)
    monkeypatch.setattr(mending, "medium_of", lambda _: Medium("btrfs", frozenset()))
    found = {it.check: it for it in mending.mend(shell.vault, shell.anchors, bytearray)}
    for check, why in (
        ("swap", "whole machine"),
        ("hibernation", "writes all memory"),
        ("snapshots", "cannot be undone"),
    ):
        assert found[check].state == "left"
        assert why in found[check].found
        assert found[check].remedy
    states.write_text("freeze mem\n")
    assert "hibernation" not in {
        it.check for it in mending.mend(shell.vault, shell.anchors, bytearray)
    }


def test_it_cannot_be_configured(shell: Shell) -> None:
    refused = shell.having(ANECHOIC_DOCTOR_FIX="1")("doctor")
    assert refused.code == 2
    assert "ANECHOIC_DOCTOR_FIX" in refused.err


# What backup programs make of the tag


def share_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("tagged", [True, False], ids=["tagged", "control"])
@pytest.mark.parametrize("program", ["restic", "borg", "tar"])
def test_backup_programs_leave_a_tagged_anchor_out(
    shell: Shell, program: str, *, tagged: bool
) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"no {program}")
    shell.say(MOON)
    if tagged:
        fix(shell)
    repository, out = shell.home / "repository", shell.home / "out"
    out.mkdir()
    ours = {"RESTIC_PASSWORD": "x", "BORG_PASSPHRASE": "x", "BORG_REPO": str(repository)}
    environment = {**os.environ, **ours, "HOME": str(shell.home)}

    def run(*words: str | Path) -> None:
        subprocess.run(
            [program, *map(str, words)], cwd=out, env=environment, check=True, capture_output=True
        )

    if program == "restic":
        run("-r", repository, "init")
        run("-r", repository, "backup", "--exclude-if-present", ".nobackup", shell.anchors)
        run("-r", repository, "restore", "latest", "--target", out)
    elif program == "borg":
        run("init", "--encryption=none")
        run("create", "--exclude-if-present", ".nobackup", "::now", shell.anchors)
        run("extract", "::now")
    else:
        run("--exclude-tag=.nobackup", "-cf", repository, "-C", shell.home, "anchors")
        run("-xf", repository)
    (share,) = shell.anchors.glob("*.share")
    assert (share.name in share_in(out)) is not tagged
