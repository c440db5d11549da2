"""One function for each command: opens the vault, calls the act, shows the result.

No logic of its own beyond asking and showing: whatever changes a vault is in the modules called.
Each takes the parsed options and returns the exit code.
"""

import os
import shutil
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from keys.copies import UNKNOWN, find_sealed
from keys.errors import AnchorFailure, Erased, KeysError, Malformed
from keys.note import VerifierKey
from keys.receipt import CONFIRMED
from keys.verify import Outcome, as_json, explain, states, verify_file
from pipeline import audit as auditing
from pipeline import erase, machine, places, proofs, share, views
from pipeline import history as looking
from pipeline import restore as restoring
from pipeline.errors import Refused
from pipeline.plan import Plan, make_plan, plan_ids
from pipeline.select import Selection, parse_time, select
from pipeline.session import acting, create_vault, exists, now, open_vault
from pipeline.terminal import Terminal, safe
from pipeline.vault import Vault

DONE, FAILED, DOES_NOT_VERIFY = 0, 1, 5


def init(options: Namespace) -> int:
    """Makes a vault."""
    it = Terminal(as_json=options.json)
    directory, anchors = _apart(options)
    passphrase = _new_passphrase() if options.passphrase else None
    vault = create_vault(directory, anchors, options.anchor, passphrase)
    views.vault_made(it, vault)
    return DONE


def ingest(options: Namespace) -> int:
    """Hears files and folders, and seals what was said."""
    from pipeline import models
    from pipeline.ingest import Request
    from pipeline.listening import ingesting
    from pipeline.recognisers import Recognisers

    it = Terminal(as_json=options.json)
    model = models.find(options.model)
    with Recognisers(model, options.jobs) as recognisers:  # before a key is in memory: they fork
        vault = _vault(options, it)
        request = Request(tuple(options.paths), options.profile, model.name)
        try:
            bad = ingesting(it, vault, request, recognisers)
        except KeyboardInterrupt:
            with acting(vault):  # settles what was half made
                raise
    return FAILED if bad else DONE


def history(options: Namespace) -> int:
    """Lists interactions."""
    it = Terminal(as_json=options.json)
    which = _filter(options)
    vault = _vault(options, it)
    with acting(vault):
        found = looking.history(vault, which, options.limit)
    views.rows(it, found)
    return DONE


def search(options: Namespace) -> int:
    """Finds interactions by their words."""
    it = Terminal(as_json=options.json)
    vault = _vault(options, it)
    with acting(vault):
        found = looking.search(vault, options.words)
    views.rows(it, found)
    return DONE


def show(options: Namespace) -> int:
    """Shows one interaction."""
    it = Terminal(as_json=options.json)
    vault = _vault(options, it)
    with acting(vault):
        found = looking.detail(vault, vault.resolve(options.id))
    views.detail(it, found)
    return DONE


def play(options: Namespace) -> int:
    """Plays one interaction."""
    it = Terminal(as_json=options.json)
    vault = _vault(options, it)
    with acting(vault):
        interaction = vault.resolve(options.id)
        pcm = share.audio(vault, interaction)
        vault.note("read", "play", [interaction])
    share.play(pcm)
    views.played(it, interaction, len(pcm))
    return DONE


def export(options: Namespace) -> int:
    """Copies one interaction into a folder."""
    it = Terminal(as_json=options.json)
    vault = _vault(options, it)
    with acting(vault):
        row = looking.one(vault, vault.resolve(options.id), "export")
        if options.plain:
            paths = share.export_plain(vault, row, options.to, now())
        else:
            paths = share.export_sealed(row, options.to)
    views.exported(it, row, paths, plain=options.plain)
    return DONE


def forget(options: Namespace) -> int:
    """Shows the plan, asks, erases, and writes the receipt."""
    it = Terminal(as_json=options.json)
    _check_target(options.receipt)
    selection = _selection(options)
    vault = _vault(options, it)
    plan = _plan(options, selection, vault, it)
    if options.dry_run:
        proofs.dry_run(it, plan)
        return DONE
    if not options.yes and not _agreed(it):
        it.say("nothing was erased")
        return FAILED
    with acting(vault):
        # Planned again under the same lock as the erasure: what was erased meanwhile drops out.
        ids, only_audio = plan_ids(plan), bool(options.only)
        plan = _still_to_do(make_plan(vault, ids, plan.requested_at, only_audio=only_audio))
        done = erase.erase(vault, plan, now)
    proofs.erasure(it, done)
    if options.receipt:
        shutil.copyfile(done.receipt, options.receipt)
    return DONE if done.statement.verdict == CONFIRMED else FAILED


def verify(options: Namespace) -> int:
    """Checks receipts without a vault; where there is one, tells live from unknown as well."""
    it = Terminal(as_json=options.json)
    given = _log_key(options.log_key) if options.log_key else None
    outcomes = [verify_file(path, given) for path in options.receipts]
    vault = _vault_if_any(options, it)
    if vault:
        with acting(vault):
            outcomes = [_against(vault, outcome, given) for outcome in outcomes]
    copies = [row for path in options.copy for row in states(find_sealed(path), outcomes)]
    if vault:
        with acting(vault):
            copies = _states_in(vault, options.copy, dict(copies))
    lines = [line for outcome in outcomes for line in _explained(vault, outcome, given)]
    proofs.verdicts(it, [as_json(o) for o in outcomes], lines, copies)
    return DONE if all(o.verified for o in outcomes) else DOES_NOT_VERIFY


def audit(options: Namespace) -> int:
    """Audits the whole vault."""
    it = Terminal(as_json=options.json)
    vault = _vault(options, it)
    with acting(vault):
        result = auditing.audit(vault)
        copies = _states_in(vault, options.copy, {})
        epoch, key = vault.ring.epoch, vault.signer().verifier.format()
    proofs.audit(it, result, copies, epoch=epoch, log_key=key)
    return DOES_NOT_VERIFY if result.problems else DONE


def receipts(options: Namespace) -> int:
    """Lists all receipts with their verdicts."""
    it = Terminal(as_json=options.json)
    vault = _vault(options, it)
    with acting(vault):
        key = vault.signer().verifier
    found = [verify_file(path, key) for path in sorted(vault.receipts.glob("*.receipt"))]
    proofs.receipts(it, found)
    return DONE if all(outcome.verified for outcome in found) else DOES_NOT_VERIFY


def restore(options: Namespace) -> int:
    """Brings sealed files back from an old copy: what is live opens, what was erased stays dead."""
    it = Terminal(as_json=options.json)
    vault = _vault(options, it)
    with acting(vault):
        found = list(restoring.restore(vault, options.copy))
    proofs.restored(it, found)
    return FAILED if any(row.state == restoring.DAMAGED for row in found) else DONE


def doctor(options: Namespace) -> int:
    """Says what weakens erasure on this machine, and what to do."""
    from pipeline.doctor import findings

    it = Terminal(as_json=options.json)
    found = findings(places.vault_directory(options.vault), places.anchor_directory())
    views.findings(it, found)
    return FAILED if any(finding.state == machine.BAD for finding in found) else DONE


def model(options: Namespace) -> int:
    """Lists or fetches recognition models."""
    from pipeline import models

    it = Terminal(as_json=options.json)
    if options.act == "list":
        installed = {found.model.name: found.path for found in models.installed()}
        named = os.environ.get(models.VARIABLE)
        views.models(it, models.MODELS, installed, Path(named) if named else None)
        return DONE
    views.fetched(it, views.fetching(it, options.name))
    return DONE


def demo(options: Namespace) -> int:
    """Tells the whole story on the samples, in a vault of its own that is gone afterwards."""
    from pipeline import models
    from pipeline.demo import run

    return run(Terminal(as_json=options.json), models.find(None))


def _apart(options: Namespace) -> tuple[Path, Path]:
    """Returns where the vault and its anchor belong; raises `Refused` for one inside the other."""
    directory, anchors = places.vault_directory(options.vault), places.anchor_directory()
    if anchors.resolve().is_relative_to(directory.resolve()):
        raise Refused(
            f"the anchor directory {anchors} is inside the vault {directory}, so every copy of the "
            "vault would carry the means to revive what was erased: set ANECHOIC_ANCHOR_DIR to a "
            "place outside it"
        )
    return directory, anchors


def _vault(options: Namespace, it: Terminal) -> Vault:
    directory, anchors = _apart(options)
    if exists(directory):
        return open_vault(directory, anchors, _ask_passphrase)
    vault = create_vault(directory, anchors)
    it.say(safe(f"made a new vault in {directory}, its anchor in {anchors}"))
    return vault


def _vault_if_any(options: Namespace, it: Terminal) -> Vault | None:
    """Returns the vault if there is one that opens: a verdict does not depend on it."""
    directory = places.vault_directory(options.vault)
    if not exists(directory):
        return None
    try:
        vault = open_vault(directory, places.anchor_directory(), _ask_passphrase)
        with acting(vault):
            return vault
    except KeysError as error:
        it.say(safe(f"the vault here does not open, so only the receipts are asked ({error})"))
        return None


def _against(vault: Vault, outcome: Outcome, given: VerifierKey | None) -> Outcome:
    """Holds a receipt of this vault against this vault's own log key, unless one was given."""
    mine = _is_of(vault, outcome)
    return verify_file(outcome.path, vault.signer().verifier) if mine and not given else outcome


def _is_of(vault: Vault, outcome: Outcome) -> bool:
    return bool(outcome.verified and outcome.verified.statement.vault == vault.id.hex())


def _explained(vault: Vault | None, outcome: Outcome, given: VerifierKey | None) -> list[str]:
    """Returns the verdict's lines, with whose word the log key is."""
    if given or not vault or not _is_of(vault, outcome):
        return explain(outcome, key_was_given=given is not None)
    ours, own = "(given by you)", "(of the vault here)"
    lines = explain(outcome, key_was_given=True)
    return [it.replace(ours, own) if it.startswith("  log key") else it for it in lines]


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


def _check_target(receipt: Path | None) -> None:
    """Raises `Refused` where the receipt could not be written: before anything is erased."""
    if receipt is None:
        return
    place = receipt if receipt.exists() else receipt.absolute().parent
    if receipt.is_dir() or not place.exists() or not os.access(place, os.W_OK):
        raise Refused(
            f"--receipt {receipt}: expected a file that can be written, in a folder that is there; "
            "nothing was erased"
        )


def _selection(options: Namespace) -> Selection:
    which = _filter(options)
    return Selection(tuple(options.ids), options.last, options.all, tuple(options.match), which)


def _plan(options: Namespace, selection: Selection, vault: Vault, it: Terminal) -> Plan:
    """Makes the plan and shows it to whoever looks; a program with --yes has no need of it."""
    only_audio, shown = bool(options.only), not (it.as_json and (options.yes or options.dry_run))
    with acting(vault):
        meant = select(vault, selection)
        plan = _still_to_do(make_plan(vault, meant, now(), only_audio=only_audio))
        rows = looking.some(vault, plan_ids(plan), "plan") if shown else []
    if shown:
        proofs.plan(it, plan, rows, only_audio=only_audio)
    return plan


def _still_to_do(plan: Plan) -> Plan:
    if not plan.erased:
        raise Erased("nothing of what is meant is left: it has been erased already")
    return plan


def _agreed(it: Terminal) -> bool:
    if not sys.stdin.isatty():
        raise Refused("forget asks before it erases, and there is no terminal: add --yes")
    return it.ask("Erase this for ever? Type [bold]yes[/]:").lower() in {"yes", "y"}


def _filter(options: Namespace) -> looking.Filter:
    since = parse_time(options.since) if options.since else None
    until = parse_time(options.until) if options.until else None
    return looking.Filter(since, until, options.profile)


def _ask_passphrase() -> bytearray:
    given = os.environ.get("ANECHOIC_PASSPHRASE")
    if given is None and not sys.stdin.isatty():
        raise AnchorFailure(
            "this vault has a passphrase: set ANECHOIC_PASSPHRASE, or run this in a terminal"
        )
    return bytearray((given if given is not None else _typed("Passphrase: ")).encode())


def _new_passphrase() -> bytearray:
    first = _ask_passphrase()
    if not first:
        raise Refused("the passphrase is empty; nothing was made")
    if "ANECHOIC_PASSPHRASE" not in os.environ and _typed("Again: ").encode() != first:
        raise Refused("the two passphrases differ; nothing was made")
    return first


def _typed(prompt: str) -> str:
    import getpass

    try:
        return getpass.getpass(prompt)
    except EOFError:
        return ""
