"""The command `forget`: shows the plan, asks, erases, and writes the receipt.

A door over `forgetting`, with no logic of its own beyond asking and showing.
"""

import os
import shutil
import sys
from argparse import Namespace
from pathlib import Path

from keys.receipt import FAILED as NOT_ERASED
from pipeline import proofs, views
from pipeline.commands import DONE, FAILED, filter_of
from pipeline.errors import Refused
from pipeline.forgetting import Proposal, carry_out, propose
from pipeline.keep import chosen
from pipeline.opening import the_vault
from pipeline.select import Selection
from pipeline.session import acting, now
from pipeline.terminal import Terminal
from pipeline.vault import Vault
from pipeline.working import working


def forget(options: Namespace) -> int:
    """Shows the plan, asks, erases, and writes the receipt."""
    it = Terminal(as_json=options.json)
    _check_target(options.receipt)
    selection = _selection(options)
    vault = the_vault(options, it)
    proposal = _proposal(options, selection, vault, it)
    if options.dry_run:
        proofs.dry_run(it, proposal)
        return DONE
    if not options.yes and not _agreed(it):
        it.say("nothing was erased")
        return FAILED
    with working(it), acting(vault):
        done = carry_out(vault, proposal, now, options.keep)
    proofs.erasure(it, done)
    if options.receipt:
        shutil.copyfile(done.receipt, options.receipt)
    return FAILED if done.statement.verdict == NOT_ERASED else DONE


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
    which = filter_of(options)
    return Selection(tuple(options.ids), options.last, options.all, tuple(options.match), which)


def _proposal(options: Namespace, selection: Selection, vault: Vault, it: Terminal) -> Proposal:
    """Makes the plan and shows it to whoever looks; a program with --yes has no need of it."""
    shown = not (it.as_json and options.yes)
    with working(it), acting(vault):
        found = propose(vault, selection, now(), only_audio=bool(options.only), show=shown)
        chosen(found.keepable, options.keep)  # before anybody is asked
    if shown and not (it.as_json and options.dry_run):
        proofs.plan(it, found)
    views.unreadable(it, vault.unreadable)
    return found


def _agreed(it: Terminal) -> bool:
    if not sys.stdin.isatty():
        raise Refused("forget asks before it erases, and there is no terminal: add --yes")
    return it.ask("Erase this for ever? Type [bold]yes[/]:").lower() in {"yes", "y"}
