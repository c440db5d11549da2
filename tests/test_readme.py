"""README.md is true: its commands are run, and its table of commands is that of the program.

In fenced blocks marked `console`, each line that starts with `$ ` is a command. All of them run in
one shell, in order, in a scratch home and a copy of the checkout, and must end with 0, or with what
a comment at the end of the line says: `# exit 4`. Not run, because that is done elsewhere or needs
a person: lines that end with `# not run`, and those that start with `make `, `git `, `pip `,
`python -m pip ` or `sudo `. What a block shows below a command is not compared, but for the words
in `CLAIMS`. Other blocks (`sh`) are for reading.
"""

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline import cli_options, models

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")
SKIPPED = ("make ", "git ", "pip ", "python -m pip ", "sudo ")
COPIED = ("keys", "pipeline", "samples", "pyproject.toml", "README.md", "LICENSE")
CLAIMS = ("verifies, confirmed", "everything is accounted for", "confirmed: erased")
OPTION = re.compile(r"--[a-z][a-z-]*")


@dataclass(frozen=True, slots=True)
class Step:
    """A command of the README and the exit code that it should have."""

    command: str
    code: int = 0


def steps(text: str) -> list[Step]:
    """Returns the commands of all `console` blocks that are to be run."""
    found = []
    for block in re.findall(r"^```console\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            command, _, remark = line.removeprefix("$ ").partition(" # ")
            expected = re.fullmatch(r"exit (\d+)", remark.strip())
            skipped = command.startswith(SKIPPED) or remark.strip() == "not run"
            if line.startswith("$ ") and not skipped:
                found.append(Step(command.strip(), int(expected[1]) if expected else 0))
    return found


def run(them: list[Step], folder: Path, environment: dict[str, str]) -> list[tuple[int, str]]:
    """Runs the steps in one shell; returns exit code and output of each that was come to."""
    lines = []
    for n, step in enumerate(them):
        lines += [f"exec >{n}.out 2>&1", step.command, f"echo $? >{n}.code"]
    (folder / "steps.sh").write_text("\n".join(lines))
    subprocess.run(
        ["bash", "steps.sh"],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        timeout=300,
        check=False,
    )
    return [
        (int((folder / f"{n}.code").read_text()), (folder / f"{n}.out").read_text())
        for n in range(len(them))
        if (folder / f"{n}.code").exists()
    ]


@pytest.mark.model
def test_the_commands_of_the_readme_run(tmp_path: Path) -> None:
    home, checkout = tmp_path / "home", tmp_path / "anechoic"
    home.mkdir()
    checkout.mkdir()
    for name in COPIED:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, checkout / name)
    environment = {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "PYTHONPATH": str(checkout),  # the copy, wherever the command itself is installed
        "ANECHOIC_MODEL": str(models.find(None)),
    }
    wanted = steps(README)
    assert len(wanted) >= 5, "the README shows a session in blocks marked `console`"
    done = run(wanted, checkout, environment)
    for step, (code, output) in zip(wanted, done, strict=True):
        assert code == step.code, f"$ {step.command}\n{output}"
    outputs = "\n".join(output for _, output in done)
    for claim in CLAIMS:
        assert claim in outputs or claim not in README, f"shown in the README only: {claim}"


def test_the_rule_of_what_is_run(tmp_path: Path) -> None:
    text = """
```sh
$ false
```
```console
$ X=5
some output
$ test "$X" = 5  # all in one shell
$ exit_with() { return 4; }
$ exit_with # exit 4
$ make demo
$ python -m pip install .
$ false # not run
$ echo one \\
  two
$ false
```
"""
    found = steps(text)
    assert [step.command for step in found][-2:] == ["echo one    two", "false"]
    results = run(found, tmp_path, {"PATH": os.environ["PATH"]})
    assert [code for code, _ in results] == [0, 0, 0, 4, 0, 1]  # and the last would be a failure
    assert [step.code for step in found] == [0, 0, 0, 4, 0, 0]
    assert results[4][1] == "one two\n"


def table() -> dict[str, str]:
    """Returns the rows of the README's table of commands by the command's name."""
    section = README.partition("\n## Commands\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `([a-z][a-z-]*)\b(.*)$", section, re.MULTILINE)
    assert len(rows) == len(dict(rows)), "a command has two rows"
    return dict(rows)


def parsers() -> dict[str, argparse.ArgumentParser]:
    (subparsers,) = (
        action
        for action in cli_options.parser()._actions
        if isinstance(action, argparse._SubParsersAction)
    )
    return dict(subparsers.choices)


def options(it: argparse.ArgumentParser) -> set[str]:
    """Returns the long options of a command that its help shows, those of its acts too."""
    found = set()
    for action in it._actions:
        if isinstance(action, argparse._SubParsersAction):
            found |= {option for inner in action.choices.values() for option in options(inner)}
        elif action.help != argparse.SUPPRESS:
            found |= {option for option in action.option_strings if OPTION.fullmatch(option)}
    return found - {"--help"}


def test_the_table_names_every_command_and_no_other() -> None:
    assert set(table()) == set(parsers())


@pytest.mark.parametrize("name", sorted(parsers()))
def test_the_table_names_every_option_of_a_command_and_no_other(name: str) -> None:
    assert set(OPTION.findall(table()[name])) == options(parsers()[name])


def test_the_options_of_all_commands_and_the_exit_codes_are_told() -> None:
    for option in options(cli_options.parser()) & {"--vault", "--json"}:
        assert f"`{option}`" in README
    told = re.search(r"Exit codes:(.*?)\n\n", README, re.DOTALL)
    assert told
    assert re.findall(r"\b(\d) [a-z]", told[1]) == [str(code) for code in range(9)]
    assert re.findall(r"\b(\d) [a-z]", cli_options.EPILOG) == [str(code) for code in range(9)]


def test_what_is_linked_is_there() -> None:
    for name in re.findall(r"`((?:keys|pipeline|tests|samples)/[\w./-]+)`", README):
        assert (ROOT / name).exists(), name


def test_the_variables_are_those_that_the_code_reads() -> None:
    told = set(re.findall(r"`(ANECHOIC_[A-Z_]+)`", README))
    code = "".join(path.read_text() for path in (ROOT / "pipeline").rglob("*.py"))
    assert told == set(re.findall(r'"(ANECHOIC_[A-Z_]+)"', code))


def test_words_are_split_as_a_shell_splits_them() -> None:
    """A guard for this test itself: a command that no shell could read is a mistake above."""
    for step in steps(README):
        assert shlex.split(step.command)
