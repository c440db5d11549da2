"""Taking over a microphone, by script: what is held, what is dropped, muted, away, or not to share.

A chunk is a number, and comes at the second of that number.
"""

import multiprocessing
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest

from pipeline.capture import Back, Block, Event, Gone
from pipeline.errors import NoAudioDevice
from pipeline.model import RATE_HZ
from pipeline.relief import Baton, Relief
from pipeline.turn import Turn

BUSY = NoAudioDevice("another process has it")


def block(number: int) -> Block:
    return Block(np.full(RATE_HZ, number, np.int16), at_s=float(number))


@dataclass
class Scripted:
    """A microphone; what stands in its script is brought, called or raised, in turn."""

    scripts: Sequence[Sequence[object]]
    muted: threading.Event = field(default_factory=threading.Event)
    opened: list[bool] = field(default_factory=list)
    name: str = "a script"

    def events(self, *, waits: bool = False) -> Iterator[Event]:
        script = self.scripts[len(self.opened)]
        self.opened.append(waits)
        for it in script:
            if self.muted.is_set():
                yield Gone("muted")
                return
            if isinstance(it, Exception):
                raise it
            if callable(it):
                it()
            elif isinstance(it, Block | Gone | Back):
                yield it


def a_turn(left: Baton | None = None, *, is_first: bool = False) -> Turn:
    ours, theirs = multiprocessing.Pipe()
    turn = Turn(theirs, left.encode() if left else b"", is_first=is_first)
    turn.told = ours  # type: ignore[attr-defined]  # kept, or the pipe would be closed
    return turn


def begins(turn: Turn, baton: Baton) -> None:
    turn.left = baton.encode()
    turn.began.set()


def taken_over(source: Scripted, turn: Turn) -> list[object]:
    relief = Relief(source, turn, source.muted.set)
    relief.take_over()
    found = list(relief.events())
    return [int(it.pcm[0]) if isinstance(it, Block) else type(it) for it in found]


def test_the_first_opens_it_when_it_listens_and_may_find_none() -> None:
    turn = a_turn(is_first=True)
    assert taken_over(Scripted([[block(1), block(2)]]), turn) == [1, 2]
    with pytest.raises(NoAudioDevice):
        taken_over(Scripted([[BUSY]]), a_turn(is_first=True))


def test_the_next_begins_where_the_last_one_ended() -> None:
    turn = a_turn()
    begin = lambda: begins(turn, Baton(until_s=2.0))  # noqa: E731 - a step of a script
    assert taken_over(Scripted([[*map(block, (1, 2, 3)), begin, block(4)]]), turn) == [3, 4]


def test_it_holds_some_seconds_and_overwrites_what_it_does_not_need() -> None:
    turn, blocks = a_turn(), [block(n) for n in range(1, 21)]
    begin = lambda: begins(turn, Baton(until_s=15.0))  # noqa: E731 - a step of a script
    assert taken_over(Scripted([[*blocks, begin, block(21)]]), turn) == [*range(16, 21), 21]
    assert not any(it.pcm.any() for it in blocks[:15])


def test_of_one_that_left_no_word_nothing_is_taken_for_unheard() -> None:
    turn = a_turn()
    assert taken_over(Scripted([[block(1), turn.began.set, block(2), block(3)]]), turn) == [3]


def test_one_that_cannot_be_shared_is_opened_when_it_is_free() -> None:
    turn = a_turn()
    source = Scripted([[BUSY], [block(5)]])
    threading.Timer(0.1, begins, (turn, Baton(until_s=4.0))).start()
    assert taken_over(source, turn) == [5]
    assert source.opened == [False, True], "the second time it is waited for"


@pytest.mark.parametrize("is_known", [True, False])
def test_muted_it_stays(*, is_known: bool) -> None:
    """Muted before it was made, or while it waited for its turn: nothing held is heard."""
    turn = a_turn(Baton(is_muted=True) if is_known else None)
    source = Scripted(
        [[block(1), lambda: begins(turn, Baton(9.0, is_muted=True)), block(2), block(3)]]
    )
    if is_known:
        threading.Timer(0.1, begins, (turn, Baton(until_s=9.0, is_muted=True))).start()
    assert taken_over(source, turn) == [Gone]
    assert source.muted.is_set()


def test_a_microphone_that_goes_away_while_it_waits_is_told_of_in_its_turn() -> None:
    turn = a_turn()
    threading.Timer(0.1, begins, (turn, Baton(until_s=0.5))).start()
    found = taken_over(Scripted([[block(1), Gone("unplugged"), Back(), block(3)]]), turn)
    assert found == [1, Gone, Back, 3]
