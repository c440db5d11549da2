"""What `serve` is told: options that mean something, and a microphone that can be opened again."""

import contextlib
import errno
import threading
import time
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest

from pipeline import cli_options, glimpse, serve
from pipeline.assistant.derived import MUTE, Reply
from pipeline.companion import Companion
from pipeline.configuration import parse
from pipeline.errors import Refused
from pipeline.glimpse import Now
from pipeline.microphone import _Keys, _request
from pipeline.telling import Teller
from pipeline.terminal import Terminal
from pipeline.turn import RELIEVED, Turn
from tests.commandline import Shell
from tests.household import clock, make

OF_A_MICROPHONE = (
    *(("--device", "desk"), ("--wake", "alexa"), ("--pause", "416")),
    ("--vocabulary", "assistant"),
)
OF_HEARING = (("--ephemeral",), ("--profile", "ada"), ("--model", "some"))


def told(*words: str) -> Namespace:
    return parse(cli_options.parser(), ["serve", *words])


@pytest.mark.parametrize("option", [*OF_A_MICROPHONE, *OF_HEARING], ids=" ".join)
def test_an_option_that_would_mean_nothing_is_refused(
    tmp_path: Path, option: tuple[str, ...]
) -> None:
    refused = Shell(tmp_path)("serve", "--web", "127.0.0.1:0", *option)
    assert refused.code == 2
    assert option[0] in refused.err
    assert "add --listen" in refused.err
    serve._refuse_idle(told("--listen", *option))  # control: there it means something


def test_what_a_wyoming_service_needs_no_microphone_for() -> None:
    serve._refuse_idle(told("--wyoming", "tcp://127.0.0.1:0", "--announce", "--ephemeral"))
    with pytest.raises(Refused, match="--wyoming"):
        serve._refuse_idle(told("--announce", "--listen"))
    with pytest.raises(Refused, match="--wake"):
        serve._refuse_idle(told("--wyoming", "tcp://127.0.0.1:0", "--wake", "alexa"))


def test_it_listens_as_listen_does() -> None:
    words = ("--device", "desk", "--pause", "300", "--vocabulary", "assistant", "--profile", "ada")
    ours = told("--listen", *words)
    theirs = parse(cli_options.parser(), ["listen", *words])
    with mock.patch("pipeline.serve.beside") as beside:
        serve._listening(ours, bytearray, None)
    (handed, *_) = beside.call_args.args[0].args
    for name in ("device", "wake", "once", "ephemeral", "profile", "pause", "model", "vocabulary"):
        assert getattr(handed, name) == getattr(theirs, name)


@pytest.mark.parametrize(("pause", "hang_over_ms"), [(None, 416), (300, 300)])
def test_the_pause_that_is_not_named_is_that_of_speech(
    pause: int | None, hang_over_ms: int
) -> None:
    with mock.patch("pipeline.microphone.the_model", return_value=Path("m")):
        request = _request(Namespace(pause=pause, wake=None, once=False), "default")
    assert request.endpointing.hang_over_ms == hang_over_ms


def test_m_mutes_and_m_lifts_it(capsys: pytest.CaptureFixture[str]) -> None:
    place = glimpse.place()
    assert place
    it = Terminal(as_json=False)
    for state, wished, says in (("listening", True, "muted"), ("muted", False, "listening again")):
        place.show(Now(state))
        serve._muting(place, it, "m")
        assert place.take_wish() is wished
        assert says in capsys.readouterr().err
    serve._muting(place, it, "something else")
    assert place.take_wish() is None


def test_stop_listening_by_voice_is_lifted_by_who_may() -> None:
    """By voice it cannot be: nobody hears it any more."""
    place = glimpse.place()
    assert place
    keys = _Keys(mock.Mock(spec=Turn), once=False)
    with Teller(place, keys.muted):
        Companion(None, Terminal(as_json=True), keys.muted, keys.keep).obey(Reply(effect=MUTE))
        assert keys.muted.is_set()
        place.wish(is_muted=False)
        until_s = time.monotonic() + 10
        while keys.muted.is_set() and time.monotonic() < until_s:
            time.sleep(0.02)
        assert not keys.muted.is_set()


def test_a_worker_does_its_duties_before_its_turn_and_none_while_it_finishes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So timers ring while strangers keep the one before from ending."""
    done, leaves, outcome = threading.Semaphore(0), threading.Event(), list[int]()
    turn = Turn(mock.Mock(), b"", is_first=False)
    duty = serve.Duty(0.0, lambda *_: done.release())
    monkeypatch.setattr(serve, "_AGAIN_S", 0.01)
    monkeypatch.setattr(serve, "the_vault", lambda *_: make(tmp_path))
    monkeypatch.setattr(serve, "duties_of", lambda *_, **__: [duty])

    @contextlib.contextmanager
    def slow(*_: object) -> Iterator[object]:
        yield mock.Mock(is_set=lambda: False)
        assert leaves.wait(20)

    options, door = told("--web", "127.0.0.1:0"), mock.Mock(opened=slow)
    work = lambda: outcome.append(serve._work(options, None, None, door, None, None, turn))  # noqa: E731
    worker = threading.Thread(target=work)
    worker.start()
    assert done.acquire(timeout=10), "it does nothing before its turn begins"
    turn.began.set()
    turn.over.set()
    time.sleep(0.2)
    while done.acquire(blocking=False):
        pass
    assert not done.acquire(timeout=0.2), "it goes on although the next one is at work"
    assert worker.is_alive()
    leaves.set()
    worker.join(20)
    assert outcome == [RELIEVED]


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.EIO])
def test_too_many_files_open_at_once_is_no_end(tmp_path: Path, number: int) -> None:
    attempts = list[int]()

    def do(*_: object) -> None:
        attempts.append(number)
        if len(attempts) < 3:
            raise OSError(number, "as the system says it")

    passes, duties = number != errno.EIO, [serve.Duty(60.0, do)]
    with contextlib.nullcontext() if passes else pytest.raises(OSError, match="as the system"):
        vault, rounds, said = make(tmp_path), iter(range(5)), list[object]()
        serve.attend(vault, duties, lambda: next(rounds) == 4, clock, said.append, said.append)
    assert len(attempts) == (3 if passes else 1)
