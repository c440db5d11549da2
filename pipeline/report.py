"""The report: what is held, of which kinds, for how long and why, who has read it, what has left.

Counts and limits only, nothing of what was said. Goes by the sealed files, the index and the log;
changes nothing. With a profile it tells of that one's interactions alone.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from keys.entry import ConfirmedEntry, Created, ErasedEntry, Noted
from keys.errors import Malformed
from keys.model import InteractionId
from keys.receipt import CONFIRMED, Statement, parse_receipt
from pipeline import anchoring, index, retention
from pipeline.anchoring import AnchorRow
from pipeline.confirm import RECEIPT
from pipeline.erase import Clock
from pipeline.index import Row, Which
from pipeline.lineage import is_owned
from pipeline.settings import Policy, Settings
from pipeline.vault import Vault


@dataclass(slots=True)
class Category:
    """The living sealed files of one kind: how many, of how many, their bytes."""

    kind: str
    files: int = 0
    size: int = 0


@dataclass(frozen=True, slots=True, repr=False)
class Held:
    """What is held for one profile, and what holds for it from now on."""

    profile: str
    interactions: int
    seconds: float
    sensitive: int
    oldest: datetime
    newest: datetime
    policy: Policy


@dataclass(slots=True)
class Act:
    """A command that showed content or let it leave: how often, of how many, on which days."""

    how: str
    times: int = 0
    interactions: set[InteractionId] = field(default_factory=set)
    first: str = ""
    last: str = ""


@dataclass(frozen=True, slots=True)
class Gone:
    """An erasure: its plan, when, how many interactions, and its verdict as of now."""

    plan: str
    at: str
    interactions: int
    verdict: str
    kept: int


@dataclass(frozen=True, slots=True, repr=False)
class Report:
    """All that is held about somebody, without any of it."""

    at: str
    profile: str | None
    categories: tuple[Category, ...]
    held: tuple[Held, ...]
    reads: tuple[Act, ...]
    disclosures: tuple[Act, ...]
    erasures: tuple[Gone, ...]
    anchors: tuple[AnchorRow, ...]
    log_entries: int
    ever: int
    """How many interactions the log has, living or not: an observer of the disk counts them too."""


def report(vault: Vault, clock: Clock, profile: str | None = None) -> Report:
    """Returns the report of a vault, or of one profile; the caller holds the lock."""
    rows = list(index.rows(vault, Which(profile=profile)))
    scope = {row.interaction for row in rows} if profile is not None else None
    told = _Told(scope)
    for _, entry in vault.log.scan():
        told.take(entry)
    return Report(
        at=clock(),
        profile=profile,
        categories=tuple(_categories(vault, scope)),
        held=tuple(_held(rows, retention.settings_of(vault, clock))),
        reads=tuple(told.reads.values()),
        disclosures=tuple(told.disclosures.values()),
        erasures=tuple(_erasures(vault, told)),
        anchors=tuple(anchoring.anchors(vault)),
        log_entries=vault.log.size,
        ever=told.ever,
    )


def _categories(vault: Vault, scope: set[InteractionId] | None) -> list[Category]:
    """Counts living files; what belongs to no interaction is nobody's alone, and not in a scope."""
    found: dict[str, Category] = {}
    for path in vault.paths():
        owner, _, kind = path.name.split(".", 2) if path.name.count(".") == 2 else ("", "", "")
        if scope is not None and (is_owned(kind) or not _is_in(scope, owner)):
            continue
        try:
            artefact = vault.artefact(path)
        except Malformed:
            continue  # the audit tells of it
        if vault.is_live(artefact):
            row = found.setdefault(artefact.kind, Category(artefact.kind))
            row.files, row.size = row.files + 1, row.size + artefact.size
    return sorted(found.values(), key=lambda it: -it.size)


def _is_in(scope: set[InteractionId], owner: str) -> bool:
    try:
        return bytes.fromhex(owner) in scope
    except ValueError:
        return False


def _held(rows: Iterable[Row], settings: Settings) -> list[Held]:
    of: dict[str, list[Row]] = {}
    for row in rows:
        of.setdefault(row.profile, []).append(row)
    return [_held_for(name, of[name], settings) for name in sorted(of)]


def _held_for(profile: str, rows: list[Row], settings: Settings) -> Held:
    times = [row.started_at for row in rows]
    return Held(
        profile,
        len(rows),
        sum(row.duration_ms for row in rows) / 1000,
        sum(row.is_sensitive for row in rows),
        min(times).astimezone(UTC),
        max(times).astimezone(UTC),
        settings.policy_of(profile),
    )


class _Told:
    """What the log tells, of some interactions or of all."""

    def __init__(self, scope: set[InteractionId] | None) -> None:
        self._scope = scope
        self.reads: dict[str, Act] = {}
        self.disclosures: dict[str, Act] = {}
        self.erasures: list[ErasedEntry] = []
        self.confirmed: set[bytes] = set()
        self.ever = 0

    def take(self, entry: object) -> None:
        if isinstance(entry, Noted) and entry.act in {"read", "disclose"}:
            self._note(entry)
        elif isinstance(entry, ErasedEntry):
            self.erasures.append(entry)
        elif isinstance(entry, ConfirmedEntry):
            self.confirmed.add(entry.plan)
        elif isinstance(entry, Created):
            self.ever += len(entry.slots) == 2

    def _note(self, entry: Noted) -> None:
        meant = set(entry.interactions[:1] if entry.act == "disclose" else entry.interactions)
        meant &= meant if self._scope is None else self._scope
        if not meant:
            return
        acts = self.reads if entry.act == "read" else self.disclosures
        act = acts.setdefault(entry.how, Act(entry.how))
        act.times += 1
        act.interactions |= meant
        act.first, act.last = act.first or entry.day, entry.day or act.last


def _erasures(vault: Vault, told: _Told) -> Iterable[Gone]:
    """Yields every erasure by its receipt; one whose receipt is missing by the log alone."""
    for entry in told.erasures:
        statement = _statement(vault, entry)
        if statement is None:
            yield Gone(entry.plan.hex(), "", 0, "its receipt is missing", 0)
            continue
        verdict = CONFIRMED if entry.plan in told.confirmed else statement.verdict
        erased = Counter(it.kind for row in statement.erased for it in row.artefacts)
        shared = sum(number for kind, number in erased.items() if is_owned(kind))
        owners = len(statement.erased) - shared
        kept = len(statement.kept)
        yield Gone(statement.plan, statement.erased_at, owners, verdict, kept)


def _statement(vault: Vault, entry: ErasedEntry) -> Statement | None:
    try:
        data = bytes(vault.disk.read(vault.receipts / f"{entry.plan.hex()}{RECEIPT}"))
        statement = parse_receipt(data).statement
    except (FileNotFoundError, Malformed):
        return None
    return statement if statement.entry() == entry else None
