"""The TPM anchor on a TPM in software: its life, its counter, its levels.

What is dead, what is refused, the file of blobs, and crashes have files of their own beside this.
"""

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from keys.anchor.blobs import parse
from keys.anchor.chip import Chip
from keys.anchor.tpm import TpmAnchor, level_of
from keys.durable import RealDisk
from keys.errors import AnchorFailure
from keys.model import KEY_SIZE, Epoch
from keys.secret import Secret, random_secret
from tests.anchors.on_tpm import VAULT, anchor, ring_in, tpm, with_tpm
from tests.anchors.software_tpm import SoftwareTpm

__all__ = ["anchor", "tpm"]
ALIKE = 24
"""The bytes at the beginning that all shares have in common where they are looked for."""


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
        alike = os.urandom(ALIKE)  # one search finds them all; what tells them apart comes after it
        masks = [bytearray(alike + os.urandom(KEY_SIZE - ALIKE)) for _ in range(8)]
        for epoch, mask in enumerate(masks, 1):
            share = unmasked(mask)
            anchor.write(Epoch(epoch), share)
            anchor.wipe(Epoch(epoch))
            share.wipe()
            assert set(anchor.shares()) == {epoch}
        gc.collect()
        counts = counts_in_memory(masks)
        assert counts[-1] > 0, "the control: the live share is there"
        assert not any(counts[:-1])


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


def unmasked(mask: bytearray) -> Secret:
    return Secret(byte ^ 0x5A for byte in mask)


def counts_in_memory(masks: list[bytearray]) -> list[int]:
    """Returns how often each share is in this process, beside the copies that are looked for."""
    wanted = [unmasked(mask) for mask in masks]
    counts = [-1] * len(wanted)
    for region in _regions():
        at = -1
        while (at := region.find(wanted[0][:ALIKE], at + 1)) >= 0:
            for n, share in enumerate(wanted):
                counts[n] += region.startswith(share, at)
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
