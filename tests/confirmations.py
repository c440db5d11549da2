"""An erasure made while the second anchor, a stick, is away, and confirmed when it is back.

Nothing is tested here.
"""

from pathlib import Path

import pytest

from keys.receipt import PENDING
from pipeline.erase import Erasure
from pipeline.session import acting
from pipeline.vault import Vault
from tests.household import (
    forget,
)
from tests.test_pending import Stick

LATER = "2026-04-01T12:00:00Z"


@pytest.fixture
def stick(tmp_path: Path) -> Stick:
    return Stick(tmp_path)


@pytest.fixture
def done(stick: Stick) -> Erasure:
    stick.pull_out()
    return forget(stick.vault(), stick.dead)


@pytest.fixture
def vault(stick: Stick, done: Erasure) -> Vault:
    """The vault after the stick has come back: the receipt is confirmed."""
    assert done.statement.verdict == PENDING
    stick.put_in()
    vault = stick.vault()
    with acting(vault, lambda: LATER):
        return vault


@pytest.fixture
def confirmed(vault: Vault, done: Erasure) -> Erasure:
    """The erasure whose receipt has been confirmed since."""
    assert vault.receipts == done.receipt.parent
    return done


def names(vault: Vault) -> list[str]:
    return sorted(path.name for path in vault.receipts.iterdir())


def files(done: Erasure) -> tuple[Path, Path]:
    return done.receipt, done.receipt.with_suffix(".confirmed")
