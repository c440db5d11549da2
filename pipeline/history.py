"""Looking back: the interactions of a vault as rows, in detail, and by their words.

Everything here reads plaintext, so everything handed to a door goes into the log as a read first:
which interactions, and by which command. Expects `session.acting` around it.
"""

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from keys.entry import Created, Noted
from keys.errors import Erased, Malformed, Tampered
from keys.model import InteractionId
from keys.progress import counted
from keys.secret import Secret
from pipeline.artefact import DISCLOSURE, META, TRANSCRIPT, Disclosure, Meta, Transcript
from pipeline.errors import NotFound
from pipeline.model import Word
from pipeline.query import parse, terms
from pipeline.recording import held, meta_so_far
from pipeline.search import Finding
from pipeline.tree import Node, tree_of
from pipeline.vault import Artefact, Vault


@dataclass(frozen=True, slots=True, repr=False)
class Row:
    """One interaction as a list shows it; its repr shows no words."""

    interaction: InteractionId
    meta: Meta
    words: tuple[Word, ...]
    artefacts: tuple[Artefact, ...]

    @property
    def text(self) -> str:
        """The words with spaces between them."""
        return Transcript(self.words).text

    @property
    def seconds(self) -> float:
        """The length of what was heard."""
        return round(self.meta.duration_ms / 1000, 2)


@dataclass(frozen=True, slots=True)
class Filter:
    """Which interactions are meant: heard at or after `since`, before `until`, by `profile`."""

    since: datetime | None = None
    until: datetime | None = None
    profile: str | None = None

    def takes(self, meta: Meta) -> bool:
        """Tells whether an interaction with this meta is meant."""
        started = datetime.fromisoformat(meta.started_at)
        return (
            (self.since is None or started >= self.since)
            and (self.until is None or started < self.until)
            and (self.profile is None or meta.profile == self.profile)
        )


@dataclass(frozen=True, slots=True, repr=False)
class Detail:
    """All that is known of one interaction."""

    row: Row
    reads: tuple["Read", ...]
    disclosures: tuple[Disclosure, ...]
    lineage: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Read:
    """One showing of content: where the log has it, by which command, and on which day."""

    index: int
    how: str
    day: str


def rows(vault: Vault, which: Filter) -> Iterator[Row]:
    """Yields the living interactions that `which` takes, newest first, without logging a read."""
    for interaction in counted(_meant(vault, which), "looking for what is meant"):
        if vault.is_under_way(interaction):
            continue  # it is being spoken: there is nothing to list yet
        with _passed_over(vault, interaction):
            files = vault.artefacts(interaction)
            meta = _meta(vault, interaction, files)
            if which.takes(meta):
                yield _row_of(vault, interaction, files, meta)


def _meant(vault: Vault, which: Filter) -> Iterator[InteractionId]:
    """Yields all that may be meant; with a filter the index tells, so that few are opened."""
    if which == Filter():
        yield from vault.interactions()
        return
    from pipeline import index  # it takes a moment, which the newest few need not wait for

    since, until = (index.us_of(it) if it else None for it in (which.since, which.until))
    for row in index.rows(vault, index.Which(since, until, which.profile)):
        yield row.interaction


def being_spoken(vault: Vault) -> Iterator[tuple[InteractionId, Meta | None]]:
    """Yields what is being spoken just now, with what is known of it so far, if anything is."""
    for interaction in sorted(held(vault)):
        with contextlib.suppress(Erased):  # forgotten, and whoever records it is yet to notice
            yield interaction, meta_so_far(vault, interaction)


def history(vault: Vault, which: Filter, limit: int | None) -> list[Row]:
    """Returns the newest rows, logged as read."""
    return _logged(vault, "history", islice(rows(vault, which), limit))


def search(vault: Vault, words: Iterable[str]) -> list[Row]:
    """Returns the rows whose transcript holds what is asked for, newest first, logged as read."""
    return found(vault, _finding(vault, words), None)


def found(vault: Vault, finding: Finding, limit: int | None) -> list[Row]:
    """Returns the newest rows that a query finds, logged as read."""
    return _logged(vault, "search", islice(_verified(vault, finding), limit))


def matching(vault: Vault, words: Iterable[str]) -> Iterator[Row]:
    """Yields the rows whose transcript holds what is asked for; each transcript was read."""
    return _verified(vault, _finding(vault, words))


def _finding(vault: Vault, words: Iterable[str]) -> Finding:
    return Finding(vault, parse(" ".join(words)))


def _verified(vault: Vault, finding: Finding) -> Iterator[Row]:
    for interaction in finding:
        with _passed_over(vault, interaction):
            row = _row(vault, interaction)
            if finding.query.finds([term for word in row.words for term in terms(word.word)]):
                yield row


def one(vault: Vault, interaction: InteractionId, command: str) -> Row:
    """Returns one row, logged as read; raises `Erased`, `NotFound`."""
    vault.words_slot(interaction)  # or it raises Erased
    row = _row(vault, interaction)
    return _logged(vault, command, [row])[0]


def some(vault: Vault, interactions: Iterable[InteractionId], command: str) -> list[Row]:
    """Returns the rows of these interactions as far as their words live, logged as read."""
    found, ids = [], list(interactions)
    for interaction in counted(ids, "reading what was said", len(ids)):
        if vault.is_under_way(interaction):
            continue
        with _passed_over(vault, interaction):
            found.append(_row(vault, interaction))
    return _logged(vault, command, found)


def detail(vault: Vault, interaction: InteractionId) -> Detail:
    """Returns all that is known of one interaction, logged as read."""
    row = one(vault, interaction, "show")
    reads = sorted(_reads(vault, interaction), key=lambda it: it.index)
    files = [artefact for artefact in row.artefacts if artefact.kind == DISCLOSURE]
    disclosures = tuple(Disclosure.decode(vault.open(file).read()) for file in files)
    return Detail(row, tuple(reads), disclosures, tree_of(vault, interaction))


def _reads(vault: Vault, interaction: InteractionId) -> Iterator[Read]:
    for index, entry in vault.log.mentions([interaction]):
        if isinstance(entry, Noted) and entry.act == "read" and interaction in entry.interactions:
            yield Read(index, entry.how, entry.day)
        elif isinstance(entry, Created) and entry.interaction == interaction:
            return


@contextlib.contextmanager
def _passed_over(vault: Vault, interaction: InteractionId) -> Iterator[None]:
    """Passes over what is erased, and what cannot be read: that stops no other, and is noted."""
    try:
        yield
    except Erased:
        pass
    except (NotFound, Tampered, Malformed):
        vault.unreadable.add(interaction)


def _row(vault: Vault, interaction: InteractionId) -> Row:
    files = vault.artefacts(interaction)
    return _row_of(vault, interaction, files, _meta(vault, interaction, files))


def _row_of(vault: Vault, interaction: InteractionId, files: Sequence[Artefact], meta: Meta) -> Row:
    living = tuple(a for a in files if vault.is_live(a))
    if meta.truncated and TRANSCRIPT not in {artefact.kind for artefact in living}:
        return Row(interaction, meta, (), living)  # recovered, and not recognised yet
    words = Transcript.decode(_content(vault, interaction, files, TRANSCRIPT)).words
    return Row(interaction, meta, words, living)


def _meta(vault: Vault, interaction: InteractionId, files: Sequence[Artefact]) -> Meta:
    return Meta.decode(_content(vault, interaction, files, META))


def _content(
    vault: Vault, interaction: InteractionId, files: Sequence[Artefact], kind: str
) -> Secret:
    """Returns what is sealed in the file of a kind, of files that were looked up once for all."""
    for it in files:
        if it.kind == kind:
            return vault.open(it).read()
    raise NotFound(f"interaction {interaction.hex()} has no {kind}")


def _logged(vault: Vault, command: str, found: Iterable[Row]) -> list[Row]:
    result = list(found)
    vault.note_read(command, [row.interaction for row in result])
    return result
