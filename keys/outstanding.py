"""What a state's journal says of the ways that may hold an older share (SPEC section 3.4).

Promises that a way counts as outstanding until a record says that it is clean, or that its user
swears it destroyed, and that a bound is never lower than the slots that the way can open. Values
and records only; when each is written is for the ring to say, and a change of either needs the
crash table of the tests.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from keys.errors import Malformed
from keys.secret import Secret

CLEAN, LEFT, BOUND, SWORN = b"W", b"O", b"B", b"D"
"""The kinds of records that name ways."""


@dataclass(slots=True)
class Ways:
    """What is on record of ways, given or no longer used, by their names."""

    clean: set[str] = field(default_factory=set)
    """Those known to hold no older share than this epoch's."""
    left: set[str] = field(default_factory=set)
    """Those that may hold one, whether they are still used or not."""
    sworn: set[str] = field(default_factory=set)
    """Those that are no longer used, and destroyed by the word of their user alone."""
    bounds: dict[str, int] = field(default_factory=dict)
    """Those without a share of this epoch open no slot from this number on."""

    def apply(self, kind: bytes, lines: Collection[str]) -> None:
        """Takes in a record; raises `Malformed`, `ValueError`."""
        if kind == CLEAN:
            self.clean = set(lines)
        elif kind == LEFT:  # a way that gets a share is no longer known to be without one
            self.left, self.clean = self.left.union(lines), self.clean.difference(lines)
            self.sworn.difference_update(lines)
            for name in lines:
                self.bounds.pop(name, None)
        elif kind == BOUND:
            rows = (line.split(" ") for line in lines)
            self.bounds |= {name: int(bound) for name, bound in rows}
        elif kind == SWORN:
            self.left, self.sworn = self.left.difference(lines), self.sworn.union(lines)
        else:
            raise Malformed("a record of the ring's journal is of no known kind")

    @property
    def owing(self) -> set[str]:
        """Those that are not used any more and still outstanding."""
        return self.left - self.clean

    def outstanding(self, used: Collection[str]) -> set[str]:
        """Returns all that are outstanding, with those `used` that need a word to be clean."""
        return self.left.union(used) - self.clean - self.sworn

    def reaching(self, names: Iterable[str], slots: Collection[int]) -> set[str]:
        """Returns those of the ways that open a state with any of these slots in it."""
        first = min(slots, default=0)
        return {name for name in names if name not in self.bounds or first < self.bounds[name]}

    def bounds_at(self, next_slot: int, absent: Iterable[str]) -> dict[str, int]:
        """Returns the bounds of the ways that get no share of a state that gives out `next_slot`.

        What such a way opens was made before, so that none of the slots from there on is in it.
        """
        return {name: self.bounds.get(name, next_slot) for name in absent}


def names_record(kind: bytes, names: Iterable[str]) -> Secret:
    """Returns the record that says of ways that they are `CLEAN`, `LEFT` or `SWORN`."""
    return Secret(kind + "\n".join(sorted(names)).encode())


def bounds_record(bounds: Mapping[str, int]) -> Secret:
    """Returns the record of the bounds of ways."""
    return names_record(BOUND, [f"{name} {bound}" for name, bound in bounds.items()])
