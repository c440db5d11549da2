"""What people use instead, each run as its own documentation has it: the same job, nothing spared.

Each peer is real: a missing program is an error, because a figure without its peer says nothing.
"""

import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tests.bench.metering import environment

PACKAGES = {
    "age": "age",
    "age-keygen": "age",
    "ffmpeg": "ffmpeg",
    "restic": "restic",
    "shred": "coreutils",
    "vosk-transcriber": "vosk (pip)",
}
VOSK = Path(sys.executable).with_name("vosk-transcriber")
_SCHEMA = (
    "CREATE TABLE said(id BLOB PRIMARY KEY, started_at TEXT, profile TEXT, words TEXT, meta TEXT)"
)
_INSERT = "INSERT INTO said VALUES (?, ?, ?, ?, ?)"
_LIST = "SELECT hex(id), started_at, words FROM said ORDER BY started_at DESC LIMIT 50"
Row = tuple[bytes, str, str, str, str]


class Lacking(Exception):
    """A program that we compare with is not here."""


def demand() -> None:
    """Raises `Lacking` with what to install where a peer is missing."""
    here = {name: shutil.which(name) or VOSK.with_name(name).exists() for name in PACKAGES}
    if lacking := sorted({PACKAGES[name] for name, found in here.items() if not found}):
        raise Lacking(f"what we compare with is not here; install: {', '.join(lacking)}")
    try:
        import sqlcipher3  # noqa: F401
    except ImportError:
        raise Lacking("what we compare with is not here: pip install '.[bench]'") from None


def run(*command: str | Path, env: dict[str, str] | None = None, cwd: Path | None = None) -> None:
    """Runs a program, silently; raises where it fails."""
    words = list(map(str, command))
    subprocess.run(words, check=True, capture_output=True, env=environment(env), cwd=cwd)


def shred(paths: Sequence[Path]) -> None:
    """Overwrites files in place and removes them; reaches these copies and no others."""
    run("shred", "-u", *paths)


class Encrypted:
    """SQLCipher: one encrypted database for everything, one key for all of it."""

    def __init__(self, path: Path) -> None:
        import sqlcipher3

        self.path = path
        self.base: Any = sqlcipher3.connect(str(path))
        self.base.execute("PRAGMA key = \"x'" + "2d" * 32 + "'\"")
        self.base.execute("PRAGMA journal_mode=WAL")
        self.base.execute("PRAGMA synchronous=FULL")

    def fill(self, rows: Iterable[Row]) -> None:
        """Inserts rows in one transaction."""
        with self.base:
            self.base.execute(_SCHEMA)
            self.base.executemany(_INSERT, rows)
        self.base.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def delete(self, ids: Sequence[bytes]) -> None:
        """Deletes rows, durable on return: their bytes stay in the file, under the same key."""
        with self.base:
            self.base.executemany("DELETE FROM said WHERE id = ?", [(it,) for it in ids])

    def vacuum(self) -> None:
        """Writes the database anew, without what was deleted; copies of it keep everything."""
        self.base.execute("VACUUM")
        self.base.execute("PRAGMA wal_checkpoint(TRUNCATE)")


class Plain:
    """SQLite: the same table in plaintext."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def fill(self, rows: Iterable[Row]) -> None:
        """Inserts rows in one transaction, with the index that listing wants."""
        base = sqlite3.connect(self.path)
        with base:
            base.execute(_SCHEMA)
            base.executemany(_INSERT, rows)
            base.execute("CREATE INDEX by_time ON said(started_at)")
        base.close()

    def listing(self) -> list[str]:
        """Returns the command that lists the last fifty, from the shell, in the same Python."""
        code = (
            f"import sqlite3; b=sqlite3.connect({str(self.path)!r}); print(*b.execute({_LIST!r}))"
        )
        return [sys.executable, "-c", code]


class Backup:
    """restic: a repository of backups, pruned of what was deleted."""

    def __init__(self, repository: Path, source: Path) -> None:
        self.source = source
        self.env = {"RESTIC_REPOSITORY": str(repository), "RESTIC_PASSWORD": "x"}
        self.env["RESTIC_CACHE_DIR"] = str(repository.with_name("restic-cache"))
        run("restic", "init", env=self.env)
        self._back_up()

    def _back_up(self) -> None:
        run("restic", "backup", ".", env=self.env, cwd=self.source)

    def without(self, paths: Iterable[Path]) -> None:
        """Deletes files and backs up what is left: the new state, beside the old one."""
        for path in paths:
            path.unlink()
        self._back_up()

    def forget(self) -> None:
        """Forgets the old state and prunes what only it had."""
        run("restic", "forget", "--keep-last", "1", "--prune", "--max-unused", "0", env=self.env)


def recipient(folder: Path) -> str:
    """Makes a key for age and returns what it encrypts to."""
    run("age-keygen", "-o", folder / "age.key")
    line = next(it for it in (folder / "age.key").read_text().splitlines() if "public key" in it)
    return line.rpartition(" ")[2]


def transcribe(model: Path, folder: Path, output: Path) -> None:
    """Transcribes a folder of files with Vosk's own program, on all cores, into text files."""
    output.mkdir()
    run(VOSK, "--model", model, "--input", folder, "--output", output, "--log-level", "ERROR")
