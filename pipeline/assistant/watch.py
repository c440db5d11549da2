"""What is due rings: once, late where it must be, and never what has been erased.

Promises that an occurrence rings once on this vault, however many processes watch it, whatever the
clock does and whenever a crash comes: that it rang is sealed before it rings. A crash in the moment
between costs the sound of it; the list then says that it rang. Nothing is kept but in memory.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from keys.errors import Erased
from pipeline.assistant.agenda import Agenda, mark
from pipeline.assistant.derived import Mark
from pipeline.assistant.entries import LATE, Entry
from pipeline.assistant.here import now as here_and_now
from pipeline.assistant.resolve import is_after
from pipeline.assistant.values import MISSED, RANG
from pipeline.vault import Vault


@dataclass(frozen=True, slots=True, repr=False)
class Rung:
    """What rings now: the entry, when it was due, and whether that was missed."""

    entry: Entry
    due: datetime
    is_late: bool

    @property
    def remark(self) -> str:
        """What may go anywhere, such as a log of the system: of what kind it is, and no more."""
        name = self.entry.action.what
        return (
            f"{name}: missed at {self.due:%H:%M}" if self.is_late else f"{name}: {self.due:%H:%M}"
        )

    @property
    def shown(self) -> str:
        """What may be shown on the user's own terminal."""
        label = self.entry.action.label
        return f"{self.remark}, {label}" if label else self.remark


class Watch:
    """Watches one vault, for whoever calls `run_due` about once a second."""

    def __init__(
        self,
        vault: Vault,
        ring: Callable[[Rung], None],
        now: Callable[[], datetime] = here_and_now,
    ) -> None:
        self._vault, self._ring, self._now = vault, ring, now
        self._agenda = Agenda(vault)
        self._seen: tuple[int, int] | None = None
        self._next: datetime | None = None

    def run_due(self) -> list[Rung]:
        """Rings what is due and returns it; expects `session.acting`, and is quick without any.

        1. What is open is read anew if the vault has changed. 2. For each that is due, what became
        of it is sealed. 3. It rings. After a crash before 2 it is due again, after 2 no more.
        """
        now = self._now()
        if self._is_quiet(now):
            return []
        entries = self._agenda.entries()
        rung = [it for entry in entries if (it := self._dealt_with(entry, now))]
        for it in rung:
            self._ring(it)
        after = self._agenda.entries() if rung else entries
        ahead = [at for entry in after if (at := entry.ahead(now))]
        self._next = min(ahead, key=datetime.timestamp, default=None)
        self._seen = self._state()
        return rung

    def _state(self) -> tuple[int, int]:
        return self._vault.ring.epoch, self._vault.log.size

    def _is_quiet(self, now: datetime) -> bool:
        return self._seen == self._state() and (self._next is None or is_after(self._next, now))

    def _dealt_with(self, entry: Entry, now: datetime) -> Rung | None:
        due = entry.due(now)
        if due is None:
            return None
        is_late = is_after(now, due + LATE)
        how = MISSED if is_late else RANG
        stamp = now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        with suppress(Erased):
            mark(self._vault, Mark(entry, how), stamp, due.isoformat(timespec="seconds"))
            return Rung(entry, due, is_late)
        return None
