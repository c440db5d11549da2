"""The options of the assistant's commands: `ask`, `agenda`.

A part of the parser of `pipeline/cli.py`, which hands over how it adds a command.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

Add = Callable[[Any, str, str], argparse.ArgumentParser]


def add_assistant(commands: Any, add: Add) -> None:  # noqa: ANN401 - argparse has no public name
    """Adds `ask` and `agenda`."""
    it = add(commands, "ask", "answer what you type, or what standard input holds, as if spoken")
    it.add_argument("--profile", default="default", metavar="P", help="for whom")
    it.add_argument("--aloud", action="store_true", help="say the answers: by espeak-ng or flite")
    it = add(commands, "agenda", "list timers, alarms, reminders, the calendar and lists")
    it.add_argument("--ics", type=Path, metavar="FILE", help="write the calendar as iCalendar")
    it.add_argument("--plain", action="store_true", help="with --ics: readable by anyone")
