"""A recording: the sound of an interaction under way, sealed in segments while it is spoken.

Promises that what was spoken is sealed and durable once a second, under the interaction's own audio
key, and that a recording whose process is alive is never taken for one that was left behind. A key
that is destroyed meanwhile ends it with `Erased`. Nothing here decides what becomes of a recording:
`write` finishes, cancels and recovers them.
"""

import contextlib
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from keys.errors import Busy, Malformed, Tampered
from keys.lock import locked
from keys.model import ID_SIZE, ArtefactId, InteractionId, Slot
from keys.secret import Secret
from keys.segments import Recovery, SegmentWriter, Series, remove_series, series_in
from pipeline.artefact import Meta
from pipeline.model import RATE_HZ
from pipeline.vault import Vault

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SEGMENT_S = 0.8
"""A segment is cut when it holds so much: with blocks and sync on top it stays below a second."""
_LINE_END = b"\n"
_HOLD = ".lock"
_SAMPLE = 2

Turn = Callable[[], contextlib.AbstractContextManager[None]]
"""Holds the vault for a moment, with its ring as it is now; raises `Busy` rather than wait."""


class Recording:
    """An interaction that is being spoken; made by `write.begin`, ended by `write`."""

    def __init__(
        self,
        vault: Vault,
        interaction: InteractionId,
        slots: tuple[Slot, Slot],
        hold: contextlib.ExitStack,
    ) -> None:
        self.interaction, self.slots = interaction, slots
        self._vault, self._hold = vault, hold
        self._key = vault.ring.key(slots[0])
        self._turn: Turn | None = None
        artefact = ArtefactId(secrets.token_bytes(ID_SIZE))
        series = Series(vault.id, interaction, artefact, slots[0])
        self._writer = SegmentWriter(vault.disk, mark_of(vault, interaction), self._ask, series)
        self._uncut = 0

    def start(self, meta: Meta, turn: Turn) -> None:
        """Writes what is known of the interaction so far: a recovery has nothing else to go by."""
        self._turn = turn
        self._writer.write(meta.encode() + _LINE_END)

    def add(self, pcm: "NDArray[np.int16]") -> None:
        """Seals the next sound; raises `Erased` when it was forgotten, `StateUnknown`."""
        self._writer.write(pcm.astype("<i2").tobytes())
        self._uncut += len(pcm)
        if self._uncut >= SEGMENT_S * RATE_HZ:
            self._writer.cut()
            self._uncut = 0

    def release(self) -> None:
        """Lets go of it: from here on it is one that was left behind, unless it was ended."""
        self._key.wipe()
        self._hold.close()

    def _ask(self) -> Secret:
        """Returns the key as the ring has it now; while others hold the vault, as it had it last.

        So a forgotten utterance ends within a second of the erasure, and an audit that takes its
        time in another process costs no sound.
        """
        if self._turn is not None:
            with contextlib.suppress(Busy), self._turn():
                self._key.wipe()
                self._key = self._vault.ring.key(self.slots[0])
        return Secret(self._key)


def mark_of(vault: Vault, interaction: InteractionId) -> Path:
    """Returns the directory that marks an interaction as half-made, with what there is of it."""
    return vault.capture / interaction.hex()


def hold(vault: Vault, interaction: InteractionId) -> contextlib.ExitStack:
    """Shows other processes that this one records; the system takes it back when it ends."""
    vault.capture.mkdir(parents=True, exist_ok=True)  # the lock is the system's: never simulated
    path, stack = vault.capture / (interaction.hex() + _HOLD), contextlib.ExitStack()
    stack.callback(_clear_away, path)
    stack.enter_context(locked(path, wait_s=0))
    return stack


def _clear_away(path: Path) -> None:
    """Deletes a lock's file if it can be: on a disk that fails, the error to be told came before.

    One that stays is cleared away by `held`: nobody holds it.
    """
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)


def held(vault: Vault) -> set[InteractionId]:
    """Returns what living processes record; clears away what dead ones have left of that.

    Expects the vault's lock, without which nobody begins to hold anything.
    """
    found = set()
    for path in vault.capture.glob("*" + _HOLD):
        try:
            with locked(path, wait_s=0):
                pass
        except Busy:
            found.add(InteractionId(bytes.fromhex(path.stem)))
        else:
            path.unlink(missing_ok=True)
    return found


def names_held(vault: Vault) -> set[str]:
    """Returns the names in `capture/` that belong to what living processes record."""
    return {name for it in held(vault) for name in (it.hex(), it.hex() + _HOLD)}


def segment_files(vault: Vault, interaction: InteractionId) -> list[str]:
    """Returns the names of all segments beside the mark."""
    mark = mark_of(vault, interaction)
    starts = tuple(
        f"{interaction.hex()}.{artefact.hex()}."
        for artefact in series_in(vault.disk, mark, interaction)
    )
    return [name for name in vault.disk.names(mark) if name.startswith(starts)]


def remove_segments(vault: Vault, interaction: InteractionId) -> None:
    """Deletes all segments beside the mark, durable on return."""
    mark = mark_of(vault, interaction)
    for artefact in series_in(vault.disk, mark, interaction):
        remove_series(vault.disk, mark, Series(vault.id, interaction, artefact, Slot(0)))


def meta_so_far(vault: Vault, interaction: InteractionId) -> Meta | None:
    """Returns what is known of a recording under way, None where none of it is sealed yet.

    Reads as far as that only; what was spoken with it is wiped.
    """
    created = vault.created(interaction)
    if created is None:
        return None
    content = bytearray()
    try:
        for piece in _pieces(vault, interaction, Slot(created.slots[0][0])):
            content += piece
            piece.wipe()
            line, end, _ = content.partition(_LINE_END)
            if end:
                return Meta.decode(line)
        return None
    finally:
        content[:] = bytes(len(content))


def recovered(vault: Vault, interaction: InteractionId, audio: Slot) -> "tuple[Meta, bytes] | None":
    """Returns what was known and spoken before a recording broke off; None where that is nothing.

    The samples are bytes (int16, little-endian). What comes after damage is not given out.
    """
    content = bytearray()
    for piece in _pieces(vault, interaction, audio):
        content += piece
        piece.wipe()
    line, end, sound = content.partition(_LINE_END)
    whole = bytes(sound[: len(sound) - len(sound) % _SAMPLE])
    return (Meta.decode(line), whole) if end and whole else None


def _pieces(vault: Vault, interaction: InteractionId, audio: Slot) -> Iterator[Secret]:
    mark = mark_of(vault, interaction)
    for artefact in series_in(vault.disk, mark, interaction):
        series = Series(vault.id, interaction, artefact, audio)
        with vault.ring.key(audio) as key, contextlib.suppress(Tampered, Malformed):
            yield from Recovery(vault.disk, mark, key, series)
