"""The assistant at the microphone: what it makes of an utterance, and of what is private nothing.

Blocks of sound are scripted and so are the words; the vault and everything above it are real.
"""

import threading
from multiprocessing import Pipe
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline import write
from pipeline.artefact import ACTION, TRANSCRIPT, Meta
from pipeline.assistant.derived import MUTE, Reply
from pipeline.assistant.values import Action
from pipeline.audit import audit
from pipeline.companion import Companion
from pipeline.completing import complete
from pipeline.heard import Dropped, Heard, Replied, Said
from pipeline.listen import Request, listen
from pipeline.microphone import _Keys
from pipeline.model import RATE_HZ, Word
from pipeline.recognise import OnPartial
from pipeline.relief import Baton
from pipeline.safekeeping import InMemory, InVault
from pipeline.session import acting
from pipeline.terminal import Terminal
from pipeline.turn import LEFT, Turn
from pipeline.vault import Vault
from tests.household import clock, make, say
from tests.parrot import NOON, Script, probability, silence, voice


class Prompter:
    """Hears one text after the other, whatever the sound."""

    def __init__(self, texts: tuple[str, ...]) -> None:
        self._texts, self._is_open = list(texts), False

    def take(self, pcm: NDArray[np.int16]) -> None:
        self._is_open = self._is_open or bool(len(pcm))

    def so_far(self) -> str:
        return self._texts[0] if self._is_open else ""

    def finish(self) -> tuple[Word, ...]:
        self._is_open = False
        words = self._texts.pop(0).split()
        return tuple(Word(word, 10 * n, 10 * n + 9, 1.0) for n, word in enumerate(words))

    def abandon(self) -> None:
        self._is_open = False


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return make(tmp_path)


def conversation(
    vault: Vault | None, *texts: str, as_json: bool = True
) -> tuple[list[Heard], Companion]:
    muted, keep = threading.Event(), threading.Event()
    companion = Companion(vault, Terminal(as_json=as_json), muted, keep)
    keeper = InVault(vault) if vault else InMemory()
    script = [block for _ in texts for block in (*voice(0, 1.0), *silence(1.0))]
    request = Request("default", "a prompter", hearer=companion.assistant)
    events = []
    heard = listen(Script(script), keeper, Prompter(texts), probability, request, lambda: NOON)
    for event in heard:
        events.append(event)
        if isinstance(event, Replied):
            companion.obey(event.reply)
    return events, companion


def replies(events: list[Heard]) -> list[str]:
    return [it.reply.text for it in events if isinstance(it, Replied)]


def kinds(vault: Vault) -> list[set[str]]:
    with acting(vault):
        return [{a.kind for a in vault.artefacts(it)} for it in vault.interactions()]


def test_what_is_wanted_is_sealed_with_the_words_and_answered(vault: Vault) -> None:
    events, _ = conversation(vault, "set a timer for ten minutes")
    (told,) = replies(events)
    assert "10 minutes" in told or "ten minutes" in told
    assert kinds(vault) == [{"audio", "transcript", "meta", "intent", "action", "answer"}]


def test_what_is_no_command_is_stored_like_any_other(vault: Vault) -> None:
    events, _ = conversation(vault, "the moon is bright tonight")
    assert replies(events) == [""]
    assert kinds(vault) == [{"audio", "transcript", "meta"}]


def test_forgetting_by_voice_says_the_plan_back_and_leaves_no_trace_of_the_request(
    vault: Vault,
) -> None:
    (before,) = say(vault, "my secret is out")
    events, _ = conversation(vault, "forget what i just said", "yes")
    assert len([it for it in events if isinstance(it, Dropped)]) == 2
    assert not [it for it in events if isinstance(it, Said)]
    asked, done = replies(events)
    assert "Say yes" in asked
    assert done
    with acting(vault, clock):
        assert list(vault.interactions()) == []
        assert audit(vault).problems == []
    assert not any(before.hex() in path.name for path in vault.sealed.rglob("*"))


@pytest.mark.parametrize("as_json", [True, False])
def test_what_is_answered_goes_into_no_pipe(
    vault: Vault, capsys: pytest.CaptureFixture[str], *, as_json: bool
) -> None:
    events, _ = conversation(vault, "set a timer for ten minutes", as_json=as_json)
    assert "minutes" in replies(events)[0]
    out, err = capsys.readouterr()
    assert "minutes" not in out + err


def test_without_a_yes_nothing_is_forgotten(vault: Vault) -> None:
    (kept,) = say(vault, "my secret is out")
    conversation(vault, "forget what i just said", "no")
    with acting(vault, clock):
        assert list(vault.interactions()) == [kept]


def test_stop_listening_mutes_and_is_not_stored(vault: Vault) -> None:
    _, companion = conversation(vault, "stop listening")
    assert companion._muted.is_set()
    assert kinds(vault) == []


def test_the_next_worker_knows_of_a_mute_at_once_and_opens_nothing() -> None:
    """By voice as by the key: an erasure, or the end of this worker, may come at any moment."""
    ours, theirs = Pipe()
    keys = _Keys(Turn(theirs, b"", is_first=True), once=False)
    Companion(None, Terminal(as_json=True), keys.muted, keys.keep).obey(Reply(effect=MUTE))
    assert ours.poll()
    what, left = ours.recv()
    assert (what, Baton.decode(left).is_muted) == (LEFT, True)
    keys.muted.clear()
    assert Baton.decode(ours.recv()[1]) == Baton()


def test_keep_that_keeps_the_last_where_nothing_else_does() -> None:
    _, companion = conversation(None, "something worth keeping", "keep that")
    assert companion._keep.is_set()


def test_an_alarm_that_is_due_rings_while_somebody_listens(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    rung: list[str] = []
    (said,) = say(vault, "wake me")
    with acting(vault):
        write.add(vault, said, (ACTION, Action("alarm", at="2026-01-01T07:00:00+00:00").encode()))
    _, companion = conversation(vault)
    monkeypatch.setattr(companion._bell, "ring", rung.append)
    companion.look()
    companion.look()
    assert rung == ["alarm"]
    with acting(vault):
        assert {a.kind for a in vault.artefacts(said)} >= {TRANSCRIPT, "fired"}


class Saying:
    """Recognises one text in whatever it is given."""

    def __init__(self, text: str) -> None:
        self._text = text

    def recognise(
        self,
        pcm: NDArray[np.int16],  # noqa: ARG002 - as the protocol has it
        on_partial: OnPartial | None = None,  # noqa: ARG002 - as the protocol has it
    ) -> tuple[Word, ...]:
        return tuple(Word(word, n, n + 1, 1.0) for n, word in enumerate(self._text.split()))


@pytest.mark.parametrize(
    ("text", "stays"), [("forget everything i said today", False), ("the moon is bright", True)]
)
def test_a_private_command_that_a_crash_cut_off_is_not_kept(
    vault: Vault, text: str, *, stays: bool
) -> None:
    keeper = InVault(vault)
    meta = Meta("2026-03-01T12:00:00.000Z", 0, "default", "a script", 0, "none")
    keeper.begin(meta)
    keeper.add(np.full(RATE_HZ, 900, np.int16))
    keeper.close()  # as a crash would
    assert len(complete(vault, Saying(text))) == stays
    with acting(vault):
        assert len(list(vault.interactions())) == stays
        assert audit(vault).problems == []
