"""The TPM anchor: shares sealed under a counter that only counts up (SPEC section 3.3).

Promises that a share is gone for ever, with every copy of it in any backup, once the counter has
passed its limit; the file beside the TPM holds sealed blobs only, so it may be copied anywhere.
Refuses to count on unless the share to keep still opens afterwards. Each share may be read while
counter <= its limit, and every limit ever given out is higher than the one before:

    write(t+1)   durable: issued = n+1, before a blob with that limit exists anywhere
                 durable: the blob of t+1 with limit n+1, beside that of t with limit n
    wipe(t+1)    the counter goes from n to n+1: t is dead wherever its blob may be
    wipe(t)      after a crash: t is sealed anew with limit n+2, then the counter goes to n+2, so
                 that the abandoned t+1 is dead too
"""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from keys.anchor import Level
from keys.anchor.blobs import MAGIC, Blob, State, encode, parse
from keys.anchor.chip import DEVICE, INDICES, Chip
from keys.durable import Disk, replace_file
from keys.errors import AnchorFailure
from keys.model import Epoch, VaultId
from keys.secret import Secret

_MAX_SIZE = 1 << 16
_REACH = 64
"""How far limits may lie ahead of the counter: two for each crash since the last recovery."""
_DISCRETE = frozenset(
    {"ATML", "BRCM", "IFX", "NSM", "NTC", "NTZ", "SMSC", "SNS", "STM", "TXN", "WEC"}
)
_FIRMWARE = frozenset({"AMD", "INTC", "QCOM"})


class TpmAnchor:
    """Keeps the shares of a vault in the TPM behind `tcti`, their sealed blobs in `path`."""

    name = "tpm"

    def __init__(self, disk: Disk, path: Path, vault: VaultId, tcti: str = DEVICE) -> None:
        self._disk, self._path, self._vault = disk, path, vault
        self._open: Callable[[], Chip] = lambda: Chip(tcti)
        self._held: dict[Blob, Secret] = {}  # live ones only: a chip takes half a second for each

    def shares(self) -> dict[Epoch, Secret]:
        """Returns the shares that the TPM still gives; raises `AnchorFailure` for an old file."""
        state = self._read()
        if not state.blobs:
            return {}
        with self._open() as chip:
            return {
                blob.epoch: self._unsealed(chip, state, blob) for blob in self._live(chip, state)
            }

    def write(self, epoch: Epoch, share: Secret) -> None:
        """Seals the share beside the one there, and opens it again to be sure."""
        with self._open() as chip:
            if self._disk.size(self._path) is None:
                self._make(chip)
            state = self._read()
            if not state.blobs:
                count = chip.make_counter(state.index)
                state = replace(state, issued=max(state.issued, count - 1))
            self._add(chip, state, epoch, share)

    def wipe(self, keep: Epoch) -> None:
        """Counts on until only the share of `keep` opens: this is what no backup undoes."""
        with self._open() as chip:
            state = self._read()
            kept = self._kept(chip, state, keep)
            if kept.limit < state.issued:  # something newer was begun and is to die as well
                with self._unsealed(chip, state, kept) as share:
                    kept = self._add(chip, state, keep, share)
            self._unsealed(chip, state, kept).wipe()
            while self._count(chip, state) < kept.limit:
                chip.increment(state.index)
            self._forget_dead(self._count(chip, state))

    def settle(self) -> None:
        """Syncs the file: a killed process may have left it unsynced. The counter never is."""
        if self._disk.size(self._path) is not None:
            self._disk.sync(self._path)
            self._disk.sync_dir(self._path.parent)

    def level(self) -> Level:
        """Returns A for a TPM whose maker is known to build them, and E for any other."""
        with self._open() as chip:
            return level_of(*chip.maker())

    def _make(self, chip: Chip) -> None:
        # The file goes first: an index without a file would be taken for ever, for nothing.
        self._disk.make_dir(self._path.parent)
        self._disk.sync_dir(self._path.parent.parent)
        start = int.from_bytes(hashlib.sha256(MAGIC + self._vault).digest()[:4], "big")
        turned = (INDICES[(start + n) % len(INDICES)] for n in range(len(INDICES)))
        self._save(State(next(index for index in turned if not chip.defined(index))))

    def _add(self, chip: Chip, state: State, epoch: Epoch, share: Secret) -> Blob:
        live = self._live(chip, state) if state.blobs else ()
        limit = max(state.issued + 1, self._count(chip, state))
        state = replace(state, issued=limit, blobs=live)
        self._save(state)
        blob = Blob(epoch, limit, chip.seal(state.index, limit, share))
        self._save(replace(state, blobs=(*live, blob)))
        self._unsealed(chip, state, self._read().blobs[-1]).wipe()
        return blob

    def _unsealed(self, chip: Chip, state: State, blob: Blob) -> Secret:
        if blob not in self._held:
            self._held[blob] = chip.unseal(state.index, blob.limit, blob.sealed)
        return Secret(self._held[blob])

    def _live(self, chip: Chip, state: State) -> tuple[Blob, ...]:
        count = self._count(chip, state)
        self._forget_dead(count)
        if live := tuple(blob for blob in state.blobs if blob.limit >= count):
            return live
        newest = max(blob.limit for blob in state.blobs)
        raise AnchorFailure(
            f"{self._path} is an old copy: its newest share opened up to count {newest}, and the "
            f"TPM has counted to {count}; put the newest copy of this file back"
        )

    def _forget_dead(self, count: int) -> None:
        for dead in [blob for blob in self._held if blob.limit < count]:
            self._held.pop(dead).wipe()

    def _kept(self, chip: Chip, state: State, keep: Epoch) -> Blob:
        live = self._live(chip, state) if state.blobs else ()
        found = [blob for blob in live if blob.epoch == keep]
        if not found:
            raise AnchorFailure(f"the TPM anchor {self._path} holds no share for epoch {keep}")
        return max(found, key=lambda blob: blob.limit)

    def _count(self, chip: Chip, state: State) -> int:
        count = chip.counter(state.index)
        if count is None:
            raise AnchorFailure(
                f"the counter of {self._path} is not in this TPM: it was cleared, or it is another "
                "machine's; without it no share of this anchor ever opens again"
            )
        if state.issued - count > _REACH:
            raise AnchorFailure(f"{self._path} is damaged; put a copy of its newest version back")
        return count

    def _save(self, state: State) -> None:
        replace_file(self._disk, self._path, encode(self._vault, state))

    def _read(self) -> State:
        try:
            data = bytes(self._disk.read(self._path, 0, _MAX_SIZE))
        except FileNotFoundError:
            raise AnchorFailure(
                f"the TPM anchor's file {self._path} is missing, and without it the TPM gives no "
                "share; put its newest copy back (any copy is harmless)"
            ) from None
        vault, state = parse(data, str(self._path))
        if vault != self._vault:
            raise AnchorFailure(
                f"the TPM anchor {self._path} belongs to another vault ({vault.hex()}), "
                f"expected {self._vault.hex()}"
            )
        return state


def level_of(maker: str, vendor: str) -> Level:
    """Returns the level of a TPM by manufacturer (TCG vendor id) and vendor string.

    A maker that is not listed is taken for a virtual TPM. swtpm writes its state by truncate and
    rename without a sync: the old counter stays in free space and a power cut may bring it back,
    so by the measure of the file anchor that is E, whatever its host may add.
    """
    called = f"{maker} {vendor}".strip()
    if maker in _DISCRETE:
        return Level("A", f"a TPM of its own ({called}): holds while the chip is honest")
    if maker in _FIRMWARE:
        return Level(
            "A",
            f"a TPM in the processor's firmware ({called}): holds while the firmware is honest and "
            "keeps an old image of its flash chip from being put back",
        )
    return Level(
        "E",
        f"a virtual TPM, or one of unknown make ({called}): old files of this machine revive "
        "nothing, but an old copy of the TPM's own state (a snapshot of the virtual machine, the "
        "host's backup or free space) revives everything",
    )
