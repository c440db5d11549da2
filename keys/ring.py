"""The key ring: every live key, sealed under a root that changes at each erasure (SPEC section 2).

Promises that a slot's key is durable before its number is given out, and that when `destroy`
returns no state ever written opens its slots again. The order of effects in `_rotate`, `_recover`
is the commit protocol of SPEC section 3.2: change it only with the crash table of the tests.
All methods expect the caller to hold the vault's lock.
"""

from collections.abc import Collection, Iterable
from pathlib import Path

from keys.anchor import Anchor
from keys.durable import Disk
from keys.errors import AnchorFailure, Erased, Malformed, NoSuchSlot, StateUnknown
from keys.model import Commitment, Epoch, Slot
from keys.pagefile import PageFile
from keys.pages import Intent, Top, parse_intent
from keys.root import FreshRoot, Roots, Way, held_by
from keys.secret import Secret, commitment, fill_random, random_secret
from keys.statefile import (
    CLEAN,
    KEYS_AT,
    LEFT,
    State,
    States,
    intent_record,
    names_record,
    slots_record,
)

_JOURNAL_SLOTS = 2048
"""With so many slots in the journal it is folded into pages, so that opening stays quick."""
_NOTHING = Intent((), b"")


class Ring:
    """The live keys of one vault, kept in `directory`; open it with `open()` before use."""

    def __init__(self, disk: Disk, directory: Path, roots: Roots) -> None:
        self._state: State | None = None
        self._later = Epoch(0)
        self._roots, self._states = roots, States(disk, directory)
        self._pages = PageFile(disk, directory / "pages", roots.vault)

    def create(self) -> None:
        """Makes the first state, without slots, and its share in each anchor."""
        self._states.make_directory()
        epoch = Epoch(1 + max(self._roots.epochs_held(), default=0))
        fresh = self._roots.fresh(epoch, for_all=True)
        self._states.write(Top(0, random_secret()), fresh)
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
        """Opens the state anew if another process has changed it since, or begun a later one."""
        newest = max(self._states.epochs(), default=Epoch(0))
        if self._state is None or newest != self.epoch or not self._state.is_unchanged():
            self.open()

    @property
    def epoch(self) -> Epoch:
        """The number of the current state, 0 while none is open."""
        return Epoch(0) if self._state is None else self._state.epoch

    @property
    def pending(self) -> Intent | None:
        """The erasure that made the current epoch; its receipt may still have to be written."""
        pending = b"" if self._state is None else self._state.top.pending
        return parse_intent(pending) if pending else None

    @property
    def slot_count(self) -> int:
        """The number of slots ever given out."""
        return 0 if self._state is None else self._state.next_slot

    @property
    def outstanding(self) -> set[str]:
        """The ways to the root that may still hold an old share: absent, cut off or given up."""
        names = self._roots.names() if len(self._roots.ways) > 1 else set[str]()
        state = self._state
        return names if state is None else (names | state.left | self._strangers) - state.clean

    def catch_up(self) -> bool:
        """Rotates if a way has come back that is outstanding or lacks a share; tells if it did."""
        epoch = self._open_state.epoch
        if not self._has_several:
            return False
        present = self._roots.names_present()
        if not self.outstanding & present and not self._roots.behind(epoch):
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
        roots.refuse_other_places(self._roots)
        old, made = self._roots, roots.names() - self._roots.names()
        try:
            if made:
                self._append_names(LEFT, made)
            self._replace_ways(roots, made)
        except BaseException:
            self._forget_state()
            raise
        self.retire(old)

    def retire(self, roots: Roots) -> None:
        """Destroys the shares that ways no longer in use hold; `outstanding` names the absent."""
        roots.retire(self._open_state.epoch, {anchor.name for anchor in self._roots.anchors})
        self._note_clean(roots)

    @property
    def anchors(self) -> tuple[Anchor, ...]:
        """The anchors that hold the shares of the root."""
        return self._roots.anchors

    def signer_seed(self) -> Secret:
        """Returns a copy of the seed of the log's signing key."""
        return Secret(self._open_state.top.signer_seed)

    def allocate(self, number: int) -> list[Slot]:
        """Gives out `number` new slots with fresh keys, durable on return."""
        if len(self._open_state.fresh) >= _JOURNAL_SLOTS:
            self._rotate(_NOTHING)
        first = self.slot_count
        with slots_record(first, number) as record:
            fill_random(memoryview(record)[KEYS_AT:])
            self._open_state.append(record)
        return [Slot(slot) for slot in range(first, first + number)]

    def key(self, slot: Slot) -> Secret:
        """Returns a copy of the key, for the caller to wipe; raises `Erased`, `NoSuchSlot`."""
        state = self._open_state
        if not 0 <= slot < state.next_slot:
            raise NoSuchSlot(f"slot {slot} was never given out by this ring")
        if slot in state.fresh:
            return Secret(state.fresh[slot])
        if (key := self._pages.key(state.top.pages, slot)) is not None:
            return key
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
        before, intent = self._open_state.next_slot, Intent(tuple(sorted(set(slots))), plan)
        if intent.slots and not 0 <= intent.slots[0] <= intent.slots[-1] < before:
            raise NoSuchSlot(
                f"slots {intent.slots[0]} to {intent.slots[-1]} are not all of this ring"
            )
        with intent_record(intent) as record:
            self._open_state.append(record)
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
        self._prepare(intent, fresh, self._owing)
        self._roots.commit(fresh, self.epoch)
        self._forget_state()
        self._recover()

    def _replace_ways(self, roots: Roots, made: set[str]) -> None:
        here = [way for way in roots.ways if roots.name_of(way) in made or _answers(way)]
        if not here:
            raise AnchorFailure("none of the ways that would be left is here; nothing was changed")
        epoch = Epoch(1 + max(self.epoch, self._later, *roots.epochs_held()))
        fresh = roots.fresh_for(epoch, here)
        self._prepare(_NOTHING, fresh, self._owing | self._roots.names() | roots.names())
        roots.write(fresh, self.epoch)
        self._roots = roots
        roots.wipe(keep=epoch)
        self._forget_state()
        self._recover()

    def _prepare(self, intent: Intent, fresh: FreshRoot, left: set[str]) -> None:
        top = self._next_top(intent)
        if top.pages:
            self._pages.sync()
        self._write_state(top, fresh, left)
        if max(self._roots.epochs()) != self.epoch:
            raise StateUnknown("the anchor changed during an erasure; run the command again")

    def _next_top(self, intent: Intent) -> Top:
        state = self._open_state
        # A rotation without a plan of its own leaves the last one, whose receipt may be missing.
        pending = state.top.pending if intent == _NOTHING else intent.encode()
        # A later state that does not open here may yet be opened: its frames, not known, stay.
        first_frame = self._pages.end() if self._later else 0
        pages = self._pages.fold(state.top.pages, state.fresh, intent.slots, first_frame)
        return Top(state.next_slot, self.signer_seed(), pages, pending)

    def _write_state(self, top: Top, fresh: FreshRoot, left: Collection[str] = ()) -> None:
        written = self._states.write(top, fresh, left)
        self._pages.check(written.pages, self._open_state.top.pages)

    def _recover(self) -> Intent | None:
        """Opens the highest epoch that opens, wipes other shares, drops orphans, reads the journal.

        Returns an intent that was durable but not carried out.
        """
        self._state = state = self._states.open_highest(self._roots)
        later = self._later_states()
        self._roots.wipe(keep=state.epoch)
        self._states.delete(self._states.epochs() - {state.epoch} - later)
        if self._has_several:  # else an old state may come back, and a way that was absent opens it
            self._states.sync_names()
        state.settle()
        if not later:
            self._pages.cut(state.top.pages)
        self._note_clean()
        return state.intent

    @property
    def _has_several(self) -> bool:
        return len(self._roots.ways) > 1 or bool(self._open_state.left | self._strangers)

    @property
    def _strangers(self) -> set[str]:
        """Whoever named fewer ways than the state has is told of the others when it has rotated."""
        return set() if self._state is None else self._state.ways - self._roots.names()

    @property
    def _owing(self) -> set[str]:
        """The ways no longer used that the next state has to name, as outstanding still."""
        return (self._open_state.left - self._open_state.clean) | self._strangers

    def _later_states(self) -> set[Epoch]:
        """Returns the later states, which did not open, where a rotation has to pass them by.

        With several ways a share of theirs may be in an anchor that is absent, or that has lost its
        older one: no later state may ever have the same number. One way has no absent anchors.
        """
        self._roots.refuse_if_ahead(self.epoch)
        there = self._states.epochs() if self._has_several else set[Epoch]()
        later = {epoch for epoch in there if epoch > self.epoch}
        for epoch in later:
            self._refuse_if_absent_way_may_open(epoch)
        self._later = max(later, default=Epoch(0))
        return later

    def _refuse_if_absent_way_may_open(self, epoch: Epoch) -> None:
        try:
            names = self._states.ways(epoch)
        except Malformed:
            return  # never whole, so no anchor has a share for it
        if names and names <= self._roots.names() - self._roots.names_present():
            raise AnchorFailure(
                f"the ring's newest state, of epoch {epoch}, opens with "
                f"{' or '.join(sorted(names))}, which is not here; attach it. If it is lost for "
                f"good: what came after epoch {self.epoch} is lost, and without "
                f"{self._states.path(epoch).name} the rest opens"
            )

    def _note_clean(self, roots: Roots | None = None) -> None:
        """Keeps on record which ways are known to hold no older share any more."""
        clean = (roots or self._roots).clean(self.outstanding, self.epoch)
        if clean and self._open_state.intent is None:
            self._append_names(CLEAN, self._open_state.clean | clean)

    def _append_names(self, kind: bytes, names: Collection[str]) -> None:
        with names_record(kind, names) as record:
            self._open_state.append(record)

    @property
    def _open_state(self) -> State:
        if self._state is None or self._state.end <= 0:
            raise StateUnknown("the ring is not open, or an act on it failed; open it again")
        return self._state

    def _forget_state(self) -> None:
        self._pages.forget()
        if self._state is not None:
            self._state.forget()
        self._state = None
        self._later = Epoch(0)


def _answers(way: Way) -> bool:
    return all(held_by(anchor) is not None for anchor in way)
