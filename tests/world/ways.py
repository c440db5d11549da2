"""Several ways to a root in the crash table: anchors that come and go, a chip that counts.

A `Site` has the anchors of a vault on one simulated disk and makes rings of them, with any of them
absent. `WaysChecker` reopens each medium with all anchors and with some absent, holds the ring
against the model, then lets everybody come back and catch up: then no way may be outstanding, and
nothing that is dead may open for whoever has all files and all anchors as they are now.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace

from keys.anchor import Anchor, Level
from keys.anchor.file import FileAnchor
from keys.durable import Disk, replace_file
from keys.errors import AnchorFailure, KeysError, StateUnknown
from keys.model import Epoch
from keys.ring import Ring
from keys.root import Roots
from keys.secret import Secret
from tests.world.crash import (
    ANCHOR,
    RING,
    STATE,
    VAULT,
    Checker,
    Known,
    MakeRing,
    Moment,
    World,
    blobs_in,
)
from tests.world.disk import SimulatedDisk, Watch

MakeAnchor = Callable[[SimulatedDisk, str], Anchor]


def file_anchor(disk: Disk, name: str) -> FileAnchor:
    """Returns the production anchor, in a directory of its own."""
    anchor = FileAnchor(disk, ANCHOR if name == "file" else STATE / name / "share", VAULT)
    anchor.name = name
    return anchor


class CountingAnchor:
    """Models a chip that gives a share while its counter is at most the share's limit.

    Its blobs are in a file that anybody may copy; each limit given out is higher than the last.
    """

    def __init__(self, disk: SimulatedDisk, name: str) -> None:
        self.name, self._disk = name, disk
        self._chip, self._path = STATE / name, STATE / name / "blobs"

    def shares(self) -> dict[Epoch, Secret]:
        _, blobs = self._read()
        return {epoch: Secret(share) for epoch, _, share in self._live(blobs)}

    def write(self, epoch: Epoch, share: Secret) -> None:
        if self._disk.size(self._path) is None:
            self._disk.make_dir(self._chip)
            self._disk.sync_dir(self._chip.parent)
            self._save(0, [])
        issued, blobs = self._read()
        limit = max(issued + 1, self._count)
        self._save(limit, self._live(blobs))
        self._save(limit, [*self._live(blobs), (epoch, limit, bytes(share))])

    def wipe(self, keep: Epoch) -> None:
        issued, blobs = self._read()
        limit, share = max((n, share) for e, n, share in self._live(blobs) if e == keep)
        if limit < issued:  # something later was begun, and must not come to life when we count on
            self.write(keep, Secret(share))
            limit, _ = self._read()
        while self._count < limit:
            self._disk.increment(self._chip)

    def settle(self) -> None:
        if self._disk.size(self._path) is not None:
            self._disk.sync(self._path)
            self._disk.sync_dir(self._chip)

    def level(self) -> Level:
        return Level("E", "a simulated chip")

    @property
    def _count(self) -> int:
        return self._disk.cached.counters.get(self._chip, 0)

    def _live(self, blobs: Iterable[tuple[Epoch, int, bytes]]) -> list[tuple[Epoch, int, bytes]]:
        return [blob for blob in blobs if self._count <= blob[1]]

    def _read(self) -> tuple[int, list[tuple[Epoch, int, bytes]]]:
        try:
            data = bytes(self._disk.read(self._path))
        except FileNotFoundError:
            raise AnchorFailure(f"the chip {self.name} has no file {self._path}") from None
        return int(data.split(maxsplit=1)[0]), blobs_in(data)

    def _save(self, issued: int, blobs: Iterable[tuple[Epoch, int, bytes]]) -> None:
        rows = [f"blob {epoch} {limit} {share.hex()}" for epoch, limit, share in blobs]
        replace_file(self._disk, self._path, "\n".join([str(issued), *rows]).encode())


class SwappingAnchor(CountingAnchor):
    """Models a chip that gives the new share only once its counter has left the old one."""

    def _live(self, blobs: Iterable[tuple[Epoch, int, bytes]]) -> list[tuple[Epoch, int, bytes]]:
        return [blob for blob in blobs if max(self._count, 1) == blob[1]]

    def wipe(self, keep: Epoch) -> None:
        _, blobs = self._read()
        while self._count < max(n for e, n, _ in blobs if e == keep):
            self._disk.increment(self._chip)

    def _save(self, issued: int, blobs: Iterable[tuple[Epoch, int, bytes]]) -> None:
        kept = self._read()[1] if self._disk.size(self._path) is not None else []
        super()._save(issued, [*kept, *(blob for blob in blobs if blob not in kept)])


class _Fetched:
    """An anchor that can be away, when it does not answer, or read-only."""

    def __init__(
        self, anchor: Anchor, absent: Collection[str], read_only: Collection[str] = ()
    ) -> None:
        self.name, self._anchor, self._absent = anchor.name, anchor, absent
        self._read_only = read_only

    def shares(self) -> dict[Epoch, Secret]:
        return self._here().shares()

    def write(self, epoch: Epoch, share: Secret) -> None:
        self._writable().write(epoch, share)

    def wipe(self, keep: Epoch) -> None:
        self._writable().wipe(keep)

    def settle(self) -> None:
        self._writable().settle()

    def level(self) -> Level:
        return self._here().level()

    def _writable(self) -> Anchor:
        if self.name in self._read_only:
            raise StateUnknown(f"the anchor {self.name} is read-only")
        return self._here()

    def _here(self) -> Anchor:
        if self.name in self._absent:
            raise AnchorFailure(f"the anchor {self.name} is not here")
        return self._anchor


class Site:
    """The anchors of a vault by their way, such as `file+b|chip`; anchors named `chip…` count."""

    def __init__(
        self,
        ways: str,
        ring: type[Ring] = Ring,
        roots: type[Roots] = Roots,
        kinds: Mapping[str, MakeAnchor] | None = None,
        passphrase: Secret | None = None,
    ) -> None:
        self.ways = [way.split("+") for way in ways.split("|")]
        self._ring, self._roots, self._passphrase = ring, roots, passphrase
        self._kinds = {"chip": CountingAnchor} | dict(kinds or {})

    @property
    def anchors(self) -> list[str]:
        """The names of all anchors."""
        return [name for way in self.ways for name in way]

    def roots(
        self, disk: Disk, absent: Collection[str] = (), read_only: Collection[str] = ()
    ) -> Roots:
        """Returns the ways, with the anchors on this disk."""
        ways = [
            [_Fetched(self._anchor(disk, name), absent, read_only) for name in way]
            for way in self.ways
        ]
        return self._roots(VAULT, ways, self._passphrase)

    def ring(
        self, disk: Disk, absent: Collection[str] = (), read_only: Collection[str] = ()
    ) -> Ring:
        """Returns a ring that is not open yet; `absent`, `read_only` may change at any time."""
        return self._ring(disk, RING, self.roots(disk, absent, read_only))

    def names_without(self, absent: Collection[str]) -> set[str]:
        """Returns the names of the ways that lack one of these anchors."""
        return {"+".join(way) for way in self.ways if set(way) & set(absent)}

    def _anchor(self, disk: Disk, name: str) -> Anchor:
        for prefix, make in self._kinds.items():
            if name.startswith(prefix):
                assert isinstance(disk, SimulatedDisk)
                return make(disk, name)
        return file_anchor(disk, name)


class WaysWorld(World):
    """A world whose ring is of a site; anchors go away by `absent`."""

    def __init__(self, site: Site) -> None:
        self.absent: set[str] = set()
        self.read_only: set[str] = set()
        self.site = site
        super().__init__(lambda disk: site.ring(disk, self.absent, self.read_only))

    def leave(self, *anchors: str) -> None:
        """Takes anchors away; the moments so far are of a time when they were there."""
        self.absent |= set(anchors)
        self.known = replace(self.known, away=frozenset(self.absent))

    def protect(self, anchor: str) -> None:
        """Makes an anchor read-only; it may be written again whenever the ring is opened anew."""
        self.read_only.add(anchor)
        self.known = replace(self.known, away=self.known.away | {anchor})

    def come_back(self) -> None:
        """Brings all anchors back, to be written as well, and lets the ring catch up."""
        self.absent.clear()
        if self.read_only:  # found out anew at each opening alone
            self.read_only.clear()
            self.ring.open()
        self.ring.catch_up()
        self.known = replace(self.known, away=frozenset())
        self.see()


class WaysChecker(Checker):
    """The checks of the table, with each set of anchors in `away` absent at the reopening.

    More counts: `refused` (openings that lacked a way they may need), `stuck` (a way outstanding
    though all are here and have caught up, or no rotation possible then). `in_turn` takes the sets
    by turns, not all of them, for each state that a stopped recovery left.
    """

    def __init__(
        self,
        site: Site,
        away: Iterable[Collection[str]] = ((),),
        most: int = 64,
        deep: int = 0,
        *,
        in_turn: bool = False,
    ) -> None:
        super().__init__(site.ring, most, deep)
        self._is_in_turn = in_turn
        self.site, self._away = site, [frozenset(each) for each in away]
        self._absent: frozenset[str] = frozenset()
        self._is_of_recovery = False
        self._make: MakeRing = lambda disk: self.open_ring(disk, self._absent)

    @property
    def found(self) -> int:
        return super().found + self.counts["stuck"]

    def open_ring(self, disk: Disk, absent: Collection[str]) -> Ring:
        """Returns a ring that is not open yet."""
        return self.site.ring(disk, absent)

    def catch_up(self, disk: SimulatedDisk) -> Ring:
        """Opens the ring with everybody here, and does what a caller then does."""
        ring = self._make(disk)
        ring.open()
        ring.catch_up()
        return ring

    def _reopen(self, disk: SimulatedDisk, known: Known, deep: int) -> None:
        self._is_of_recovery = deep < self._deep
        super()._reopen(disk, known, deep)

    def _try_to_open(self, disk: SimulatedDisk, known: Known, moments: list[Moment]) -> None:
        for absent in self._away_now():
            fork, here = disk.fork(), replace(known, away=known.away | absent)
            if disk.watch is not None:
                fork.watch = _recorder(moments, here)
            self._absent = absent
            then = self._open_with_some(fork, here, moments)
            self._absent = frozenset()
            self._let_them_come_back(fork.fork(), then, is_whole=known.is_created)

    def _away_now(self) -> list[frozenset[str]]:
        if not (self._is_in_turn and self._is_of_recovery):
            return self._away
        return [self._away[self.counts["states"] % len(self._away)]]

    def _open_with_some(self, disk: SimulatedDisk, known: Known, moments: list[Moment]) -> Known:
        if self._absent:
            try:
                self._make(disk.fork()).open()
            except KeysError:
                if self._may_be_refused(known):
                    self.counts["refused"] += 1
                    return known
        first = len(moments)
        super()._try_to_open(disk, known, moments)
        return moments[-1][1] if len(moments) > first else known

    def _may_be_refused(self, known: Known) -> bool:
        lacking = self.site.names_without(self._absent | known.away) | known.outstanding
        if not known.is_created or self._is_of_recovery:
            return True  # a recovery may have gone on with what only the ways now absent have
        return lacking >= {"+".join(way) for way in self.site.ways}

    def _let_them_come_back(self, disk: SimulatedDisk, known: Known, *, is_whole: bool) -> None:
        """`is_whole`: all anchors had been made; else the caller makes the vault anew."""
        if not known.is_created:
            return
        try:
            ring = self.catch_up(disk)
        except KeysError as error:
            self._note("lost", f"does not catch up: {error}")
            return
        if ring.outstanding and is_whole:
            self._note("stuck", f"outstanding with everybody here: {sorted(ring.outstanding)}")
        try:
            ring.destroy([], b"")
        except KeysError as error:
            self._note("stuck", f"does not rotate: {error}")
            return
        then = self._compare(ring, known).told(ring.outstanding)
        self._look_for_undead(disk, then)


def _recorder(moments: list[Moment], known: Known) -> Watch:
    return lambda disk, *_: moments.append((disk.fork(), known))


class ChangeChecker(WaysChecker):
    """Opens with the old ways, and where they do not open, with the new; then ends the change."""

    def __init__(self, old: Site, new: Site, most: int = 64, deep: int = 0) -> None:
        super().__init__(old, most=most, deep=deep)
        self._new = new

    def open_ring(self, disk: Disk, absent: Collection[str]) -> Ring:
        assert isinstance(disk, SimulatedDisk)
        ring = self.site.ring(disk, absent)
        try:
            self.site.ring(disk.fork(), absent).open()
        except AnchorFailure:
            ring = self._new.ring(disk, absent)
        return ring

    def catch_up(self, disk: SimulatedDisk) -> Ring:
        ring = self._make(disk)
        ring.open()
        if {anchor.name for anchor in ring.anchors} == set(self.site.anchors):
            ring.change_ways(self._new.roots(disk))
        else:
            ring.retire(self.site.roots(disk))
        ring.catch_up()
        return ring


def play(site: Site, scenario: Callable[[WaysWorld], None]) -> WaysWorld:
    """Returns the world after the scenario."""
    world = WaysWorld(site)
    scenario(world)
    return world
