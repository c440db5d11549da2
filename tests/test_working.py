"""The bar of long work: on a terminal, after a second, and never more than our own words."""

import io
import time
from collections.abc import Iterator

import pytest
from rich.console import Console

from keys.progress import counted
from pipeline import working as module
from pipeline.terminal import Terminal
from pipeline.working import working


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def looked_at(monkeypatch: pytest.MonkeyPatch, patience_s: float) -> Screen:
    """Makes standard error a terminal; in the test itself, as pytest puts its own there first."""
    screen = Screen()
    monkeypatch.setattr("sys.stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(module, "_PATIENCE_S", patience_s)
    monkeypatch.setattr(module, "_EVERY_S", 0.0)
    return screen


def terminal(screen: io.StringIO) -> Terminal:
    console = Console(file=screen, width=80, force_terminal=True, legacy_windows=False)
    return Terminal(as_json=False, err=console)


def work(seconds: float) -> Iterator[int]:
    for n in counted(range(100), "reading the log", 100):
        time.sleep(seconds / 100)
        yield n


def test_a_bar_tells_what_is_done_and_how_much_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = looked_at(monkeypatch, 0.0)
    with working(terminal(screen)):
        assert list(work(0.0)) == list(range(100))
    assert "reading the log" in screen.getvalue()
    assert "50/100" in screen.getvalue()


def test_what_takes_less_than_a_second_shows_none(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = looked_at(monkeypatch, module._PATIENCE_S)
    with working(terminal(screen)):
        assert list(work(0.2)) == list(range(100))
    assert screen.getvalue() == ""


def test_a_pipe_gets_none(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = io.StringIO()
    monkeypatch.setattr("sys.stderr", pipe)
    monkeypatch.setattr(module, "_PATIENCE_S", 0.0)
    with working(Terminal(as_json=False)):
        assert list(work(0.0)) == list(range(100))
    assert pipe.getvalue() == ""


def test_the_screen_is_left_in_order_where_the_work_is_stopped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    screen = looked_at(monkeypatch, 0.0)

    def stopped() -> None:
        with working(terminal(screen)):
            assert next(it) == 0
            raise KeyboardInterrupt

    it = work(0.0)
    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert screen.getvalue().count("\x1b[?25l") == screen.getvalue().count("\x1b[?25h") == 1
    assert list(it) == list(range(1, 100))  # what goes on is watched by nobody
