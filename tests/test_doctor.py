"""The doctor: what it finds in made-up machines and vaults, and that it looks only."""

import os
import sys
from pathlib import Path

import pytest

from keys.anchor import Level, file, keyring
from keys.anchor.medium import Medium
from keys.errors import AnchorFailure
from pipeline import doctor, machine, models
from pipeline.errors import NoModel
from pipeline.machine import BAD, OK, WARN, Finding
from tests.commandline import Shell, plain


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    home = tmp_path / "home"
    home.mkdir()
    return Shell(home)


def _of(found: list[Finding], check: str) -> Finding:
    (finding,) = [finding for finding in found if finding.check == check]
    return finding


def _of_vault(shell: Shell, check: str) -> Finding:
    return _of(doctor.findings(shell.vault, shell.anchors), check)


def test_the_document(shell: Shell) -> None:
    done = shell("--json", "doctor")
    rows = done.json
    assert done.code == int(any(row["state"] == "bad" for row in rows))
    assert all(list(row) == ["check", "state", "found", "remedy"] for row in rows)
    assert {row["state"] for row in rows} <= {"ok", "warn", "bad"}
    assert all(row["remedy"] for row in rows if row["state"] != "ok")  # what to do
    checks = {row["check"] for row in rows}
    assert checks >= {"vault", "anchor", "anchor apart", "swap", "core dumps", "model", "sound"}


def test_it_makes_nothing_and_changes_nothing(shell: Shell) -> None:
    shell("doctor")
    assert list(shell.home.iterdir()) == []
    shell.say("why does the moon follow us")
    before = {p: p.stat().st_mtime_ns for p in shell.home.rglob("*")}
    shell("doctor")
    assert {p: p.stat().st_mtime_ns for p in shell.home.rglob("*")} == before


def test_it_asks_nobody_for_a_passphrase(shell: Shell) -> None:
    having = shell.having(ANECHOIC_PASSPHRASE="correct horse")
    assert having("init", "--passphrase").code == 0
    (row,) = [row for row in shell("--json", "doctor").json if row["check"] == "settings"]
    assert row["state"] == OK
    assert "has a passphrase" in row["found"]


def test_a_vault_that_does_not_open_is_not_looked_into(shell: Shell) -> None:
    shell.say("why does the moon follow us")
    for share in shell.anchors.iterdir():
        share.unlink()
    (row,) = [row for row in shell("--json", "doctor").json if row["check"] == "settings"]
    assert row["state"] == WARN
    assert "does not open" in row["found"]


def test_on_a_terminal_it_folds(shell: Shell) -> None:
    _, screen = shell.on_a_terminal("doctor", columns=60)
    lines = plain(screen).splitlines()
    assert max(map(len, lines)) <= 60
    assert all(line[:5] in {"ok   ", "warn ", "bad  ", "  do ", "     "} for line in lines)


def test_a_missing_anchor_is_bad(shell: Shell) -> None:
    assert _of_vault(shell, "anchor file").state == OK  # no vault, no anchor
    shell.say("why does the moon follow us")
    assert _of_vault(shell, "anchor file").state == OK
    (share,) = shell.anchors.iterdir()
    share.unlink()
    finding = _of_vault(shell, "anchor file")
    assert finding.state == BAD
    assert str(share) in finding.found
    assert shell("doctor").code == 1


def test_a_second_way_that_is_not_here_is_a_warning(shell: Shell) -> None:
    stick = shell.home / "stick"
    shell.json("init", "--anchor", f"file|file:{stick}")
    assert _of_vault(shell, "anchor file").state == OK
    stick.rename(shell.home / "elsewhere")
    finding = _of_vault(shell, "anchor file")
    assert finding.state == WARN
    assert "by another way" in finding.found
    assert str(shell.anchors) not in finding.found
    for share in shell.anchors.iterdir():
        share.unlink()
    assert _of_vault(shell, "anchor file").state == BAD


def test_a_keyring_needs_no_file(shell: Shell) -> None:
    shell.json("init")
    (mark,) = shell.vault.glob("vault.json")
    mark.write_text(mark.read_text().replace('"anchor": "file"', '"anchor": "keyring"'))
    for share in shell.anchors.iterdir():
        share.unlink()
    assert _of_vault(shell, "anchor file").state == OK


def having_anchor(shell: Shell, spec: str) -> None:
    """Makes a vault that says it has these anchors."""
    shell.json("init")
    (mark,) = shell.vault.glob("vault.json")
    mark.write_text(mark.read_text().replace('"anchor": "file"', f'"anchor": "{spec}"'))


KEY_STORE = Level("D", "an entry of the session's key store")


@pytest.mark.parametrize(
    ("spec", "state", "said", "not_said"),
    [
        ("keyring", WARN, ["keyring, level D", "key store"], ["overwritten in place", "not here"]),
        ("file|keyring", WARN, ["level D in all", "file, level C", "keyring, level D"], []),
        ("file+keyring", OK, ["level C in all", "file, level C", "keyring, level D"], []),
        ("file", OK, ["file, level C"], ["keyring", "in all"]),
        ("tpm", WARN, ["tpm: it is not here"], ["overwritten in place", "level C"]),
        ("file+tpm", OK, ["level C in all", "tpm: it is not here"], []),
        ("file|tpm", WARN, ["level not known in all", "tpm: it is not here"], []),
    ],
)
def test_the_level_is_that_of_the_anchors_it_has(
    shell: Shell,
    monkeypatch: pytest.MonkeyPatch,
    spec: str,
    state: str,
    said: list[str],
    not_said: list[str],
) -> None:
    having_anchor(shell, spec)
    monkeypatch.setattr(file, "medium_of", lambda _: Medium("ext4", frozenset()))
    monkeypatch.setattr(doctor, "medium_of", lambda _: Medium("ext4", frozenset()))
    monkeypatch.setattr(keyring.KeyringAnchor, "level", lambda _: KEY_STORE)
    finding = _of_vault(shell, "anchor")
    assert finding.state == state
    assert all(it in finding.found for it in said), finding.found
    assert not any(it in finding.found for it in not_said), finding.found
    assert bool(finding.remedy) == (state == WARN)


def test_a_key_store_that_does_not_answer_is_said_to(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_: object) -> Level:
        raise AnchorFailure("no key store")

    having_anchor(shell, "keyring")
    monkeypatch.setattr(keyring.KeyringAnchor, "level", fails)
    assert "keyring: it is not here" in _of_vault(shell, "anchor").found


def test_what_backups_must_not_take_is_that_of_the_anchors_it_has(shell: Shell) -> None:
    having_anchor(shell, "keyring")
    finding = _of_vault(shell, "anchor apart")
    assert finding.state == WARN
    assert "key store" in finding.remedy
    assert str(shell.anchors) not in finding.found + finding.remedy
    (mark,) = shell.vault.glob("vault.json")
    mark.write_text(mark.read_text().replace('"keyring"', '"tpm"'))
    assert _of_vault(shell, "anchor apart").state == OK
    mark.write_text(mark.read_text().replace('"tpm"', f'"file:{shell.home / "stick"}|keyring"'))
    finding = _of_vault(shell, "anchor apart")
    assert str(shell.home / "stick") in finding.remedy
    assert "key store" in finding.remedy
    assert str(shell.anchors) not in finding.remedy


def test_an_anchor_inside_the_vault_is_bad(tmp_path: Path) -> None:
    inside = doctor.findings(tmp_path / "vault", tmp_path / "vault" / "anchors")
    assert _of(inside, "anchor apart").state == BAD
    beside = doctor.findings(tmp_path / "vault", tmp_path / "vault-anchors")
    assert _of(beside, "anchor apart").state == WARN  # backups cannot be seen from here


def test_a_damaged_vault_does_not_stop_it(shell: Shell) -> None:
    shell.say("why does the moon follow us")
    for content in ("", "[]", "{}", '{"vault": 3'):
        (shell.vault / "vault.json").write_text(content)
        assert "none yet" in _of_vault(shell, "vault").found


def test_the_level_of_the_anchor_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for filesystem, state in (("ext4", OK), ("xfs", OK), ("btrfs", WARN), ("tmpfs", WARN)):
        medium = Medium(filesystem, frozenset())
        monkeypatch.setattr(doctor, "medium_of", lambda _, medium=medium: medium)
        finding = _of(doctor.findings(tmp_path / "vault", tmp_path / "anchors"), "anchor")
        assert finding.state == state, filesystem
        assert bool(finding.remedy) == (state == WARN)


@pytest.mark.skipif(sys.platform == "win32", reason="permissions of POSIX")
def test_others_may_not_look_in(shell: Shell) -> None:
    shell.say("why does the moon follow us")
    assert machine.permissions(shell.vault).state == OK
    shell.vault.chmod(0o755)
    finding = machine.permissions(shell.vault)
    assert (finding.state, finding.remedy) == (WARN, f"chmod 700 {shell.vault}")


def test_swap(tmp_path: Path) -> None:
    table = tmp_path / "swaps"
    head = "Filename\t\t\t\tType\t\tSize\tUsed\tPriority\n"
    table.write_text(head)
    assert machine.swap(table).state == OK
    table.write_text(head + "/dev/zram0 partition 8388604 0 100\n")
    assert machine.swap(table).state == OK
    table.write_text(head + "/dev/zram0 partition 1 0 100\n/swapfile file 2097148 0 -2\n")
    finding = machine.swap(table)
    assert finding.state == WARN
    assert "/swapfile" in finding.found
    assert "zram0" not in finding.found
    assert machine.swap(tmp_path / "nothing").state == WARN


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_every_command_forbids_core_dumps(shell: Shell) -> None:
    assert _of([machine.core_dumps()], "core dumps").state in {OK, BAD}
    (row,) = [row for row in shell("--json", "doctor").json if row["check"] == "core dumps"]
    assert row["state"] == OK  # of the process that said it
    import subprocess

    probe = (
        "import resource, ctypes; from pipeline.machine import harden; harden(); "
        "print(resource.getrlimit(resource.RLIMIT_CORE), ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))"
    )
    out = subprocess.run(
        [sys.executable, "-c", probe],
        env=shell.environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert out == "(0, 0) 0\n"  # PR_GET_DUMPABLE


def test_the_model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def none(_: object) -> Path:
        raise NoModel("no recognition model")

    monkeypatch.setattr(models, "find", none)
    finding = _of(doctor.findings(tmp_path, tmp_path / "a"), "model")
    assert (finding.state, finding.remedy) == (WARN, "anechoic model fetch")
    monkeypatch.setattr(models, "find", lambda _: tmp_path / "some-model")
    finding = _of(doctor.findings(tmp_path, tmp_path / "a"), "model")
    assert (finding.state, finding.found) == (OK, str(tmp_path / "some-model"))


@pytest.mark.parametrize(
    ("library", "state", "word"),
    [
        ("def query_devices(): return []", WARN, "microphone"),
        ("def query_devices(): return [{'max_input_channels': 1}]", OK, ""),
        ("raise OSError('PortAudio library not found')", WARN, "libportaudio2"),
        ("def query_devices(): raise RuntimeError('no host')", WARN, "sound server"),
    ],
)
def test_the_microphone(shell: Shell, library: str, state: str, word: str) -> None:
    (shell.home / "sounddevice.py").write_text(library)
    path = f"{shell.home}{os.pathsep}{shell.environment['PYTHONPATH']}"
    done = shell.having(PYTHONPATH=path)("--json", "doctor")
    (row,) = [row for row in done.json if row["check"] == "sound"]
    assert row["state"] == state
    assert word in row["remedy"]
