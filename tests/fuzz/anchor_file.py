"""The file of the file anchor, as found, and with the checksums that somebody can make for it."""

from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

from keys.anchor.file import PLACE_SIZE, FileAnchor
from keys.model import VaultId
from tests.fuzz.ring_state import block
from tests.fuzz.target import Target
from tests.world.disk import Medium, SimulatedDisk

PATH = Path("/anchors/share")
VAULT = VaultId(bytes(range(16)))
BODY = 72


def shares_of(data: bytes) -> None:
    disk = SimulatedDisk(Medium(frozenset({PATH.parent, *PATH.parents})))
    disk.write(PATH, 0, data)
    for epoch, share in FileAnchor(disk, PATH, VAULT).shares().items():
        assert VAULT + epoch.to_bytes(8) + bytes(share) in data


def run(data: bytes) -> None:
    places = data[:PLACE_SIZE], data[PLACE_SIZE:]
    made = (each[:BODY] + sha256(each[:BODY]).digest() for each in places)
    shares_of(data)
    shares_of(b"".join(each.ljust(PLACE_SIZE, b"\0") for each in made))


def seeds() -> Iterable[bytes]:
    place = block("anchor-place")
    whole = place.ljust(PLACE_SIZE, b"\0")
    other = whole.replace(VAULT, bytes(16))
    return place, whole + bytes(PLACE_SIZE), bytes(PLACE_SIZE) + whole, whole + place, other


TARGET = Target(run, seeds)
