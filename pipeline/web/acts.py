"""What the page asks of a vault: values for its templates, made by the acts of the layers below.

Every function expects the vault to be held. Showing content is logged as a read `by page`, as any
door does it. Nothing here knows of HTTP.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice, takewhile

from keys.attested import Trust
from keys.entry import Noted, parse_line
from keys.errors import Erased, Malformed, NoSuchSlot
from keys.logsearch import lines_with
from keys.model import ID_SIZE, InteractionId, Slot
from keys.outcome import Outcome, verify_files
from keys.receipt import PENDING, parse_receipt
from keys.sealed import HEADER_SIZE, parse_header
from pipeline import agenda as agendas
from pipeline import confirm, history, index, logkey, share
from pipeline.artefact import AUDIO, DISCLOSURE, Disclosure
from pipeline.assistant.agenda import Agenda
from pipeline.assistant.entries import Entry
from pipeline.assistant.here import now as here_and_now
from pipeline.audit import Ledger, ledger_of
from pipeline.errors import NotFound
from pipeline.index import Census, Which
from pipeline.vault import Vault
from pipeline.web.sound import peaks, wav

PAGE = 40
"""Interactions to a page."""
SOUND, WORDS = "sound", "words"
"""What can live of an interaction."""
_HOW = "page"  # as the log has it


@dataclass(frozen=True, slots=True, repr=False)
class Timeline:
    """A page of interactions, newest first, and where the next one begins."""

    rows: tuple[history.Row, ...]
    older: int | None
    """The slot that the next page begins below; None where this is the last."""
    census: Census


def timeline(vault: Vault, which: Which) -> Timeline:
    """Returns one page; reads the words of what it shows and nothing else."""
    ahead = list(islice(index.rows(vault, which), PAGE + 1))
    shown = history.some(vault, [row.interaction for row in ahead[:PAGE]], "page")
    older = ahead[PAGE - 1].slot if len(ahead) > PAGE else None
    return Timeline(tuple(shown), older, index.census(vault))


def newer(vault: Vault, seen: str) -> tuple[history.Row, ...]:
    """Returns what was heard since one that a page shows, a page of it at most, newest first."""
    ahead = (row.interaction for row in index.rows(vault))
    fresh = list(islice(takewhile(lambda it: it.hex() != seen, ahead), PAGE))
    return tuple(history.some(vault, fresh, "page"))


def found(vault: Vault, words: str, limit: int = 100) -> tuple[history.Row, ...]:
    """Returns where words were said, the newest, logged as read."""
    rows = tuple(islice(history.matching(vault, [words]), limit))
    vault.note_read(_HOW, [row.interaction for row in rows])
    return rows


def sound_of(vault: Vault, text: str) -> bytes:
    """Returns the audio of an interaction as WAV; raises `Erased`, `NotFound`."""
    interaction = vault.resolve(text)
    pcm = share.audio(vault, interaction)
    vault.note_read(_HOW, [interaction])
    return wav(pcm)


def outline_of(vault: Vault, text: str) -> list[int] | None:
    """Returns the outline of a waveform, None where there is no sound (any more).

    It is asked for by a page that shows the interaction, and is part of that reading.
    """
    try:
        return peaks(share.audio(vault, vault.resolve(text)))
    except (Erased, NotFound):
        return None


@dataclass(frozen=True, slots=True, repr=False)
class Left:
    """What has left of one interaction that lives."""

    interaction: InteractionId
    disclosures: tuple[Disclosure, ...]


def left(vault: Vault, limit: int) -> list[Left]:
    """Returns what has left of those interactions that live, the last disclosed first."""
    found = list[Left]()
    seen = set[InteractionId]()
    for owner in _disclosing(vault):
        if len(found) == limit:
            break
        if owner not in seen and (given := _disclosed(vault, owner)):
            found.append(Left(owner, given))
        seen.add(owner)
    return found


def _disclosing(vault: Vault) -> Iterator[InteractionId]:
    """Yields of whom something left, the last first, without parsing the rest of the log."""
    entries = vault.directory / "log" / "entries"
    end = vault.disk.size(entries) or 0
    for line in lines_with(vault.disk, entries, end, [b" disclose "]):
        _, entry = parse_line(line, vault.id)
        if isinstance(entry, Noted) and entry.act == "disclose":
            yield entry.interactions[0]


def _disclosed(vault: Vault, owner: InteractionId) -> tuple[Disclosure, ...]:
    files = (it for it in vault.artefacts(owner) if it.kind == DISCLOSURE and vault.is_live(it))
    found = [Disclosure.decode(vault.open(it).read()) for it in files]
    return tuple(sorted(found, key=lambda it: it.index, reverse=True))


def living(vault: Vault, ids: Sequence[str]) -> dict[str, list[str]]:
    """Returns what lives of each of these, without those of which nothing does."""
    found = {text: _lives(vault, text) for text in ids}
    return {text: lives for text, lives in found.items() if lives}


def _lives(vault: Vault, text: str) -> list[str]:
    try:
        interaction = InteractionId(bytes.fromhex(text))
    except ValueError:
        return []
    if len(interaction) != ID_SIZE or interaction.hex() != text:
        return []
    files = (it for it in vault.artefacts(interaction) if vault.is_live(it))
    return sorted({SOUND if it.kind == AUDIO else WORDS for it in files})


def open_entries(vault: Vault) -> list[Entry]:
    """Returns what is open on the agenda, the next first, logged as read."""
    entries = [it for it in Agenda(vault).entries() if it.is_current(here_and_now())]
    vault.note_read(_HOW, list(dict.fromkeys(it.owner for it in entries)))
    return sorted(entries, key=_when)


def _when(it: Entry) -> float:
    at: datetime | None = it.ahead(here_and_now()) or it.action.moment
    return at.timestamp() if at else 0.0


@dataclass(frozen=True, slots=True)
class Receipt:
    """A receipt of this vault as it verifies now, and what a pending one waits for."""

    plan: str
    outcome: Outcome
    waits_for: tuple[str, ...]


def receipts(vault: Vault, before: int | None, number: int) -> tuple[list[Receipt], int | None]:
    """Returns some receipts, newest first, and the epoch that the next ones are before."""
    epochs = sorted(_epochs(vault), reverse=True)
    ahead = [it for it in epochs if before is None or it[0] < before]
    older = ahead[number - 1][0] if len(ahead) > number else None
    return [receipt(vault, plan) for _, plan in ahead[:number]], older


def receipt(vault: Vault, plan: str) -> Receipt:
    """Verifies one receipt of this vault; raises `NotFound`."""
    path = vault.receipts / f"{plan}{confirm.RECEIPT}"
    if vault.disk.size(path) is None:
        raise NotFound("there is no receipt of that number in this vault")
    outcome = verify_files([path], Trust(logkey.keys(vault)))[0]
    it = outcome.verified
    waits = confirm.still_waits_for(vault, it.statement) if it and _is_pending(outcome) else []
    return Receipt(plan, outcome, tuple(waits))


def _is_pending(outcome: Outcome) -> bool:
    return outcome.verdict == PENDING


def _epochs(vault: Vault) -> Iterator[tuple[int, str]]:
    """Yields the epoch that each erasure led to, as its receipt says; a damaged one comes first."""
    for name in vault.disk.names(vault.receipts):
        if name.endswith(confirm.RECEIPT):
            try:
                content = bytes(vault.disk.read(vault.receipts / name))
                epoch = parse_receipt(content).statement.epoch_to
            except Malformed:
                epoch = 2**63
            yield epoch, name.removesuffix(confirm.RECEIPT)


@dataclass(frozen=True, slots=True)
class Judged:
    """What became of a sealed file in somebody's copy."""

    state: str
    kind: str
    interaction: str
    plan: str = ""
    """The receipt that says so, where there is one."""


class Judge:
    """Tells of headers of sealed files in any copy whether they are live, erased or unknown."""

    def __init__(self, vault: Vault) -> None:
        self._ledger: Ledger = ledger_of(vault)
        self._plans = dict[str, str]()
        for plan in self._ledger.erasures:
            self._learn(vault, plan)

    def _learn(self, vault: Vault, plan: str) -> None:
        try:
            verified = receipt(vault, plan).outcome.verified
        except NotFound:  # the audit names it
            return
        if verified:
            self._plans |= dict.fromkeys(verified.statement.headers, plan)

    def judge(self, vault: Vault, header: bytes) -> Judged:
        """Judges the first bytes of a file."""
        try:
            it = parse_header(header[:HEADER_SIZE])
        except Malformed:
            return Judged("unknown", "", "")
        label = it.label
        found = Judged("unknown", label.kind, label.interaction.hex())
        if label.vault == vault.id and label.kind == agendas.FILE:  # overwritten, and in no log
            return replace(found, state="live" if _is_live(vault, label.slot) else "erased")
        if self._ledger.files.get(it.hash) != label or label.vault != vault.id:
            return found
        if vault.ring.is_live(label.slot):
            return replace(found, state="live")
        return replace(found, state="erased", plan=self._plans.get(it.hash.hex(), ""))


def _is_live(vault: Vault, slot: Slot) -> bool:
    try:
        return vault.ring.is_live(slot)
    except NoSuchSlot:
        return False
