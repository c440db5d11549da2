"""What becomes of the index when members of it are erased: the survivors are written anew, before.

Promises that no crash hides anybody: until an erasure is carried out, whom it means is found too.
"""

from collections.abc import Collection
from dataclasses import dataclass

from keys.errors import Erased, Malformed, NoSuchSlot, Tampered
from keys.model import InteractionId, Slot
from keys.progress import counted
from pipeline.indexformat import Segment
from pipeline.indexmerge import merged, segment_of
from pipeline.indexstate import (
    Opened,
    completed,
    files,
    newest_segment,
    open_index,
    opened,
    put,
    put_all,
)
from pipeline.indexvalues import Place
from pipeline.vault import Vault

_TOGETHER = 64
"""So many segments, some megabytes, are in memory and written at once."""


def rebuild(vault: Vault, owners: Collection[InteractionId], dying: Collection[bytes]) -> None:
    """Writes the survivors of segments that are about to die with the transcripts `dying`.

    Under new slots, before the old ones go. After a crash between, the newest that was written
    counts. The last of them names the others, and those who are about to die as left out: as long
    as they live they are found. One before names the old ones, but for that which it was made of,
    as if it had been written alone. Where a segment cannot be read, the last says that nothing is
    covered: its members are found by the log. Where the newest dies and nobody survives, an empty
    one says what it said.
    """
    gone = set(owners)
    state = _known(vault, gone) or _looked_at(vault, gone)
    survivors, is_lost = _Survivors(state), state.is_damaged
    for it in counted(state.targets, "writing the index anew", len(state.targets)):
        try:
            survivors.take(it, dying)
        except (Malformed, Tampered):
            is_lost = True
        if len(survivors.ready) == _TOGETHER:
            survivors.write(vault)
    survivors.write(vault)
    last = survivors.last
    if last is None and (is_lost or _leaves_older_word(vault, state, gone)):
        last = segment_of(())
    if last is not None:
        covered = 0 if is_lost else state.covered
        put(vault, last, covered, survivors.staying, survivors.left_out)


def _leaves_older_word(vault: Vault, state: "_State", gone: Collection[InteractionId]) -> bool:
    """Tells whether the newest segment dies while others stay.

    The newest of these would speak of the time when it was written: it does not name whatever was
    written with it or after it, and may not know who was left out since.
    """
    newest = state.targets[-1].slot if state.targets else -1
    is_dying = all(slot < newest for _, slot in state.staying)
    return newest >= 0 and is_dying and not files(vault).keys() <= set(gone)


class _Survivors:
    """What survives of segments, and what the last of them has to say."""

    def __init__(self, state: "_State") -> None:
        self._state = state
        self._there = [*state.staying, *(it.place for it in state.targets)]
        self.staying, self.left_out = list(state.staying), set(state.left_out)
        self.ready = list[Segment]()
        self.last: Segment | None = None

    def take(self, it: Opened, dying: Collection[bytes]) -> None:
        """Takes in what survives of a segment; raises `Malformed`, `Tampered`."""
        whole = it.whole()
        dead, kept = _places(whole, dying), merged([whole], dying)
        self.left_out |= dead
        if len(kept.members):
            self.ready += [self.last] if self.last is not None else []
            others = [other for other in self._there if other != it.place]
            self.last = completed(kept, self._state.covered, others, dead | self._state.left_out)

    def write(self, vault: Vault) -> None:
        """Writes what is ready: all but the last so far."""
        if self.ready:
            self.staying += put_all(vault, self.ready)
            self.ready.clear()


def _places(segment: Segment, dying: Collection[bytes]) -> set[Place]:
    ids = segment.members["transcript"].tolist()
    dead = [row for row, it in zip(segment.members, ids, strict=True) if it in dying]
    return {(InteractionId(bytes(row["interaction"])), Slot(int(row["slot"]))) for row in dead}


@dataclass(frozen=True, slots=True)
class _State:
    """The segments that die and those that stay, and what the newest says of the rest."""

    targets: list[Opened]
    staying: list[Place]
    covered: int
    left_out: set[Place]
    is_damaged: bool


def _known(vault: Vault, gone: Collection[InteractionId]) -> _State | None:
    """Goes by what the newest segment says, and opens no more; None where that is not so.

    So erasing takes no longer the more segments there are.
    """
    try:
        newest = newest_segment(vault)
        if newest is None:
            return None
        others, left_out = newest.rest()
        there = [*others, (newest.owner, newest.slot)]
        here = files(vault)
        if any(owner not in here for owner, _ in there):
            return None
        targets = [opened(vault, here[it]) for it, _ in there if it in gone]
    except (Erased, Malformed, Tampered, NoSuchSlot, OSError):
        return None
    staying = [it for it in there if it[0] not in gone]
    covered = newest.head.covered
    return _State(targets, staying, covered, set(left_out), is_damaged=not covered)


def _looked_at(vault: Vault, gone: Collection[InteractionId]) -> _State:
    """Opens every segment there is."""
    index = open_index(vault)
    is_whole = bool(index.segments) and not index.damaged
    newest = index.segments[-1] if is_whole else None
    return _State(
        [it for it in index.segments if it.owner in gone],
        [it for it in index.others if it[0] not in gone],
        newest.head.covered if newest else 0,
        set(newest.rest()[1]) if newest else set(),
        is_damaged=bool(index.damaged),
    )
