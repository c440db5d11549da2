"""What the jobs cost in a vault of a thousand interactions, and as it grows to a million.

One vault grows from size to size and is measured at each. It is filled in bulk, without a sync,
through the functions that fill one (`filling`): keys in the ring, commitments and entries in the
log, segments of the index. These interactions have no sealed files; what the log has of those is
made up. Then one erasure makes the live tree anew, which any vault that ever erased has, and
`REAL` interactions with three seconds of sound and their words are written one by one: those are
listed, and the newest of them forgotten. A random tenth is forgotten in a copy of the vault.

Beside it, of the same size: SQLCipher and SQLite with a row for each interaction, FTS5 with the
sentences; and `shred -u` of the same files.
"""

import random
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from statistics import median
from time import perf_counter
from unittest import mock

from keys.model import InteractionId, Slot
from pipeline import memory, write
from pipeline.erase import erase
from pipeline.plan import Plan, make_plan
from pipeline.session import acting, create_vault, now, open_vault
from pipeline.vault import Vault
from tests.bench import peers
from tests.bench.filling import fill
from tests.bench.forget import parts
from tests.bench.hasty import HastyDisk
from tests.bench.metering import (
    Cost,
    command,
    cost,
    middle,
    peak_mib,
    program,
    resident_mib,
    size_of,
)
from tests.bench.said import sentences
from tests.bench.search import Peer, cat_ms, cold_ms, listed, queries, remembered

REAL = 60
"""So many interactions of each size have sealed files: fewer than are indexed at once."""
_ROUNDS = 5


@dataclass(slots=True)
class Size:
    """What was measured with so many interactions: costs, memory, bytes for each interaction."""

    number: int
    costs: dict[str, Cost] = field(default_factory=dict)
    bytes_each: dict[str, float] = field(default_factory=dict)
    peak_mib: dict[str, float] = field(default_factory=dict)


def grow(base: Path, sizes: Sequence[int]) -> Iterator[Size]:
    """Yields the measurements of each size, in one vault that grows."""
    base.mkdir()
    create_vault(base / "vault", base / "anchors", disk=HastyDisk())
    texts, said = sentences(sizes[-1]), list[tuple[InteractionId, str]]()
    for turn, number in enumerate(sizes):
        more = list(islice(texts, number - len(said)))
        said += zip(_fill(base, more), more, strict=True)
        size = Size(number)
        _rows(base, size, said)
        _found(base, size, said)
        ids = [it for it, _ in said]
        _ours(base, size, ids, turn)
        _tenth(base, size, ids)
        for name in ("ring", "log", "live", "sealed"):
            size.bytes_each[name] = size_of(base / "vault" / name)[0] / number
        yield size


def _vault(base: Path) -> Vault:
    return open_vault(base / "vault", base / "anchors", bytearray)


def _fill(base: Path, texts: Sequence[str]) -> list[InteractionId]:
    vault = open_vault(base / "vault", base / "anchors", bytearray, HastyDisk())
    with acting(vault):
        ids = list(fill(vault, iter(texts), bare=True))
        one = write.create(vault, parts(1))
        erase(vault, make_plan(vault, [one], now()), now)  # the live tree is there after this
    return ids


def _ours(base: Path, size: Size, known: Sequence[InteractionId], turn: int) -> None:
    """Measures ours; at each turn others are the oldest that are left."""
    vault, content, costs = _vault(base), parts(3), size.costs
    with acting(vault):
        costs["seal one"] = middle(cost(partial(write.create, vault, content)) for _ in range(REAL))
    command(base, "history", "--limit", "1")  # the first time it is compiled
    costs["list fifty"] = middle(command(base, "history", "--limit", "50") for _ in range(3))
    with acting(vault):
        real = list(islice(vault.interactions(), REAL))
        costs["shred -u"] = middle(_shredded(base, vault, it) for it in real[:3])
        costs["forget one, new"] = middle(_forgotten(vault, it) for it in real[:_ROUNDS])
        costs["forget one, indexed"] = middle(_forgotten(vault, it) for it in known[-_ROUNDS:])
        oldest = known[_ROUNDS * turn : _ROUNDS * (turn + 1)]
        costs["forget one, the oldest"] = middle(_forgotten(vault, it) for it in oldest)
    last = [it.hex() for it in real[-4:]]
    size.peak_mib["list fifty"] = peak_mib(base, "history", "--limit", "50")
    size.peak_mib["forget one, shell"] = peak_mib(base, "forget", last.pop(), "--yes")
    costs["forget one, shell"] = middle(command(base, "forget", it, "--yes") for it in last)
    costs["open"] = middle(cost(partial(_open, base)) for _ in range(_ROUNDS))


def _open(base: Path) -> None:
    with acting(_vault(base)):
        pass


def _forgotten(vault: Vault, one: InteractionId) -> Cost:
    return cost(lambda: erase(vault, make_plan(vault, [one], now()), now))


def _shredded(base: Path, vault: Vault, one: InteractionId) -> Cost:
    """Shreds copies of the files of an interaction, under their own names."""
    folder = base / "copies"
    folder.mkdir(exist_ok=True)
    copies = [Path(shutil.copy(it.path, folder)) for it in vault.artefacts(one)]
    return cost(partial(peers.shred, copies))


def _tenth(base: Path, size: Size, known: Sequence[InteractionId]) -> None:
    """Forgets a random tenth in a copy: all of it, until their keys are gone, and the rotation.

    The plan is made and shown before anybody says yes, so it is counted in the first alone.
    """
    folder = base / "copy"
    for part in ("vault", "anchors"):
        shutil.copytree(base / part, folder / part)
    vault, rotation = _vault(folder), list[tuple[float, Cost]]()
    with acting(vault):
        some = random.Random(1).sample(known, size.number // 10)
        destroy, plans = vault.ring.destroy, list[Plan]()

        def timed(slots: Sequence[Slot], plan: bytes) -> None:
            it = cost(partial(destroy, slots, plan))
            rotation.append((perf_counter(), it))

        planned = cost(lambda: plans.append(make_plan(vault, some, now())))
        began_s = perf_counter()
        with mock.patch.object(vault.ring, "destroy", timed):
            erased = cost(lambda: erase(vault, plans[0], now))
    gone_s, turned = rotation[-1]
    size.costs["forget a tenth"] = planned + erased
    size.costs["forget a tenth, keys gone"] = Cost(gone_s - began_s, 0, 0)
    size.costs["forget a tenth, its rotation"] = turned
    shutil.rmtree(folder)


def _rows(base: Path, size: Size, said: Sequence[tuple[InteractionId, str]]) -> None:
    """Measures a table with a row for each interaction: encrypted, and in plaintext."""
    meta = '{"duration_ms": 3000, "source": "kitchen", "recogniser": "vosk"}'
    rows = [
        (bytes(it), f"2026-01-01T00:00:00.{n:09}Z", "default", text, meta)
        for n, (it, text) in enumerate(said)
    ]
    sealed = peers.Encrypted(base / "sqlcipher")
    sealed.fill(rows)
    some = random.Random(2).sample(said, _ROUNDS)
    gone = (cost(partial(sealed.delete, [bytes(it)])) for it, _ in some)
    size.costs["SQLCipher DELETE"] = middle(gone)
    size.costs["SQLCipher VACUUM"] = cost(sealed.vacuum)
    tenth = [bytes(it) for it, _ in random.Random(1).sample(said, size.number // 10)]
    size.costs["SQLCipher DELETE of a tenth"] = cost(partial(sealed.delete, tenth))
    sealed.base.close()
    plain = peers.Plain(base / "sqlite")
    plain.fill(rows)
    size.costs["SQLite, list fifty"] = middle(program(*plain.listing()) for _ in range(_ROUNDS))
    for path in (*base.glob("sqlcipher*"), *base.glob("sqlite*")):
        path.unlink()


def _found(base: Path, size: Size, said: Sequence[tuple[InteractionId, str]]) -> None:
    """Measures searching: the median over a query of each sort."""
    peer, vault = Peer(base / "fts5"), _vault(base)
    peer.fill(said)
    asked = list(queries([text for _, text in said]).values())
    with acting(vault):
        without_mib = resident_mib()
        known = memory.of(vault)
        assert known is not None
        size.peak_mib["search, in a running service"] = resident_mib() - without_mib
        size.costs["search, memory"] = _least(partial(remembered, vault, known, it) for it in asked)
        size.costs["search, sealed"] = _least(partial(listed, vault, it) for it in asked)
        size.costs["FTS5"] = _least(partial(peer.find, it) for it in asked)
        known.wipe()
    pairs = [cold_ms(base, peer, it, listed) for it in asked[1:4]]
    ours, theirs = (median(it) / 1000 for it in zip(*pairs, strict=True))
    size.costs["search, cold"], size.costs["FTS5, cold"] = Cost(ours, 0, 0), Cost(theirs, 0, 0)
    size.costs["reading the index, cold"] = Cost(cat_ms(base) / 1000, 0, 0)
    peer.base.close()
    for path in base.glob("fts5*"):
        path.unlink()


def _least(acts: Iterator[Callable[[], object]]) -> Cost:
    return middle(
        min((cost(act) for _ in range(_ROUNDS)), key=lambda it: it.wall_s) for act in acts
    )
