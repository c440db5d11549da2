"""The options of what makes it at home on a machine: `doctor`, `events`, `completion`.

A part of the parser of `pipeline/cli.py`, which hands over how it adds a command.
"""

import argparse
from typing import Any

from pipeline.cli_terms import Add

SHELLS = ("bash", "zsh", "fish")


def add_home(commands: Any, add: Add) -> None:  # noqa: ANN401 - argparse has no public name for it
    """Adds `doctor`, `completion` and `events`."""
    it = add(commands, "doctor", "what weakens erasure on this machine, and what to do")
    it.add_argument("--fix", action="store_true", help="do what can be done without a risk")
    it = add(commands, "completion", "what a shell reads to complete commands and options")
    it.add_argument("shell", choices=SHELLS, help="for example: anechoic completion bash")
    it = add(commands, "events", "tell other programs what happens, as JSON lines without speech")
    since = "from this entry of the log on, instead of from now on"
    it.add_argument("--since", type=_entry, metavar="N", help=since)
    here = "end after those that there are, instead of with Ctrl-C"
    it.add_argument("--no-follow", dest="follow", action="store_false", help=here)


def _entry(text: str) -> int:
    if text.isdecimal():
        return int(text)
    raise argparse.ArgumentTypeError(f"expected the number of an entry, found {text!r}")
