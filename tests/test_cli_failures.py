"""What is in the way of a command is said, and a defect tells its place and nothing else."""

import argparse
import os
from pathlib import Path

import pytest

from keys.lock import locked
from pipeline import cli, commands, machine
from tests.cli_home import ids, shell
from tests.commandline import ROOT, Shell

__all__ = ["ids", "shell"]

# --- what is in the way


@pytest.mark.slow
def test_busy_is_6(shell: Shell, ids: list[str]) -> None:
    assert ids
    with locked(shell.vault / "lock"):
        done = shell("history")
    assert (done.code, done.out) == (6, "")
    assert "again" in done.err
    assert shell("history").code == 0


def test_no_model_is_8(shell: Shell, tmp_path: Path) -> None:
    for words in (["ingest", tmp_path], ["demo"], ["ingest", "--model", tmp_path, tmp_path]):
        done = shell(*words)
        assert done.code == 8
        assert "anechoic model fetch" in done.err
    assert list(shell.home.iterdir()) == []


def test_a_damaged_vault_is_5(shell: Shell, ids: list[str]) -> None:
    assert ids
    (shell.vault / "vault.json").write_text("{}")
    assert shell("history").code == 5


def test_what_the_system_refuses_is_1_and_says_what_to_do(shell: Shell, ids: list[str]) -> None:
    (shell.home / "file").write_text("")
    done = shell("export", ids[0], "--to", shell.home / "file")
    assert done.code == 1
    assert str(shell.home / "file") in done.err
    assert "; " in done.err


# --- a defect tells its place and nothing else

SECRET = "the secret phrase"


@pytest.mark.parametrize(
    "error",
    [
        ValueError(SECRET),
        KeyError(SECRET),
        UnicodeDecodeError("utf-8", SECRET.encode(), 0, 1, SECRET),
        RecursionError(SECRET),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_defect_shows_no_content(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(_: argparse.Namespace) -> int:
        raise error from ValueError(SECRET)

    monkeypatch.setattr(machine, "harden", lambda: None)
    monkeypatch.setattr(commands, "history", broken)
    assert cli.main(["history"]) == 1
    out, err = capsys.readouterr()
    assert not out
    assert "internal error" in err
    assert type(error).__name__ in err
    assert "broken" in err  # where it happened
    assert "secret" not in err


def test_a_defect_outside_of_the_command_shows_no_content(shell: Shell) -> None:
    (shell.home / "sitecustomize.py").write_text(
        f"""
import threading
class Last:
    def __del__(self):
        raise ValueError({SECRET!r})
def broken():
    raise ValueError({SECRET!r})
import pipeline.commands
def doctor(_):
    thread = threading.Thread(target=broken)
    thread.start()
    thread.join()
    Last()
    return 0
pipeline.commands.doctor = doctor
"""
    )
    done = shell.having(PYTHONPATH=f"{shell.home}{os.pathsep}{ROOT}")("doctor")
    assert done.code == 0
    assert "internal error" in done.err
    assert "ValueError" in done.err
    assert "secret" not in done.err
