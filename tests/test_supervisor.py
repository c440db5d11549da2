"""Workers relieved after an erasure: nothing between two of them is lost, and none is left behind.

A supervisor runs in a process of its own, over work that is scripted here; what its workers tell
comes through a pipe. An erasure is a line in the log of a vault that consists of nothing else. Most
of it is shown for workers that are forked and for such that are spawned.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pipeline import supervisor
from tests import turns
from tests.lateness import lateness_s
from tests.listeners import ONE_SPEECH, SENTENCES, THREE

ROOT = Path(__file__).parent.parent
_PATIENCE_S = 20.0
BOSS = """
import sys
from functools import partial
from pathlib import Path
from importlib import import_module
from pipeline.supervisor import supervise
from pipeline import supervisor
from tests.turns import say
module, name, vault, how, patience_s = sys.argv[1:]
supervisor._PATIENCE_S = float(patience_s)
work = partial(getattr(import_module(module), name), Path(vault))
try:
    code = supervise(work, Path(vault), fork=how == "fork")
except KeyboardInterrupt:
    code = 130
except Exception as error:
    say("raised", type(error).__name__, str(error))
    code = 1
sys.exit(code)
"""
either = pytest.mark.parametrize(
    "how",
    [
        pytest.param("fork", marks=pytest.mark.skipif(not supervisor.CAN_FORK, reason="no fork")),
        "spawn",
    ],
)


class Boss:
    """A supervisor that runs, and what it and its workers have told."""

    def __init__(self, name: str, vault: Path, how: str) -> None:
        self.vault, self.told = vault, list[list[Any]]()
        patience_s = "0.3" if name == "never_ends" else "60"
        self.process = subprocess.Popen(
            [sys.executable, "-c", BOSS, *_place_of(name), str(vault), how, patience_s],
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            start_new_session=True,
        )

    def next(self, what: str) -> list[Any]:
        """Returns what is told next of this kind."""
        assert self.process.stdout
        for line in self.process.stdout:
            self.told.append(json.loads(line))
            if self.told[-1][0] == what:
                return self.told[-1]
        raise AssertionError(f"{what} was never told; it was: {self.told}")

    def end(self) -> int:
        """Takes all that is told until it ends by itself; returns its exit code."""
        assert self.process.stdout
        self.told += [json.loads(line) for line in self.process.stdout]
        return self.process.wait(_PATIENCE_S)

    def log(self, entry: str) -> None:
        with open(self.vault / "log" / "entries", "a") as log:
            log.write(f"7 {entry}\n")

    def erase(self) -> None:
        self.log("erase 00ff 1:2 ff00")


@contextmanager
def supervising(name: str, vault: Path, how: str = "fork") -> Iterator[Boss]:
    (vault / "log").mkdir(parents=True)
    (vault / "log" / "entries").write_text("0 anechoic-log/1 00\n1 erase 11 0:1 22\n")
    boss = Boss(name, vault, how)
    try:
        yield boss
    finally:
        boss.process.kill()
        with boss.process:  # closes its pipe
            pass


def _place_of(name: str) -> tuple[str, str]:
    return ("tests.turns" if hasattr(turns, name) else "tests.listeners"), name


def is_alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def is_gone_within(pid: int, seconds: float) -> bool:
    """Tells whether a process ends within so long, and what a busy machine adds; prints both."""
    began_s = time.monotonic()
    while is_alive(pid) and time.monotonic() < began_s + seconds:
        time.sleep(0.01)
    took_s = time.monotonic() - began_s
    late_s = lateness_s() if is_alive(pid) else 0.0
    print(f"{took_s:.2f} s until it was gone" + (f", and at most {late_s:.2f} s" if late_s else ""))
    return not is_alive(pid)


@either
def test_after_an_erasure_and_nothing_else_another_process_goes_on(
    tmp_path: Path, how: str
) -> None:
    with supervising("waits", tmp_path / "vault", how) as boss:
        _, first, is_first, left = boss.next("began")
        assert (is_first, left) == (True, "")
        for entry in ("discard unfinished 00", "read show 00", "erased 00", "rekey 00"):
            boss.log(entry)
        time.sleep(0.5)
        assert is_alive(first)
        boss.erase()
        _, second, is_first, left = boss.next("began")
        assert (is_first, left) == (False, "1")
        assert is_gone_within(first, 1.0)
        boss.erase()
        assert boss.next("began")[3] == "2"
        assert is_gone_within(second, 1.0)
        boss.process.send_signal(signal.SIGTERM)
        assert boss.end() == 7


def test_what_is_erased_while_it_takes_over_has_it_relieved_again(tmp_path: Path) -> None:
    with supervising("waits", tmp_path / "vault") as boss:
        boss.next("began")
        os.kill(boss.process.pid, signal.SIGSTOP)
        boss.erase()
        os.kill(boss.process.pid, signal.SIGCONT)
        boss.next("began")
        (boss.vault / "log" / "entries").write_text("")  # put back from a copy: nobody knows
        assert boss.next("began")[3] == "2"


@either
def test_one_that_does_not_end_its_turn_is_ended(tmp_path: Path, how: str) -> None:
    with supervising("never_ends", tmp_path / "vault", how) as boss:
        _, first = boss.next("began")
        boss.erase()
        assert boss.next("began")[2:] == [False, ""]
        assert is_gone_within(first, 1.0)


@either
def test_a_worker_that_crashes_is_an_error(tmp_path: Path, how: str) -> None:
    with supervising("crashes", tmp_path / "vault", how) as boss:
        assert boss.end() == 1
        assert boss.told[-1][:2] == ["raised", "PipelineError"]
        assert "signal 9" in boss.told[-1][2]
        assert len(boss.told) == 2, "it was tried again"


@either
def test_what_stops_a_worker_stops_all_of_it(tmp_path: Path, how: str) -> None:
    with supervising("fails", tmp_path / "vault", how) as boss:
        assert boss.end() == 1
        assert boss.told == [["raised", "NoAudioDevice", "there is none; plug one in"]]


@either
def test_a_defect_is_told_of_without_what_it_says(tmp_path: Path, how: str) -> None:
    with supervising("is_defect", tmp_path / "vault", how) as boss:
        assert boss.end() == 1
    ((_, kind, text),) = boss.told
    assert kind == "PipelineError"
    assert "ValueError at " in text
    assert "in is_defect" in text
    assert turns.SECRET not in text


def test_where_none_can_follow_the_one_before_ends_in_order(tmp_path: Path) -> None:
    with supervising("cannot_follow", tmp_path / "vault") as boss:
        boss.next("began")
        boss.erase()
        boss.next("stopped")
        assert boss.end() == 1
        assert boss.told[-1][1:] == ["NoAudioDevice", "it is not there any more"]


def test_a_vault_that_is_busy_when_another_would_take_over_is_tried_again(tmp_path: Path) -> None:
    with supervising("follows_when_it_can", tmp_path / "vault") as boss:
        _, first, *_ = boss.next("began")
        (boss.vault / "busy").touch()
        boss.erase()
        assert boss.next("began")[2:] == [False, "1"]
        assert not (boss.vault / "busy").exists()
        assert is_gone_within(first, 1.0)


@either
@pytest.mark.parametrize("name", ["waits", "hangs"])
def test_a_supervisor_that_is_killed_leaves_no_worker(tmp_path: Path, name: str, how: str) -> None:
    with supervising(name, tmp_path / "vault", how) as boss:
        worker = boss.next("began")[1]
        boss.process.kill()
        assert is_gone_within(worker, 1.0)


def test_nor_one_that_was_waiting_for_its_turn(tmp_path: Path) -> None:
    with supervising("never_ends", tmp_path / "vault") as boss:
        boss.next("began")
        boss.erase()
        children = Path(f"/proc/{boss.process.pid}/task/{boss.process.pid}/children")
        while len(pids := children.read_text().split()) < 2:
            time.sleep(0.01)
        boss.process.kill()
        assert all(is_gone_within(int(pid), 1.0) for pid in pids)


def interrupt_all(boss: Boss) -> None:
    os.killpg(boss.process.pid, signal.SIGINT)


def interrupt_supervisor(boss: Boss) -> None:
    boss.process.send_signal(signal.SIGINT)


@either
@pytest.mark.parametrize("interrupt", [interrupt_all, interrupt_supervisor])
def test_ctrl_c_ends_it_in_order_and_a_second_one_at_once(
    tmp_path: Path, interrupt: Callable[[Boss], None], how: str
) -> None:
    with supervising("waits", tmp_path / "one", how) as boss:
        boss.next("began")
        interrupt(boss)
        assert boss.end() == 7
        assert boss.told[-1][0] == "stopped"
    with supervising("hangs", tmp_path / "two", how) as boss:
        boss.next("began")
        interrupt(boss)
        time.sleep(0.3)
        assert boss.process.poll() is None
        interrupt(boss)
        assert boss.end() == 130


# Listening in turns: the chunks that somebody spoke are numbers, and it is told who heard which.


def voiced(script: Sequence[bool]) -> list[int]:
    return [number + 1 for number, is_voice in enumerate(script) if is_voice]


def heard(boss: Boss) -> tuple[list[int], set[int]]:
    """Returns the numbers of all voiced chunks that were heard, and by how many processes."""
    found = [it for it in boss.told if it[0] == "heard"]
    return [n for _, _, numbers in found for n in numbers], {pid for _, pid, _ in found}


def test_no_syllable_is_lost_or_doubled_when_one_listener_relieves_another(
    tmp_path: Path,
) -> None:
    """Beside it a control: what comes while a listener waits for its turn is not held for it."""
    with (
        supervising("sentences", tmp_path / "vault") as boss,
        supervising("sentences_not_held", tmp_path / "control") as control,
    ):
        for _ in range(3):
            for it in (boss, control):
                it.next("speaks")
                it.erase()
        assert [boss.end(), control.end()] == [0, 0]
    numbers, listeners = heard(boss)
    assert numbers == voiced(SENTENCES)
    assert len(listeners) >= 3
    assert heard(control)[0] != voiced(SENTENCES)


def test_one_who_does_not_stop_speaking_is_relieved_from_at_a_cut(tmp_path: Path) -> None:
    with supervising("one_speech", tmp_path / "vault") as boss:
        boss.next("speaks")
        boss.erase()
        assert boss.end() == 0
    numbers, listeners = heard(boss)
    assert numbers == voiced(ONE_SPEECH)
    assert len(listeners) == 2


def test_what_is_forgotten_while_it_is_spoken_ends_at_once_and_nobody_hears_the_rest(
    tmp_path: Path,
) -> None:
    with supervising("three", tmp_path / "vault") as boss:
        first = boss.next("heard")[1]
        boss.next("speaks")
        (boss.vault / "forgotten").touch()
        boss.erase()
        assert is_gone_within(first, 3.0), "it waited for the end of what was said"
        assert boss.end() == 0
    numbers, listeners = heard(boss)
    assert numbers == [n for n in voiced(THREE) if n < 30 or n > 200]
    assert len(listeners) == 2
