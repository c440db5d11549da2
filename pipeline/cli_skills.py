"""The options of the command about skills, a part of the parser of `pipeline/cli.py`."""

from typing import Any

from pipeline.cli_terms import Add


def add_skills(commands: Any, add: Add) -> None:  # noqa: ANN401 - argparse has no public name for it
    """Adds `skills`."""
    what = "which skills there are, and what each would be given"
    acts = add(commands, "skills", what).add_subparsers(dest="act", metavar="ACT")
    add(acts, "list", what)
    for act, does in (
        ("allow", "let a skill be used: what it is given leaves, as the list says"),
        ("withdraw", "let a skill be used no more"),
    ):
        add(acts, act, does).add_argument("name", metavar="NAME", help="as in the list")
    add(acts, "ask", "ask for the answers that pending receipts wait for")
    it = add(acts, "give-up", "wait for an answer no longer; the confirmation says so")
    it.add_argument("reference", metavar="REFERENCE", help="as `receipts` names it")
