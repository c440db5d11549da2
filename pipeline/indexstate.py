"""The segments of a vault's index as they are: which live, which are missing, what they all lack.

Promises that no living interaction is passed over: what no segment has is found in the log, and
where a segment is damaged or missing the whole log is looked through instead. A segment dies with
any of its members (`lineage`), so what it holds lives. Each names the others there were when it was
written, so that the newest tells which must be here.
"""

import contextlib
import itertools
from collections.abc import Collection, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from keys.durable import expect
from keys.entry import Entry, SealedEntry
from keys.errors import Erased, KeysError, Malformed, NoSuchSlot, Tampered
from keys.model import ArtefactId, InteractionId, Slot
from keys.progress import counted
from keys.sealed import CHUNK_LOG2
from keys.secret import Secret
from pipeline import write
from pipeline.artefact import INDEX
from pipeline.indexformat import (
    Head,
    Members,
    Segment,
    Text,
    read_head,
    read_members,
    read_profiles,
    read_rest,
    read_segment,
    read_text,
)
from pipeline.indexvalues import Place
from pipeline.lineage import OWN
from pipeline.vault import Artefact, Vault, file_name, is_interaction

_NEAR = 8192
"""So many entries at most lie between the newest segment and the end, unless nobody indexes."""
_BEGINNING = 1 << CHUNK_LOG2
"""The first chunk of a segment, which is decrypted as a whole, and mostly is all that is needed."""
_SUFFIX = f".{INDEX}"
_OWN_ENTRIES = 2
"""So many entries the log gets for a segment: they are not looked at again, as they are long."""


class Opened:
    """One living segment; what is asked of it is read and decrypted then, and no more."""

    def __init__(self, vault: Vault, artefact: Artefact) -> None:
        self.artefact, self._opener = artefact, vault.open(artefact)
        self._beginning = self._opener.read(0, _BEGINNING)
        self.head: Head = read_head(self._read, self._opener.length)

    def _read(self, offset: int, size: int) -> Secret:
        """Reads from the beginning that was decrypted once, where that is enough."""
        if offset + size > len(self._beginning):
            return self._opener.read(offset, size)
        found = Secret(size)
        memoryview(found)[:] = memoryview(self._beginning)[offset : offset + size]
        return found

    @property
    def owner(self) -> InteractionId:
        """The id by which it is retired."""
        return self.artefact.header.label.interaction

    @property
    def slot(self) -> Slot:
        """The slot whose key opens it; later segments have higher ones."""
        return self.artefact.slot

    @property
    def place(self) -> Place:
        """Its owner and slot."""
        return self.owner, self.slot

    def text(self) -> Text:
        """Reads what its members said."""
        return read_text(self._read, self.head)

    def members(self, start: int = 0, number: int | None = None) -> Members:
        """Reads its members."""
        return read_members(self._read, self.head, start, number)

    def profiles(self) -> tuple[str, ...]:
        """Reads the profiles of its members."""
        return read_profiles(self._read, self.head)

    def rest(self) -> tuple[tuple[Place, ...], tuple[Place, ...]]:
        """Reads which other segments there were, and what was left out."""
        return read_rest(self._read, self.head)

    def whole(self) -> Segment:
        """Reads all of it, strictly."""
        return read_segment(self._read, self._opener.length)


@dataclass(frozen=True, slots=True)
class Unindexed:
    """An interaction that no segment has, and the log entry that created it, -1 for long ago."""

    interaction: InteractionId
    slot: Slot
    index: int


@dataclass(slots=True)
class Index:
    """The segments of a vault, and what is in none of them."""

    segments: list[Opened] = field(default_factory=list)
    """Those in use, the newest written last."""
    unindexed: list[Unindexed] = field(default_factory=list)
    """Newest first."""
    damaged: dict[InteractionId, None] = field(default_factory=dict)
    """The owners of segments that are missing or do not open, although their keys live."""
    replaced: list[InteractionId] = field(default_factory=list)
    """The owners of segments whose members are all in later ones: a crash kept them."""
    distance: int = 0
    """How many entries the log has since the newest segment was written."""
    is_through: bool = False
    """The whole log was looked through, because the segments do not say what they lack."""

    @property
    def others(self) -> tuple[Place, ...]:
        """The owners and slots of the segments in use."""
        return tuple(it.place for it in self.segments)


def open_index(vault: Vault, suspect: Collection[InteractionId] = ()) -> Index:
    """Opens every living segment but the suspect ones, and finds in the log what they lack."""
    index = Index(damaged=dict.fromkeys(suspect))
    there = sorted(_opened(vault, index.damaged), key=lambda it: it.slot)
    covered, left_out = _in_use(vault, index, there) if there else (0, ())
    if covered and not index.damaged:
        _look_back(vault, index, covered)
        living = (it for it in left_out if vault.ring.is_live(it[1]))
        index.unindexed += [Unindexed(*it, -1) for it in living]
    if index.damaged or not covered:
        look_through(vault, index)
    return index


def files(vault: Vault) -> dict[InteractionId, str]:
    """Returns the name of each segment's file by its owner, whether it lives or not."""
    found = {}
    for name in vault.disk.names(vault.sealed / OWN):
        if name.endswith(_SUFFIX):
            with contextlib.suppress(ValueError):
                found[InteractionId(bytes.fromhex(name.partition(".")[0]))] = name
    return found


def opened(vault: Vault, name: str) -> Opened:
    """Opens the segment in a file of this name; raises as opening any sealed file does."""
    return Opened(vault, vault.artefact(vault.sealed / OWN / name))


def newest_segment(vault: Vault) -> Opened | None:
    """Opens the segment written last, by the log; None where it would take long to find it."""
    entries = (entry for _, entry in itertools.islice(vault.log.scan_back(), _NEAR))
    labels = (it.label for it in entries if isinstance(it, SealedEntry) and it.label.kind == INDEX)
    label = next((it for it in labels if vault.ring.is_live(it.slot)), None)
    return opened(vault, file_name(label)) if label else None


def _opened(vault: Vault, damaged: dict[InteractionId, None]) -> Iterator[Opened]:
    there = files(vault)
    expect(vault.sealed / OWN / name for name in there.values())
    for owner, name in counted(there.items(), "opening the index", len(there)):
        if owner in damaged:
            continue
        try:
            yield opened(vault, name)
        except Erased:
            pass  # what a crash has left of one that is gone
        except (Malformed, Tampered, NoSuchSlot, OSError):
            damaged[owner] = None


def _in_use(vault: Vault, index: Index, there: Sequence[Opened]) -> tuple[int, tuple[Place, ...]]:
    """Sorts out what the newest segment says of the others; returns how far it came, and without.

    One that it does not name was replaced by those it does. One that it names and that is not here
    was erased with a member, or retired; or its slot still has a key, and then it is missing.
    """
    newest, here = there[-1], {it.slot for it in there}
    try:
        others, left_out = newest.rest()
    except KeysError:
        index.damaged[newest.owner] = None
        index.segments = list(there[:-1])
        return 0, ()
    named = {slot for _, slot in others} | {newest.slot}
    for it in there:
        if it.slot in named:
            index.segments.append(it)
        else:
            index.replaced.append(it.owner)
    for owner, slot in others:
        if slot not in here and vault.ring.is_live(slot):
            index.damaged[owner] = None
    index.distance = vault.log.size - newest.head.covered
    return newest.head.covered, left_out


def _look_back(vault: Vault, index: Index, covered: int) -> None:
    """Takes from the log what was created since the newest segment, and segments written since."""
    here = {it.slot for it in index.segments}
    known = {b"%d" % slot for slot in here}

    def is_wanted(words: Sequence[bytes]) -> bool:
        """Passes over segments that are here: the log has a line of some 30 KB for each."""
        is_seal = words[1:2] == [b"seal"] and len(words) == 6
        return not is_seal or words[5].partition(b" ")[0] not in known

    for number, entry in vault.log.some_back(is_wanted, covered):
        _take(vault, index, number, entry, here)


def look_through(vault: Vault, index: Index) -> None:
    """Takes from the whole log what no segment has that can be read: slow, and misses nothing."""
    index.is_through = True
    index.unindexed.clear()
    known = set[int]()
    for it in list(index.segments):
        try:
            known |= {it.slot, *it.members()["slot"].tolist()}
        except KeysError:
            index.damaged[it.owner] = None
            index.segments.remove(it)
    for number, entry in vault.log.scan_back():
        _take(vault, index, number, entry, known)


def _take(vault: Vault, index: Index, number: int, entry: Entry, known: Container[int]) -> None:
    if is_interaction(entry):
        words = entry.slots[1][0]
        if words not in known and vault.ring.is_live(words):
            index.unindexed.append(Unindexed(entry.interaction, words, number))
    elif isinstance(entry, SealedEntry) and entry.label.kind == INDEX:
        slot, owner = entry.label.slot, entry.label.interaction
        if slot not in known and owner not in index.replaced and vault.ring.is_live(slot):
            index.damaged[owner] = None


def put(
    vault: Vault,
    segment: Segment,
    covered: int,
    others: Iterable[Place],
    left_out: Iterable[Place],
) -> Place:
    """Seals a segment under a slot of its own; returns its owner and slot. Durable on return."""
    covered += _OWN_ENTRIES * (covered == vault.log.size)
    (place,) = put_all(vault, [completed(segment, covered, others, left_out)])
    return place


def completed(
    segment: Segment, covered: int, others: Iterable[Place], left_out: Iterable[Place]
) -> Segment:
    """Returns a segment that says how far it came, what others there are, and what none has."""
    there, lacking = (tuple(sorted(it, key=_by_slot)) for it in (others, set(left_out)))
    return replace(segment, covered=covered, others=there, left_out=lacking)


def put_all(vault: Vault, segments: Iterable[Segment]) -> list[Place]:
    """Seals segments as they are, each under a slot of its own; durable on return."""
    contents = [(it.encode(), _transcripts(it)) for it in segments]
    return [(it.interaction, it.slot) for it in write.own_all(vault, INDEX, contents)]


def _transcripts(segment: Segment) -> list[ArtefactId]:
    return [ArtefactId(it) for it in segment.members["transcript"].tolist()]


def _by_slot(place: Place) -> Slot:
    return place[1]
