"""The TPM anchor on a TPM in software: lifecycle, crashes everywhere, and whoever kept everything.

The TPM here is virtual, so what a real one is trusted for is shown as the documented failure: who
puts back the TPM's own state revives. All else must be dead: old vaults, old blobs, a counter
undefined and made again. Two broken anchors are the controls.
"""

import gc
import hashlib
import os
import shutil
import struct
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.anchor import Anchor
from keys.anchor.blobs import Blob, State, encode, parse
from keys.anchor.chip import INDICES, Chip
from keys.anchor.file import FileAnchor
from keys.anchor.tpm import TpmAnchor, level_of
from keys.durable import Buffer, Disk, RealDisk
from keys.errors import AnchorFailure, Erased
from keys.model import Epoch, Slot, VaultId
from keys.ring import Ring
from keys.root import Roots
from keys.secret import Secret, random_secret
from tests.anchors import images
from tests.anchors.software_tpm import SoftwareTpm, fresh_tpm, why_not
from tests.world.adversary import Adversary, RecordingDisk, shares_in

VAULT = VaultId(b"t" * 16)
with_tpm = [pytest.mark.anchors, pytest.mark.skipif(why_not() is not None, reason=str(why_not()))]


@pytest.fixture(scope="module")
def tpm() -> Iterator[SoftwareTpm]:
    with fresh_tpm() as tpm:
        yield tpm


@pytest.fixture
def anchor(tpm: SoftwareTpm, tmp_path: Path) -> Iterator[TpmAnchor]:
    yield TpmAnchor(RealDisk(), tmp_path / "anchors" / "t.tpm", VAULT, tpm.tcti)
    undefine(tpm, tmp_path / "anchors" / "t.tpm")


@pytest.fixture
def quick() -> Iterator[Path]:
    """A directory in memory where there is one: no power is cut here, so syncs need not last."""
    memory = Path("/dev/shm")  # noqa: S108  (the directory made in it is private)
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as directory:
        yield Path(directory)


def undefine(tpm: SoftwareTpm, path: Path) -> None:
    if path.exists():
        index = parse(path.read_bytes(), "")[1].index
        with Chip(tpm.tcti) as chip:
            if chip.defined(index):
                chip._esys.nv_undefine_space(chip._esys.tr_from_tpmpublic(index))


def ring_in(directory: Path, *ways: list[Anchor], disk: Disk | None = None) -> Ring:
    return Ring(disk or RealDisk(), directory, Roots(VAULT, ways))


def unsealed(tpm: SoftwareTpm, files: list[bytes]) -> set[bytes]:
    """Every share that the TPM gives now for any blob of these versions of the anchor's file."""
    states = {state for data in files for _, state in [parse(data, "")]}
    found = set()
    with Chip(tpm.tcti) as chip:
        for index, blob in {(state.index, blob) for state in states for blob in state.blobs}:
            count = chip.counter(index)
            if count is not None and count <= blob.limit:
                found.add(bytes(chip.unseal(index, blob.limit, blob.sealed)))
    return found


class TestLifecycle:
    pytestmark = with_tpm

    def test_a_ring_lives_and_forgets(self, anchor: TpmAnchor, tmp_path: Path) -> None:
        ring = ring_in(tmp_path / "ring", [anchor])
        ring.create()
        slots = ring.allocate(5)
        key = bytes(ring.key(slots[0]))
        for slot in slots[1:4]:
            ring.destroy([slot], b"")
        again = ring_in(tmp_path / "ring", [anchor])
        again.open()
        assert bytes(again.key(slots[0])) == key
        assert [again.is_live(slot) for slot in slots] == [True, False, False, False, True]
        assert set(anchor.shares()) == {again.epoch}

    def test_another_object_reads_what_one_wrote(
        self, anchor: TpmAnchor, tpm: SoftwareTpm, tmp_path: Path
    ) -> None:
        share = random_secret()
        anchor.write(Epoch(1), share)
        anchor.write(Epoch(2), random_secret())
        other = TpmAnchor(RealDisk(), tmp_path / "anchors" / "t.tpm", VAULT, tpm.tcti)
        assert other.shares() == anchor.shares()
        other.wipe(Epoch(2))
        assert set(anchor.shares()) == {Epoch(2)}  # and what it held in memory is gone with it

    def test_each_erasure_counts_on_by_one(
        self, anchor: TpmAnchor, tpm: SoftwareTpm, tmp_path: Path
    ) -> None:
        ring = ring_in(tmp_path / "ring", [anchor])
        ring.create()
        _, state = parse((tmp_path / "anchors" / "t.tpm").read_bytes(), "")
        with Chip(tpm.tcti) as chip:
            before = chip.counter(state.index)
        for slot in ring.allocate(3):
            ring.destroy([slot], b"")
            ring.open()
        with Chip(tpm.tcti) as chip:
            assert before is not None
            assert chip.counter(state.index) == before + 3

    def test_nothing_stays_loaded_in_the_tpm(self, anchor: TpmAnchor, tpm: SoftwareTpm) -> None:
        anchor.write(Epoch(1), random_secret())
        for epoch in range(2, 8):
            anchor.write(Epoch(epoch), random_secret())
            anchor.wipe(Epoch(epoch))
        with Chip(tpm.tcti) as chip:
            for first in (0x80000000, 0x02000000, 0x03000000):  # objects, sessions loaded and saved
                assert handles(chip, first) == []

    def test_no_wiped_share_stays_in_memory(self, anchor: TpmAnchor) -> None:
        masks = []
        for epoch in range(1, 9):
            share = random_secret()
            masks.append(bytearray(byte ^ 0x5A for byte in share))
            anchor.write(Epoch(epoch), share)
            anchor.wipe(Epoch(epoch))
            share.wipe()
            assert set(anchor.shares()) == {epoch}
        gc.collect()
        counts = counts_in_memory(masks)
        assert counts[-1] > 0, "the control: the live share is there"
        assert not any(counts[:-1])


class TestWhatIsDead:
    pytestmark = with_tpm

    def test_an_old_vault_and_old_blob_revive_nothing(
        self, anchor: TpmAnchor, tpm: SoftwareTpm, tmp_path: Path
    ) -> None:
        ring = ring_in(tmp_path / "ring", [anchor])
        ring.create()
        slots = ring.allocate(3)
        key = bytes(ring.key(slots[1]))
        old = tmp_path / "old"
        for name in ("ring", "anchors"):
            shutil.copytree(tmp_path / name, old / name)
        blobs = [(old / "anchors" / "t.tpm").read_bytes()]
        copy = TpmAnchor(RealDisk(), old / "anchors" / "t.tpm", VAULT, tpm.tcti)
        revived = ring_in(old / "ring", [copy])
        revived.open()
        assert bytes(revived.key(slots[1])) == key, "the control: before the erasure a copy opens"

        ring.destroy([slots[1]], b"")
        with pytest.raises(AnchorFailure, match="is an old copy"):
            ring_in(old / "ring", [copy]).open()
        with pytest.raises(AnchorFailure, match="is an old copy"):
            copy.write(Epoch(9), random_secret())
        assert unsealed(tpm, blobs) == set()
        _, state = parse(blobs[0], "")
        with Chip(tpm.tcti) as chip, pytest.raises(AnchorFailure, match="moved on"):
            chip.unseal(state.index, state.blobs[-1].limit, state.blobs[-1].sealed)
        with Chip(tpm.tcti) as chip, pytest.raises(AnchorFailure, match="moved on"):
            chip.unseal(state.index, 1 << 60, state.blobs[-1].sealed)  # another limit is no policy

    def test_an_abandoned_share_is_dead_as_well(
        self, anchor: TpmAnchor, tpm: SoftwareTpm, tmp_path: Path
    ) -> None:
        kept, abandoned = random_secret(), random_secret()
        anchor.write(Epoch(1), kept)
        anchor.write(Epoch(2), abandoned)
        file = (tmp_path / "anchors" / "t.tpm").read_bytes()
        assert bytes(abandoned) in unsealed(tpm, [file])
        anchor.wipe(Epoch(1))
        assert anchor.shares() == {Epoch(1): kept}
        assert unsealed(tpm, [file]) == set()

    def test_a_counter_made_again_does_not_go_back(
        self, anchor: TpmAnchor, tpm: SoftwareTpm, tmp_path: Path
    ) -> None:
        path = tmp_path / "anchors" / "t.tpm"
        anchor.write(Epoch(1), random_secret())
        old = path.read_bytes()
        for epoch in (2, 3):
            anchor.write(Epoch(epoch), random_secret())
            anchor.wipe(Epoch(epoch))
        index = parse(old, "")[1].index
        with Chip(tpm.tcti) as chip:
            before = chip.counter(index)
        undefine(tpm, path)
        with pytest.raises(AnchorFailure, match="not in this TPM"):
            anchor.shares()
        with Chip(tpm.tcti) as chip:
            assert before is not None
            assert chip.make_counter(index) > before
        assert unsealed(tpm, [old]) == set()

    def test_an_index_that_is_set_to_the_old_count_is_no_counter(
        self, anchor: TpmAnchor, tpm: SoftwareTpm, tmp_path: Path
    ) -> None:
        path = tmp_path / "anchors" / "t.tpm"
        anchor.write(Epoch(1), random_secret())
        _, state = parse(path.read_bytes(), "")
        undefine(tpm, path)
        with Chip(tpm.tcti) as chip:
            define_ordinary(chip, state.index, struct.pack(">Q", state.blobs[0].limit))
            with pytest.raises(AnchorFailure, match="not a counter"):
                chip.counter(state.index)
            with pytest.raises(AnchorFailure, match="moved on"):
                chip.unseal(state.index, state.blobs[0].limit, state.blobs[0].sealed)

    def test_documented_failure_the_tpms_own_old_state_revives(self, tmp_path: Path) -> None:
        """What level A rests on, and why a virtual TPM has not got it."""
        with fresh_tpm() as tpm:
            anchor = TpmAnchor(RealDisk(), tmp_path / "anchors" / "t.tpm", VAULT, tpm.tcti)
            ring = ring_in(tmp_path / "ring", [anchor])
            ring.create()
            slot = ring.allocate(1)[0]
            key = bytes(ring.key(slot))
            shutil.copytree(tmp_path, tmp_path / "old")
            shutil.copytree(tpm.state, tmp_path / "old state")
            ring.destroy([slot], b"")
            tpm.__exit__()
            shutil.rmtree(tpm.state)
            shutil.copytree(tmp_path / "old state", tpm.state)
            with tpm:
                path = tmp_path / "old" / "anchors" / "t.tpm"
                old = TpmAnchor(RealDisk(), path, VAULT, tpm.tcti)
                revived = ring_in(tmp_path / "old" / "ring", [old])
                revived.open()
                assert bytes(revived.key(slot)) == key
            tpm.__enter__()

    def test_why_a_software_tpm_is_e_its_old_state_stays_on_the_medium(
        self, tmp_path: Path
    ) -> None:
        """By the measure that makes a renamed file E; and a power cut takes its counter back."""
        if reason := images.why_not("ext4"):
            pytest.skip(reason)
        image = images.Image(tmp_path, "ext4")
        with image.mounted(",commit=300") as point, short_directory() as sockets:
            with SoftwareTpm(sockets, point) as tpm, Chip(tpm.tcti) as chip:
                counts, states = [chip.make_counter(INDICES[0])], [state_of(tpm)]
                for _ in range(10):
                    os.sync()
                    counts.append(chip.increment(INDICES[0]))
                    states.append(state_of(tpm))
            images.cut_power(point)
        assert image.found(states[:-1])
        with (
            image.mounted() as point,
            short_directory() as sockets,
            SoftwareTpm(sockets, point) as tpm,
            Chip(tpm.tcti) as chip,
        ):
            assert chip.counter(INDICES[0]) == counts[-2]


@contextmanager
def short_directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="tpm-") as directory:
        yield Path(directory)


def state_of(tpm: SoftwareTpm) -> bytes:
    return (tpm.state / "tpm2-00.permall").read_bytes()


class TestRefusals:
    pytestmark = with_tpm

    def test_a_lost_file_says_which_copy_to_put_back(self, anchor: TpmAnchor) -> None:
        with pytest.raises(AnchorFailure, match="newest copy back"):
            anchor.shares()

    def test_a_wipe_that_would_keep_nothing_counts_nothing(self, anchor: TpmAnchor) -> None:
        share = random_secret()
        anchor.write(Epoch(1), share)
        with pytest.raises(AnchorFailure, match="no share for epoch 2"):
            anchor.wipe(Epoch(2))
        assert anchor.shares() == {Epoch(1): share}

    def test_another_vaults_file(self, anchor: TpmAnchor, tpm: SoftwareTpm, tmp_path: Path) -> None:
        anchor.write(Epoch(1), random_secret())
        path = tmp_path / "anchors" / "t.tpm"
        with pytest.raises(AnchorFailure, match="another vault"):
            TpmAnchor(RealDisk(), path, VaultId(b"o" * 16), tpm.tcti).shares()

    def test_a_cleared_or_foreign_tpm(self, anchor: TpmAnchor, tmp_path: Path) -> None:
        anchor.write(Epoch(1), random_secret())
        path = tmp_path / "anchors" / "t.tpm"
        with fresh_tpm() as other:
            with pytest.raises(AnchorFailure, match="not in this TPM"):
                TpmAnchor(RealDisk(), path, VAULT, other.tcti).shares()
            _, state = parse(path.read_bytes(), "")
            with Chip(other.tcti) as chip:
                chip.make_counter(state.index)
                with pytest.raises(AnchorFailure, match="another TPM's"):
                    chip.unseal(state.index, state.blobs[0].limit, state.blobs[0].sealed)

    def test_no_tpm_there(self, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        absent = TpmAnchor(RealDisk(), tmp_path / "t.tpm", VAULT, f"swtpm:path={tmp_path}/none")
        with pytest.raises(AnchorFailure, match="did not open"):
            absent.write(Epoch(1), random_secret())
        assert not (tmp_path / "t.tpm").exists()
        assert capfd.readouterr() == ("", ""), "the library below keeps quiet"

    def test_two_vaults_get_two_counters(self, tpm: SoftwareTpm, tmp_path: Path) -> None:
        first = next(iter(INDICES))
        with Chip(tpm.tcti) as chip:
            assert not chip.defined(first)
        for n in range(2):
            vault = VaultId(bytes([n]) * 16)
            anchor = TpmAnchor(RealDisk(), tmp_path / "anchors" / f"{n}", vault, tpm.tcti)
            anchor.write(Epoch(1), random_secret())
        paths = [tmp_path / "anchors" / f"{n}" for n in range(2)]
        assert len({parse(path.read_bytes(), "")[1].index for path in paths}) == 2
        for path in paths:
            undefine(tpm, path)

    def test_a_taken_index_is_left_alone(
        self, anchor: TpmAnchor, tpm: SoftwareTpm, tmp_path: Path
    ) -> None:
        path = tmp_path / "anchors" / "t.tpm"
        anchor.write(Epoch(1), random_secret())
        first = path.read_bytes()
        second = TpmAnchor(RealDisk(), tmp_path / "anchors" / "second", VAULT, tpm.tcti)
        second.write(Epoch(1), random_secret())
        assert parse((tmp_path / "anchors" / "second").read_bytes(), "")[1].index == (
            parse(first, "")[1].index + 1
        )
        undefine(tpm, tmp_path / "anchors" / "second")

    def test_the_level_of_a_software_tpm_is_e(self, anchor: TpmAnchor) -> None:
        level = anchor.level()
        assert level.letter == "E"
        assert "virtual" in level.rests_on


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


class TestFile:
    """The file of blobs, which needs no TPM."""

    STATE = State(INDICES[5], 9, (Blob(Epoch(3), 8, b"abc"), Blob(Epoch(4), 9, b"")))

    def test_what_is_encoded_parses(self) -> None:
        assert parse(encode(VAULT, self.STATE), "") == (VAULT, self.STATE)

    @given(st.integers(0, len(encode(VAULT, STATE)) - 1), st.integers(1, 255))
    def test_any_changed_byte_is_refused(self, at: int, change: int) -> None:
        data = bytearray(encode(VAULT, self.STATE))
        data[at] ^= change
        with pytest.raises(AnchorFailure):
            parse(bytes(data), "")

    @given(st.binary(max_size=200))
    def test_any_other_content_is_refused_whatever_its_checksum(self, body: bytes) -> None:
        whole = encode(VAULT, self.STATE)[:-32] + body
        for data in (body, body + hashlib.sha256(body).digest(), whole):
            try:
                vault, state = parse(data, "")
            except AnchorFailure:
                continue
            assert encode(vault, state) == data

    def test_a_file_with_a_limit_out_of_reach_is_refused_before_it_counts(
        self, tmp_path: Path
    ) -> None:
        class Still:
            def counter(self, _: int) -> int:
                return 8

        anchor = TpmAnchor(RealDisk(), tmp_path / "t.tpm", VAULT)
        with pytest.raises(AnchorFailure, match="damaged"):
            anchor._count(Still(), State(INDICES[5], 10**6))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("maker", "vendor", "letter"),
    [
        ("IFX", "SLB9672", "A"),
        ("STM", "", "A"),
        ("NTC", "rls NPCT", "A"),
        ("INTC", "Intel", "A"),
        ("AMD", "AMD", "A"),
        ("IBM", "SW   TPM", "E"),
        ("MSFT", "xCG fTPM", "E"),
        ("VMW", "VMware TPM", "E"),
        ("GOOG", "vTPM", "E"),
        ("", "", "E"),
    ],
)
def test_levels_by_maker(maker: str, vendor: str, letter: str) -> None:
    assert level_of(maker, vendor).letter == letter


def test_without_the_extra_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("keys.anchor.chip.tss", None)
    with pytest.raises(AnchorFailure, match=r"anechoic\[tpm\]"):
        TpmAnchor(RealDisk(), tmp_path / "t.tpm", VAULT).write(Epoch(1), random_secret())


def handles(chip: Chip, first: int) -> list[int]:
    from tpm2_pytss.constants import TPM2_CAP

    _, found = chip._esys.get_capability(TPM2_CAP.HANDLES, first, 20)
    listed = found.data.handles
    return [int(listed[n]) for n in range(len(listed)) if int(listed[n]) >> 24 == first >> 24]


def define_ordinary(chip: Chip, index: int, content: bytes) -> None:
    """Someone else's index at the counter's handle, which may be written at will."""
    from tpm2_pytss import types as t
    from tpm2_pytss.constants import TPM2_ALG, TPMA_NV

    public = t.TPMS_NV_PUBLIC(
        nvIndex=index,
        nameAlg=TPM2_ALG.SHA256,
        attributes=TPMA_NV.AUTHREAD | TPMA_NV.AUTHWRITE | TPMA_NV.NO_DA,
        dataSize=len(content),
    )
    handle = chip._esys.nv_define_space(None, t.TPM2B_NV_PUBLIC(nvPublic=public))
    chip._esys.nv_write(handle, content)


def counts_in_memory(masks: list[bytearray]) -> list[int]:
    """Returns how often each share is in this process, beside the copies that are looked for."""
    wanted = [Secret(byte ^ 0x5A for byte in mask) for mask in masks]
    counts = [-1] * len(wanted)
    for region in _regions():
        for n, share in enumerate(wanted):
            counts[n] += region.count(share)
    return counts


def _regions() -> Iterator[Secret]:
    """Yields a copy of each writable region of this process, such as the heap; wiped after use."""
    memory = os.open("/proc/self/mem", os.O_RDONLY)
    for line in Path("/proc/self/maps").read_text().splitlines():
        span, rights, *_ = line.split()
        start, end = (int(edge, 16) for edge in span.split("-"))
        if rights.startswith("rw") and "[v" not in line:
            with Secret(end - start) as content:
                os.preadv(memory, [content], start)
                yield content
    os.close(memory)
