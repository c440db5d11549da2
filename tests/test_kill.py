"""A process that allocates and destroys on the real disk, killed at random moments, many times.

The parent knows only what was acknowledged over a pipe. After each kill a fresh ring must open all
that was given out and not asked to be destroyed, and nothing that was acknowledged destroyed may
open, in the ring or for an adversary with the files as they are and a copy of them from each round.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from keys.anchor.file import FileAnchor
from keys.durable import RealDisk
from keys.errors import Erased
from keys.model import Slot, VaultId
from keys.ring import Ring
from keys.root import Roots
from tests.world.adversary import Adversary, shares_in, versions_in

VAULT = VaultId(b"k" * 16)
ROUNDS = 200
Told = tuple[str, Any]
ROOT = Path(__file__).parent.parent

# One process is started and forks another for each round: starting Python anew would take longer
# than the round. It never opens a ring itself.
NURSERY = """
import json, os, random, sys
from pathlib import Path
from tests.test_kill import open_ring

def say(*what):
    os.write(1, (json.dumps(what) + "\\n").encode())  # whole: less than a pipe's PIPE_BUF

def live_on(base, chance):
    ring = open_ring(base)
    live = [slot for slot in range(ring.slot_count) if ring.is_live(slot)]
    say("ready", os.getpid())
    while True:
        if len(live) < 4 or chance.random() < 0.5:
            slots = ring.allocate(chance.randint(1, 3))
            say("allocated", [(slot, ring.key(slot).hex()) for slot in slots])
            live += slots
        else:
            slots = chance.sample(live, chance.randint(1, 2))
            say("asked", slots)
            ring.destroy(slots, b"plan")
            say("destroyed", slots)
            live = [slot for slot in live if slot not in slots]

for line in sys.stdin:
    if not (child := os.fork()):
        live_on(Path(sys.argv[1]), random.Random(int(line)))
    os.waitpid(child, 0)
    say("ended", child)
"""


def open_ring(base: Path) -> Ring:
    disk = RealDisk()
    roots = Roots(VAULT, [[FileAnchor(disk, base / "anchors" / "share", VAULT)]])
    ring = Ring(disk, base / "ring", roots)
    if not disk.names(base / "ring"):
        ring.create()
    else:
        ring.open()
    return ring


@dataclass
class Known:
    live: dict[Slot, bytes] = field(default_factory=dict)
    asked: dict[Slot, bytes] = field(default_factory=dict)
    dead: dict[Slot, bytes] = field(default_factory=dict)

    def hear(self, what: str, told: list[Any]) -> None:
        if what == "allocated":
            self.live |= {Slot(slot): bytes.fromhex(key) for slot, key in told}
        elif what == "asked":
            self.asked = {slot: self.live.pop(slot) for slot in told if slot in self.live}
        elif what == "destroyed":
            self.dead, self.asked = self.dead | self.asked, {}


class Nursery:
    """Runs one life of the program after another, and kills each."""

    def __init__(self, base: Path) -> None:
        command = [sys.executable, "-c", NURSERY, str(base)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
        )

    def live_and_be_killed(self, seed: int, seconds: float) -> list[Told]:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{seed}\n")
        self._process.stdin.flush()
        what, pid = self._hear()
        assert what == "ready"
        time.sleep(seconds)
        os.kill(pid, signal.SIGKILL)
        return list(iter(self._hear, ("ended", pid)))

    def close(self) -> None:
        with self._process:
            pass

    def _hear(self) -> Told:
        assert self._process.stdout is not None
        what, told = json.loads(self._process.stdout.readline())
        return what, told


def check(base: Path, known: Known, copies: set[bytes]) -> None:
    ring = open_ring(base)
    for slot, key in known.live.items():
        assert bytes(ring.key(slot)) == key, f"slot {slot} is lost"
    alive = {slot for slot in known.asked if ring.is_live(slot)}
    assert alive in (set(), set(known.asked)), "an erasure is half done"
    if alive:
        known.live |= known.asked
    else:
        known.dead |= known.asked
    known.asked = {}
    for slot in known.dead:
        with pytest.raises(Erased):
            ring.key(slot)
    copies |= set(versions_in(base / "ring"))
    adversary = Adversary(copies, {"file": shares_in((base / "anchors" / "share").read_bytes())})
    assert not set(adversary.keys) & set(known.dead)
    assert set(known.live) <= set(adversary.keys)  # it can open what is there to be opened


@pytest.mark.slow
def test_killed_at_random_moments(tmp_path: Path) -> None:
    known, copies, chance = Known(), set[bytes](), random.Random(1)
    nursery = Nursery(tmp_path)
    for number in range(ROUNDS):
        for what, told in nursery.live_and_be_killed(number, chance.uniform(0, 0.03)):
            known.hear(what, told)
        check(tmp_path, known, copies)
    nursery.close()
    print(
        f"\n{ROUNDS} kills: {len(known.live)} live, {len(known.dead)} destroyed, 0 lost, 0 undead"
    )
    assert len(known.dead) > ROUNDS
