"""What came back from a witness or a time stamp authority, before it is added to a note."""

from collections.abc import Iterable

from keys.log import signer_of
from keys.merkle import Hash
from keys.model import VaultId
from keys.note import Checkpoint, sign
from keys.stamp import lines_in
from tests.fuzz.target import Target

HEAD = Checkpoint("anechoic/it", 3, Hash(bytes(range(32))))
NOTE = sign(HEAD.format(), [signer_of(VaultId(bytes(16)), bytearray(32))])
TEXT, _, LINES = NOTE.rpartition("\n\n")
TEXT += "\n"
REQUEST_LIKE = bytes.fromhex("30820119 300302010030820110".replace(" ", ""))


def run(data: bytes) -> None:
    for line in lines_in(TEXT, data):
        assert line.startswith("— ")
        assert line.endswith("\n")


def seeds() -> Iterable[bytes]:
    other = NOTE.replace("anechoic/", "anechoic/0")
    return NOTE.encode(), LINES.encode(), other.encode(), REQUEST_LIKE, LINES[:-1].encode()


TARGET = Target(run, seeds)
