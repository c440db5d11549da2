"""A pipe gets lines, a terminal gets tables and colours, and nobody moves either from outside."""

import json

import pytest

from tests.cli_home import DOCTOR, ID, MOON, PIZZA, RFC_3339, ids, shell
from tests.commandline import ESCAPES, Shell, plain

__all__ = ["ids", "shell"]

# --- a pipe gets lines, a terminal gets tables and colours


@pytest.mark.parametrize("forced", [{}, {"FORCE_COLOR": "1", "TTY_COMPATIBLE": "1"}])
def test_no_escape_code_gets_into_a_pipe(
    shell: Shell, ids: list[str], forced: dict[str, str]
) -> None:
    quiet = shell.having(**forced)
    runs = [
        quiet(*words)
        for words in (
            ["history"],
            ["show", ids[0]],
            ["search", "moon"],
            ["audit"],
            ["doctor"],
            ["model", "list"],
            ["forget", ids[0], "--yes"],
            ["show", ids[0]],
        )
    ]
    assert not any("\x1b" in run.out + run.err for run in runs)
    assert runs[0].out.splitlines()[0].split("\t")[0] == ids[2]
    assert RFC_3339.fullmatch(runs[0].out.splitlines()[0].split("\t")[1])
    assert [run.code for run in runs] == [0, 0, 0, 0, runs[4].code, 0, 0, 4]


@pytest.mark.parametrize("columns", [60, 80, 140])
def test_tables_on_a_terminal(shell: Shell, ids: list[str], columns: int) -> None:
    (long,) = shell.say("one more story and " * 12)
    tokyo = shell.having(TZ="Asia/Tokyo")
    code, screen = tokyo.on_a_terminal("history", columns=columns)
    assert code == 0
    assert ESCAPES.search(screen)
    lines = plain(screen).splitlines()
    assert lines[0].split()[:2] == ["interaction", "heard"]
    assert max(map(len, lines)) <= columns
    (first,) = [line for line in lines if line.startswith(ids[0][:8])]
    assert first.split()[1:3] == ["2026-02-01", "17:00"]  # local time
    start = lines[0].index("what was said")
    words = " ".join(line[start:] for line in lines[1:]).split()
    assert words == " ".join(["one more story and " * 12, MOON, DOCTOR, PIZZA]).split()
    assert any(line.startswith(long[:8]) for line in lines)
    folded = [line for line in lines[1:] if not ID.match(line[:8] * 4)]
    assert all(not line[:start].strip() for line in folded)


def test_json_on_a_terminal_is_json(shell: Shell, ids: list[str]) -> None:
    code, screen = shell.on_a_terminal("--json", "history")
    assert code == 0
    assert not ESCAPES.search(screen)
    assert [row["interaction"] for row in json.loads(screen)] == ids[::-1]


def test_names_from_outside_cannot_move_the_terminal(shell: Shell) -> None:
    shell.say(MOON, profile="\x1b[2J\x1b[31m\nevil\t[red]")
    for screen in (shell.on_a_terminal("history")[1], shell("history").out):
        assert "\x1b[2J" not in screen
        assert "[red]" in plain(screen)
    assert shell("history").out.count("\t") == 4
    assert len(shell("history").out.splitlines()) == 1


def test_whoever_reads_may_stop_reading(shell: Shell, ids: list[str]) -> None:
    assert ids
    for words in (["history"], ["--json", "history"], ["audit"]):
        process = shell.start(*words)
        assert process.stdout
        process.stdout.close()  # before it has written anything, as `| head -0` does
        _, err = process.communicate(timeout=30)
        assert (process.returncode, err) == (141, "")


# --- verifying and auditing


def test_keys_and_paths_are_not_broken_into_lines(shell: Shell) -> None:
    key = shell.json("init")["log_key"]
    _, screen = shell.on_a_terminal("audit", columns=60)
    assert key in plain(screen)


# --- a defect tells its place and nothing else


def test_words_that_a_stream_cannot_encode_do_not_end_a_command(shell: Shell) -> None:
    shell.say("où est la lune")
    done = shell.having(PYTHONIOENCODING="ascii")("history")
    assert done.code == 0
    assert "o\\xf9 est la lune" in done.out
