"""Where things are kept on this machine: vault, anchors, settings; each with its variable.

The file anchor lies outside the vault on purpose: a copy of the vault must not carry it.
"""

import os
from pathlib import Path

from platformdirs import user_config_path, user_data_path, user_state_path


def vault_directory(named: Path | None = None) -> Path:
    """Returns the vault: the one named, else ANECHOIC_VAULT, else the user's data directory."""
    chosen = named or os.environ.get("ANECHOIC_VAULT")
    return Path(chosen) if chosen else user_data_path("anechoic", appauthor=False) / "vault"


def anchor_directory() -> Path:
    """Returns where file anchors lie: ANECHOIC_ANCHOR_DIR, else the user's state directory."""
    chosen = os.environ.get("ANECHOIC_ANCHOR_DIR")
    return Path(chosen) if chosen else user_state_path("anechoic", appauthor=False) / "anchors"


def config_directory() -> Path:
    """Returns where what the user configures lies: ANECHOIC_CONFIG_DIR, else the platform's."""
    chosen = os.environ.get("ANECHOIC_CONFIG_DIR")
    return Path(chosen) if chosen else user_config_path("anechoic", appauthor=False)


def private() -> tuple[Path, ...]:
    """Returns the directories that no program of somebody else's has any business in."""
    return Path.home(), vault_directory(), anchor_directory(), config_directory()
