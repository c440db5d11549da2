"""The crash table: plays a scenario, stops it at each moment, opens each medium that may be left.

Promises for each state reached that no key is lost, that nothing whose destruction was acknowledged
opens for the adversary, that an erasure is whole or not at all, and that reopening twice changes
nothing. It stops by a power cut (any subset of what was unsynced survives) or by the end of the
process alone (everything survives in the system's cache; a power cut may come later). The rules are
in `Checker`; scenarios and broken protocols are added beside the tests, not here.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from keys.anchor.file import FileAnchor
from keys.durable import Disk
from keys.errors import Erased, KeysError
from keys.model import Epoch, Slot, VaultId
from keys.ring import Ring
from keys.root import Roots
from tests.world.adversary import Adversary, shares_in
from tests.world.disk import Medium, SimulatedDisk, When, is_under

VAULT = VaultId(bytes(range(16)))
BASE = Path("/base")
RING = BASE / "vault" / "ring"
STATE = BASE / "state"
ANCHORS = STATE / "anchors"
ANCHOR = ANCHORS / "share"

MakeRing = Callable[[Disk], Ring]


def make_ring(disk: Disk) -> Ring:
    """Returns the production ring on this disk, not yet opened."""
    return Ring(disk, RING, Roots(VAULT, [[FileAnchor(disk, ANCHOR, VAULT)]]))


def empty_disk() -> SimulatedDisk:
    """Returns a disk with the directories that exist before a vault is made."""
    there = {BASE, *BASE.parents, RING.parent, ANCHORS.parent}
    return SimulatedDisk(Medium(frozenset(there)))


def adversary_of(
    disk: SimulatedDisk,
    medium: Medium,
    without: Collection[str] = (),
    roots: Iterable[bytes] = (),
) -> Adversary:
    """Returns who has all versions of all files but the anchors, and the medium with the anchors.

    Anchors are in directories under `STATE`: "file" in `anchors`, any other in that of its name.
    """
    made = (path for path in medium.origin.values() if is_under(STATE, path))
    homes = {path.relative_to(STATE).parts[0] for path in made}
    shares = {
        "file" if home == ANCHORS.name else home: {
            share for raw in medium.raw(STATE / home) for share in shares_in(raw)
        }
        for home in homes
    }
    for chip, count in medium.counters.items():
        shares[chip.name] = unsealed(disk, chip, count)
    return Adversary(disk.versions(outside=STATE), shares, without=without, roots=roots)


def unsealed(disk: SimulatedDisk, chip: Path, count: int) -> set[bytes]:
    """Returns what a chip at this count gives for any blob ever written to its file."""
    versions = {data for path, data in disk.history if is_under(chip, path)}
    blobs = {blob for data in versions for blob in blobs_in(data)}
    return {share for _, limit, share in blobs if count <= limit}


def blobs_in(data: bytes) -> list[tuple[Epoch, int, bytes]]:
    """Returns epoch, limit and share of each blob in the file of a simulated chip."""
    rows = [line.split() for line in data.decode().splitlines() if line.startswith("blob ")]
    return [(Epoch(int(e)), int(n), bytes.fromhex(share)) for _, e, n, share in rows]


@dataclass(frozen=True, slots=True)
class Known:
    """What the caller was told so far: the model that every state is held against."""

    is_created: bool = False
    live: Mapping[Slot, bytes] = field(default_factory=dict)
    """Slots given out, with their keys, whose destruction was not asked for."""
    asked: Mapping[Slot, bytes] = field(default_factory=dict)
    """Slots whose destruction was asked for and not yet acknowledged."""
    is_intent_durable: bool = False
    dead: Mapping[Slot, bytes] = field(default_factory=dict)
    """Slots whose destruction was acknowledged."""
    owed: Mapping[Slot, frozenset[str]] = field(default_factory=dict)
    """For each dead slot, the ways that may open it, by what the caller was told since."""
    outstanding: frozenset[str] = frozenset()
    """The ways that the caller was last told of."""
    away: frozenset[str] = frozenset()
    """The anchors that are absent from the act under way."""

    def ask(self, slots: Iterable[Slot]) -> "Known":
        """Returns the model after a destruction was asked for."""
        chosen = {slot: self.live[slot] for slot in slots if slot in self.live}
        rest = {slot: key for slot, key in self.live.items() if slot not in chosen}
        return replace(self, live=rest, asked=chosen)

    def acknowledge(self, ring: Ring) -> "Known":
        """Returns the model after what was asked for was acknowledged, with what waits for whom."""
        dead = {**self.dead, **self.asked}
        owing = {slot: frozenset(ring.outstanding_for([slot])) for slot in self.asked}
        owed = {**self.owed, **owing}
        return replace(self, asked={}, is_intent_durable=False, dead=dead, owed=owed)

    def told(self, outstanding: Collection[str]) -> "Known":
        """Returns the model after the caller saw which ways are outstanding now.

        A way that is not has nothing of what is dead by now; what it lacks it never gets back.
        """
        owed = {slot: ways & frozenset(outstanding) for slot, ways in self.owed.items()}
        return replace(self, owed=owed, outstanding=frozenset(outstanding))


Moment = tuple[SimulatedDisk, Known]


class World:
    """Plays acts on a ring, and keeps a copy of disk and model at every moment of them."""

    def __init__(self, make: MakeRing = make_ring) -> None:
        self.disk = empty_disk()
        self.disk.watch = self._keep
        self.ring, self.known = make(self.disk), Known()
        self.moments: list[Moment] = []
        self._is_asking = False

    def create(self) -> None:
        """Makes the ring."""
        self.ring.create()
        self._learn(replace(self.known, is_created=True))

    def allocate(self, number: int, tracked: Iterable[int] | None = None) -> list[Slot]:
        """Allocates slots; the model follows all, or those at the places `tracked`."""
        slots = self.ring.allocate(number)
        followed = slots if tracked is None else [slots[n] for n in tracked]
        keys = {slot: bytes(self.ring.key(slot)) for slot in followed}
        self._learn(replace(self.known, live={**self.known.live, **keys}))
        return slots

    def destroy(self, *slots: Slot) -> None:
        """Destroys slots."""
        self._learn(self.known.ask(slots))
        self._is_asking = True
        self.ring.destroy(slots, b"plan")
        self._learn(self.known.acknowledge(self.ring))

    def see(self) -> None:
        """Looks which ways are outstanding."""
        self._learn(self.known)

    def carry_on(self) -> None:
        """Goes on with the same ring after an act failed, as a program that runs on does."""
        self._is_asking = False
        self.ring.refresh()
        if not any(self.ring.is_live(slot) for slot in self.known.asked):
            self._learn(self.known.acknowledge(self.ring))

    def _learn(self, known: Known) -> None:
        self.known = known.told(self.ring.outstanding)
        self.moments.append((self.disk.fork(), self.known))

    def _keep(self, disk: SimulatedDisk, what: str, _: Path, when: When) -> None:
        if self._is_asking and (what, when) == ("sync", When.AFTER):  # the first of a destroy
            self._is_asking, self.known = False, replace(self.known, is_intent_durable=True)
        self.moments.append((disk.fork(), self.known))


class Checker:
    """Reopens what moments leave and counts what went wrong, in `counts`; `notes` say where.

    Counts: `states` (distinct media reopened), `lost`, `undead`, `half`, `unsteady`, and `sampled`
    (moments of which not every subset was tried). `deep` lets recovery itself be stopped, that
    many times in turn.
    """

    def __init__(self, make: MakeRing = make_ring, most: int = 64, deep: int = 1) -> None:
        self._make, self._most, self._deep = make, most, deep
        self.counts: Counter[str] = Counter()
        self.notes: Counter[str] = Counter()
        self._seen: set[object] = set()

    @property
    def found(self) -> int:
        """The number of violations of any kind."""
        return sum(self.counts[kind] for kind in ("lost", "undead", "half", "unsteady"))

    def check(self, moments: Iterable[Moment]) -> None:
        """Stops at each of the moments, in both ways."""
        for disk, known in moments:
            self._stop(disk, known, self._deep)

    def _stop(self, disk: SimulatedDisk, known: Known, deep: int) -> None:
        if not disk.is_exhaustive(self._most):
            self.counts["sampled"] += 1
        for medium in disk.survivors(self._most, seed=self.counts["states"]):
            self._reopen(SimulatedDisk(medium, disk.history), known, deep)
        if deep:
            self._reopen(disk.fork(), known, deep)

    def _reopen(self, disk: SimulatedDisk, known: Known, deep: int) -> None:
        state = (_image(disk.durable), _image(disk.cached), disk.unsynced, _sum(known), deep)
        if state in self._seen:
            return
        self._seen.add(state)
        self.counts["states"] += 1
        self._look_for_undead(disk, known)
        moments: list[Moment] = []
        if deep:
            disk.watch = lambda now, *_: moments.append((now.fork(), known))
        self._try_to_open(disk, known, moments)
        for moment, then in moments if deep else ():
            self._stop(moment, then, deep - 1)

    def _try_to_open(self, disk: SimulatedDisk, known: Known, moments: list[Moment]) -> None:
        ring = self._make(disk)
        try:
            ring.open()
        except KeysError as error:
            if known.is_created:
                return self._note("lost", f"does not open: {error}")
            ring.create()
        disk.watch = None
        then = self._compare(ring, known).told(ring.outstanding)
        moments.append((disk.fork(), then))
        self._look_for_undead(disk, then)
        self._open_again(disk)
        disk.watch = lambda now, *_: moments.append((now.fork(), then))
        last = _go_on(ring, then)
        moments.append((disk, last))
        return None

    def _compare(self, ring: Ring, known: Known) -> Known:
        """Holds the ring against the model; returns the model after recovery was told."""
        for slot, key in known.live.items():
            if _key(ring, slot) != key:
                self._note("lost", f"slot {slot} of epoch {ring.epoch}")
        for slot in known.dead:
            if _key(ring, slot) is not None:
                self._note("undead", f"slot {slot} opens in the ring")
        alive = {slot for slot, key in known.asked.items() if _key(ring, slot) == key}
        if alive and (known.is_intent_durable or len(alive) < len(known.asked)):
            self._note("half", f"{len(alive)} of {len(known.asked)} slots live")
        then = known if alive else known.acknowledge(ring)
        return replace(then, is_created=True)

    def _look_for_undead(self, disk: SimulatedDisk, known: Known) -> None:
        if not known.dead:
            return
        for owed in {known.owed.get(slot, frozenset()) for slot in known.dead}:
            found = adversary_of(disk, disk.durable, without=owed).keys
            for slot, key in known.dead.items():
                if known.owed.get(slot, frozenset()) == owed and key in found.get(slot, ()):
                    self._note("undead", f"slot {slot} opens for the adversary")

    def _open_again(self, disk: SimulatedDisk) -> None:
        before = disk.cached.files()
        try:
            self._make(disk).open()
        except KeysError as error:
            self._note("unsteady", f"opens once and not again: {error}")
        if disk.cached.files() != before:
            self._note("unsteady", "opening again changes files")

    def _note(self, kind: str, what: str) -> None:
        self.counts[kind] += 1
        self.notes[f"{kind}: {what}"] += 1


def _go_on(ring: Ring, known: Known) -> Known:
    """Gives out one more slot, which must then hold like any other."""
    (slot,) = ring.allocate(1)
    return replace(known, live={**known.live, slot: bytes(ring.key(slot))})


def _key(ring: Ring, slot: Slot) -> bytes | None:
    try:
        return bytes(ring.key(slot))
    except (Erased, KeysError):
        return None


def _image(medium: Medium) -> object:
    raw, counters = tuple(medium.raw(STATE)), frozenset(medium.counters.items())
    return frozenset(medium.files().items()), medium.directories, raw, counters


def _sum(known: Known) -> object:
    owed = frozenset(known.owed.items())
    dead = frozenset(known.dead)
    asked = frozenset(known.asked), known.is_intent_durable
    ways = owed, known.outstanding, known.away
    return known.is_created, frozenset(known.live), asked, dead, ways
