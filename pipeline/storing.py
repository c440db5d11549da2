"""The command about stores: copies of the sealed files in other places.

As in `pipeline/commands.py`, it opens the vault, calls the act, and shows the result.
"""

from argparse import Namespace

from pipeline import store as stores
from pipeline.commands import DONE, FAILED
from pipeline.opening import the_vault
from pipeline.terminal import Column, Terminal


def store(options: Namespace) -> int:
    """Brings a store up to date; fails where it keeps what is dead."""
    it = Terminal(as_json=options.json)
    vault = the_vault(options, it)
    found = [row.state for row in stores.sync(vault, options.url)]
    counts = {state: found.count(state) for state in stores.STATES}
    if it.as_json:
        it.document({"store": options.url, "files": counts})
    else:
        rows = [(state, str(number)) for state, number in counts.items()]
        it.table([Column("files"), Column("count", right=True)], rows)
    if counts[stores.KEPT]:
        it.problem("the store did not delete all that is dead: what it keeps opens for nobody")
    return FAILED if counts[stores.KEPT] else DONE
