"""Anchors that are asked for their shares once in an act: a key store or a chip takes long.

Promises the answer of the anchor itself outside of `Asking`, and within it one that is no older
than the last write, wipe, settling or `forget` of any of them. Nothing is kept afterwards.
"""

from keys.anchor import Anchor, Level
from keys.errors import AnchorFailure
from keys.model import Epoch
from keys.secret import Secret

Answer = dict[Epoch, Secret] | AnchorFailure


class Asking:
    """What the anchors of one vault have said in the act under way; acts may hold others."""

    def __init__(self) -> None:
        self._depth = 0
        self._said: dict[str, Answer] = {}

    def __enter__(self) -> None:
        self._depth += 1

    def __exit__(self, *_: object) -> None:
        self._depth -= 1
        if not self._depth:
            self.forget()

    def forget(self) -> None:
        """Has every anchor asked anew: due before what rests on their being as they were."""
        self._said.clear()

    def shares_of(self, anchor: Anchor) -> dict[Epoch, Secret]:
        """Returns what an anchor says, or said in this act; raises `AnchorFailure` as it did."""
        if not self._depth:
            return anchor.shares()
        if anchor.name not in self._said:
            try:
                self._said[anchor.name] = anchor.shares()
            except AnchorFailure as error:
                self._said[anchor.name] = error
        answer = self._said[anchor.name]
        if isinstance(answer, AnchorFailure):
            raise answer
        return answer


class Asked:
    """An anchor whose answers are those of `asking`; all that changes it has it asked anew."""

    def __init__(self, anchor: Anchor, asking: Asking) -> None:
        self.name, self._anchor, self._asking = anchor.name, anchor, asking

    def shares(self) -> dict[Epoch, Secret]:
        return self._asking.shares_of(self._anchor)

    def write(self, epoch: Epoch, share: Secret) -> None:
        self._asking.forget()
        self._anchor.write(epoch, share)

    def wipe(self, keep: Epoch) -> None:
        self._asking.forget()
        self._anchor.wipe(keep)

    def settle(self) -> None:
        self._asking.forget()
        self._anchor.settle()

    def level(self) -> Level:
        return self._anchor.level()
