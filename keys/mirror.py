"""Mirrors: ring and log of a vault kept in other places too, act by act (SPEC section 3.6).

For the day a disk dies, and for nothing else. An erasure does not wait for a mirror, because a
ring state there is as dead as any copy of it once its share is gone; so a mirror that is away or
fails is left behind, and brought up to date when it is back. What may not change: a mirror gets
what is durable here and never more, and `catch_up` comes after ring and log have opened here,
because an old copy that was put back must not be carried over the newer one in a mirror.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

from keys.durable import Buffer, Disk
from keys.errors import KeysError, Tampered
from keys.secret import Secret

MARK = "vault.json"
"""The file that tells a mirror from an empty mount point; it is mirrored as well."""
_RING, _LOG = Path("ring"), Path("log")
_WHAT = "ring, log and vault.json"
_BLOCK, _TAIL, _LINE = 1 << 20, 1 << 16, 1 << 10


class MirroredDisk:
    """The disk of one vault; what changes in ring and log changes in each mirror that is here."""

    def __init__(self, disk: Disk, vault: Path, mirrors: Sequence[Path]) -> None:
        self._disk, self._vault, self.mirrors = disk, vault, tuple(mirrors)
        self.kept: set[Path] = set()
        """The mirrors that are up to date; the others get nothing until `catch_up`."""
        self._written: dict[Path, list[tuple[int, int]]] = defaultdict(list)

    # Mirrors

    def add(self, mirror: Path) -> None:
        """Begins a mirror in a directory, which is made when absent; durable on return."""
        self._disk.make_dir(mirror)
        self._disk.sync_dir(mirror.parent)
        self._catch_up(mirror)
        self.mirrors = (*self.mirrors, mirror)
        self.kept.add(mirror)

    def use(self, mirrors: Sequence[str | Path]) -> None:
        """Takes these mirrors from here on, those that `catch_up` finds here."""
        self.mirrors = tuple(map(Path, mirrors))
        self.kept.clear()

    def remove(self, mirror: Path) -> None:
        """Gives a mirror up; what is in it stays."""
        self.mirrors = tuple(it for it in self.mirrors if it != mirror)
        self.kept.discard(mirror)

    def is_here(self, mirror: Path) -> bool:
        """Tells whether the mirror can be reached, and is one of this vault."""
        try:
            return self._disk.size(mirror / MARK) is not None and not self.is_of_another(mirror)
        except OSError:
            return False

    def is_of_another(self, mirror: Path) -> bool:
        """Tells whether the log there begins with another entry than that of this vault."""
        theirs = self._first_line(mirror)
        return bool(theirs) and theirs != self._first_line(self._vault)

    def _first_line(self, directory: Path) -> bytes:
        """Returns the first entry of a log, nothing where it is not there or torn."""
        line, end, _ = bytes(self._read(directory / _LOG / "entries", 0, _LINE)).partition(b"\n")
        return line if end and _is_whole(line) else b""

    def catch_up(self) -> None:
        """Brings each mirror that is here up to date; ring and log have opened here before.

        Raises `Tampered` when a mirror is ahead of what lies here.
        """
        self._written.clear()
        self.kept = {it for it in self.mirrors if self.is_here(it)}
        self._in_each(self._catch_up)

    def _catch_up(self, mirror: Path) -> None:
        for part in (_RING, _LOG):
            if not self._disk.names(mirror / part):
                self._disk.make_dir(mirror / part)
                self._disk.sync_dir(mirror)
        for name in ("entries", "hashes"):
            self._grow(_LOG / name, mirror)
        self._match_ring(mirror)
        if self._read(self._vault / MARK) != self._read(mirror / MARK):
            self._copy(Path(MARK), mirror)  # last: until it is there, there is no mirror

    def _grow(self, path: Path, mirror: Path) -> None:
        """Adds what a file that only grows lacks in the mirror; copies it where the ends differ."""
        here, there = self._disk.size(self._vault / path) or 0, self._disk.size(mirror / path) or 0
        if path.name == "entries" and there > here:
            self._refuse_ahead(path, mirror)
        start = max(0, min(here, there) - _TAIL)
        ours, theirs = (
            self._read(self._vault / path, start, there),
            self._read(mirror / path, start),
        )
        if ours != theirs:
            if path.name == "entries":
                _refuse_if_parted(ours, theirs, mirror, self._vault)
            self._copy(path, mirror)
        elif there < here:
            self._add(path, mirror, there, here)
            self._disk.sync(mirror / path)
            self._disk.sync_dir(mirror / _LOG)

    def _match_ring(self, mirror: Path) -> None:
        """Pages change with the state alone: where one begins as that of the mirror, they are.

        By its epoch alone it is not known: a rotation that was cut off may be made anew.
        """
        names = self._disk.names(self._vault / _RING)
        for path in (_RING / name for name in names if name.startswith("state-")):
            ours, theirs = self._read(self._vault / path), self._read(mirror / path)
            if ours == theirs:
                continue
            if _begins_as(theirs, ours):
                self._refuse_ahead(path, mirror)
            if not (theirs and _begins_as(ours, theirs)) and "pages" in names:
                self._copy(_RING / "pages", mirror)
            self._copy(path, mirror)
        for name in set(self._disk.names(mirror / _RING)) - set(names):
            self._disk.delete(mirror / _RING / name)

    def _refuse_ahead(self, path: Path, mirror: Path) -> None:
        raise Tampered(
            f"{mirror / path} is ahead of {self._vault / path}: an old copy was put back here; "
            f"put {_WHAT} of {mirror} in {self._vault}"
        )

    def _copy(self, path: Path, mirror: Path) -> None:
        """Copies a whole file, durable before it takes the place of the one in the mirror."""
        fresh = path.with_name(path.name + ".new")
        self._disk.delete(mirror / fresh)
        self._add(path, mirror, 0, self._disk.size(self._vault / path) or 0, fresh)
        self._disk.sync(mirror / fresh)
        self._disk.rename(mirror / fresh, mirror / path)
        self._disk.sync_dir((mirror / path).parent)

    def _add(
        self, path: Path, mirror: Path, start: int, end: int, target: Path | None = None
    ) -> None:
        for at in range(start, end, _BLOCK) or [start]:
            block = self._disk.read(self._vault / path, at, min(_BLOCK, end - at))
            self._disk.write(mirror / (target or path), at, block)

    def _read(self, path: Path, start: int = 0, end: int | None = None) -> Secret:
        try:
            return self._disk.read(path, start, None if end is None else max(0, end - start))
        except FileNotFoundError:
            return Secret()

    def _in_each(self, act: Callable[[Path], None]) -> None:
        for mirror in sorted(self.kept):
            try:
                act(mirror)
            except Tampered:
                self.kept.clear()  # the others have not been compared yet
                raise
            except (KeysError, OSError):  # it comes back by `catch_up`
                self.kept.discard(mirror)

    def _of(self, path: Path) -> Path | None:
        """Returns the path within the vault of what is mirrored, None for anything else.

        The vault itself is: names in it that were made durable are so in the mirror.
        """
        if not path.is_relative_to(self._vault):
            return None
        inner = path.relative_to(self._vault)
        first, *rest = inner.parts or ("",)
        is_mark = not rest and first.removesuffix(".new") == MARK
        return inner if is_mark or first in {"", _RING.name, _LOG.name} else None

    def _mirrored(self, path: Path, act: Callable[[Path], None]) -> None:
        """Does `act` on what stands for `path` in each mirror."""
        inner = self._of(path) if self.kept else None
        if inner is not None:
            self._in_each(lambda mirror: act(mirror / inner))

    # What keys.durable.Disk asks for

    def read(self, path: Path, offset: int = 0, size: int | None = None) -> Secret:
        return self._disk.read(path, offset, size)

    def size(self, path: Path) -> int | None:
        return self._disk.size(path)

    def names(self, directory: Path) -> list[str]:
        return self._disk.names(directory)

    def make_dir(self, directory: Path) -> None:
        self._disk.make_dir(directory)
        self._mirrored(directory, self._disk.make_dir)

    def write(self, path: Path, offset: int, data: Buffer) -> None:
        self._disk.write(path, offset, data)
        if self.kept and self._of(path):
            self._written[path].append((offset, offset + len(data)))

    def truncate(self, path: Path, size: int) -> None:
        self._disk.truncate(path, size)
        self._mirrored(path, lambda it: self._cut(it, size))

    def sync(self, path: Path) -> None:
        self._disk.sync(path)
        written = self._written.pop(path, [])
        self._mirrored(path, lambda it: self._carry(path, it, written))

    def sync_dir(self, directory: Path) -> None:
        self._disk.sync_dir(directory)
        self._mirrored(directory, self._disk.sync_dir)

    def rename(self, source: Path, target: Path) -> None:
        self._disk.rename(source, target)
        inner = self._of(target)
        if inner is not None:
            self._mirrored(source, lambda it: self._disk.rename(it, it.with_name(inner.name)))

    def delete(self, path: Path) -> None:
        self._disk.delete(path)
        self._written.pop(path, None)
        self._mirrored(path, self._disk.delete)

    def remove_dir(self, directory: Path) -> None:
        self._disk.remove_dir(directory)
        self._mirrored(directory, self._disk.remove_dir)

    def _cut(self, path: Path, size: int) -> None:
        if (self._disk.size(path) or 0) > size:
            self._disk.truncate(path, size)

    def _carry(self, path: Path, target: Path, written: Sequence[tuple[int, int]]) -> None:
        for start, end in written:
            self._disk.write(target, start, self._disk.read(path, start, end - start))
        if written:
            self._disk.sync(target)


def _refuse_if_parted(ours: Secret, theirs: Secret, mirror: Path, vault: Path) -> None:
    """Raises `Tampered` when a whole entry of the mirror is another here: both went on apart.

    What a power cut tore in the mirror is no such: it has bytes there that no entry has, or no end.
    """
    pairs = enumerate(zip(ours, theirs, strict=False))
    parted = next((at for at, (a, b) in pairs if a != b), len(theirs))
    line, end, _ = bytes(theirs[theirs.rfind(b"\n", 0, parted) + 1 :]).partition(b"\n")
    if end and _is_whole(line):
        raise Tampered(
            f"{mirror} and {vault} have gone different ways: an old copy was put back here while "
            f"the mirror was away, and used since; to go back, put {_WHAT} of {mirror} in {vault}; "
            f"to go on without what is there alone, move {mirror} away"
        )


def _is_whole(line: bytes) -> bool:
    return line.isascii() and line.decode().isprintable()


def _begins_as(whole: Secret, start: Secret) -> bool:
    return whole.startswith(start)
