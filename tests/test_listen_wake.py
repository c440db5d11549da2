"""With a wake word nothing is heard before it, and after it one utterance."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pipeline.capture import Event
from pipeline.heard import Asleep, Dropped, Heard, Partial, Said, Sound, Woken
from pipeline.listen import Request, listen
from pipeline.safekeeping import InVault, Keeper
from tests.parrot import (
    LOUD,
    NOON,
    WORDS,
    Home,
    Parrot,
    Script,
    home,
    probability,
    said,
    silence,
    voice,
)

__all__ = ["home"]


def woken_by(level: int) -> Callable[[NDArray[np.int16]], bool]:
    return lambda chunk: round(float(np.median(chunk)) / LOUD) == level


def hear_woken(keeper: Keeper, *script: list[Event]) -> list[Heard]:
    request = Request("default", "a parrot", wake=woken_by(7))
    source = Script([it for each in script for it in each])
    found = listen(source, keeper, Parrot(), probability, request, lambda: NOON)
    return [event for event in found if not isinstance(event, Sound | Partial)]


def test_before_the_wake_word_nothing_is_heard_and_after_it_one_utterance(home: Home) -> None:
    wake = voice(6, 0.1)
    events = hear_woken(
        InVault(home.vault),
        *(voice(0, 1), silence(0.6), wake, silence(0.1), voice(1, 1), silence(0.6)),
        *(voice(2, 1), silence(0.6), wake, silence(0.3), voice(3, 1), silence(1)),
    )
    kinds = [type(event) for event in events]
    assert kinds == [Asleep, *[Woken, Said, Asleep] * 2]
    assert [it.text for it in said(events)] == [WORDS[1], WORDS[3]]
    pcm = home.heard(said(events)[0])
    assert not (np.abs(pcm - LOUD) < 100).any(), "what was said before the wake word is in it"
    home.assert_sound()


def test_somebody_may_pause_after_the_wake_word(home: Home) -> None:
    """Its own end is speech, too short or without words, and is not taken for the utterance."""
    for rest in (0.064, 0.6):
        script = [voice(6, 0.1), voice(9, rest), silence(2), voice(1, 1), silence(1)]
        events = hear_woken(InVault(home.vault), *script)
        assert [it.text for it in said(events)] == [WORDS[1]]


def test_who_says_nothing_after_the_wake_word_is_not_waited_for(home: Home) -> None:
    events = hear_woken(InVault(home.vault), voice(6, 0.1), silence(7), voice(1, 1), silence(1))
    kinds = [type(event) for event in events if not isinstance(event, Dropped)]
    assert kinds == [Asleep, Woken, Asleep]
    assert said(events) == []
    assert home.interactions == []
