"""Finding interactions by what was said, through the index, without missing one.

Promises that what is found is what reading every transcript would find: what no segment has is
read, and a hit of the index counts only once its transcript was read (`history` does). Words that
are looked for are never written, logged or part of an error. `rebuild` is what erasing calls before
segments die; it imports the rest then, so that commands without need of it start soon.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING

from keys.model import InteractionId
from pipeline.query import Query, terms
from pipeline.vault import Vault

if TYPE_CHECKING:
    from pipeline.indexstate import Index, Opened, Unindexed

_FEW = 64
"""So many hits in a segment are looked up one by one."""


class Finding:
    """The interactions that a query finds, newest first; iterate it once."""

    def __init__(self, vault: Vault, query: Query) -> None:
        self.query, self._vault = query, vault
        self.index: Index | None = None
        """As it was found, once iteration began; damaged segments are added as they turn up."""

    @property
    def damaged(self) -> Sequence[InteractionId]:
        """The owners of the segments that could not be read so far."""
        return list(self.index.damaged) if self.index else []

    def close(self) -> None:
        """Lets go of the segments, whose keys may be destroyed next."""
        self.index = None

    def __iter__(self) -> Iterator[InteractionId]:
        from pipeline.indexreading import newest_first
        from pipeline.indexstate import open_index

        if not self.query.phrases:
            return
        self.index = open_index(self._vault)
        yield from newest_first(self._vault, self.index, self._one, self._several)

    def _one(self, it: "Unindexed") -> InteractionId | None:
        from pipeline.indexrow import words_of

        words = words_of(self._vault, it.interaction)
        said = [term for word in words or () for term in terms(word)]
        return it.interaction if self.query.finds(said) else None

    def _several(self, segment: "Opened") -> list[tuple[int, InteractionId]]:
        from pipeline.indexmatch import matching

        at = matching(segment.text(), self.query).tolist()
        if len(at) > _FEW:
            fields = segment.members()[["slot", "interaction"]][at].tolist()
        else:
            one_by_one = (segment.members(n, 1)[["slot", "interaction"]] for n in at)
            fields = [row.tolist()[0] for row in one_by_one]
        return [(slot, InteractionId(interaction)) for slot, interaction in fields]


def rebuild(vault: Vault, owners: Collection[InteractionId], dying: Collection[bytes]) -> None:
    """Writes the survivors of the segments of `owners`, which die with the transcripts `dying`.

    To be called right before the rotation that destroys them; see `indexrebuild.rebuild`.
    """
    if owners:
        from pipeline import indexrebuild

        indexrebuild.rebuild(vault, owners, dying)
