"""What is in `deploy/`: the unit as systemd reads it, the image as far as it goes without docker.

What a user's systemd makes of the sandbox is tried where one runs. Not shown here, because it needs
a container engine, which had to be brought by hand: that the image is built and hears something.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import time
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline import cli, cli_options, notify
from tests.commandline import ROOT, Shell

DEPLOY = ROOT / "deploy"
UNIT = DEPLOY / "systemd" / "anechoic.service"
MOST_EXPOSED = 3.0
_PATIENCE_S = 60.0
_HOST = re.compile(r"\b(?:[a-z0-9-]+\.)+(?:io|com|org|net|dev)\b")


def told_systemd(tmp_path: Path, unit: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze")
    program = tmp_path / ".local" / "bin" / "anechoic"
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    return subprocess.run(
        ["systemd-analyze", *words, str(unit)],
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_systemd_understands_every_line_of_the_unit(tmp_path: Path) -> None:
    verify = ("--user", "--man=no", "verify")
    done = told_systemd(tmp_path, UNIT, *verify)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    misspelt = tmp_path / "anechoic.service"
    misspelt.write_text(UNIT.read_text().replace("NoNewPrivileges", "NoNewPrivilege"))
    assert "NoNewPrivilege" in told_systemd(tmp_path, misspelt, *verify).stderr


def test_it_is_locked_down(tmp_path: Path) -> None:
    def exposed(unit: Path) -> float:
        done = told_systemd(tmp_path, unit, "security", "--offline=true", "--no-pager")
        found = re.search(r"exposure level for [^:]*: ([0-9.]+)", done.stdout)
        assert found, done.stdout + done.stderr
        return float(found[1])

    assert exposed(UNIT) <= MOST_EXPOSED
    open_wide = tmp_path / "open.service"
    open_wide.write_text("[Service]\nExecStart=/bin/true\n")
    assert exposed(open_wide) > 9


TRIES_TO_WRITE = """/bin/sh -c 'touch "%h/{0}" && rm "%h/{0}"'"""


def written_in_its_sandbox(unit: str) -> bool:
    """Whether a command in this unit may write into the user's home, as a live systemd has it."""
    name = f"anechoic-test-{os.getpid()}"
    tried = re.sub(r"^(Type=|Restart.*=|Notify.*=).*\n", "", unit, flags=re.MULTILINE)
    tried = re.sub(r"ExecStart=.*", f"Type=oneshot\nExecStart={TRIES_TO_WRITE.format(name)}", tried)
    place = Path(os.environ["XDG_RUNTIME_DIR"]) / "systemd" / "user" / f"{name}.service"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(tried)
    manager = ["systemctl", "--user"]
    try:
        subprocess.run([*manager, "daemon-reload"], check=True)
        started = subprocess.run([*manager, "start", name], capture_output=True, check=False)
        result = subprocess.check_output(
            [*manager, "show", "-p", "ExecMainStatus", name], text=True
        )
        assert result.strip() in {"ExecMainStatus=0", "ExecMainStatus=1"}, result  # it was run
        return started.returncode == 0
    finally:
        place.unlink()
        subprocess.run([*manager, "reset-failed", name], capture_output=True, check=False)
        subprocess.run([*manager, "daemon-reload"], check=True)


def test_a_live_systemd_lets_it_write_nothing_in_the_home() -> None:
    asked = ["systemctl", "--user", "is-system-running"]
    it = shutil.which("systemctl") and subprocess.run(asked, capture_output=True, check=False)
    if not it or it.stdout.strip() not in {b"running", b"degraded"}:
        pytest.skip("no systemd of a user runs here")
    unit = UNIT.read_text()
    assert not written_in_its_sandbox(unit)
    assert written_in_its_sandbox(unit.replace("ProtectHome=", "#"))


def test_all_is_read_only_but_what_is_named() -> None:
    settings_of = dict(
        re.findall(r"^(Protect\w+|ReadWritePaths)=(.*)$", UNIT.read_text(), re.MULTILINE)
    )
    # systemd.exec(5): a strict ProtectSystem leaves /home, /root and /run/user to ProtectHome.
    assert (settings_of["ProtectSystem"], settings_of["ProtectHome"]) == ("strict", "read-only")
    places = {it.removeprefix("-") for it in settings_of["ReadWritePaths"].split()}
    assert places == {"%h/.local/share/anechoic", "%h/.local/state/anechoic"}


def test_it_starts_what_there_is_and_does_not_try_in_vain() -> None:
    unit = UNIT.read_text()
    (line,) = re.findall(r"^ExecStart=%h/.local/bin/anechoic (.*)$", unit, re.MULTILINE)
    assert cli_options.parser().parse_args(line.split()).command == "serve"
    (codes,) = re.findall(r"^RestartPreventExitStatus=(.*)$", unit, re.MULTILINE)
    assert [int(it) for it in codes.split()] == [cli.USAGE, cli.ANCHOR, cli.NO_MODEL]


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


def test_serve_says_that_it_is_ready_and_ends_in_order_when_told_to(shell: Shell) -> None:
    place = shell.home / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(place))
        manager.settimeout(_PATIENCE_S)
        it = shell.having(NOTIFY_SOCKET=str(place)).start("serve")
        try:
            assert manager.recv(64) == b"READY=1"
            assert (shell.vault / "vault.json").exists()  # ready is: the vault is open
        finally:
            began_s = time.monotonic()
            it.send_signal(signal.SIGTERM)
            _, err = it.communicate(timeout=_PATIENCE_S)
    assert (it.returncode, time.monotonic() - began_s < _PATIENCE_S) == (0, True)
    assert "Traceback" not in err
    assert shell("audit").code == 0


def test_who_is_not_there_is_not_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert not notify.ready()
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
    assert not notify.ready()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("\0anechoic-test-" + tmp_path.name)
        monkeypatch.setenv("NOTIFY_SOCKET", "@anechoic-test-" + tmp_path.name)
        assert notify.ready()
        assert manager.recv(64) == b"READY=1"


# The image


def composed(*names: str) -> dict[str, Any]:
    """Returns what compose makes of several files: lists are joined, but a command is replaced."""
    whole: dict[str, Any] = {}
    for name in names:
        document = yaml.safe_load((DEPLOY / name).read_text())
        for key, value in document["services"]["anechoic"].items():
            joins = isinstance(value, list) and key in whole and key != "command"
            whole[key] = [*whole[key], *value] if joins else value
    return whole


SERVICE = {
    *("build", "image", "command", "init", "user", "read_only", "tmpfs", "cap_drop"),
    *(
        "security_opt",
        "ulimits",
        "mem_limit",
        "memswap_limit",
        "restart",
        "stop_grace_period",
        "ports",
    ),
    *("volumes", "environment", "devices", "group_add"),
}
"""The words of the Compose Specification that are used: a misspelt one is none of them."""
FILES = [(), ("compose.pulse.yaml",), ("compose.alsa.yaml",)]


@pytest.mark.parametrize("more", FILES, ids=["plain", "pulse", "alsa"])
def test_the_compose_files_hold_together(more: tuple[str, ...]) -> None:
    it = composed("compose.yaml", *more)
    assert set(it) <= SERVICE
    options = cli_options.parser().parse_args(it["command"])
    assert options.command == "serve"
    assert options.listen is bool(more)
    assert it["read_only"] is True
    assert it["user"] == "1000:1000"
    assert it["cap_drop"] == ["ALL"]
    assert it["ulimits"]["core"] == 0
    assert it["memswap_limit"] == it["mem_limit"]  # with both alike nothing is swapped out
    assert all(port.startswith("127.0.0.1:") for port in it["ports"])
    served = {options.web.rpartition(":")[2], options.wyoming.rpartition(":")[2]}
    assert {port.rpartition(":")[2] for port in it["ports"]} == served
    assert (DEPLOY / it["build"]["context"] / it["build"]["dockerfile"]).is_file()


def test_vault_and_anchors_are_two_volumes() -> None:
    document = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    mounts = dict(row.split(":") for row in document["services"]["anechoic"]["volumes"])
    assert set(mounts) == set(document["volumes"])
    places = settings()
    assert mounts["vault"] == places["ANECHOIC_VAULT"]
    assert mounts["anchors"] == places["ANECHOIC_ANCHOR_DIR"]
    assert mounts["config"] == places["ANECHOIC_CONFIG_DIR"]
    assert mounts["models"] == places["XDG_CACHE_HOME"]
    assert not Path(mounts["anchors"]).is_relative_to(mounts["vault"])


def steps() -> list[tuple[str, str]]:
    """Returns the instructions of the Dockerfile, each with its words."""
    text = re.sub(r"^#.*\n", "", (DEPLOY / "Dockerfile").read_text(), flags=re.MULTILINE)
    lines = text.replace("\\\n", " ").splitlines()
    return [(name, " ".join(words)) for name, *words in map(str.split, filter(str.strip, lines))]


def settings() -> dict[str, str]:
    (words,) = (words for name, words in steps() if name == "ENV")
    return dict(word.split("=", 1) for word in words.split())


def test_the_dockerfile_names_what_there_is() -> None:
    known = {"FROM", "WORKDIR", "COPY", "RUN", "ENV", "USER", "STOPSIGNAL", "ENTRYPOINT", "CMD"}
    assert {name for name, _ in steps()} == known
    for words in (words for name, words in steps() if name == "COPY" and "--from" not in words):
        assert all((ROOT / source).exists() for source in words.split()[:-1]), words
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (wanted,) = re.findall(r"'\.\[(.*)\]'", (DEPLOY / "Dockerfile").read_text())
    assert set(wanted.split(",")) <= set(extras["optional-dependencies"])
    bases = {words.split()[0] for name, words in steps() if name == "FROM"}
    assert bases == {"python:3.11-slim-bookworm"}
    for file in (it for it in DEPLOY.rglob("*") if it.is_file()):
        assert not _HOST.search(file.read_text()), "no registry has its name here"
    names = [name for name, _ in steps()]
    assert dict(steps())["USER"] == "1000:1000"
    assert names.index("USER") > max(n for n, name in enumerate(names) if name == "RUN")


def test_what_the_shell_runs_there_is_a_shell_s() -> None:
    for script in (words for name, words in steps() if name == "RUN"):
        subprocess.run(["sh", "-n", "-c", script], check=True)
