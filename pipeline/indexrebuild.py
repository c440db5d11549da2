"""What becomes of the index when members of it are erased: the survivors are written anew, before.

Promises that no crash hides anybody: until an erasure is carried out, whom it means is found too.
"""

from collections.abc import Collection
from dataclasses import dataclass

from keys.errors import Erased, Malformed, NoSuchSlot, Tampered
from keys.model import InteractionId, Slot
from pipeline.indexformat import Segment
from pipeline.indexmerge import merged, segment_of
from pipeline.indexstate import Opened, files, newest_segment, open_index, put
from pipeline.indexvalues import Place
from pipeline.vault import Vault


def rebuild(vault: Vault, owners: Collection[InteractionId], dying: Collection[bytes]) -> None:
    """Writes the survivors of segments that are about to die with the transcripts `dying`.

    Under new slots, before the old ones go. After a crash between, what is written counts; so it
    names those who are about to die as left out, and as long as they live they are found. Where a
    segment cannot be read, it says that nothing is covered: its members are found by the log.
    """
    gone = set(owners)
    state = _known(vault, gone) or _looked_at(vault, gone)
    staying, covered, left_out, marked = list(state.staying), state.covered, state.left_out, False
    for n, it in enumerate(state.targets):
        later = [(other.owner, other.slot) for other in state.targets[n + 1 :]]
        try:
            whole = it.whole()
        except (Malformed, Tampered):
            whole, covered = segment_of(()), 0
        left_out |= _places(whole, dying)
        segment = merged([whole], dying)
        if len(segment.members) or not covered:
            staying.append(put(vault, segment, covered, [*staying, *later], left_out))
            marked = not covered
    if state.is_damaged and not marked:
        put(vault, segment_of(()), 0, staying, left_out)


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
        targets = [Opened(vault, vault.artefact(here[it])) for it, _ in there if it in gone]
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
