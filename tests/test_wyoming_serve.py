"""`anechoic serve --wyoming` as a user starts it: answers, goes on after an erasure, forgets.

What was forgotten is then in no process of it, since the one that heard it has been relieved; the
control is the same with relief switched off.
"""

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest

from pipeline import models
from pipeline.model import RATE_HZ
from tests.commandline import COMMAND, Shell
from tests.memory import tree
from tests.test_listen_memory import NOT_REPLACED, canary_of, encoded, in_memory, total
from tests.test_wyoming_kill import until_no_more_is_sealed
from tests.test_wyoming_model import pcm_of
from tests.wyoming_client import AsyncTcpClient, begin, send, stop, text_of

pytestmark = pytest.mark.model
SAMPLES = Path(__file__).parent.parent / "samples"
TIMER, PIZZA = SAMPLES / "01-timer.wav", SAMPLES / "06-pizza.wav"
TIMER_TEXT = "set a timer for ten minutes"
PIZZA_TEXT = "order a large pizza with mushrooms and extra cheese"
RELIEVED_S, NOT_RELIEVED_S = 60.0, 5.0


class Served:
    """A running `serve`, and where it answers."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        assert process.stderr
        line = process.stderr.readline()
        found = re.search(r"tcp://127\.0\.0\.1:(\d+)", line)
        assert found, line
        self.port = int(found[1])

    def hears(self, sample: Path) -> str | None:
        async def talk() -> str | None:
            async with AsyncTcpClient("127.0.0.1", self.port, read_timeout=60) as client:
                await begin(client)
                await send(client, pcm_of(sample))
                return text_of(await stop(client))

        return asyncio.run(talk())

    def ends(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(60)


def shell_in(home: Path) -> Shell:
    return Shell(home, {"ANECHOIC_MODEL": str(models.find(None))})


def served(shell: Shell, *words: str, command: tuple[str, ...] = COMMAND) -> Served:
    return Served(shell.start("serve", "--wyoming", "tcp://127.0.0.1:0", *words, command=command))


def test_it_answers_and_ends_in_order(tmp_path: Path) -> None:
    shell = shell_in(tmp_path)
    it = served(shell, "--profile", "ada")
    try:
        assert it.hears(TIMER) == TIMER_TEXT
    finally:
        code = it.ends()
        out, err = it.process.communicate()
    assert code == 0
    assert "timer" not in out + err
    (row,) = shell.json("history")
    assert (row["profile"], row["text"]) == ("ada", "set a timer for ten minutes")
    assert shell("audit").code == 0


def test_what_a_kill_cut_off_gets_its_words_from_the_next(tmp_path: Path) -> None:
    shell = shell_in(tmp_path)
    it = served(shell)

    async def begin_to_say() -> None:
        async with AsyncTcpClient("127.0.0.1", it.port, read_timeout=60) as client:
            await begin(client)
            await send(client, pcm_of(PIZZA)[: 6 * RATE_HZ])  # three seconds; a second may be lost
            await asyncio.to_thread(until_no_more_is_sealed, shell.vault / "capture")
            os.killpg(it.process.pid, signal.SIGKILL)  # its worker too: that would end in order

    with contextlib.suppress(ConnectionError):  # closing what the other end has reset
        asyncio.run(begin_to_say())
    it.process.communicate(timeout=RELIEVED_S)
    assert it.process.returncode == -signal.SIGKILL
    (row,) = shell.json("history")
    assert row["text"] == ""
    again = served(shell)
    try:
        assert again.hears(TIMER) == TIMER_TEXT
    finally:
        assert again.ends() == 0
        again.process.communicate()
    before = shell.json("history")[-1]
    assert before["interaction"] == row["interaction"]
    assert before["text"].startswith("order a large")
    assert shell.json("search", "large")


def test_ephemeral_leaves_nothing(tmp_path: Path) -> None:
    shell = shell_in(tmp_path)
    it = served(shell, "--ephemeral")
    try:
        assert it.hears(TIMER) == TIMER_TEXT
    finally:
        assert it.ends() == 0
        it.process.communicate()
    assert shell.json("history") == []
    assert not list((shell.vault / "sealed").rglob("*"))


def test_an_address_that_is_none_is_refused(tmp_path: Path) -> None:
    refused = shell_in(tmp_path)("serve", "--wyoming", "10300")
    assert refused.code == 2
    assert "tcp://127.0.0.1:10300" in refused.err


@pytest.mark.slow
@pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="reads /proc/PID/mem, as root"
)
@pytest.mark.parametrize("is_replaced", [True, False], ids=["replaced", "control"])
def test_what_was_forgotten_is_in_no_process_and_it_goes_on(
    tmp_path: Path, *, is_replaced: bool
) -> None:
    shell = shell_in(tmp_path)
    it = served(shell, command=COMMAND if is_replaced else NOT_REPLACED)
    try:
        pairs = encoded([" ".join(it) for it in pairwise(PIZZA_TEXT.split())])
        at_first = in_memory(it.process.pid, pairs)  # "a large" is in many a documentation
        assert it.hears(PIZZA) == PIZZA_TEXT
        canary = canary_of(shell, PIZZA_TEXT, frozenset())
        needles = canary.sound | {pair for pair in pairs if not total(at_first, frozenset([pair]))}
        before = in_memory(it.process.pid, needles)
        heard_it = tree(it.process.pid)
        shell.json("forget", "--last", "--yes")
        assert it.hears(TIMER) == TIMER_TEXT  # at once: nobody is turned away
        until_s = time.monotonic() + (RELIEVED_S if is_replaced else NOT_RELIEVED_S)
        while tree(it.process.pid)[1:] == heard_it[1:] or len(tree(it.process.pid)) > 2:
            if time.monotonic() > until_s:
                break
            time.sleep(0.1)
        after = in_memory(it.process.pid, needles)
        assert it.hears(TIMER) == TIMER_TEXT
    finally:
        it.ends()
        it.process.communicate()
    assert total(before, needles - canary.sound) > 0
    assert total(before, canary.sound) > 0
    assert (total(after, needles) == 0) is is_replaced
