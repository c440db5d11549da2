"""`verify`, `audit` and `export` on the command line: receipts, and what becomes of copies."""

import shutil
import tarfile
from pathlib import Path

import pytest

from tests.cli_home import DOCTOR, forgotten, ids, shell
from tests.commandline import Shell

__all__ = ["ids", "shell"]

# --- exporting


def test_sealed_export_dies_with_its_source(shell: Shell, ids: list[str]) -> None:
    to = shell.home / "out"
    document = shell.json("export", ids[1], "--to", to)
    assert list(document) == ["interaction", "plain", "files"]
    assert len(document["files"]) == 3
    assert document["plain"] is False
    receipt = forgotten(shell, ids[1])
    copies = shell.json("verify", receipt, "--copy", to)["copies"]
    assert {row["state"] for row in copies} == {"erased"}


def test_plain_export_is_a_disclosure(shell: Shell, ids: list[str]) -> None:
    to = shell.home / "out"
    document = shell.json("export", ids[1], "--to", to, "--plain")
    assert sorted(Path(file).suffix for file in document["files"]) == [".json", ".wav"]
    assert DOCTOR in (to / f"{ids[1]}.json").read_text()
    (left,) = shell.json("show", ids[1])["disclosures"]
    assert list(left) == ["kind", "to", "fields", "why", "at"]
    plan = shell("forget", ids[1], "--dry-run").err
    assert "beyond reach" in plan
    done = shell.json("forget", ids[1], "--yes")
    assert len(done["disclosed"]) == 1
    assert len(done["residual"]) >= 1


# --- verifying and auditing


def test_verify(shell: Shell, ids: list[str]) -> None:
    receipt = forgotten(shell, ids[1])
    key = shell.json("audit")["log_key"]
    for words in ([], ["--log-key", key]):
        done = shell("--json", "verify", receipt, *words)
        assert done.code == 0
        assert list(done.json) == ["receipts", "copies"]
        (verdict,) = done.json["receipts"]
        assert (verdict["verifies"], verdict["verdict"]) == (True, "confirmed")
        assert verdict["log_key"] == key
    altered = shell.home / "altered.receipt"
    altered.write_text(receipt.read_text().replace('"confirmed"', '"failed"', 1))
    done = shell("--json", "verify", receipt, altered)
    assert done.code == 5
    assert [row["verifies"] for row in done.json["receipts"]] == [True, False]
    other = Shell(shell.home / "other")
    other.home.mkdir()
    wrong = other.json("init")["log_key"]
    assert shell("verify", receipt, "--log-key", wrong).code == 5


def test_verify_says_whose_word_the_log_key_is(shell: Shell, ids: list[str]) -> None:
    receipt = forgotten(shell, ids[1])
    stranger = Shell(shell.home / "stranger")
    stranger.home.mkdir()
    foreign = forgotten(stranger, stranger.say("something else")[0])
    assert "(of the vault here)" in shell("verify", receipt).out
    assert "(named by the receipt itself" in shell("verify", foreign).out
    key = shell.json("audit")["log_key"]
    assert "(given by you)" in shell("verify", receipt, "--log-key", key).out
    assert shell("verify", foreign, "--log-key", key).code == 5


def test_verify_without_vault_and_without_anchor(shell: Shell, ids: list[str]) -> None:
    receipt = forgotten(shell, ids[1])
    shutil.rmtree(shell.anchors)
    done = shell("--json", "verify", receipt)
    assert done.code == 0
    assert "does not open" in done.err
    shutil.rmtree(shell.vault)
    assert shell("--json", "verify", receipt).code == 0
    assert not shell.vault.exists()


@pytest.mark.parametrize("packed", [False, True])
def test_verify_and_audit_tell_of_copies(shell: Shell, ids: list[str], packed: bool) -> None:
    copy = shell.home / "copy"
    shutil.copytree(shell.vault, copy)
    stranger = Shell(shell.home / "stranger")
    stranger.home.mkdir()
    stranger.say("something else")
    shutil.copytree(stranger.vault / "sealed", copy / "strange")
    if packed:
        with tarfile.open(shell.home / "copy.tar.gz", "w:gz") as tar:
            tar.add(copy, "copy")
        copy = shell.home / "copy.tar.gz"
    receipt = forgotten(shell, ids[1])
    for words in (["verify", receipt], ["audit"]):
        copies = shell.json(*words, "--copy", copy)["copies"]
        states = {row["file"]: row["state"] for row in copies}
        for file, state in states.items():
            name = Path(file).name
            known = {ids[0]: "live", ids[1]: "erased", ids[2]: "live"}
            assert state == known.get(name[:32], "unknown"), file
        assert sorted(states.values()) == ["erased"] * 3 + ["live"] * 6 + ["unknown"] * 3
    shutil.rmtree(shell.vault)
    alone = shell.json("verify", receipt, "--copy", copy)["copies"]
    assert sorted(row["state"] for row in alone) == ["erased"] * 3 + ["unknown"] * 9


def test_audit(shell: Shell, ids: list[str]) -> None:
    document = shell.json("audit")
    names = ["epoch", "entries", "slots", "live_slots", "files", "receipts", "confirmations"]
    assert list(document) == [*names, "log_key", "problems", "copies"]
    assert (document["files"], document["live_slots"], document["problems"]) == (9, 6, [])
    (file,) = (shell.vault / "sealed").rglob(f"{ids[0]}.*.audio")
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    done = shell("--json", "audit")
    assert done.code == 5
    assert done.json["problems"]
    assert shell("play", ids[0]).code == 5
