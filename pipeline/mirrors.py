"""Mirrors of a vault: where they may be, and how one is added or given up.

What a mirror is and how it is kept is in `keys/mirror.py`; here is what a user may ask for. Each
function expects to be called within `acting`.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from keys.mirror import MARK
from pipeline.errors import NotFound, Refused
from pipeline.identity import read_identity, write_identity
from pipeline.vault import Vault


def add_mirror(vault: Vault, directory: Path, anchors: Path) -> None:
    """Begins a mirror in a directory, apart from vault and anchors; raises `Refused`."""
    directory = directory.absolute()
    _check(vault, directory, anchors)
    vault.disk.add(directory)
    _record(vault)


def remove_mirror(vault: Vault, directory: Path) -> None:
    """Gives a mirror up; what is in it stays there. Raises `NotFound`."""
    mirror = _mirror_at(vault, directory)
    if mirror is None:
        raise NotFound(f"{directory} is no mirror of this vault; `anechoic mirror list` shows them")
    vault.disk.remove(mirror)
    _record(vault)


def _mirror_at(vault: Vault, directory: Path) -> Path | None:
    """Returns the mirror that this directory is, by whichever path it is named."""
    where = directory.resolve()
    return next((it for it in vault.disk.mirrors if it.resolve() == where), None)


def _record(vault: Vault) -> None:
    identity = read_identity(vault.directory, vault.disk)
    mirrors = tuple(map(str, vault.disk.mirrors))
    write_identity(vault.directory, replace(identity, mirrors=mirrors), vault.disk)


def mirrors(vault: Vault) -> Iterator[tuple[Path, bool]]:
    """Yields each mirror, and whether it is up to date."""
    for mirror in vault.disk.mirrors:
        yield mirror, mirror in vault.disk.kept


def _check(vault: Vault, directory: Path, anchors: Path) -> None:
    if _mirror_at(vault, directory):
        raise Refused(f"{directory} is a mirror of this vault already")
    for place in (vault.directory, anchors, *vault.disk.mirrors):
        if directory.resolve().is_relative_to(place.resolve()):
            raise Refused(
                f"{directory} is inside {place}: a mirror is for the day that is lost, so it "
                "belongs on another disk"
            )
    if there := set(vault.disk.names(directory)) - {"ring", "log", MARK, MARK + ".new"}:
        raise Refused(f"{directory} holds other things ({min(there)}, …); name an empty one")
    if vault.disk.is_of_another(directory):
        raise Refused(f"{directory} is a mirror of another vault; name an empty folder")
