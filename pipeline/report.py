"""The report: what is held, of which kinds, for how long and why, who has read it, what has left.

Counts and limits only, nothing of what was said. Goes by the sealed files, the index and the log;
changes nothing. With a profile it tells of that one's interactions alone. What needs keys is looked
at first, under the lock (`look`); the rest (`tell`), most of the time, needs neither: the log only
grows, and a file that goes meanwhile is passed over. It is no audit: a file counts by its name,
which the log has to know.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from keys.entry import ConfirmedEntry, ErasedEntry, Noted
from keys.errors import Malformed
from keys.model import InteractionId
from keys.receipt import CONFIRMED, Statement, parse_receipt
from pipeline import anchoring, retention
from pipeline.anchoring import AnchorRow
from pipeline.artefact import AUDIO
from pipeline.confirm import RECEIPT
from pipeline.erase import Clock
from pipeline.lineage import is_owned
from pipeline.settings import Policy
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
    policy: Policy | None
    """What holds now; None where the settings are lost, so that nobody knows."""


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


@dataclass(frozen=True, slots=True, repr=False)
class Seen:
    """What a report needs that needs keys: all of it as of one moment."""

    at: str
    profile: str | None
    scope: set[InteractionId] | None
    held: tuple[Held, ...]
    anchors: tuple[AnchorRow, ...]
    liveness: bytearray
    """Of each slot whether it holds a key."""


def report(vault: Vault, clock: Clock, profile: str | None = None) -> Report:
    """Returns the report of a vault, or of one profile; the caller holds the lock."""
    return tell(vault, look(vault, clock, profile))


def look(vault: Vault, clock: Clock, profile: str | None = None) -> Seen:
    """Looks at what needs keys; the caller holds the lock."""
    from pipeline.tally import Tally  # it takes a moment to load

    tally, settings = Tally(vault, profile), retention.readable(vault, clock)
    held = (
        Held(
            name,
            it.interactions,
            it.duration_ms / 1000,
            it.sensitive,
            it.oldest.astimezone(UTC),
            it.newest.astimezone(UTC),
            settings.policy_of(name) if settings else None,
        )
        for name, it in sorted(tally.of.items())
    )
    anchors = tuple(anchoring.anchors(vault))
    return Seen(clock(), profile, tally.ids, tuple(held), anchors, vault.ring.liveness())


def tell(vault: Vault, seen: Seen) -> Report:
    """Completes a report by log, names of files and receipts; needs no lock.

    `vault` must not be used otherwise meanwhile: its log is taken as it was when it was looked at.
    """
    told = _Told(seen)
    for _, entry in vault.log.some_back(told.wants):
        told.take(entry)
    return Report(
        at=seen.at,
        profile=seen.profile,
        categories=tuple(_categories(vault, seen.scope, told.owners)),
        held=seen.held,
        reads=tuple(reversed(told.reads.values())),
        disclosures=tuple(reversed(told.disclosures.values())),
        erasures=tuple(_erasures(vault, told)),
        anchors=seen.anchors,
        log_entries=vault.log.size,
        ever=told.ever,
    )


_Alive = tuple[bool, bool]
"""Whether the audio and the words of an owner live; of one slot alone, the same twice."""


def _categories(
    vault: Vault, scope: set[InteractionId] | None, owners: dict[bytes, _Alive]
) -> list[Category]:
    """Counts living files; what belongs to no interaction is nobody's alone, and not in a scope."""
    found: dict[str, Category] = {}
    for path in vault.paths():
        owner, _, kind = path.name.split(".", 2) if path.name.count(".") == 2 else ("", "", "")
        alive = owners.get(owner.encode())
        if not alive or not alive[kind != AUDIO]:
            continue
        if scope is not None and (is_owned(kind) or bytes.fromhex(owner) not in scope):
            continue
        if (size := vault.disk.size(path)) is not None:
            row = found.setdefault(kind, Category(kind))
            row.files, row.size = row.files + 1, row.size + size
    return sorted(found.values(), key=lambda it: (-it.size, it.kind))


class _Told:
    """What the log tells, newest first, of some interactions or of all."""

    def __init__(self, seen: Seen) -> None:
        self._scope, self._liveness = seen.scope, seen.liveness
        self.owners: dict[bytes, _Alive] = {}
        """Those that live, by their id in hex."""
        self.reads: dict[str, Act] = {}
        self.disclosures: dict[str, Act] = {}
        self.erasures: list[ErasedEntry] = []
        self.confirmed: set[bytes] = set()
        self.ever = 0

    def wants(self, words: Sequence[bytes]) -> bool:
        """Tells whether a line is to be read; what creates is counted as it passes by."""
        if words[1] == b"create":
            slots = [int(word.partition(b":")[0]) for word in words[3:]]
            alive = [it < len(self._liveness) and bool(self._liveness[it]) for it in slots]
            self.ever += len(slots) == 2
            if any(alive):
                self.owners[words[2]] = alive[0], alive[-1]
        return words[1] in _READ

    def take(self, entry: object) -> None:
        if isinstance(entry, Noted) and entry.act in {"read", "disclose"}:
            self._note(entry)
        elif isinstance(entry, ErasedEntry):
            self.erasures.append(entry)
        elif isinstance(entry, ConfirmedEntry):
            self.confirmed.add(entry.plan)

    def _note(self, entry: Noted) -> None:
        meant = set(entry.interactions[:1] if entry.act == "disclose" else entry.interactions)
        meant &= meant if self._scope is None else self._scope
        if not meant:
            return
        acts = self.reads if entry.act == "read" else self.disclosures
        act = acts[entry.how] = acts.pop(entry.how, Act(entry.how))  # the one used first ends last
        act.times += 1
        act.interactions |= meant
        act.first, act.last = entry.day or act.first, act.last or entry.day


_READ = frozenset({b"read", b"disclose", b"erase", b"confirm"})


def _erasures(vault: Vault, told: _Told) -> Iterable[Gone]:
    """Yields every erasure by its receipt; one whose receipt is missing by the log alone."""
    for entry in reversed(told.erasures):
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
