"""A process that listens, killed at random moments of speech, many times, on the real disk.

The parent knows only what was told over a pipe: how much of an utterance was brought, and which
utterances were sealed. After each kill all of those are there, whole; the one under way is there
but for a second at most; nothing is half-made, and the audit finds nothing.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keys.model import InteractionId
from pipeline.artefact import AUDIO, decode_audio
from pipeline.audit import audit
from pipeline.history import Filter, rows
from pipeline.listen import LIVE
from pipeline.model import RATE_HZ
from pipeline.session import acting
from pipeline.vault import Vault
from tests.household import clock, make, reopen
from tests.test_kill import ROOT
from tests.world.extent import either

PRE_ROLL = LIVE.pre_roll_ms // 32 + 1
ALLOWED_S = 1.0
LINES = 400  # told until it is killed: about as many as three utterances need
SIDE_BY_SIDE = 4
ROUNDS = either(60, 200)

# One process is started and forks another for each round, which listens to a script without end.
NURSERY = """
import json, os, random, sys
from pathlib import Path
from pipeline.capture import Block
from pipeline.listen import Request, Said, listen
from pipeline.safekeeping import InVault
from tests.household import reopen
from tests.parrot import Parrot, Script, probability, silence, voice

def say(*what):
    os.write(1, (json.dumps(what) + "\\n").encode())

def script(chance):
    while True:
        yield from silence(0.64)
        say("began", 0)
        for n, block in enumerate(voice(chance.randrange(4), chance.uniform(0.5, 6))):
            say("brought", n + 1)
            yield block
        yield from silence(0.64)

def live_on(base, chance):
    keeper = InVault(reopen(base))
    say("ready", os.getpid())
    for event in listen(Script(script(chance)), keeper, Parrot(), probability, Request("d", "p")):
        if isinstance(event, Said):
            say("sealed", event.interaction.hex())

for line in sys.stdin:
    if not (child := os.fork()):
        live_on(Path(sys.argv[1]), random.Random(int(line)))
    os.waitpid(child, 0)
    say("ended", child)
"""


@dataclass
class Told:
    """What was told in one round."""

    pid: int = 0
    brought: int = 0
    sealed: list[str] = field(default_factory=list)

    def take(self, what: str, value: Any) -> None:  # noqa: ANN401 - JSON
        if what == "ready":
            self.pid = value
        elif what == "sealed":
            self.sealed.append(value)
            self.brought = 0
        elif what in {"began", "brought"}:
            self.brought = value


def a_round(nursery: "subprocess.Popen[str]", number: int, chance: random.Random) -> Told:
    assert nursery.stdin
    assert nursery.stdout
    told, left = Told(), chance.randrange(2, LINES)
    nursery.stdin.write(f"{number}\n")
    nursery.stdin.flush()
    for line in nursery.stdout:
        what, value = json.loads(line)
        if what == "ended":
            return told
        told.take(what, value)
        left -= 1
        if left == 0:  # by what it has done, and then by chance: a busy machine changes nothing
            time.sleep(chance.uniform(0, 0.005))
            os.kill(told.pid, signal.SIGKILL)
    raise AssertionError("the nursery ended")


def check(vault: Vault, known: set[InteractionId], told: Told) -> float:
    """Asserts what must hold after a kill; returns how many seconds were lost."""
    sealed = {InteractionId(bytes.fromhex(it)) for it in told.sealed}
    with acting(vault, clock):
        there = {row.interaction: row for row in rows(vault, Filter())}
        assert known | sealed <= there.keys()
        assert not any(there[it].meta.truncated for it in sealed)
        fresh = there.keys() - known - sealed
        known.update(there)
        assert len(fresh) <= 1
        kept = 0
        for it in fresh:
            kept = len(decode_audio(vault.read(it, AUDIO))) - PRE_ROLL * 512
            assert kept > 0
        assert vault.disk.names(vault.capture) == []
    return (told.brought * 512 - kept) / RATE_HZ if told.brought else 0.0


def killed(base: Path, numbers: range) -> tuple[int, list[float]]:
    """Kills once for each number, in one vault; returns how many were sealed, and seconds lost."""
    base.mkdir()
    vault, chance = make(base), random.Random(numbers.start)
    known: set[InteractionId] = set()
    lost, sealed = [], 0
    with subprocess.Popen(
        [sys.executable, "-c", NURSERY, str(base)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as nursery:
        for number in numbers:
            told = a_round(nursery, number, chance)
            sealed += len(told.sealed)
            lost.append(check(vault, known, told))
        nursery.kill()
    with acting(reopen(base), clock):
        assert audit(vault).problems == []
    return sealed, lost


@pytest.mark.slow
def test_killed_while_somebody_speaks(tmp_path: Path) -> None:
    """In several vaults at once: most of a round is waiting, and each looks at all of its vault."""
    each = ROUNDS // SIDE_BY_SIDE
    with ThreadPoolExecutor(SIDE_BY_SIDE) as together:
        parts = [
            together.submit(killed, tmp_path / str(n), range(n * each, (n + 1) * each))
            for n in range(SIDE_BY_SIDE)
        ]
    sealed = sum(part.result()[0] for part in parts)
    lost = [it for part in parts for it in part.result()[1]]
    assert len(lost) == ROUNDS
    print(
        f"{ROUNDS} kills: {sealed} sealed utterances, none lost; seconds lost: "
        f"median {np.median(lost):.3f}, most {max(lost):.3f}"
    )
    assert sealed > ROUNDS // 4
    assert max(lost) < ALLOWED_S
