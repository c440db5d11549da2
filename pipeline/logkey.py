"""The log's key: which one signs now, and how it is changed (SPEC section 5.5).

Promises that a change is durable in the log before the new key signs anything, and that its
handover, signed by both keys, is there after the next act at the latest. Which key is the current
one is said by the log alone. To sign, ask `signer`: the ring's seed is the seed of no key itself.
"""

from pathlib import Path

from keys import handover
from keys.cosignature import Cosigner
from keys.durable import replace_file
from keys.log import second_signer_of, signer_of
from keys.note import NoteSigner, Signer, VerifierKey
from pipeline.vault import Vault

SUFFIX = ".rekey"


def signer(vault: Vault, generation: int | None = None) -> Signer:
    """Returns the signer of the log, of the current generation or an earlier one."""
    now = len(vault.log.rekeys()) if generation is None else generation
    with vault.ring.signer_seed() as seed:
        return signer_of(vault.id, seed, now)


def signers(vault: Vault) -> list[NoteSigner]:
    """Returns all that sign the log now: its key, and the second one where it has one."""
    second = second_signer(vault)
    return [signer(vault), *([second] if second else [])]


def second_signer(vault: Vault) -> Cosigner | None:
    """Returns the second signer of the log, None where the last change of key named none."""
    known = vault.log.rekeys()
    if not known or not known[-1][1].second:
        return None
    with vault.ring.signer_seed() as seed:
        return second_signer_of(vault.id, seed, len(known))


def keys(vault: Vault) -> tuple[VerifierKey, ...]:
    """Returns every key that the log has had, the current one last."""
    return tuple(signer(vault, n).verifier for n in range(len(vault.log.rekeys()) + 1))


def key_at(vault: Vault, index: int) -> VerifierKey:
    """Returns the key by which a statement that is entry `index` must be signed."""
    return signer(vault, sum(at < index for at, _ in vault.log.rekeys())).verifier


def rotate(vault: Vault, *, ml_dsa: bool = False) -> Path:
    """Changes the log's key, and returns the handover for whoever has the old one.

    With `ml_dsa` a second key signs along from here on; without it none does. The caller holds the
    vault for an act. 1. The log has the `rekey` entry: from here on the new key signs. 2. The
    handover is durable: a crash before leaves it to the next act.
    """
    now = len(vault.log.rekeys())
    old, new = (signer(vault, now + n).verifier for n in range(2))
    with vault.ring.signer_seed() as seed:
        second = second_signer_of(vault.id, seed, now + 1).verifier if ml_dsa else None
    vault.log.rekey(old, new, second)
    return settle(vault)[-1]


def settle(vault: Vault) -> list[Path]:
    """Writes the handovers that are missing, and returns where all of them lie."""
    paths = []
    for generation, (index, entry) in enumerate(vault.log.rekeys(), 1):
        path = vault.receipts / f"{generation}{SUFFIX}"
        paths.append(path)
        if vault.disk.size(path) is None:
            both = signer(vault, generation - 1), signer(vault, generation)
            proof = vault.log.prove(index, *both, size=index + 1)
            replace_file(vault.disk, path, handover.encode(index, entry, proof))
    return paths
