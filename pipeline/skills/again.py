"""Asking again for the answers that pending receipts wait for, and no longer waiting for one.

Promises that the vault is not held while anybody is asked, and that what is answered is in the log
before a receipt waits for it no longer. `serve` and `anechoic skills ask` do this; no other command
but `forget` asks anybody anything.
"""

import threading

from pipeline import confirm
from pipeline.disclosures import GIVEN_UP
from pipeline.errors import NotFound
from pipeline.session import acting
from pipeline.skills.asking import PATIENT_S, ask
from pipeline.vault import Vault


def ask_again(vault: Vault) -> list[str]:
    """Asks skills for the answers that receipts wait for; returns what is still waited for.

    The caller does not hold the vault, and it is not held while anybody is asked.
    """
    with acting(vault):
        given = confirm.awaited(vault)
    return _answered(vault, ask(given, PATIENT_S, (vault.directory,)))


def give_up(vault: Vault, reference: str) -> list[str]:
    """Waits for an answer no longer, by the word of the user; returns what is still waited for.

    The confirmation says so. Raises `NotFound` unless this is what one receipt or more waits for.
    """
    with acting(vault):
        waiting = {it.reference for it in confirm.awaited(vault)}
    if reference not in waiting:
        raise NotFound(
            f"no receipt waits for an answer about {reference[:32]!r}; a reference is 32 hex "
            "digits: `anechoic receipts` names those that are waited for"
        )
    return _answered(vault, {reference: GIVEN_UP})


class Asking:
    """What `serve` does again and again under the lock: records answers, and has somebody ask.

    The asking itself is done by a thread that has neither the vault nor its lock.
    """

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._answers: dict[str, str] = {}

    def attend(self, vault: Vault) -> None:
        """Records what was answered since the last time; then asks for what is waited for."""
        if self._thread and self._thread.is_alive():
            return
        answers, self._answers, self._thread = self._answers, {}, None
        confirm.answered(vault, answers)
        if given := confirm.awaited(vault):
            found, hidden = self._answers, (vault.directory,)
            self._thread = threading.Thread(
                target=lambda: found.update(ask(given, PATIENT_S, hidden)), daemon=True
            )
            self._thread.start()


def _answered(vault: Vault, answers: dict[str, str]) -> list[str]:
    with acting(vault):
        confirm.answered(vault, answers)
    with acting(vault):  # which begins by confirming what is complete now
        return [it.name for it in confirm.awaited(vault)]
