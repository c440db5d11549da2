"""Asking skills to erase what they were given, by the references that they got then.

Promises that a request holds nothing but a reference, that one skill cannot hold up the others, and
that asking ends in time: what has not answered by then is asked again later. Asks and nothing
else; what is answered is put on record by who asked.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from pathlib import Path

from pipeline import disclosures
from pipeline.disclosures import Given
from pipeline.errors import PipelineError
from pipeline.skills.catalogue import Known, known_skills
from pipeline.skills.interface import Request
from pipeline.skills.process import running
from pipeline.vault import Vault

SOON_S, PATIENT_S = 4.0, 20.0
"""How long `forget` waits for answers, and how long who has nothing else to do."""
_AT_ONCE = 8


def ask(given: Iterable[Given], seconds: float, private: Iterable[Path] = ()) -> dict[str, str]:
    """Asks for each to be erased; returns the answers by reference, as many as came in time.

    A skill that is not enabled is not asked. A configuration that cannot be read is no answer.
    """
    by_skill = {
        name: [it.reference for it in them]
        for name, them in groupby(sorted(given, key=lambda it: it.skill), lambda it: it.skill)
    }
    known, hidden = _enabled() if by_skill else {}, tuple(private)
    jobs = [(known[name], them) for name, them in by_skill.items() if name in known]
    until, found = time.monotonic() + seconds, dict[str, str]()
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for answers in pool.map(lambda it: _ask(it[0], it[1], until, hidden), jobs):
            found |= answers
    return found


def ask_to_erase(vault: Vault, rows: Iterable[str]) -> None:
    """Asks for what the rows of a plan say that skills were given, and logs what they answer.

    For a plan whose keys are gone; the caller holds the vault, for `SOON_S` seconds at most. Who
    has not answered by then is asked again (`ask_again`), and the receipt waits for it.
    """
    given = disclosures.unanswered(vault, rows)
    for reference, how in ask(given, SOON_S, (vault.directory,)).items():
        disclosures.answer(vault, reference, how)


def _enabled() -> Mapping[str, Known]:
    try:
        return {it.name: it for it in known_skills() if it.configured.enabled}
    except (PipelineError, OSError):
        return {}


def _ask(
    known: Known, references: Sequence[str], until: float, private: Iterable[Path]
) -> dict[str, str]:
    found: dict[str, str] = {}
    configured, left = known.configured, until - time.monotonic()
    try:
        with running(
            known.where, max(left, 0), network=True, folder=configured.folder, private=private
        ) as it:
            for reference in references:
                found[reference] = it.erase(Request(reference, {}, configured.settings)).how
    except PipelineError:
        pass
    return {reference: how for reference, how in found.items() if how}
