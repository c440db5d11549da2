"""Nothing enters a vault but through retention, and no act passes it by."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline import retention
from pipeline.artefact import SETTINGS
from pipeline.audit import audit
from pipeline.errors import SettingsLost
from pipeline.session import acting
from tests.retention_home import (
    LIGHT,
    PIPELINE,
    Home,
    home,
)

__all__ = ["home"]


def calls(path: Path) -> Iterator[str]:
    """Yields `module.function` of every call in a file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield f"{ast.unparse(node.func.value)}.{node.func.attr}"


WRITES = {"write.create", "write.begin", "write.finish"}


def test_no_interaction_enters_but_through_retention() -> None:
    """The control is `retention.py` itself, in which the same look finds all three."""
    assert set(calls(PIPELINE / "retention.py")) >= WRITES
    for path in PIPELINE.rglob("*.py"):
        if path.name != "retention.py":
            assert not WRITES & set(calls(path)), f"{path.name} lets in what no profile allowed"


def test_no_lock_is_taken_for_an_act_but_where_retention_is_enforced() -> None:
    """So no command can forget it: whoever wants to act on a vault must take its lock.

    What makes a vault, and what opens one that has lost its anchors, is no act on one yet; mending
    the files beside it opens none.
    """
    takers = {path.name for path in PIPELINE.rglob("*.py") if takes_lock(path)}
    assert takers - {"recovery.py", "mending.py"} == {"session.py"}
    (acts,) = (
        node
        for node in ast.walk(ast.parse((PIPELINE / "session.py").read_text()))
        if isinstance(node, ast.FunctionDef) and node.name == "acting"
    )
    assert "retention.enforce(vault, clock)" in ast.unparse(acts)


def takes_lock(path: Path) -> bool:
    lines = path.read_text().splitlines()
    return any("locked(" in line and '"lock"' in line for line in lines)


def test_what_stops_retention_is_told_and_not_passed_over(home: Home) -> None:
    """Settings that are damaged: who captures, checks or serves is told, and none goes for none."""
    home.wish(words="1h")
    (owner,) = home.vault.owned(SETTINGS)
    (artefact,) = home.vault.artefacts(owner)
    data = bytearray(artefact.path.read_bytes())
    data[-1] ^= 1
    artefact.path.write_bytes(data)
    with pytest.raises(SettingsLost):
        home.say(LIGHT)
    with acting(home.vault, home.time):
        assert "damaged" in str(retention.doubt(home.vault, home.time))
        assert any("settings of this vault are damaged" in it for it in audit(home.vault).problems)
