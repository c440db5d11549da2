"""What no backup has stops no command, and can be forgotten too."""

from pathlib import Path

import pytest

from keys.model import InteractionId
from pipeline.history import one
from pipeline.session import acting
from pipeline.vault import Vault
from tests.commandline import Shell
from tests.household import (
    clock,
    forget,
    make,
    say,
)


def one_lost(base: Path) -> tuple[Vault, InteractionId, InteractionId]:
    """Returns a vault, an interaction that is in it, and one of which no backup had the files."""
    vault = make(base)
    kept, lost = say(vault, "in the backup", "said after the last backup")
    with acting(vault, clock):
        for artefact in vault.artefacts(lost):
            artefact.path.unlink()
    return vault, kept, lost


@pytest.mark.parametrize(
    "command", ["history", "search backup", "forget --all --yes", "forget LOST --yes"]
)
def test_what_no_backup_has_stops_no_command(tmp_path: Path, command: str) -> None:
    """It must be possible to forget it too: somebody may find the disk that died."""
    _, _, lost = one_lost(tmp_path)
    done = Shell(tmp_path)(*command.replace("LOST", lost.hex()).split())
    assert done.code == 0, done.err


def test_beside_what_no_backup_has_the_rest_can_be_shown_and_forgotten(tmp_path: Path) -> None:
    vault, kept, lost = one_lost(tmp_path)
    with acting(vault, clock):
        assert one(vault, kept, "show").text == "in the backup"
    assert forget(vault, kept).statement.verdict == "confirmed"
    with acting(vault, clock):
        assert list(vault.interactions()) == [lost]
