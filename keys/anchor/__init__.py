"""Anchors hold the shares from which a ring's root is made, and can make a share be gone.

`Anchor` is what the ring asks of one; each module beside this file is one kind. Writing a share
must be durable before `write` returns, and a wiped one unreadable before `wipe` returns: the commit
point of every erasure is the return of `wipe` (SPEC section 3.2).
"""

from dataclasses import dataclass
from typing import Protocol

from keys.model import Epoch
from keys.secret import Secret


@dataclass(frozen=True, slots=True)
class Level:
    """What may be claimed of an anchor: a letter of SPEC section 3.1, and what it rests on."""

    letter: str
    rests_on: str


class Anchor(Protocol):
    """One place that keeps a share of the root for the current epoch."""

    name: str
    """The kind, as written in a ring state and a receipt, such as `file`."""

    def shares(self) -> dict[Epoch, Secret]:
        """Returns the readable shares: one, or two while a rotation is under way."""

    def write(self, epoch: Epoch, share: Secret) -> None:
        """Keeps a share for `epoch` beside the one there; durable on return."""

    def wipe(self, keep: Epoch) -> None:
        """Destroys the shares of every epoch but `keep`; unreadable on return."""

    def settle(self) -> None:
        """Makes durable what `shares` returns; recovery asks for it before it relies on that.

        Before an old share goes the new one must be durable, and before "gone" is said, its going.
        """

    def level(self) -> Level:
        """Returns the level measured now, on this machine."""
