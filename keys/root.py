"""The root of each epoch: made fresh, wrapped for the anchors, gone when their shares are wiped.

A root is random. There are one or more ways to it, each a set of anchors that are all needed. For
each way a key derived from the shares of its anchors (and the passphrase, if any) wraps the root
into one stanza of the state's head. A share exists for one epoch only, so wiping one share of every
way kills the root of that epoch everywhere. A way whose anchors are absent at a rotation gets no
stanza: its old share lives on until it comes back, and until then erasures are pending (SPEC
section 3.4).
"""

import contextlib
import re
import struct
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from keys.anchor import Anchor
from keys.anchor.asked import Asked, Asking
from keys.errors import AnchorFailure, StateUnknown, Tampered
from keys.model import KEY_SIZE, Epoch, VaultId
from keys.pages import Head, Stanza
from keys.secret import NONCE_ZERO, Secret, decrypt, derive, encrypt, random_secret

Way = tuple[Anchor, ...]
_NAME = re.compile(r"[a-z][a-z0-9-]*")


@dataclass(frozen=True, slots=True)
class FreshRoot:
    """A new root that no anchor holds a share of yet."""

    root: Secret
    head: Head
    shares: tuple[tuple[Anchor, Secret], ...]


class Roots:
    """Makes, opens and destroys the roots of one vault; each of `ways` opens them on its own."""

    def __init__(
        self, vault: VaultId, ways: Sequence[Sequence[Anchor]], passphrase: Secret | None = None
    ) -> None:
        self.asking = Asking()
        """Within it, each anchor is asked once, until one is written."""
        self.vault, self.ways = vault, tuple(tuple(map(self._asked, way)) for way in ways)
        self._passphrase = passphrase
        self.unwritable: dict[str, str] = {}
        """The anchors that are here and can be read only, with what they say to that."""
        names = [anchor.name for anchor in self.anchors]
        if len(set(names)) < len(names) or not all(map(_NAME.fullmatch, names)):
            raise AnchorFailure(
                f"the anchors of a vault need names of their own, of a-z, 0-9 and '-', and each is "
                f"in one way only; found {', '.join(names)}"
            )

    def _asked(self, anchor: Anchor) -> Anchor:
        return Asked(anchor, self.asking)

    @property
    def anchors(self) -> tuple[Anchor, ...]:
        """All anchors of all ways."""
        return tuple(anchor for way in self.ways for anchor in way)

    def fresh(self, epoch: Epoch, *, for_all: bool = False) -> FreshRoot:
        """Makes a root and its shares, all random, for the ways present; nothing is kept yet.

        `for_all` takes in those that do not answer as well: they are being made.
        """
        return self.fresh_for(epoch, self.ways if for_all else self.writable())

    def fresh_for(self, epoch: Epoch, ways: Iterable[Way]) -> FreshRoot:
        """Makes a root and its shares for just these of the ways."""
        root, stanzas, shares = random_secret(), list[Stanza](), list[tuple[Anchor, Secret]]()
        for way in ways:
            mine = [random_secret() for _ in way]
            with self._wrapping_key(epoch, way, mine) as key:
                wrapped = bytes(encrypt(key, NONCE_ZERO, root, self._context(epoch, way)))
            stanzas.append(Stanza(self.name_of(way), wrapped))
            shares += zip(way, mine, strict=True)
        return FreshRoot(root, Head(self.vault, epoch, tuple(stanzas)), tuple(shares))

    def present(self) -> list[Way]:
        """Returns the ways whose anchors all answer; raises `AnchorFailure` when none does."""
        found, trouble = list[Way](), list[AnchorFailure]()
        for way in self.ways:
            try:
                for anchor in way:
                    anchor.shares()
                found.append(way)
            except AnchorFailure as error:
                trouble.append(error)
        if not found:
            raise AnchorFailure("; or: ".join(map(str, trouble)))
        return found

    def writable(self) -> list[Way]:
        """Returns the ways present of which no anchor is read-only, or all where there is none."""
        found = self.present()
        return [way for way in found if not self._is_stuck(way)] or found

    def _is_stuck(self, way: Way) -> bool:
        return any(anchor.name in self.unwritable for anchor in way)

    def answering(self) -> Iterator[tuple[Anchor, dict[Epoch, Secret]]]:
        """Yields the anchors that answer, of ways that are not whole here too, and their shares."""
        for anchor in self.anchors:
            if (shares := held_by(anchor)) is not None:
                yield anchor, shares

    def epochs_held(self) -> set[Epoch]:
        """Returns the epochs of which any anchor that answers holds a share."""
        return {epoch for _, shares in self.answering() for epoch in shares}

    def epochs(self) -> set[Epoch]:
        """Returns the epochs of which every anchor of some way holds a share."""
        return {e for way in self.present() for e in self._epochs_of(way)}

    def open(self, head: Head) -> Secret:
        """Opens the root of a state by its head; raises `AnchorFailure`."""
        stanzas = {stanza.anchors: stanza for stanza in head.stanzas}
        trouble: AnchorFailure | None = None
        for way in self.present():
            if head.epoch in self._epochs_of(way) and self.name_of(way) in stanzas:
                try:
                    return self._unwrap(head.epoch, way, stanzas[self.name_of(way)])
                except AnchorFailure as error:
                    trouble = trouble or error
        raise trouble or AnchorFailure(
            f"the ring of epoch {head.epoch} opens with {' or '.join(stanzas)}; "
            f"present here: {' or '.join(map(self.name_of, self.present()))}"
        )

    def names(self) -> set[str]:
        """Returns the names of all ways."""
        return {self.name_of(way) for way in self.ways}

    def names_present(self) -> set[str]:
        """Returns the names of the ways whose anchors all answer."""
        return {self.name_of(way) for way in self.present()}

    def clean(self, names: Iterable[str], epoch: Epoch) -> set[str]:
        """Returns those of the ways `names` that hold no older share than that of `epoch`.

        All shares of a way are needed, so one anchor without an old one is enough to say so.
        """
        cleared = {a.name for a, shares in self.answering() if set(shares) == {epoch}}
        return {name for name in names if cleared & set(name.split("+"))}

    def names_writable(self) -> set[str]:
        """Returns the names of the ways that can be given a share."""
        return {self.name_of(way) for way in self.writable()}

    def behind(self, epoch: Epoch) -> set[str]:
        """Returns the names of the ways that lack a share of this epoch and can be given one."""
        return {self.name_of(w) for w in self.writable() if epoch not in self._epochs_of(w)}

    def refuse_if_ahead(self, epoch: Epoch) -> None:
        """Raises `AnchorFailure` when some way present holds a later epoch's shares only."""
        held = {self.name_of(way): self._epochs_of(way) for way in self.present()}
        if ahead := [name for name, epochs in held.items() if min(epochs, default=epoch) > epoch]:
            raise AnchorFailure(
                f"{' and '.join(sorted(ahead))} holds the share of a later epoch than the ring has "
                f"({epoch}): the ring is an old copy; put the current one back"
            )

    def refuse_other_places(self, old: "Roots") -> None:
        """Raises `AnchorFailure` when a name of `old` stands for another place here.

        What is on record of an anchor is so by its name alone.
        """
        known = {anchor.name: anchor for anchor in old.anchors}
        for anchor in self.anchors:
            if anchor.name in known and held_by(anchor) != held_by(known[anchor.name]):
                raise AnchorFailure(
                    f"the anchor {anchor.name} of the new ways is another than that of the old "
                    "ones; give it another name"
                )

    def name_of(self, way: Way) -> str:
        """Returns the name of a way in a state's head: its anchors, joined by `+`."""
        names = [anchor.name for anchor in way] + (["passphrase"] if self._passphrase else [])
        return "+".join(names)

    def commit(self, fresh: FreshRoot, current: Epoch | None = None) -> None:
        """Swaps the anchors to the fresh root; the commit point is the last way's first wipe."""
        self.write(fresh, current)
        self.wipe(keep=fresh.head.epoch)

    def write(self, fresh: FreshRoot, current: Epoch | None, made: Collection[str] = ()) -> None:
        """Gives the anchors their shares of the fresh root beside those of the `current` epoch.

        Looks that each shows it. One that would do so only when the old share is gone could leave,
        after a crash, a way of which one anchor has the old share alone, and another the new one.
        An anchor that turns out to be read-only is passed over, as long as another way is whole,
        unless it belongs to a way that is being `made`.
        """
        new = {name for way in made for name in way.split("+")}
        for anchor, share in fresh.shares:
            give = partial(self._give, anchor, fresh, share, current)
            if anchor.name in new:
                give()
            elif not self._can(anchor, give):
                continue
            if anchor.shares().get(fresh.head.epoch) != share:
                raise AnchorFailure(
                    f"the anchor {anchor.name} does not show the share of epoch "
                    f"{fresh.head.epoch} that it was given; nothing was wiped"
                )

    def _give(self, anchor: Anchor, fresh: FreshRoot, share: Secret, current: Epoch | None) -> None:
        _make_room(anchor, current)
        anchor.write(fresh.head.epoch, share)

    def settle(self) -> None:
        """Makes durable whatever the anchors show now, wherever a killed process left them.

        Finds out anew which of them are read-only.
        """
        self.unwritable.clear()
        for anchor, _ in self.answering():
            self._can(anchor, anchor.settle)

    def wipe(self, keep: Epoch) -> None:
        """Destroys the shares of every epoch but `keep`, in every anchor that holds one of it.

        One that is read-only keeps what it has, and is outstanding for it.
        """
        for anchor, shares in self.answering():
            if keep in shares and anchor.name not in self.unwritable:
                self._can(anchor, partial(anchor.wipe, keep))

    def _can(self, anchor: Anchor, act: Callable[[], None]) -> bool:
        """Tells whether an anchor does as asked; raises where no other way is left that does."""
        try:
            act()
        except (StateUnknown, OSError) as error:
            self.unwritable[anchor.name] = str(error.__cause__ or error)
            if not any(
                not self._is_stuck(way) and all(held_by(it) is not None for it in way)
                for way in self.ways
            ):
                raise
            return False
        return True

    def retire(self, epoch: Epoch, used: set[str]) -> None:
        """Destroys what anchors hold whose names are not `used` any more, as far as they answer.

        Each gets a share of this epoch that no state knows: an anchor wipes only beside a new one.
        """
        for anchor, shares in self.answering():
            if anchor.name not in used and set(shares) != {epoch}:
                with contextlib.suppress(StateUnknown, OSError):  # then it stays outstanding
                    if epoch not in shares:
                        _make_room(anchor, epoch)
                        anchor.write(epoch, random_secret())
                    anchor.wipe(keep=epoch)

    def _epochs_of(self, way: Way) -> set[Epoch]:
        return set.intersection(*(set(anchor.shares()) for anchor in way))

    def _unwrap(self, epoch: Epoch, way: Way, stanza: Stanza) -> Secret:
        shares = [anchor.shares()[epoch] for anchor in way]
        try:
            with self._wrapping_key(epoch, way, shares) as key:
                context = self._context(epoch, way)
                return decrypt(key, NONCE_ZERO, stanza.wrapped, context, "the root")
        except Tampered:
            wrong = "the passphrase is wrong" if self._passphrase else "the anchor is another's"
            raise AnchorFailure(
                f"the root of epoch {epoch} does not open with {self.name_of(way)}: {wrong}, "
                "or the ring state is damaged"
            ) from None

    def _wrapping_key(self, epoch: Epoch, way: Way, shares: Sequence[Secret]) -> Secret:
        parts = [*shares, self._passphrase] if self._passphrase else [*shares]
        with Secret(KEY_SIZE * len(parts)) as joined:
            for n, part in enumerate(parts):
                memoryview(joined)[n * KEY_SIZE : (n + 1) * KEY_SIZE] = part
            return derive(joined, b"", self._context(epoch, way))

    def _context(self, epoch: Epoch, way: Way) -> bytes:
        name = self.name_of(way).encode()
        return b"anechoic-root/1\n" + self.vault + struct.pack(">Q", epoch) + name


class Recovering(Roots):
    """The ways of `roots`, none of them made yet, for a ring whose root comes from elsewhere.

    The root is that of one epoch, of a recovery copy; the ways are made by the next rotation.
    """

    def __init__(self, roots: Roots, epoch: Epoch, root: Secret) -> None:
        super().__init__(roots.vault, roots.ways, roots._passphrase)  # noqa: SLF001 - of one class
        self._epoch, self._root = epoch, root

    def present(self) -> list[Way]:
        """Returns the ways that have been made by now."""
        return [way for way in self.ways if all(held_by(anchor) for anchor in way)]

    def names_present(self) -> set[str]:
        """Returns all names: a way that is yet to be made opens no state that was dropped."""
        return self.names()

    def fresh(self, epoch: Epoch, *, for_all: bool = True) -> FreshRoot:
        """Makes a root for all ways."""
        return super().fresh(epoch, for_all=for_all or not self.present())

    def epochs(self) -> set[Epoch]:
        """Returns the epoch of the copy until the ways have been made."""
        return super().epochs() or {self._epoch}

    def open(self, head: Head) -> Secret:
        """Opens the root of the copy's epoch, and of those since by the ways."""
        return Secret(self._root) if head.epoch == self._epoch else super().open(head)


def held_by(anchor: Anchor) -> dict[Epoch, Secret] | None:
    """Returns the shares of an anchor, None when it does not answer."""
    try:
        return anchor.shares()
    except AnchorFailure:
        return None


def _make_room(anchor: Anchor, current: Epoch | None) -> None:
    """Leaves one share in an anchor that a crash long ago left with two: it has two places."""
    if len(held := held_by(anchor) or {}) > 1:
        anchor.wipe(keep=current if current is not None and current in held else max(held))
