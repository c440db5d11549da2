"""When the index grows: new interactions become a small segment, small segments become larger ones.

Promises that a crash anywhere costs work and never an interaction: what is new is written first and
what it replaces is retired after that. An act here takes a fraction of a second, so that whoever
waits for the vault does not notice.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from keys.errors import Malformed, Tampered
from keys.model import InteractionId
from pipeline import livestate
from pipeline.erase import Clock, retire
from pipeline.indexformat import Segment
from pipeline.indexmerge import merged, segment_of
from pipeline.indexrow import said_by
from pipeline.indexstate import Index, Opened, open_index, put
from pipeline.indexvalues import Place, Said
from pipeline.session import acting, now
from pipeline.vault import Vault

TAIL = 64
"""So many interactions are read one by one before they are indexed."""
FAN = 8
"""So many segments of a size become one of the next."""
MOST = 1024
"""The most members of a segment: erasing one of them writes the others anew, and to the log."""
DISTANCE = 4096
"""So many entries may the log have since the last segment, before one is written again."""


@dataclass(frozen=True, slots=True)
class Tidied:
    """What came of tidying: whether there is more to do, and how many damaged segments are gone."""

    more: bool
    mended: int


def keep_up(vault: Vault, clock: Clock = now, suspect: Sequence[InteractionId] = ()) -> int:
    """Indexes all that is due, act by act: others get the vault in between.

    Returns how many damaged segments were replaced.
    """
    mended, done = 0, Tidied(more=True, mended=0)
    while done.more:
        with acting(vault, clock):
            done = tidy(vault, clock, () if mended else suspect)
        mended += done.mended
    return mended


def tidy(vault: Vault, clock: Clock, suspect: Sequence[InteractionId] = ()) -> Tidied:
    """Indexes what is not indexed yet, at most `MOST` at once.

    1. What is new, and what segments of its size held, is written as a new one, which names the
    others in use. 2. Those that it replaces are retired, with what is damaged. A crash between
    leaves segments that the newest does not name, which the next act retires.
    """
    index = open_index(vault, suspect)
    gone, more = [*index.replaced, *index.damaged], False
    if is_due(index):
        livestate.keep_up(vault)
        fresh, left, covered = _read(vault, index)
        taken = _absorbed(index, len(fresh))
        parts, broken = _whole(taken)
        if broken:  # found only now: it is done again, without them
            return tidy(vault, clock, [*index.damaged, *broken])
        gone += [it.owner for it in taken]
        staying = [it for it in index.others if it[0] not in set(gone)]
        put(vault, merged([*parts, segment_of(fresh)]), covered, staying, left)
        more = covered < vault.log.size and len(fresh) + len(left) > 0
    if gone:
        retire(vault, gone, clock)
    return Tidied(more, len(index.damaged))


def is_due(index: Index) -> bool:
    """Tells whether tidying would index something, or mend it."""
    fresh = sum(it.index >= 0 for it in index.unindexed)
    is_behind = bool(index.segments) and (index.is_through or index.distance > DISTANCE)
    return fresh >= TAIL or is_behind or bool(index.damaged)


def _read(vault: Vault, index: Index) -> tuple[list[Said], list[Place], int]:
    """Reads the oldest that are not indexed; returns them, what has no words, and how far it came.

    What comes after that is not covered, and found by the log.
    """
    old = [it for it in index.unindexed if it.index < 0]
    fresh = [it for it in reversed(index.unindexed) if it.index >= 0]
    read = [(it, said_by(vault, it.interaction)) for it in (*old, *fresh[:MOST])]
    left = [(it.interaction, it.slot) for it, said in read if said is None]
    covered = vault.log.size
    if later := fresh[MOST:]:  # among other segments it has no meaning how far it came
        covered = 0 if index.is_through and index.segments else later[0].index
    return [said for _, said in read if said], left, covered


def _absorbed(index: Index, number: int) -> list[Opened]:
    """Returns the segments that become one with so many new members.

    Those of its size once there are `FAN` of it, then those of the size that comes of that. What is
    more than half full stays as it is.
    """
    taken = [it for it in index.segments if not it.head.members]
    small = sorted(
        (it for it in index.segments if 0 < it.head.members <= MOST // 2),
        key=lambda it: it.head.members,
    )
    for _ in range(_size_of(MOST)):
        peers = [it for it in small if _size_of(it.head.members) == _size_of(number)]
        if len(peers) + 1 < FAN:
            break
        for it in peers:
            if number + it.head.members <= MOST:
                number += it.head.members
                taken.append(it)
                small.remove(it)
    return taken


def _size_of(members: int) -> int:
    """Returns 0 for up to `TAIL` members, and one more for each `FAN` times as many."""
    size, most = 0, TAIL
    while members > most:
        size, most = size + 1, most * FAN
    return size


def _whole(segments: Sequence[Opened]) -> tuple[list[Segment], list[InteractionId]]:
    found, broken = [], []
    for it in segments:
        try:
            found.append(it.whole())
        except (Malformed, Tampered):
            broken.append(it.owner)
    return found, broken
