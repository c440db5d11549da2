"""Words out of sound by Moonshine, with punctuation and casing; an extra beside Vosk.

Promises, as `recognise` does, that nothing is downloaded, printed or written: of the package only
the part that reads a model from a folder is used. Refuses with `NoModel` a model that does not load
and with `Refused` a limited vocabulary, which Moonshine has no way to keep to. Change here when
there are words before the end of an utterance.

Moonshine hears an utterance as a whole and says where the whole is, not its words: their times are
spread over it by the lengths of the words, and no confidence is given.
"""

import threading
from contextlib import suppress
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import NoModel
from pipeline.model import RATE_HZ, Word
from pipeline.recognise import OnPartial, Stopped, overheard

_FIRST_SAMPLES = RATE_HZ // 2
_GROWTH = 1.25  # each time it hears all again; so all of them cost four times the last one at most
_FULL_SCALE = 32768
_SILENCE = 16  # 66 dB below full scale at its loudest: of less than that it makes words up


class Moonshine:
    """A Moonshine model loaded from a folder; one utterance at a time. Raises `NoModel`."""

    can_be_forked = False  # its threads would not be there

    def __init__(self, folder: Path) -> None:
        self._folder, self._transcriber = folder, _loaded(folder)
        self._heard: list[NDArray[np.int16]] = []
        self._text = ""
        self._again_at = _FIRST_SAMPLES
        self._stopped = threading.Event()

    def recognise(
        self, pcm: NDArray[np.int16], on_partial: OnPartial | None = None
    ) -> tuple[Word, ...]:
        """Return the words; `on_partial` gets them once, before. Raises `Stopped` after `stop`."""
        if self._stopped.is_set():
            raise Stopped("recognition was stopped")
        words = self._words(pcm)
        if self._stopped.is_set():
            raise Stopped("recognition was stopped")
        if on_partial and words:
            on_partial(_text(words))
        return words

    def take(self, pcm: NDArray[np.int16]) -> None:
        self._heard.append(pcm)

    def so_far(self) -> str:
        """Return the words so far, heard anew where the utterance has grown by a quarter."""
        length = sum(map(len, self._heard))
        if length >= self._again_at:
            self._again_at = round(length * _GROWTH)
            self._text = _text(self._words(np.concatenate(self._heard)))
        return self._text

    def finish(self) -> tuple[Word, ...]:
        pcm = np.concatenate([np.zeros(0, np.int16), *self._heard])
        self.abandon()
        return self._words(pcm)

    def abandon(self) -> None:
        self._heard, self._text, self._again_at = [], "", _FIRST_SAMPLES

    def stop(self) -> None:
        self._stopped.set()

    def sibling(self) -> "Moonshine":
        return Moonshine(self._folder)  # nothing says that two threads may share one

    def _words(self, pcm: NDArray[np.int16]) -> tuple[Word, ...]:
        if not len(pcm) or int(np.abs(pcm.astype(np.int32)).max()) < _SILENCE:
            return ()
        sound = (pcm.astype(np.float32) / _FULL_SCALE).tolist()
        lines = self._transcriber.transcribe_without_streaming(sound, RATE_HZ).lines
        return tuple(
            word
            for line in lines
            for word in spread(line.text.split(), line.start_time, line.duration)
        )


def spread(texts: list[str], start_s: float, length_s: float) -> tuple[Word, ...]:
    """Return words with times that share `length_s`, each by its length and the space after it."""
    ends = list(accumulate((len(text) + 1 for text in texts), initial=0))
    edges_ms = [round(1000 * (start_s + length_s * end / max(1, ends[-1]))) for end in ends]
    spans = zip(texts, pairwise(edges_ms), strict=True)
    return tuple(Word(text, start_ms, end_ms, None) for text, (start_ms, end_ms) in spans)


def _text(words: tuple[Word, ...]) -> str:
    return " ".join(word.word for word in words)


def _loaded(folder: Path) -> Any:  # noqa: ANN401 - it ships without types
    try:
        from moonshine_voice.moonshine_api import ModelArch
        from moonshine_voice.transcriber import Transcriber
    except (ImportError, OSError):
        raise NoModel(
            f"{folder} is a Moonshine model, and what reads it is not installed: "
            "pip install 'anechoic[moonshine]'"
        ) from None
    # Utterances come cut already, and its own detector would leave out parts of them. Sound is not
    # handed back: it would come as a Python list, a number for each sample.
    options = {"vad_threshold": "0.0", "return_audio_data": "false"}
    with overheard(), suppress(Exception):  # whatever it says, then it has not loaded it
        return Transcriber(folder, ModelArch.TINY, options=options)
    raise NoModel(f"{folder}: expected a tiny Moonshine model, found a damaged or another one")
