"""The adversary of guarantee G1: has every file version ever written, and all secrets left now.

Promises to try every version of a ring state under every root that today's shares (and the
passphrase) give, and every page version under every page key found that way. Reads formats with the
code of `keys`, so that it follows them; it trusts no checksum, file name or epoch. Anything that
opens for it after an erasure was acknowledged is a failure of `keys`.
"""

import itertools
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path

from keys.anchor import Level
from keys.anchor.file import MAGIC as SHARE_MAGIC
from keys.anchor.file import PLACE_SIZE
from keys.durable import Buffer, Disk, RealDisk
from keys.errors import AnchorFailure, KeysError, Malformed, Tampered
from keys.model import KEY_SIZE, Epoch, Slot, VaultId
from keys.pages import (
    EMPTY,
    FRAME_SIZE,
    MAGIC,
    PAGE_SIZE,
    SLOTS_PER_PAGE,
    Head,
    Journal,
    Top,
    open_page,
    open_top,
    parse_head,
)
from keys.pagetable import PageRef
from keys.root import Roots
from keys.sealed import Opener
from keys.secret import TAG_SIZE, Secret

_SHARE_AT = len(SHARE_MAGIC) + 16 + 8
_SHARE_END = _SHARE_AT + KEY_SIZE


def shares_in(anchor_file: bytes) -> set[bytes]:
    """Returns what may be shares in the bytes of a file anchor, torn and damaged records too."""
    starts = range(0, max(len(anchor_file), 1), PLACE_SIZE)
    found = {anchor_file[at + _SHARE_AT : at + _SHARE_END].ljust(KEY_SIZE, b"\0") for at in starts}
    return found - {EMPTY}


def versions_in(directory: Path) -> Iterator[bytes]:
    """Yields the content of each file under a real directory, as a backup of it would have it."""
    for path in sorted(directory.rglob("*")):
        if path.is_file():
            yield path.read_bytes()


class Adversary:
    """Opens what can be opened with `versions` of any files and the `shares` of each anchor kind.

    `keys` maps each slot to all keys found for it. `shares` is by anchor name ("file"). The ways
    named in `without` are passed over, to see what the others open. `roots` are known besides.
    """

    def __init__(
        self,
        versions: Iterable[bytes],
        shares: Mapping[str, Collection[bytes]],
        passphrase: Secret | None = None,
        without: Collection[str] = (),
        roots: Iterable[bytes] = (),
    ) -> None:
        every = set(versions)
        self._without = without
        self._shares, self._passphrase = shares, bytes(passphrase) if passphrase else b""
        self._states = [data for data in every if data.startswith(MAGIC)]
        self._frames = {frame for data in every - {*self._states} for frame in _frames(data)}
        self.keys: dict[Slot, set[bytes]] = defaultdict(set)
        self.roots = {root for data in self._states for root in self._roots_of(data)}
        self.roots.update(roots)
        for data, root in itertools.product(self._states, self.roots):
            self._try_state(data, root)

    def opens(self, sealed: bytes) -> bool:
        """Tells whether the sealed file opens with any key that was found, of whichever slot."""
        return any(opens(key, sealed) for keys in self.keys.values() for key in keys)

    def opened(self, files: Mapping[str, bytes]) -> set[str]:
        """Returns the names of the sealed files that open."""
        return {name for name, sealed in files.items() if self.opens(sealed)}

    def _roots_of(self, state: bytes) -> Iterator[bytes]:
        head, _ = _head(state)
        for stanza in head.stanzas if head else ():
            if stanza.anchors in self._without:
                continue
            kinds = [kind for kind in stanza.anchors.split("+") if kind != "passphrase"]
            passphrase = self._passphrase if "passphrase" in stanza.anchors else b""
            for shares in itertools.product(*(self._shares.get(kind, ()) for kind in kinds)):
                root = _unwrapped(head, tuple(kinds), shares, passphrase)
                if root is not None:
                    yield root

    def _try_state(self, state: bytes, root: bytes) -> None:
        for slot, key in _journal_keys(state, root):
            self.keys[slot].add(key)
        for number, page_key in _page_keys(state, root):
            for frame in self._frames:
                for slot, key in _keys_of_page(frame, page_key, _vault(state), number):
                    self.keys[slot].add(key)


class _Held:
    """An anchor that answers with the one share it holds, whatever the epoch."""

    def __init__(self, name: str, share: bytes, epoch: Epoch) -> None:
        self.name, self._share, self._epoch = name, share, epoch

    def shares(self) -> dict[Epoch, Secret]:
        return {self._epoch: Secret(self._share)}

    def write(self, epoch: Epoch, share: Secret) -> None:
        raise AssertionError((epoch, share))

    def wipe(self, keep: Epoch) -> None:
        raise AssertionError(keep)

    def settle(self) -> None:
        pass

    def level(self) -> Level:
        return Level("E", "what an adversary holds")


# The answers depend on the arguments alone, and the crash table asks the same many times.


@lru_cache(100_000)
def _head(state: bytes) -> tuple[Head | None, int]:
    try:
        return parse_head(state)
    except Malformed:
        return None, 0


def _vault(state: bytes) -> VaultId:
    head, _ = _head(state)
    assert head is not None
    return head.vault


@lru_cache(100_000)
def _unwrapped(
    head: Head | None, kinds: tuple[str, ...], shares: tuple[bytes, ...], passphrase: bytes
) -> bytes | None:
    if head is None:
        return None
    held = [_Held(kind, share, head.epoch) for kind, share in zip(kinds, shares, strict=True)]
    try:
        roots = Roots(head.vault, [held], Secret(passphrase) if passphrase else None)
        return bytes(roots.open(head))
    except AnchorFailure:
        return None


@lru_cache(100_000)
def _opened_top(state: bytes, root: bytes) -> tuple[Top | None, int]:
    head, size = _head(state)
    try:
        top, taken = open_top(memoryview(state)[size:], Secret(root), state[:size])
    except Tampered:
        return None, 0
    return (top, size + taken) if head else (None, 0)


def _page_keys(state: bytes, root: bytes) -> list[tuple[int, bytes]]:
    top, _ = _opened_top(state, root)
    return [(number, bytes(ref.key)) for number, ref in top.pages.items()] if top else []


@lru_cache(100_000)
def _journal_keys(state: bytes, root: bytes) -> tuple[tuple[Slot, bytes], ...]:
    head, _ = _head(state)
    top, end = _opened_top(state, root)
    if head is None or top is None:
        return ()
    journal = Journal(Secret(root), head.vault, head.epoch)
    records = (bytes(record) for _, record in journal.open(memoryview(state)[end:]))
    slots = (_slots_of(record) for record in records if record[:1] == b"S")
    return tuple(itertools.chain.from_iterable(slots))


def _slots_of(record: bytes) -> Iterator[tuple[Slot, bytes]]:
    first = int.from_bytes(record[1:9])
    for n, at in enumerate(range(9, len(record), KEY_SIZE)):
        yield Slot(first + n), record[at : at + KEY_SIZE]


@lru_cache(10_000)
def _frames(data: bytes) -> frozenset[bytes]:
    starts = range(0, len(data), FRAME_SIZE)
    whole = (data[at : at + PAGE_SIZE + TAG_SIZE] for at in starts)
    return frozenset(frame for frame in whole if len(frame) == PAGE_SIZE + TAG_SIZE)


@lru_cache(10_000)
def _keys_of_page(
    frame: bytes, page_key: bytes, vault: VaultId, number: int
) -> tuple[tuple[Slot, bytes], ...]:
    try:
        page = bytes(open_page(bytearray(frame), PageRef(0, Secret(page_key)), vault, number))
    except Tampered:
        return ()
    end = len(page.rstrip(b"\0"))  # most pages of the tests are empty from there on
    keys = (page[at : at + KEY_SIZE] for at in range(0, end, KEY_SIZE))
    first = number * SLOTS_PER_PAGE
    return tuple((Slot(first + n), key) for n, key in enumerate(keys) if key != EMPTY)


def opens(key: bytes, sealed: bytes) -> bool:
    """Tells whether a sealed file opens with a key."""
    try:
        Opener(Secret(key), lambda offset, size: sealed[offset : offset + size], len(sealed))
    except KeysError:
        return False
    return True


class RecordingDisk:
    """Passes everything on to a disk; keeps each version of each file written, with its path."""

    def __init__(self, disk: Disk | None = None) -> None:
        self._disk: Disk = disk or RealDisk()
        self.history: list[tuple[Path, bytes]] = []
        self.on_change: Callable[[], None] | None = None

    def versions(self, *, outside: Path) -> list[bytes]:
        """Returns each version of each file that was not in the directory `outside`."""
        return [data for path, data in self.history if outside not in path.parents]

    def read(self, path: Path, offset: int = 0, size: int | None = None) -> Secret:
        return self._disk.read(path, offset, size)

    def size(self, path: Path) -> int | None:
        return self._disk.size(path)

    def names(self, directory: Path) -> list[str]:
        return self._disk.names(directory)

    def make_dir(self, directory: Path) -> None:
        self._disk.make_dir(directory)

    def write(self, path: Path, offset: int, data: Buffer) -> None:
        self._disk.write(path, offset, data)
        self._keep(path)

    def truncate(self, path: Path, size: int) -> None:
        self._disk.truncate(path, size)
        self._keep(path)

    def sync(self, path: Path) -> None:
        self._disk.sync(path)

    def sync_dir(self, directory: Path) -> None:
        self._disk.sync_dir(directory)

    def rename(self, source: Path, target: Path) -> None:
        self._disk.rename(source, target)
        self._keep(target)

    def delete(self, path: Path) -> None:
        self._disk.delete(path)

    def remove_dir(self, directory: Path) -> None:
        self._disk.remove_dir(directory)

    def _keep(self, path: Path) -> None:
        self.history.append((path, bytes(self._disk.read(path))))
