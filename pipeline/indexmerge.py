"""Segments of the search index made from interactions, and from others without some members.

Pure. Promises that a segment made of the survivors of another is byte for byte the one that would
have been made had the others never been, so that nothing of what they said is left in it.
"""

from collections.abc import Collection, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.indexformat import MEMBER, Numbers, Segment, Text
from pipeline.indexvalues import Said


def segment_of(said: Iterable[Said]) -> Segment:
    """Makes a segment of interactions, each once, in any order."""
    rows = sorted(said, key=lambda it: it.slot)
    profiles = sorted({it.profile for it in rows})
    words = sorted({term.encode() for it in rows for term in it.terms})
    number = {word.decode(): n for n, word in enumerate(words)}
    numbers = [number[term] for it in rows for term in it.terms]
    members = np.array([_member(it, profiles.index(it.profile)) for it in rows], MEMBER)
    lengths = np.array([len(it.terms) for it in rows], "<u4")
    text = Text(lengths, _numbered(np.array(numbers, np.uint32), len(words)), _joined(words))
    return Segment(0, text, members, tuple(profiles))


def merged(segments: Sequence[Segment], without: Collection[bytes] = ()) -> Segment:
    """Makes one segment of several, without the members that these transcripts are of.

    A member that is in several is there once; what was said by those left out alone is gone.
    """
    parts = [_kept(segment, without) for segment in segments]
    members = np.concatenate([np.zeros(0, MEMBER), *(part.members for part in parts)])
    words, numbers = _renumbered([part.text for part in parts])
    profiles = sorted({name for part in parts for name in part.profiles})
    at = 0
    for part in parts:  # the numbers of its profiles become those in the list of all
        table = np.array([profiles.index(name) for name in part.profiles], "<u2")
        here = members["profile"][at : at + len(part.members)]
        here[:] = table[here] if len(here) else here
        at += len(part.members)
    lengths = np.concatenate([np.zeros(0, "<u4"), *(part.text.lengths for part in parts)])
    joined = Segment(0, Text(lengths, numbers, _joined(words)), members, tuple(profiles))
    slots, first = np.unique(members["slot"], return_index=True)
    if len(slots) == len(members) and np.array_equal(first, np.arange(len(members))):
        return joined
    return _kept(joined, (), first)


def _kept(
    segment: Segment, dead: Collection[bytes], order: NDArray[np.intp] | None = None
) -> Segment:
    """Returns a segment of the members in this order, without the dead and what only they said."""
    chosen = np.arange(len(segment.members)) if order is None else order
    if dead:
        ids = segment.members["transcript"][chosen].tolist()
        chosen = chosen[np.array([it not in dead for it in ids], bool)]
    if len(chosen) == len(segment.members) and order is None:
        return segment
    ends = np.cumsum(segment.text.lengths, dtype=np.int64)
    lengths = segment.text.lengths[chosen]
    starts = (ends - segment.text.lengths)[chosen]
    at = np.repeat(starts - (np.cumsum(lengths, dtype=np.int64) - lengths), lengths)
    numbers = segment.text.numbers[at + np.arange(len(at))]
    words, members = segment.text.terms(), segment.members[chosen]
    is_used = np.zeros(len(words), bool)
    is_used[numbers] = True
    kept = [word for word, used in zip(words, is_used.tolist(), strict=True) if used]
    numbers = _numbered((np.cumsum(is_used) - 1)[numbers].astype(np.uint32), len(kept))
    profiles = sorted({segment.profiles[n] for n in np.unique(members["profile"])})
    table = np.array(
        [profiles.index(it) if it in profiles else 0 for it in segment.profiles], "<u2"
    )
    members["profile"] = table[members["profile"]] if len(members) else members["profile"]
    text = Text(lengths, numbers, _joined(kept))
    return Segment(segment.covered, text, members, tuple(profiles))


def _renumbered(texts: Sequence[Text]) -> tuple[list[bytes], Numbers]:
    if len(texts) == 1:
        return texts[0].terms(), texts[0].numbers
    lists = [text.terms() for text in texts]
    words = sorted(set().union(*lists))
    number = {word: n for n, word in enumerate(words)}
    tables = [np.array([number[word] for word in each], np.uint32) for each in lists]
    parts = [table[text.numbers] for table, text in zip(tables, texts, strict=True) if len(table)]
    return words, _numbered(np.concatenate([np.zeros(0, np.uint32), *parts]), len(words))


def _numbered(numbers: NDArray[np.uint32], terms: int) -> Numbers:
    return numbers.astype("<u2") if terms <= 1 << 16 else numbers.astype("<u4")


def _joined(words: Sequence[bytes]) -> bytes:
    return b"\n" + b"\n".join(words) + b"\n" if words else b""


def _member(it: Said, profile: int) -> tuple[object, ...]:
    times = it.started_us, it.processed_s, it.reckoned_s
    limits = it.audio_limit_s, it.words_limit_s, it.duration_ms
    more = profile, int(it.is_sensitive), it.interaction, it.transcript
    return it.slot, it.audio_slot, *times, *limits, *more
