"""A disk in memory that can crash anywhere, and then shows each state the medium may be in.

`SimulatedDisk` promises no more than `keys.durable.Disk` does: what was not synced may have reached
the medium or not, each change by itself and each write in two parts; a new, renamed or deleted name
needs `sync_dir` of its directory. Stricter than most file systems on purpose. It keeps each version
of each file ever written, for the adversary. Nothing of the protocols under test belongs here.
"""

import itertools
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import cache
from pathlib import Path

from keys.durable import Buffer
from keys.errors import StateUnknown
from keys.secret import Secret

SECTOR = 512
EXHAUSTIVE_UP_TO = 10


class Crash(BaseException):
    """The power went; no handler of the code under test may catch it."""


class When(Enum):
    """The moments of one operation."""

    BEFORE = "before"
    HALFWAY = "halfway through"
    AFTER = "after"


@dataclass(frozen=True, slots=True)
class Write:
    """Part of a write; `file` is what the name pointed at, so it follows renames."""

    file: int
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Truncate:
    """A cut of a file's content."""

    file: int
    size: int


@dataclass(frozen=True, slots=True)
class Name:
    """A change of names: `path` points at `file` from now on (None: at nothing)."""

    path: Path
    file: int | None
    before: Path | None = None
    """The name that a rename takes away in the same step."""


@dataclass(frozen=True, slots=True)
class Directory:
    """A new directory, or one that goes."""

    path: Path
    is_there: bool = True


Change = Write | Truncate | Name | Directory


@dataclass(frozen=True, slots=True)
class Medium:
    """What lies on the medium; the contents of files without a name stay, as they do in reality."""

    directories: frozenset[Path]
    names: Mapping[Path, int] = field(default_factory=dict)
    contents: Mapping[int, bytes] = field(default_factory=dict)
    origin: Mapping[int, Path] = field(default_factory=dict)
    """The first name of each file, by which an anchor's freed content is found."""
    counters: Mapping[Path, int] = field(default_factory=dict)
    """Chips that count, by the name they go by: never undone, not by a copy of any file either."""

    def after(self, changes: Iterable[Change]) -> "Medium":
        """Returns the medium with the changes made in their order."""
        directories, names = set(self.directories), dict(self.names)
        contents, origin = dict(self.contents), dict(self.origin)
        for change in changes:
            match change:
                case Directory(path, is_there):
                    (directories.add if is_there else directories.discard)(path)
                case Name(path, file, before):
                    _rename(names, path, file, before)
                    if file is not None:
                        origin.setdefault(file, path)
                case Write(file, offset, data):
                    old = contents.get(file, b"").ljust(offset, b"\0")
                    contents[file] = old[:offset] + data + old[offset + len(data) :]
                case Truncate(file, size):
                    contents[file] = contents.get(file, b"")[:size].ljust(size, b"\0")
        there = self.directories if directories == self.directories else frozenset(directories)
        return Medium(there, names, contents, origin, self.counters)

    def pruned(self) -> "Medium":
        """Returns the medium as a reboot finds it: what lies in a lost directory is lost."""
        there = _reachable(self.directories)
        names = {path: file for path, file in self.names.items() if parent_of(path) in there}
        return replace(self, directories=there, names=names)

    def files(self) -> dict[Path, bytes]:
        """Returns the content of each file that has a name."""
        return {path: self.contents.get(file, b"") for path, file in self.names.items()}

    def raw(self, directory: Path) -> list[bytes]:
        """Returns all content that files made under `directory` left, with a name or freed."""
        made = {n for n, path in self.origin.items() if is_under(directory, path)}
        made |= {n for path, n in self.names.items() if is_under(directory, path)}
        return [self.contents.get(n, b"") for n in sorted(made)]


def _rename(names: dict[Path, int], path: Path, file: int | None, before: Path | None) -> None:
    names.pop(path, None)
    if before is not None:
        names.pop(before, None)
    if file is not None:
        names[path] = file


@cache
def _reachable(directories: frozenset[Path]) -> frozenset[Path]:
    return frozenset(each for each in directories if set(each.parents) <= directories)


@cache
def one(path: Path) -> Path:
    """Returns the same object for equal paths: comparing these takes no time, unlike paths."""
    return path


@cache
def parent_of(path: Path) -> Path:
    """Returns the `one` path of the directory that this path lies in."""
    return one(path.parent)


@cache
def is_under(directory: Path, path: Path) -> bool:
    """Tells whether the path lies in the directory, at any depth."""
    return directory in path.parents


def two_parts(size: int) -> list[int]:
    """Returns where a write of `size` bytes may tear: within a small one, at a sector otherwise."""
    cut = 56 if size <= 4096 else size // 2 // SECTOR * SECTOR
    return [cut] if cut < size else []


Watch = Callable[["SimulatedDisk", str, Path, When], None]


class SimulatedDisk:
    """Implements `keys.durable.Disk`; made from what an earlier life left on the medium.

    `crash_at` = (n, when) raises `Crash` at operation n from now; `fail_at` = n makes operation n
    raise `StateUnknown` with a part of it done; `watch` sees each moment and may `fork` the disk.
    """

    def __init__(self, medium: Medium, history: tuple[tuple[Path, bytes], ...] = ()) -> None:
        self.durable = self.cached = medium.pruned()
        self.unsynced: tuple[Change, ...] = ()
        self.history = history
        """Every version of every file ever written, with its path then."""
        self.operations = 0
        self.crash_at: tuple[int, When] | None = None
        self.fail_at: int | None = None
        self.watch: Watch | None = None
        self.tears: Callable[[int], Sequence[int]] = two_parts
        self._numbers = itertools.count(1 + _last_number(medium))

    def fork(self) -> "SimulatedDisk":
        """Returns the disk as the next process finds it when only this process was killed."""
        other = SimulatedDisk(self.durable, self.history)
        other.cached, other.unsynced, other.tears = self.cached, self.unsynced, self.tears
        other._numbers = itertools.count(1 + _last_number(self.durable, self.cached))
        return other

    def survivors(self, most: int = 1 << EXHAUSTIVE_UP_TO, seed: int = 0) -> Iterator[Medium]:
        """Yields the media that a power cut now may leave: all subsets, or `most` of them."""
        for kept in _subsets(self.unsynced, most, random.Random(seed)):
            yield self.durable.after(kept).pruned()

    def is_exhaustive(self, most: int = 1 << EXHAUSTIVE_UP_TO) -> bool:
        """Tells whether `survivors` yields every subset."""
        return 1 << len(self.unsynced) <= most

    def versions(self, *, outside: Path) -> list[bytes]:
        """Returns each version of each file that was not in the directory `outside`."""
        return [data for path, data in self.history if not is_under(outside, path)]

    # What keys.durable.Disk asks for

    def read(self, path: Path, offset: int = 0, size: int | None = None) -> Secret:
        content = self.cached.contents.get(self._file(path), b"")
        return Secret(content[offset:] if size is None else content[offset : offset + size])

    def size(self, path: Path) -> int | None:
        file = self.cached.names.get(path)
        return None if file is None else len(self.cached.contents.get(file, b""))

    def names(self, directory: Path) -> list[str]:
        here = one(directory)
        return sorted(path.name for path in self.cached.names if parent_of(path) is here)

    def make_dir(self, directory: Path) -> None:
        lacking = [p for p in (*directory.parents, directory) if p not in self.cached.directories]
        self._perform("make_dir", directory, [Directory(path) for path in sorted(lacking)])

    def write(self, path: Path, offset: int, data: Buffer) -> None:
        if path.parent not in self.cached.directories:
            raise StateUnknown(f"could not write {path}: its directory is missing")
        changes: list[Change] = []
        file = self.cached.names.get(path)
        if file is None:
            file = next(self._numbers)
            changes.append(Name(path, file))
        cuts = [0, *self.tears(len(data)), len(data)]
        for start, end in itertools.pairwise(cuts):
            changes.append(Write(file, offset + start, bytes(memoryview(data)[start:end])))
        self._perform("write", path, changes)

    def truncate(self, path: Path, size: int) -> None:
        self._perform("truncate", path, [Truncate(self._known(path), size)])

    def sync(self, path: Path) -> None:
        file = self._known(path)
        self._settle("sync", path, lambda c: isinstance(c, Write | Truncate) and c.file == file)

    def sync_dir(self, directory: Path) -> None:
        if directory not in self.cached.directories:
            raise StateUnknown(f"could not sync {directory}: it is missing")
        self._settle("sync_dir", directory, lambda c: directory in _directories(c))

    def rename(self, source: Path, target: Path) -> None:
        self._perform("rename", source, [Name(target, self._known(source), source)])

    def delete(self, path: Path) -> None:
        if path in self.cached.names:
            self._perform("delete", path, [Name(path, None)])

    def remove_dir(self, directory: Path) -> None:
        if any(directory in path.parents for path in self.cached.names):
            raise StateUnknown(f"could not remove {directory}: it is not empty")
        if directory in self.cached.directories:
            self._perform("remove_dir", directory, [Directory(directory, is_there=False)])

    def increment(self, chip: Path) -> None:
        """Counts a chip on by one: whole and durable at once, or not at all."""
        self._start("increment", chip)
        count = self.cached.counters.get(chip, 0) + 1
        self.durable = replace(self.durable, counters={**self.durable.counters, chip: count})
        self.cached = replace(self.cached, counters={**self.cached.counters, chip: count})
        self._moment("increment", chip, When.AFTER)

    # How an operation happens

    def _perform(self, what: str, path: Path, changes: Sequence[Change]) -> None:
        if not changes:
            return
        self._start(what, path, steps=len(changes))
        for n, change in enumerate(changes, 1):
            self.unsynced = (*self.unsynced, change)
            self.cached = self.cached.after([change])
            if n < len(changes):
                self._moment(what, path, When.HALFWAY)
                self._fail(what, path)
        self._version(changes[-1], path)
        self._moment(what, path, When.AFTER)

    def _settle(self, what: str, path: Path, is_settled: Callable[[Change], bool]) -> None:
        self._start(what, path)
        self.durable = self.durable.after(filter(is_settled, self.unsynced))
        self.unsynced = tuple(itertools.filterfalse(is_settled, self.unsynced))
        self._moment(what, path, When.AFTER)

    def _start(self, what: str, path: Path, steps: int = 1) -> None:
        self.operations += 1
        self._moment(what, path, When.BEFORE)
        if steps == 1:
            self._fail(what, path)

    def _fail(self, what: str, path: Path) -> None:
        if self.fail_at == self.operations:
            self.fail_at = None
            raise StateUnknown(f"could not {what} {path}: the medium does not answer")

    def _moment(self, what: str, path: Path, when: When) -> None:
        if self.watch is not None:
            self.watch(self, what, path, when)
        if self.crash_at == (self.operations, when):
            raise Crash(f"{when.value} operation {self.operations}: {what} {path}")

    def _version(self, change: Change, path: Path) -> None:
        if isinstance(change, Write | Truncate):
            self.history = (*self.history, (path, self.cached.contents[change.file]))

    def _file(self, path: Path) -> int:
        if path not in self.cached.names:
            raise FileNotFoundError(path)
        return self.cached.names[path]

    def _known(self, path: Path) -> int:
        if path not in self.cached.names:
            raise StateUnknown(f"could not touch {path}: it is missing")
        return self.cached.names[path]


def _last_number(*media: Medium) -> int:
    """A file may have a name and no content yet, or content and no name any more."""
    return max((n for m in media for n in (*m.contents, *m.names.values())), default=0)


def _directories(change: Change) -> set[Path]:
    match change:
        case Name(path, _, before):
            return {path.parent} | ({before.parent} if before else set())
        case Directory(path):
            return {path.parent}
    return set()


def _subsets(
    changes: tuple[Change, ...], most: int, chance: random.Random
) -> Iterator[list[Change]]:
    count = len(changes)
    if 1 << count <= most:
        masks: Iterable[int] = range(1 << count)
    else:
        prefixes = {(1 << n) - 1 for n in range(count + 1)}
        single = {((1 << count) - 1) ^ (1 << n) for n in range(count)} | {
            1 << n for n in range(count)
        }
        chosen = sorted(prefixes | single)[:most]
        masks = {*chosen, *(chance.getrandbits(count) for _ in range(most - len(chosen)))}
    for mask in masks:
        yield [change for n, change in enumerate(changes) if mask >> n & 1]
