"""Killed at each act on a TPM anchor, a vault loses and revives nothing.

Two broken anchors are the controls.
"""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from keys.anchor import Anchor
from keys.anchor.blobs import State
from keys.anchor.chip import Chip
from keys.anchor.file import FileAnchor
from keys.anchor.tpm import TpmAnchor
from keys.durable import Buffer, RealDisk
from keys.errors import Erased
from keys.model import Epoch, Slot
from keys.ring import Ring
from keys.secret import Secret, random_secret
from tests.anchors.on_tpm import VAULT, anchor, ring_in, tpm, undefine, unsealed, with_tpm
from tests.anchors.software_tpm import SoftwareTpm
from tests.world.adversary import Adversary, RecordingDisk, shares_in

__all__ = ["anchor", "tpm"]


@pytest.fixture
def quick() -> Iterator[Path]:
    """A directory in memory where there is one: no power is cut here, so syncs need not last."""
    memory = Path("/dev/shm")  # noqa: S108  (the directory made in it is private)
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as directory:
        yield Path(directory)


class Stop(BaseException):
    """The process was killed here."""


class Fragile(RecordingDisk):
    """A disk killed before the n-th act on an anchor, be it on its file or in the TPM.

    The acts on the ring's own files have a crash table of their own, on a simulated disk.
    """

    left = 10**9

    def tick(self, path: Path | None = None) -> None:
        if path is None or "anchors" in path.parts:
            self.left -= 1
            if self.left < 0:
                raise Stop

    def write(self, path: Path, offset: int, data: Buffer) -> None:
        self.tick(path)
        super().write(path, offset, data)

    def sync(self, path: Path) -> None:
        self.tick(path)
        super().sync(path)

    def rename(self, source: Path, target: Path) -> None:
        self.tick(target)
        super().rename(source, target)

    def delete(self, path: Path) -> None:
        self.tick(path)
        super().delete(path)


def counted(disk: Fragile) -> type[Chip]:
    class Counted(Chip):
        def increment(self, index: int) -> int:
            disk.tick()
            return super().increment(index)

        def seal(self, index: int, limit: int, share: Secret) -> bytes:
            disk.tick()
            return super().seal(index, limit, share)

    return Counted


WAYS: dict[str, Callable[[Anchor, Anchor], list[list[Anchor]]]] = {
    "tpm": lambda tpm, _: [[tpm]],
    "tpm+file": lambda tpm, file: [[tpm, file]],
    "file+tpm": lambda tpm, file: [[file, tpm]],
    "tpm|file": lambda tpm, file: [[tpm], [file]],
}


@pytest.mark.parametrize("ways", WAYS.values(), ids=WAYS)
class TestCrashes:
    pytestmark = with_tpm

    def test_a_kill_at_each_act_on_an_anchor_loses_and_revives_nothing(
        self, ways: Callable[[Anchor, Anchor], list[list[Anchor]]], tpm: SoftwareTpm, quick: Path
    ) -> None:
        done, n = False, 0
        while not done:
            world = World(tpm, quick / str(n), ways)
            done = world.destroy_killed_before(n)
            world.recovers_and_keeps_the_others()
            world.gives_no_adversary_what_is_erased()
            world.close()
            n += 1
        assert n > 8


class World:
    """A ring of three slots on a TPM and a file anchor; the second slot is to be destroyed."""

    def __init__(
        self,
        tpm: SoftwareTpm,
        base: Path,
        ways: Callable[[Anchor, Anchor], list[list[Anchor]]],
        kind: type[TpmAnchor] = TpmAnchor,
    ) -> None:
        self.tpm, self.base, self.ways, self.kind = tpm, base, ways, kind
        self.path = base / "anchors" / "t.tpm"
        self.disk = Fragile()
        self.ring = self.fresh_ring()
        self.ring.create()
        self.slots = self.ring.allocate(3)
        self.keys = [bytes(self.ring.key(slot)) for slot in self.slots]

    def fresh_ring(self) -> Ring:
        anchor = self.kind(self.disk, self.path, VAULT, self.tpm.tcti)
        anchor._open = lambda: counted(self.disk)(self.tpm.tcti)
        file = FileAnchor(self.disk, self.base / "anchors" / "f", VAULT)
        return ring_in(self.base / "ring", *self.ways(anchor, file), disk=self.disk)

    def destroy_killed_before(self, n: int) -> bool:
        self.disk.left = n
        try:
            self.ring.destroy([self.slots[1]], b"")
        except Stop:
            return False
        finally:
            self.disk.left = 10**9
        return True

    def recovers_and_keeps_the_others(self) -> None:
        self.ring = self.fresh_ring()
        self.ring.open()
        self.ring.catch_up()  # with redundant ways a kill between them leaves one outstanding
        assert not self.ring.outstanding
        for n in (0, 2):
            assert bytes(self.ring.key(self.slots[n])) == self.keys[n]
        if self.ring.is_live(self.slots[1]):  # the intent was not durable yet: it is asked again
            self.ring.destroy([self.slots[1]], b"")
        with pytest.raises(Erased):
            self.ring.key(self.slots[1])

    def found_by_the_adversary(self) -> dict[Slot, set[bytes]]:
        blobs = [data for path, data in self.disk.history if path == self.path]
        now = (self.base / "anchors" / "f").read_bytes() if self._has_file() else b""
        shares = {"tpm": unsealed(self.tpm, blobs), "file": shares_in(now)}
        return Adversary(self.disk.versions(outside=self.base / "anchors"), shares).keys

    def gives_no_adversary_what_is_erased(self) -> None:
        found = self.found_by_the_adversary()
        assert self.keys[1] not in found.get(self.slots[1], set())
        assert self.keys[0] in found[self.slots[0]], "the control: it opens what lives"

    def close(self) -> None:
        undefine(self.tpm, self.path)

    def _has_file(self) -> bool:
        return (self.base / "anchors" / "f").exists()


class OnlyDrops(TpmAnchor):
    """Broken: takes the old blob out of its file, but does not count on."""

    def wipe(self, keep: Epoch) -> None:
        state = self._read()
        kept = tuple(blob for blob in state.blobs if blob.epoch == keep)
        self._save(State(state.index, state.issued, kept))


class ForgetsWhatItIssued(TpmAnchor):
    """Broken: gives the limit of an abandoned share to the next, so that both open together."""

    def wipe(self, keep: Epoch) -> None:
        with self._open() as chip:
            state = self._read()
            kept = self._kept(chip, state, keep)
            while self._count(chip, state) < kept.limit:
                chip.increment(state.index)
            self._save(State(state.index, kept.limit, (kept,)))


class TestControls:
    pytestmark = with_tpm

    def test_an_anchor_that_does_not_count_is_caught(
        self, tpm: SoftwareTpm, tmp_path: Path
    ) -> None:
        world = World(tpm, tmp_path, WAYS["tpm"], OnlyDrops)
        assert world.destroy_killed_before(10**9)
        assert world.keys[1] in world.found_by_the_adversary()[world.slots[1]]
        world.close()

    def test_an_anchor_that_gives_a_limit_twice_is_caught(
        self, tpm: SoftwareTpm, tmp_path: Path
    ) -> None:
        path, abandoned = tmp_path / "anchors" / "t.tpm", random_secret()
        anchor = ForgetsWhatItIssued(RealDisk(), path, VAULT, tpm.tcti)
        anchor.write(Epoch(1), random_secret())
        anchor.write(Epoch(2), abandoned)
        file = path.read_bytes()
        anchor.wipe(Epoch(1))
        anchor.write(Epoch(2), random_secret())
        anchor.wipe(Epoch(2))
        assert bytes(abandoned) in unsealed(tpm, [file])
        undefine(tpm, path)
