"""Bringing sealed files back from any old copy of a vault, beside the current ring.

Promises that what is live opens again and that what was erased stays dead and is named: only sealed
files are taken from a copy, never its ring, log or receipts, and each only if the log has its
header and all of it opens under its live key.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from keys.copies import ERASED, LIVE, UNKNOWN, Found
from keys.errors import KeysError
from keys.progress import counted
from pipeline.audit import Ledger, ledger_of, state_in
from pipeline.store import find_sealed
from pipeline.vault import Vault
from pipeline.write import put_back

RESTORED, PRESENT, DAMAGED = "restored", "present", "damaged"
STATES = (RESTORED, PRESENT, ERASED, DAMAGED, UNKNOWN)


@dataclass(frozen=True, slots=True)
class Restored:
    """What became of one sealed file of a copy: one of `STATES`; interaction in hex, if known."""

    name: str
    interaction: str
    kind: str
    state: str


def restore(vault: Vault, copy: Path | str) -> Iterator[Restored]:
    """Puts back what is live in a folder, a tar file, or a store; the caller holds the lock."""
    ledger = ledger_of(vault)
    for found in counted(find_sealed(copy), "looking through the copy"):
        label = found.header.label if found.header else None
        state = _state(vault, ledger, found)
        ids = (label.interaction.hex(), label.kind) if label else ("", "")
        yield Restored(found.name, *ids, state)


def _state(vault: Vault, ledger: Ledger, found: Found) -> str:
    state = state_in(vault, ledger, found)
    if state != LIVE:
        return state
    try:
        return RESTORED if put_back(vault, found.content()) else PRESENT
    except KeysError:
        return DAMAGED
