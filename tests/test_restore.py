"""Sealed files come back from any old copy; what was erased, damaged or foreign does not."""

import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from pipeline.audit import audit
from pipeline.restore import restore
from pipeline.session import acting
from pipeline.vault import Vault
from tests.household import assert_whole, clock, forget, make, say

TEXTS = ("the first of three", "the second of three", "the third of three")


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return make(tmp_path)


def copied(vault: Vault, form: str) -> Path:
    """Makes a copy of the whole vault: a folder, or a tar file."""
    base = vault.directory.parent
    if form == "folder":
        return Path(shutil.copytree(vault.directory, base / "copy"))
    path = base / f"copy.{form}"
    args = ["tar", "-C", str(base), "--auto-compress", "-cf", str(path), vault.directory.name]
    subprocess.run(args, check=True)
    return path


def restored(vault: Vault, copy: Path) -> Counter[str]:
    with acting(vault, clock):
        return Counter(row.state for row in restore(vault, copy))


def lose_files(vault: Vault) -> None:
    with acting(vault, clock):
        for path in list(vault.paths()):
            path.unlink()


@pytest.mark.parametrize("form", ["folder", "tar", "tar.gz", "tar.xz"])
def test_the_living_come_back_and_the_erased_stay_dead(vault: Vault, form: str) -> None:
    ids = say(vault, *TEXTS)
    copy = copied(vault, form)
    forget(vault, ids[1])
    lose_files(vault)
    assert restored(vault, copy) == {"restored": 6, "erased": 3}
    with acting(vault, clock):
        assert_whole(vault, ids[0], TEXTS[0])
        assert_whole(vault, ids[2], TEXTS[2])
        assert not vault.artefacts(ids[1])
        assert not audit(vault).problems
    assert restored(vault, copy) == {"present": 6, "erased": 3}


def test_a_copy_of_another_vault_is_unknown(vault: Vault, tmp_path: Path) -> None:
    say(vault, TEXTS[0])
    other = make(tmp_path / "other")
    say(other, TEXTS[1])
    assert restored(vault, other.directory) == {"unknown": 3}


def test_a_damaged_copy_does_not_replace_what_is_good(vault: Vault) -> None:
    (only,) = say(vault, TEXTS[0])
    copy = copied(vault, "folder")
    for path in (copy / "sealed").rglob("*.*"):
        path.write_bytes(path.read_bytes()[:-1] + b"?")
    assert restored(vault, copy) == {"damaged": 3}
    with acting(vault, clock):
        assert_whole(vault, only, TEXTS[0])


def test_a_good_copy_replaces_what_is_damaged(vault: Vault) -> None:
    (only,) = say(vault, TEXTS[0])
    copy = copied(vault, "folder")
    with acting(vault, clock):
        victim = vault.artefacts(only)[0].path
    victim.write_bytes(victim.read_bytes()[:-1] + b"?")
    assert restored(vault, copy) == {"restored": 1, "present": 2}
    with acting(vault, clock):
        assert_whole(vault, only, TEXTS[0])
