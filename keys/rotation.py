"""From one state of a ring to the next: the commit protocol and its recovery (SPEC section 3).

Promises that a state is replaced so that a crash at any point leaves the old or the new, and that
no state dropped on the way is opened again. The order of effects in `_rotate` and `_recover` is the
protocol: change it only with the crash table of the tests. `Ring` adds what a caller asks for.
"""

from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from keys.durable import Disk
from keys.errors import AnchorFailure, Malformed, StateUnknown
from keys.model import Epoch
from keys.outstanding import CLEAN, LEFT, SWORN, Ways, bounds_record, names_record
from keys.pagefile import PageFile
from keys.pages import Intent, Top, parse_intent
from keys.root import FreshRoot, Roots, Way, held_by
from keys.secret import Secret
from keys.statefile import State, States

NOTHING = Intent((), b"")
"""The intent of a rotation that destroys no slot."""


class Rotation:
    """The current state of one vault's ring in `directory`, and what replaces it by another."""

    def __init__(self, disk: Disk, directory: Path, roots: Roots) -> None:
        self._state: State | None = None
        self._later = Epoch(0)
        self._roots, self._states = roots, States(disk, directory)
        self._pages = PageFile(disk, directory / "pages", roots.vault)

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
        return names if state is None else state.known.outstanding(names | self._strangers)

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
            with self._roots.asking:
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
        self._prepare(NOTHING, fresh, self._owing | self._roots.names() | roots.names())
        roots.write(fresh, self.epoch, made)
        self._roots = roots
        roots.wipe(keep=epoch)
        self._forget_state()
        self._recover()

    def _prepare(self, intent: Intent, fresh: FreshRoot, left: set[str]) -> None:
        top = self._next_top(intent)
        if top.pages:
            self._pages.sync()
        self._write_state(top, fresh, self._records(fresh, left))
        self._roots.asking.forget()
        if max(self._roots.epochs()) != self.epoch:
            raise StateUnknown("the anchor changed during an erasure; run the command again")

    def _next_top(self, intent: Intent) -> Top:
        state = self._open_state
        # A rotation without a plan of its own leaves the last one, whose receipt may be missing.
        pending = state.top.pending if intent == NOTHING else intent.encode()
        # A later state that does not open here may yet be opened: its frames, not known, stay.
        first_frame = self._pages.end() if self._later else 0
        pages = self._pages.fold(state.top.pages, state.fresh, intent.slots, first_frame)
        return Top(state.next_slot, Secret(state.top.signer_seed), pages, pending)

    def _records(self, fresh: FreshRoot, left: set[str]) -> Iterator[Secret]:
        """Yields what the next state has to say of ways that may hold an older share than its."""
        state, given = self._open_state, {stanza.anchors for stanza in fresh.head.stanzas}
        absent = (self._roots.names() | left | state.known.sworn) - given
        known = Ways() if self._later else state.known  # a later state gave out shares as well
        if left:
            yield names_record(LEFT, left)
        if state.known.sworn:
            yield names_record(SWORN, state.known.sworn)
        if absent:
            yield bounds_record(known.bounds_at(state.next_slot, absent))

    def _write_state(self, top: Top, fresh: FreshRoot, records: Iterable[Secret] = ()) -> None:
        self._states.write(top, fresh, records)
        self._pages.check(top.pages, self._open_state.top.pages)

    def _recover(self) -> Intent | None:
        """Opens the highest epoch that opens, wipes other shares, drops orphans, reads the journal.

        Returns an intent that was durable but not carried out.
        """
        with self._roots.asking:
            return self._recover_asking()

    def _recover_asking(self) -> Intent | None:
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
        return len(self._roots.ways) > 1 or bool(self._open_state.known.left | self._strangers)

    @property
    def _strangers(self) -> set[str]:
        """Whoever named fewer ways than the state has is told of the others when it has rotated."""
        return set() if self._state is None else self._state.ways - self._roots.names()

    @property
    def _owing(self) -> set[str]:
        """The ways no longer used that the next state has to name, as outstanding still."""
        return self._open_state.known.owing | self._strangers

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
            self._append_names(CLEAN, self._open_state.known.clean | clean)

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
