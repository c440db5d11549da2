"""The files `state-N` of a ring: written whole, opened, added to at the end (SPEC section 2.4).

Promises that a state opens once `write` has returned, and that a record stays once `append` has.
What a record of the journal means is said here and in SPEC's table, and a new kind of record is a
change of both. Which state holds, and when one goes, is for the ring to say.
"""

import re
import struct
from collections.abc import Iterable
from pathlib import Path

from keys.durable import Disk
from keys.errors import AnchorFailure, Tampered
from keys.model import KEY_SIZE, Epoch, Slot
from keys.outstanding import Ways
from keys.pages import (
    Head,
    Intent,
    Journal,
    Top,
    encode_top,
    open_top,
    parse_head,
    parse_intent,
    seal_top,
    unseal_top,
)
from keys.root import FreshRoot, Roots
from keys.secret import Secret

KEYS_AT = 9
"""Where the keys begin in a record of slots."""
_SLOTS, _INTENT = b"S", b"I"
_NAME = re.compile(r"state-[0-9]{20}")


class State:
    """An open state: what its head and top page say, and what its journal adds to that."""

    def __init__(self, disk: Disk, path: Path, head: Head, top: Top, journal: Journal) -> None:
        self._disk, self._path, self._journal, self._records = disk, path, journal, 0
        self.epoch, self.top, self.next_slot = head.epoch, top, top.next_slot
        self.ways = {stanza.anchors for stanza in head.stanzas}
        self.fresh: dict[Slot, Secret] = {}
        """The keys of the slots given out since the state was made, destroyed ones included."""
        self.intent: Intent | None = None
        self.known = Ways()
        """What the journal says of ways that may hold an older share."""
        self.end = 0
        """Where the last record ends; -1 when that is not known, because an `append` failed."""

    def read_journal(self, data: memoryview, start: int) -> None:
        """Applies the records of the file's `data` from `start` on; raises `Tampered`."""
        end = start
        try:
            for offset, record in self._journal.open(data[start:]):
                with record:
                    self._apply(record)
                end, self._records = start + offset, self._records + 1
        except Tampered:
            self.forget()
            raise
        self.end = end

    def append(self, record: Secret) -> None:
        """Adds a record to the journal, durable on return, and applies it."""
        sealed = self._journal.seal(self._records, record)
        end, self.end = self.end, -1  # an error or Ctrl-C in here makes `refresh` recover
        self._disk.write(self._path, end, sealed)
        self._disk.sync(self._path)
        self._apply(record)
        self.end, self._records = end + len(sealed), self._records + 1

    def settle(self) -> None:
        """Cuts off what follows the last record, and makes durable what was read."""
        if (self._disk.size(self._path) or 0) > self.end:
            self._disk.truncate(self._path, self.end)
        if self._records:  # a killed process may have left the last in the system's cache alone
            self._disk.sync(self._path)

    def is_unchanged(self) -> bool:
        """Tells whether nobody has added to the file since, or deleted it."""
        return self._disk.size(self._path) == self.end

    def forget(self) -> None:
        """Drops all keys; an error's traceback may keep the object itself for long."""
        self.fresh.clear()
        self.top.wipe()

    def _apply(self, record: Secret) -> None:
        kind = bytes(record[:1])
        if kind == _INTENT:
            self.intent = parse_intent(bytes(record[1:]))
        elif kind == _SLOTS:
            self._apply_slots(record)
        else:
            self.known.apply(kind, bytes(record[1:]).decode().split("\n"))

    def _apply_slots(self, record: Secret) -> None:
        (first,) = struct.unpack_from(">Q", record, 1)
        view = memoryview(record)[KEYS_AT:]
        for n in range(len(view) // KEY_SIZE):
            self.fresh[Slot(first + n)] = Secret(view[n * KEY_SIZE : (n + 1) * KEY_SIZE])
        self.next_slot = first + len(view) // KEY_SIZE


class States:
    """The state files of one ring, in `directory`."""

    def __init__(self, disk: Disk, directory: Path) -> None:
        self._disk, self._directory = disk, directory

    def make_directory(self) -> None:
        """Makes the directory, with a durable name."""
        self._disk.make_dir(self._directory)
        self._disk.sync_dir(self._directory.parent)

    def path(self, epoch: Epoch) -> Path:
        """Returns where the state of this epoch is."""
        return self._directory / f"state-{epoch:020}"

    def epochs(self) -> set[Epoch]:
        """Returns the epochs of which there is a file, whole or not."""
        names = self._disk.names(self._directory)
        return {Epoch(int(name[6:])) for name in names if _NAME.fullmatch(name)}

    def ways(self, epoch: Epoch) -> set[str]:
        """Returns the ways that the head of a state names; raises `Malformed`."""
        head, _ = parse_head(self._disk.read(self.path(epoch)))
        return {stanza.anchors for stanza in head.stanzas}

    def write(self, top: Top, fresh: FreshRoot, records: Iterable[Secret] = ()) -> None:
        """Writes a state, durable with its name on return; its journal begins with these records.

        Raises `Tampered` where its top page does not open again as it was.
        """
        path, head = self.path(fresh.head.epoch), fresh.head.encode()
        journal = Journal(fresh.root, fresh.head.vault, fresh.head.epoch)
        first = b"".join(journal.seal(n, record) for n, record in enumerate(records))
        with encode_top(top) as plain:
            self._disk.write(path, 0, head + seal_top(plain, fresh.root, head) + first)
            self._disk.sync(path)
            self._disk.sync_dir(self._directory)
            found = memoryview(self._disk.read(path))[len(head) :]
            with unseal_top(found, fresh.root, head)[0] as again:
                if again != plain:
                    raise Tampered(f"{path} holds another top page than was written to it")

    def open(self, epoch: Epoch, roots: Roots) -> State:
        """Opens a state and reads its journal; raises `AnchorFailure`, `Malformed`, `Tampered`."""
        data = self._disk.read(self.path(epoch))
        head, head_size = parse_head(data)
        if (head.vault, head.epoch) != (roots.vault, epoch):
            raise Tampered(f"the ring state of epoch {epoch} is of another vault or epoch")
        with roots.open(head) as root:
            top, size = open_top(memoryview(data)[head_size:], root, bytes(data[:head_size]))
            journal = Journal(root, head.vault, epoch)
        state = State(self._disk, self.path(epoch), head, top, journal)
        state.read_journal(memoryview(data), head_size + size)
        return state

    def root(self, epoch: Epoch, roots: Roots) -> Secret:
        """Returns the root of a state, for the caller to wipe; raises `AnchorFailure`."""
        return roots.open(parse_head(self._disk.read(self.path(epoch)))[0])

    def open_highest(self, roots: Roots) -> State:
        """Opens the highest epoch that opens, of those of which some way holds all shares."""
        trouble: Exception | None = None
        there, held = self.epochs(), roots.epochs()
        for epoch in sorted(there & held, reverse=True):
            try:
                return self.open(epoch, roots)
            except (AnchorFailure, Tampered) as error:
                trouble = trouble or error
        if not held and (apart := sorted(roots.epochs_held())):
            raise AnchorFailure(
                f"the anchors hold shares of the epochs {apart} that do not go together: one of "
                "them is an old copy; put the current one back"
            )
        raise trouble or AnchorFailure(_why_nothing_opens(there, held, self._directory))

    def delete(self, epochs: Iterable[Epoch]) -> None:
        """Deletes the files of these epochs; durable after `sync_names`."""
        for epoch in epochs:
            self._disk.delete(self.path(epoch))

    def sync_names(self) -> None:
        """Makes deletions durable."""
        self._disk.sync_dir(self._directory)


def _why_nothing_opens(there: set[Epoch], held: set[Epoch], directory: Path) -> str:
    if not there:
        return (
            f"no ring state is in {directory}: without it nothing in this vault opens; put back "
            "the current one, from a mirror if there is one"
        )
    if not held:
        return (
            "the anchor holds no share that can be read, so it was overwritten or damaged: without "
            "it nothing in this vault opens; put its file back, or attach another anchor"
        )
    if max(held) < min(there):
        return (
            f"the anchor holds the share of epoch {max(held)} and the ring is of epoch "
            f"{min(there)}: the anchor is an old copy and opens nothing; put the current one back"
        )
    return (
        f"the ring is of epoch {max(there)} and the anchor holds the share of epoch {max(held)}: "
        f"the ring is an old copy, and dead for ever; put the current one back in {directory}, "
        "from a mirror if there is one: the sealed files of the copy that are live open beside it"
    )


def slots_record(first: int, number: int) -> Secret:
    """Returns the record of `number` slots from `first` on, its keys still to be filled in."""
    record = Secret(KEYS_AT + KEY_SIZE * number)
    struct.pack_into(">cQ", record, 0, _SLOTS, first)
    return record


def intent_record(intent: Intent) -> Secret:
    """Returns the record of an erasure that is asked for."""
    return Secret(_INTENT + intent.encode())
