"""The log: an append-only Merkle log of content-free entries (SPEC section 5).

`entries` holds one line an entry and is the truth; `hashes` holds the Merkle hashes and can always
be made again from it. So can `log-keys` beside the log, which remembers the lines that change its
key. An entry is durable when `append` returns. All methods that write expect the caller to hold
the vault's lock.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import count, islice, takewhile
from pathlib import Path

from keys.cosignature import Cosigner, CosignerKey
from keys.durable import Disk, replace_file
from keys.entry import Begun, Entry, RekeyEntry, line_of, origin_of, parse_line
from keys.errors import Malformed, Tampered
from keys.logsearch import end_of_last_line, lines_back, lines_with
from keys.merkle import (
    HASH_SIZE,
    Hash,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    stored_count,
    stored_hashes,
    stored_index,
    tree_root,
)
from keys.model import VaultId
from keys.note import Checkpoint, LogProof, NoteSigner, Signer, VerifierKey, sign
from keys.progress import counted
from keys.secret import derive

_BLOCK = 1 << 16
_HASHES_BLOCK = HASH_SIZE << 11
_REKEY = b" rekey "
"""What each line has that changes the key, and no other."""
_REMEMBER_AFTER = 256
"""With so many entries not looked at, what was found in them is remembered."""
_READING = "reading the log"
_BATCH = 64
"""The most entries that are appended at once; so many are looked at again on opening."""


class Log:
    """The log of one vault, kept in `directory`."""

    def __init__(self, disk: Disk, directory: Path, vault: VaultId) -> None:
        self._disk, self._directory, self._vault = disk, directory, vault
        self._entries, self._hashes = directory / "entries", directory / "hashes"
        self._keys = directory.with_name("log-keys")
        self._rekeys: tuple[int, list[tuple[int, RekeyEntry]]] = (0, [])
        self.size, self._end = 0, 0

    def create(self) -> None:
        """Makes the log with its first entry."""
        self._disk.make_dir(self._directory)
        self._disk.sync_dir(self._directory.parent)
        self.append([Begun(self._vault)])
        self._disk.sync_dir(self._directory)

    def open(self) -> None:
        """Finds the end, drops lines that a crash has torn, and mends the hashes if they lag.

        Raises `Tampered` when the end of the log is not an entry of this vault.
        """
        self._rekeys = (0, [])
        there = self._disk.size(self._entries) or 0
        if there:  # a killed process may have left the last lines in the system's cache alone
            self._disk.sync(self._entries)
        self._end = end_of_last_line(self._disk, self._entries, there)
        if not self._end:  # a log begins with an entry before there is a vault
            raise Tampered(
                f"the log {self._entries} is missing; put it back, from a mirror if there is one"
            )
        self._end -= self._torn_size()
        if self._end < there:
            self._disk.truncate(self._entries, self._end)
        tail = list(islice(self._lines_back(), _BATCH))[::-1]
        self.size = parse_line(tail[-1], self._vault)[0] + 1 if tail else 0
        if not self._hashes_match(tail):
            self._make_hashes()

    def refresh(self) -> None:
        """Opens the log anew if another process has appended to it."""
        if self._disk.size(self._entries) != self._end or not self.size:
            self.open()

    def append(self, entries: Sequence[Entry]) -> int:
        """Appends entries and returns the index of the first; durable on return.

        Raises `Malformed`, before anything is written, for an entry that could not be read again.
        """
        first = self.size
        lines = [self._line(first + n, entry) for n, entry in enumerate(entries)]
        for start in range(0, len(lines), _BATCH):
            self._append_batch(lines[start : start + _BATCH])
        return first

    def scan(self) -> Iterator[tuple[int, Entry]]:
        """Yields every (index, entry), oldest first; raises `Tampered` on a line out of place."""
        return counted(self._scan(), _READING, self.size)

    def _scan(self) -> Iterator[tuple[int, Entry]]:
        rest, offset, expected = b"", 0, 0
        while offset < self._end:
            block = self._disk.read(self._entries, offset, min(_BLOCK, self._end - offset))
            offset += len(block)
            *lines, rest = (rest + bytes(block)).split(b"\n")
            for line in lines:
                yield self._parse(line, expected)
                expected += 1
        if rest or expected != self.size:
            raise Tampered(f"the log has {expected} whole entries, expected {self.size}")

    def scan_back(self) -> Iterator[tuple[int, Entry]]:
        """Yields every (index, entry), newest first."""
        expected = self.size - 1
        for line in counted(self._lines_back(), _READING, self.size):
            yield self._parse(line, expected)
            expected -= 1

    def some_back(
        self, is_wanted: Callable[[Sequence[bytes]], bool], oldest: int = 0
    ) -> Iterator[tuple[int, Entry]]:
        """Yields (index, entry) of each line from `oldest` on whose first words are wanted.

        Newest first. Asked with the number, the act and four words more at most, the last with all
        that follows. The other lines are counted and not read: for many ids among more.
        """
        expected = self.size - 1
        for line in counted(self._lines_back(), _READING, self.size - oldest):
            if expected < oldest:
                return
            if is_wanted(line.split(b" ", 5)):
                yield self._parse(line, expected)
            expected -= 1

    def mentions(self, ids: Collection[bytes], oldest: int = 0) -> Iterator[tuple[int, Entry]]:
        """Yields (index, entry) of each line from `oldest` on with any of these ids, newest first.

        Without parsing the others: for a few ids. Raises `Tampered` for a line of no entry here.
        """
        yield from self._with([it.hex().encode() for it in ids], oldest)

    def _with(self, wanted: Collection[bytes], oldest: int) -> Iterator[tuple[int, Entry]]:
        for line in lines_with(self._disk, self._entries, self._end, wanted, oldest):
            index, entry = parse_line(line, self._vault)
            if index < oldest:
                return
            if not 0 <= index < self.size or self._leaf(index) != leaf_hash(line):
                raise Tampered(f"the log has a line {index} that is not entry {index}")
            yield index, entry

    def has(self, index: int, entry: Entry) -> bool:
        """Tells whether this is entry `index`, by its hash alone: a log of any length is quick."""
        if not 0 <= index < self.size:
            return False
        return self._leaf(index) == leaf_hash(line_of(index, entry))

    def rekeys(self) -> list[tuple[int, RekeyEntry]]:
        """Returns every change of the log's key with its index, oldest first.

        What `log-keys` remembers counts as far as the log still is the one that it was made from;
        the entries after that are looked at. So it may be missing, or of any age.
        """
        if self._rekeys[0] != self.size:
            position, found = self._rekeys if self._rekeys[0] else self._remembered()
            later = takewhile(lambda row: row[0] >= position, self._with([_REKEY], position))
            found = [*found, *[(n, it) for n, it in later if isinstance(it, RekeyEntry)][::-1]]
            self._rekeys = self.size, found
            if self.size // _REMEMBER_AFTER > position // _REMEMBER_AFTER:
                head = f"{self.size} {self._leaf(self.size - 1).hex()}\n".encode()
                data = head + b"".join(line_of(n, it) + b"\n" for n, it in found)
                replace_file(self._disk, self._keys, data)
        return self._rekeys[1]

    def _remembered(self) -> tuple[int, list[tuple[int, RekeyEntry]]]:
        """Returns what `log-keys` says, and how many entries it knew then; nothing if it is off."""
        try:
            head, *lines = bytes(self._disk.read(self._keys)).splitlines()
            position, leaf = int(head.split()[0]), head.split()[1].decode()
            parsed = [parse_line(line, self._vault) for line in lines]
        except (FileNotFoundError, ValueError, IndexError, Malformed):
            return 0, []
        rows = [(n, it) for n, it in parsed if isinstance(it, RekeyEntry) and self.has(n, it)]
        is_of_it = 0 < position <= self.size and self._leaf(position - 1).hex() == leaf
        return (position, rows) if is_of_it and len(rows) == len(parsed) else (0, [])

    def is_remembered_wrongly(self) -> bool:
        """Tells whether `log-keys` is there and is not of this log: then nobody goes by it."""
        return self._disk.size(self._keys) is not None and not self._remembered()[0]

    def _leaf(self, index: int) -> Hash:
        return self._read_hash(stored_index(0, index))

    def rekey(self, old: VerifierKey, new: VerifierKey, second: CosignerKey | None = None) -> int:
        """Changes the log's key: from the next entry on it is `new`. Returns the entry's index.

        With a second key, that one signs along.
        """
        along = second.hash if second else b""
        entry = RekeyEntry(len(self.rekeys()) + 1, old.public, new.public, along)
        return self.append([entry])

    def root(self) -> Hash:
        """Returns the Merkle root of all entries."""
        return tree_root(self.size, self._read_hash)

    def consistency(self, old_size: int) -> list[Hash]:
        """Returns the proof that this log extends its own first `old_size` entries."""
        return consistency_proof(old_size, self.size, self._read_hash)

    def prove(self, index: int, *signers: NoteSigner, size: int | None = None) -> LogProof:
        """Returns the proof that entry `index` is in the log, under a freshly signed checkpoint.

        With `size` it is that of the log as it was when it had so many entries.
        """
        size = self.size if size is None else size
        hashes = tuple(inclusion_proof(index, size, self._read_hash))
        return LogProof(index, hashes, self.checkpoint(*signers, size=size))

    def checkpoint(self, *signers: NoteSigner, size: int | None = None) -> str:
        """Returns the signed head of the log as a note, now or when it had `size` entries."""
        size = self.size if size is None else size
        root = tree_root(size, self._read_hash)
        return sign(Checkpoint(origin_of(self._vault), size, root).format(), signers)

    def check_hashes(self) -> None:
        """Recomputes every hash from the entries; raises `Tampered` where one differs."""
        stored, tops = self._stored_hashes(), dict[int, Hash]()
        for index, entry in self.scan():
            fresh = stored_hashes(index, leaf_hash(line_of(index, entry)), tops.pop)
            if any(next(stored, None) != expected for expected in fresh):
                raise Tampered(f"entry {index} of the log is not the one that was hashed")
            tops[stored_index(0, index) + len(fresh) - 1] = fresh[-1]

    def _stored_hashes(self) -> Iterator[Hash]:
        for start in range(0, stored_count(self.size) * HASH_SIZE, _HASHES_BLOCK):
            block = bytes(self._disk.read(self._hashes, start, _HASHES_BLOCK))
            for at in range(0, len(block), HASH_SIZE):
                yield Hash(block[at : at + HASH_SIZE])

    def _append_batch(self, lines: Sequence[bytes]) -> None:
        data = b"".join(line + b"\n" for line in lines)
        end, self._end = self._end, -1  # an error or Ctrl-C in here makes `refresh` recover
        self._disk.write(self._entries, end, data)
        self._disk.sync(self._entries)
        self._disk.write(self._hashes, stored_count(self.size) * HASH_SIZE, self._hashes_of(lines))
        self._disk.sync(self._hashes)
        self.size, self._end = self.size + len(lines), end + len(data)

    def _line(self, index: int, entry: Entry) -> bytes:
        line = line_of(index, entry)
        if parse_line(line, self._vault) != (index, entry):
            raise Malformed(f"entry {index} does not belong into the log of this vault")
        return line

    def _parse(self, line: bytes, expected: int) -> tuple[int, Entry]:
        index, entry = parse_line(line, self._vault)
        if index != expected:
            raise Tampered(f"the log has entry {index} where entry {expected} belongs")
        return index, entry

    def _torn_size(self) -> int:
        """Returns the length of what a crash left of a batch, from its first bad line on.

        Hashes are written once their entries are durable, so a torn line is never among those that
        they cover; a bad line there was changed by somebody, and stays to be refused.
        """
        covered, beyond = self._covered(), list[bytes]()
        before = -1
        for line in self._lines_back():
            index = self._index_of(line)
            if index is not None and index < covered:
                before = index
                break
            beyond.append(line)
        if before != covered - 1:
            return 0
        whole = count(covered)
        kept = takewhile(lambda line: self._index_of(line) == next(whole), reversed(beyond))
        return sum(len(line) + 1 for line in beyond) - sum(len(line) + 1 for line in kept)

    def _covered(self) -> int:
        """Returns the number of entries that the hashes are there for."""
        hashes = (self._disk.size(self._hashes) or 0) // HASH_SIZE
        size = (hashes + 1) // 2  # n entries have from n to 2n - 1 hashes
        while stored_count(size + 1) <= hashes:
            size += 1
        return size

    def _index_of(self, line: bytes) -> int | None:
        try:
            return parse_line(line, self._vault)[0]
        except Malformed:
            return None

    def _lines_back(self) -> Iterator[bytes]:
        return lines_back(self._disk, self._entries, self._end)

    def _read_hash(self, number: int) -> Hash:
        data = self._disk.read(self._hashes, number * HASH_SIZE, HASH_SIZE)
        if len(data) != HASH_SIZE:
            raise Tampered(f"the log's hash {number} is missing")
        return Hash(bytes(data))

    def _hashes_match(self, tail: Sequence[bytes]) -> bool:
        """Tells whether the hashes are as many as they must be, and those of the last batch whole.

        A crash in the writing of a batch leaves zeros where nothing arrived; any other difference
        means that entries or hashes were changed: then it raises `Tampered`.
        """
        if (self._disk.size(self._hashes) or 0) != stored_count(self.size) * HASH_SIZE:
            return False
        size, self.size = self.size, self.size - len(tail)
        if self.size < 0:
            raise Tampered(f"the log has more lines than its last one says: {size}")
        expected = self._hashes_of(tail)
        found = self._disk.read(self._hashes, stored_count(self.size) * HASH_SIZE)
        self.size = size
        if any(mine not in {0, right} for mine, right in zip(found, expected, strict=True)):
            raise Tampered("the last entries of the log are not those that were hashed")
        return bytes(found) == expected

    def _make_hashes(self) -> None:
        lines = [line_of(index, entry) for index, entry in self.scan()]
        self.size = 0
        replace_file(self._disk, self._hashes, self._hashes_of(lines))
        self.size = len(lines)

    def _hashes_of(self, lines: Sequence[bytes]) -> bytes:
        """Returns the hashes that these lines add to a log of `size` entries."""
        known, fresh = stored_count(self.size), list[Hash]()

        def read(number: int) -> Hash:
            return fresh[number - known] if number >= known else self._read_hash(number)

        for n, line in enumerate(lines):
            fresh += stored_hashes(self.size + n, leaf_hash(line), read)
        return b"".join(fresh)


def signer_of(vault: VaultId, seed: bytearray, generation: int = 0) -> Signer:
    """Returns a signer of a vault's log from the ring's signer seed (SPEC section 5.3)."""
    info = b"anechoic-log/1 ed25519" + generation.to_bytes(8)
    with derive(seed, b"", info) as own:
        return Signer(origin_of(vault), own)


def second_signer_of(vault: VaultId, seed: bytearray, generation: int) -> Cosigner:
    """Returns the second signer of a vault's log, of ML-DSA-44 (SPEC section 5.6)."""
    info = b"anechoic-log/1 ml-dsa-44" + generation.to_bytes(8)
    with derive(seed, b"", info) as own:
        return Cosigner(origin_of(vault), own)
