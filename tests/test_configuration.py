"""`config.toml` and the environment: every option has both, what is typed comes first, no trap.

`HARMLESS` and `TYPED` name every option there is. Whoever adds one decides: an option that erases,
gives out, agrees or says what is meant must not be configured (`Option.can_be_configured`).
"""

import argparse
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline import cli_options
from pipeline.configuration import Option, options_of, parse
from pipeline.errors import Refused
from tests.commandline import Shell

HARMLESS = """
init: anchor passphrase · ingest: profile jobs model vocabulary
listen: device wake once ephemeral profile pause model vocabulary · devices: levels
ask: profile aloud · history: limit since until profile · search: limit · report: profile
verify: explain log-key copy witness tsa · stamp: witness tsa · audit: copy
events: since no-follow
log-key rotate: ml-dsa · serve: web wyoming listen device announce ephemeral profile model
serve: wake pause vocabulary
"""
TYPED = """
forget: last all match since until profile only keep dry-run yes receipt
ingest: dask · agenda: ics plain · doctor: fix · report: page · export: to plain · stamp: to attach
anchor add: to · anchor remove: destroyed · anchor recovery: to from passphrase yes anchor
retention set: profile audio words sensitive sensitive-words inactive consent-by existing
retention set: anew believe-clock yes · profile add: child consent-by device
profile unbind: device · profile remove: forget keep yes
"""
NUMBERS = {
    *("ingest --jobs", "listen --pause", "serve --pause"),
    *("history --limit", "search --limit", "events --since"),
}


def named(table: str) -> set[str]:
    rows = (row.partition(": ") for row in table.strip().replace("\n", " · ").split(" · "))
    return {f"{command} --{name}" for command, _, names in rows for name in names.split()}


def options() -> dict[str, Option]:
    return {f"{it.command} --{it.name}": it for it in options_of(cli_options.parser())}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("VAULT", "ANCHOR_DIR", "MODEL", "JSON"):
        monkeypatch.setenv(f"ANECHOIC_{name}", "")  # so that what a file sets is taken back
        monkeypatch.delenv(f"ANECHOIC_{name}")
    monkeypatch.setenv("ANECHOIC_CONFIG_DIR", str(tmp_path))
    return tmp_path


def parsed(*words: str) -> argparse.Namespace:
    return parse(cli_options.parser(), words)


def words_of(it: Option) -> list[str]:
    """The shortest command line of the command of an option, whatever it needs."""
    needed = {"ingest": ["x"], "search": ["x"], "verify": ["x"], "stamp": ["x", "--to", "y"]}
    return [*it.command.split(), *needed.get(it.command, [])]


def value_of(it: Option) -> tuple[str, str, object]:
    """A value that is not built in: as a variable, in TOML, and as the program gets it."""
    if it.is_flag:
        return "1", "true", not it.action.default
    is_number = f"{it.command} --{it.name}" in NUMBERS
    text = "7" if is_number else "/somewhere/x"
    kind = it.action.type if callable(it.action.type) else str
    toml = text if is_number else f'"{text}"'
    return (text, f"[{toml}]", [kind(text)]) if it.is_list else (text, toml, kind(text))


def test_somebody_has_decided_of_every_option_whether_it_may_be_configured() -> None:
    both = {key: it.can_be_configured for key, it in options().items()}
    assert {key for key, may in both.items() if may} == named(HARMLESS)
    assert {key for key, may in both.items() if not may} == named(TYPED)


def test_no_two_options_share_a_variable() -> None:
    variables = [it.variable for it in options().values()]
    variables += [f"ANECHOIC_{it}" for it in ("VAULT", "ANCHOR_DIR", "CONFIG_DIR", "MODEL", "JSON")]
    variables += ["ANECHOIC_PASSPHRASE", "ANECHOIC_RECOVERY_PASSPHRASE"]
    assert len(set(variables)) == len(variables)


@pytest.mark.parametrize("key", sorted(named(HARMLESS)))
def test_every_harmless_option_has_a_variable_and_a_place_in_the_file(
    key: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    it = options()[key]
    text, toml, expected = value_of(it)
    built_in = it.action.default
    assert getattr(parsed(*words_of(it)), it.action.dest) == built_in
    table = it.command.replace(" ", ".")
    (home / "config.toml").write_text(f"[{table}]\n{it.name} = {toml}\n")
    assert getattr(parsed(*words_of(it)), it.action.dest) == expected
    other = "0" if it.is_flag else text.replace("7", "8").replace("x", "y")
    monkeypatch.setenv(it.variable, other)
    found = getattr(parsed(*words_of(it)), it.action.dest)
    assert found not in (expected, built_in) if not it.is_flag else found == built_in


@pytest.mark.parametrize("key", sorted(named(TYPED)))
def test_no_other_option_can_be_configured(
    key: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    it = options()[key]
    table = it.command.replace(" ", ".")
    (home / "config.toml").write_text(f"[{table}]\n{it.name} = true\n")
    with pytest.raises(Refused, match=rf"config.toml: .*{it.name} cannot be configured"):
        parsed("history")
    (home / "config.toml").unlink()
    monkeypatch.setenv(it.variable, "1")
    if it.command == "forget":
        with pytest.raises(Refused, match=it.variable):
            parsed("forget", *() if it.name in {"last", "all"} else ("abcd",))


def test_what_is_typed_comes_before_all(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "config.toml").write_text(
        '[listen]\npause = 300\ndevice = "file"\n[verify]\nlog-key = ["file"]\n'
    )
    monkeypatch.setenv("ANECHOIC_LISTEN_DEVICE", "variable")
    it = parsed("listen", "--device", "typed")
    assert (it.device, it.pause, it.once) == ("typed", 300, False)
    assert parsed("listen").device == "variable"
    assert parsed("listen", "--pause", "416").pause == 416  # what is built in, but typed
    monkeypatch.setenv("ANECHOIC_VERIFY_LOG_KEY", "one 'two three'")
    assert parsed("verify", "r").log_key == ["one", "two three"]
    assert parsed("verify", "r", "--log-key", "typed").log_key == ["typed"]  # not one more


def test_what_all_commands_know(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    (home / "config.toml").write_text(
        'vault = "~/v"\nanchor-dir = "/a"\nmodel = "m"\njson = true\n[listen]\nmodel = "of-listen"'
    )
    assert (parsed("listen").model, parsed("listen").json) == ("of-listen", True)
    assert os.environ["ANECHOIC_VAULT"] == str(Path.home() / "v")
    assert (os.environ["ANECHOIC_ANCHOR_DIR"], os.environ["ANECHOIC_MODEL"]) == ("/a", "m")
    monkeypatch.setenv("ANECHOIC_MODEL", "of all")
    monkeypatch.setenv("ANECHOIC_VAULT", "/w")
    monkeypatch.setenv("ANECHOIC_JSON", "0")
    it = parsed("listen")
    assert (it.model, it.json) == (None, False)  # a variable for all comes before the file
    assert os.environ["ANECHOIC_VAULT"] == "/w"
    monkeypatch.setenv("ANECHOIC_LISTEN_MODEL", "of listen")
    assert parsed("listen").model == "of listen"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('valt = "x"', ["config.toml", "vault, anchor-dir, model, json", "'valt'"]),
        ("vault = 3", ["vault", "expected a text", "'3'"]),
        ("json = 1", ["json", "true or false"]),
        ("[listn]", ["[listn]", "commands"]),
        ('[listen]\ndevise = "x"', ["[listen] devise", "device, ephemeral, model"]),
        ("[listen]\ndevice = true", ["[listen] device", "a text", "True"]),
        ("[listen]\nonce = 1", ["[listen] once", "true or false", "'1'"]),
        ('[listen]\npause = "300"', ["[listen] pause", "a number"]),
        ("[listen]\npause = 0", ["[listen] pause", "a number from 1", "'0'"]),
        ("[listen]\npause = true", ["[listen] pause", "a number"]),
        ('[verify]\nlog-key = "k"', ["[verify] log-key", "a list of texts"]),
        ("[verify]\nlog-key = [3]", ["[verify] log-key", "a text"]),
        ("[log-key]\nml-dsa = true", ["[log-key] ml-dsa", "[log-key.rotate]"]),
        ("[log-key.rotatee]\nml-dsa = true", ["[log-key] rotatee"]),
        ("passphrase = 'secret'", ["vault, anchor-dir"]),
        ("vault = ", ["config.toml", "Invalid value"]),
        ("vault = '\xff'", ["config.toml", "utf-8"]),
    ],
)
def test_what_is_wrong_is_named(home: Path, content: str, words: list[str]) -> None:
    (home / "config.toml").write_bytes(content.encode("latin-1"))
    with pytest.raises(Refused) as refused:
        parsed("history")
    assert all(word in str(refused.value) for word in words), str(refused.value)


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("ANECHOIC_LISTEN_PAUSE", "soon", ["ANECHOIC_LISTEN_PAUSE", "from 1", "'soon'"]),
        ("ANECHOIC_LISTEN_ONCE", "maybe", ["ANECHOIC_LISTEN_ONCE", "1 or 0", "'maybe'"]),
    ],
)
def test_what_is_wrong_in_the_environment_is_named(
    home: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, words: list[str]
) -> None:
    assert not list(home.iterdir())
    monkeypatch.setenv(variable, value)
    parsed("history")  # another command does not mind
    with pytest.raises(Refused) as refused:
        parsed("listen")
    assert all(word in str(refused.value) for word in words)


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    home = tmp_path / "home"
    (home / "conf").mkdir(parents=True)
    return Shell(home).having(ANECHOIC_CONFIG_DIR=str(home / "conf"))


def test_the_command_goes_by_it(shell: Shell) -> None:
    shell.say("why does the moon follow us", "and the sun")
    conf = shell.home / "conf" / "config.toml"
    conf.write_text("json = true\n[history]\nlimit = 1\n")
    assert len(shell("history").json) == 1
    assert len(shell("history", "--limit", "2").json) == 2
    assert len(shell.having(ANECHOIC_HISTORY_LIMIT="2")("history").json) == 2
    conf.write_text("[forget]\nyes = true\n")
    refused = shell("forget", "--all")
    assert (refused.code, refused.out) == (2, "")
    assert f"{conf}: [forget] yes cannot be configured" in refused.err
    conf.unlink()
    assert len(shell.json("history")) == 2
    assert shell.having(ANECHOIC_FORGET_YES="1")("forget", "--all").code == 2
    assert len(shell.json("history")) == 2


def test_help_does_not_look_at_it(shell: Shell) -> None:
    (shell.home / "conf" / "config.toml").write_text("nonsense")
    assert shell("--help").code == 0
    assert shell("listen", "--help").code == 0
    assert shell("history").code == 2
    probe = "import sys, pipeline.cli as c\ntry: c.main(['--help'])\nexcept SystemExit: pass\n"
    heavy = {"tomllib", "platformdirs", "dataclasses", "pipeline.places"}
    out = subprocess.run(
        [sys.executable, "-c", f"{probe}print(sorted({heavy!r} & sys.modules.keys()))"],
        env=shell.environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert out.splitlines()[-1] == "[]"
