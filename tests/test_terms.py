"""`retention`, `profile` and `serve` as commands; and that no command passes over what is due."""

import argparse
import contextlib
import io
import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest import mock

import pytest

from keys.errors import Busy
from keys.lock import locked
from keys.receipt import verify
from pipeline import cli, cli_options, microphone, retention
from pipeline.assistant.bell import Bell
from pipeline.assistant.watch import Rung, Watch
from pipeline.devices import Device
from pipeline.erase import Clock
from pipeline.profiles import Newcomer, Wish, add, set_limits
from pipeline.reckoning import seconds_of, time_of
from pipeline.serve import Duty, _ring_out, attend, duties_of
from pipeline.session import acting, create_vault, open_vault
from pipeline.settings import HOUR_S
from pipeline.vault import Vault
from tests.commandline import Shell, plain
from tests.household import make, no_passphrase, parts_of

EARLIER = (datetime.now(UTC) - timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M:00Z")
LIGHT = "turn on the light"


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


def clock_at(time: str) -> Clock:
    return lambda: time


def here(shell: Shell, *words: str, stdin: str = "") -> int:
    """Runs a command in this process, which is quicker, and returns its exit code."""
    with (
        mock.patch.dict(os.environ, shell.environment),
        mock.patch("pipeline.machine.harden"),  # it would last for all later tests
        mock.patch("sys.stdin", io.StringIO(stdin)),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        return cli.main(words)


def overdue(shell: Shell, *limits: Wish) -> str:
    """Makes a vault with an interaction that has been due for an hour; returns its id."""
    vault = create_vault(shell.vault, shell.anchors)
    earlier = clock_at(EARLIER)
    with acting(vault, earlier):
        for wish in limits or (Wish(words="1h"),):
            retention.change(vault, lambda old, at, it=wish: set_limits(old, it, at), earlier)  # type: ignore[misc]
        interaction = retention.create(vault, parts_of(LIGHT, EARLIER), earlier)
    assert interaction
    return interaction.hex()


def is_erased(shell: Shell, interaction: str) -> bool:
    """Looks at the files, without an act that would erase it itself."""
    files = list((shell.vault / "sealed" / interaction[:3]).glob(f"{interaction}.*"))
    receipts = [it.read_bytes() for it in (shell.vault / "receipts").glob("*.receipt")]
    erased = {row.interaction for it in receipts for row in verify(it).statement.erased}
    assert (interaction in erased) == (not files)
    return not files


# Every command

ACTS = {
    "history": [""],
    "search": ["light"],
    "show": ["{id}"],
    "play": ["{id}"],
    "export": ["{id}", "--to", "{home}/out"],
    "forget": ["--all", "--dry-run"],
    "audit": [],
    "receipts": [],
    "restore": ["{home}"],
    "report": [],
    "anchor": ["list"],
    "log-key": ["show"],
    "mirror": ["list"],
    "store": ["sync", "file://{home}/store"],
    "retention": ["show"],
    "profile": ["list"],
    "agenda": [],
    "ask": [],
    "verify": ["{home}/none.receipt"],
}
"""The commands that act on a vault, with arguments for a quick look."""
NOT_HERE = {
    "listen": "test_listening_erases_what_falls_due_meanwhile",
    "serve": "test_serving_erases_what_falls_due",
    "ingest": "test_ingest_erases_what_is_due",
}
"""What is shown elsewhere, and where."""
WITHOUT_A_VAULT = {
    "init",
    "devices",
    "doctor",
    "model",
    "demo",
    "skills",
    "stamp",
    "events",
    "completion",
}
"""They make a vault, or a passing one, or look at this machine, at receipts or at the log alone."""


def commands() -> set[str]:
    actions = cli_options.parser()._actions
    (acts,) = (it for it in actions if isinstance(it, argparse._SubParsersAction))
    return set(acts.choices)


def test_each_command_is_in_one_of_the_tables() -> None:
    """The control of the tables: a new command fails here until it is put to the test."""
    known = [*ACTS, *NOT_HERE, *WITHOUT_A_VAULT]
    assert len(known) == len(set(known))
    assert commands() == set(known), "say here how it is seen that it enforces retention"


@pytest.mark.parametrize("command", sorted(ACTS))
def test_each_command_that_opens_the_vault_erases_first_what_is_due(
    shell: Shell, command: str
) -> None:
    interaction = overdue(shell)
    assert not is_erased(shell, interaction)
    arguments = [it.format(id=interaction, home=shell.home) for it in ACTS[command] if it]
    code = here(shell, command, *arguments, stdin="what time is it\n")
    assert is_erased(shell, interaction)
    if "{id}" in ACTS[command]:
        assert code == 4, "it was here, and is gone"


def test_a_command_that_does_not_act_on_the_vault_leaves_it(shell: Shell) -> None:
    """The control: the look at the files is not what erases."""
    interaction = overdue(shell)
    here(shell, "model", "list")
    assert not is_erased(shell, interaction)


@pytest.mark.model
def test_ingest_erases_what_is_due(shell: Shell) -> None:
    interaction = overdue(shell)
    sample = Path(__file__).parent.parent / "samples" / "06-pizza.wav"
    model = {k: v for k, v in os.environ.items() if k == "ANECHOIC_MODEL"}
    cache = {"XDG_CACHE_HOME": str(Path.home() / ".cache")}
    done = shell.having(**model, **cache)("ingest", sample, "--jobs", "1")
    assert done.code == 0, done.err
    assert is_erased(shell, interaction)


def test_listening_erases_what_falls_due_meanwhile(tmp_path: Path) -> None:
    from pipeline.safekeeping import InVault

    vault, now_s = make(tmp_path), [seconds_of(EARLIER)]
    clock = lambda: time_of(now_s[0])  # noqa: E731
    with acting(vault, clock):
        retention.change(vault, lambda old, at: set_limits(old, Wish(words="1h"), at), clock)
        retention.create(vault, parts_of(LIGHT, EARLIER), clock)
    keeper = InVault(vault, clock)
    keeper.rest()
    assert len(list(vault.interactions())) == 1
    now_s[0] += HOUR_S
    keeper.rest()
    assert not list(vault.interactions())


# serve


def test_serving_erases_what_falls_due(shell: Shell) -> None:
    interaction = overdue(shell)
    with shell.start("serve") as process:
        try:
            until = time.monotonic() + 20
            while not is_erased(shell, interaction) and time.monotonic() < until:
                time.sleep(0.1)
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 0
        finally:
            process.kill()
    assert is_erased(shell, interaction)


def attended(vault: Vault, seconds: int, duties: list[Duty]) -> Iterator[str]:
    """Yields what is said in so many seconds, without waiting for them."""
    now_s, said = [seconds_of(EARLIER)], list[str]()

    def pause(for_s: float) -> None:
        now_s[0] += round(for_s)

    end_s = now_s[0] + seconds
    clock = lambda: time_of(now_s[0])  # noqa: E731
    attend(vault, duties, lambda: now_s[0] >= end_s, clock, said.append, pause)
    yield from said


def test_duties_are_done_at_their_times_and_remarks_made_once(tmp_path: Path) -> None:
    calls: list[str] = []

    def duty(name: str, every_s: float) -> Duty:
        def do(_: Vault, at: Clock) -> str:
            calls.append(f"{name} {at()}")
            return name

        return Duty(every_s, do)

    said = list(attended(make(tmp_path), 121, [duty("often", 1.0), duty("seldom", 60.0)]))
    assert sum(call.startswith("often") for call in calls) == 121
    assert sum(call.startswith("seldom") for call in calls) == 3
    assert said == ["often", "seldom"]


def test_a_busy_vault_is_tried_again_a_second_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault, done = make(tmp_path), list[str]()
    held = locked(vault.directory / "lock")
    held.__enter__()
    monkeypatch.setattr("pipeline.session.WAIT_S", 0.0)
    busy = [True]

    def do(_: object, at: object) -> None:
        done.append(str(at))

    def impatient(vault: Vault, clock: object = None) -> object:
        if busy:
            busy.clear()
            held.__exit__(None, None, None)
            raise Busy("held by another")
        return acting(vault, clock)  # type: ignore[arg-type]

    monkeypatch.setattr("pipeline.serve.acting", impatient)
    list(attended(vault, 3, [Duty(60.0, do)]))
    assert len(done) == 1


# The commands


def test_limits_are_set_and_shown(shell: Shell) -> None:
    assert shell.json("retention", "show")["audio"] == "forever"
    found = shell.json("retention", "set", "--audio", "1d", "--words", "30d", "--sensitive", "1h")
    assert (found["audio"], found["words"], found["sensitive"]) == ("1d", "30d", "1h")
    assert shell.json("retention", "show") == found
    code, screen = shell.on_a_terminal("retention", "show")
    assert code == 0
    assert re.search(r"everybody else +1d +30d +1h", plain(screen))


def test_words_of_the_users_own_come_from_a_file_and_not_from_the_arguments(shell: Shell) -> None:
    (shell.home / "words").write_text("lawyer\n\n parole officer \n")
    shell.json("retention", "set", "--sensitive-words", shell.home / "words")
    assert shell.json("retention", "show")["sensitive_words"] == ["lawyer", "parole officer"]
    assert here(shell, "retention", "set", "--sensitive-words", "-", stdin="doctor\n") == 0
    assert shell.json("retention", "show")["sensitive_words"] == ["doctor"]


def test_a_child_is_added_agreed_to_and_shown(shell: Shell) -> None:
    done = shell("profile", "add", "tim", "--child")
    assert "no consent is recorded" in " ".join(done.err.split())
    (tim,) = shell.json("profile", "list")
    assert (tim["child"], tim["stored"], tim["consent"]) == (True, False, None)
    (tim,) = shell.json("profile", "add", "tim", "--child", "--consent-by", "Ada")
    assert tim["stored"]
    assert (tim["audio"], tim["words"], tim["sensitive"], tim["inactive"]) == (
        *("none", "7d"),
        *("1d", "30d"),
    )
    assert tim["consent"]["by"] == "Ada"
    assert here(shell, "retention", "set", "--profile", "tim", "--words", "1y") == 2
    assert here(shell, "retention", "set", "--profile", "tim", "--words", "1h") == 0


def test_a_microphone_is_bound_and_unbound(shell: Shell) -> None:
    for name in ("nursery", "den"):
        (tim,) = shell.json("profile", "add", "tim", "--child", "--device", name)
    assert tim["devices"] == ["nursery", "den"]
    assert here(shell, "profile", "add", "ada", "--device", "nursery") == 2
    done = shell("profile", "unbind", "tim", "--device", "Nursery")
    assert (done.code, "kept as everybody's is" in " ".join(done.err.split())) == (0, True)
    (tim,) = shell.json("profile", "list")
    assert (tim["devices"], tim["child"]) == (["den"], True)
    assert here(shell, "profile", "add", "ada", "--device", "nursery") == 0
    assert here(shell, "profile", "unbind", "tim", "--device", "nursery") == 3
    assert here(shell, "profile", "unbind", "nobody") == 3
    assert here(shell, "profile", "unbind", "tim") == 0
    assert here(shell, "profile", "unbind", "tim") == 3
    rows = shell.json("profile", "list")
    assert {row["profile"]: row["devices"] for row in rows} == {"tim": [], "ada": ["nursery"]}


def test_what_a_child_said_before_it_was_one_is_told_of(shell: Shell) -> None:
    shell.say(LIGHT, profile="tim")
    done = shell("profile", "add", "tim", "--child", "--consent-by", "Ada")
    assert "1 interaction of this profile" in " ".join(done.err.split())
    shell.json("retention", "set", "--profile", "tim", "--audio", "none", "--existing")
    assert "audio" not in shell.json("history")[0]["artefacts"]


def test_existing_is_asked_for_and_erases_at_once(shell: Shell) -> None:
    (interaction,) = shell.say(LIGHT)
    shell.json("retention", "set", "--words", "1h")
    assert not is_erased(shell, interaction)
    shell.json("retention", "set", "--words", "1h", "--existing")
    assert is_erased(shell, interaction), "it was heard in February"


def test_existing_asks_on_a_terminal_and_says_how_much(shell: Shell) -> None:
    (interaction,) = shell.say(LIGHT)
    words = ("retention", "set", "--words", "1h", "--existing")
    code, screen = shell.on_a_terminal(*words, answers=[("yes", "no\n")])
    assert code == 1
    assert "these limits erase 1 interaction at once" in " ".join(plain(screen).split())
    assert "chose to keep have no limit" in " ".join(plain(screen).split())
    assert "nothing was changed" in plain(screen)
    assert not is_erased(shell, interaction)
    assert shell.json("retention", "show")["words"] == "forever"
    assert shell.on_a_terminal("retention", "set", "--words", "2h")[0] == 0  # erases nothing
    code, _ = shell.on_a_terminal(*words, answers=[("yes", "yes\n")])
    assert code == 0
    assert is_erased(shell, interaction)
    (other,) = shell.say(LIGHT)
    assert shell.on_a_terminal(*words, "--yes")[0] == 0
    assert is_erased(shell, other)


def test_show_says_until_when(shell: Shell) -> None:
    interaction = overdue(shell, Wish(audio="1d", words="5d"))
    found = shell.json("show", interaction)["retention"]
    start = datetime.fromisoformat(EARLIER)
    assert datetime.fromisoformat(found["audio_until"]) == start + timedelta(days=1)
    assert datetime.fromisoformat(found["words_until"]) == start + timedelta(days=5)


def test_removing_a_profile_asks_what_becomes_of_its_interactions(shell: Shell) -> None:
    ids = shell.say(LIGHT, profile="ada")
    shell.json("profile", "add", "ada")
    assert here(shell, "profile", "remove", "ada") == 2
    code, screen = shell.on_a_terminal("profile", "remove", "ada", answers=[("forget", "no\n")])
    assert (code, "nothing was changed" in plain(screen)) == (1, True)
    assert len(shell.json("profile", "list")) == 1
    assert shell.json("profile", "remove", "ada", "--keep") == []
    assert not is_erased(shell, ids[0])
    shell.json("profile", "add", "ada")
    assert here(shell, "profile", "remove", "ada", "--forget", "--yes") == 0
    assert is_erased(shell, ids[0])
    assert here(shell, "profile", "remove", "ada") == 3


def test_a_leap_of_the_clock_is_told_of_and_can_be_believed(shell: Shell) -> None:
    vault = create_vault(shell.vault, shell.anchors)
    long_ago = clock_at("2026-01-01T00:00:00Z")
    with acting(vault, long_ago):
        retention.change(vault, lambda old, at: set_limits(old, Wish(words="1d"), at), long_ago)
        retention.create(vault, parts_of(LIGHT, long_ago()), long_ago)
    done = shell("retention", "show")
    assert "--believe-clock" in done.err
    assert len(shell.json("history")) == 1
    assert not shell.json("retention", "set", "--believe-clock")["clock"]["doubted"]
    assert shell.json("history") == []


def test_what_cannot_be_stored_is_refused_before_anything_is_heard(shell: Shell) -> None:
    shell.json("profile", "add", "tim", "--child")
    vault = open_vault(shell.vault, shell.anchors, no_passphrase)
    with acting(vault):
        assert not retention.stores(vault, lambda: EARLIER, "tim")
        assert retention.stores(vault, lambda: EARLIER, "somebody")


@pytest.mark.parametrize(
    "words",
    [
        ("set",),
        ("set", "--audio", "soon"),
        ("set", "--inactive", "1d"),
        ("set", "--profile", "x", "--sensitive", "1d"),
        ("set", "--existing"),
    ],
)
def test_what_makes_no_sense_is_2(shell: Shell, words: tuple[str, ...]) -> None:
    assert here(shell, "retention", *words) == 2


def test_what_serves_sees_to_clocks_timers_and_the_index(tmp_path: Path) -> None:
    vault = make(tmp_path)
    with (
        mock.patch("pipeline.serve.tidy") as tidy,
        mock.patch("pipeline.assistant.watch.Watch.run_due") as run_due,
    ):
        assert list(attended(vault, 61, [*duties_of(vault, Bell())])) == []
    assert (tidy.call_count, run_due.call_count) == (2, 61)


def test_a_bell_that_nobody_hears_is_told_of(tmp_path: Path) -> None:
    vault, bell = make(tmp_path), mock.Mock(ring=mock.Mock(return_value="no loudspeaker"))

    def ringing(watch: Watch) -> list[Rung]:
        watch._ring(mock.Mock())
        return []

    with mock.patch("pipeline.assistant.watch.Watch.run_due", ringing):
        assert list(attended(vault, 3, [*duties_of(vault, bell)])) == ["no loudspeaker"]


def test_a_worker_that_rings_is_not_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.serve._AGAIN_S", 0.01)
    rings = mock.PropertyMock(side_effect=[True, True, False])
    bell, turn = type("Bell", (), {"is_ringing": rings})(), mock.Mock()
    turn.stop, turn.over = threading.Event(), threading.Event()
    turn.over.set()
    _ring_out(turn, bell)
    assert rings.call_count == 3
    turn.stop.set()
    _ring_out(turn, mock.Mock(is_ringing=True))  # but Ctrl-C ends it


# The microphone's profile


@pytest.mark.parametrize(
    ("named", "device", "found"),
    [
        (None, None, "default"),
        (None, "nursery", "tim"),
        (None, "gone", "default"),
        ("ada", "nursery", "ada"),
    ],
)
def test_a_microphone_hears_its_profile_unless_another_is_named(
    tmp_path: Path, named: str | None, device: str | None, found: str
) -> None:
    vault = make(tmp_path)
    tim = Newcomer("tim", is_child=True, devices=("USB Nursery",))
    with acting(vault):
        retention.change(vault, lambda old, at: add(old, tim, at), clock_at(EARLIER))
    microphones = [
        Device("Webcam", 1, 16000, is_default=True),
        Device("the USB Nursery mic", 1, 16000, is_default=False),
    ]
    options = argparse.Namespace(profile=named, device=device)
    with mock.patch("pipeline.devices.devices", return_value=microphones):
        assert microphone._profile(vault, options) == found
