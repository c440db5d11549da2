"""Where an utterance goes while it is spoken: into a vault second by second, or nowhere but memory.

Promises that after `finish` it is durable in the vault, after `cancel` nothing of it is left, and
that `close`, whatever happened, leaves what was sealed for the next start. A vault that is busy
costs no sound: it is taken up as soon as the vault is free. Refuses with what `write` refuses.
"""

import secrets
from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress
from typing import TYPE_CHECKING, Protocol

from keys.errors import Busy, Erased
from keys.lock import WAIT_S
from keys.model import ID_SIZE, ArtefactId, InteractionId, Label, Slot, VaultId
from keys.sealed import CHUNK_LOG2, SALT_SIZE, Opener, pad_padme, seal
from keys.secret import Secret, random_secret
from pipeline import retention, write
from pipeline.artefact import Meta
from pipeline.erase import Clock
from pipeline.recording import Recording
from pipeline.session import acting, now
from pipeline.vault import Vault

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_PATIENCE = 4  # times the wait for the lock, once the speaker is silent
_NOWHERE = VaultId(bytes(ID_SIZE))


class Keeper(Protocol):
    """Keeps one utterance after the other; between `begin` and its end there is one."""

    def begin(self, meta: Meta) -> None:
        """Begin to keep an utterance, of which so much is known."""
        ...

    def add(self, pcm: "NDArray[np.int16]") -> None:
        """Take its next sound; raise `Erased` where it was forgotten meanwhile."""
        ...

    def finish(self, parts: Sequence[write.Part]) -> InteractionId | None:
        """Keep it as these parts; return its id where it is in a vault; raise `Erased`."""
        ...

    def cancel(self) -> None:
        """Give it up and leave nothing of it."""
        ...

    def rest(self) -> None:
        """Do what is to be done now and then while nobody speaks."""
        ...

    def close(self) -> None:
        """Let go of everything, at once and whatever happened."""
        ...


class InVault:
    """Keeps utterances in a vault, as far as their profile allows.

    Where that is words alone, the sound is never written: it lies with the recogniser until the
    utterance ends, and a crash loses it.
    """

    def __init__(self, vault: Vault, clock: Clock = now) -> None:
        self._vault, self._clock = vault, clock
        self._writes_sound = True
        self._meta: Meta | None = None
        self._recording: Recording | None = None
        self._waiting: list[NDArray[np.int16]] = []

    def begin(self, meta: Meta) -> None:
        self._meta, self._waiting, self._writes_sound = meta, [], True
        self._try_to_record()

    def add(self, pcm: "NDArray[np.int16]") -> None:
        if not self._writes_sound:
            return
        self._waiting.append(pcm)
        recording = self._recording or self._try_to_record()
        if recording:
            self._write(recording)

    def finish(self, parts: Sequence[write.Part]) -> InteractionId | None:
        try:
            if self._recording is None:
                with self._patiently():
                    return retention.create(self._vault, parts, self._clock)
            with self._patiently():
                return retention.finish(self._vault, self._recording, parts, self._clock)
        finally:
            self.close()

    def cancel(self) -> None:
        if self._recording:
            with self._patiently():
                write.cancel(self._vault, self._recording)
        self.close()
        with self._patiently():
            pass  # settling destroys the keys, and clears away

    def rest(self) -> None:
        """Follows the vault: keys that another process has destroyed leave this one's memory."""
        with suppress(Busy), acting(self._vault, self._clock, wait_s=0):
            pass

    def close(self) -> None:
        if self._recording:
            self._recording.release()
        self._recording, self._waiting = None, []

    def _try_to_record(self) -> Recording | None:
        assert self._meta is not None, "begin comes first"  # noqa: S101 - the order of calls
        try:
            with acting(self._vault, self._clock, wait_s=0):
                begun = retention.begin(self._vault, self._meta, self._clock)
        except Busy:
            return None
        if begun is None:
            self._writes_sound, self._waiting = False, []
            return None
        self._recording, meta = begun
        self._recording.start(meta, lambda: acting(self._vault, self._clock, wait_s=0))
        return self._recording

    def _write(self, recording: Recording) -> None:
        waiting, self._waiting = self._waiting, []
        try:
            for pcm in waiting:
                recording.add(pcm)
        except Erased:
            self.close()
            with self._patiently():
                pass  # clears away what cannot be opened any more
            raise

    def _patiently(self) -> AbstractContextManager[None]:
        return acting(self._vault, self._clock, wait_s=_PATIENCE * WAIT_S)


class InMemory:
    """Keeps the last utterance in memory alone, sealed under a key that nothing else has."""

    def __init__(self) -> None:
        self._key: Secret | None = None
        self._sealed: list[tuple[str, bytes]] = []

    def begin(self, meta: Meta) -> None:
        pass

    def add(self, pcm: "NDArray[np.int16]") -> None:
        pass

    def finish(self, parts: Sequence[write.Part]) -> InteractionId | None:
        self.close()
        self._key = random_secret()
        self._sealed = [(kind, self._seal(self._key, kind, content)) for kind, content in parts]
        return None

    def cancel(self) -> None:
        pass

    def rest(self) -> None:
        pass

    def close(self) -> None:
        """Destroys the key: what was sealed under it is gone."""
        if self._key:
            self._key.wipe()
        self._key, self._sealed = None, []

    def keep(self, vault: Vault) -> InteractionId | None:
        """Seals the last utterance in a vault after all; None where there is none any more."""
        if self._key is None:
            return None
        parts = [(kind, self._open(self._key, data)) for kind, data in self._sealed]
        with acting(vault):
            interaction = retention.create(vault, parts, now)
        self.close()
        return interaction

    @staticmethod
    def _seal(key: Secret, kind: str, content: bytes) -> bytes:
        ids = InteractionId(secrets.token_bytes(ID_SIZE)), ArtefactId(secrets.token_bytes(ID_SIZE))
        label = Label(_NOWHERE, *ids, kind, Slot(0))
        return seal(key, label, secrets.token_bytes(SALT_SIZE), content, pad_padme, CHUNK_LOG2)[1]

    @staticmethod
    def _open(key: Secret, data: bytes) -> bytes:
        with Opener(key, lambda at, size: data[at : at + size], len(data)).read() as content:
            return bytes(content)
