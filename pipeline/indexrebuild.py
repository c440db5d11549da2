"""What becomes of the index when members of it are erased: the survivors are written anew, before.

Promises that no crash hides anybody: until an erasure is carried out, whom it means is found too.
"""

from collections.abc import Collection

from keys.errors import Malformed, Tampered
from keys.model import InteractionId, Slot
from pipeline.indexformat import Segment
from pipeline.indexmerge import merged, segment_of
from pipeline.indexstate import Index, open_index, put
from pipeline.indexvalues import Place
from pipeline.vault import Vault


def rebuild(vault: Vault, owners: Collection[InteractionId], dying: Collection[bytes]) -> None:
    """Writes the survivors of segments that are about to die with the transcripts `dying`.

    Under new slots, before the old ones go. After a crash between, what is written counts; so it
    names those who are about to die as left out, and as long as they live they are found. Where a
    segment cannot be read, it says that nothing is covered: its members are found by the log.
    """
    index, gone = open_index(vault), set(owners)
    targets = [it for it in index.segments if it.owner in gone]
    staying, marked = [it for it in index.others if it[0] not in gone], False
    covered, left_out = _carried(index)
    for n, it in enumerate(targets):
        later = [(other.owner, other.slot) for other in targets[n + 1 :]]
        try:
            whole = it.whole()
        except (Malformed, Tampered):
            whole, covered = segment_of(()), 0
        left_out |= _places(whole, dying)
        segment = merged([whole], dying)
        if len(segment.members) or not covered:
            staying.append(put(vault, segment, covered, [*staying, *later], left_out))
            marked = not covered
    if index.damaged and not marked:
        put(vault, segment_of(()), 0, staying, left_out)


def _places(segment: Segment, dying: Collection[bytes]) -> set[Place]:
    ids = segment.members["transcript"].tolist()
    dead = [row for row, it in zip(segment.members, ids, strict=True) if it in dying]
    return {(InteractionId(bytes(row["interaction"])), Slot(int(row["slot"]))) for row in dead}


def _carried(index: Index) -> tuple[int, set[Place]]:
    if index.damaged or not index.segments:
        return 0, set()
    newest = index.segments[-1]
    return newest.head.covered, set(newest.rest()[1])
