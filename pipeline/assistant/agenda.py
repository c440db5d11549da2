"""What is open in a vault: read from its living artefacts, and from nothing else.

Promises that what was erased is open no longer, in this process as soon as the ring has another
epoch: then all that was read is dropped and read again. What is kept between two readings is in
memory only. Expects `session.acting` around every call, like the vault.
"""

import contextlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from keys.entry import SealedEntry
from keys.errors import Erased, Malformed, NoSuchSlot, Tampered
from keys.model import ArtefactId, InteractionId
from pipeline import erase, kept, write
from pipeline.artefact import ACTION, FIRED, RECORD
from pipeline.assistant.derived import Mark
from pipeline.assistant.entries import Entry
from pipeline.assistant.values import MISSED, RANG, Action, Fired
from pipeline.errors import NotFound
from pipeline.logged import logged
from pipeline.vault import Artefact, Vault, file_name

_KINDS = (ACTION, FIRED, RECORD)


@dataclass(slots=True)
class _Read:
    """What was read at an epoch, up to an entry of the log."""

    epoch: int
    size: int
    actions: dict[ArtefactId, Entry] = field(default_factory=dict)
    fired: dict[str, list[Fired]] = field(default_factory=dict)
    made_from: dict[ArtefactId, tuple[ArtefactId, ...]] = field(default_factory=dict)
    """The parents of each record, oldest record first."""

    @property
    def replaced(self) -> set[ArtefactId]:
        """The records that do not count: a crash may leave them beside what does."""
        return superseded(self.made_from, set(self.actions) - set(self.made_from))


class Agenda:
    """The actions and records of one vault that live."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._read: _Read | None = None

    def entries(self) -> list[Entry]:
        """Returns all actions and records that live, each once, oldest first."""
        read = self._up_to_date()
        replaced = read.replaced
        return [
            replace(it, fired=tuple(read.fired.get(it.artefact.hex(), ())))
            for it in read.actions.values()
            if it.artefact not in replaced
        ]

    def drop(self) -> None:
        """Forgets all that was read."""
        self._read = None

    def _up_to_date(self) -> _Read:
        vault, read = self._vault, self._read
        if read is None or read.epoch != vault.ring.epoch or read.size > vault.log.size:
            read = self._read = _Read(vault.ring.epoch, vault.log.size)
            self._take(read, _files(vault))
        elif read.size < vault.log.size:
            since, read.size = read.size, vault.log.size
            self._take(read, _new_files(vault, since))
        return read

    def _take(self, read: _Read, files: Iterable[Artefact]) -> None:
        records = []
        for file in files:
            with _passed_over(self._vault, file):
                if file.kind == FIRED:
                    fired = Fired.decode(self._vault.open(file).read())
                    read.fired.setdefault(fired.action, []).append(fired)
                else:
                    entry = _entry(self._vault, file)
                    read.actions[entry.artefact] = entry
                    records += [entry] * (file.kind == RECORD)
        owners = logged(self._vault, [it.owner for it in records]).owners if records else {}
        read.made_from |= {it.artefact: owners[it.owner].sealed[0].parents for it in records}


def superseded(
    made_from: Mapping[ArtefactId, tuple[ArtefactId, ...]], actions: Collection[ArtefactId]
) -> set[ArtefactId]:
    """Returns the records, given oldest first with their parents, in whose place another counts.

    That is the action that it was made from while that lives, a newer record of the same action,
    or the record that was made from it.
    """
    hidden: set[ArtefactId] = set()
    newest: dict[ArtefactId, ArtefactId] = {}
    for record, parents in made_from.items():
        for parent in parents:
            hidden |= {record} if parent in actions else set()
            hidden |= {parent} if parent in made_from else set()
            hidden |= {newest[parent]} if parent in newest else set()
            newest[parent] = record
    return hidden


def mark(vault: Vault, found: Mark, at: str, due: str = "") -> None:
    """Seals what became of an action; a record is replaced by one that has it.

    Raises `Erased` where it was forgotten meanwhile.
    """
    entry = found.entry
    if entry.kind == RECORD:
        _replace(vault, _as_it_lives(vault, entry), found.how, due, at)
        return
    fired = Fired(entry.artefact.hex(), found.how, at, due)
    write.add(vault, entry.owner, (FIRED, fired.encode()), parents=[entry.artefact])


def _as_it_lives(vault: Vault, entry: Entry) -> Entry:
    """Returns the record that has taken this one's place since it was read; raises `Erased`."""
    if entry.owner in vault.owned(RECORD):
        return entry
    for owner in kept.same(vault, [entry.owner])[::-1]:
        (file,) = vault.artefacts(owner)
        return _entry(vault, file)
    raise Erased(f"record {entry.owner.hex()} has been erased")


def _replace(vault: Vault, entry: Entry, how: str, due: str, at: str) -> None:
    """Seals a new record and retires the old one; a crash between leaves both, and the new counts.

    What the old one was made from is named again as far as it tells which records count.
    """
    old = logged(vault, [entry.owner]).owners[entry.owner]
    (sealed,) = old.sealed
    state = "" if how in {RANG, MISSED} else how  # as `keep` writes it
    content = replace(entry.action, state=state, last=due or entry.action.last).encode()
    gone = {it.label.artefact for it in _retired(vault, sealed.parents)}
    parents = [sealed.label.artefact, *(it for it in sealed.parents if it not in gone)]
    new = write.own(vault, RECORD, content, parents)
    for _, left in old.disclosed:  # what left of the old one is what would be left of the new
        vault.note("disclose", left.how, [new, *left.interactions[1:]])
    erase.retire(vault, [entry.owner], lambda: at)


def _retired(vault: Vault, artefacts: Collection[ArtefactId]) -> Iterator[SealedEntry]:
    """Yields those of the artefacts that were records and live no more."""
    wanted = set(artefacts)
    for _, entry in vault.log.scan_back():
        if not wanted:
            return
        if isinstance(entry, SealedEntry) and entry.label.artefact in wanted:
            wanted.discard(entry.label.artefact)
            if entry.label.kind == RECORD and not vault.ring.is_live(entry.label.slot):
                yield entry


def _entry(vault: Vault, file: Artefact) -> Entry:
    label = file.header.label
    action = Action.decode(vault.open(file).read())
    return Entry(label.interaction, label.artefact, label.kind, action)


def _files(vault: Vault) -> Iterator[Artefact]:
    """Yields the living files of actions and what became of them, actions first, by their slots."""
    found = []
    for path in _paths(vault):
        with contextlib.suppress(Malformed, OSError):
            found.append(vault.artefact(path))
    living = [it for it in found if _is_live(vault, it)]
    yield from sorted(living, key=lambda it: (it.slot, it.kind == FIRED))


def _paths(vault: Vault) -> Iterator[Path]:
    """Yields the paths of these kinds; makes none of the others, which takes most of the time."""
    for bucket in vault.disk.names(vault.sealed):
        folder = vault.sealed / bucket
        with contextlib.suppress(NotADirectoryError):
            names = vault.disk.names(folder)
            yield from (folder / name for name in names if name.rpartition(".")[2] in _KINDS)


def _new_files(vault: Vault, since: int) -> Iterator[Artefact]:
    """Yields the living files that the log has since an entry, oldest first."""
    found = []
    for index, entry in vault.log.scan_back():
        if index < since:
            break
        if isinstance(entry, SealedEntry) and entry.label.kind in _KINDS:
            found.append(vault.place(entry.label) / file_name(entry.label))
    for path in reversed(found):
        with contextlib.suppress(Malformed, OSError):
            if _is_live(vault, file := vault.artefact(path)):
                yield file


def _is_live(vault: Vault, file: Artefact) -> bool:
    try:
        return vault.is_live(file)
    except NoSuchSlot:
        return False


@contextlib.contextmanager
def _passed_over(vault: Vault, file: Artefact) -> Iterator[None]:
    try:
        yield
    except Erased:
        pass
    except (NotFound, Tampered, Malformed, OSError):
        vault.unreadable.add(InteractionId(file.header.label.interaction))
