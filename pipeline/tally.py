"""How much is held for each profile: counted by columns, as very many are counted.

Promises that each living interaction counts once, whatever segments of the index it is in; loads
numpy, so a report alone loads it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from keys.model import InteractionId
from pipeline import index
from pipeline.index import Row
from pipeline.indexformat import Members
from pipeline.indexvalues import time_of
from pipeline.vault import Vault


@dataclass(slots=True)
class Count:
    """What is known of the interactions of one profile together."""

    interactions: int = 0
    duration_ms: int = 0
    sensitive: int = 0
    oldest_us: int = 2**63
    newest_us: int = -(2**63)

    @property
    def oldest(self) -> datetime:
        """When the first was heard."""
        return time_of(self.oldest_us)

    @property
    def newest(self) -> datetime:
        """When the last was heard."""
        return time_of(self.newest_us)


class Tally:
    """The counts by profile; of one profile alone, if it is named, with the ids of what it has."""

    def __init__(self, vault: Vault, profile: str | None) -> None:
        self.of: dict[str, Count] = {}
        self.ids: set[InteractionId] | None = None if profile is None else set()
        self._profile, self._seen = profile, np.zeros(vault.ring.slot_count, np.bool_)
        for row in index.some(vault, self._add):
            self._add_row(row)

    def _add(self, members: Members, profiles: Sequence[str]) -> NDArray[np.bool_]:
        """Counts the members of a segment that were in none before; wants none of them listed."""
        slots = members["slot"]
        fresh = members[~self._seen[slots]]
        self._seen[slots] = True
        for number, name in enumerate(profiles):
            chosen = fresh[fresh["profile"] == number]
            if len(chosen) and self._profile in {None, name}:
                self._count(name, chosen)
        return np.zeros(len(members), np.bool_)

    def _count(self, name: str, chosen: Members) -> None:
        it = self.of.setdefault(name, Count())
        it.interactions += len(chosen)
        it.duration_ms += int(chosen["duration_ms"].sum(dtype=np.uint64))
        it.sensitive += int((chosen["flags"] & 1).sum())
        it.oldest_us = min(it.oldest_us, int(chosen["started_us"].min()))
        it.newest_us = max(it.newest_us, int(chosen["started_us"].max()))
        if self.ids is not None:
            self.ids.update(_ids(chosen))

    def _add_row(self, row: Row) -> None:
        if self._seen[row.slot] or self._profile not in {None, row.profile}:
            return
        self._seen[row.slot] = True
        it = self.of.setdefault(row.profile, Count())
        it.interactions, it.sensitive = it.interactions + 1, it.sensitive + row.is_sensitive
        it.duration_ms += row.duration_ms
        it.oldest_us = min(it.oldest_us, row.started_us)
        it.newest_us = max(it.newest_us, row.started_us)
        if self.ids is not None:
            self.ids.add(row.interaction)


def _ids(chosen: Members) -> Iterator[InteractionId]:
    return (InteractionId(it) for it in chosen["interaction"].tolist())
