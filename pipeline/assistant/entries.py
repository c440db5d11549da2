"""What is open: an action or a record with what became of it so far, and when it is due.

Values; nothing is read here. Promises that an occurrence is due once, however often it is asked and
whichever way the clock moves: what is over is told by the occurrence last dealt with, not by now.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from keys.model import ArtefactId, InteractionId
from pipeline.assistant.resolve import is_after, last_occurrence, next_occurrence
from pipeline.assistant.values import ERRANDS, EVENT, MISSED, RANG, RINGING, Action, Fired

LATE = timedelta(minutes=1)
"""What is due for longer was missed, and is told so."""
_A_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, repr=False)
class Entry:
    """One action or record that lives: whose it is, what it is, and what became of it."""

    owner: InteractionId
    artefact: ArtefactId
    kind: str
    action: Action
    fired: tuple[Fired, ...] = ()

    @property
    def how(self) -> str:
        """What became of it last, nothing where it is as it was made."""
        return self.fired[-1].how if self.fired else self.action.state

    @property
    def is_open(self) -> bool:
        """Whether there is anything left to do about it."""
        return self.how in {"", RANG, MISSED} and (bool(self.action.repeat) or self.last is None)

    @property
    def last(self) -> datetime | None:
        """The last occurrence that was dealt with."""
        dealt_with = [it.due for it in self.fired if it.due] + [self.action.last]
        moments = [datetime.fromisoformat(it) for it in dealt_with if it]
        return max(moments, key=datetime.timestamp, default=None)

    def due(self, now: datetime) -> datetime | None:
        """Returns the occurrence that is to ring now, the last one where several were missed."""
        at = self.action.moment
        if at is None or not self.is_open or self.action.what not in RINGING:
            return None
        if self.action.repeat:
            before, at = at, last_occurrence(self.action.repeat, at.time(), now)
            last = self.last
            is_new = not is_after(before, at) and (last is None or is_after(at, last))
            return at if is_new else None
        return None if is_after(at, now) else at

    def ahead(self, now: datetime) -> datetime | None:
        """Returns when it is next due, if that is to come."""
        at = self.action.moment
        if at is None or not self.is_open:
            return None
        if self.action.repeat:
            after = max(now, self.last or now, at - timedelta(seconds=1), key=datetime.timestamp)
            return next_occurrence(self.action.repeat, at.time(), after.astimezone(now.tzinfo))
        return at if is_after(at, now) else None

    def is_current(self, now: datetime) -> bool:
        """Tells whether a list of what is open shows it: events until they are over."""
        if self.action.what in ERRANDS or not self.is_open:
            return False
        if self.action.what != EVENT or not self.action.at or self.action.repeat:
            return True
        end = datetime.fromisoformat(self.action.until or self.action.at)
        return is_after(end + (_A_DAY if self.action.all_day else timedelta(0)), now)
