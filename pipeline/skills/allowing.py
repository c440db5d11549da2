"""Allowing a skill and withdrawing that: the one line of `skills.toml` that this writes.

Promises to change whether a skill is enabled and nothing else: comments, other tables and the order
of lines stay, and a file of which it cannot be sure is left as it is, with a word of what to write
by hand. Addresses and secrets are never written here. Refuses a skill that is not installed, and to
allow one whose settings could not be used.
"""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

from keys.durable import RealDisk, replace_file
from pipeline.errors import Refused
from pipeline.skills.catalogue import known_skill
from pipeline.skills.configuration import checked_table, configuration_file

_PRIVATE = 0o600


def set_allowed(name: str, *, is_allowed: bool) -> None:
    """Allows a skill or withdraws it, durable on return; raises `NotFound`, `Refused`."""
    known_skill(name)
    path = configuration_file()
    text = path.read_text("utf-8") if path.exists() else ""
    new = _with(text, name, is_allowed)
    tables = tomllib.loads(text)
    wanted = {**tables, name: {**tables.get(name, {}), "enabled": is_allowed}}
    if _parsed(new) != wanted:
        line = f"enabled = {_toml(is_allowed)}"
        raise Refused(f"{path} is written in a way of its own: put `{line}` into [{name}] yourself")
    checked_table(name, wanted[name])
    try:
        _write(path, new)
    except OSError as error:  # such as a service that may write to its vault alone
        why = error.strerror or type(error).__name__
        raise Refused(f"{path} cannot be written ({why}): run `anechoic skills` yourself") from None


def _with(text: str, name: str, is_allowed: bool) -> str:
    """Returns the text with the line of that skill set, put in, or put behind."""
    lines = text.splitlines(keepends=True)
    header = re.compile(rf"""\s*\[\s*["']?{re.escape(name)}["']?\s*\]""")
    at = next((n for n, line in enumerate(lines) if header.match(line)), None)
    setting = f"enabled = {_toml(is_allowed)}\n"
    if at is None:
        gap = ["\n"] if lines else []
        return "".join(
            ["".join(lines).rstrip("\n") + "\n" * bool(lines), *gap, f"[{name}]\n", setting]
        )
    for n in _of_table(lines, at):
        if found := re.match(r"(\s*enabled\s*=\s*)(?:true|false)\b", lines[n]):
            lines[n] = found[1] + _toml(is_allowed) + lines[n][found.end() :]
            return "".join(lines)
    lines[at] = lines[at].rstrip("\n") + "\n"
    return "".join([*lines[: at + 1], setting, *lines[at + 1 :]])


def _of_table(lines: list[str], header: int) -> Iterator[int]:
    for n in range(header + 1, len(lines)):
        if lines[n].lstrip().startswith("["):
            return
        yield n


def _parsed(text: str) -> object:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return None


def _toml(is_allowed: bool) -> str:
    return "true" if is_allowed else "false"


def _write(path: Path, text: str) -> None:
    path = path.resolve()  # where it is a link, what it leads to is replaced
    path.parent.mkdir(parents=True, exist_ok=True)
    mode = path.stat().st_mode & 0o777 if path.exists() else _PRIVATE
    replace_file(RealDisk(), path, text.encode())
    path.chmod(mode)
