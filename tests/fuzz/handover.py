"""A handover of a log's key: what verifies says what the one that was made says.

Not byte for byte: anybody may add a signature to a note, which says nothing to us.
"""

from collections.abc import Iterable
from functools import cache
from pathlib import Path

from keys import handover
from keys.log import Log, signer_of
from keys.model import VaultId
from tests.fuzz.target import Target
from tests.world.disk import Medium, SimulatedDisk

HERE = Path("/log")
VAULT = VaultId(bytes(range(16)))
SEED = bytes(range(32))


@cache
def made() -> tuple[bytes, bytes]:
    """The handover of a log of two entries, and the same one signed by the old key alone."""
    disk = SimulatedDisk(Medium(frozenset({HERE, *HERE.parents})))
    log = Log(disk, HERE, VAULT)
    log.create()
    old, new = (signer_of(VAULT, bytearray(SEED), n) for n in range(2))
    index = log.rekey(old.verifier, new.verifier)
    ((_, entry),) = log.rekeys()
    both, alone = log.prove(index, old, new), log.prove(index, old)
    return handover.encode(index, entry, both), handover.encode(index, entry, alone)


def run(data: bytes) -> None:
    assert handover.verify(data) == handover.verify(made()[0])


def seeds() -> Iterable[bytes]:
    return made()


TARGET = Target(run, seeds)
