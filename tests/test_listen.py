"""Listening turns each utterance into one interaction, with its pre-roll, its words and no more."""

import numpy as np

from pipeline.artefact import Meta
from pipeline.capture import Back, Block, Gone
from pipeline.heard import Dropped, Partial, Said
from pipeline.listen import LIVE, Request, listen
from pipeline.model import RATE_HZ
from pipeline.safekeeping import InVault
from pipeline.segment import CHUNK_SAMPLES, Endpointing
from tests.household import reopen
from tests.parrot import WORDS, Home, Parrot, Script, hear, home, probability, said, silence, voice
from tests.world.adversary import RecordingDisk

__all__ = ["home"]


def test_an_utterance_becomes_an_interaction_with_its_pre_roll(home: Home) -> None:
    script = [silence(1), voice(0, 1.5), voice(1, 0.5), silence(1)]
    events = hear(InVault(home.vault), *script)
    (it,) = said(events)
    assert it.text == f"{WORDS[0]} {WORDS[1]}"
    row = home.row(it)
    assert row.text == it.text
    assert (row.meta.source, row.meta.recogniser, row.meta.lost_ms) == ("a script", "a parrot", 0)
    assert not row.meta.truncated
    assert row.meta.started_at == "2026-03-01T11:59:59.648Z"  # ten chunks before, and its first
    pcm = home.heard(it)
    assert (
        len(pcm) == round(it.seconds * RATE_HZ, -1) or abs(len(pcm) / RATE_HZ - it.seconds) < 0.01
    )
    spoken = np.concatenate([b.pcm for b in [*script[1], *script[2]] if isinstance(b, Block)])
    before = LIVE.pre_roll_ms // 32 + 1
    start = before * CHUNK_SAMPLES
    assert not pcm[:start].any()
    assert np.array_equal(pcm[start : start + len(spoken)], spoken)
    home.assert_sound()


def test_words_are_shown_while_they_are_spoken(home: Home) -> None:
    events = hear(InVault(home.vault), voice(0, 1), voice(1, 1), silence(1))
    partials = [event.text for event in events if isinstance(event, Partial)]
    assert partials == [WORDS[0], f"{WORDS[0]} {WORDS[1]}"]
    assert isinstance(events[-1], Said)


def test_it_is_sealed_half_a_second_after_the_end_of_speech(home: Home) -> None:
    heard: list[int] = []
    quiet = silence(2)
    script = [[it, lambda: heard.append(1)] for it in quiet]
    request = Request("default", "a parrot")
    flat = [*voice(0, 1), *(x for pair in script for x in pair)]
    for event in listen(Script(flat), InVault(home.vault), Parrot(), probability, request):
        if isinstance(event, Said):
            break
    assert len(heard) * 32 <= 500


def test_one_utterance_after_the_other(home: Home) -> None:
    events = hear(
        InVault(home.vault), *(part for n in range(4) for part in (voice(n, 0.6), silence(0.6)))
    )
    assert [it.text for it in said(events)] == WORDS
    assert len(home.interactions) == 4
    home.assert_sound()


def test_once_ends_after_one(home: Home) -> None:
    script = [voice(0, 0.6), silence(0.6), voice(1, 0.6), silence(0.6)]
    assert [it.text for it in said(hear(InVault(home.vault), *script, once=True))] == WORDS[:1]
    home.assert_sound()


def test_a_door_that_slams_never_touches_the_vault(home: Home) -> None:
    disk = RecordingDisk()
    vault = reopen(home.base, disk)
    assert said(hear(InVault(vault), silence(1), voice(0, 0.128), silence(1))) == []
    assert disk.history == []


def test_sound_without_words_leaves_nothing_and_the_log_says_discard(home: Home) -> None:
    events = hear(InVault(home.vault), silence(1), voice(9, 1.5), silence(1))
    assert [type(event) for event in events] == [Dropped]
    assert home.interactions == []
    home.assert_sound()
    assert home.log.count(" discard unfinished ") == 1


def test_what_is_said_when_it_ends_is_completed(home: Home) -> None:
    (it,) = said(hear(InVault(home.vault), silence(1), voice(2, 1)))
    assert home.row(it).text == WORDS[2]
    assert not home.row(it).meta.truncated
    home.assert_sound()


def test_a_long_speech_is_cut_and_no_sample_is_lost_or_doubled(home: Home) -> None:
    short = Endpointing(hang_over_ms=416, maximum_ms=3200, cut_window_ms=640)
    spoken = [*voice(0, 2), *voice(1, 2), *voice(2, 3), *voice(3, 1)]
    events = hear(InVault(home.vault), spoken, silence(1), endpointing=short)
    parts = [home.heard(it) for it in said(events)]
    assert len(parts) == 3
    whole = np.concatenate([event.pcm for event in spoken if isinstance(event, Block)])
    assert np.array_equal(np.concatenate(parts)[: len(whole)], whole)
    home.assert_sound()


def test_loss_during_an_utterance_is_in_its_meta_and_in_no_other(home: Home) -> None:
    lossy = [Block(voice(0, 0.032)[0].pcm, lost_ms=120)]  # type: ignore[union-attr]
    events = hear(
        InVault(home.vault),
        [Block(np.zeros(CHUNK_SAMPLES, np.int16), lost_ms=999)],
        *(voice(0, 0.6), lossy, voice(0, 0.3), silence(1)),
        *(voice(1, 0.6), silence(1)),
    )
    assert [home.row(it).meta.lost_ms for it in said(events)] == [120, 0]


def test_a_microphone_that_goes_away_cuts_off_and_comes_back(home: Home) -> None:
    events = hear(
        InVault(home.vault),
        *(voice(0, 1), Gone("unplugged"), Back(), silence(0.3), voice(1, 1), silence(1)),
    )
    kinds = [type(event) for event in events if not isinstance(event, Partial)]
    assert kinds == [Said, Gone, Back, Said]
    assert [it.truncated for it in said(events)] == [True, False]
    assert [home.row(it).meta.truncated for it in said(events)] == [True, False]
    home.assert_sound()


def test_blocks_of_any_length_are_the_same_sound(home: Home) -> None:
    whole = [*silence(1), *voice(1, 1), *silence(1)]
    pcm = np.concatenate([event.pcm for event in whole if isinstance(event, Block)])
    odd = [Block(pcm[at : at + 777]) for at in range(0, len(pcm), 777)]
    first, second = said(hear(InVault(home.vault), whole)), said(hear(InVault(home.vault), odd))
    assert np.array_equal(home.heard(first[0]), home.heard(second[0]))


def test_meta_of_before_is_still_read() -> None:
    old = Meta("2026-02-01T08:00:00.000Z", 5, "default", "x.wav", 0, "none").encode()
    assert Meta.decode(old.replace(b', "lost_ms": 0, "truncated": false', b"")).lost_ms == 0
