"""`anechoic serve --web` as a user starts it: nobody is turned away by a relief, and it forgets.

What was shown and then forgotten is in no process of it, since the one that showed it has been
relieved; the control is the same with relief switched off.
"""

import http.client
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.commandline import COMMAND, Shell
from tests.memory import hits, stopped, tree

CANARY = ("zanzibar", "xylophone")
SAID = f"the {CANARY[0]} has a {CANARY[1]}"
SWITCHED_OFF = """
import sys
from pipeline import cli, supervisor
supervisor.Erasures.look = lambda self: 0
sys.exit(cli.main())
"""
NOT_REPLACED = (sys.executable, "-c", SWITCHED_OFF)
PATIENCE_S = 60.0


class Page:
    """A client that has come in by the link."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        assert process.stderr
        found = re.search(r"http://(\S+)/enter#(\S+)", process.stderr.readline())
        assert found
        self.name, ticket, self.cookie, self.csrf = found[1], found[2], "", ""
        answer, _ = self.ask("POST", "/enter", {"ticket": ticket})
        self.cookie = str(answer.headers["set-cookie"]).partition(";")[0]
        _, page = self.ask("GET", "/")
        self.csrf = re.findall(r'name="csrf" content="(\w+)"', page)[0]

    def ask(
        self, method: str, path: str, fields: dict[str, str] | None = None
    ) -> tuple[http.client.HTTPResponse, str]:
        headers = {"Origin": f"http://{self.name}", "Cookie": self.cookie}
        if fields is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        body = urlencode({**(fields or {}), "csrf": self.csrf}) if fields is not None else None
        with closing(http.client.HTTPConnection(self.name, timeout=PATIENCE_S)) as line:
            line.request(method, path, body, headers)
            with line.getresponse() as answer:
                return answer, answer.read().decode()

    def forgets(self, id_: str) -> None:
        fields = {"way": "chosen", "id": id_}
        _, plan = self.ask("POST", "/plan", fields)
        found = re.findall(r'name="plan" value="(\w+)"', plan)
        answer, _ = self.ask("POST", "/forget", {**fields, "plan": found[0]})
        assert answer.status == 303


@contextmanager
def served(shell: Shell, command: tuple[str, ...] = COMMAND) -> Iterator[Page]:
    process = shell.start("serve", "--web", "127.0.0.1:0", command=command)
    try:
        yield Page(process)
    finally:
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, err
    assert not any(word in out + err for word in CANARY)


def test_nobody_is_turned_away_while_a_worker_is_relieved(tmp_path: Path) -> None:
    """And who has come in stays in: the next worker knows the cookie, and the next link."""
    shell = Shell(tmp_path)
    (first, second, _) = shell.say("one", "two", "three")
    with served(shell) as page:
        workers = [tree(page.process.pid)[1:]]
        for id_, left in ((first, 2), (second, 1)):
            page.forgets(id_)
            until_s = time.monotonic() + PATIENCE_S
            while tree(page.process.pid)[1:] == workers[-1] or len(tree(page.process.pid)) > 2:
                answer, text = page.ask("GET", "/")
                assert (answer.status, text.count('class="said"')) == (200, left)
                assert time.monotonic() < until_s
            workers.append(tree(page.process.pid)[1:])
    assert len({tuple(it) for it in workers}) == 3


@pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="reads /proc/PID/mem, as root"
)
@pytest.mark.parametrize("is_replaced", [True, False], ids=["replaced", "control"])
def test_what_was_shown_and_forgotten_is_in_no_process(
    tmp_path: Path, *, is_replaced: bool
) -> None:
    shell = Shell(tmp_path)
    (id_, _) = shell.say(SAID, "what is the time")
    needles = {w.encode(c).rstrip(b"\0") for w in CANARY for c in ("utf-8", "utf-16-le")}
    with served(shell, COMMAND if is_replaced else NOT_REPLACED) as page:
        pid = page.process.pid
        assert SAID in page.ask("GET", "/")[1]
        assert SAID in page.ask("POST", "/search", {"words": CANARY[0]})[1]
        page.ask("GET", f"/interactions/{id_}")
        showed, before = tree(pid), found_in(pid, needles)
        page.forgets(id_)
        until_s = time.monotonic() + (PATIENCE_S if is_replaced else 3.0)
        while set(tree(pid)) & set(showed[1:]) and time.monotonic() < until_s:
            time.sleep(0.1)
        after = found_in(pid, needles)
        assert "what is the time" in page.ask("GET", "/")[1]
    assert before > 0
    assert (after == 0) is is_replaced


def found_in(pid: int, needles: set[bytes]) -> int:
    pids = tree(pid)
    with stopped(pids), suppress(ProcessLookupError):
        return sum(sum(hits(it, needles).values()) for it in pids)
    raise AssertionError("a process has ended while it was looked at")
