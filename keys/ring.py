"""The key ring: every live key, sealed under a root that changes at each erasure (SPEC section 2).

Promises that a slot's key is durable before its number is given out, and that when `destroy`
returns no state ever written opens its slots again. The order of effects in `_rotate`, `_recover`
is the commit protocol of SPEC section 3.2: change it only with the crash table of the tests.
All methods expect the caller to hold the vault's lock.
"""

import re
import struct
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from itertools import count
from pathlib import Path

from keys.anchor import Anchor
from keys.durable import Disk
from keys.errors import AnchorFailure, Erased, Malformed, NoSuchSlot, StateUnknown, Tampered
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
from keys.root import FreshRoot, Roots, Way, held_by
from keys.secret import TAG_SIZE, Secret, commitment, fill_random, random_secret

_SLOTS, _INTENT, _CLEAN, _LEFT = b"S", b"I", b"W", b"O"
_JOURNAL_SLOTS = 2048
"""With so many slots in the journal it is folded into pages, so that opening stays quick."""
_PAGES_CACHED = 64
_STATE_NAME = re.compile(r"state-[0-9]{20}")
_NO_KEYS = Secret(PAGE_SIZE)
_NOTHING = Intent((), b"")


class Ring:
    """The live keys of one vault, kept in `directory`; open it with `open()` before use."""

    epoch: Epoch
    _top: Top
    _journal: Journal
    _fresh: dict[Slot, Secret]
    _intent: Intent | None
    _clean: set[str]
    _left: set[str]
    _strangers: set[str]
    _later: Epoch
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
        epoch = Epoch(1 + max(self._roots.epochs_held(), default=0))
        fresh = self._roots.fresh(epoch, for_all=True)
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
        try:
            intent = self._recover()
        except BaseException:
            self._forget_state()
            raise
        if intent is not None or self._later:
            self._rotate(intent or _NOTHING)

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
        """The ways to the root that may still hold an old share: absent, cut off or given up."""
        names = self._roots.names() if len(self._roots.ways) > 1 else set()
        return (names | self._left | self._strangers) - self._clean

    def catch_up(self) -> bool:
        """Rotates if a way has come back that is outstanding or lacks a share; tells if it did."""
        self._must_be_open()
        if not self._has_several:
            return False
        present = self._roots.names_present()
        if not self.outstanding & present and not self._roots.behind(self.epoch):
            return False
        self._rotate(_NOTHING)
        return True

    def change_ways(self, roots: Roots) -> None:
        """Rotates from the ways used so far to those of `roots`; makes those that are new.

        1. The journal says that the new ways may hold a share from here on. 2. State t+1 is
        written, with all ways that may hold an older share. 3. The new ways get their shares and
        lose older ones. 4. Recovery, with the new ways. 5. `retire` for the old ones.

        The caller keeps both on record until this returns. After a crash it opens the ring with
        the old ways and calls this again; where the old raise `AnchorFailure`, it opens the ring
        with the new ones and calls `retire` with the old.
        """
        self._must_be_open()
        self._refuse_other_places(roots)
        old, made = self._roots, roots.names() - self._roots.names()
        try:
            if made:
                self._append_names(_LEFT, made)
            self._replace_ways(roots, made)
        except BaseException:
            self._forget_state()
            raise
        self.retire(old)

    def retire(self, roots: Roots) -> None:
        """Destroys the shares that ways no longer in use hold; `outstanding` names the absent."""
        self._must_be_open()
        roots.retire(self.epoch, {anchor.name for anchor in self._roots.anchors})
        self._note_clean(roots)

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
            self._rotate(_NOTHING)
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
        fresh = self._roots.fresh(Epoch(1 + max(self.epoch, self._later)))
        self._prepare(intent, fresh, (self._left - self._clean) | self._strangers)
        self._roots.commit(fresh, self.epoch)
        self._forget_state()
        self._recover()

    def _replace_ways(self, roots: Roots, made: set[str]) -> None:
        here = made | {roots.name_of(way) for way in roots.ways if _answers(way)}
        epoch = Epoch(1 + max(self.epoch, self._later, *roots.epochs_held()))
        fresh = roots.fresh_for(epoch, [w for w in roots.ways if roots.name_of(w) in here])
        owed = (self._left - self._clean) | self._strangers | self._roots.names() | roots.names()
        self._prepare(_NOTHING, fresh, owed)
        roots.write(fresh, self.epoch)
        self._roots = roots
        roots.wipe(keep=epoch)
        self._forget_state()
        self._recover()

    def _prepare(self, intent: Intent, fresh: FreshRoot, left: set[str]) -> None:
        top = self._next_top(intent)
        self._disk.sync(self._pages_path) if top.pages else None
        self._write_state(top, fresh, left)
        if max(self._roots.epochs()) != self.epoch:
            raise StateUnknown("the anchor changed during an erasure; run the command again")

    def _next_top(self, intent: Intent) -> Top:
        # A rotation without a plan of its own leaves the last one, whose receipt may be missing.
        pending = self._top.pending if intent == _NOTHING else intent.encode()
        top = Top(self._next_slot, self.signer_seed(), dict(self._top.pages), pending)
        used = {ref.frame for ref in self._top.pages.values()}
        free = (frame for frame in count(self._first_frame()) if frame not in used)
        for number, dead in sorted(self._touched(intent).items()):
            keys = self._changed_page(number, dead)
            top.pages.pop(number, None)
            if keys != _NO_KEYS:
                top.pages[number] = self._write_page(number, keys, next(free))
            keys.wipe()
        return top

    def _first_frame(self) -> int:
        """A later state that does not open here may yet be opened: its frames, not known, stay."""
        return -(-(self._disk.size(self._pages_path) or 0) // FRAME_SIZE) if self._later else 0

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

    def _write_state(self, top: Top, fresh: FreshRoot, left: Collection[str] = ()) -> None:
        path, head = self._state_path(fresh.head.epoch), fresh.head.encode()
        journal = Journal(fresh.root, fresh.head.vault, fresh.head.epoch)
        first = journal.seal(0, _names_record(_LEFT, left)) if left else b""
        self._disk.write(path, 0, head + seal_top(top, fresh.root, head) + first)
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
        later = self._later_states()
        self._roots.wipe(keep=self.epoch)
        for epoch in self._epochs_on_disk() - {self.epoch} - later:
            self._disk.delete(self._state_path(epoch))
        if self._has_several:  # else an old state may come back, and a way that was absent opens it
            self._disk.sync_dir(self._directory)
        self._drop_tail(self._state_path(self.epoch), end)
        if self._records:  # a killed process may have left the last in the system's cache alone
            self._disk.sync(self._state_path(self.epoch))
        frames = 1 + max((ref.frame for ref in self._top.pages.values()), default=-1)
        if not later:
            self._drop_tail(self._pages_path, frames * FRAME_SIZE)
        self._note_clean()
        return self._intent

    @property
    def _has_several(self) -> bool:
        return len(self._roots.ways) > 1 or bool(self._left | self._strangers)

    def _later_states(self) -> set[Epoch]:
        """Returns the later states, which did not open, where a rotation has to pass them by.

        With several ways a share of theirs may be in an anchor that is absent, or that has lost its
        older one: no later state may ever have the same number. One way has no absent anchors.
        """
        if ahead := self._roots.ahead(self.epoch):
            raise AnchorFailure(
                f"{' and '.join(sorted(ahead))} holds the share of a later epoch than the ring has "
                f"({self.epoch}): the ring is an old copy; put the current one back"
            )
        later = (
            {e for e in self._epochs_on_disk() if e > self.epoch} if self._has_several else set()
        )
        for epoch in later:
            self._refuse_if_absent_way_may_open(epoch)
        self._later = max(later, default=Epoch(0))
        return later

    def _refuse_if_absent_way_may_open(self, epoch: Epoch) -> None:
        try:
            head, _ = parse_head(self._disk.read(self._state_path(epoch)))
        except Malformed:
            return  # never whole, so no anchor has a share for it
        names = {stanza.anchors for stanza in head.stanzas}
        if names <= self._roots.names() - self._roots.names_present():
            raise AnchorFailure(
                f"the ring's newest state, of epoch {epoch}, opens with "
                f"{' or '.join(sorted(names))}, which is not here; attach it. If it is lost for "
                f"good: what came after epoch {self.epoch} is lost, and without "
                f"{self._state_path(epoch).name} the rest opens"
            )

    def _refuse_other_places(self, roots: Roots) -> None:
        """A name stands for one place: what is said of it is on record by name alone."""
        old = {anchor.name: anchor for anchor in self._roots.anchors}
        for anchor in roots.anchors:
            if anchor.name in old and held_by(anchor) != held_by(old[anchor.name]):
                raise AnchorFailure(
                    f"the anchor {anchor.name} of the new ways is another than that of the old "
                    "ones; give it another name"
                )

    def _note_clean(self, roots: Roots | None = None) -> None:
        """Keeps on record which ways are known to hold no older share any more."""
        clean = (roots or self._roots).clean(self.outstanding, self.epoch)
        if clean and self._intent is None:
            self._append_names(_CLEAN, self._clean | clean)

    def _append_names(self, kind: bytes, names: Collection[str]) -> None:
        with _names_record(kind, names) as record:
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
        # Whoever named fewer ways than the state has is told of the others when it has rotated.
        self._strangers = {stanza.anchors for stanza in head.stanzas} - self._roots.names()
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
        if bytes(record[:1]) in {_CLEAN, _LEFT}:
            self._apply_names(bytes(record[:1]), set(record[1:].decode().split("\n")))
            return
        (first,) = struct.unpack_from(">Q", record, 1)
        view = memoryview(record)[9:]
        for n in range(len(view) // KEY_SIZE):
            self._fresh[Slot(first + n)] = Secret(view[n * KEY_SIZE : (n + 1) * KEY_SIZE])
        self._next_slot = first + len(view) // KEY_SIZE

    def _apply_names(self, kind: bytes, names: set[str]) -> None:
        if kind == _CLEAN:
            self._clean = names
        else:  # a way that gets a share is no longer known to be without one
            self._left, self._clean = self._left | names, self._clean - names

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
        self._clean, self._left, self._strangers = set(), set(), set()
        self._later = Epoch(0)
        self._end, self._records = 0, 0

    def _drop_tail(self, path: Path, size: int) -> None:
        if (self._disk.size(path) or 0) > size:
            self._disk.truncate(path, size)

    def _state_path(self, epoch: Epoch) -> Path:
        return self._directory / f"state-{epoch:020}"

    def _epochs_on_disk(self) -> set[Epoch]:
        names: Iterator[str] = iter(self._disk.names(self._directory))
        return {Epoch(int(name[6:])) for name in names if _STATE_NAME.fullmatch(name)}


def _names_record(kind: bytes, names: Iterable[str]) -> Secret:
    return Secret(kind + "\n".join(sorted(names)).encode())


def _answers(way: Way) -> bool:
    return all(held_by(anchor) is not None for anchor in way)
