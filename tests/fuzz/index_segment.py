"""A segment of the search index as a holder of its key might have written it."""

from collections.abc import Iterable
from dataclasses import replace

from keys.model import ArtefactId, InteractionId, Slot
from pipeline.indexformat import parse
from pipeline.indexmerge import merged, segment_of
from pipeline.indexvalues import NEVER, UNKNOWN, Said
from tests.fuzz.target import Target


def said(n: int, text: str) -> Said:
    ids = InteractionId(bytes([n]) * 16), ArtefactId(bytes([n]) * 16)
    slots = Slot(2 * n + 1), Slot(2 * n)
    return Said(*slots, n, UNKNOWN, n, NEVER, 60, 1000, f"p{n % 2}", n > 2, *ids, text.split())


def run(data: bytes) -> None:
    segment = parse(data)
    assert segment.encode() == data
    same = merged([segment])
    assert merged([same, same]).encode() == same.encode()


def seeds() -> Iterable[bytes]:
    rows = [said(1, "turn on the light"), said(2, "the the"), said(3, ""), said(4, "on it")]
    others, left = ((InteractionId(bytes(16)), Slot(9)),), ((InteractionId(b"y" * 16), Slot(4)),)
    for number in range(len(rows) + 1):
        segment = segment_of(rows[:number])
        yield segment.encode()
        yield replace(segment, covered=number, others=others, left_out=left).encode()


TARGET = Target(run, seeds)
