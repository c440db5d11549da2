"""`skills allow` and `skills withdraw`: one line of `skills.toml` changes, or none."""

import os
import tomllib
from pathlib import Path
from unittest import mock

import pytest

from pipeline.errors import NotFound, Refused
from pipeline.skills.allowing import set_allowed
from pipeline.skills.configuration import read_configuration
from tests.commandline import Shell


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ANECHOIC_CONFIG_DIR", str(tmp_path / "config"))
    (tmp_path / "config").mkdir()
    return tmp_path / "config" / "skills.toml"


@pytest.mark.parametrize(
    "before",
    [
        "",
        "[order]",
        "[order]\nenabled = false  # for now\n",
        "[ride]\nenabled = true\n[order]\nurl = 'http://127.0.0.1:1'\n",
        "# nothing\n[ order ]  # mine\n\n[ride]\n",
        '["order"]\nenabled=true\n',
        "[ride]\nagent = '[order]'",
    ],
)
def test_nothing_but_the_wish_changes(file: Path, before: str) -> None:
    file.write_text(before)
    for is_allowed in (True, True, False, True):
        set_allowed("order", is_allowed=is_allowed)
        found, were = tomllib.loads(file.read_text()), tomllib.loads(before)
        assert found.pop("order")["enabled"] is is_allowed
        assert read_configuration()["order"].enabled is is_allowed
        assert found == {name: table for name, table in were.items() if name != "order"}
        assert [line for line in before.splitlines() if line.startswith("#")] == [
            line for line in file.read_text().splitlines() if line.startswith("#")
        ]


@pytest.mark.parametrize(
    "before",
    [
        "order = { enabled = false }\n",
        "order.enabled = false\n",
        "[order]\nurl = '''\nenabled = false\n'''\n",
        "[order]\nenabled = false\nurl = 'nowhere at all'\n",
    ],
)
def test_what_it_cannot_be_sure_of_stays_as_it_is(file: Path, before: str) -> None:
    file.write_text(before)
    with pytest.raises(Refused):
        set_allowed("order", is_allowed=True)
    assert file.read_text() == before


def test_its_mode_and_a_link_stay(file: Path, tmp_path: Path) -> None:
    theirs = tmp_path / "dotfiles.toml"
    theirs.write_text("[order]\n")
    theirs.chmod(0o640)
    file.symlink_to(theirs)
    set_allowed("order", is_allowed=True)
    assert file.is_symlink()
    assert theirs.stat().st_mode & 0o777 == 0o640
    assert "enabled = true" in theirs.read_text()


def test_a_place_that_cannot_be_written_is_said(file: Path) -> None:
    file.write_text("[order]\n")
    refused = OSError(30, "Read-only file system")
    with (
        mock.patch("pipeline.skills.allowing.replace_file", side_effect=refused),
        pytest.raises(Refused, match="cannot be written"),
    ):
        set_allowed("order", is_allowed=True)
    assert file.read_text() == "[order]\n"


def test_a_new_file_is_private(file: Path) -> None:
    os.umask(0o022)
    set_allowed("order", is_allowed=True)
    assert file.stat().st_mode & 0o777 == 0o600


def test_what_is_not_installed_is_not_allowed(file: Path) -> None:
    with pytest.raises(NotFound):
        set_allowed("teleport", is_allowed=True)
    assert not file.exists()


def test_the_commands(tmp_path: Path) -> None:
    shell = Shell(tmp_path).having(ANECHOIC_CONFIG_DIR=str(tmp_path / "config"))
    assert "order, enabled" in shell("skills", "allow", "order").out
    assert "order, not enabled" in shell("skills", "withdraw", "order").out
    assert shell("skills", "allow", "teleport").code == 3
