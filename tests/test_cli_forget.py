"""`forget` on the command line: what it asks, whom it means, what it leaves."""

import contextlib
import io
import sys
from pathlib import Path

import pytest

from pipeline import cli, machine
from tests.cli_home import DOCTOR, forgotten, ids, shell
from tests.commandline import Shell, plain

__all__ = ["ids", "shell"]

# --- forgetting


def test_forget_asks_and_no_means_no(shell: Shell, ids: list[str]) -> None:
    for answer in ("no\n", "\n", "yess\n", "\x04"):
        code, screen = shell.on_a_terminal("forget", ids[1], answers=[("Type yes:", answer)])
        assert code == 1
        text = plain(screen)
        assert ids[1][:8] in text
        assert "1 interaction, 3 sealed files (1 audio, 1 transcript, 1 meta), 2 keys" in " ".join(
            text.split()
        )
        assert "nothing was erased" in text
    assert shell.epoch() == 1
    assert shell.json("show", ids[1])["text"] == DOCTOR


def test_forget_asks_and_yes_means_yes(shell: Shell, ids: list[str]) -> None:
    code, screen = shell.on_a_terminal("forget", ids[1], answers=[("Type yes:", "YES\n")])
    assert code == 0
    text = plain(screen)
    assert text.index(DOCTOR[:20]) < text.index("Type yes:") < text.index("confirmed")
    assert max(map(len, text.split("receipt  ")[0].splitlines())) <= 80
    assert shell.epoch() == 2
    assert shell("show", ids[1]).code == 4
    assert [row["interaction"] for row in shell.json("history")] == [ids[2], ids[0]]


def test_forget_shows_the_plan_before_it_asks_also_with_json(shell: Shell, ids: list[str]) -> None:
    _, screen = shell.on_a_terminal("--json", "forget", ids[1], answers=[("Type yes:", "no\n")])
    assert ids[1][:8] in plain(screen)


def test_forget_document_and_receipt(shell: Shell, ids: list[str]) -> None:
    target = shell.home / "my.receipt"
    done = shell("--json", "forget", ids[1], "--yes", "--receipt", target)
    document = done.json
    names = ["erased", "kept", "disclosed", "residual", "epoch", "receipt", "verdict"]
    assert list(document) == names
    assert document["erased"] == [ids[1]]
    assert document["kept"] == document["disclosed"] == []
    assert document["epoch"] == {"from": 1, "to": 2}
    assert target.read_bytes() == Path(document["receipt"]).read_bytes()
    assert DOCTOR not in done.err  # nobody asked to see it
    assert not any(word in target.read_text() for word in ("doctor", "blood", "pressure"))


def test_dry_run_changes_nothing(shell: Shell, ids: list[str]) -> None:
    document = shell.json("forget", "--all", "--dry-run")
    assert document["dry_run"] is True
    assert sorted(document["erased"]) == sorted(ids)
    assert document["files"] == 9
    assert "nothing was erased" in shell("forget", "--all", "--dry-run").err
    assert shell.epoch() == 1
    assert len(shell.json("history")) == 3
    assert not list((shell.vault / "receipts").iterdir())


def test_forget_without_a_terminal_wants_yes(shell: Shell, ids: list[str]) -> None:
    done = shell("forget", ids[0], stdin="yes\n")
    assert done.code == 2
    assert "--yes" in done.err
    assert shell.epoch() == 1


@pytest.mark.parametrize(
    ("words", "gone"),
    [
        (["--last"], {2}),
        (["--all"], {0, 1, 2}),
        (["--match", "blood", "pressure"], {1}),
        (["--match", "Moon Follow"], {2}),
        (["--since", "2026-02-01T09:00:00Z"], {1, 2}),
        (["--until", "2026-02-01T09:00:00Z"], {0}),
        (["--since", "2026-02-01T09:00:00Z", "--until", "2026-02-01T10:00:00Z"], {1}),
        (["--profile", "default"], {0, 1, 2}),
    ],
    ids=str,
)
def test_selectors(shell: Shell, ids: list[str], words: list[str], gone: set[int]) -> None:
    erased = shell.json("forget", *words, "--yes")["erased"]
    assert set(erased) == {ids[n] for n in gone}
    left = {row["interaction"] for row in shell.json("history")}
    assert left == set(ids) - set(erased)
    assert shell.epoch() == 2  # one rotation, however many


def test_several_ids_and_the_start_of_one(shell: Shell, ids: list[str]) -> None:
    document = shell.json("forget", ids[0][:8].upper(), ids[2], ids[0], "--yes")
    assert sorted(document["erased"]) == sorted([ids[0], ids[2]])


@pytest.mark.parametrize(
    "words",
    [[], ["--last", "--all"], ["ID", "--last"], ["--all", "--since", "2026-01-01"]],
    ids=str,
)
def test_conflicting_selectors_are_2(shell: Shell, ids: list[str], words: list[str]) -> None:
    done = shell("forget", *(ids[0] if word == "ID" else word for word in words), "--yes")
    assert done.code == 2
    assert "exactly one way" in done.err
    assert shell.epoch() == 1


def test_erased_is_4(shell: Shell, ids: list[str]) -> None:
    forgotten(shell, ids[1])
    for command in ("show", "play", "forget"):
        for name in (ids[1], ids[1][:6]):
            done = shell(command, name)
            assert done.code == 4, done.err
            assert "erased" in done.err
    assert shell("export", ids[1], "--to", shell.home / "out").code == 4
    assert shell("forget", ids[0], ids[1], "--yes").code == 4
    assert shell.epoch() == 2  # ids[0] was not erased by half


def test_only_audio(shell: Shell, ids: list[str]) -> None:
    forgotten(shell, ids[1], "--only", "audio")
    assert shell.json("show", ids[1])["text"] == DOCTOR
    assert shell("play", ids[1]).code == 4
    assert shell("forget", ids[1], "--only", "audio", "--yes").code == 4  # it is gone already
    out = shell.json("export", ids[1], "--to", shell.home / "out", "--plain")["files"]
    assert [Path(file).suffix for file in out] == [".json"]
    forgotten(shell, ids[1])
    assert shell("show", ids[1]).code == 4
    assert shell.json("audit")["problems"] == []


def test_a_receipt_that_cannot_be_written_is_said_before_anything_is_erased(
    shell: Shell, ids: list[str]
) -> None:
    for target in (shell.home / "no" / "a.receipt", shell.home):
        assert shell("forget", ids[0], "--yes", "--receipt", target).code == 2
    assert shell.epoch() == 1


# --- a defect tells its place and nothing else


def test_ctrl_c_at_the_question_erases_nothing(
    shell: Shell, ids: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Keyboard:
        def isatty(self) -> bool:
            return True

        def readline(self) -> str:
            raise KeyboardInterrupt

    for name, value in shell.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(machine, "harden", lambda: None)
    monkeypatch.setattr(sys, "stdin", Keyboard())
    with contextlib.redirect_stderr(io.StringIO()):
        assert cli.main(["forget", ids[0]]) == 130
    assert shell.epoch() == 1
