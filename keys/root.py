"""The root of each epoch: made fresh, wrapped for the anchors, and gone when their share is wiped.

A root is random. For each alternative way to it, a key derived from the shares of all anchors of
that way (and the passphrase, if any) wraps it into one stanza of the state's head. Since a share
exists for one epoch only, wiping it kills the root of that epoch everywhere (SPEC section 3.2).
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from keys.anchor import Anchor
from keys.errors import AnchorFailure, Tampered
from keys.model import KEY_SIZE, Epoch, VaultId
from keys.pages import Head, Stanza
from keys.secret import NONCE_ZERO, Secret, decrypt, derive, encrypt, random_secret


@dataclass(frozen=True, slots=True)
class FreshRoot:
    """A new root that no anchor holds a share of yet."""

    root: Secret
    head: Head
    shares: tuple[Secret, ...]


class Roots:
    """Makes, opens and destroys the roots of one vault with its anchors (all of them needed)."""

    def __init__(
        self, vault: VaultId, anchors: Sequence[Anchor], passphrase: Secret | None = None
    ) -> None:
        self.vault, self.anchors = vault, tuple(anchors)
        self._passphrase = passphrase
        names = [anchor.name for anchor in anchors] + (["passphrase"] if passphrase else [])
        self.way = "+".join(names)

    def fresh(self, epoch: Epoch) -> FreshRoot:
        """Makes a root and its shares, all random; nothing is kept anywhere yet."""
        root, shares = random_secret(), tuple(random_secret() for _ in self.anchors)
        with self._wrapping_key(epoch, shares) as key:
            wrapped = encrypt(key, NONCE_ZERO, root, self._context(epoch))
        return FreshRoot(root, Head(self.vault, epoch, (Stanza(self.way, bytes(wrapped)),)), shares)

    def epochs(self) -> set[Epoch]:
        """Returns the epochs of which every anchor holds a share."""
        return set.intersection(*(set(anchor.shares()) for anchor in self.anchors))

    def open(self, head: Head) -> Secret:
        """Opens the root of a state by its head; raises `AnchorFailure`."""
        stanza = next((s for s in head.stanzas if s.anchors == self.way), None)
        if stanza is None:
            ways = " or ".join(s.anchors for s in head.stanzas)
            raise AnchorFailure(f"this vault opens with {ways}; given was {self.way}")
        shares = [anchor.shares().get(head.epoch) for anchor in self.anchors]
        found = [share for share in shares if share is not None]
        if len(found) < len(shares):
            raise AnchorFailure(f"an anchor holds no share for epoch {head.epoch}")
        with self._wrapping_key(head.epoch, found) as key:
            return self._unwrap(key, stanza, head.epoch)

    def commit(self, fresh: FreshRoot) -> None:
        """Swaps the anchors to the fresh root; the commit point is the first return of a wipe."""
        for anchor, share in zip(self.anchors, fresh.shares, strict=True):
            anchor.write(fresh.head.epoch, share)
        self.wipe(keep=fresh.head.epoch)

    def settle(self) -> None:
        """Makes durable whatever the anchors show now, wherever a killed process left them."""
        for anchor in self.anchors:
            anchor.settle()

    def wipe(self, keep: Epoch) -> None:
        """Destroys the shares of every epoch but `keep`, in every anchor."""
        for anchor in self.anchors:
            anchor.wipe(keep)

    def _unwrap(self, key: Secret, stanza: Stanza, epoch: Epoch) -> Secret:
        try:
            return decrypt(key, NONCE_ZERO, stanza.wrapped, self._context(epoch), "the root")
        except Tampered:
            wrong = "the passphrase is wrong" if self._passphrase else "the anchor is another's"
            raise AnchorFailure(
                f"the root of epoch {epoch} does not open with {self.way}: {wrong}, "
                "or the ring state is damaged"
            ) from None

    def _wrapping_key(self, epoch: Epoch, shares: Sequence[Secret]) -> Secret:
        parts = [*shares, self._passphrase] if self._passphrase else [*shares]
        with Secret(KEY_SIZE * len(parts)) as joined:
            for n, part in enumerate(parts):
                memoryview(joined)[n * KEY_SIZE : (n + 1) * KEY_SIZE] = part
            return derive(joined, b"", self._context(epoch))

    def _context(self, epoch: Epoch) -> bytes:
        return b"anechoic-root/1\n" + self.vault + struct.pack(">Q", epoch) + self.way.encode()
