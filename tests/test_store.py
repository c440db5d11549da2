"""Sealed files in other places: what goes there, what comes back, and that erasing never waits.

A folder by its URL, a real SFTP server, and a real S3-compatible one.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from keys.copies import ERASED, LIVE, UNKNOWN
from pipeline import store
from pipeline.errors import PipelineError, Refused
from pipeline.store import COPIED, DELETED, KEPT, PRESENT, find_sealed, place, sync
from tests import household
from tests.commandline import Shell
from tests.storage import SSHD, Sftp, s3, sftp

pytest.importorskip("fsspec")

needs_sshd = pytest.mark.skipif(not Path(SSHD).exists(), reason="needs sshd (openssh-server)")
SECRETS = {"ring", "log", "vault.json", "lock", "receipts", "agenda", "live", "capture", "anchors"}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Sftp]:
    pytest.importorskip("sshfs")
    (tmp_path / "server").mkdir()
    with sftp(tmp_path / "server") as it:
        yield it


def states(shell: Shell, url: str, code: int = 0) -> dict[str, int]:
    """The counts of a synchronisation that were not zero."""
    done = shell("--json", "store", "sync", url)
    assert done.code == code, done.err
    return {state: count for state, count in done.json["files"].items() if count}


def copies(shell: Shell, url: str) -> dict[str, int]:
    found = [row["state"] for row in shell("--json", "audit", "--copy", url).json["copies"]]
    return {state: found.count(state) for state in set(found)}


def test_only_sealed_files_go_and_only_what_is_dead_is_deleted(tmp_path: Path) -> None:
    vault, there = household.make(tmp_path), tmp_path / "there"
    url = f"file://{there}"
    dead, living = household.say(vault, "to be forgotten", "to be kept")
    assert [row.state for row in sync(vault, url)] == [COPIED] * 6
    assert [row.state for row in sync(vault, url)] == [PRESENT] * 6
    names = {path.name for path in there.rglob("*") if path.is_file()}
    assert names == {path.name for path in vault.paths()}
    (there / "stranger").write_bytes(b"of somebody else")
    household.forget(vault, dead)
    assert sorted(row.state for row in sync(vault, url)) == [DELETED] * 3 + [PRESENT] * 3
    left = {path.name for path in there.rglob("*") if path.is_file()}
    assert left == {path.name for path in vault.paths()} | {"stranger"}
    assert all(living.hex() in name or name == "stranger" for name in left)
    assert not SECRETS & {path.name for path in there.rglob("*")}


def test_what_was_cut_off_goes_again_and_what_is_of_another_vault_stays(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    one, two = household.make(tmp_path / "one"), household.make(tmp_path / "two")
    household.say(one, "of one")
    (gone,) = household.say(two, "of two")
    there = tmp_path / "there"
    for vault in (one, two):
        list(sync(vault, f"file://{there}"))
    household.forget(two, gone)
    cut = there / next(one.paths()).relative_to(one.sealed)
    cut.write_bytes(cut.read_bytes()[:200])
    assert sorted(row.state for row in sync(one, f"file://{there}")) == [COPIED, PRESENT, PRESENT]
    assert cut.read_bytes() == next(one.paths()).read_bytes()
    assert [row.state for row in sync(two, f"file://{there}")] == [DELETED] * 3


def test_a_store_says_what_in_it_cannot_be_looked_into(tmp_path: Path) -> None:
    vault = household.make(tmp_path)
    household.say(vault, "spoken")
    list(sync(vault, f"file://{tmp_path / 'there'}"))
    (tmp_path / "there" / "older.tar.gz").write_bytes(b"?")
    (tmp_path / "there" / "readme.txt").write_text("not sealed")
    found = list(find_sealed(f"file://{tmp_path / 'there'}"))
    assert sorted(it.header is None for it in found) == [False, False, False, True]
    with pytest.raises(FileNotFoundError):
        list(find_sealed(f"file://{tmp_path / 'nowhere'}"))


def test_urls_are_told_from_paths_and_have_no_passwords() -> None:
    assert place("backup.tar") == Path("backup.tar")
    assert place("sftp://host/backup") == "sftp://host/backup"
    with pytest.raises(Refused, match="password"):
        store.Store("sftp://ada:secret@host/backup")
    with pytest.raises(PipelineError):
        store.Store("nonsense://host/backup")


@pytest.mark.slow
@needs_sshd
def test_an_sftp_server_keeps_it_and_gives_it_back(tmp_path: Path, server: Sftp) -> None:
    shell = Shell(tmp_path).having(**server.variables)
    dead, living = shell.say("to be forgotten", "to be kept")
    assert states(shell, server.url) == {COPIED: 6}
    assert copies(shell, server.url) == {LIVE: 6}
    receipt = tmp_path / "it.receipt"
    assert shell("forget", dead, "--yes", "--receipt", receipt).code == 0
    assert copies(shell, server.url) == {LIVE: 3, ERASED: 3}
    told = shell("--json", "verify", receipt, "--copy", server.url).json["copies"]
    assert sorted(row["state"] for row in told) == [ERASED] * 3 + [LIVE] * 3
    shutil.rmtree(shell.vault / "sealed")
    back = shell("--json", "restore", server.url)
    assert back.json == {
        "files": {"restored": 3, "present": 0, "erased": 3, "damaged": 0, "unknown": 0},
        "restored": [living],
        "erased": [dead],
    }
    assert [row["text"] for row in shell.json("history")] == ["to be kept"]
    assert states(shell, server.url) == {DELETED: 3, PRESENT: 3}
    assert shell.json("audit")["problems"] == []


@pytest.mark.slow
@needs_sshd
def test_erasing_does_not_ask_the_store(tmp_path: Path, server: Sftp) -> None:
    shell = Shell(tmp_path).having(**server.variables)
    first, second, living = shell.say("one", "two", "three")
    assert states(shell, server.url) == {COPIED: 9}
    server.stop()
    away = shell.json("forget", first, "--yes")
    assert away["verdict"] == "confirmed"
    unreachable = shell("store", "sync", server.url)
    assert unreachable.code == 1
    assert "can be reached" in unreachable.err
    assert "Traceback" not in unreachable.err
    server.start(is_read_only=True)
    refused = shell.json("forget", second, "--yes")
    assert refused["verdict"] == "confirmed"
    assert states(shell, server.url, code=1) == {KEPT: 6, PRESENT: 3}
    assert away["residual"] == refused["residual"]  # as if there were no store
    back = shell("--json", "restore", server.url).json
    assert (back["restored"], sorted(back["erased"])) == ([], sorted([first, second]))
    assert copies(shell, server.url) == {LIVE: 3, ERASED: 6}
    assert [row["interaction"] for row in shell.json("history")] == [living]
    assert shell.json("audit")["problems"] == []


@pytest.mark.slow
@needs_sshd
def test_a_server_that_is_not_who_it_was_gets_nothing(tmp_path: Path, server: Sftp) -> None:
    shell = Shell(tmp_path).having(**server.variables)
    shell.say("spoken")
    known = server.home / "client" / ".ssh" / "known_hosts"
    true = known.read_text()
    known.write_text(f"{true.split()[0]} {(server.home / 'allowed').read_text()}")
    assert shell("store", "sync", server.url).code == 1
    known.unlink()
    assert shell("store", "sync", server.url).code == 1
    assert not server.folder.exists()
    known.write_text(true)
    assert shell("store", "sync", server.url).code == 0


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("rclone"), reason="needs rclone, 1.65 or newer")
def test_an_s3_server_keeps_it_and_gives_it_back(tmp_path: Path) -> None:
    pytest.importorskip("s3fs")
    with s3(tmp_path) as (url, variables):
        shell = Shell(tmp_path).having(**variables)
        dead, living = shell.say("to be forgotten", "to be kept")
        assert states(shell, url) == {COPIED: 6}
        assert shell("forget", dead, "--yes").code == 0
        assert copies(shell, url) == {LIVE: 3, ERASED: 3}
        assert states(shell, url) == {DELETED: 3, PRESENT: 3}
        shutil.rmtree(shell.vault / "sealed")
        assert shell("--json", "restore", url).json["restored"] == [living]
    assert UNKNOWN not in copies(shell, f"file://{tmp_path / 'buckets' / 'sealed'}")
