"""What the assistant costs: understanding a sentence, reading what is open, looking each second.

Run: `.venv/bin/python -m tests.bench.assistant [INTERACTIONS]`. A twentieth of the interactions are
open actions. The vault lies in memory, where there is room (`TMPDIR=/dev/shm`).
"""

import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

from pipeline import write
from pipeline.assistant.agenda import Agenda
from pipeline.assistant.derive import derive
from pipeline.assistant.derived import Context
from pipeline.assistant.here import now
from pipeline.assistant.sentences import sentences
from pipeline.assistant.understand import understand
from pipeline.assistant.watch import Watch
from pipeline.session import acting, create_vault
from pipeline.vault import Vault
from tests.household import words_of

SENTENCES = (
    "set a timer for ten minutes",
    "remind me to buy flowers for our anniversary on friday",
    "put a meeting with the school on monday at nine in the morning",
    "forget everything i said about the doctor",
    "my sister called last night and they are moving to a new house in the spring",
)
ROUNDS = 50


def timed_ms(do: Callable[[], object], rounds: int = 1) -> float:
    """Returns the median time of so many rounds."""
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        do()
        times.append((time.perf_counter() - started) * 1000)
    return median(times)


def main() -> None:
    """Prints the table."""
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    print(f"{'load the sentences':44}{timed_ms(sentences):9.2f} ms")
    print(f"{'the first sentence':44}{timed_ms(partial(understand, SENTENCES[0])):9.2f} ms")
    for text in SENTENCES:
        print(f"{text[:42]:44}{timed_ms(partial(understand, text), ROUNDS):9.2f} ms")
    with tempfile.TemporaryDirectory() as folder:
        vault = create_vault(Path(folder) / "vault", Path(folder) / "anchors")
        context = Context(now())
        parts = derive("remind me tomorrow at nine to call mum", context).parts
        with acting(vault):
            for n in range(number):
                more = parts if n % 20 == 0 else ()
                write.create(vault, [("transcript", words_of("word").encode()), *more])
        with acting(vault):
            agenda, watch = Agenda(vault), Watch(vault, lambda _: None)
            print(f"{f'read what is open of {number}':44}{timed_ms(agenda.entries):9.2f} ms")
            print(f"{'look once, nothing has changed':44}{_looking_ms(watch):9.4f} ms")
        print(f"{'take the vault, look, let go':44}{_turn_ms(vault, watch):9.2f} ms")


def _looking_ms(watch: Watch) -> float:
    watch.run_due()
    return timed_ms(watch.run_due, ROUNDS)


def _turn_ms(vault: Vault, watch: Watch) -> float:
    def look() -> None:
        with acting(vault):
            watch.run_due()

    return timed_ms(look, ROUNDS)


if __name__ == "__main__":
    main()
