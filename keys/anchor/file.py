"""The file anchor: two places in one small file, overwritten in place (SPEC section 3.3).

Promises that a share is durable before the old one is touched and that the old one is overwritten
and synced before an erasure is acknowledged. Never renamed, never grown, never copied: any of these
would leave the old share in the medium's free space.
"""

import hashlib
import struct
from pathlib import Path

from keys.anchor import Level
from keys.anchor.medium import level_of, medium_of
from keys.durable import Disk
from keys.errors import AnchorFailure
from keys.model import KEY_SIZE, Epoch, VaultId
from keys.secret import Secret

MAGIC = b"anechoic-share/1"
PLACE_SIZE = 4096
_HEAD = struct.Struct(">16s16sQ")
_RECORD_SIZE = _HEAD.size + KEY_SIZE + 32


class FileAnchor:
    """Keeps the share in `path`, a file of two 4 KiB places of which one is in use."""

    def __init__(self, disk: Disk, path: Path, vault: VaultId, name: str = "file") -> None:
        self._disk, self._path, self._vault, self.name = disk, path, vault, name

    def shares(self) -> dict[Epoch, Secret]:
        """Returns the shares found; raises `AnchorFailure` for no file or another vault's."""
        return {epoch: share for epoch, share in map(self._parse, self._places()) if epoch}

    def write(self, epoch: Epoch, share: Secret) -> None:
        """Writes the share into the place that is free, and syncs."""
        if not self._disk.size(self._path) or not self.shares():
            self._make()
        taken = [self._parse(place)[0] for place in self._places()]
        if all(taken):
            raise AnchorFailure(
                f"{self._path}: both places hold a share ({taken}); recovery must run first"
            )
        record = _encode(self._vault, epoch, share)
        self._disk.write(self._path, taken.index(None) * PLACE_SIZE, record)
        record.wipe()
        self._disk.sync(self._path)

    def wipe(self, keep: Epoch) -> None:
        """Overwrites with zeros every place that does not hold the share of `keep`, and syncs."""
        stale = [n for n, place in enumerate(self._places()) if self._is_stale(place, keep)]
        for place in stale:
            self._disk.write(self._path, place * PLACE_SIZE, bytes(PLACE_SIZE))
        if stale:
            self._disk.sync(self._path)

    def settle(self) -> None:
        """Syncs the file: a killed process may have left a share, or its wiping, unsynced."""
        if self._disk.size(self._path) is not None:
            self._disk.sync(self._path)

    def level(self) -> Level:
        """Returns C or E by the file system that the file lies on."""
        return level_of(medium_of(self._path))

    def _make(self) -> None:
        self._disk.make_dir(self._path.parent)
        self._disk.sync_dir(self._path.parent.parent)
        self._disk.write(self._path, 0, bytes(2 * PLACE_SIZE))
        self._disk.sync(self._path)
        self._disk.sync_dir(self._path.parent)

    def _places(self) -> list[Secret]:
        try:
            content = self._disk.read(self._path)
        except FileNotFoundError:
            raise AnchorFailure(
                f"the file anchor {self._path} is missing, and without it nothing in this vault "
                "opens; put the file back, or name its directory in ANECHOIC_ANCHOR_DIR"
            ) from None
        except OSError as error:
            raise AnchorFailure(
                f"the file anchor {self._path} cannot be read: {error.strerror or error}"
            ) from error
        view = memoryview(content)
        return [Secret(view[:PLACE_SIZE]), Secret(view[PLACE_SIZE : 2 * PLACE_SIZE])]

    def _is_stale(self, place: Secret, keep: Epoch) -> bool:
        return any(place) and self._parse(place)[0] != keep  # a torn record is stale too

    def _parse(self, place: Secret) -> tuple[Epoch | None, Secret]:
        view = memoryview(place)
        body, checksum = view[: _RECORD_SIZE - 32], view[_RECORD_SIZE - 32 : _RECORD_SIZE]
        if len(place) < _RECORD_SIZE or hashlib.sha256(body).digest() != checksum:
            return None, Secret()
        magic, vault, epoch = _HEAD.unpack_from(place)
        if magic != MAGIC or vault != self._vault:
            raise AnchorFailure(
                f"the file anchor {self._path} belongs to another vault ({vault.hex()}), "
                f"expected {self._vault.hex()}"
            )
        return Epoch(epoch), Secret(view[_HEAD.size : _HEAD.size + KEY_SIZE])


def _encode(vault: VaultId, epoch: Epoch, share: Secret) -> Secret:
    record = Secret(_RECORD_SIZE)
    view = memoryview(record)
    view[: _HEAD.size] = _HEAD.pack(MAGIC, vault, epoch)
    view[_HEAD.size : _HEAD.size + KEY_SIZE] = share
    view[-32:] = hashlib.sha256(view[:-32]).digest()
    return record
