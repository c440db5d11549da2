"""A scratch home with three interactions, for the tests of the command line.

Nothing is tested here.
"""

import re
from pathlib import Path

import pytest

from tests.commandline import Shell

PIZZA = "order a large pizza with mushrooms"
DOCTOR = "the doctor said my blood pressure is high"
MOON = "why does the moon follow us"
ID = re.compile(r"[0-9a-f]{32}")
RFC_3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    home = tmp_path / "home"
    home.mkdir()
    return Shell(home)


@pytest.fixture
def ids(shell: Shell) -> list[str]:
    return shell.say(PIZZA, DOCTOR, MOON)


def forgotten(shell: Shell, *words: str | Path) -> Path:
    """Forgets and returns the receipt."""
    target = shell.home / "a.receipt"
    document = shell.json("forget", *words, "--yes", "--receipt", target)
    assert document["verdict"] == "confirmed"
    return target
