"""Whoever kept everything opens nothing with a TPM: old vaults, old blobs, a counter made again.

The TPM here is virtual, so what a real one is trusted for is shown as the documented failure: who
puts back the TPM's own state revives.
"""

import os
import shutil
import struct
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from keys.anchor.blobs import parse
from keys.anchor.chip import INDICES, Chip
from keys.anchor.tpm import TpmAnchor
from keys.durable import RealDisk
from keys.errors import AnchorFailure
from keys.model import Epoch
from keys.secret import random_secret
from tests.anchors import images
from tests.anchors.on_tpm import VAULT, anchor, ring_in, tpm, undefine, unsealed, with_tpm
from tests.anchors.software_tpm import SoftwareTpm, fresh_tpm

__all__ = ["anchor", "tpm"]


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
