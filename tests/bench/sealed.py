"""Sealing and opening beside bare AES-256-GCM on chunks of the same size.

Run: `.venv/bin/python -m tests.bench.sealed`. 64 MiB in memory, best of five; compare the ratios.
"""

import os
import time
from collections.abc import Callable

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from keys.model import ArtefactId, InteractionId, Label, Slot, VaultId
from keys.sealed import HEADER_SIZE, Opener, Sealer, pad_padme
from keys.secret import TAG_SIZE, Secret, random_secret

SIZE = 64 << 20
ROUNDS = 5


def best_s(act: Callable[[], object]) -> float:
    """Returns the shortest of `ROUNDS` times."""
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        act()
        times.append(time.perf_counter() - start)
    return min(times)


def bare(chunk: int, content: memoryview, *, seal: bool) -> float:
    """Returns the time of AES-GCM alone, each chunk from its buffer into one other buffer."""
    cipher, nonce = AESGCM(os.urandom(32)), bytes(12)
    sealed, plain = bytearray(chunk + TAG_SIZE), Secret(chunk)
    cipher.encrypt_into(nonce, content[:chunk], None, sealed)
    if seal:
        starts = range(0, SIZE, chunk)
        return best_s(
            lambda: [cipher.encrypt_into(nonce, content[at : at + chunk], None, sealed) for at in starts]
        )
    return best_s(lambda: [cipher.decrypt_into(nonce, sealed, None, plain) for _ in range(SIZE // chunk)])


def ours(log2: int, content: memoryview) -> tuple[float, float]:
    """Returns the times of sealing in pieces of a chunk, and of opening chunk by chunk."""
    ids = VaultId(bytes(16)), InteractionId(bytes(16)), ArtefactId(bytes(16))
    label, key, salt = Label(*ids, "audio", Slot(1)), random_secret(), os.urandom(24)
    sealed = bytearray()

    def seal() -> None:
        sealer = Sealer(key, label, salt, pad_padme, log2)
        for at in range(0, SIZE, 1 << log2):
            sealer.update(content[at : at + (1 << log2)])
        sealer.finish()

    sealer = Sealer(key, label, salt, pad_padme, log2)
    sealed += sealer.header.encode() + sealer.update(content) + sealer.finish()
    view = memoryview(sealed)

    def open_all() -> None:
        opener = Opener(key, lambda offset, size: bytes(view[offset : offset + size]), len(sealed))
        for chunk in opener:
            chunk.wipe()

    assert len(sealed) > SIZE + HEADER_SIZE
    return best_s(seal), best_s(open_all)


def main() -> None:
    """Prints the table."""
    content = memoryview(os.urandom(SIZE))
    print(f"{'chunk':>8}{'':12}{'bare, GB/s':>12}{'ours, GB/s':>12}{'ratio':>8}")
    for log2 in (14, 16):
        sealing, opening = ours(log2, content)
        for name, alone, mine in (
            ("seal", bare(1 << log2, content, seal=True), sealing),
            ("open", bare(1 << log2, content, seal=False), opening),
        ):
            speeds = f"{SIZE / alone / 1e9:12.2f}{SIZE / mine / 1e9:12.2f}{alone / mine:8.2f}"
            print(f"{1 << log2:8}  {name:10}{speeds}")


if __name__ == "__main__":
    main()
