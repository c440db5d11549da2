"""Anchors as the user names them: `file`, `file:DIR`, `keyring`, `tpm`, joined by `+` and `|`.

`A+B` needs both to open the vault, and erasing either is enough; `A|B` opens with either, and an
erasure is complete when both have rotated. `+` binds tighter. What a name means on this machine is
decided here and nowhere else; what an anchor does is in `keys/anchor`.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from keys.anchor import Anchor, Level
from keys.durable import Disk
from keys.model import VaultId
from keys.root import Way
from pipeline.errors import Refused

KINDS = "file, file:DIR, keyring, tpm or tpm:TCTI"


def parse_spec(spec: str) -> tuple[tuple[str, ...], ...]:
    """Returns the ways of a specification, each a tuple of anchors; raises `Refused`."""
    ways = tuple(tuple(part.strip() for part in way.split("+")) for way in spec.split("|"))
    names = [name for way in ways for name in way]
    kinds = [name.partition(":")[0] for name in names]
    for name in names:
        kind, _, rest = name.partition(":")
        known = kind in {"file", "keyring", "tpm"} and not (kind == "keyring" and rest)
        if not known or name.endswith(":"):
            raise Refused(f"--anchor: expected {KINDS}, joined by + or |; found {name[:40]!r}")
    if len(set(names)) < len(names) or kinds.count("tpm") > 1:
        raise Refused("--anchor: each anchor can be named once, and a TPM only once")
    return ways


def format_spec(ways: tuple[tuple[str, ...], ...]) -> str:
    """Returns the specification of some ways."""
    return "|".join("+".join(map(_absolute, way)) for way in ways)


def place_of(name: str) -> Path | None:
    """Returns the folder of an anchor `file:DIR`, links followed; None for any other."""
    kind, _, place = name.partition(":")
    return Path(place).resolve() if kind == "file" and place else None


def file_of(name: str, directory: Path, vault: VaultId) -> Path | None:
    """Returns the file of an anchor, in `directory` unless it names a folder; None for a keyring.

    Without it the anchor gives no share.
    """
    kind, _, rest = name.partition(":")
    if kind == "keyring":
        return None
    if kind == "tpm":
        return directory / f"{vault.hex()}.tpm"
    return Path(rest or directory) / f"{vault.hex()}.share"


def check_places(
    ways: tuple[tuple[str, ...], ...], copied: Sequence[Path], default: Path | None = None
) -> None:
    """Raises `Refused` for two anchors in one folder, and for one in what is `copied`.

    `default` is the folder of the anchor `file`, where that is not looked at otherwise.
    """
    names = [name for way in ways for name in way]
    places = [place for place in map(place_of, names) if place]
    places += [default.resolve()] if default and "file" in names else []
    if len(set(places)) < len(places):
        raise Refused("two of the anchors lie in the same folder; name another one")
    for inside in copied:
        if any(place.is_relative_to(inside.resolve()) for place in places):
            raise Refused(
                f"the anchor would be inside {inside}, so every copy of that would carry the means "
                "to revive what was erased; name a folder outside it"
            )


def ways_of(spec: str, disk: Disk, directory: Path, vault: VaultId) -> list[Way]:
    """Returns the anchors of a specification; files lie in `directory` unless named."""
    ways = parse_spec(spec)
    return [tuple(_anchor(name, disk, directory, vault) for name in way) for way in ways]


def level_of(ways: list[Way]) -> Level:
    """Returns the level of all together: the best anchor of the worst way (SPEC section 3.1)."""
    levels = [min((anchor.level() for anchor in way), key=lambda it: it.letter) for way in ways]
    return max(levels, key=lambda it: it.letter)


def _absolute(name: str) -> str:
    kind, _, rest = name.partition(":")
    return f"file:{Path(rest).absolute()}" if kind == "file" and rest else name


def _anchor(name: str, disk: Disk, directory: Path, vault: VaultId) -> Anchor:
    kind, _, rest = name.partition(":")
    path = file_of(name, directory, vault)
    if path is None:
        from keys.anchor.keyring import KeyringAnchor

        return KeyringAnchor(vault)
    if kind == "tpm":
        from keys.anchor.chip import DEVICE
        from keys.anchor.tpm import TpmAnchor

        return TpmAnchor(disk, path, vault, rest or DEVICE)
    from keys.anchor.file import FileAnchor

    # Receipts and ring states name the anchor; where it lies is nobody's business there.
    short = hashlib.sha256(rest.encode()).hexdigest()[:8]
    return FileAnchor(disk, path, vault, f"file-{short}" if rest else "file")
