"""The commands about where keys are kept: the anchors, and the mirrors of ring and log.

As in `pipeline/commands.py`, each opens the vault, calls the act, and shows the result.
"""

import sys
from argparse import Namespace
from collections.abc import Callable, Mapping
from functools import partial

from pipeline import anchoring, logkey, recovery, views
from pipeline import mirrors as mirroring
from pipeline.anchors import format_spec, parse_spec
from pipeline.commands import DONE, FAILED
from pipeline.errors import Refused
from pipeline.opening import apart, recovery_passphrase, the_vault
from pipeline.session import acting
from pipeline.terminal import Terminal
from pipeline.vault import Vault


def anchor(options: Namespace) -> int:
    """Lists or changes the anchors; shows what they are then."""
    acts: Mapping[str, Callable[[Vault], None]] = {
        "list": lambda _: None,
        "add": lambda vault: anchoring.add(vault, options.spec, options.to),
        "remove": lambda vault: _remove(vault, options),
        "rotate": anchoring.rotate,
        "recovery": lambda vault: _copy(vault, options),
    }
    it = Terminal(as_json=options.json)
    vault = the_vault(options, it)
    if options.act == "recovery" and options.source:
        spec = format_spec(parse_spec(options.anchor))
        recovery.use_copy(vault, options.source, recovery_passphrase, spec)
        it.say("this vault opens again; what had been lost stays awaited until it is destroyed")
    elif options.act == "recovery" and not _is_agreed(it, vault, options):
        it.say("nothing was written")
        return FAILED
    else:
        with acting(vault):
            acts[options.act](vault)
    with acting(vault):  # which first confirms the receipts that waited for what was changed
        views.anchors(it, list(anchoring.anchors(vault)))
    return DONE


def _remove(vault: Vault, options: Namespace) -> None:
    if options.destroyed:
        recovery.swear(vault, options.name)
    else:
        anchoring.remove(vault, options.name)


def _copy(vault: Vault, options: Namespace) -> None:
    ask = partial(recovery_passphrase, is_new=True) if options.passphrase else None
    recovery.write_copy(vault, options.target, ask)


def _is_agreed(it: Terminal, vault: Vault, options: Namespace) -> bool:
    """Says what follows from a recovery copy, and asks whether it is wanted all the same."""
    with acting(vault):
        epoch = vault.ring.epoch
    it.say(
        f"Whoever has this file, and any copy of the ring of epoch {epoch}, opens all that is live "
        "now, also after you have erased it here. Every receipt of it is [yellow]pending[/] until "
        "you have destroyed the file and said so: anechoic anchor remove NAME --destroyed"
    )
    if options.yes:
        return True
    if not sys.stdin.isatty():
        raise Refused("a recovery copy is asked about first, and here is no terminal: add --yes")
    return it.ask("Write it? Type [bold]yes[/]:").lower() in {"yes", "y"}


def log_key(options: Namespace) -> int:
    """Shows or changes the key of the log."""
    it = Terminal(as_json=options.json)
    vault = the_vault(options, it)
    with acting(vault):
        if options.act == "rotate":
            logkey.rotate(vault, ml_dsa=options.ml_dsa)
        second = logkey.second_signer(vault)
        keys = [signer.verifier.format() for signer in (logkey.signer(vault), second) if signer]
        views.log_key(it, keys, logkey.settle(vault))
    return DONE


def mirror(options: Namespace) -> int:
    """Lists or changes the mirrors; shows what they are then."""
    it = Terminal(as_json=options.json)
    vault = the_vault(options, it)
    with acting(vault):
        if options.act == "add":
            mirroring.add_mirror(vault, options.directory, apart(options)[1])
        elif options.act == "remove":
            mirroring.remove_mirror(vault, options.directory)
        views.mirrors(it, list(mirroring.mirrors(vault)))
    return DONE
