"""The live tree of one vault on disk: a cache of what the log says of every slot.

It promises that no root, proof or change leaves it that does not lead to the root in its head, and
that whatever a crash, a lost write or a stray byte did to it is found by whoever needs the part:
`Stale`, upon which the caller calls `rebuild` with what the log says. Because every node read is
checked against the head's root, nothing here is synced and no order of writes is relied upon.
Nothing secret is here: commitments and roots are public. All methods expect the vault's lock.

Files: `level-00`, `level-08`, `level-16`, … hold the nodes of each eighth level side by side, 32
bytes each; the levels between are computed from a tile of 256. `head` holds, with a checksum, the
number of log entries that are in, the number of slots, and the root.
"""

import struct
from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from itertools import groupby
from pathlib import Path

from keys.durable import Disk
from keys.errors import StateUnknown, Tampered
from keys.live import (
    EMPTY,
    Change,
    depth,
    empty_node,
    leaf_of,
    prove,
    root_of,
    roots_from,
    rows,
)
from keys.merkle import HASH_SIZE, Hash
from keys.model import Commitment, Slot

MAGIC = b"anechoic-live/1\n"
TILE_LEVELS = 8
TILE_WIDTH = 1 << TILE_LEVELS
_TILE_SIZE = TILE_WIDTH * HASH_SIZE
_TILES_CACHED = 64
_HEAD = struct.Struct(">16sQQ32s")

_Tile = list[bytearray]
"""A perfect subtree: rows of 256, 128, … 1 nodes."""


class Stale(Tampered):
    """The cached tree is missing, torn or of another time: rebuild it from the log.

    When it comes again right after that, then the caller's commitments are not those of the log.
    """


class LiveTree:
    """The live tree kept in `directory`; `open` or `rebuild` it before use, under the lock."""

    position: int
    """The number of log entries that the tree takes into account."""
    size: int
    """The number of slots covered: one more than the highest that the log has."""
    root: Hash

    def __init__(self, disk: Disk, directory: Path) -> None:
        self._disk, self._directory = disk, directory
        self._head = directory / "head"
        self._tiles: dict[tuple[int, int], _Tile] = {}
        self._forget()

    def open(self) -> None:
        """Reads the head; raises `Stale` where there is none or it is torn."""
        self._forget()
        try:
            data = bytes(self._disk.read(self._head))
        except FileNotFoundError:
            raise Stale("there is no live tree yet") from None
        body, check = data[: _HEAD.size], data[_HEAD.size :]
        if len(body) != _HEAD.size or not body.startswith(MAGIC) or sha256(body).digest() != check:
            raise Stale("the head of the live tree is torn")
        _, self.position, self.size, root = _HEAD.unpack(body)
        self.root, self._is_open = Hash(root), True

    def rebuild(self, leaves: Iterable[tuple[Slot, Commitment | None]], position: int) -> None:
        """Makes the tree anew from each slot with its commitment, or None where it is empty.

        The slots come in any order; those not named are empty. It takes memory for two rows of
        leaves, 64 bytes a slot.
        """
        self._forget()
        self._disk.make_dir(self._directory)
        row: bytes | bytearray = _leaf_row(leaves)
        size = len(row) // HASH_SIZE
        for level in _stored_levels(size):
            self._write_whole(level, row)
            below, row = row, b"".join(_tops(row, level))
        topmost = _top(_tile(bytes(below), level), level, size)
        self._move_head(position, size, root_of(size, topmost))

    def apply(
        self,
        created: Iterable[tuple[Slot, Commitment]],
        emptied: Iterable[Slot],
        position: int,
    ) -> None:
        """Takes in what the log has up to entry `position`: slots created, then slots emptied.

        Raises `Stale` for a position that lies behind, and where a node read does not hold;
        ValueError for an emptied slot that was never created.
        """
        self._must_be_open()
        if position < self.position:
            raise Stale(f"the live tree knows {self.position} log entries, the log has {position}")
        fresh = {slot: leaf_of(commitment) for slot, commitment in created}
        size = max(self.size, 1 + max(fresh, default=-1))
        dead = dict.fromkeys(emptied, EMPTY)
        if dead and not 0 <= min(dead) <= max(dead) < size:
            raise ValueError(f"slots {min(dead)} to {max(dead)} are not all below {size}")
        changed: dict[int, Hash] = dict.fromkeys(range(self.size, size), EMPTY)
        try:
            root = self._update(changed | fresh | dead, size)
            self._move_head(position, size, root)
        except BaseException:
            self._forget()  # files, tiles and head may now differ: only reading them tells
            raise
        if len(self._tiles) > _TILES_CACHED:  # 16 KiB each; a proof of many slots has read many
            self._tiles.clear()

    def prove(self, slots: Iterable[Slot]) -> tuple[Hash, ...]:
        """Returns the proof for a change of these slots; raises `Stale`, ValueError."""
        self._must_be_open()
        return prove(self.size, slots, self._node)

    def change(self, erased: Mapping[Slot, Commitment]) -> Change:
        """Returns what erasing these slots changes, without changing anything.

        The proof has been followed to the root of this tree when it is returned. Raises `Stale`
        where the tree holds a slot under no or another commitment; ValueError for no slots.
        """
        self._must_be_open()
        if max(erased, default=0) >= self.size:
            raise Stale(f"the live tree covers {self.size} slots, and not slot {max(erased)}")
        siblings = self.prove(erased)
        leaves: dict[int, tuple[Hash, Hash]] = {
            slot: (leaf_of(it), EMPTY) for slot, it in erased.items()
        }
        before, after = roots_from(self.size, leaves, siblings)
        if before != self.root:
            raise Stale("the live tree does not hold these slots under these commitments")
        return Change(self.size, before, after, siblings)

    def _update(self, changed: dict[int, Hash], size: int) -> Hash:
        """Writes the changed nodes level by level and returns the root that they lead to."""
        if not changed:
            return self.root
        if size > self.size > 0:  # the old edge leads up to levels that were not stored so far
            edge = self.size - 1
            changed = {edge: self._node(0, edge)} | changed
        for level in _stored_levels(size):
            tops = {}
            for number, group in groupby(sorted(changed), key=lambda i: i // TILE_WIDTH):
                tops[number] = self._change_tile(level, number, {i: changed[i] for i in group})
            changed = tops
        return root_of(size, _top(self._tiles[level, 0], level, size))

    def _change_tile(self, level: int, number: int, changed: Mapping[int, Hash]) -> Hash:
        is_there = number * TILE_WIDTH < _width(self.size, level)
        tile = self._tile(level, number) if is_there else _tile(b"", level)
        self._tiles[level, number] = tile
        nodes: dict[int, bytes] = {index % TILE_WIDTH: node for index, node in changed.items()}
        for row in tile[:-1]:
            _put(row, nodes)
            nodes = {n: _parent(row, n) for n in {place // 2 for place in nodes}}
        _put(tile[-1], nodes)
        first, last = min(changed), max(changed)
        span = slice(first % TILE_WIDTH * HASH_SIZE, (last % TILE_WIDTH + 1) * HASH_SIZE)
        self._disk.write(self._path(level), first * HASH_SIZE, tile[0][span])
        return Hash(nodes[0])

    def _node(self, level: int, index: int) -> Hash:
        above = level % TILE_LEVELS
        number, place = divmod(index, TILE_WIDTH >> above)
        return _at(self._tile(level - above, number)[above], place)

    def _tile(self, level: int, number: int) -> _Tile:
        """Returns a tile whose top is what the head's root, or the tile above it, says it is."""
        if (level, number) not in self._tiles:
            tile = _tile(self._read_row(level, number), level)
            if level + TILE_LEVELS >= depth(self.size):
                found, expected = root_of(self.size, _top(tile, level, self.size)), self.root
            else:
                found, expected = _at(tile[-1], 0), self._node(level + TILE_LEVELS, number)
            if found != expected:
                raise Stale(f"the live tree does not hold in tile {number} of level {level}")
            self._tiles[level, number] = tile
        return self._tiles[level, number]

    def _read_row(self, level: int, number: int) -> bytes:
        first = number * TILE_WIDTH
        wanted = HASH_SIZE * min(TILE_WIDTH, _width(self.size, level) - first)
        try:
            return bytes(self._disk.read(self._path(level), first * HASH_SIZE, wanted))
        except FileNotFoundError:
            raise Stale(f"level {level} of the live tree is missing") from None

    def _write_whole(self, level: int, row: bytes | bytearray) -> None:
        self._disk.delete(self._path(level))
        self._disk.write(self._path(level), 0, row)

    def _move_head(self, position: int, size: int, root: Hash) -> None:
        body = _HEAD.pack(MAGIC, position, size, root)
        self._disk.write(self._head, 0, body + sha256(body).digest())
        self.position, self.size, self.root, self._is_open = position, size, root, True

    def _must_be_open(self) -> None:
        if not self._is_open:
            raise StateUnknown("the live tree is not open, or an act on it failed; open it again")

    def _forget(self) -> None:
        self._tiles.clear()
        self._is_open = False

    def _path(self, level: int) -> Path:
        return self._directory / f"level-{level:02}"


def _stored_levels(size: int) -> range:
    return range(0, max(depth(size), 1), TILE_LEVELS)


def _width(size: int, level: int) -> int:
    """The number of nodes that the file of a level holds for `size` slots."""
    return -(-size >> level) if level in _stored_levels(size) else 0


def _tops(row: bytes | bytearray, level: int) -> Iterator[bytes]:
    for at in range(0, len(row), _TILE_SIZE):
        (*_, top) = rows(bytes(row[at : at + _TILE_SIZE]), level, TILE_LEVELS)
        yield top


def _tile(row: bytes, level: int) -> _Tile:
    """The tile above a row of up to 256 nodes, filled up with empty ones."""
    lengths = (TILE_WIDTH >> above for above in range(TILE_LEVELS + 1))
    return [
        bytearray(nodes + empty_node(level + above) * (length - len(nodes) // HASH_SIZE))
        for above, (nodes, length) in enumerate(
            zip(rows(row, level, TILE_LEVELS), lengths, strict=True)
        )
    ]


def _top(tile: _Tile, level: int, size: int) -> Hash:
    return _at(tile[depth(size) - level], 0)


def _at(row: bytearray, place: int) -> Hash:
    return Hash(bytes(row[place * HASH_SIZE : (place + 1) * HASH_SIZE]))


def _put(row: bytearray, nodes: Mapping[int, bytes]) -> None:
    for place, node in nodes.items():
        row[place * HASH_SIZE : (place + 1) * HASH_SIZE] = node


def _parent(row: bytearray, n: int) -> bytes:
    return sha256(b"\x01" + row[2 * n * HASH_SIZE : 2 * (n + 1) * HASH_SIZE]).digest()


def _leaf_row(leaves: Iterable[tuple[Slot, Commitment | None]]) -> bytearray:
    row = bytearray()
    for slot, commitment in leaves:
        row += EMPTY * (slot + 1 - len(row) // HASH_SIZE)
        if commitment is not None:
            _put(row, {slot: leaf_of(commitment)})
    return row
