"""The file of a TPM anchor, which needs no TPM."""

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.anchor.blobs import Blob, State, encode, parse
from keys.anchor.chip import INDICES
from keys.anchor.tpm import TpmAnchor
from keys.durable import RealDisk
from keys.errors import AnchorFailure
from keys.model import Epoch
from tests.anchors.on_tpm import VAULT, anchor

__all__ = ["anchor"]


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
