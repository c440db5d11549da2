"""A TPM anchor on a TPM in software, and what its old files still open there.

Nothing is tested here.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from keys.anchor import Anchor
from keys.anchor.blobs import parse
from keys.anchor.chip import Chip
from keys.anchor.tpm import TpmAnchor
from keys.durable import Disk, RealDisk
from keys.model import VaultId
from keys.ring import Ring
from keys.root import Roots
from tests.anchors.software_tpm import SoftwareTpm, fresh_tpm, why_not

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
