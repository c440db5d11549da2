"""What a Wyoming connection's sound goes through, in a thread of its own: heard, sealed, let out.

Promises that words leave only when their interaction is durable and the log has the disclosure, and
that what was forgotten by then leaves no more. The sound goes the same way as a microphone's
(`pipeline.listen`), with one difference: the client has decided that somebody speaks, so until our
own detector has heard a voice as well, everything is recognised, and nothing is written.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from keys.errors import Erased
from keys.lock import WAIT_S
from keys.model import InteractionId
from pipeline import retention
from pipeline.artefact import TRANSCRIPT, Meta
from pipeline.capture import Source
from pipeline.disclosures import disclose
from pipeline.errors import Refused
from pipeline.hear import SpeechProbability
from pipeline.heard import Said
from pipeline.listen import Request, listen
from pipeline.recognise import LiveRecogniser
from pipeline.safekeeping import InMemory, InVault, Keeper
from pipeline.segment import Endpointing
from pipeline.session import acting, now
from pipeline.vault import Vault
from pipeline.write import Part

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

HOW = "home-assistant"
"""How the log and every receipt name this way out."""
_WHY = "speech-to-text for a Wyoming client, which keeps copies of its own"
_PATIENCE_S = 4 * WAIT_S


@dataclass(frozen=True, slots=True, repr=False)
class Text:
    """Words on their way to a client; futures and tracebacks print a repr, and this shows none."""

    words: str

    def __repr__(self) -> str:
        return "Text(<redacted>)"


def detector() -> SpeechProbability:
    """Returns a detector of voices, which begins anew."""
    from pipeline.voice import Voice

    return Voice()


class Desk:
    """A place at which one client at a time is heard: a recogniser, and a vault or none."""

    def __init__(
        self,
        recogniser: LiveRecogniser,
        vault: Vault | None,
        new_probability: Callable[[], SpeechProbability] = detector,
    ) -> None:
        self._recogniser, self._vault = recogniser, vault
        self._new_probability = new_probability
        self._keeper: Keeper = InVault(vault) if vault else InMemory()

    def hear(self, source: Source, profile: str, model: str, say: Callable[[Text], None]) -> Text:
        """Hears a source to its end; returns all words that are not forgotten.

        `say` gets each utterance once it is sealed and its disclosure is in the log; one that broke
        off stays here. Raises what `listen` raises, and what `say` does.
        """
        voice = _Voice(self._new_probability())
        request = Request(profile, model, endpointing=Endpointing())
        said: list[Said] = []
        for event in listen(
            source, _Hesitant(self._keeper, voice), self._recogniser, voice, request
        ):
            if isinstance(event, Said) and not event.truncated and self._discloses(event):
                said.append(event)
                say(Text(event.text))
        return Text(" ".join(it.text for it in self._living(said)))

    def rest(self) -> None:
        """Follows the vault: keys that another process has destroyed leave this one's memory."""
        self._keeper.rest()

    def _discloses(self, said: Said) -> bool:
        """Records that the words are about to leave; tells whether they still may.

        Raises `Refused` where the profile allows nothing to be stored: then nothing is let out.
        """
        if self._vault is None:
            return True
        if said.interaction is None:
            raise Refused(retention.NOTHING)
        try:
            with acting(self._vault, wait_s=_PATIENCE_S):
                it = (HOW, said.source, (TRANSCRIPT,), _WHY, now())
                disclose(self._vault, said.interaction, *it)
        except Erased:
            return False
        return True

    def _living(self, said: Sequence[Said]) -> Iterable[Said]:
        if self._vault is None or not said:
            return said
        with acting(self._vault, wait_s=_PATIENCE_S):
            return [it for it in said if it.interaction and _lives(self._vault, it.interaction)]


def _lives(vault: Vault, interaction: InteractionId) -> bool:
    try:
        vault.words_slot(interaction)
    except Erased:
        return False
    return True


class _Voice:
    """How likely somebody speaks; certainly so until our own detector has heard a voice."""

    def __init__(self, probability: SpeechProbability) -> None:
        self._probability = probability
        self.is_heard = False

    def __call__(self, chunk: "NDArray[np.int16]") -> float:
        probability = self._probability(chunk)
        self.is_heard = self.is_heard or probability >= Endpointing().start
        return probability if self.is_heard else 1.0


class _Hesitant:
    """Keeps nothing until a voice was heard: a stream without one leaves no trace in the log."""

    def __init__(self, keeper: Keeper, voice: _Voice) -> None:
        self._keeper, self._voice = keeper, voice
        self._meta: Meta | None = None
        self._waiting: list[NDArray[np.int16]] = []

    def begin(self, meta: Meta) -> None:
        self._meta, self._waiting = meta, []

    def add(self, pcm: "NDArray[np.int16]") -> None:
        self._waiting.append(pcm)
        if self._meta and self._voice.is_heard:
            self._keeper.begin(self._meta)
            self._meta = None
        if self._meta is None:
            waiting, self._waiting = self._waiting, []
            for each in waiting:
                self._keeper.add(each)

    def finish(self, parts: Sequence[Part]) -> InteractionId | None:
        return self._keeper.finish(parts)

    def cancel(self) -> None:
        if self._meta is None:
            self._keeper.cancel()

    def rest(self) -> None:
        self._keeper.rest()

    def close(self) -> None:
        self._keeper.close()
