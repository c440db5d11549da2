"""The options of the command about skills, a part of the parser of `pipeline/cli.py`."""

from typing import Any

from pipeline.cli_terms import Add


def add_skills(commands: Any, add: Add) -> None:  # noqa: ANN401 - argparse has no public name for it
    """Adds `skills`."""
    what = "which skills there are, and what each would be given"
    acts = add(commands, "skills", what).add_subparsers(dest="act", metavar="list|ask|give-up")
    add(acts, "list", what)
    add(acts, "ask", "ask for the answers that pending receipts wait for")
    it = add(acts, "give-up", "wait for an answer no longer; the confirmation says so")
    it.add_argument("reference", metavar="REFERENCE", help="as `receipts` names it")
