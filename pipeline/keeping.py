"""The commands about where keys are kept: the anchors, and the mirrors of ring and log.

As in `pipeline/commands.py`, each opens the vault, calls the act, and shows the result.
"""

from argparse import Namespace
from collections.abc import Callable, Mapping

from pipeline import anchoring, logkey, views
from pipeline import mirrors as mirroring
from pipeline.commands import DONE
from pipeline.opening import apart, the_vault
from pipeline.session import acting
from pipeline.terminal import Terminal
from pipeline.vault import Vault


def anchor(options: Namespace) -> int:
    """Lists or changes the anchors; shows what they are then."""
    acts: Mapping[str, Callable[[Vault], None]] = {
        "list": lambda _: None,
        "add": lambda vault: anchoring.add(vault, options.spec, options.to),
        "remove": lambda vault: anchoring.remove(vault, options.name),
        "rotate": anchoring.rotate,
    }
    it = Terminal(as_json=options.json)
    vault = the_vault(options, it)
    with acting(vault):
        acts[options.act](vault)
        views.anchors(it, list(anchoring.anchors(vault)))
    return DONE


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
