"""Who makes notes and does not end: `python -m tests.bench.noting BASE NAME PAUSE_S`.

A long-lived process with one vault, as a program of somebody's own would be. Seals a note every so
often, as if it had been heard, one in five with an alarm; now and then finds one again. Tells of
each, when it is sealed, by a line of JSON: its id, its words, the label of its alarm; and now and
then of the memory that it holds, in MiB, without the pages of the ring, which grows with the vault.
It does not pause at first, so that its caches are full, and the largest erasure is behind it,
before its memory is judged.
"""

import contextlib
import itertools
import json
import random
import sys
import time
from pathlib import Path

from keys.errors import Busy
from keys.model import InteractionId
from pipeline import history, retention, write
from pipeline.artefact import ACTION, AUDIO, INTENT, META, TRANSCRIPT, Meta
from pipeline.assistant.values import ALARM, Action
from pipeline.session import acting, now, now_ms
from pipeline.vault import Vault
from tests.bench.holding import held_mib
from tests.household import SOUND_MS, flac_of, reopen, words_of

CANARY = "zebracanary"
"""Part of one word of each note."""
_SPOKEN = ("turn on the light", "play music", "weather tomorrow", "wake me", "add milk", "call")
_LOOKS = 20
_HURRIED = 1000


def main() -> None:
    """Goes on until it is killed, or until nobody listens."""
    base, name, pause_s = Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])
    vault, chance = reopen(base), random.Random(name)
    for number in itertools.count():
        text = f"{chance.choice(_SPOKEN)} {CANARY}{name}{number}"
        label = f"{CANARY} {name} {number}" if chance.random() < 0.2 else ""
        with contextlib.suppress(Busy):
            if it := noted(vault, text, label):
                print(json.dumps([it.hex(), text, label]), flush=True)
            if number % _LOOKS == 0:
                found(vault, text)
                print(json.dumps({"held_mib": held_mib() - pages_mib(vault)}), flush=True)
        if number >= _HURRIED:
            time.sleep(pause_s)


def pages_mib(vault: Vault) -> float:
    """Returns what it holds of the ring's pages: 64 at most, and as many as the ring has."""
    return sum(map(len, vault.ring._pages._cache.values())) / 2**20


def noted(vault: Vault, text: str, label: str) -> InteractionId | None:
    """Seals a note, with an alarm of this label if there is one; None where it may not be kept."""
    meta = Meta(now_ms(), SOUND_MS, "default", f"/home/{CANARY}.wav", 0, "none")
    parts = [(TRANSCRIPT, words_of(text).encode()), (META, meta.encode())]
    with acting(vault):
        it = retention.create(vault, [(AUDIO, flac_of(text)), *parts], now)
        if it and label:
            action = Action(ALARM, at="2046-03-09T07:00:00+00:00", label=label)
            write.add(vault, it, (INTENT, text.encode()))
            write.add(vault, it, (ACTION, action.encode()))
    return it


def found(vault: Vault, text: str) -> None:
    """Finds a note that was sealed a moment ago."""
    with acting(vault):
        assert history.search(vault, [text.rsplit(maxsplit=1)[-1]]), "it was sealed a moment ago"


if __name__ == "__main__":
    main()
