"""Sealing and opening sound beside `age` on whole files, and beside bare AES-GCM on its chunks.

Files lie in memory where there is room, so that the disk is in neither. Both sides read a file and
write one, age as its program, ours as a loop in this process; the file is large, so that starting
age is little of it. The chunks are those of `sealed`.
"""

import os
from functools import partial
from pathlib import Path

from keys.model import ArtefactId, InteractionId, Label, Slot, VaultId
from keys.sealed import CHUNK_LOG2, Opener, Sealer, pad_padme
from keys.secret import random_secret
from tests.bench import peers
from tests.bench.figures import Line, Measured, Target, against
from tests.bench.metering import cost
from tests.bench.sealed import SIZE, bare, best_s, ours

_ROUNDS = 3
_PIECE = 1 << 20


def lines(base: Path, *, quick: bool) -> list[Line]:
    """Measures both directions, beside both."""
    base.mkdir()
    size = 64 << 20 if quick else 512 << 20
    (base / "plain").write_bytes(os.urandom(size))
    aged, mine = _age(base), _ours(base)
    made = list[Line]()
    content = memoryview(os.urandom(SIZE))
    acts = zip(bare(CHUNK_LOG2, content), ours(CHUNK_LOG2, content), strict=True)
    for n, (name, pair) in enumerate(zip(("seal", "open"), acts, strict=True)):
        alone_s, ours_s = best_s(pair)
        here = Measured("chunks, in memory", 1000 * ours_s, "ms")
        gcm = Measured("bare AES-256-GCM on the same chunks", 1000 * alone_s, "ms")
        fast = Target("at least 0.8 of its speed", ours_s / alone_s, 1 / 0.8)
        made.append(Line(f"{name} {SIZE >> 20} MiB of sound", here, (gcm,), (fast,)))
        file, age = Measured("file to file", mine[n], "ms"), Measured("`age`", aged[n], "ms")
        faster = against("faster than age", file, age, 1.0)
        made.append(Line(f"{name} a file of {size >> 20} MiB", file, (age,), (faster,)))
    for path in base.iterdir():
        path.unlink()
    return made


def _least_ms(act: "partial[None]") -> float:
    return min(cost(act).ms for _ in range(_ROUNDS))


def _age(base: Path) -> tuple[float, float]:
    to, plain, sealed, again = peers.recipient(base), base / "plain", base / "aged", base / "again"
    seal = partial(peers.run, "age", "-r", to, "-o", sealed, plain)
    opened = partial(peers.run, "age", "-d", "-i", base / "age.key", "-o", again, sealed)
    return _least_ms(seal), _least_ms(opened)


def _ours(base: Path) -> tuple[float, float]:
    ids = VaultId(bytes(16)), InteractionId(bytes(16)), ArtefactId(bytes(16))
    label, key = Label(*ids, "audio", Slot(1)), random_secret()

    def seal() -> None:
        with open(base / "plain", "rb") as plain, open(base / "sealed", "wb") as out:
            sealer = Sealer(key, label, os.urandom(24), pad_padme, CHUNK_LOG2)
            out.write(sealer.header.encode())
            while piece := plain.read(_PIECE):
                out.write(sealer.update(piece))
            out.write(sealer.finish())

    def open_again() -> None:
        with open(base / "sealed", "rb") as sealed, open(base / "again", "wb") as out:

            def read(offset: int, length: int) -> bytes:
                return os.pread(sealed.fileno(), length, offset)

            out.writelines(Opener(key, read, (base / "sealed").stat().st_size))

    return _least_ms(partial(seal)), _least_ms(partial(open_again))
