"""Rings on a simulated disk, opened anew and damaged.

Nothing is tested here.
"""

from pathlib import Path

from keys.ring import Ring
from tests.world.crash import RING, make_ring
from tests.world.disk import SimulatedDisk


def new_ring(disk: SimulatedDisk, slots: int = 0) -> Ring:
    ring = make_ring(disk)
    ring.create()
    if slots:
        ring.allocate(slots)
    return ring


def reopened(disk: SimulatedDisk) -> Ring:
    ring = make_ring(disk)
    ring.open()
    return ring


def state_of(ring: Ring) -> Path:
    return RING / f"state-{ring.epoch:020}"


def damage(disk: SimulatedDisk, path: Path, at: int) -> None:
    (byte,) = disk.read(path, at, 1)
    disk.write(path, at, bytes([byte ^ 0x10]))
