"""The search index of a vault: all of it as rows, and what becomes of it when a member is erased.

Promises that no living interaction is passed over, whatever has become of a segment. Reading logs
nothing; whoever shows a row logs the read. Which segments there are is in `pipeline/indexstate.py`,
merging in `pipeline/indexing.py`, the bytes in `pipeline/indexformat.py`.
"""

import itertools
from collections.abc import Callable, Collection, Iterator
from typing import TypeVar

from keys.errors import Malformed, Tampered
from keys.model import InteractionId, Slot
from pipeline.indexformat import Place, Segment
from pipeline.indexmerge import merged, segment_of
from pipeline.indexrow import ALL, Row, Which, row_of, rows_of, us_of
from pipeline.indexstate import Index, Opened, Unindexed, look_through, open_index, put
from pipeline.vault import Vault

__all__ = ["ALL", "Row", "Which", "newest_first", "rebuild", "rows", "us_of"]
_T = TypeVar("_T")


def rows(vault: Vault, which: Which = ALL) -> Iterator[Row]:
    """Yields what is known of the living interactions that are meant, newest first.

    What cannot be read is passed over, and added to `vault.unreadable`.
    """

    def one(it: Unindexed) -> Row | None:
        row = row_of(vault, it.interaction)
        return row if row and which.takes(row) else None

    def several(segment: Opened) -> list[tuple[int, Row]]:
        return [(row.slot, row) for row in _chosen(segment, which)]

    return newest_first(vault, open_index(vault), one, several)


def newest_first(
    vault: Vault,
    index: Index,
    one: Callable[[Unindexed], _T | None],
    several: Callable[[Opened], list[tuple[int, _T]]],
) -> Iterator[_T]:
    """Yields what `one` and `several` say of interactions and segments, by slot, the newest first.

    Segments are looked into when it is their turn. One that turns out to be damaged is added to
    `index.damaged`, and what it held comes last, by the log.
    """
    known = {it.slot for it in index.unindexed}
    parts: list[tuple[int, int, Opened | _T]] = [
        (it.slot, it.slot, row) for it in index.unindexed if (row := one(it)) is not None
    ]
    parts += [(it.head.first, it.head.last, it) for it in index.segments if it.head.members]
    for cluster in _clusters(parts):
        here = [(first, it) for first, _, it in cluster if not isinstance(it, Opened)]
        for it in [it for *_, it in cluster if isinstance(it, Opened)]:
            try:
                here += several(it)
            except (Malformed, Tampered):
                index.damaged[it.owner] = None
                index.segments.remove(it)
        here.sort(key=lambda row: row[0], reverse=True)
        # a crash may have left an interaction in two segments
        yield from (it for _, it in (next(of) for _, of in itertools.groupby(here, lambda r: r[0])))
    if index.damaged:
        look_through(vault, index)
        late = (it for it in index.unindexed if it.slot not in known)
        yield from (row for it in late if (row := one(it)) is not None)


def _clusters(parts: list[tuple[int, int, _T]]) -> Iterator[list[tuple[int, int, _T]]]:
    """Yields parts in groups that do not reach into each other, the newest first."""
    cluster, reach = list[tuple[int, int, _T]](), 0
    for it in sorted(parts, key=lambda part: part[1], reverse=True):
        if cluster and it[1] < reach:
            yield cluster
            cluster = []
        reach = min(reach, it[0]) if cluster else it[0]
        cluster.append(it)
    if cluster:
        yield cluster


def _chosen(segment: Opened, which: Which) -> list[Row]:
    members, profiles = segment.members(), segment.profiles()
    return rows_of(members[which.chosen(members, profiles)], profiles)


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
