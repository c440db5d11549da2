"""What a TPM anchor refuses, and what it then says: lost files, foreign TPMs, taken indices."""

from pathlib import Path

import pytest

from keys.anchor.blobs import parse
from keys.anchor.chip import INDICES, Chip
from keys.anchor.tpm import TpmAnchor
from keys.durable import RealDisk
from keys.errors import AnchorFailure
from keys.model import Epoch, VaultId
from keys.secret import random_secret
from tests.anchors.on_tpm import VAULT, anchor, tpm, undefine, with_tpm
from tests.anchors.software_tpm import SoftwareTpm, fresh_tpm

__all__ = ["anchor", "tpm"]


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
