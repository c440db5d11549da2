"""The command line explains itself: help of every command, and usage that is refused."""

import argparse
from collections.abc import Iterator

import pytest

from pipeline import cli, cli_options
from tests.cli_home import ids, shell
from tests.commandline import Shell

__all__ = ["ids", "shell"]


def every_command(
    it: argparse.ArgumentParser, path: tuple[str, ...] = ()
) -> Iterator[tuple[str, ...]]:
    yield path
    for action in it._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, inner in action.choices.items():
                yield from every_command(inner, (*path, name))


# --- help and usage


@pytest.mark.parametrize("path", list(every_command(cli_options.parser())), ids=" ".join)
def test_help_of_every_command(
    path: tuple[str, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as ended:
        cli.main([*path, "--help"])
    out, err = capsys.readouterr()
    assert ended.value.code == 0
    assert not err
    assert out.startswith(f"usage: {' '.join(['anechoic', *path])}")
    assert max(map(len, out.splitlines())) <= 80


def test_help_is_a_command_that_makes_nothing(shell: Shell) -> None:
    done = shell("--help")
    assert done.code == 0
    assert "exit codes" in done.out
    assert list(shell.home.iterdir()) == []


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["fly"],
        ["history", "--limit", "0"],
        ["history", "--limit", "-1"],
        ["history", "--since", "yesterday-ish"],
        ["ingest"],
        ["ingest", "--jobs", "0", "x.wav"],
        ["forget", "--al", "--yes"],  # an abbreviation of a dangerous word
        ["verify", "x.receipt", "--log-key", "nonsense"],
        ["init", "--anchor", "moon"],
    ],
    ids=" ".join,
)
def test_usage_is_2(shell: Shell, words: list[str]) -> None:
    done = shell(*words)
    assert (done.code, done.out) == (2, "")
    assert done.err


def test_json_and_vault_may_come_last(shell: Shell, ids: list[str]) -> None:
    elsewhere = shell.vault.rename(shell.home / "elsewhere")
    rows = shell("history", "--vault", elsewhere, "--json").json
    assert [row["interaction"] for row in rows] == ids[::-1]
    assert shell("--vault", elsewhere, "--json", "history").json == rows
