"""`completion`: what a shell has to read so that it completes the commands and options of this one.

Made from the parser, so nothing is missing in it and nothing is made up; files and folders are
completed where one is expected. It holds names of options alone: no id, no word, no path.
"""

import argparse
import sys
from argparse import Namespace
from collections.abc import Iterator

import shtab

from pipeline import cli_options

DONE = 0
_FOLDERS, _FILES = {"DIR"}, {"FILE", "PATH", "RECEIPT", "COPY", "PEM", "NAME|PATH"}


def completion(options: Namespace) -> int:
    """Writes the completion for a shell."""
    sys.stdout.write(completed(options.shell))
    return DONE


def completed(shell: str) -> str:
    """Returns the completion for `bash`, `zsh` or `fish`."""
    parser = cli_options.parser()
    for action in _actions(parser):
        if action.metavar in _FOLDERS:
            action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]
        elif action.metavar in _FILES:
            action.complete = shtab.FILE  # type: ignore[attr-defined]
    return shtab.complete(parser, shell)


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in parser._actions:  # noqa: SLF001 - argparse has no public way to them
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            for inner in action.choices.values():
                yield from _actions(inner)
        else:
            yield action
