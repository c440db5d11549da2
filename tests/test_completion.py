"""Completion in real shells, and the manual page before the programs that show it."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from pipeline import cli_options
from pipeline.cli_home import SHELLS
from pipeline.completion import completed
from pipeline.configuration import options_of
from tests.commandline import Shell

_BASH = """
source "$1"
shift
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
COMP_LINE="$*"
COMP_POINT=${#COMP_LINE}
_shtab_anechoic
printf '%s\\n' "${COMPREPLY[@]}"
"""
_ZSH = """
autoload -Uz compinit && compinit -u -D
eval "$(<$1)"
print -r -- ${_comps[anechoic]}
whence -w ${_comps[anechoic]}
"""


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    if shutil.which(name) is None:
        pytest.skip(f"no {name}")
    return name


def ran(*words: str | Path, home: Path) -> str:
    done = subprocess.run(
        list(map(str, words)),
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(home), "TERM": "dumb"},
        cwd=home,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def completions(shell: str, home: Path, *words: str) -> set[str]:
    script = home / f"completion.{shell}"
    script.write_text(completed(shell))
    if shell == "bash":
        out = ran("bash", "--norc", "-c", _BASH, "bash", script, *words, home=home)
    else:
        asked = f"source {script}; complete -C '{' '.join(words)}'"
        out = ran("fish", "--no-config", "-c", asked, home=home)
    return {line.split("\t")[0].strip() for line in out.splitlines() if line.strip()}


def test_a_shell_takes_it(shell: str, tmp_path: Path) -> None:
    script = tmp_path / "completion"
    script.write_text(completed(shell))
    ran(shell, "-n", script, home=tmp_path)


def test_zsh_knows_the_command_by_it(tmp_path: Path) -> None:
    if shutil.which("zsh") is None:
        pytest.skip("no zsh")
    script = tmp_path / "_anechoic"
    script.write_text(completed("zsh"))
    name, kind = ran("zsh", "-f", "-c", _ZSH, "zsh", script, home=tmp_path).split(None, 1)
    assert name in kind
    assert "function" in kind


@pytest.mark.parametrize("shell", ["bash", "fish"])
def test_commands_options_and_files_are_completed(shell: str, tmp_path: Path) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell}")
    assert completions(shell, tmp_path, "anechoic", "for") == {"forget"}
    assert completions(shell, tmp_path, "anechoic", "retention", "s") == {"show", "set"}
    assert completions(shell, tmp_path, "anechoic", "listen", "--ep") == {"--ephemeral"}
    assert completions(shell, tmp_path, "anechoic", "forget", "--only", "a") == {"audio"}
    assert completions(shell, tmp_path, "anechoic", "nothing-of-ours") == set()
    (tmp_path / "some.receipt").touch()
    assert "some.receipt" in completions(shell, tmp_path, "anechoic", "verify", "some")


def test_the_command_writes_it(tmp_path: Path) -> None:
    done = Shell(tmp_path)("completion", "bash")
    assert (done.code, done.err, done.out) == (0, "", completed("bash"))
    assert Shell(tmp_path)("completion", "cmd").code == 2
    assert not list(tmp_path.iterdir())  # neither a vault nor anything else is made


# The manual


@pytest.fixture(scope="module")
def manual(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("argparse_manpage")
    from pipeline.manual import page

    path = tmp_path_factory.mktemp("manual") / "anechoic.1"
    path.write_text(page())
    return path


@pytest.mark.parametrize(
    "words",
    [
        ("mandoc", "-Tlint", "-Wwarning"),
        ("man", "--warnings", "-E", "UTF-8", "-l"),
        ("groff", "-man", "-ww", "-z"),
    ],
    ids=["mandoc", "man", "groff"],
)
def test_the_manual_page_is_well_formed(manual: Path, tmp_path: Path, words: list[str]) -> None:
    if shutil.which(words[0]) is None:
        pytest.skip(f"no {words[0]}")
    ran(*words, manual, home=tmp_path)
    broken = tmp_path / "broken.1"
    broken.write_text(manual.read_text().replace(".TP", ".XYZ"))
    with pytest.raises(AssertionError):
        ran(*words, broken, home=tmp_path)


def test_the_manual_page_has_every_command_and_option(manual: Path) -> None:
    text = re.sub(r"\\f[BIR]|\\[,/]", "", manual.read_text().replace(r"\-", "-"))
    for it in options_of(cli_options.parser()):
        assert f"anechoic {it.command}" in text
        assert f"--{it.name}" in text, it
