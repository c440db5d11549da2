"""A conversation with the assistant in a test: a clock that is moved, and what is said sealed.

`Talk.say` does what a door does: hear, seal unless it is private, done. Times are of Berlin.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from keys.model import InteractionId
from pipeline import write
from pipeline.artefact import META, TRANSCRIPT, Meta
from pipeline.assistant.agenda import Agenda
from pipeline.assistant.derived import Reply
from pipeline.assistant.entries import Entry
from pipeline.assistant.respond import Assistant
from pipeline.assistant.watch import Rung, Watch
from pipeline.session import acting
from pipeline.skills.interface import NotSent, Outcome
from pipeline.vault import Vault
from tests.household import words_of

BERLIN = ZoneInfo("Europe/Berlin")
MONDAY = datetime(2026, 11, 23, 14, 0, tzinfo=BERLIN)


@dataclass(slots=True)
class Clock:
    """A clock that a test moves."""

    time: datetime = MONDAY

    def __call__(self) -> datetime:
        return self.time

    def utc(self) -> str:
        return self.time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def forward(self, **length: float) -> None:
        self.time = (self.time.astimezone(UTC) + timedelta(**length)).astimezone(BERLIN)

    def to(self, text: str) -> None:
        self.time = datetime.fromisoformat(text).replace(tzinfo=BERLIN)


@dataclass(slots=True)
class Skills:
    """The skills of a test: which are enabled, what they were given, what they answer."""

    outcome: Outcome = field(default_factory=NotSent)
    given: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    def use(
        self, vault: Vault, interaction: InteractionId, name: str, fields: Mapping[str, str]
    ) -> Outcome:
        with acting(vault):
            vault.words_slot(interaction)
        self.given.append((name, dict(fields)))
        return self.outcome


class Talk:
    """One conversation with one vault."""

    def __init__(self, vault: Vault, clock: Clock | None = None, **how: object) -> None:
        self.vault, self.clock = vault, clock or Clock()
        self.skills = Skills()
        self.assistant = Assistant(vault, self.clock, use_skill=self.skills.use, **how)  # type: ignore[arg-type]
        self.sealed: list[InteractionId] = []
        """What was said so far, as interactions; what was private is not among it."""

    def say(self, text: str) -> Reply:
        derived = self.assistant.hear(text)
        interaction = None
        if not derived.is_private:
            at = self.clock.time.astimezone(UTC).isoformat(timespec="milliseconds")
            meta = Meta(at.replace("+00:00", "Z"), 0, "default", "typed", 0, "none")
            parts = [(TRANSCRIPT, words_of(text).encode()), (META, meta.encode()), *derived.parts]
            with acting(self.vault, self.clock.utc):
                interaction = write.create(self.vault, parts)
            self.sealed.append(interaction)
        return self.assistant.done(derived, interaction)

    def answers(self, *texts: str) -> list[str]:
        return [self.say(text).text for text in texts]

    def entries(self) -> list[Entry]:
        with acting(self.vault, self.clock.utc):
            return Agenda(self.vault).entries()

    def open(self) -> list[str]:
        return [it.action.label or it.action.what for it in self.entries() if it.is_open]


class Bells:
    """A watch on a vault with a bell that remembers."""

    def __init__(self, vault: Vault, clock: Clock) -> None:
        self.vault, self.clock, self.rang = vault, clock, list[str]()
        self.watch = Watch(vault, self._ring, clock)

    def _ring(self, rung: Rung) -> None:
        action = rung.entry.action
        label = f", {action.label}" if action.label else ""
        missed = f": missed at {rung.due:%H:%M}" if rung.is_late else ""
        self.rang.append(f"{action.what}{label}{missed}")

    def look(self) -> list[str]:
        """Looks once, and returns what rang."""
        before = len(self.rang)
        with acting(self.vault, self.clock.utc):
            self.watch.run_due()
        return self.rang[before:]
