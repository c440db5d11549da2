"""Using a skill: it is on record before it happens, and it happens once at most.

Promises that a skill that the user has not enabled is never given anything, that an enabled one
gets the fields that it declares and no more, and that the log has each use before the first byte
goes to the skill. What a crash cuts off after that is not repeated: whether it was done is then
unknown, and `show` has it as having left.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from keys.model import InteractionId
from pipeline import disclosures
from pipeline.errors import Refused
from pipeline.session import acting, now
from pipeline.skills.catalogue import Known, described, known_skill
from pipeline.skills.configuration import configuration_file
from pipeline.skills.interface import Manifest, NotSent, Outcome, Request, Unknown
from pipeline.skills.posting import origin
from pipeline.skills.process import SkillFailed, running
from pipeline.skills.webhook import URL
from pipeline.vault import Vault

USE_S = 15.0
_LETTERS = 8192


@dataclass(frozen=True, slots=True)
class Use:
    """A skill with the fields that it is to be given; its repr shows none of them."""

    known: Known
    manifest: Manifest
    fields: Mapping[str, str] = field(repr=False)
    private: tuple[Path, ...] = ()


def use(vault: Vault, interaction: InteractionId, name: str, fields: Mapping[str, str]) -> Outcome:
    """Gives an interaction's fields to a skill, and returns what became of it.

    The caller does not hold the vault, and it is held while the use is recorded only. Raises
    `NotFound`, `Refused` and `Erased` with nothing recorded and nothing given.
    """
    ready = prepare(name, fields, (vault.directory,))
    with acting(vault):
        reference = record(vault, interaction, ready, now())
    return carry_out(ready, reference)


def prepare(name: str, fields: Mapping[str, str], private: tuple[Path, ...] = ()) -> Use:
    """Asks the skill for its manifest, and takes of the fields what it declares.

    Takes a moment and needs no vault. Raises `NotFound`; `Refused` where the skill is not enabled,
    does not start, or lacks a field that it requires.
    """
    known = known_skill(name)
    if not known.configured.enabled:
        raise Refused(
            f"the skill {name} is not enabled, so it was given nothing; to enable it, put "
            f"`[{name}]` with `enabled = true` into {configuration_file()}"
        )
    manifest = described(known, private).manifest
    if manifest is None:
        raise Refused(f"the skill {name} does not start, so it was given nothing")
    return Use(known, manifest, _taken(known, manifest, fields), private)


def record(vault: Vault, interaction: InteractionId, ready: Use, at: str) -> disclosures.Reference:
    """Records that a skill is about to be given fields; the caller holds the vault."""
    manifest, settings = ready.manifest, ready.known.configured.settings
    to = origin(settings[URL]) if URL in settings else manifest.to
    names, why = tuple(sorted(ready.fields)), manifest.what_for
    return disclosures.give(vault, interaction, manifest.name, to, names, why, at)


def carry_out(ready: Use, reference: disclosures.Reference) -> Outcome:
    """Gives the fields to the skill, once; the vault is not needed, nor held."""
    known = ready.known
    request = Request(reference.hex(), ready.fields, known.configured.settings)
    folder, network = known.configured.folder, ready.manifest.leaves
    try:
        with running(
            known.where, USE_S, network=network, folder=folder, private=ready.private
        ) as it:
            # One that says something else of itself than a moment ago is given nothing.
            return it.handle(request) if it.manifest == ready.manifest else NotSent()
    except SkillFailed:
        return Unknown()


def _taken(known: Known, manifest: Manifest, fields: Mapping[str, str]) -> dict[str, str]:
    """Returns what is declared, given, and allowed by the user; raises `Refused` if too little."""
    allowed = known.configured.fields
    names = {it.name for it in manifest.fields if allowed is None or it.name in allowed}
    taken = {name: text for name, text in fields.items() if name in names and text}
    missing = [it.name for it in manifest.fields if it.required and it.name not in taken]
    if missing:
        raise Refused(f"the skill {known.name} needs {', '.join(missing)}; it was given nothing")
    if sum(map(len, taken.values())) > _LETTERS:
        raise Refused(f"that is too much for the skill {known.name}: {_LETTERS} letters at most")
    return taken
