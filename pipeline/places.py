"""Where things are kept on this machine: vault, anchors, models; each with its variable.

The file anchor lies outside the vault on purpose: a copy of the vault must not carry it.
"""

import os
from pathlib import Path

from platformdirs import user_data_path, user_state_path


def vault_directory(named: Path | None = None) -> Path:
    """Returns the vault: the one named, else ANECHOIC_VAULT, else the user's data directory."""
    chosen = named or os.environ.get("ANECHOIC_VAULT")
    return Path(chosen) if chosen else user_data_path("anechoic", appauthor=False) / "vault"


def anchor_directory() -> Path:
    """Returns where file anchors lie: ANECHOIC_ANCHOR_DIR, else the user's state directory."""
    chosen = os.environ.get("ANECHOIC_ANCHOR_DIR")
    return Path(chosen) if chosen else user_state_path("anechoic", appauthor=False) / "anchors"
