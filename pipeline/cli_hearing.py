"""The options of whatever hears: the microphone, the model, and where an utterance ends.

A part of the parser of `pipeline/cli.py`, shared by the commands that hear, so that one option
means the same in all of them.
"""

import argparse


def positive(text: str) -> int:
    """Parses a number from 1; raises `ArgumentTypeError`."""
    if text.isdecimal() and int(text) > 0:
        return int(text)
    raise argparse.ArgumentTypeError(f"expected a number from 1, found {text!r}")


def add_hearing(it: argparse.ArgumentParser) -> None:
    """Adds which microphone is heard, from when on, and where what is said ends."""
    it.add_argument("--device", metavar="NAME", help="a microphone, by its name or a part of it")
    it.add_argument("--wake", metavar="WORD", help="hear only what follows it: hey jarvis, …")
    pause = "silence that ends an utterance (default 416)"
    it.add_argument("--pause", type=positive, metavar="MS", help=pause)


def add_model(it: argparse.ArgumentParser) -> None:
    """Adds what recognises, and whether it knows a few sentences only."""
    what = "a model that `model list` shows, or a folder (or ANECHOIC_MODEL, or the vault's)"
    it.add_argument("--model", metavar="NAME|PATH", help=what)
    what = "hear only these sentences and words, a line each; or `assistant`: what it understands"
    it.add_argument("--vocabulary", metavar="FILE", help=what)
