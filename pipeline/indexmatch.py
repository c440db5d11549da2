"""Which members of a segment a query finds: numbers compared, nothing decoded.

Pure. Promises the answer of `Query.finds` on the terms of each member; `tests/test_indexmatch.py`
holds the two against each other.
"""

import numpy as np
from numpy.typing import NDArray

from pipeline.indexformat import Numbers, Text
from pipeline.query import Item, Query

_NONE = np.zeros(0, np.intp)
Span = tuple[int, int]
"""The numbers of the terms that an item means: a first one, and one beyond the last."""


def matching(text: Text, query: Query) -> NDArray[np.intp]:
    """Returns the places of the members found, in order."""
    spans = [[span_of(text, item) for item in phrase] for phrase in query.phrases]
    if not spans or any(span is None for phrase in spans for span in phrase):
        return _NONE
    ends = np.cumsum(text.lengths, dtype=np.int64)
    found: NDArray[np.intp] | None = None
    for phrase in spans:
        here = _members(text.numbers, ends, [span for span in phrase if span])
        both = here if found is None else np.intersect1d(found, here, assume_unique=True)
        found = both
        if not len(found):
            break
    return _NONE if found is None else found


def span_of(text: Text, item: Item) -> Span | None:
    """Returns the numbers of the terms that an item means, None where there are none."""
    words, start = text.dictionary, text.start
    wanted = b"\n" + item.term.encode() + (b"" if item.is_prefix else b"\n")
    at = words.find(wanted, start)
    if at < 0:
        return None
    first = words.count(b"\n", start, at)
    if not item.is_prefix:
        return first, first + 1
    return first, first + 1 + words.count(b"\n", at, words.rfind(wanted, start))


def _members(numbers: Numbers, ends: NDArray[np.int64], spans: list[Span]) -> NDArray[np.intp]:
    count = max(0, len(numbers) - len(spans) + 1)
    holds = _within(numbers[:count], spans[0])
    for n, span in enumerate(spans[1:], 1):
        holds &= _within(numbers[n : n + count], span)
    at = np.flatnonzero(holds)
    members = np.searchsorted(ends, at, "right")
    return np.unique(members[at + len(spans) <= ends[members]])  # none goes on in the next member


def _within(numbers: Numbers, span: Span) -> NDArray[np.bool_]:
    first, end = span
    holds: NDArray[np.bool_] = numbers == first
    return holds if end == first + 1 else (numbers >= first) & (numbers < end)
