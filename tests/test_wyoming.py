"""The Wyoming service with the real client: what it answers, what it keeps, what it says left.

A parrot recognises: one word for each loudness. Real recognition is in `test_wyoming_model.py`,
what hostile clients meet in `test_wyoming_hostile.py`.
"""

import asyncio
import json
import time
from dataclasses import replace
from pathlib import Path

import pytest

from keys.entry import Noted
from keys.errors import StateUnknown
from keys.model import InteractionId
from pipeline import history, retention
from pipeline.artefact import AUDIO, DISCLOSURE, META, TRANSCRIPT, decode_audio
from pipeline.audit import audit
from pipeline.errors import Refused
from pipeline.history import Filter
from pipeline.model import RATE_HZ
from pipeline.profiles import Newcomer, add
from pipeline.session import acting
from pipeline.vault import Vault
from pipeline.wyoming_about import About, languages
from pipeline.wyoming_address import address_of, announced, bound, is_private, warning
from pipeline.wyoming_hearing import Desk
from tests.household import clock, forget, make, real_files, reopen
from tests.lateness import lateness_s
from tests.parrot import WORDS, Parrot, probability
from tests.wyoming_client import (
    BRISK,
    Describe,
    Info,
    Ping,
    Pong,
    Running,
    begin,
    dictate,
    running,
    send,
    spoken,
    stop,
    text_of,
)

EXCHANGE = Path(__file__).parent / "vectors" / "wyoming-home-assistant.json"


def rows(vault: Vault) -> list[history.Row]:
    with acting(vault, clock):
        return list(history.rows(vault, Filter()))


def disclosures(vault: Vault) -> list[InteractionId]:
    with acting(vault, clock):
        entries = [entry for _, entry in vault.log.scan() if isinstance(entry, Noted)]
    found = [it for it in entries if (it.act, it.how) == ("disclose", "home-assistant")]
    return [it for entry in found for it in entry.interactions]


def wait_until(is_so: object, within_s: float = 10) -> None:
    assert callable(is_so)
    until_s = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < until_s
        time.sleep(0.01)


def test_it_says_what_it_is(tmp_path: Path) -> None:
    async def ask(it: Running) -> tuple[Info, Pong]:
        async with it.client() as client:
            await client.write_event(Describe().event())
            info = await client.read_event()
            await client.write_event(Ping("hello").event())
            pong = await client.read_event()
            assert info
            assert pong
            return Info.from_event(info), Pong.from_event(pong)

    with running([make(tmp_path)]) as it:
        began_s = time.monotonic()
        info, pong = asyncio.run(ask(it))
        took_s = time.monotonic() - began_s
        assert took_s < 1.0 + lateness_s()  # so long Home Assistant waits
    assert pong.text == "hello"
    program = info.asr[0]
    assert program.supports_transcript_streaming
    assert program.installed
    assert program.version
    assert program.attribution.name
    assert [model.languages for model in program.models] == [["en", "en-US"]]
    assert program.models[0].installed


def test_the_language_is_told_by_the_catalogue_or_by_the_name() -> None:
    assert languages("vosk-model-small-en-us-zamia-0.5") == ("en", "en-US")
    assert languages("vosk-model-small-de-0.15") == ("de",)
    assert languages("vosk-model-fr-0.22") == ("fr",)
    assert languages("vosk-model-small-en-in-0.4") == ("en", "en-IN")
    assert languages("my own") == ("en",)
    assert About("my own", "p").info()["asr"]


def test_what_was_said_is_answered_in_segments_and_as_a_whole(tmp_path: Path) -> None:
    vault = make(tmp_path)
    with running([reopen(tmp_path)]) as it:
        events = asyncio.run(dictate(it, spoken(0, pause_s=1.5) + spoken(1, 2)))
    assert [event.type for event in events] == [
        *("transcript-start", "transcript-chunk", "transcript-chunk"),
        *("transcript", "transcript-stop"),
    ]
    assert [e.data["text"] for e in events[1:3]] == [WORDS[0], f"{WORDS[1]} {WORDS[2]}"]
    assert text_of(events) == " ".join(WORDS[:3])
    last, first = rows(vault)
    assert (first.text, last.text) == (WORDS[0], f"{WORDS[1]} {WORDS[2]}")
    assert it.told == []


def test_what_was_said_is_sealed_with_its_sound_and_where_it_came_from(tmp_path: Path) -> None:
    vault, pcm = make(tmp_path), spoken(0, 1)
    with running([reopen(tmp_path)]) as it:
        asyncio.run(dictate(it, pcm))
    (row,) = rows(vault)
    assert {artefact.kind for artefact in row.artefacts} == {AUDIO, TRANSCRIPT, META, DISCLOSURE}
    assert row.meta.source == "Wyoming client at 127.0.0.1"
    assert not row.meta.truncated
    with acting(vault, clock):
        heard = decode_audio(vault.read(row.interaction, AUDIO)).astype("<i2").tobytes()
        assert pcm.startswith(heard)  # but for some of the silence at its end
        assert len(pcm) - len(heard) < RATE_HZ
        audit(vault)
    clear = [path for path, data in real_files(tmp_path).items() if b"127.0.0.1" in data]
    assert clear == []


def test_a_disclosure_is_in_the_log_before_the_first_word_leaves(tmp_path: Path) -> None:
    vault = make(tmp_path)

    async def converse(it: Running) -> None:
        async with it.client() as client:
            await begin(client)
            await send(client, spoken(0, pause_s=1.5))
            while (event := await client.read_event()) and event.type != "transcript-chunk":
                pass
            assert disclosures(vault)
            await stop(client)

    with running([reopen(tmp_path)]) as it:
        asyncio.run(converse(it))
    (row,) = rows(vault)
    assert disclosures(vault) == [row.interaction]
    with acting(vault, clock):
        (disclosure,) = history.detail(vault, row.interaction).disclosures
    assert disclosure.to == "Wyoming client at 127.0.0.1"
    assert disclosure.fields == (TRANSCRIPT,)
    (beyond_reach,) = forget(vault, row.interaction).statement.disclosed
    assert "home assistant" in beyond_reach


def test_a_service_that_recorded_nothing_would_be_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Desk, "_discloses", lambda *_: True)
    with pytest.raises(AssertionError):
        test_a_disclosure_is_in_the_log_before_the_first_word_leaves(tmp_path)


def test_ephemeral_stores_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOME", "TMPDIR", "XDG_CACHE_HOME", "XDG_DATA_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    with running([None]) as it:
        assert text_of(asyncio.run(dictate(it, spoken(0, 1)))) == " ".join(WORDS[:2])
    assert real_files(tmp_path) == {}


def test_noise_without_a_voice_leaves_no_trace(tmp_path: Path) -> None:
    vault = make(tmp_path)
    before = real_files(tmp_path)
    with running([reopen(tmp_path)]) as it:
        assert text_of(asyncio.run(dictate(it, bytes(2 * RATE_HZ)))) == ""
    assert real_files(tmp_path) == before
    assert rows(vault) == []


def test_what_our_detector_misses_is_recognised_all_the_same(tmp_path: Path) -> None:
    vault = make(tmp_path)

    def deaf(it: Vault | None) -> Desk:
        return Desk(Parrot(), it, lambda: lambda _: 0.0)

    with running([reopen(tmp_path)], new_desk=deaf) as it:
        assert text_of(asyncio.run(dictate(it, spoken(0, 1)))) == " ".join(WORDS[:2])
    assert [row.text for row in rows(vault)] == [" ".join(WORDS[:2])]


def test_what_is_forgotten_while_it_is_spoken_gets_an_empty_answer(tmp_path: Path) -> None:
    vault = make(tmp_path)

    async def converse(it: Running) -> str | None:
        async with it.client() as client:
            await begin(client)
            await send(client, spoken(0, 1))
            await asyncio.to_thread(wait_until, lambda: under_way(vault))
            forget(vault, *under_way(vault))
            await send(client, spoken(1, 2, 3))
            return text_of(await stop(client))

    with running([reopen(tmp_path)]) as it:
        assert asyncio.run(converse(it)) == ""
    assert rows(vault) == []
    assert disclosures(vault) == []
    with acting(vault, clock):
        assert list(vault.paths()) == []
        audit(vault)


def under_way(vault: Vault) -> list[InteractionId]:
    with acting(vault, clock):
        return list(vault.interactions())


def test_what_is_forgotten_before_the_end_is_not_said_again(tmp_path: Path) -> None:
    vault = make(tmp_path)

    async def converse(it: Running) -> str | None:
        async with it.client() as client:
            await begin(client)
            await send(client, spoken(0, pause_s=1.5))
            while (event := await client.read_event()) and event.type != "transcript-chunk":
                pass
            forget(vault, rows(vault)[0].interaction)
            await send(client, spoken(2))
            return text_of(await stop(client))

    with running([reopen(tmp_path)]) as it:
        assert asyncio.run(converse(it)) == WORDS[2]


@pytest.mark.parametrize("pace_s", [0.0, 0.002])
def test_an_exchange_with_home_assistant(tmp_path: Path, pace_s: float) -> None:
    make(tmp_path)
    described, uttered = json.loads(EXCHANGE.read_text())["connections"]
    pcm = spoken(0, 1)
    with running([reopen(tmp_path)]) as it:
        with it.plug() as plug, plug.makefile("rb") as answer:
            plug.sendall("".join(described["sends"]).encode())
            assert read_until(answer, described["reads_until"])["asr"]
        with it.plug() as plug, plug.makefile("rb") as answer:
            plug.sendall("".join(uttered["sends"]).encode())
            for at in range(0, len(pcm), 320):
                plug.sendall(uttered["each_chunk"].encode() + pcm[at : at + 320].ljust(320, b"\0"))
                time.sleep(pace_s)
            plug.sendall(uttered["then"].encode())
            assert read_until(answer, uttered["reads_until"]) == {"text": " ".join(WORDS[:2])}
        assert it.told == []


def read_until(answer: "object", kind: str) -> dict[str, object]:
    """Reads as the client does, but with nothing of it."""
    while True:
        header = json.loads(answer.readline())  # type: ignore[attr-defined]
        data = json.loads(answer.read(header.get("data_length", 0)) or b"{}")  # type: ignore[attr-defined]
        assert header["type"] != "error"
        if header["type"] == kind:
            return dict(data)


def test_several_at_once_get_their_own_words(tmp_path: Path) -> None:
    vault = make(tmp_path)

    async def all_at_once(it: Running) -> list[str | None]:
        talks = [dictate(it, spoken(n % 4, (n + 1) % 4)) for n in range(8)]
        return [text_of(events) for events in await asyncio.gather(*talks)]

    with running([reopen(tmp_path), reopen(tmp_path)]) as it:
        found = asyncio.run(all_at_once(it))
    wanted = [f"{WORDS[n % 4]} {WORDS[(n + 1) % 4]}" for n in range(8)]
    assert found == wanted
    assert sorted(row.text for row in rows(vault)) == sorted(wanted)
    assert len(disclosures(vault)) == 8
    with acting(vault, clock):
        audit(vault)


def test_a_client_that_goes_away_leaves_what_it_said_and_it_was_not_let_out(tmp_path: Path) -> None:
    vault = make(tmp_path)

    async def hang_up(it: Running) -> None:
        async with it.client() as client:
            await begin(client)
            await send(client, spoken(0, 1))

    with running([reopen(tmp_path)]) as it:
        asyncio.run(hang_up(it))
        wait_until(lambda: rows(vault))
    (row,) = rows(vault)
    assert row.meta.truncated
    assert row.text == " ".join(WORDS[:2])
    assert disclosures(vault) == []
    assert it.told == []


def test_draining_finishes_what_is_under_way_and_accepts_no_more(tmp_path: Path) -> None:
    vault = make(tmp_path)

    async def converse(it: Running) -> str | None:
        async with it.client() as idle, it.client() as client:
            await idle.write_event(Describe().event())
            assert await idle.read_event()
            await begin(client)
            await send(client, spoken(0))
            it.service.drain()
            assert await idle.read_event() is None
            assert not it.ended.is_set()
            await send(client, spoken(1))
            return text_of(await stop(client))

    with running([reopen(tmp_path)]) as it:
        assert asyncio.run(converse(it)) == " ".join(WORDS[:2])
        assert it.ended.wait(5)
        with it.plug() as plug:  # the socket is not the service's: it listens for the next one
            plug.settimeout(0.3)
            plug.sendall(b'{"type": "describe"}\n')
            with pytest.raises(TimeoutError):
                plug.recv(1)
    assert len(rows(vault)) == 1


def test_draining_has_an_end(tmp_path: Path) -> None:
    vault = make(tmp_path)
    with running([reopen(tmp_path)], replace(BRISK, ending_s=0.3)) as it:

        async def never_stop() -> None:
            async with it.client() as client:
                await begin(client)
                await send(client, spoken(0, 1))
                await asyncio.to_thread(wait_until, lambda: under_way(vault))
                it.service.drain()
                assert await asyncio.to_thread(it.ended.wait, 5)

        asyncio.run(never_stop())
    assert [row.meta.truncated for row in rows(vault)] == [True]


def test_a_vault_that_is_broken_answers_nothing_and_ends_the_service(tmp_path: Path) -> None:
    class Broken(Desk):
        def hear(self, *_: object) -> None:  # type: ignore[override]
            raise StateUnknown("a write failed")

    make(tmp_path)
    with running([reopen(tmp_path)], new_desk=lambda it: Broken(Parrot(), it)) as it:
        events = asyncio.run(dictate(it, b""))
        assert it.ended.wait(5)
    assert [event.type for event in events] == ["error"]
    assert isinstance(it.failure, StateUnknown)


def test_a_defect_is_told_by_its_place_and_the_next_client_is_answered(tmp_path: Path) -> None:
    class Defective(Desk):
        is_sound = False

        def hear(self, *them: object) -> object:  # type: ignore[override]
            if self.is_sound:
                return super().hear(*them)  # type: ignore[arg-type]
            self.is_sound = True
            raise ZeroDivisionError(WORDS[0])

    make(tmp_path)

    def new_desk(it: Vault | None) -> Desk:
        return Defective(Parrot(), it, lambda: probability)

    with running([reopen(tmp_path)], new_desk=new_desk) as it:
        assert [e.type for e in asyncio.run(dictate(it, spoken(0)))] == ["error"]
        assert text_of(asyncio.run(dictate(it, spoken(0)))) == WORDS[0]
    (told,) = it.told
    assert "ZeroDivisionError" in told
    assert WORDS[0] not in told


def child(vault: Vault, consent_by: str | None) -> None:
    with acting(vault, clock):
        newcomer = Newcomer("kim", is_child=True, consent_by=consent_by)
        retention.change(vault, lambda old, at: add(old, newcomer, at), clock)


def test_of_a_child_without_consent_nothing_is_stored_and_nothing_leaves(tmp_path: Path) -> None:
    vault = make(tmp_path)
    child(vault, None)
    with running([reopen(tmp_path)], profile="kim") as it:
        events = asyncio.run(dictate(it, spoken(0, 1)))
        assert [event.type for event in events] == ["error"]
    assert rows(vault) == []
    assert disclosures(vault) == []
    assert [told for told in it.told if "consent" in told]


def test_of_a_child_the_words_are_kept_as_agreed_to_and_no_sound(tmp_path: Path) -> None:
    vault = make(tmp_path)
    child(vault, "Ada")
    with running([reopen(tmp_path)], profile="kim") as it:
        assert text_of(asyncio.run(dictate(it, spoken(0, 1)))) == " ".join(WORDS[:2])
    (row,) = rows(vault)
    assert {artefact.kind for artefact in row.artefacts} == {TRANSCRIPT, META, DISCLOSURE}


def test_addresses() -> None:
    with bound("tcp://127.0.0.1:0") as here:
        assert is_private(here)
        assert warning(here) == ""
        assert address_of(here) == f"tcp://127.0.0.1:{here.getsockname()[1]}"
        with pytest.raises(Refused, match="loopback"), announced(here):
            pass
    with bound("tcp://0.0.0.0:0") as everywhere:
        assert not is_private(everywhere)
        assert "no authentication" in warning(everywhere)
    for wrong in ("127.0.0.1:10300", "tcp://127.0.0.1", "tcp://:1", "udp://a:1", "tcp://a:b"):
        with pytest.raises(Refused, match=r"tcp://127\.0\.0\.1:10300"):
            bound(wrong)


def test_the_local_network_hears_of_a_service_that_others_reach() -> None:
    zeroconf = pytest.importorskip("zeroconf")
    found = []
    with bound("tcp://0.0.0.0:0") as listening:
        try:
            with announced(listening, "anechoic-test"), zeroconf.Zeroconf() as other:
                name = "anechoic-test._wyoming._tcp.local."
                found.append(other.get_service_info("_wyoming._tcp.local.", name, 3000))
        except OSError:
            pytest.skip("no network here that multicast goes over")
        assert found[0] is not None
        assert found[0].port == listening.getsockname()[1]
