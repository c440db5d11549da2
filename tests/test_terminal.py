"""What goes to a terminal and what to a pipe: escapes, folding, one screen, words in the plural."""

import fcntl
import io
import json
import os
import pty
import struct
import sys
import termios
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.text import Text

from pipeline.terminal import Column, Terminal, count, local, printable, safe
from tests.commandline import ESCAPES, plain

LONG = "did you see the snow on the mountains this morning " * 4


def _on_a_terminal(
    act: Callable[[], None], columns: int, monkeypatch: pytest.MonkeyPatch, *names: str
) -> str:
    """Runs `act` with the named streams on a terminal of that width; returns what it was sent."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    # Rich asks the first three descriptors for the width, whichever stream it writes to.
    before = [os.dup(number) for number in range(3)]
    with open(theirs, "w", encoding="utf-8", closefd=False) as stream:
        for name in names:
            monkeypatch.setattr(sys, name, stream)
        for number in range(3):
            os.dup2(theirs, number)
        try:
            act()
            stream.flush()
        finally:
            for number, old in enumerate(before):
                os.dup2(old, number)
                os.close(old)
            monkeypatch.undo()
    os.close(theirs)
    sent = b""
    while piece := _read(ours):
        sent += piece
    os.close(ours)
    return sent.decode()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # how Linux tells that the other end is closed
        return b""


@pytest.mark.parametrize("forced", ["FORCE_COLOR", "TTY_COMPATIBLE", "CLICOLOR_FORCE"])
def test_a_pipe_gets_whole_lines_without_style(
    forced: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(forced, "1")
    it = Terminal(as_json=False)
    it.print(f"[bold]{LONG}[/]")
    it.item("[red]head[/]", LONG)
    it.say(f"[red]{LONG}[/]")
    it.table([Column("a"), Column("b")], [(LONG, "x\ty\nz")])
    it.problem(LONG)
    out, err = capsys.readouterr()
    assert out == f"{LONG}\nhead {LONG}\n{LONG}\tx\\ty\\nz\n"
    assert err == f"{LONG}\nanechoic: {LONG}\n"


def test_json_is_alone_on_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    it = Terminal(as_json=True)
    it.say("a remark")
    it.line({"a": "où"})
    it.line([1])
    out, err = capsys.readouterr()
    assert [json.loads(line) for line in out.splitlines()] == [{"a": "où"}, [1]]
    assert err == "a remark\n"


@pytest.mark.parametrize("columns", [40, 80, 140])
def test_a_body_folds_under_itself(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = _on_a_terminal(
        lambda: Terminal(as_json=False).item("[bold]some head[/]", LONG),
        columns,
        monkeypatch,
        "stdout",
        "stderr",
    )
    first, *others = plain(sent).splitlines()
    assert others
    assert first.startswith("some head did")
    assert all(line.startswith(" " * 10) and line[10] != " " for line in others)
    assert max(map(len, [first, *others])) <= columns
    assert " ".join(" ".join([first, *others]).split()) == f"some head {LONG}".strip()


def test_what_will_be_copied_is_not_folded(monkeypatch: pytest.MonkeyPatch) -> None:
    key = "k" * 200
    sent = _on_a_terminal(
        lambda: Terminal(as_json=False).exact(key), 40, monkeypatch, "stdout", "stderr"
    )
    assert plain(sent) == f"{key}\n"


def test_a_table_keeps_its_columns_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    columns = [Column("id"), Column("s", right=True), Column("words", fold=True)]
    sent = _on_a_terminal(
        lambda: Terminal(as_json=False).table(columns, [("0123456789", "5.00", LONG)]),
        50,
        monkeypatch,
        "stdout",
        "stderr",
    )
    lines = plain(sent).splitlines()
    assert lines[0].split() == ["id", "s", "words"]
    assert lines[1].split()[:3] == ["0123456789", "5.00", "did"]
    assert " ".join(line[18:] for line in lines[1:]).split() == LONG.split()
    assert ESCAPES.search(sent)


def test_one_screen_is_one_console(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bool] = []

    def look() -> None:
        it = Terminal(as_json=False)
        seen.append(it.on_one_screen().err is it.out)
        seen.append(Terminal(as_json=True).on_one_screen().err is it.out)

    _on_a_terminal(look, 80, monkeypatch, "stdout", "stderr")
    _on_a_terminal(look, 80, monkeypatch, "stdout")  # remarks go to a file: they stay there
    assert seen == [True, False, False, False]


def test_results_as_remarks(capsys: pytest.CaptureFixture[str]) -> None:
    it = Terminal(as_json=True).as_remarks()
    it.print("a line")
    it.table([Column("a")], [("a row",)])
    out, err = capsys.readouterr()
    assert (out, err) == ("", "a line\na row\n")


def test_the_end_of_input_is_no_answer(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(" yes \n"))
    it = Terminal(as_json=True)
    assert it.ask("Really?") == "yes"
    assert it.ask("Really?") == ""
    assert capsys.readouterr().out == ""


@given(st.text() | st.text(st.sampled_from("\\[]/bd# :")))
@example("\\")
@example("\\\\\\")
@example("\\[")
@example("[/] [bold] [#ff0000] [@click=x]")
def test_safe_text_shows_as_it_is_and_has_no_power(text: str) -> None:
    shown = Text.from_markup(f"[bold]{safe(text)}[/] and more", emoji=False)
    assert shown.plain == f"{printable(text)} and more"
    assert shown.plain.isprintable()
    assert [span.style for span in shown.spans if span] == ["bold"] * bool(text)
    alone = Text.from_markup(safe(text), emoji=False)
    assert not alone.spans
    assert alone.plain.rstrip("\\") == printable(text).rstrip("\\")


def test_names_that_look_like_emoji_are_left_alone(capsys: pytest.CaptureFixture[str]) -> None:
    Terminal(as_json=False).print(safe("take-2:warning:.wav"))
    assert capsys.readouterr().out == "take-2:warning:.wav\n"


@given(st.text(st.characters(categories=["L", "N", "P"])))
def test_words_of_any_language_are_left_alone(text: str) -> None:
    assert printable(text) == text


def test_names_that_are_no_text_can_be_shown() -> None:
    assert printable(os.fsdecode(b"caf\xe9\x1b[0m")) == "caf\\udce9\\x1b[0m"
    printable(os.fsdecode(bytes(range(1, 256)))).encode()


def test_times_are_local(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert local("2026-01-31T20:15:30.123Z") == "2026-02-01 05:15"
    finally:
        monkeypatch.undo()
        time.tzset()


def test_counting() -> None:
    assert [count(n, "key") for n in range(3)] == ["0 keys", "1 key", "2 keys"]
