"""Each command of BACKUP.md is one that a test runs, and what it names is in a vault."""

import re
from pathlib import Path

from tests.backup_home import BLOCKS, DOCUMENT, TOOLS
from tests.household import (
    forget,
    make,
    say,
)

PER_TOOL = {
    "Every day",
    "Which generations there are",
    "Take one out",
    "Is an anchor in it",
    "Throw one away",
    "The whole home",
}
ENCRYPTED = {"Settings", "Once"}
COMMON = {
    ("Bringing something back", "From any generation"),
    ("The day the disk dies", "Before"),
    ("The day the disk dies", "After"),
}


# The document itself


def test_each_command_of_the_document_is_one_that_is_run_here() -> None:
    expected = {(tool, part) for tool in TOOLS for part in PER_TOOL}
    expected |= {(tool, part) for tool in ("restic", "borg") for part in ENCRYPTED} | COMMON
    assert set(BLOCKS) == expected
    shown = re.findall(r"^\$ (.*)$", DOCUMENT, re.MULTILINE)
    not_run = [line for line in shown if line.endswith("# not run")]
    assert all(line.startswith("export ") for line in not_run)
    assert sum(map(len, BLOCKS.values())) == len(shown) - len(not_run)


def test_what_the_document_names_is_in_the_vault(tmp_path: Path) -> None:
    vault = make(tmp_path)
    forget(vault, *say(vault, "once"))
    listed = re.findall(r"^\| (`.*?`) \|", DOCUMENT, re.MULTILINE)
    named = set(re.findall(r"`([a-z.]+)/?`", " ".join(listed)))
    assert named == {path.name for path in vault.directory.iterdir()} - {"lock", "lock.queue"}
