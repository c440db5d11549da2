"""The commands that check: receipts, copies, the whole vault, and what an old copy brings back.

As in `pipeline/commands.py`, each opens the vault, calls the act, and shows the result.
"""

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from keys.copies import UNKNOWN, find_sealed
from keys.errors import Malformed
from keys.note import VerifierKey
from keys.verify import GIVEN, NAMED, Outcome, as_json, explain, states, steps, verify_file
from pipeline import audit as auditing
from pipeline import proofs
from pipeline import restore as restoring
from pipeline.commands import DONE, FAILED
from pipeline.errors import Refused
from pipeline.opening import the_vault, the_vault_if_any
from pipeline.session import acting
from pipeline.terminal import Terminal
from pipeline.vault import Vault

DOES_NOT_VERIFY = 5


def verify(options: Namespace) -> int:
    """Checks receipts without a vault; where there is one, tells live from unknown as well."""
    it = Terminal(as_json=options.json)
    given = _log_key(options.log_key) if options.log_key else None
    outcomes = [verify_file(path, given) for path in options.receipts]
    vault = the_vault_if_any(options, it)
    if vault:
        with acting(vault):
            outcomes = [_against(vault, outcome, given) for outcome in outcomes]
    copies = [row for path in options.copy for row in states(find_sealed(path), outcomes)]
    if vault:
        with acting(vault):
            copies = _states_in(vault, options.copy, dict(copies))
    lines = list[str]()
    for outcome in outcomes:
        lines += steps(outcome) if getattr(options, "explain", False) else []
        lines += _explained(vault, outcome, given)
    proofs.verdicts(it, [as_json(o) for o in outcomes], lines, copies)
    return DONE if all(o.verified for o in outcomes) else DOES_NOT_VERIFY


def audit(options: Namespace) -> int:
    """Audits the whole vault."""
    it = Terminal(as_json=options.json)
    vault = the_vault(options, it)
    with acting(vault):
        result = auditing.audit(vault)
        copies = _states_in(vault, options.copy, {})
        epoch, key = vault.ring.epoch, vault.signer().verifier.format()
    proofs.audit(it, result, copies, epoch=epoch, log_key=key)
    return DOES_NOT_VERIFY if result.problems else DONE


def receipts(options: Namespace) -> int:
    """Lists all receipts with their verdicts."""
    it = Terminal(as_json=options.json)
    vault = the_vault(options, it)
    with acting(vault):
        key, outstanding = vault.signer().verifier, sorted(vault.ring.outstanding)
    found = [verify_file(path, key) for path in sorted(vault.receipts.glob("*.receipt"))]
    proofs.receipts(it, found, outstanding)
    return DONE if all(outcome.verified for outcome in found) else DOES_NOT_VERIFY


def restore(options: Namespace) -> int:
    """Brings sealed files back from an old copy: what is live opens, what was erased stays dead."""
    it = Terminal(as_json=options.json)
    vault = the_vault(options, it)
    with acting(vault):
        found = list(restoring.restore(vault, options.copy))
    proofs.restored(it, found)
    return FAILED if any(row.state == restoring.DAMAGED for row in found) else DONE


def _against(vault: Vault, outcome: Outcome, given: VerifierKey | None) -> Outcome:
    """Holds a receipt of this vault against this vault's own log key, unless one was given."""
    mine = _is_of(vault, outcome)
    return verify_file(outcome.path, vault.signer().verifier) if mine and not given else outcome


def _is_of(vault: Vault, outcome: Outcome) -> bool:
    return bool(outcome.verified and outcome.verified.statement.vault == vault.id.hex())


def _explained(vault: Vault | None, outcome: Outcome, given: VerifierKey | None) -> list[str]:
    """Returns the verdict's lines, with whose word the log key is."""
    is_ours = not given and vault is not None and _is_of(vault, outcome)
    return explain(outcome, GIVEN if given else "of the vault here" if is_ours else NAMED)


def _states_in(vault: Vault, paths: Sequence[Path], known: dict[str, str]) -> list[tuple[str, str]]:
    ledger = auditing.ledger_of(vault) if paths else auditing.Ledger()
    found = [found for path in paths for found in find_sealed(path)]
    of_vault = [(it.name, auditing.state_in(vault, ledger, it)) for it in found]
    return [
        (name, known.get(name, UNKNOWN) if state == UNKNOWN else state) for name, state in of_vault
    ]


def _log_key(text: str) -> VerifierKey:
    try:
        return VerifierKey.parse(text)
    except Malformed as error:
        raise Refused(f"--log-key: {error}") from error
