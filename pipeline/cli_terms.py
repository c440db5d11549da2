"""The options of the commands about for whom and how long, and of `serve`, which sees to it.

A part of the parser of `pipeline/cli.py`, which hands over how it adds a command.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipeline.cli_hearing import add_hearing, add_model

WEB = "127.0.0.1:7532"
_D = "30m, 1h, 7d, 2w, 1y, forever or none"

Add = Callable[[Any, str, str], argparse.ArgumentParser]


def add_terms(commands: Any, add: Add) -> None:  # noqa: ANN401 - argparse has no public name for it
    """Adds `retention`, `profile` and `serve`."""
    _add_retention(commands, add)
    _add_profile(commands, add)
    _add_serve(commands, add)


def _add_serve(commands: Any, add: Add) -> None:  # noqa: ANN401
    it = add(commands, "serve", "do what is to be done when nobody runs a command, until Ctrl-C")
    web = "a page for your browser, at an address of this machine (default 127.0.0.1:7532)"
    it.add_argument("--web", nargs="?", const=WEB, metavar="HOST:PORT", help=web)
    wyoming = "speech-to-text for Home Assistant at an address such as tcp://127.0.0.1:10300"
    it.add_argument("--wyoming", metavar="URI", help=wyoming)
    heard = "hear a microphone too, showing what is said on the page alone"
    it.add_argument("--listen", action="store_true", help=heard)
    add_hearing(it)
    it.add_argument("--announce", action="store_true", help="tell the local network of it")
    it.add_argument("--ephemeral", action="store_true", help="store nothing of what it hears")
    it.add_argument("--profile", metavar="P", help="for whom it hears")
    add_model(it)


def _add_retention(commands: Any, add: Add) -> None:  # noqa: ANN401
    it = add(commands, "retention", "show or set how long what is captured is kept")
    acts = it.add_subparsers(dest="act", metavar="show|set", required=True)
    add(acts, "show", "for how long, for whom, and what falls due next")
    it = add(acts, "set", "set limits; they hold for what is captured from then on")
    it.add_argument("--profile", metavar="P", help="for this profile, and not for everybody")
    it.add_argument("--audio", metavar="D", help=f"the sound: {_D}")
    it.add_argument("--words", metavar="D", help="everything else, and the sound at the latest")
    it.add_argument("--sensitive", metavar="D", help="what holds words about health, or yours")
    words = "your own sensitive words, one a line, instead of those so far (- for standard input)"
    it.add_argument("--sensitive-words", type=Path, metavar="FILE", help=words)
    it.add_argument(
        "--inactive", metavar="D", help="erase a child's when nothing comes for so long"
    )
    it.add_argument(
        "--consent-by", metavar="WHO", help="the guardian who agrees to a child's limits"
    )
    existing = "what was captured before gets these limits too, where they are shorter"
    it.add_argument("--existing", action="store_true", help=existing)
    it.add_argument("--yes", action="store_true", help="do not ask, whatever that erases at once")
    anew = "begin with none: for settings that are lost, and of which there is no copy"
    it.add_argument("--anew", action="store_true", help=anew)
    believe = "the clock is right, though it has leapt ahead by more than a week"
    it.add_argument("--believe-clock", action="store_true", help=believe)


def _add_profile(commands: Any, add: Add) -> None:  # noqa: ANN401
    it = add(commands, "profile", "list, add or remove profiles: whose interactions there are")
    acts = it.add_subparsers(dest="act", metavar="list|add|unbind|remove", required=True)
    add(acts, "list", "each profile, its limits, its consent")
    it = add(acts, "add", "add a profile, or consent or a microphone to one")
    it.add_argument("name", metavar="NAME")
    it.add_argument("--child", action="store_true", help="no audio, short limits, needs consent")
    it.add_argument("--consent-by", metavar="WHO", help="the guardian who agrees; it is recorded")
    it.add_argument("--device", metavar="NAME", help="a microphone that hears this profile only")
    it = add(acts, "unbind", "have a microphone hear everybody again")
    it.add_argument("name", metavar="NAME")
    it.add_argument("--device", metavar="NAME", help="as it was bound (default: all of them)")
    it = add(acts, "remove", "remove a profile, and what was captured for it or not")
    it.add_argument("name", metavar="NAME")
    what = it.add_mutually_exclusive_group()
    what.add_argument("--forget", action="store_true", help="erase its interactions")
    what.add_argument("--keep", action="store_true", help="leave them, with the limits they have")
    it.add_argument("--yes", action="store_true", help="do not ask")
