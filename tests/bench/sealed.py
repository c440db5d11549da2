"""Sealing and opening beside bare AES-256-GCM on chunks of the same size.

Run: `.venv/bin/python -m tests.bench.sealed`. 64 MiB in memory, the best of nine turns each;
compare the ratios.
"""

import os
import time
from collections.abc import Callable

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from keys.model import ArtefactId, InteractionId, Label, Slot, VaultId
from keys.sealed import Opener, Sealer, pad_padme
from keys.secret import TAG_SIZE, Secret, random_secret

SIZE = 64 << 20
ROUNDS = 9

Act = Callable[[], None]


def bare(log2: int, content: memoryview) -> tuple[Act, Act]:
    """Returns the acts of sealing and opening every chunk with AES-GCM alone, nothing else."""
    cipher, nonce, size = AESGCM(os.urandom(32)), bytes(12), 1 << log2
    sealed = memoryview(bytearray((size + TAG_SIZE) * (SIZE // size)))
    out, plain = bytearray(size + TAG_SIZE), Secret(size)
    starts = range(0, SIZE, size)
    for n, at in enumerate(starts):
        place = sealed[n * (size + TAG_SIZE) : (n + 1) * (size + TAG_SIZE)]
        cipher.encrypt_into(nonce, content[at : at + size], None, place)

    def seal() -> None:
        for at in starts:
            cipher.encrypt_into(nonce, content[at : at + size], None, out)

    def open_all() -> None:
        for at in range(0, len(sealed), size + TAG_SIZE):
            cipher.decrypt_into(nonce, sealed[at : at + size + TAG_SIZE], None, plain)

    return seal, open_all


def ours(log2: int, content: memoryview) -> tuple[Act, Act]:
    """Returns the acts of sealing in pieces of a chunk, and of opening into one buffer."""
    ids = VaultId(bytes(16)), InteractionId(bytes(16)), ArtefactId(bytes(16))
    label, key, salt = Label(*ids, "audio", Slot(1)), random_secret(), os.urandom(24)
    size = 1 << log2
    sealer = Sealer(key, label, salt, pad_padme, log2)
    sealed = sealer.header.encode() + sealer.update(content) + sealer.finish()
    view, plain = memoryview(sealed), memoryview(Secret(size))

    def seal() -> None:
        sealer = Sealer(key, label, salt, pad_padme, log2)
        for at in range(0, SIZE, size):
            sealer.update(content[at : at + size])
        sealer.finish()

    def open_all() -> None:
        opener = Opener(key, lambda offset, length: view[offset : offset + length], len(sealed))
        for at in range(0, opener.length, size):
            opener.read_into(at, plain)

    return seal, open_all


def best_s(acts: tuple[Act, Act]) -> tuple[float, float]:
    """Returns the shortest of `ROUNDS` times of two acts, taken in turns."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(ROUNDS):
        for act, taken in zip(acts, times, strict=True):
            start = time.perf_counter()
            act()
            taken.append(time.perf_counter() - start)
    return min(times[0]), min(times[1])


def main() -> None:
    """Prints the table."""
    content = memoryview(os.urandom(SIZE))
    print(f"{'chunk':>8}{'':12}{'bare, GB/s':>12}{'ours, GB/s':>12}{'ratio':>8}")
    for log2 in (14, 16):
        acts = zip(bare(log2, content), ours(log2, content), strict=True)
        for name, pair in zip(("seal", "open"), acts, strict=True):
            alone, mine = best_s(pair)
            speeds = f"{SIZE / alone / 1e9:12.2f}{SIZE / mine / 1e9:12.2f}{alone / mine:8.2f}"
            print(f"{1 << log2:8}  {name:10}{speeds}")


if __name__ == "__main__":
    main()
