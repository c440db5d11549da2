"""Listening: from blocks of sound to interactions, while they are spoken.

Promises that an utterance is safe second by second from the moment that it is certain to be one,
that it becomes an interaction when it has words and leaves nothing when it has none, and that a
microphone that goes away costs no more than what it did not bring. Needs no clock: time is in the
samples. What becomes of the sound is the keeper's; what is shown of it is the door's.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from keys.errors import Erased
from pipeline.artefact import AUDIO, META, TRANSCRIPT, Meta, Transcript, encode_audio
from pipeline.assistant.derived import Derived, Hearer
from pipeline.capture import Block, Gone, Source
from pipeline.hear import SpeechProbability
from pipeline.heard import Asleep, Dropped, Heard, Left, Partial, Replied, Said, Sound, Woken
from pipeline.model import RATE_HZ, Utterance, Word
from pipeline.recognise import LiveRecogniser
from pipeline.relief import Baton
from pipeline.safekeeping import Keeper
from pipeline.segment import CHUNK_MS, CHUNK_SAMPLES, Endpointing, Segmenter
from pipeline.wake import WakeWord

LIVE = Endpointing(hang_over_ms=416)
"""Sealed half a second after the end of speech, with what hearing the end and sealing take."""
_PARTIAL_CHUNKS = 4  # 128 ms: how often the words may change
_AWAKE_CHUNKS = 5 * RATE_HZ // CHUNK_SAMPLES  # so long somebody may wait after the wake word
_PRE_ROLL = {False: RATE_HZ // 2, True: 2 * RATE_HZ}  # samples; True: a wake word is in them
_FIRST = Baton()

Wall = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class Request:
    """For whom is listened, with which model, where speech ends, and whether once is enough."""

    profile: str
    recogniser: str
    once: bool = False
    endpointing: Endpointing = LIVE
    wake: WakeWord | None = None
    """Where there is one, an utterance is heard only after it."""
    hearer: Hearer | None = None
    """Who is told the words before they are sealed; of what is private nothing is."""


def listen(
    source: Source,
    keeper: Keeper,
    recogniser: LiveRecogniser,
    probability: SpeechProbability,
    request: Request,
    wall: Wall = lambda: datetime.now(UTC),
    is_over: Callable[[], bool] = lambda: False,
    baton: Baton = _FIRST,
) -> Iterator[Heard]:
    """Yields what happens until the source ends; the utterance under way then is completed.

    Once it `is_over`, it ends with `Left` as soon as nobody speaks, or where a long speech is cut;
    at once when what is being said was forgotten. It begins as the `baton` of the last one says.
    Raises what stops it: `StateUnknown` when the disk fails, `NoAudioDevice` when it never began.
    """
    listener = _Listener(source, keeper, recogniser, probability, request, wall, is_over, baton)
    try:
        was_said = False
        for event in listener.events():
            yield event
            was_said = was_said or isinstance(event, Said | Replied)
            if request.once and was_said and (isinstance(event, Replied) or not request.hearer):
                return
    finally:
        keeper.close()
        recogniser.abandon()


@dataclass(slots=True, repr=False)
class _Take:
    """The utterance under way."""

    meta: Meta
    is_kept: bool = False
    is_forgotten: bool = False
    lost_ms: int = 0
    shown: str = ""
    chunks: int = 0


class _Listener:
    def __init__(
        self,
        source: Source,
        keeper: Keeper,
        recogniser: LiveRecogniser,
        probability: SpeechProbability,
        request: Request,
        wall: Wall,
        is_over: Callable[[], bool],
        baton: Baton,
    ) -> None:
        self._source, self._keeper, self._recogniser = source, keeper, recogniser
        self._probability, self._request, self._wall = probability, request, wall
        self._segmenter = Segmenter(request.endpointing)
        self._rest = np.zeros(0, np.int16)
        self._take: _Take | None = None
        self._idle = 0  # samples since somebody spoke, or the keeper rested
        self._awake = _AWAKE_CHUNKS if baton.is_awake else 0  # an utterance may still begin
        self._silence = -(-request.endpointing.hang_over_ms // CHUNK_MS)
        self._deaf = self._silence if baton.is_deaf else 0  # chunks of silence still to come
        self._is_over = is_over
        self._left: Baton | None = None
        self._at_s = baton.until_s  # when the end of the last block came
        self._quiet = 0  # samples that the next one may hear too, as its pre-roll

    def events(self) -> Iterator[Heard]:
        if self._request.wake and not self._awake:
            yield Asleep()
        for event in self._source.events():
            if isinstance(event, Block):
                yield from self._block(event)
                if self._left:
                    yield Left(self._left)
                    return
            else:
                yield from self._break_off(truncated=isinstance(event, Gone))
                yield event
        yield from self._break_off(truncated=False)
        if self._is_over():  # while the microphone was away
            yield Left(self._baton(unheard=0))

    def _block(self, block: Block) -> Iterator[Heard]:
        if self._take:
            self._take.lost_ms += block.lost_ms
        self._at_s = block.at_s
        sound = np.concatenate([self._rest, block.pcm])
        whole = len(sound) - len(sound) % CHUNK_SAMPLES
        for number, chunk in enumerate(sound[:whole].reshape(-1, CHUNK_SAMPLES), 1):
            yield from self._chunk(chunk)
            if self._is_over() and (self._take is None or self._take.is_forgotten):
                self._left = self._baton(unheard=len(sound) - number * CHUNK_SAMPLES)
                return
        self._rest = sound[whole:]
        self._idle = 0 if self._take else self._idle + len(block.pcm)
        if self._idle >= RATE_HZ:
            self._idle = 0
            self._keeper.rest()
        yield Sound(block.pcm, self._take is not None, block.lost_ms)

    def _baton(self, *, unheard: int) -> Baton:
        """Returns what the next one has to know; `unheard` samples came and were not looked at."""
        speech = self._segmenter.open_utterance
        if speech is None:
            unheard += min(self._quiet, _PRE_ROLL[self._request.wake is not None])
        elif self._take is None:  # behind a cut
            unheard += len(speech.pcm)
        return Baton(
            self._at_s - unheard / RATE_HZ,
            is_deaf=self._take is not None or self._deaf > 0,
            is_awake=self._awake > 0 or (speech is not None and self._take is None),
        )

    def _chunk(self, chunk: NDArray[np.int16]) -> Iterator[Heard]:
        if self._deaf:
            is_voice = self._probability(chunk) >= self._request.endpointing.end
            self._deaf = self._silence if is_voice else self._deaf - 1
        elif self._request.wake and not self._take:
            yield from self._wait(self._request.wake, chunk)
        else:
            yield from self._hear(chunk)

    def _wait(self, wake: WakeWord, chunk: NDArray[np.int16]) -> Iterator[Heard]:
        """Before the wake word nothing is heard, not even for the pre-roll."""
        said = wake(chunk)
        if self._awake == 0 and said:
            self._awake = _AWAKE_CHUNKS
            self._segmenter.flush()
            self._quiet = 0
            yield Woken()
        elif self._awake:
            self._awake -= 1
            yield from self._hear(chunk)
            if self._awake == 0 and not self._take:
                yield Asleep()
        else:
            self._quiet += CHUNK_SAMPLES

    def _hear(self, chunk: NDArray[np.int16]) -> Iterator[Heard]:
        done = self._segmenter.feed(chunk, self._probability(chunk))
        if self._take is None:
            self._quiet += CHUNK_SAMPLES
            if self._segmenter.speaking:
                self._open()
            return
        yield from self._go_on(self._take, chunk)
        if done or not self._segmenter.speaking:
            yield from self._close(self._take, done)
        if done and self._segmenter.speaking and not self._is_over():  # too long, and cut
            self._open()

    def _open(self) -> None:
        """Begins with what was heard of it so far; it may yet be too short to be one."""
        so_far = self._segmenter.open_utterance
        assert so_far is not None, "somebody speaks"  # noqa: S101 - what the segmenter promises
        started = self._wall() - timedelta(milliseconds=so_far.duration_ms)
        at = started.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        meta = Meta(at, 0, self._request.profile, self._source.name, 0, self._request.recogniser)
        self._take = _Take(meta)
        self._recogniser.take(so_far.pcm)

    def _go_on(self, take: _Take, chunk: NDArray[np.int16]) -> Iterator[Heard]:
        """Takes the next chunk: first it is made safe, then it is recognised."""
        if not take.is_forgotten:
            try:
                self._keep(take, chunk)
            except Erased:
                take.is_forgotten = True
                self._recogniser.abandon()
                yield Partial("")
                yield Dropped("it was forgotten while it was spoken")
                return
            self._recogniser.take(chunk)
            take.chunks += 1
            if take.chunks % _PARTIAL_CHUNKS == 0:
                yield from self._partial(take)

    def _partial(self, take: _Take) -> Iterator[Partial]:
        if (now := self._recogniser.so_far()) != take.shown:
            take.shown = now
            yield Partial(now)

    def _keep(self, take: _Take, chunk: NDArray[np.int16]) -> None:
        if take.is_kept:
            self._keeper.add(chunk)
        elif self._segmenter.is_certain and (so_far := self._segmenter.open_utterance):
            self._keeper.begin(take.meta)
            take.is_kept = True
            self._keeper.add(so_far.pcm)

    def _break_off(self, *, truncated: bool) -> Iterator[Heard]:
        """Ends the utterance under way, because there is no more sound."""
        done, self._rest = self._segmenter.flush(), np.zeros(0, np.int16)
        if self._take:
            yield from self._close(self._take, done, truncated=truncated)

    def _close(
        self, take: _Take, done: Utterance | None, *, truncated: bool = False
    ) -> Iterator[Heard]:
        self._take, self._quiet = None, self._silence // 2 * CHUNK_SAMPLES if done else 0
        is_said = False
        for event in self._end(take, done, truncated=truncated):
            is_said = is_said or isinstance(event, Said)
            yield event
        # The end of the wake word itself is no utterance: somebody may be about to begin one.
        if self._request.wake and not self._segmenter.speaking and (is_said or not self._awake):
            self._awake = 0
            yield Asleep()

    def _end(self, take: _Take, done: Utterance | None, *, truncated: bool) -> Iterator[Heard]:
        if take.is_forgotten:
            return
        words = self._words(done)
        if done is None or not words:
            if take.is_kept:
                self._keeper.cancel()
            yield Dropped("there were no words in it")
            return
        meta = replace(
            take.meta, duration_ms=done.duration_ms, lost_ms=take.lost_ms, truncated=truncated
        )
        yield from self._finish(meta, done, words, is_kept=take.is_kept)

    def _words(self, done: Utterance | None) -> tuple[Word, ...]:
        """Ends the recognition; of an utterance that was cut, what is behind the cut is not its."""
        if done is None:
            self._recogniser.abandon()
            return ()
        return tuple(it for it in self._recogniser.finish() if it.start_ms < done.duration_ms)

    def _finish(
        self, meta: Meta, done: Utterance, words: tuple[Word, ...], *, is_kept: bool
    ) -> Iterator[Heard]:
        transcript, interaction = Transcript(words), None
        hearer = self._request.hearer
        derived = hearer.hear(transcript.text) if hearer else Derived()
        if derived.is_private:
            if is_kept:
                self._keeper.cancel()
            yield Dropped("it was a command, of which nothing is stored")
        else:
            parts = [
                (AUDIO, encode_audio(done.pcm)),
                (TRANSCRIPT, transcript.encode()),
                (META, meta.encode()),
            ]
            try:
                interaction = self._keeper.finish([*parts, *derived.parts])
            except Erased:
                yield Dropped("it was forgotten while it was recognised")
                return
            seconds = round(len(done.pcm) / RATE_HZ, 2)
            yield Said(interaction, meta.source, seconds, transcript.text, meta.truncated)
        if hearer:
            yield Replied(hearer.done(derived, interaction))
