"""What left the vault, on record before it leaves: to whom, which fields, and what was answered.

Promises that the log has every disclosure first, and that what is said of one later needs nothing
that has been erased: the log and the receipts have its kind, its place and, for a skill, a random
reference in clear. Who was asked to erase what left has answered when the log has an `answer`; a
receipt waits for it until then (SPEC section 5.2). Nothing here asks anybody.
"""

import re
import secrets
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NewType, Self

from keys.entry import ErasedEntry, Noted, SealedEntry
from keys.model import ID_SIZE, ArtefactId, InteractionId
from pipeline import write
from pipeline.artefact import DISCLOSURE, Disclosure
from pipeline.lineage import is_owned
from pipeline.logged import FEW, logged
from pipeline.vault import Vault

Reference = NewType("Reference", bytes)
"""16 random bytes by which a skill can be asked to erase what it was given."""

ANSWER, GIVEN_UP = "answer", "given-up"
_SAYS = {
    "erased": "it says that it erased its copy",
    "refused": "it refuses to erase its copy",
    "cannot": "it has no way to be asked to erase its copy",
    GIVEN_UP: "it never answered, and the user has given up waiting for it",
}
_STAYS = {
    "erased": "that it is gone is its holder's word alone",
    "": "that copy is outside this vault's reach; whoever holds it must delete it",
}
_UNANSWERED = "it was asked to erase its copy, or will be, and has not answered"
_ROW = re.compile(
    r"interaction ([0-9a-f]{32}): skill ([a-z][a-z0-9-]{0,15}), "
    r"log entry [0-9]{1,19}, reference ([0-9a-f]{32})(?:: (.*))?"
)

_OF_SOURCE = "record "
_TOLD = "; what became of that copy stands in the receipt of that interaction"
_NAME = re.compile(r"skill ([a-z][a-z0-9-]{0,15}) ([0-9a-f]{32})")


@dataclass(frozen=True, slots=True)
class Given:
    """What a skill was given once, as the log has it, without what it was."""

    interaction: str
    skill: str
    reference: str
    is_open: bool = True
    """Whether the row does not say yet what was answered."""

    @classmethod
    def parse(cls, row: str) -> Self | None:
        """Returns what a row of a plan or receipt says; None for what left in another way."""
        found = _ROW.fullmatch(row)
        if not found:
            return None
        return cls(found[1], found[2], found[3], found[4] in {None, _UNANSWERED})

    @classmethod
    def named(cls, name: str) -> Self | None:
        """Returns what has this `name`; the interaction is not told by it."""
        found = _NAME.fullmatch(name)
        return cls("", found[1], found[2]) if found else None

    @property
    def name(self) -> str:
        """What is waited for until it answers, as a pending receipt names it."""
        return f"skill {self.skill} {self.reference}"


def disclose(
    vault: Vault,
    interaction: InteractionId,
    how: str,
    to: str,
    fields: Sequence[str],
    why: str,
    at: str,
) -> None:
    """Records, durable on return, that something of an interaction is about to leave.

    The log gets `how` alone, so every later receipt names it; the rest is sealed. Raises `Erased`,
    and records nothing, where the words are gone.
    """
    _record(
        vault, (interaction,), how, Disclosure(how.replace("-", " "), to, tuple(fields), why, at, 0)
    )


def announce(vault: Vault, how: str) -> None:
    """Logs, durable on return, that something is about to leave that is no interaction yet.

    It is named by a random id that belongs to nothing.
    """
    vault.note("disclose", how, [InteractionId(secrets.token_bytes(ID_SIZE))])


def part_of(
    vault: Vault, how: str, to: str, fields: Sequence[str], why: str, at: str
) -> write.Part:
    """Returns what to seal with an interaction that is about to be created, of what left before.

    For `write.create` with the same `how`, in the same act: the log then has it right after the
    beginning of the interaction.
    """
    what = Disclosure(how.replace("-", " "), to, tuple(fields), why, at, vault.log.size + 1)
    return DISCLOSURE, what.encode()


def give(
    vault: Vault,
    interaction: InteractionId,
    skill: str,
    to: str,
    fields: Sequence[str],
    why: str,
    at: str,
) -> Reference:
    """Records, as `disclose`, that a skill is about to be given it; returns the reference."""
    reference = Reference(secrets.token_bytes(ID_SIZE))
    ids = (interaction, InteractionId(reference))
    _record(vault, ids, skill, Disclosure(f"skill {skill}", to, tuple(fields), why, at, 0))
    return reference


def _record(vault: Vault, ids: tuple[InteractionId, ...], how: str, what: Disclosure) -> None:
    vault.words_slot(ids[0])
    index = vault.note("disclose", how, ids)
    sealed = Disclosure(what.kind, what.to, what.fields, what.why, what.at, index)
    write.add(vault, ids[0], (DISCLOSURE, sealed.encode()))


def row_of(interaction: InteractionId, index: int, entry: Noted) -> str:
    """Returns a disclosure of an interaction as plans and receipts have it."""
    _, *reference = entry.interactions
    if not reference:
        how = entry.how.replace("-", " ")
        return f"interaction {interaction.hex()}: {how}, log entry {index}"
    what = f"skill {entry.how}, log entry {index}, reference {reference[0].hex()}"
    return f"interaction {interaction.hex()}: {what}"


def of_sources(
    vault: Vault, records: Collection[InteractionId], but: Collection[InteractionId] = ()
) -> list[str]:
    """Returns what left of the interactions that these records were made from, as rows.

    By the log, which knows it when they are long erased; `but` those, which tell it themselves.
    Nobody is asked to erase it for the record: that was, or will be, for its source.
    """
    owners = logged(vault, records).owners.values() if records else ()
    made = {it: owner.id for owner in owners for of in owner.sealed for it in of.parents}
    found = _sources(vault, made) if made else {}
    sources = {it: of for it, of in found.items() if it not in but}
    known = logged(vault, sources).owners if sources else {}
    return [
        f"record {sources[source].hex()}: made from {row_of(source, index, entry)}{_TOLD}"
        for source, owner in known.items()
        for index, entry in owner.disclosed
    ]


def _sources(
    vault: Vault, made: Mapping[ArtefactId, InteractionId]
) -> dict[InteractionId, InteractionId]:
    """Returns for each interaction that has one of these artefacts what was made from that."""
    missing, found = set(made), dict[InteractionId, InteractionId]()
    ids = {it.hex().encode() for it in made}
    seals = vault.log.some_back(lambda words: words[1] == b"seal" and words[3] in ids)
    for _, entry in vault.log.mentions(made) if len(made) <= FEW else seals:
        if isinstance(entry, SealedEntry) and entry.label.artefact in missing:
            missing.discard(entry.label.artefact)
            if not is_owned(entry.label.kind):
                found[entry.label.interaction] = made[entry.label.artefact]
        if not missing:
            break  # the rest of the log is not read
    return found


def is_of_words(entry: Noted) -> bool:
    """Tells whether nothing but words left, as with a skill: erasing the audio is no matter."""
    return len(entry.interactions) > 1


def unanswered(vault: Vault, rows: Iterable[str], after: int | None = None) -> list[Given]:
    """Returns what was given to skills that have not answered to the request to erase it.

    Looks at the entries of the log from `after` on, else at those since the last erasure: nobody
    is asked before the keys are gone, and no erasure overtakes the receipt of another.
    """
    given = [it for it in map(Given.parse, rows) if it and it.is_open]
    answered = _answers(vault, given, after)
    return [it for it in given if it.reference not in answered]


def _answers(vault: Vault, given: Sequence[Given], after: int | None = None) -> dict[str, str]:
    wanted, found = {it.reference for it in given}, dict[str, str]()
    for index, entry in vault.log.scan_back() if wanted else ():
        if index < (after or 0) or (after is None and isinstance(entry, ErasedEntry)):
            break
        if isinstance(entry, Noted) and entry.act == ANSWER:
            found |= {it.hex(): entry.how for it in entry.interactions if it.hex() in wanted}
        if not wanted - found.keys():
            break
    return found


def answer(vault: Vault, reference: str, how: str) -> None:
    """Logs what a skill answered: `erased`, `refused`, that it `cannot` be asked, or `GIVEN_UP`."""
    vault.note(ANSWER, how, [InteractionId(bytes.fromhex(reference))])


def stated(vault: Vault, rows: Sequence[str]) -> tuple[tuple[str, ...], list[str]]:
    """Returns the rows of a plan as its receipt states them: what left, and what stays of it."""
    given = [it for it in map(Given.parse, rows) if it]
    answered = _answers(vault, given)
    names = {row: answered.get(it.reference, "") for row in rows if (it := Given.parse(row))}
    left = tuple(f"{row}: {said(names[row])}" if row in names else row for row in rows)
    stays = [f"{row}: {_STAYS.get(names.get(row, ''), _STAYS[''])}" for row in rows]
    return left, [it for it in stays if not it.startswith(_OF_SOURCE)]


def answered_since(vault: Vault, rows: Iterable[str], after: int) -> list[tuple[Given, str]]:
    """Returns what was answered since a receipt of these rows, as words."""
    given = [it for it in map(Given.parse, rows) if it and it.is_open]
    found = _answers(vault, given, after)
    return [(it, said(found[it.reference])) for it in given if it.reference in found]


def said(how: str) -> str:
    """Returns an answer in words."""
    return _SAYS.get(how, _UNANSWERED)
