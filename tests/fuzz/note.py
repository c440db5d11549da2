"""Notes, checkpoints, log proofs and verifier keys: each as the text that it may be."""

import json
from collections.abc import Callable, Iterable
from contextlib import suppress

from keys.cosignature import CosignerKey
from keys.errors import KeysError
from keys.note import Checkpoint, LogProof, VerifierKey, open_note
from tests.fuzz.target import VECTORS, Target

PETER = VerifierKey.parse("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")
FORMS: tuple[Callable[[str], str], ...] = (
    lambda text: Checkpoint.parse(text).format(),
    lambda text: LogProof.parse(text).format(),
    lambda text: VerifierKey.parse(text).format(),
    lambda text: CosignerKey.parse(text).format(),
)


def run(data: bytes) -> None:
    text = data.decode("utf-8", "surrogateescape")
    for form in FORMS:
        with suppress(KeysError):
            assert form(text) == text
    opened = open_note(text, [PETER])
    assert text.startswith(opened + "\n")


def seeds() -> Iterable[bytes]:
    for kind in ("checkpoint", "note", "proof", "vkey"):
        found = json.loads((VECTORS / "notes" / f"{kind}.json").read_text(encoding="utf-8"))
        for case in found["cases"]:
            yield case["input"].encode("utf-8", "surrogatepass")[:20_000]
    for number, size in ((4, 32), (6, 1312)):
        yield (
            CosignerKey("witness.example/w", number, bytes(range(1, 33)).ljust(size))
            .format()
            .encode()
        )


TARGET = Target(run, seeds)
