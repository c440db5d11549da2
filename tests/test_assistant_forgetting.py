"""Forgetting by voice: a plan said back, a yes, and no trace of having asked.

Words of one interaction are in nothing that another one keeps, so that forgetting the one is
enough: everything living is opened and searched, with a planted copy as control. The files are
searched for a canary as `test_canary` does.
"""

import io
import logging
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from keys.model import InteractionId
from pipeline import write
from pipeline.artefact import ANSWER
from pipeline.session import acting
from pipeline.vault import Vault
from tests.commandline import Shell
from tests.conversation import Talk
from tests.household import forget, make, reopen


@pytest.fixture
def talk(tmp_path: Path) -> Talk:
    return Talk(make(tmp_path))


def living(vault: Vault) -> bytes:
    """Returns the content of every sealed file that opens."""
    with acting(vault):
        files = [vault.artefact(path) for path in vault.paths()]
        return b"\n".join(bytes(vault.open(it).read()) for it in files if vault.is_live(it))


def interactions(talk: Talk) -> set[InteractionId]:
    with acting(talk.vault):
        return set(talk.vault.interactions())


def log_of(vault: Vault) -> list[str]:
    with acting(vault):
        return [entry.format() for _, entry in vault.log.scan()]


ASKED = {
    "forget what i just said": {3},
    "forget everything i said about the doctor": {1},
    "forget everything i said today": {2, 3},
    "forget everything i said yesterday": {0, 1},
    "forget everything i said since half past one": {3},
    "forget the last half hour": {3},
    "forget everything i said yesterday about the doctor": {1},
    "forget everything about the cat": {0, 3},
    "forget everything i said about the cat since one": {3},
    "forget everything": {0, 1, 2, 3},
}


def week(talk: Talk) -> None:
    for at, text in {
        "2026-11-22T10:00": "the cat is asleep",
        "2026-11-22T11:00": "the doctor said that it is too high",
        "2026-11-23T09:00": "what a lovely morning",
        "2026-11-23T14:00": "the cat is awake",
    }.items():
        talk.clock.to(at)
        talk.say(text)
    talk.clock.to("2026-11-23T14:05")


@pytest.mark.parametrize(("text", "meant"), ASKED.items())
def test_what_was_meant_goes_after_a_yes_and_nothing_else(
    talk: Talk, text: str, meant: set[int]
) -> None:
    week(talk)
    before = list(talk.sealed)
    said = talk.say(text).text
    number = f"{len(meant)} interaction" + "s" * (len(meant) > 1)
    assert said.startswith(f"That is {number}, ")
    assert interactions(talk) == set(before)
    reply = talk.say("yes")
    assert reply.text.startswith(f"Forgotten: {number}; confirmed")
    assert reply.receipt
    assert reply.receipt.exists()
    assert interactions(talk) == {it for n, it in enumerate(before) if n not in meant}
    assert talk.sealed == before


@pytest.mark.parametrize("answer", ["no", "what time is it", "never mind", "the doctor said yes"])
def test_without_a_yes_nothing_goes(talk: Talk, answer: str) -> None:
    talk.say("the doctor said that it is too high")
    epoch = talk.vault.ring.epoch
    talk.answers("forget everything i said about the doctor", answer, "yes")
    assert talk.vault.ring.epoch == epoch
    assert talk.sealed[0] in interactions(talk)


def test_a_yes_that_comes_too_late_means_nothing(talk: Talk) -> None:
    talk.say("the doctor said that it is too high")
    talk.say("forget everything i said about the doctor")
    talk.clock.forward(seconds=61)
    assert talk.say("yes").text == ""
    assert talk.sealed[0] in interactions(talk)


@pytest.mark.parametrize(
    "text", ["forget what i just said", "forget everything i said about the doctor", "forget today"]
)
def test_where_there_is_nothing_it_is_said(talk: Talk, text: str) -> None:
    talk.clock.forward(days=3)
    assert talk.say(text).text == "There is nothing of that, so there is nothing to forget."
    assert talk.say("yes").text == ""


def test_asking_leaves_no_trace_and_what_is_left_says_nothing_of_it(talk: Talk) -> None:
    talk.say("the cat is asleep")
    files = {path for path in talk.vault.directory.rglob("*") if path.is_file()}
    log = log_of(talk.vault)
    talk.answers("forget everything i said about zanzibar", "what do you know about me")
    assert {path for path in talk.vault.directory.rglob("*") if path.is_file()} == files
    assert log_of(talk.vault) == log
    assert b"zanzibar" not in living(talk.vault)


def test_a_no_leaves_nothing_but_that_the_plan_was_read(talk: Talk) -> None:
    talk.say("the cat is asleep")
    log = log_of(talk.vault)
    talk.answers("forget everything i said about the cat", "no")
    assert [it.split()[:2] for it in log_of(talk.vault)[len(log) :]] == [["read", "plan"]]
    assert interactions(talk) == set(talk.sealed)


def test_what_was_done_is_offered_and_kept_by_voice(talk: Talk) -> None:
    talk.say("wake me up at seven for the zanzibar flight")
    talk.say("remind me tomorrow at nine to call mum")
    said = talk.say("forget everything i said today").text
    assert "alarm 07:00, the zanzibar flight" in said
    assert "reminder 2026-11-24 09:00, call mum" in said
    assert talk.say("yes but keep the reminder").text.endswith("Kept: 1 record.")
    assert [it.kind for it in talk.entries()] == ["record"]
    assert talk.open() == ["call mum"]
    assert b"zanzibar" not in living(talk.vault)
    assert b"remind me" not in living(talk.vault)


def test_what_was_kept_is_forgotten_when_it_is_named(talk: Talk) -> None:
    talk.answers("remind me tomorrow at nine to visit zanzibar", "forget what i just said")
    talk.say("yes but keep the reminder")
    assert talk.open() == ["visit zanzibar"]
    assert b"zanzibar" in living(talk.vault)
    said = talk.answers("forget everything about zanzibar", "yes")
    assert said[0].startswith("That is 1 record, 1 sealed file.")
    assert said[1].startswith("Forgotten: 1 record; confirmed")
    assert talk.entries() == []
    assert living(talk.vault) == b""


def test_something_that_is_not_there_cannot_be_kept_and_then_nothing_goes(talk: Talk) -> None:
    talk.say("wake me up at seven")
    talk.answers("forget what i just said", "yes but keep the elephant")
    assert talk.open() == ["alarm"]


def test_what_another_forgot_meanwhile_cannot_be_kept_and_then_nothing_goes(talk: Talk) -> None:
    talk.answers("wake me up at seven", "remind me to call mum at nine tomorrow")
    talk.say("forget everything")
    forget(reopen(talk.vault.directory.parent), talk.sealed[0])
    assert "nothing was forgotten" in talk.say("yes but keep everything").text
    assert talk.open() == ["call mum"]


CROSSING = [
    "what's on the shopping list",
    "remove zanzibar from the shopping list",
    "how long is left on the timer",
    "what are my reminders",
    "cancel the reminder",
    "what alarms do i have",
    "cancel all alarms",
    "what is on my calendar",
    "cancel the timer",
    "snooze",
    "clear the shopping list",
]


def test_no_answer_keeps_the_words_of_another_interaction(talk: Talk) -> None:
    """Each was told of what another had said, and went on living when that was forgotten."""
    talk.answers(
        "add zanzibar to the shopping list",
        "set a timer for ten minutes for zanzibar",
        "remind me tomorrow at nine to visit zanzibar",
        "set an alarm for seven for zanzibar",
        "put a meeting with zanzibar in my calendar on friday at nine",
    )
    said = talk.answers(*(it for it in CROSSING if "zanzibar" not in it))
    assert sum("zanzibar" in it for it in said) >= 5
    assert b"zanzibar" in living(talk.vault)
    talk.answers("forget everything about zanzibar", "yes")
    assert len(interactions(talk)) == len(CROSSING) - 1
    assert b"zanzibar" not in living(talk.vault)


def test_control_an_answer_sealed_as_it_was_said_is_found(talk: Talk) -> None:
    talk.say("add zanzibar to the shopping list")
    said = talk.say("what's on the shopping list").text
    with acting(talk.vault):
        write.add(talk.vault, talk.sealed[1], (ANSWER, said.encode()))
    talk.answers("forget everything about zanzibar", "yes")
    assert b"zanzibar" in living(talk.vault)


def test_the_answer_to_a_question_dies_with_what_asked(talk: Talk) -> None:
    talk.answers("remind me to visit zanzibar", "tomorrow at nine")
    talk.answers("forget everything about zanzibar", "yes")
    assert interactions(talk) == set()
    assert talk.entries() == []
    assert living(talk.vault) == b""


def test_what_was_forgotten_meanwhile_gets_no_answer(talk: Talk) -> None:
    other = Talk(reopen(talk.vault.directory.parent), talk.clock)
    talk.say("remind me to visit zanzibar")
    other.answers("forget what i just said", "yes")
    assert talk.say("tomorrow at nine").text == "That was forgotten meanwhile."
    assert talk.open() == []


# --- the commands


PHRASE = "zanzibar marmalade xylophone quetzalcoatl"


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path).having(TZ="Europe/Berlin", PYTHONDEVMODE="1", LOG_LEVEL="DEBUG")


def rows_of(out: str) -> list[list[str]]:
    return [line.split("\t") for line in out.splitlines()]


def leaking(home: Path) -> list[Path]:
    needles = [
        word.encode(encoding) for word in PHRASE.split() for encoding in ("utf-8", "utf-16-le")
    ]
    files = (path for path in home.rglob("*") if path.is_file())
    return [p for p in files if any(it in p.read_bytes().lower() for it in needles)]


def test_ask_end_to_end_forgets_what_was_said_about_the_doctor(shell: Shell) -> None:
    words = [
        "the doctor said that my blood pressure is too high again",
        "set a timer for ten minutes",
        "forget everything i said about the doctor",
        "yes",
        "what do you know about me",
    ]
    done = shell("ask", stdin="\n".join(words) + "\n")
    assert (done.code, done.err.count("\n")) == (0, 1), done.err
    rows = rows_of(done.out)
    assert rows[0][1] == ""
    assert rows[2][1].startswith("That is 1 interaction")
    assert rows[3][1].startswith("Forgotten: 1 interaction; confirmed")
    assert rows[4][1].startswith("I hold 1 interaction and 1 timer")
    assert [row[0] for row in rows[2:]] == ["-", "-", "-"]
    assert [row["text"] for row in shell.json("history")] == ["set a timer for ten minutes"]
    assert shell.json("audit")["problems"] == []
    (receipt,) = (shell.vault / "receipts").glob("*.receipt")
    assert shell("verify", receipt).code == 0


def test_ask_and_agenda_leave_nothing_readable_anywhere(shell: Shell, tmp_path: Path) -> None:
    first, second, third, fourth = PHRASE.split()
    words = [
        f"add {first} to the shopping list",
        f"remind me tomorrow at nine to visit {second}",
        f"put a meeting with {third} in my calendar on friday at nine",
        f"the {fourth} is asleep",
        "what's on the shopping list",
        "what are my reminders",
    ]
    done = shell("--json", "ask", stdin="\n".join(words) + "\n")
    assert done.code == 0, done.err
    assert first in done.out
    assert leaking(tmp_path) == []
    listed = shell("agenda")
    assert (listed.code, first in listed.out) == (0, True)
    assert leaking(tmp_path) == []
    done = shell("ask", stdin=f"forget everything about {first}\nyes\n")
    assert done.code == 0, done.err
    assert leaking(tmp_path) == []
    assert first not in shell("agenda").out


def test_a_calendar_file_is_a_disclosure_that_every_receipt_names(
    shell: Shell, tmp_path: Path
) -> None:
    words = [
        "put a meeting with the school in my calendar on friday at nine",
        "add milk to the shopping list",
    ]
    shell("ask", stdin="\n".join(words) + "\n")
    file = tmp_path / "calendar.ics"
    assert shell("agenda", "--ics", file).code == 2
    assert shell("agenda", "--plain").code == 2
    assert not file.exists()
    assert shell("agenda", "--ics", shell.vault / "calendar.ics", "--plain").code == 2
    done = shell("--json", "agenda", "--ics", file, "--plain")
    assert (done.code, len(done.json["entries"])) == (0, 1)
    assert b"SUMMARY:meeting with the school" in file.read_bytes()
    assert file.stat().st_mode & 0o077 == 0
    milk, meeting = shell.json("history")
    assert [it["kind"] for it in shell.json("show", meeting["interaction"])["disclosures"]] == [
        "plain export"
    ]
    assert shell.json("show", milk["interaction"])["disclosures"] == []
    erased = shell.json("forget", "--all", "--yes")
    assert len(erased["disclosed"]) == 1
    assert shell.json("audit")["problems"] == []


def test_agenda_tells_what_to_keep_and_what_to_forget(shell: Shell) -> None:
    shell("ask", stdin="set an alarm for every weekday at seven for work\n")
    (row,) = shell.json("agenda")
    assert (row["what"], row["repeat"], row["label"]) == ("alarm", [0, 1, 2, 3, 4], "work")
    assert row["next"].endswith(("T07:00:00+01:00", "T07:00:00+02:00"))
    name = rows_of(shell("agenda").out)[0][0]
    done = shell("forget", row["interaction"], "--keep", name, "--yes")
    assert done.code == 0, done.err
    (record,) = shell.json("agenda")
    assert (record["kind"], record["label"], record["next"]) == ("record", "work", row["next"])


def test_with_limits_set_all_of_a_sentence_is_sealed(shell: Shell) -> None:
    """Of several parts of one kind none is lost on the way through what is stored of a profile."""
    shell.json("retention", "set", "--words", "7d")
    shell("ask", stdin="add milk and bread and butter to the shopping list\n")
    assert sorted(row["label"] for row in shell.json("agenda")) == ["bread", "butter", "milk"]


def test_on_a_terminal_it_asks_and_an_empty_line_ends_it(shell: Shell) -> None:
    code, screen = shell.on_a_terminal(
        "ask", answers=[("say:", "add milk to the shopping list\r"), ("milk.", "\r")]
    )
    assert code == 0
    assert "On the shopping list: milk." in screen


def test_on_a_terminal_it_ends_once_something_is_forgotten(shell: Shell) -> None:
    code, screen = shell.on_a_terminal(
        "ask",
        answers=[
            ("say:", "the doctor called\r"),
            ("say:", "forget what i just said\r"),
            ("say:", "yes\r"),
        ],
        columns=200,
    )
    assert code == 0
    assert "Forgotten: 1 interaction" in screen
    assert "nothing of it stays in memory" in screen
    assert shell.json("history") == []


def test_a_log_with_all_debugging_on_holds_no_word(talk: Talk) -> None:
    """Hassil logs to the root logger."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    root, level = logging.getLogger(), logging.getLogger().level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        for text in (f"add {PHRASE} to the shopping list", PHRASE, f"set a timer for {PHRASE}"):
            talk.say(text)
        talk.answers("forget everything about zanzibar", "yes")
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
    assert not any(word in stream.getvalue() for word in PHRASE.split())


@pytest.mark.slow
def test_serve_rings_what_ask_has_set_once(shell: Shell) -> None:
    shell("ask", stdin="set a timer for two seconds\nset an alarm for every day at noon\n")
    for _ in range(2):
        process = shell.start("serve")
        assert process.stderr
        assert "at work" in process.stderr.readline()
        until = time.monotonic() + 30
        while len(shell.json("agenda")) > 1 and time.monotonic() < until:
            time.sleep(0.3)
        time.sleep(3)  # to look again, and not to ring
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
        assert process.returncode == 0, err
        assert "timer" not in out + err.replace("no loudspeaker", "")
    assert [row["what"] for row in shell.json("agenda")] == ["alarm"]
    (row,) = (it for it in shell.json("history") if "timer" in it["text"])
    assert row["artefacts"].count("fired") == 1


def test_aloud_an_answer_goes_to_standard_input_and_nowhere_else(
    shell: Shell, tmp_path: Path
) -> None:
    """What a program is told by its arguments or variables, all of the machine can see."""
    program = tmp_path / "bin" / "espeak-ng"
    program.parent.mkdir()
    program.write_text(
        '#!/bin/sh\nprintf "%s\\n" "$@" > "$HOME/told"; env >> "$HOME/told"; cat > "$HOME/read"\n'
    )
    program.chmod(0o755)
    speaking = shell.having(PATH=f"{program.parent}:/usr/bin:/bin")
    done = speaking("ask", "--aloud", stdin="add zanzibar to the shopping list\n")
    assert done.code == 0, done.err
    assert (tmp_path / "read").read_text() == "On the shopping list: zanzibar."
    told = (tmp_path / "told").read_text()
    assert told.startswith("--stdin\n")
    assert "zanzibar" not in told
    silent = shell.having(PATH=str(tmp_path / "nowhere"))
    done = silent("ask", "--aloud", stdin="what time is it\n")
    assert (done.code, "nothing to speak with" in done.err) == (0, True)


def test_help_and_lists_do_not_load_what_understands(shell: Shell) -> None:
    script = (
        "import sys; from pipeline import cli, commands, keep; "
        "sys.exit(any(name in sys.modules for name in ('hassil', 'icalendar', 'yaml')))"
    )
    assert (
        subprocess.run(
            [sys.executable, "-c", script], check=False, env=shell.environment
        ).returncode
        == 0
    )
