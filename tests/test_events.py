"""`events`: what other programs are told while other processes act; no key is needed."""

import json
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from keys.errors import Tampered
from keys.lock import locked
from pipeline.following import Following
from tests.commandline import Shell

READ_AND_GIVEN = ["read", "read", "disclosed", "added"]
PIZZA, MOON = "order a large pizza with mushrooms", "why does the moon follow us"
_PATIENCE_S = 60.0


class Listener:
    """`events` in a process of its own, and its lines as they come."""

    def __init__(self, shell: Shell, *words: str) -> None:
        self.process = shell.start("events", *words)
        self._lines: list[str] = []
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self._lines.append(line)

    def until(self, **what: object) -> list[dict[str, Any]]:
        """Waits for an event that holds all this; returns all so far."""
        until_s = time.monotonic() + _PATIENCE_S
        while True:
            rows = [json.loads(line) for line in list(self._lines)]
            if any(what.items() <= row.items() for row in rows):
                return rows
            assert time.monotonic() < until_s, f"{what} never came; there was: {rows}"
            assert self.process.poll() is None, self.process.communicate()
            time.sleep(0.05)

    def ends(self) -> int:
        self.process.send_signal(signal.SIGINT)
        code = self.process.wait(_PATIENCE_S)
        self._reader.join(_PATIENCE_S)
        return code


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    home = tmp_path / "home"
    home.mkdir()
    return Shell(home)


@pytest.fixture
def listeners() -> Iterator[list[Listener]]:
    them: list[Listener] = []
    yield them
    for it in them:
        it.process.kill()
        it.process.communicate()


def past(shell: Shell, *words: str) -> list[dict[str, Any]]:
    done = shell("events", "--since", "0", "--no-follow", *words)
    assert (done.code, done.err) == (0, "")
    return [json.loads(line) for line in done.out.splitlines()]


def of(rows: list[dict[str, Any]], interaction: str) -> list[str]:
    return [row["event"] for row in rows if row.get("interaction") == interaction]


def test_it_tells_the_life_of_an_interaction(shell: Shell) -> None:
    (pizza,) = shell.say(PIZZA)
    shell.json("show", pizza)
    shell.json("export", pizza, "--to", shell.home / "out", "--plain")
    shell.json("forget", pizza, "--yes")
    rows = past(shell)
    assert of(rows, pizza) == ["heard", *["added"] * 3, *READ_AND_GIVEN, "erased"]
    assert rows[0]["event"] == "began"
    assert [row["entry"] for row in rows] == sorted(row["entry"] for row in rows)
    (erased,) = (row for row in rows if row["event"] == "erased")
    assert erased["kinds"] == ["audio", "disclosure", "meta", "transcript"]
    assert erased["verdict"] == "confirmed"
    assert erased["at"].endswith("Z")
    reads = [row for row in rows if row["event"] == "read"]
    assert [(row["how"], len(row["at"])) for row in reads] == [("show", 10), ("export", 10)]
    assert past(shell, "--since", str(erased["entry"])) == [erased]


def test_no_speech_no_name_no_path_is_in_it(shell: Shell) -> None:
    (pizza,) = shell.say(PIZZA, profile="ada")
    shell.json("export", pizza, "--to", shell.home / "out", "--plain")
    shell.json("forget", pizza, "--yes")
    told = json.dumps(past(shell))
    assert len(told) > 500
    for word in (*PIZZA.split(), "ada", "kitchen", str(shell.home), "2026-02-01"):
        assert word not in told.split('"'), word
    assert "pizza" not in told
    assert "kitchen" not in told


def test_what_another_process_does_is_told_while_it_happens(
    shell: Shell, listeners: list[Listener]
) -> None:
    (before,) = shell.say(MOON)
    it = Listener(shell)
    listeners.append(it)
    time.sleep(1.0)
    (pizza,) = shell.say(PIZZA)
    it.until(event="added", interaction=pizza, kind="meta")
    shell("forget", pizza, "--yes")
    rows = it.until(event="erased", interaction=pizza)
    assert of(rows, pizza)[:1] == ["heard"]
    assert before not in json.dumps(rows)  # it was there before, and --since was not asked for
    assert it.ends() == 0


def test_it_needs_no_anchor_no_key_and_no_lock(shell: Shell) -> None:
    ids = shell.say(PIZZA, MOON)
    shutil.rmtree(shell.anchors)
    shutil.rmtree(shell.vault / "ring")
    assert shell("history").code == 7  # the control: nothing opens any more
    with locked(shell.vault / "lock"):
        heard = [row for row in past(shell) if row["event"] == "heard"]
    assert [row["interaction"] for row in heard] == ids


def test_it_waits_for_a_vault_and_notices_one_that_is_made_anew(
    shell: Shell, listeners: list[Listener]
) -> None:
    assert shell("events", "--no-follow").code == 3
    it = Listener(shell)
    listeners.append(it)
    time.sleep(1.0)
    shell.say(PIZZA)
    it.until(event="added", kind="meta")
    first = it.until(event="began")
    shutil.rmtree(shell.vault)
    shutil.rmtree(shell.anchors)
    (moon,) = shell.say(MOON, PIZZA)[:1]  # longer than the one before
    rows = it.until(event="heard", interaction=moon)
    began = [row["vault"] for row in rows if row["event"] == "began"]
    assert len(set(began)) == 2
    assert len([row for row in first if row["event"] == "began"]) == 1
    assert it.ends() == 0


def test_a_log_that_was_put_back_is_followed_from_its_beginning(shell: Shell) -> None:
    shell.say(PIZZA)
    entries = shell.vault / "log" / "entries"
    old = entries.read_bytes()
    shell.say(MOON)
    following = Following(shell.vault)
    assert len(list(following.news())) == len(entries.read_bytes().splitlines())
    assert not list(following.news())
    entries.write_bytes(old)
    assert [index for index, _ in following.news()] == list(range(len(old.splitlines())))
    assert following.has_begun_anew
    with entries.open("ab") as log:
        log.write(b"99 half a li")
    assert not list(following.news())  # only whole lines count
    with entries.open("ab") as log:
        log.write(b"ne\n")
    with pytest.raises(Tampered, match="entry"):
        list(following.news())


def test_skipping_knows_where_it_is(shell: Shell) -> None:
    shell.say(PIZZA)
    following = Following(shell.vault)
    following.skip()
    assert not list(following.news())
    (moon,) = shell.say(MOON)
    assert any(moon in entry.format() for _, entry in following.news())
    assert not following.has_begun_anew


def test_a_number_that_is_none_is_refused(shell: Shell) -> None:
    refused = shell("events", "--since", "yesterday")
    assert refused.code == 2
    assert "the number of an entry" in refused.err


def test_whoever_stops_reading_ends_it(shell: Shell) -> None:
    shell.say(PIZZA, MOON)
    it = shell.start("events", "--since", "0")
    assert it.stdout
    it.stdout.readline()
    it.stdout.close()
    shell.say(MOON)
    assert it.wait(_PATIENCE_S) == 141
    assert it.communicate()[1] == ""
