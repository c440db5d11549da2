"""The key ring: every live key, sealed under a root that changes at each erasure (SPEC section 2).

Promises that a slot's key is durable before its number is given out, and that when `destroy`
returns no state ever written opens its slots again. The order of effects in `_rotate`, `_recover`
is the commit protocol of SPEC section 3.2: change it only with the crash table of the tests.
All methods expect the caller to hold the vault's lock.
"""

import re
import struct
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import count
from pathlib import Path

from keys.anchor import Anchor
from keys.durable import Disk
from keys.errors import AnchorFailure, Erased, NoSuchSlot, StateUnknown, Tampered
from keys.model import KEY_SIZE, Commitment, Epoch, Slot
from keys.pages import (
    EMPTY,
    FRAME_SIZE,
    PAGE_SIZE,
    SLOTS_PER_PAGE,
    Intent,
    Journal,
    PageRef,
    Top,
    open_page,
    open_top,
    parse_head,
    parse_intent,
    seal_page,
    seal_top,
)
from keys.root import FreshRoot, Roots
from keys.secret import TAG_SIZE, Secret, commitment, fill_random, random_secret

_SLOTS, _INTENT, _CLEAN = b"S", b"I", b"W"
_JOURNAL_SLOTS = 2048
"""With so many slots in the journal it is folded into pages, so that opening stays quick."""
_PAGES_CACHED = 64
_STATE_NAME = re.compile(r"state-[0-9]{20}")
_NO_KEYS = Secret(PAGE_SIZE)


class Ring:
    """The live keys of one vault, kept in `directory`; open it with `open()` before use."""

    epoch: Epoch
    _top: Top
    _journal: Journal
    _fresh: dict[Slot, Secret]
    _intent: Intent | None
    _clean: set[str]
    _next_slot: int
    _end: int
    _records: int

    def __init__(self, disk: Disk, directory: Path, roots: Roots) -> None:
        self._disk, self._directory, self._roots = disk, directory, roots
        self._pages_path = directory / "pages"
        self._cache: dict[int, Secret] = {}
        self._forget_state()

    def create(self) -> None:
        """Makes the first state, without slots, and its share in each anchor."""
        self._disk.make_dir(self._directory)
        self._disk.sync_dir(self._directory.parent)
        fresh = self._roots.fresh(Epoch(1), for_all=True)
        self._write_state(Top(0, random_secret()), fresh)
        self._roots.commit(fresh)
        self.open()

    def open(self) -> None:
        """Opens the current state, finishing or undoing whatever a crash left half done.

        Raises `AnchorFailure` when no state opens with the anchors given, `Tampered` when one
        should and does not.
        """
        self._forget_state()
        self._roots.settle()
        intent = self._recover()
        if intent is not None:
            self._rotate(intent)

    def refresh(self) -> None:
        """Opens the state anew if another process has changed it since."""
        if self.epoch == 0 or self._disk.size(self._state_path(self.epoch)) != self._end:
            self.open()

    @property
    def pending(self) -> Intent | None:
        """The erasure that made the current epoch; its receipt may still have to be written."""
        return parse_intent(self._top.pending) if self._top.pending else None

    @property
    def slot_count(self) -> int:
        """The number of slots ever given out."""
        return self._next_slot

    @property
    def outstanding(self) -> set[str]:
        """The ways to the root that may still hold an old share: they were absent or cut off."""
        return self._roots.names() - self._clean if len(self._roots.ways) > 1 else set()

    def catch_up(self) -> bool:
        """Rotates if a way that is outstanding has come back; tells whether it did."""
        present = {self._roots.name_of(way) for way in self._roots.present()}
        if not self.outstanding & present:
            return False
        self._rotate(Intent((), b""))
        return True

    @property
    def anchors(self) -> tuple[Anchor, ...]:
        """The anchors that hold the shares of the root."""
        return self._roots.anchors

    def signer_seed(self) -> Secret:
        """Returns a copy of the seed of the log's signing key."""
        return Secret(self._top.signer_seed)

    def allocate(self, number: int) -> list[Slot]:
        """Gives out `number` new slots with fresh keys, durable on return."""
        self._must_be_open()
        if len(self._fresh) >= _JOURNAL_SLOTS:
            self._rotate(Intent((), b""))
        first = self._next_slot
        with Secret(1 + 8 + KEY_SIZE * number) as record:
            struct.pack_into(">cQ", record, 0, _SLOTS, first)
            fill_random(memoryview(record)[9:])
            self._append(record)
        return [Slot(slot) for slot in range(first, first + number)]

    def key(self, slot: Slot) -> Secret:
        """Returns a copy of the key, for the caller to wipe; raises `Erased`, `NoSuchSlot`."""
        self._must_be_open()
        if not 0 <= slot < self._next_slot:
            raise NoSuchSlot(f"slot {slot} was never given out by this ring")
        if slot in self._fresh:
            return Secret(self._fresh[slot])
        number, place = divmod(slot, SLOTS_PER_PAGE)
        if number in self._top.pages:
            view = memoryview(self._page(number))[place * KEY_SIZE : (place + 1) * KEY_SIZE]
            if view != EMPTY:
                return Secret(view)
        raise Erased(f"the key of slot {slot} has been destroyed")

    def is_live(self, slot: Slot) -> bool:
        """Tells whether the slot holds a key."""
        try:
            self.key(slot).wipe()
        except (Erased, NoSuchSlot):
            return False
        return True

    def commitment(self, slot: Slot) -> Commitment:
        """Returns the public commitment of a live slot's key."""
        with self.key(slot) as key:
            return commitment(key)

    def destroy(self, slots: Iterable[Slot], plan: bytes) -> None:
        """Destroys the keys of `slots` for ever; `plan` comes back as `pending` after a crash.

        1. The intent is durable: a crash from here on rolls forward. 2. to 4. `_rotate`.
        On return the keys are gone; the caller then writes log and receipt.
        """
        self._must_be_open()
        intent = Intent(tuple(sorted(set(slots))), plan)
        if intent.slots and not 0 <= intent.slots[0] <= intent.slots[-1] < self._next_slot:
            raise NoSuchSlot(
                f"slots {intent.slots[0]} to {intent.slots[-1]} are not all of this ring"
            )
        with Secret(_INTENT + intent.encode()) as record:
            self._append(record)
        self._rotate(intent)

    def _rotate(self, intent: Intent) -> None:
        """Replaces state t by state t+1 without the intent's slots (SPEC section 3.2).

        2. Pages and state t+1 are written, never over anything that t reaches: a crash leaves an
        orphan. 3. They are synced, then opened again. 4. The anchors take the share of t+1, then
        lose the share of t: **when the first of them has lost it, the erasure is committed.** Then
        recovery runs, as after a crash, and deletes state t.

        When any of it fails, this object forgets what it knew: only opening the ring anew tells
        which state holds, and a slot given out from the wrong one would be lost.
        """
        try:
            self._replace_state(intent)
        except BaseException:
            self._forget_state()
            raise

    def _replace_state(self, intent: Intent) -> None:
        fresh = self._roots.fresh(Epoch(self.epoch + 1))
        top = self._next_top(intent)
        self._disk.sync(self._pages_path) if top.pages else None
        self._write_state(top, fresh)
        if max(self._roots.epochs()) != self.epoch:
            raise StateUnknown("the anchor changed during an erasure; run the command again")
        self._roots.commit(fresh)
        self._forget_state()
        self._recover()

    def _next_top(self, intent: Intent) -> Top:
        top = Top(self._next_slot, self.signer_seed(), dict(self._top.pages), intent.encode())
        used = {ref.frame for ref in self._top.pages.values()}
        free = (frame for frame in count() if frame not in used)
        for number, dead in sorted(self._touched(intent).items()):
            keys = self._changed_page(number, dead)
            top.pages.pop(number, None)
            if keys != _NO_KEYS:
                top.pages[number] = self._write_page(number, keys, next(free))
            keys.wipe()
        return top

    def _touched(self, intent: Intent) -> dict[int, list[int]]:
        pages: dict[int, list[int]] = defaultdict(list)
        for slot in self._fresh:
            pages[slot // SLOTS_PER_PAGE] = []
        for slot in intent.slots:
            if slot in self._fresh or slot // SLOTS_PER_PAGE in self._top.pages:
                pages[slot // SLOTS_PER_PAGE].append(slot % SLOTS_PER_PAGE)
        return pages

    def _changed_page(self, number: int, dead: list[int]) -> Secret:
        keys = Secret(self._page(number)) if number in self._top.pages else Secret(PAGE_SIZE)
        view = memoryview(keys)
        first = number * SLOTS_PER_PAGE
        for slot in range(max(first, self._top.next_slot), first + SLOTS_PER_PAGE):
            if slot in self._fresh:
                place = slot - first
                view[place * KEY_SIZE : (place + 1) * KEY_SIZE] = self._fresh[Slot(slot)]
        for place in dead:
            view[place * KEY_SIZE : (place + 1) * KEY_SIZE] = EMPTY
        return keys

    def _write_page(self, number: int, keys: Secret, frame: int) -> PageRef:
        ref = PageRef(frame, random_secret())
        sealed = seal_page(keys, ref, self._roots.vault, number)
        self._disk.write(self._pages_path, frame * FRAME_SIZE, sealed)
        return ref

    def _write_state(self, top: Top, fresh: FreshRoot) -> None:
        path, head = self._state_path(fresh.head.epoch), fresh.head.encode()
        self._disk.write(path, 0, head + seal_top(top, fresh.root, head))
        self._disk.sync(path)
        self._disk.sync_dir(self._directory)
        written, _ = open_top(memoryview(self._disk.read(path))[len(head) :], fresh.root, head)
        for number, ref in written.pages.items():
            if ref.frame != getattr(self._top.pages.get(number), "frame", None):
                self._read_page(number, ref).wipe()

    def _recover(self) -> Intent | None:
        """Opens the highest epoch that opens, wipes other shares, drops orphans, reads the journal.

        Returns an intent that was durable but not carried out.
        """
        epochs = sorted(self._epochs_on_disk() & self._roots.epochs(), reverse=True)
        end = self._open_highest(epochs)
        self._roots.wipe(keep=self.epoch)
        for epoch in self._epochs_on_disk() - {self.epoch}:
            self._disk.delete(self._state_path(epoch))
        self._drop_tail(self._state_path(self.epoch), end)
        if self._records:  # a killed process may have left the last in the system's cache alone
            self._disk.sync(self._state_path(self.epoch))
        frames = 1 + max((ref.frame for ref in self._top.pages.values()), default=-1)
        self._drop_tail(self._pages_path, frames * FRAME_SIZE)
        self._note_clean()
        return self._intent

    def _note_clean(self) -> None:
        """Keeps on record which of several ways are known to hold no older share any more."""
        clean = self._roots.names_of_clean(self.epoch) - self._clean
        if len(self._roots.ways) > 1 and clean and self._intent is None:
            with Secret(_CLEAN + "\n".join(sorted(self._clean | clean)).encode()) as record:
                self._append(record)

    def _open_highest(self, epochs: list[Epoch]) -> int:
        trouble: Exception | None = None
        for epoch in epochs:
            try:
                return self._open_state(epoch)
            except (AnchorFailure, Tampered) as error:
                trouble = trouble or error
        raise trouble or self._nothing_opens()

    def _nothing_opens(self) -> AnchorFailure:
        there, held = sorted(self._epochs_on_disk()), sorted(self._roots.epochs())
        return AnchorFailure(
            f"the anchor holds the share of epoch {held}, the ring has the state of epoch {there}; "
            "an old copy of a vault's ring is dead for ever: put its sealed files back beside the "
            "current ring instead"
        )

    def _open_state(self, epoch: Epoch) -> int:
        data = self._disk.read(self._state_path(epoch))
        head, head_size = parse_head(data)
        if (head.vault, head.epoch) != (self._roots.vault, epoch):
            raise Tampered(f"the ring state of epoch {epoch} is of another vault or epoch")
        with self._roots.open(head) as root:
            top, size = open_top(memoryview(data)[head_size:], root, bytes(data[:head_size]))
            journal = Journal(root, head.vault, epoch)
        self._top, self._next_slot, self.epoch, self._journal = top, top.next_slot, epoch, journal
        return self._read_journal(memoryview(data), head_size + size)

    def _read_journal(self, data: memoryview, start: int) -> int:
        end = start
        for offset, record in self._journal.open(data[start:]):
            with record:
                self._apply(record)
            end, self._records = start + offset, self._records + 1
        self._end = end
        return end

    def _apply(self, record: Secret) -> None:
        if bytes(record[:1]) == _INTENT:
            self._intent = parse_intent(bytes(record[1:]))
            return
        if bytes(record[:1]) == _CLEAN:
            self._clean = set(record[1:].decode().split("\n"))
            return
        (first,) = struct.unpack_from(">Q", record, 1)
        view = memoryview(record)[9:]
        for n in range(len(view) // KEY_SIZE):
            self._fresh[Slot(first + n)] = Secret(view[n * KEY_SIZE : (n + 1) * KEY_SIZE])
        self._next_slot = first + len(view) // KEY_SIZE

    def _append(self, record: Secret) -> None:
        sealed = self._journal.seal(self._records, record)
        path, end = self._state_path(self.epoch), self._end
        self._end = -1  # until it is known: an error or Ctrl-C in here makes `refresh` recover
        self._disk.write(path, end, sealed)
        self._disk.sync(path)
        self._apply(record)
        self._end, self._records = end + len(sealed), self._records + 1

    def _page(self, number: int) -> Secret:
        if number not in self._cache:
            if len(self._cache) >= _PAGES_CACHED:
                self._cache.pop(next(iter(self._cache))).wipe()
            self._cache[number] = self._read_page(number, self._top.pages[number])
        return self._cache[number]

    def _read_page(self, number: int, ref: PageRef) -> Secret:
        try:
            sealed = self._disk.read(self._pages_path, ref.frame * FRAME_SIZE, PAGE_SIZE + TAG_SIZE)
        except FileNotFoundError:
            raise Tampered(f"{self._pages_path} is missing; put it back from a copy") from None
        return open_page(sealed, ref, self._roots.vault, number)

    def _must_be_open(self) -> None:
        if self._end <= 0:
            raise StateUnknown("the ring is not open, or an act on it failed; open it again")

    def _forget_state(self) -> None:
        for page in self._cache.values():
            page.wipe()
        self._cache.clear()
        self._top, self._next_slot, self.epoch = Top(0, Secret()), 0, Epoch(0)
        self._fresh = {}
        self._intent = None
        self._clean = set()
        self._end, self._records = 0, 0

    def _drop_tail(self, path: Path, size: int) -> None:
        if (self._disk.size(path) or 0) > size:
            self._disk.truncate(path, size)

    def _state_path(self, epoch: Epoch) -> Path:
        return self._directory / f"state-{epoch:020}"

    def _epochs_on_disk(self) -> set[Epoch]:
        names: Iterator[str] = iter(self._disk.names(self._directory))
        return {Epoch(int(name[6:])) for name in names if _STATE_NAME.fullmatch(name)}
