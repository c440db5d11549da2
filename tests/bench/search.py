"""Searching beside SQLite FTS5 on the same sentences: disk, time warm and cold, and what stays.

Run: `.venv/bin/python -m tests.bench.search [SIZE…] [--at DIRECTORY]`, by default 1000 and 10000.
Both sides search in one process, take the newest 20, and show the words. Cold: the system's cache
was emptied (as root; else only that of these files), and the vault or database opened anew.

The interactions are made in bulk: ring, log, sealed transcript and meta, segments through the same
functions as one by one, but many in one append to the log, without a sync for each file, and
without audio. A thousand take a second or more. With --bare there are no sealed files but the
segments, and what the log has of transcripts is made up: then finding is measured, not showing.
"""

import argparse
import contextlib
import gc
import os
import secrets
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import timedelta
from functools import partial
from itertools import islice
from pathlib import Path
from statistics import median
from unittest import mock

from keys.model import ID_SIZE, InteractionId
from pipeline import history, memory, search
from pipeline.artefact import INDEX, TRANSCRIPT
from pipeline.erase import erase
from pipeline.lineage import OWN
from pipeline.plan import derived_ids, dying, make_plan
from pipeline.query import parse
from pipeline.session import acting, create_vault, now, open_vault
from pipeline.vault import Vault, is_interaction
from tests.bench.counting import CountingDisk
from tests.bench.filling import FIRST, fill, time_of
from tests.bench.said import sentences, vocabulary

ROUNDS, LIMIT = 9, 20
Find = Callable[[Vault, str], list[InteractionId]]
"""Returns the newest interactions that a query finds."""


class Peer:
    """The same sentences in plaintext, in SQLite FTS5 as its documentation has it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.open()

    def open(self) -> None:
        """Opens the database."""
        self.base = sqlite3.connect(self.path)
        self.base.execute("PRAGMA journal_mode=WAL")

    def fill(self, texts: Iterable[tuple[bytes, str]]) -> None:
        """Inserts the sentences, under the ids of their interactions."""
        columns = "interaction UNINDEXED, started_at UNINDEXED, words"
        self.base.execute(f"CREATE VIRTUAL TABLE said USING fts5({columns})")
        rows = (
            (it.hex(), time_of(FIRST + timedelta(minutes=n)), text)
            for n, (it, text) in enumerate(texts)
        )
        with self.base:
            self.base.executemany("INSERT INTO said VALUES (?, ?, ?)", rows)
        self.base.execute("INSERT INTO said(said) VALUES ('optimize')")
        self.base.commit()
        self.base.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def find(self, query: str) -> list[tuple[str, str]]:
        """Returns the newest, with their words."""
        snippet = "snippet(said, 2, '', '', '…', 13)"
        sql = "SELECT interaction, {} FROM said WHERE said MATCH ? ORDER BY rowid DESC LIMIT ?"
        return self.base.execute(sql.format(snippet), (query, LIMIT)).fetchall()


def remembered(vault: Vault, known: memory.Memory, query: str) -> list[memory.Hit]:
    """Returns the newest with their words, from the memory of a worker."""
    assert known.catch_up(vault)
    return list(islice(known.find(parse(query)), LIMIT))


def shown(vault: Vault, query: str) -> list[InteractionId]:
    """Returns the newest, after their words were read and verified."""
    return [row.interaction for row in islice(history.matching(vault, [query]), LIMIT)]


def listed(vault: Vault, query: str) -> list[InteractionId]:
    """Returns the newest, without reading their words."""
    return list(islice(search.Finding(vault, parse(query)), LIMIT))


def queries(texts: Sequence[str]) -> dict[str, str]:
    """Returns one query of each sort, each of which finds something."""
    words = vocabulary()
    count = max(1, len(texts) // 2)
    middle = texts[count].split()
    present = {word for text in texts for word in text.split()}
    rare = next(word for word in reversed(words) if word in present)
    return {
        "frequent word": words[3],
        "word": words[400],
        "rare word": rare,
        "two words": f"{words[20]} {words[90]}",
        "phrase": f'"{middle[0]} {middle[1]}"',
        "prefix": f"{words[900][:4]}*",
        "nothing": "zanzibar",
    }


def timed_ms(act: Callable[[], object]) -> float:
    """Returns how long an act takes."""
    gc.collect()
    started = time.perf_counter()
    act()
    return (time.perf_counter() - started) * 1000


def chill(*folders: Path) -> None:
    """Empties the system's cache of files."""
    os.sync()
    with contextlib.suppress(OSError):
        Path("/proc/sys/vm/drop_caches").write_text("3")
        return
    for path in (it for folder in folders for it in folder.rglob("*") if it.is_file()):
        with open(path, "rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def size_of(paths: Iterator[Path]) -> int:
    """Returns how many bytes these files have."""
    return sum(path.stat().st_size for path in paths if path.is_file())


def measure(base: Path, number: int, *, bare: bool) -> None:
    """Prints what a size costs."""
    texts = list(sentences(number))
    vault = create_vault(base / "vault", base / "anchors")
    started = time.perf_counter()
    with acting(vault):
        made = list(fill(vault, iter(texts), bare=bare))
    ours_s, peer, started = time.perf_counter() - started, Peer(base / "fts5"), time.perf_counter()
    peer.fill(zip(made, texts, strict=True))
    peer_s = time.perf_counter() - started
    print(f"\n## {number} interactions, {sum(len(t.split()) for t in texts)} words")
    print(f"made in {ours_s:.1f} s; FTS5 in {peer_s:.1f} s")
    segments = list((vault.sealed / "own").glob(f"*.{INDEX}"))
    disk = size_of(iter(segments)), peer.path.stat().st_size
    print(f"disk: index {disk[0] / 2**20:.1f} MiB in {len(segments)} segments, FTS5 with its text")
    print(f"{disk[1] / 2**20:.1f} MiB, ratio {disk[0] / disk[1]:.2f}")
    asked = queries(texts)
    del texts
    compare(base, vault, peer, asked, listed if bare else shown)
    peer.base.close()
    if not bare:
        lists(base)
    erasing(base)


def compare(base: Path, vault: Vault, peer: Peer, asked: dict[str, str], find: Find) -> None:
    """Prints a line for each query: milliseconds of ours, of the peer, and the ratios."""
    with acting(vault):
        started = time.perf_counter()
        known = memory.of(vault)
        assert known is not None
        print(
            f"memory index made in {time.perf_counter() - started:.2f} s, of {resident_mib()} MiB"
        )
    print(f"\n{'':16}{'hits':>6}{'memory':>9}{'FTS5':>9}{'ratio':>8}{'sealed':>9}", end="")
    print(f"{'cold':>9}{'FTS5':>9}{'ratio':>8}")
    for name, query in asked.items():
        with acting(vault):
            found, told = find(vault, query), peer.find(query)
            assert [it.hex() for it in found] == [it for it, _ in told], name
            assert [it.interaction for it in remembered(vault, known, query)] == found, name
            warm = fastest_ms(partial(remembered, vault, known, query))
            sealed = fastest_ms(partial(find, vault, query))
        fts5 = fastest_ms(partial(peer.find, query))
        cold, cold_fts5 = cold_ms(base, peer, query, find)
        print(
            f"{name:16}{len(found):6}{warm:9.3f}{fts5:9.3f}{warm / fts5:8.1f}{sealed:9.1f}", end=""
        )
        print(f"{cold:9.1f}{cold_fts5:9.1f}{cold / cold_fts5:8.1f}", flush=True)
    known.wipe()


def fastest_ms(act: Callable[[], object]) -> float:
    """Returns the least time of several: other programs run on this machine too."""
    return min(timed_ms(act) for _ in range(ROUNDS))


def resident_mib() -> int:
    """Returns how much memory this process has."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") >> 20


def cold_ms(base: Path, peer: Peer, query: str, find: Find) -> tuple[float, float]:
    """Returns how long the first query takes, with nothing in the system's cache."""
    peer.base.close()

    def ours() -> None:
        vault = open_vault(base / "vault", base / "anchors", bytearray)
        with acting(vault):
            find(vault, query)

    def theirs() -> None:
        peer.open()
        peer.find(query)

    found = []
    for act in (ours, theirs, ours, theirs):
        chill(base)
        found.append(timed_ms(act))
    return min(found[::2]), min(found[1::2])


def cat_ms(base: Path) -> float:
    """Returns how long it takes to read the sealed index, with nothing in the system's cache."""
    paths = sorted((base / "vault" / "sealed" / OWN).glob(f"*.{INDEX}"))

    def read() -> None:
        for path in paths:
            path.read_bytes()

    chill(base)
    return timed_ms(read)


def shell(base: Path, *words: str) -> float:
    """Returns how long the command takes, from the shell."""
    command = [sys.executable, "-m", "pipeline.cli", "--json", *words]
    places = {"ANECHOIC_VAULT": str(base / "vault"), "ANECHOIC_ANCHOR_DIR": str(base / "anchors")}
    env = {**os.environ, **places}
    return timed_ms(partial(subprocess.run, command, env=env, check=True, capture_output=True))


def lists(base: Path) -> None:
    """Prints what listing costs from the shell, warm and cold."""
    middle = time_of(FIRST + timedelta(hours=3))
    for name, words in {
        "history --limit 50": ["history", "--limit", "50"],
        "history --until, early": ["history", "--until", middle, "--limit", "50"],
        "history --profile nobody": ["history", "--profile", "nobody"],
    }.items():
        warm = median(shell(base, *words) for _ in range(3))
        chill(base)
        print(f"{name:26} warm {warm:8.0f} ms, cold {shell(base, *words):8.0f} ms", flush=True)


def erasing(base: Path) -> None:
    """Prints what forgetting one of them costs: the first at all, a new one, and the oldest."""
    disk = CountingDisk()
    vault = open_vault(base / "vault", base / "anchors", bytearray, disk)
    with acting(vault):
        newest = list(islice(vault.interactions(), 3))
        for name, one in [("first", newest[0]), ("next", newest[1]), ("oldest", _oldest(vault))]:
            started = time.perf_counter()
            plan = make_plan(vault, [one], now())
            planned, writing = time.perf_counter(), disk.written
            search.rebuild(vault, derived_ids(plan), dying(plan, TRANSCRIPT))
            rebuilt, index_kib = time.perf_counter(), (disk.written - writing) / 1024
            disk.reset()
            with mock.patch("pipeline.search.rebuild"):  # it was
                erase(vault, plan, now)
            done = time.perf_counter()
            times = planned - started, rebuilt - planned, done - rebuilt
            plan_ms, index_ms, rest_ms = (1000 * it for it in times)
            print(f"forget the {name}: plan {plan_ms:.1f} ms, ", end="")
            print(f"index {index_ms:.1f} ms and {index_kib:.0f} KiB, ", end="")
            print(f"the rest {rest_ms:.1f} ms and {disk.written / 1024:.0f} KiB", flush=True)


def _oldest(vault: Vault) -> InteractionId:
    return next(entry.interaction for _, entry in vault.log.scan() if is_interaction(entry))


def remains(base: Path) -> None:
    """Prints how often erased words are still to be read in the files of either side."""
    secret = [f"zanzibar{n} xylophone{n}" for n in range(50)]
    texts = [*islice(sentences(950), 950), *secret]
    peer = Peer(base / "left")
    peer.fill((secrets.token_bytes(ID_SIZE), text) for text in texts)

    def count() -> str:
        files = sorted(base.glob("left*"))
        found = {path.name: path.read_bytes().lower().count(b"zanzibar") for path in files}
        return ", ".join(f"{name} {number}" for name, number in found.items())

    print("\n## What is left of 50 deleted sentences, by the bytes of each file")
    print(f"FTS5, before:             {count()}")
    with peer.base:
        peer.base.execute("DELETE FROM said WHERE words MATCH 'zanzibar*'")
    print(f"FTS5, after DELETE:       {count()}")
    peer.base.execute("PRAGMA wal_checkpoint(FULL)")
    print(f"FTS5, after a checkpoint: {count()}")
    peer.base.execute("VACUUM")
    print(f"FTS5, after VACUUM:       {count()}")
    peer.base.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    print(f"FTS5, checkpoint again:   {count()}")
    with peer.base:
        peer.base.execute("INSERT INTO said(said) VALUES ('optimize')")
    peer.base.execute("VACUUM")
    peer.base.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    print(f"FTS5, optimize, VACUUM:   {count()}")
    peer.base.close()


def main() -> None:
    """Prints the tables."""
    options = argparse.ArgumentParser()
    options.add_argument("sizes", nargs="*", type=int, default=[1000, 10_000])
    options.add_argument("--at", type=Path)
    options.add_argument("--keep", action="store_true")
    options.add_argument("--bare", action="store_true")
    given = options.parse_args()
    folder = Path(tempfile.mkdtemp(dir=given.at))
    try:
        for number in given.sizes:
            (folder / str(number)).mkdir()
            measure(folder / str(number), number, bare=given.bare)
        remains(folder)
    finally:
        if not given.keep:
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
