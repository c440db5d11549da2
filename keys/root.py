"""The root of each epoch: made fresh, wrapped for the anchors, gone when their shares are wiped.

A root is random. There are one or more ways to it, each a set of anchors that are all needed. For
each way a key derived from the shares of its anchors (and the passphrase, if any) wraps the root
into one stanza of the state's head. A share exists for one epoch only, so wiping one share of every
way kills the root of that epoch everywhere. A way whose anchors are absent at a rotation gets no
stanza: its old share lives on until it comes back, and until then erasures are pending (SPEC
section 3.4).
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from keys.anchor import Anchor
from keys.errors import AnchorFailure, Tampered
from keys.model import KEY_SIZE, Epoch, VaultId
from keys.pages import Head, Stanza
from keys.secret import NONCE_ZERO, Secret, decrypt, derive, encrypt, random_secret

Way = tuple[Anchor, ...]


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
        self.vault, self.ways = vault, tuple(map(tuple, ways))
        self._passphrase = passphrase

    @property
    def anchors(self) -> tuple[Anchor, ...]:
        """All anchors of all ways."""
        return tuple(anchor for way in self.ways for anchor in way)

    def fresh(self, epoch: Epoch, *, for_all: bool = False) -> FreshRoot:
        """Makes a root and its shares, all random, for the ways present; nothing is kept yet.

        `for_all` takes in those that do not answer as well: they are being made.
        """
        root, stanzas, shares = random_secret(), list[Stanza](), list[tuple[Anchor, Secret]]()
        for way in self.ways if for_all else self.present():
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
            raise trouble[0]
        return found

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

    def names_of_clean(self, epoch: Epoch) -> set[str]:
        """Returns the names of the ways that are present and hold shares of this epoch alone."""
        return {
            self.name_of(way)
            for way in self.present()
            if all(set(anchor.shares()) == {epoch} for anchor in way)
        }

    def name_of(self, way: Way) -> str:
        """Returns the name of a way in a state's head: its anchors, joined by `+`."""
        names = [anchor.name for anchor in way] + (["passphrase"] if self._passphrase else [])
        return "+".join(names)

    def commit(self, fresh: FreshRoot) -> None:
        """Swaps the anchors to the fresh root; the commit point is the last way's first wipe."""
        for anchor, share in fresh.shares:
            anchor.write(fresh.head.epoch, share)
        self.wipe(keep=fresh.head.epoch)

    def settle(self) -> None:
        """Makes durable whatever the anchors show now, wherever a killed process left them."""
        for way in self.present():
            for anchor in way:
                anchor.settle()

    def wipe(self, keep: Epoch) -> None:
        """Destroys the shares of every epoch but `keep`, in every anchor that holds one of it."""
        for way in self.present():
            if keep in self._epochs_of(way):
                for anchor in way:
                    anchor.wipe(keep)

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
