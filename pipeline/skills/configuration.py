"""What the user configured: which skills may be used, with what. Without it none is.

`skills.toml` in the configuration directory, a table for each skill:

    [order]
    enabled = true
    url = "https://shop.example/hook"
    token_variable = "SHOP_TOKEN"        # or token_file = "/home/ada/.shop-token", of mode 600

Promises that nothing is enabled by default, that a secret is in no table, and that what is
misspelt is refused and not passed over.
"""

import os
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from keys.model import KIND
from pipeline import places
from pipeline.errors import Refused
from pipeline.skills.posting import CA, PROXY, TOKEN, checked, checked_proxy
from pipeline.skills.webhook import URL

FILE = "skills.toml"
_TEXTS = (URL, PROXY, "language", "agent")
_FROM_FILES = {"token_file": TOKEN, "ca_file": CA}
_KNOWN = {"enabled", "folder", "fields", "token_variable", "options", *_FROM_FILES, *_TEXTS}


@dataclass(frozen=True, slots=True)
class Configured:
    """What the user configured for one skill; its repr shows no secret."""

    enabled: bool = False
    settings: Mapping[str, str] = field(default_factory=dict, repr=False)
    folder: Path | None = None
    """The one directory that it may write to."""
    fields: tuple[str, ...] | None = None
    """The fields that it may be given, where the user wants fewer than it declares."""


def configuration_file() -> Path:
    """Returns where the configuration of skills lies."""
    return places.config_directory() / FILE


def read_configuration() -> dict[str, Configured]:
    """Returns what is configured, by the names of skills; raises `Refused`."""
    path = configuration_file()
    try:
        tables = tomllib.loads(path.read_text("utf-8"))
        return {name: checked_table(name, table) for name, table in tables.items()}
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Refused(f"{path}: {error}") from None
    except Refused as error:
        raise Refused(f"{path}: {error}") from None


def checked_table(name: str, table: Any) -> Configured:  # noqa: ANN401 - TOML of any shape
    """Returns what a table says of a skill; raises `Refused` where that makes no sense."""
    if not KIND.fullmatch(name) or not isinstance(table, dict):
        raise Refused(f"expected tables named after skills, found {name[:32]!r}")
    if unknown := sorted(table.keys() - _KNOWN):
        raise Refused(f"[{name}] knows {', '.join(sorted(_KNOWN))}; found {unknown[0][:32]!r}")
    enabled, fields = table.get("enabled", False), table.get("fields")
    if not isinstance(enabled, bool):
        raise Refused(f"[{name}] enabled is true or false")
    if fields is not None and not _texts(fields):
        raise Refused(f"[{name}] fields is a list of names")
    folder = Path(_text(name, table, "folder")) if "folder" in table else None
    return Configured(
        enabled,
        _settings(name, table) if enabled else {},
        folder,
        None if fields is None else tuple(fields),
    )


def _settings(name: str, table: Mapping[str, Any]) -> dict[str, str]:
    found = {key: _text(name, table, key) for key in _TEXTS if key in table}
    if URL in found:
        checked(found[URL])
    if PROXY in found:
        checked_proxy(found[PROXY])
    for key, setting in _FROM_FILES.items():
        if key in table:
            found[setting] = _read(Path(_text(name, table, key)), secret=setting == TOKEN)
    if "token_variable" in table:
        found[TOKEN] = _variable(name, _text(name, table, "token_variable"))
    options = table.get("options", {})
    if not isinstance(options, dict) or not _texts(list(options.values())):
        raise Refused(f"[{name}.options] holds texts")
    return {**options, **found}


def _text(name: str, table: Mapping[str, Any], key: str) -> str:
    value = table[key]
    if not isinstance(value, str) or not value:
        raise Refused(f"[{name}] {key} is a text")
    return value


def _texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(it, str) for it in value)


def _variable(name: str, variable: str) -> str:
    try:
        return os.environ[variable]
    except KeyError:
        raise Refused(f"[{name}] its token is in {variable}, and that is not set") from None


def _read(path: Path, *, secret: bool) -> str:
    try:
        if secret and sys.platform != "win32" and path.stat().st_mode & 0o077:
            raise Refused(f"{path} holds a secret and can be read by others: chmod 600 {path}")
        return path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError):
        raise Refused(f"{path} cannot be read") from None
