"""Settling what is over, or what never began, costs no more the longer the log is."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from keys.sealed import Header
from pipeline import write
from pipeline.artefact import INDEX, SETTINGS
from pipeline.audit import audit
from pipeline.erase import retire
from pipeline.session import acting
from pipeline.vault import Vault
from tests.household import clock, make, say


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return make(tmp_path)


def test_a_finished_retirement_is_not_looked_for_in_the_log_again(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it replaced may be as old as the vault: every command would read the log to there."""
    with acting(vault, clock):
        old, _ = (write.own(vault, SETTINGS, text) for text in (b"{}", b"{ }"))
        retire(vault, [old], clock)
    monkeypatch.setattr("pipeline.erase.read_back", None)
    say(vault, "more")


def test_what_began_at_once_and_is_not_in_the_log_is_settled_at_once(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crash before the log has them: all files are looked at for the first of them alone."""
    say(vault, "one")
    with acting(vault, clock), monkeypatch.context() as patch:
        patch.setattr(vault.log, "append", None)
        with pytest.raises(TypeError):
            write.own_all(vault, INDEX, [(b"a", ()), (b"b", ()), (b"c", ())])
    assert len(vault.disk.names(vault.capture)) == 3
    headers, looked = vault.headers, list[int]()

    def counted() -> Iterator[Header]:
        looked.append(1)
        return headers()

    monkeypatch.setattr(vault, "headers", counted)
    before = vault.log.size
    with acting(vault, clock):
        assert len(looked) == 1
        assert vault.disk.names(vault.capture) == []
        assert not any(vault.ring.liveness()[2:])
        assert vault.log.size == before
        assert audit(vault).problems == []
