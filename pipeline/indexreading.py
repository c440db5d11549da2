"""Looking through the index: segments and what none of them has, in one order, newest first.

Promises that no living interaction is passed over, whatever has become of a segment, and that none
comes twice. Nothing is read before it is its turn.
"""

import contextlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from keys.errors import Malformed, Tampered
from keys.model import ArtefactId, InteractionId, Slot
from pipeline.indexformat import Members
from pipeline.indexrow import row_of
from pipeline.indexstate import Index, Opened, Unindexed, look_through, open_index
from pipeline.indexvalues import ALL, NEVER, UNKNOWN, Census, Row, Which
from pipeline.vault import Vault

Wanted = Callable[[Members, Sequence[str]], NDArray[np.bool_]]
"""Tells of the members of a segment, whose profiles are named, which are wanted."""
_T = TypeVar("_T")


def rows(vault: Vault, which: Which) -> Iterator[Row]:
    """Yields what is known of the living interactions that are meant, newest first."""

    def one(it: Unindexed) -> Row | None:
        row = row_of(vault, it.interaction) if which.reaches(it.slot) else None
        return row if row and which.takes(row) else None

    def several(segment: Opened) -> list[tuple[int, Row]]:
        if not which.reaches(segment.head.first):
            return []
        return [(row.slot, row) for row in _chosen(segment, which)]

    return newest_first(vault, open_index(vault), one, several)


def some(vault: Vault, is_wanted: Wanted) -> Iterator[Row]:
    """Yields what is known of those that are wanted, newest first, and of all in no segment.

    `is_wanted` is asked of each segment as a whole, which costs next to nothing for each member;
    of one that is damaged not at all. A crash may have left a member in two of them.
    """

    def several(segment: Opened) -> list[tuple[int, Row]]:
        members, profiles = segment.members(), segment.profiles()
        chosen = members[is_wanted(members, profiles)]
        return [(row.slot, row) for row in (_row(it, profiles) for it in chosen.tolist())]

    return newest_first(vault, open_index(vault), lambda it: row_of(vault, it.interaction), several)


def census(vault: Vault) -> Census:
    """Counts the living interactions and names their profiles, without reading them one by one."""
    index = open_index(vault)
    with contextlib.suppress(Malformed, Tampered):
        others = [row for it in index.unindexed if (row := row_of(vault, it.interaction))]
        named = {name for it in index.segments for name in it.profiles()}
        profiles = named | {row.profile for row in others}
        indexed = sum(it.head.members for it in index.segments)
        return Census(indexed + len(others), tuple(sorted(profiles)))
    found = list(rows(vault, ALL))  # which does without what is damaged
    return Census(len(found), tuple(sorted({row.profile for row in found})))


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
    chosen = members[_meant(which, members, profiles)]
    return [_row(fields, profiles) for fields in chosen.tolist()]


def _meant(which: Which, members: Members, profiles: Sequence[str]) -> NDArray[np.bool_]:
    """Tells of each member whether it is meant."""
    mask = np.ones(len(members), bool)
    if which.since_us is not None:
        mask &= members["started_us"] >= which.since_us
    if which.until_us is not None:
        mask &= members["started_us"] < which.until_us
    if which.profile is not None:
        number = profiles.index(which.profile) if which.profile in profiles else len(profiles)
        mask &= members["profile"] == number
    if which.below is not None:
        mask &= members["slot"] < which.below
    return mask


def _row(fields: tuple[Any, ...], profiles: Sequence[str]) -> Row:
    slot, audio, started, processed, reckoned, for_audio, for_words, length, profile, *end = fields
    flags, interaction, transcript = end
    return Row(
        InteractionId(interaction),
        Slot(slot),
        Slot(audio),
        started,
        length,
        profiles[profile],
        None if processed == UNKNOWN else processed,
        None if reckoned == UNKNOWN else reckoned,
        None if for_audio == NEVER else for_audio,
        None if for_words == NEVER else for_words,
        bool(flags),
        ArtefactId(transcript),
    )
