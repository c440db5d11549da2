"""Options that need not be typed: `config.toml` and the environment, for every option there is.

    vault = "~/speech/vault"      # of all commands: vault, anchor-dir, model, json
    [listen]
    device = "desk"               # as on the command line, without the dashes
    [log-key.rotate]
    ml-dsa = true

Promises that what is typed comes before `ANECHOIC_LISTEN_DEVICE`, that before the file, and that
before what is built in. The names are those of the parser, so no option is left out. Refuses what
is misspelt or of another type, and every option that erases, gives out, agrees or names what an
act is about: `can_be_configured` has the rule, and a new option of that kind belongs there.
"""

import argparse
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from pipeline.errors import Refused

FILE = "config.toml"
GENERAL = ("vault", "anchor-dir", "model")
"""What every command knows by a variable of its own; the last also as an option of some."""
_JSON = "json"
_NEVER_OF = {"forget", "anchor", "profile", "retention set"}
_NEVER = {"yes", "plain", "page", "ics", "fix", "dask"}
_WHY = "what erases, gives out, agrees or says what is meant is typed each time"
_YES, _NO = {"1", "true", "yes", "on"}, {"0", "false", "no", "off"}


class Option(NamedTuple):  # importing dataclasses would cost `--help` a tenth of its time
    """An option of a command: `command` has the words that lead to it, such as `log-key rotate`."""

    command: str
    action: argparse.Action
    is_alternative: bool

    @property
    def name(self) -> str:
        """Its long name without dashes, as it stands in the file."""
        return self.action.option_strings[-1].lstrip("-")

    @property
    def variable(self) -> str:
        """The environment variable that gives it."""
        words = [*self.command.split(), self.name]
        return "_".join(["anechoic", *words]).replace("-", "_").upper()

    @property
    def is_flag(self) -> bool:
        """Whether it is there or not, and takes no value."""
        return self.action.nargs == 0

    @property
    def is_list(self) -> bool:
        """Whether it can be there more than once."""
        return isinstance(self.action, argparse._AppendAction)  # noqa: SLF001 - has no public name

    @property
    def can_be_configured(self) -> bool:
        """Whether it is harmless where nobody thinks of it."""
        is_chosen = self.is_alternative or self.action.required
        of = {self.command, self.command.split()[0]}
        return not (is_chosen or of & _NEVER_OF or self.name in _NEVER)


def parse(parser: argparse.ArgumentParser, argv: Sequence[str] | None) -> argparse.Namespace:
    """Parses a command line; what it lacks comes from the environment, the file, or the parser.

    Raises `Refused`, and ends the process as `argparse` does.
    """
    known = list(options_of(parser))
    built_in = {id(it.action): it.action.default for it in known}
    for it in known:
        it.action.default = argparse.SUPPRESS  # so that what was not typed is not there
    options = parser.parse_args(argv)
    told = _File(known)
    words = [options.command, *filter(None, [getattr(options, "act", None)])]
    commands = {words[0], " ".join(words)}
    for it in (it for it in known if it.command in commands):
        if not hasattr(options, it.action.dest):
            value = _configured(it, told)
            setattr(options, it.action.dest, built_in[id(it.action)] if value is None else value)
    told.tell_all(options)
    return options


def options_of(parser: argparse.ArgumentParser, command: str = "") -> Iterator[Option]:
    """Yields every option of every command of a parser that its help shows."""
    either = [it for group in parser._mutually_exclusive_groups for it in group._group_actions]  # noqa: SLF001
    for action in parser._actions:  # noqa: SLF001 - argparse has no public way to its options
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            for name, inner in action.choices.items():
                yield from options_of(inner, f"{command} {name}".strip())
        elif command and _is_shown(action):
            yield Option(command, action, action in either)


def _is_shown(action: argparse.Action) -> bool:
    is_help = action.default is argparse.SUPPRESS  # as it is of `--help` alone
    return bool(action.option_strings) and action.help != argparse.SUPPRESS and not is_help


def _configured(it: Option, told: "_File") -> Any:  # noqa: ANN401 - as the parser would have it
    if (text := os.environ.get(it.variable)) is not None:
        if not it.can_be_configured:
            raise Refused(f"{it.variable}: --{it.name} cannot be configured: {_WHY}")
        return _from_text(it, text)
    if it.name in GENERAL and os.environ.get(_variable(it.name)):
        return None
    return told.value(it)


class _File:
    """What the file says, checked as a whole."""

    def __init__(self, known: Sequence[Option]) -> None:
        self._path = _place()
        self._top, self._values = dict[str, Any](), dict[tuple[str, str], Any]()
        content = _read(self._path)
        if content:
            self._take(content, {(it.command, it.name): it for it in known})

    def value(self, it: Option) -> Any:  # noqa: ANN401
        return self._values.get((it.command, it.name))

    def tell_all(self, options: argparse.Namespace) -> None:
        """Sets what all commands know, here and in processes to come, unless it is set already."""
        for name in GENERAL:
            if name in self._top:
                os.environ.setdefault(_variable(name), self._top[name])
        variable = os.environ.get(_variable(_JSON))
        if not options.json and variable is not None:
            options.json = _flag(_variable(_JSON), variable)
        elif not options.json:
            options.json = self._top.get(_JSON, False)

    def _take(self, content: Mapping[str, Any], known: Mapping[tuple[str, str], Option]) -> None:
        for key, value in content.items():
            if isinstance(value, dict):
                self._take_table(key, value, known)
            elif key == _JSON:
                self._top[key] = self._checked(key, value, bool, "true or false")
            elif key in GENERAL:
                self._top[key] = _home(self._checked(key, value, str, "a text"))
            else:
                self._refuse(f"expected {', '.join((*GENERAL, _JSON))}, found {key[:32]!r}")

    def _take_table(
        self, command: str, table: Mapping[str, Any], known: Mapping[tuple[str, str], Option]
    ) -> None:
        names = sorted(name for of, name in known if of == command)
        acts = sorted({of for of, _ in known if of.startswith(f"{command} ")})
        if not names and not acts:
            self._refuse(f"expected tables named after commands with options, found [{command}]")
        for name, value in table.items():
            it, where = known.get((command, name)), f"[{command.replace(' ', '.')}] {name[:32]}"
            if it is None and isinstance(value, dict) and f"{command} {name}" in acts:
                self._take_table(f"{command} {name}", value, known)
            elif it is None:
                there = ", ".join([*names, *(f"[{act.replace(' ', '.')}]" for act in acts)])
                self._refuse(f"{where}: expected one of {there}; found no such option")
            elif not it.can_be_configured:
                self._refuse(f"{where} cannot be configured: {_WHY}")
            else:
                self._values[command, name] = self._converted(it, where, value)

    def _converted(self, it: Option, where: str, value: object) -> Any:  # noqa: ANN401
        if it.is_flag:
            is_on = self._checked(where, value, bool, "true or false")
            return it.action.const if is_on else not it.action.const
        if it.is_list:
            each = self._checked(where, value, list, "a list of texts")
            return [self._one(it, where, item) for item in each]
        return self._one(it, where, value)

    def _one(self, it: Option, where: str, value: object) -> Any:  # noqa: ANN401
        is_number = it.action.type not in {None, Path}
        kind, expected = (int, "a number") if is_number else (str, "a text")
        text = str(self._checked(where, value, kind, expected))
        try:
            return _of_type(it, text)
        except ValueError as error:
            self._refuse(f"{where}: {error}")

    def _checked(self, where: str, value: object, kind: type, expected: str) -> Any:  # noqa: ANN401
        if type(value) is not kind:  # a bool is an int, and none here
            self._refuse(f"{where}: expected {expected}, found {str(value)[:32]!r}")
        return value

    def _refuse(self, what: str) -> NoReturn:
        raise Refused(f"{self._path}: {what}")


def _place() -> Path | None:
    """Returns where the file is, None where there is no such folder: most have none."""
    from pipeline import places

    path = places.config_directory() / FILE
    return path if path.exists() else None


def _read(path: Path | None) -> Mapping[str, Any]:
    if path is None:
        return {}
    import tomllib

    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Refused(f"{path}: {error}") from None


def _from_text(it: Option, text: str) -> Any:  # noqa: ANN401
    if it.is_flag:
        return it.action.const if _flag(it.variable, text) else not it.action.const
    import shlex

    try:
        if it.is_list:
            return [_of_type(it, word) for word in shlex.split(text)]
        return _of_type(it, text)
    except ValueError as error:
        raise Refused(f"{it.variable}: {error}") from None


def _of_type(it: Option, text: str) -> Any:  # noqa: ANN401
    if it.action.choices and text not in it.action.choices:
        raise ValueError(f"expected one of {', '.join(it.action.choices)}, found {text[:32]!r}")
    convert = it.action.type if callable(it.action.type) else str
    try:
        return convert(_home(text))
    except argparse.ArgumentTypeError as error:
        raise ValueError(str(error)) from None


def _flag(variable: str, text: str) -> bool:
    if text.lower() not in _YES | _NO:
        raise Refused(f"{variable}: expected 1 or 0, found {text[:32]!r}")
    return text.lower() in _YES


def _home(text: str) -> str:
    return str(Path(text).expanduser()) if text.startswith("~/") else text


def _variable(name: str) -> str:
    return f"ANECHOIC_{name.replace('-', '_').upper()}"
