"""The commands that check: receipts, copies, the whole vault, and what an old copy brings back.

As in `pipeline/commands.py`, each opens the vault, calls the act, and shows the result.
"""

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from keys.attested import Trust
from keys.copies import UNKNOWN
from keys.errors import Malformed
from keys.note import VerifierKey
from keys.outcome import Outcome, states, trust_in, verify_files
from keys.receipt import PENDING
from keys.verify import GIVEN, NAMED, as_json, explain, steps
from pipeline import audit as auditing
from pipeline import confirm, logkey, proofs, retention, settingsfile
from pipeline import restore as restoring
from pipeline.commands import DONE, FAILED
from pipeline.errors import Refused
from pipeline.opening import the_vault, the_vault_if_any
from pipeline.session import acting, now
from pipeline.store import find_sealed, place
from pipeline.terminal import Terminal
from pipeline.vault import Vault
from pipeline.working import working

DOES_NOT_VERIFY = 5


def verify(options: Namespace) -> int:
    """Checks receipts without a vault; where there is one, tells live from unknown as well."""
    it = Terminal(as_json=options.json)
    trust = _trust(options)
    vault = the_vault_if_any(options, it)
    trust = replace(trust, known=_keys_of(vault) if vault else ())
    outcomes = verify_files(options.receipts, trust)
    places = [place(text) for text in options.copy]
    copies = [row for path in places for row in states(find_sealed(path), outcomes)]
    if vault:
        with acting(vault):
            copies = _states_in(vault, places, dict(copies))
    lines = list[str]()
    for outcome in outcomes:
        lines += steps(outcome) if getattr(options, "explain", False) else []
        lines += explain(outcome, _whose(outcome, trust))
    proofs.verdicts(it, [as_json(o) for o in outcomes], lines, copies)
    return DONE if all(o.holds for o in outcomes) else DOES_NOT_VERIFY


def audit(options: Namespace) -> int:
    """Audits the whole vault."""
    it = Terminal(as_json=options.json)
    vault = the_vault(options, it)
    with working(it), acting(vault):
        result = auditing.audit(vault)
        copies = _states_in(vault, [place(text) for text in options.copy], {})
        epoch, key = vault.ring.epoch, logkey.signer(vault).verifier.format()
    proofs.audit(it, result, copies, epoch=epoch, log_key=key)
    return DOES_NOT_VERIFY if result.problems else DONE


def receipts(options: Namespace) -> int:
    """Lists all receipts with their verdicts."""
    it = Terminal(as_json=options.json)
    vault = the_vault(options, it)
    with acting(vault):
        found = verify_files(sorted(vault.receipts.glob("*.receipt")), Trust(logkey.keys(vault)))
        pending = [it for it in found if it.verified and it.verdict == PENDING]
        waits_for = {
            it.path: confirm.still_waits_for(vault, it.verified.statement)
            for it in pending
            if it.verified
        }
    proofs.receipts(it, found, waits_for)
    return DONE if all(outcome.verified for outcome in found) else DOES_NOT_VERIFY


def restore(options: Namespace) -> int:
    """Brings sealed files back from an old copy: what is live opens, what was erased stays dead."""
    it = Terminal(as_json=options.json)
    vault = the_vault(options, it)
    with working(it), acting(vault):
        found = list(restoring.restore(vault, place(options.copy)))
        retention.recheck(vault, now)
        lost = settingsfile.trouble(vault)
    proofs.restored(it, found)
    if lost:
        it.problem(lost)
    return FAILED if any(row.state == restoring.DAMAGED for row in found) else DONE


def _keys_of(vault: Vault) -> tuple[VerifierKey, ...]:
    """Returns the keys that a receipt of this vault may name."""
    with acting(vault):
        return logkey.keys(vault)


def _whose(outcome: Outcome, trust: Trust) -> str:
    """Tells whose word the log key of a receipt is."""
    if trust.keys:
        return GIVEN
    ours = outcome.verified is not None and trust.expected(outcome.verified.key.name)
    return "of the vault here" if ours else NAMED


def _states_in(
    vault: Vault, paths: Sequence[Path | str], known: dict[str, str]
) -> list[tuple[str, str]]:
    ledger = auditing.ledger_of(vault) if paths else auditing.Ledger()
    found = [found for path in paths for found in find_sealed(path)]
    of_vault = [(it.name, auditing.state_in(vault, ledger, it)) for it in found]
    return [
        (name, known.get(name, UNKNOWN) if state == UNKNOWN else state) for name, state in of_vault
    ]


def _trust(options: Namespace) -> Trust:
    keys, witnesses = options.log_key or [], getattr(options, "witness", None) or []
    try:
        authorities = getattr(options, "tsa", None) or []
        return trust_in([keys] if isinstance(keys, str) else keys, witnesses, authorities)
    except Malformed as error:
        raise Refused(f"--log-key, --witness or --tsa: {error}") from error
