"""Forgetting an hour of sound beside a second of it, and forgetting everything at once.

The hour is the samples repeated (in `--quick` ten minutes). Everything is so many interactions of
three seconds, written one by one: the rotation is when all of it is gone for ever; what follows
until the command ends is log, receipt and the deletion of dead files. Beside it `rm -rf` and
`shred -u` of a copy of the same sealed files, which reach that copy.
"""

import shutil
from functools import partial
from pathlib import Path
from unittest import mock

import numpy as np

from keys.model import InteractionId, Slot
from pipeline import write
from pipeline.artefact import AUDIO, META, TRANSCRIPT, Meta, Transcript, encode_audio
from pipeline.erase import erase
from pipeline.model import RATE_HZ, Word
from pipeline.plan import make_plan
from pipeline.session import acting, create_vault, now, now_ms
from pipeline.sources import blocks
from pipeline.vault import Vault
from tests.bench import peers
from tests.bench.figures import Line, Measured, Target
from tests.bench.hear import SAMPLES
from tests.bench.metering import Cost, cost, middle

_ROUNDS = 5


def parts(seconds: int) -> list[write.Part]:
    """Returns the parts of an interaction with so many seconds of the samples."""
    said = np.concatenate([it for path in sorted(SAMPLES.glob("0*.wav")) for it in blocks(path)])
    pcm = np.resize(said, seconds * RATE_HZ)
    meta = Meta(now_ms(), seconds * 1000, "default", "bench", 0, "none")
    words = Transcript((Word("word", 0, 100, 1.0),))
    return [(AUDIO, encode_audio(pcm)), (TRANSCRIPT, words.encode()), (META, meta.encode())]


def lines(base: Path, *, quick: bool) -> list[Line]:
    """Measures both."""
    base.mkdir()
    vault = create_vault(base / "vault", base / "anchors")
    with acting(vault):
        long_s = 600 if quick else 3600
        costs = {it: _of_length(base, vault, it) for it in (1, long_s)}
        return [_length(long_s, costs), *_everything(base, vault, 100 if quick else 300)]


def _of_length(base: Path, vault: Vault, seconds: int) -> tuple[Cost, Cost]:
    content, rounds = parts(seconds), _ROUNDS if seconds < 60 else 3
    ids = [write.create(vault, content) for _ in range(rounds)]
    copies = [_copies(base, vault, it) for it in ids]
    gone = middle(cost(partial(_forget, vault, [it])) for it in ids)
    return gone, middle(cost(partial(peers.shred, it)) for it in copies)


def _forget(vault: Vault, ids: list[InteractionId]) -> None:
    erase(vault, make_plan(vault, ids, now()), now)


def _copies(base: Path, vault: Vault, one: InteractionId) -> list[Path]:
    folder = base / "copies"
    folder.mkdir(exist_ok=True)
    return [Path(shutil.copy(it.path, folder)) for it in vault.artefacts(one)]


def _length(long_s: int, costs: dict[int, tuple[Cost, Cost]]) -> Line:
    (second, _), (long, shredded) = costs[1], costs[long_s]
    mine = Measured(f"forget {long_s // 60} minutes of sound", long.ms, "ms")
    same = Target("the same as a second, or a fifth more", long.ms / second.ms, 1.2)
    others = (
        Measured("forget a second of sound", second.ms, "ms"),
        Measured(f"`shred -u` of the {long_s // 60} minutes", shredded.ms, "ms"),
    )
    return Line("forget much sound", mine, others, (same,))


def _everything(base: Path, vault: Vault, number: int) -> list[Line]:
    content, destroy, rotation = parts(3), vault.ring.destroy, list[Cost]()
    ids = [write.create(vault, content) for _ in range(number)]
    copies = [shutil.copytree(vault.sealed, base / it) for it in ("removed", "shredded")]

    def timed(slots: list[Slot], plan: bytes) -> None:
        rotation.append(cost(partial(destroy, slots, plan)))

    with mock.patch.object(vault.ring, "destroy", timed):
        whole = cost(partial(_forget, vault, ids))
    files = sorted(it for it in copies[1].rglob("*") if it.is_file())
    removed, shredded = (
        cost(partial(peers.run, "rm", "-rf", copies[0])),
        cost(partial(peers.shred, files)),
    )
    others = (
        Measured("`rm -rf`", removed.ms, "ms"),
        Measured("`shred -u`", shredded.ms, "ms"),
    )
    gone = Measured("until no key is left: one rotation", rotation[0].ms, "ms")
    done = Measured("with receipt and all files deleted", whole.ms, "ms")
    target = Target("one rotation, under 50 ms", rotation[0].ms, 50)
    job = f"forget everything ({number:,} interactions)"
    return [Line(job, gone, others, (target,)), Line(f"{job}, to the end", done, others)]
