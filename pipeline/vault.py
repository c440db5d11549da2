"""The vault: a directory in which everything is sealed, and what can be looked up in it.

Promises that nothing in it is readable but ids, kinds, slot numbers and padded sizes, and that what
was erased is told apart from what never was. Writing is in `pipeline/write.py`, erasing in
`pipeline/erase.py`. Every method expects the lock to be held (`pipeline.session.acting`).
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeGuard

from keys.entry import Created, Entry, Noted
from keys.errors import Erased, Malformed, Tampered
from keys.log import Log
from keys.mirror import MirroredDisk
from keys.model import InteractionId, Label, Slot, VaultId
from keys.ring import Ring
from keys.root import Roots
from keys.sealed import HEADER_SIZE, Header, Opener, parse_header
from keys.secret import Secret
from pipeline.artefact import AUDIO, RECORD
from pipeline.errors import NotFound
from pipeline.lineage import OWN, is_owned

_READS_A_LINE = 64
"""So many interactions at most are named by one entry of the log."""
_BUCKET_DIGITS = 3
_PREFIX_MIN = 4


@dataclass(frozen=True, slots=True)
class Artefact:
    """A sealed file of the vault, known by its name and header; nothing of it is open."""

    header: Header
    path: Path
    size: int

    @property
    def kind(self) -> str:
        """What it is: audio, transcript, meta and so on."""
        return self.header.label.kind

    @property
    def slot(self) -> Slot:
        """The slot whose key opens it."""
        return self.header.label.slot


class Vault:
    """One open vault: its ring, its log, and its sealed files."""

    def __init__(
        self,
        directory: Path,
        vault: VaultId,
        disk: MirroredDisk,
        log: Log,
        anchor: str,
        roots_of: Callable[[str], Roots],
    ) -> None:
        self.directory, self.id, self.disk, self.log = directory, vault, disk, log
        self.roots_of = roots_of
        """Makes the ways to the root of a specification such as `file|tpm`."""
        self.use_anchors(anchor)
        self.sealed, self.capture = directory / "sealed", directory / "capture"
        self.receipts = directory / "receipts"
        self.clock: Callable[[], str] = str
        """Tells the time in UTC, RFC 3339; `acting` sets it."""
        self.unreadable: set[InteractionId] = set()
        """What was passed over so far, because a sealed file of it is missing or damaged."""
        self.without_settings = 0
        """So many entries of the log are known to have no settings with a living key."""

    def use_anchors(self, spec: str, ring: Ring | None = None) -> None:
        """Takes these anchors from here on, with the ring that they open."""
        self.anchor = spec
        self.ring = ring or self.ring_of(self.roots_of(spec))

    def ring_of(self, roots: Roots) -> Ring:
        """Returns the ring with these ways to its root, not open yet."""
        return Ring(self.disk, self.directory / "ring", roots)

    def refresh(self) -> None:
        """Takes ring and log as the last process left them, and brings the mirrors up to date."""
        self.ring.refresh()
        self.log.refresh()
        self.disk.catch_up()

    def note_read(self, command: str, interactions: Sequence[InteractionId]) -> None:
        """Logs that the content of interactions was shown by a command, with the day."""
        ids, day = tuple(interactions), self.clock()[:10]
        starts = range(0, len(ids), _READS_A_LINE)
        lines = [Noted("read", command, ids[at : at + _READS_A_LINE], day) for at in starts]
        if lines:
            self.log.append(lines)

    def note(self, act: str, how: str, interactions: Sequence[InteractionId]) -> int:
        """Logs an act on interactions, such as a discard; returns the index of the entry."""
        return self.log.append([Noted(act, how, tuple(interactions))])

    def bucket(self, interaction: InteractionId) -> Path:
        """Returns the directory that holds the files of an interaction."""
        return self.sealed / interaction.hex()[:_BUCKET_DIGITS]

    def place(self, label: Label) -> Path:
        """Returns the directory that a sealed file belongs in."""
        return self._own if is_owned(label.kind) else self.bucket(label.interaction)

    def place_of(self, interaction: InteractionId, name: str) -> Path:
        """Returns the directory that a file of an interaction or owner belongs in, by its name."""
        kind = name.rpartition(".")[2]
        return self._own if is_owned(kind) else self.bucket(interaction)

    def places(self, interaction: InteractionId) -> list[Path]:
        """Returns the directories that the file of an interaction or owner may be in."""
        return [self.bucket(interaction), self._own]

    @property
    def _own(self) -> Path:
        return self.sealed / OWN

    def paths(self) -> Iterator[Path]:
        """Yields the path of everything under `sealed/`, in order."""
        for bucket in self.disk.names(self.sealed):
            try:
                names = self.disk.names(self.sealed / bucket)
            except NotADirectoryError:
                yield self.sealed / bucket
                continue
            yield from (self.sealed / bucket / name for name in names)

    def headers(self) -> Iterator[Header]:
        """Yields the header of every sealed file; passes over what is none."""
        return self._headers(self.paths())

    def _headers(self, paths: Iterable[Path]) -> Iterator[Header]:
        for path in paths:
            with contextlib.suppress(Malformed, OSError):
                yield parse_header(self.disk.read(path, 0, HEADER_SIZE))

    def artefacts(self, interaction: InteractionId) -> list[Artefact]:
        """Returns the sealed files of an interaction, or that of an owner, live or erased."""
        return self._files(self.bucket(interaction), interaction) or self._files(
            self._own, interaction
        )

    def _files(self, bucket: Path, interaction: InteractionId) -> list[Artefact]:
        names = self.disk.names(bucket)
        return [self.artefact(bucket / n) for n in names if n.startswith(interaction.hex())]

    def owned(self, kind: str) -> list[InteractionId]:
        """Returns the living owners of a kind that has slots of its own, oldest first."""
        names = (name for name in self.disk.names(self._own) if name.endswith(f".{kind}"))
        labels = (header.label for header in self._headers(self._own / name for name in names))
        living = [it for it in labels if it.kind == kind and self.ring.is_live(it.slot)]
        return [it.interaction for it in sorted(living, key=lambda it: it.slot)]

    def artefact(self, path: Path) -> Artefact:
        """Returns the sealed file at `path`; raises `Malformed` where it is none."""
        header = parse_header(self.disk.read(path, 0, HEADER_SIZE))
        if path.name != file_name(header.label):
            raise Malformed(f"{path}: the name is not that of the file sealed in it")
        return Artefact(header, path, self.disk.size(path) or 0)

    def open(self, artefact: Artefact) -> Opener:
        """Opens a sealed file; raises `Erased`, `Tampered`, `NoSuchSlot`."""
        if artefact.header.label.vault != self.id:
            raise Tampered(f"{artefact.path} was sealed in another vault")
        path, disk = artefact.path, self.disk
        with self.ring.key(artefact.slot) as key:
            return Opener(key, lambda offset, size: disk.read(path, offset, size), artefact.size)

    def read(self, interaction: InteractionId, kind: str) -> Secret:
        """Returns the content of the first artefact of a kind; raises `Erased`, `NotFound`."""
        for artefact in self.artefacts(interaction):
            if artefact.kind == kind:
                return self.open(artefact).read()
        raise NotFound(f"interaction {interaction.hex()} has no {kind}")

    def is_live(self, artefact: Artefact) -> bool:
        """Tells whether the slot of a sealed file still holds a key."""
        return self.ring.is_live(artefact.slot)

    def words_slot(self, interaction: InteractionId) -> Slot:
        """Returns the words slot of a living interaction; raises `Erased`."""
        for artefact in self.artefacts(interaction):
            if artefact.kind != AUDIO and self.is_live(artefact):
                self.open(artefact)  # the slot in a header is true only if the file opens with it
                return artefact.slot
        if self.is_under_way(interaction):
            raise NotFound(f"interaction {interaction.hex()} is being spoken just now")
        if self._has_live_slot(interaction):
            raise NotFound(
                f"the files of interaction {interaction.hex()} are missing, its key is not: "
                "`anechoic audit` tells which, and they can be put back from a copy"
            )
        raise Erased(f"the words of interaction {interaction.hex()} have been erased")

    def _has_live_slot(self, interaction: InteractionId) -> bool:
        created = self.created(interaction)
        return created is not None and any(self.ring.is_live(s) for s, _ in created.slots)

    def interactions(self) -> Iterator[InteractionId]:
        """Yields the interactions with a live slot, newest first."""
        for _, entry in self.log.some_back(lambda words: words[1:2] != [b"seal"]):
            if is_interaction(entry) and any(self.ring.is_live(s) for s, _ in entry.slots):
                yield entry.interaction

    def is_under_way(self, interaction: InteractionId) -> bool:
        """Tells whether it is being spoken just now: what was left behind is settled before."""
        return interaction.hex() in self.disk.names(self.capture)

    def last_slot_logged(self) -> int:
        """Returns the last slot that the log gives an owner, -1 when there is none."""
        entries = (entry for _, entry in self.log.scan_back() if isinstance(entry, Created))
        newest = next(entries, None)
        return max((slot for slot, _ in newest.slots), default=-1) if newest else -1

    def created(self, interaction: InteractionId) -> Created | None:
        """Returns the entry by which the log knows an interaction, living or not."""
        for _, entry in self.log.mentions([interaction]):
            if isinstance(entry, Created) and entry.interaction == interaction:
                return entry
        return None

    def resolve(self, text: str) -> InteractionId:
        """Finds a living interaction by its id or the start of it; raises `NotFound`, `Erased`."""
        wanted = text.lower()
        if len(wanted) >= _PREFIX_MIN and set(wanted) <= set("0123456789abcdef"):
            found = self._living(wanted) or self._living_in_log(wanted)
            if len(found) > 1:
                raise NotFound(f"{text} is the start of {len(found)} interactions; give more of it")
            if found:
                return found.pop()
        raise NotFound(
            f"no interaction {text[:40]!r} in this vault; an id is 32 hex digits, or the first "
            f"{_PREFIX_MIN} or more of them: `anechoic history` lists them"
        )

    def _living(self, wanted: str) -> set[InteractionId]:
        bucket = self.sealed / wanted[:_BUCKET_DIGITS]
        paths = (
            place / name
            for place in (bucket, self._own)
            for name in self.disk.names(place)
            if name.startswith(wanted) and (place != self._own or name.endswith(f".{RECORD}"))
        )
        labels = (header.label for header in self._headers(paths))
        return {label.interaction for label in labels if self.ring.is_live(label.slot)}

    def _living_in_log(self, wanted: str) -> set[InteractionId]:
        """Finds what has live slots though its files are missing or damaged; raises `Erased`."""
        entries = (entry for _, entry in self.log.scan_back() if isinstance(entry, Created))
        known = [entry for entry in entries if entry.interaction.hex().startswith(wanted)]
        living = {it.interaction for it in known if any(self.ring.is_live(s) for s, _ in it.slots)}
        if known and not living:
            raise Erased(f"interaction {known[0].interaction.hex()} was here and has been erased")
        return living


def is_interaction(entry: Entry) -> TypeGuard[Created]:
    """Tells whether an entry creates an interaction: two slots; an artefact of its own has one."""
    return isinstance(entry, Created) and len(entry.slots) == 2


def file_name(label: Label) -> str:
    """Returns the name of a sealed file: its interaction, its own id, its kind."""
    return f"{label.interaction.hex()}.{label.artefact.hex()}.{label.kind}"
