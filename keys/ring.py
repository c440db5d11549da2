"""The key ring: every live key, sealed under a root that changes at each erasure (SPEC section 2).

Promises that a slot's key is durable before its number is given out, and that when `destroy`
returns no state ever written opens its slots again. How one state follows another, the commit
protocol, is in `keys/rotation.py`. All methods expect the caller to hold the vault's lock.
"""

from collections.abc import Collection, Iterable

from keys.anchor import Anchor
from keys.errors import AnchorFailure, Erased, NoSuchSlot
from keys.model import Commitment, Epoch, Slot
from keys.outstanding import LEFT, SWORN
from keys.pages import SLOTS_PER_PAGE, Intent, Top
from keys.root import Roots
from keys.rotation import NOTHING, Rotation
from keys.secret import Secret, commitment, fill_random, random_secret
from keys.statefile import KEYS_AT, intent_record, slots_record

_JOURNAL_SLOTS = 2048
"""With so many slots in the journal it is folded into pages, so that opening stays quick."""


class Ring(Rotation):
    """The live keys of one vault, kept in `directory`; open it with `open()` before use."""

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
        with self._roots.asking:
            self._open()

    def _open(self) -> None:
        self._roots.settle()
        try:
            intent = self._recover()
        except BaseException:
            self._forget_state()
            raise
        if intent is not None or self._later:
            self._rotate(intent or NOTHING)

    def refresh(self) -> None:
        """Opens the state anew if another process has changed it since, or begun a later one."""
        newest = max(self._states.epochs(), default=Epoch(0))
        if self._state is None or newest != self.epoch or not self._state.is_unchanged():
            self.open()

    def outstanding_for(self, slots: Collection[Slot]) -> set[str]:
        """Returns those outstanding that open a state with any of these slots, if they are old."""
        return self._open_state.known.reaching(self.outstanding, slots)

    def sworn_for(self, slots: Collection[Slot]) -> set[str]:
        """Returns the same of the ways of which the user alone says that they are destroyed."""
        known = self._open_state.known
        return known.reaching(known.sworn, slots)

    @property
    def unwritable(self) -> dict[str, str]:
        """The anchors that are here and can be read only, with what they say to that."""
        return dict(self._roots.unwritable)

    @property
    def sworn(self) -> set[str]:
        """The ways that are destroyed by the word of their user alone."""
        return set(self._open_state.known.sworn)

    def leave(self, names: Collection[str]) -> None:
        """Says of ways that are not used that they open this epoch: they are outstanding then."""
        if clash := self._roots.names().intersection(names):
            raise AnchorFailure(f"{' and '.join(clash)} is in use; give it another name")
        self._append_names(LEFT, names)

    def swear(self, name: str) -> None:
        """Takes the user's word that a way no longer used is destroyed: it waits for it no more.

        Raises `AnchorFailure` for a way that is used, or not outstanding.
        """
        if name not in self.outstanding or name in self._roots.names():
            raise AnchorFailure(f"{name} is not outstanding, or still in use; nothing was changed")
        self._append_names(SWORN, {name})

    def root(self) -> Secret:
        """Returns a copy of the current root, for the caller to wipe.

        Whoever keeps it opens this epoch with it for ever: `leave` a name for it before.
        """
        return self._states.root(self._open_state.epoch, self._roots)

    def catch_up(self) -> bool:
        """Rotates if a way has come back that is outstanding or lacks a share; tells if it did."""
        epoch = self._open_state.epoch
        if not self._has_several:
            return False
        with self._roots.asking:
            present = self._roots.names_writable()
            if not self.outstanding & present and not self._roots.behind(epoch):
                return False
        self._rotate(NOTHING)
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

    def recover(
        self, copy: str, lost: Collection[str], erased: Iterable[Slot], slot_count: int
    ) -> None:
        """Opens the ring by the root of a recovery copy, and makes the ways it was given.

        1. The journal says of the `copy`, and of the ways that were there and are `lost`, that they
        open this epoch. 2. A rotation destroys what the log knows as `erased`, and passes over the
        slots below `slot_count`. A crash before its commit leaves all as it was.
        """
        self._forget_state()
        try:
            asked = self._recover() or NOTHING
            state = self._open_state
            self.leave({copy} | {self._name_apart(it, copy) for it in state.ways.union(lost)})
            dead = {*asked.slots, *filter(self.is_live, erased)}
            state.next_slot = max(state.next_slot, slot_count)
            plan = asked.plan or (self.pending.plan if self.pending else b"")
        except BaseException:
            self._forget_state()
            raise
        self._rotate(Intent(tuple(sorted(dead)), plan) if dead else NOTHING)

    def _name_apart(self, way: str, copy: str) -> str:
        """Names a way that is lost, whose anchor may not be taken for a new one of its name."""
        new = {anchor.name for anchor in self._roots.anchors}
        return f"lost-{way}-{copy}".replace("+", "-") if new & set(way.split("+")) else way

    def epochs_there(self) -> set[Epoch]:
        """Returns the epochs of which there is a state, whether it opens or not."""
        return self._states.epochs()

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
            self._rotate(NOTHING)
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

    def liveness(self) -> bytearray:
        """Tells of each slot given out whether it holds a key, as 0 or 1: for very many at once."""
        state, found = self._open_state, bytearray()
        for number in range(-(-state.next_slot // SLOTS_PER_PAGE)):
            found += self._pages.live(state.top.pages, number)
        del found[state.next_slot :]
        for slot in state.fresh:
            found[slot] = 1
        return found

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
