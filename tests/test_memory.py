"""No key stays in memory after its slot was destroyed: a stopped process is searched, byte by byte.

The child says its keys masked, so that neither pipe nor parent puts them back into it. A key counts
as found when either half of it is, since freeing memory overwrites the first bytes of it. The
control finds at least 200 of the keys while they are alive.
"""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.memory import hits

ROOT = Path(__file__).parent.parent
KEYS = 300
MASK = 0xA5
HALF = 16

CHILD = """
import gc, json, os, signal, sys
from pathlib import Path
from keys.model import ArtefactId, InteractionId, Label
from keys.sealed import SMALL_CHUNK_LOG2, Opener, pad_steps, seal
from tests.test_kill import VAULT, open_ring

base, number = Path(sys.argv[1]), int(sys.argv[2])

def masked(ring, slot):
    with ring.key(slot) as key:
        for n in range(len(key)):
            key[n] ^= 0xA5
        return key.hex()

def stop(*what):
    print(json.dumps(what), flush=True)
    os.kill(os.getpid(), signal.SIGSTOP)

def use(ring, slot):
    label = Label(VAULT, InteractionId(bytes(16)), ArtefactId(bytes(16)), "meta", slot)
    with ring.key(slot) as key:
        _, file = seal(key, label, bytes(24), b"content", pad_steps, SMALL_CHUNK_LOG2)
        Opener(key, lambda at, size: file[at : at + size], len(file)).read()
    ring.commitment(slot)

ring = open_ring(base)
slots, kept = ring.allocate(number), ring.allocate(2)
stop("journal", [masked(ring, slot) for slot in slots])
ring.destroy(kept[:1], b"")
for slot in slots:
    use(ring, slot)
ring = open_ring(base)
for slot in slots:
    use(ring, slot)
stop("pages", [masked(ring, slot) for slot in slots])
LEAK
ring.destroy(slots, b"")
use(ring, kept[1])
stop("destroyed", [masked(ring, kept[1])])
del ring
gc.collect()
stop("closed", [])
"""


def unmask(text: str) -> bytes:
    return bytes(byte ^ MASK for byte in bytes.fromhex(text))


def found(pid: int, keys: list[bytes]) -> set[bytes]:
    """Returns the keys of which a half lies anywhere in the writable memory of the process."""
    halves = {key[at : at + HALF]: key for key in keys for at in (0, HALF)}
    return {halves[half] for half in hits(pid, halves)}


class Watched:
    """The child, stopped at each of its marks."""

    def __init__(self, base: Path, leak: str = "") -> None:
        command = [sys.executable, "-c", CHILD.replace("LEAK", leak), str(base), str(KEYS)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        self.pid = self._process.pid

    def next_stop(self, mark: str) -> list[bytes]:
        os.kill(self.pid, signal.SIGCONT)
        assert self._process.stdout is not None
        said, keys = json.loads(self._process.stdout.readline())
        assert said == mark
        _, status = os.waitpid(self.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        return [unmask(text) for text in keys]

    def end(self) -> None:
        self._process.kill()
        with self._process:
            pass


pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/PID/mem")


def test_no_destroyed_key_stays_in_memory(tmp_path: Path) -> None:
    child = Watched(tmp_path)
    try:
        keys = child.next_stop("journal")
        in_journal = found(child.pid, keys)
        assert child.next_stop("pages") == keys
        in_pages = found(child.pid, keys)
        kept = child.next_stop("destroyed")
        left = found(child.pid, keys)
        kept_found = found(child.pid, kept)
        child.next_stop("closed")
        at_the_end = found(child.pid, keys + kept)
    finally:
        child.end()
    counts = [len(each) for each in (in_journal, in_pages, left, kept_found, at_the_end)]
    print(f"\nof {len(keys)} keys: journal, pages, destroyed, (kept), closed: {counts}")
    assert len(in_journal) >= 200
    assert len(in_pages) >= 200
    assert kept_found == set(kept), "the search sees a key that is alive in the same process"
    assert not left
    assert not at_the_end


@pytest.mark.parametrize(
    "leak",
    [
        "freed = [bytes(ring.key(slot)) for slot in slots]; del freed",
        "live = [bytes(ring.key(slot)) for slot in slots]",
    ],
)
def test_the_search_finds_a_planted_leak(tmp_path: Path, leak: str) -> None:
    child = Watched(tmp_path, leak)
    try:
        keys = child.next_stop("journal")
        child.next_stop("pages")
        child.next_stop("destroyed")
        left = found(child.pid, keys)
    finally:
        child.end()
    print(f"\nplanted leak: {len(left)} of {len(keys)} keys found")
    assert len(left) >= 100
