"""Words out of sound, by Vosk, behind Protocols that other recognisers meet.

Promises that nothing is downloaded, nothing is printed and nothing is written: the model is loaded
from the folder named, and Vosk's own messages never reach a terminal or a log. Refuses with
`NoModel` what is no model, or a damaged one. Another recogniser is another class that `load` knows.
"""

import copy
import json
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline import models
from pipeline.errors import NoModel, PipelineError, Refused
from pipeline.model import RATE_HZ, Word

OnPartial = Callable[[str], None]
"""Called with the words so far, each time that they change. It receives speech: show, never log."""

_SLICE_SAMPLES = RATE_HZ // 4  # how often there may be a partial, and how soon `stop` is obeyed
_UNKNOWN = "[unk]"  # what Vosk hears where none of its vocabulary was said
_NAMED = 10
_RENEW_SAMPLES = 30 * 60 * RATE_HZ  # see Vosk._ready


class Recogniser(Protocol):
    """What turns one utterance into words."""

    def recognise(
        self, pcm: NDArray[np.int16], on_partial: OnPartial | None = None
    ) -> tuple[Word, ...]:
        """Return the words of one utterance (int16 mono at `RATE_HZ`), none for mere noise."""
        ...


class LiveRecogniser(Protocol):
    """What turns an utterance into words while it is spoken."""

    def take(self, pcm: NDArray[np.int16]) -> None:
        """Take the next sound (int16 mono at `RATE_HZ`) of the utterance, or the first of one."""
        ...

    def so_far(self) -> str:
        """Return the words heard so far in the utterance; later ones may replace them."""
        ...

    def finish(self) -> tuple[Word, ...]:
        """End the utterance and return its words, none for mere noise."""
        ...

    def abandon(self) -> None:
        """Forget the utterance."""
        ...


class Loaded(Recogniser, LiveRecogniser, Protocol):
    """A recogniser with its model loaded, for whole utterances and for live ones, one at a time."""

    can_be_forked: bool
    """Whether it still works in a process that was forked from the one that loaded it."""

    def stop(self) -> None:
        """Make the recognition running in another thread, and every later one, raise `Stopped`."""
        ...

    def sibling(self) -> "Loaded":
        """Return another one for the same model, to be used at the same time in another thread."""
        ...


class Stopped(PipelineError):
    """The recognition was stopped from outside, as by Ctrl-C, before it had a result."""


def load(model: Path, vocabulary: Sequence[str] = ()) -> Loaded:
    """Return the recogniser for the model in this folder, hearing only the vocabulary if any.

    Raises `NoModel`, and `Refused` for a vocabulary that the model cannot keep to.
    """
    if not models.is_moonshine(model):
        return Vosk(model, vocabulary)
    if vocabulary:
        raise Refused(
            f"--vocabulary: {models.name_of(model)} has no limited one; take a Vosk model"
        )
    from pipeline.moonshine import Moonshine

    return Moonshine(model)


class Vosk:
    """A Vosk model loaded from a folder; one utterance at a time.

    With a vocabulary (sentences in lower case) it hears these, and others made of the same words.
    Where the model has a mark for what is none of them, that is left out; else it becomes the
    words that are nearest. Raises `Refused` for words that the model does not know.

    Raises `NoModel` for a folder that holds no model, or one that Vosk complains about. A limit:
    for some damage, to the files in `conf` for one, Vosk ends the process instead; `models.find`
    compares an installed model with its digests first, and a model of the user's own has none.
    """

    can_be_forked = True  # it has no threads

    def __init__(self, folder: Path, vocabulary: Sequence[str] = ()) -> None:
        models.check_shape(folder)
        import vosk

        vosk.SetLogLevel(-1)
        self._new: Callable[[], Any] = lambda: vosk.KaldiRecognizer(model, RATE_HZ, *grammar)
        grammar: list[str] = []
        self._kaldi: Any = None
        self._heard_samples = 0
        self._began_ms: float | None = None  # on its clock, of the utterance under way
        self._stopped = threading.Event()
        # Vosk loads some damaged models with no more than a message, and fails at the first use.
        with overheard() as said_something:
            try:
                model = vosk.Model(str(folder))
                self._ready()
            except Exception:  # noqa: BLE001 - Vosk raises nothing more specific
                said_something.set()
        if said_something.is_set():
            raise NoModel(
                f"{folder}: expected a model that Vosk can load, found a damaged or foreign one; "
                "run: anechoic model fetch"
            )
        if vocabulary:
            grammar.append(_grammar(model, folder, vocabulary))
            self._kaldi = None

    def recognise(
        self, pcm: NDArray[np.int16], on_partial: OnPartial | None = None
    ) -> tuple[Word, ...]:
        """Return the words, their times counted from the first sample of `pcm`.

        Raises `Stopped` after `stop`.
        """
        shown = ""
        for at in range(0, len(pcm), _SLICE_SAMPLES):
            if self._stopped.is_set():
                self.abandon()
                raise Stopped("recognition was stopped")
            self.take(pcm[at : at + _SLICE_SAMPLES])
            if on_partial and (now := self.so_far()) != shown:
                shown = now
                on_partial(shown)
        return self.finish()

    def take(self, pcm: NDArray[np.int16]) -> None:
        if self._began_ms is None:
            self._ready()
            self._began_ms = self._heard_samples * 1000 / RATE_HZ
        self._heard_samples += len(pcm)
        # What it returns is whether an end was heard. We know the ends, and not asking for a
        # result then makes it go on with the same utterance.
        self._kaldi.AcceptWaveform(pcm.tobytes())

    def so_far(self) -> str:
        if not self._kaldi:
            return ""
        partial = str(json.loads(self._kaldi.PartialResult())["partial"])
        return " ".join(word for word in partial.split() if word != _UNKNOWN)

    def finish(self) -> tuple[Word, ...]:
        if self._began_ms is None:
            return ()
        began_ms, self._began_ms = self._began_ms, None
        return _words(json.loads(self._kaldi.FinalResult()), began_ms)

    def abandon(self) -> None:
        if self._began_ms is not None:  # else there is nothing to forget, and a graph to keep
            self._kaldi, self._began_ms = None, None

    def stop(self) -> None:
        """Make the recognition running in another thread, and every later one, raise `Stopped`."""
        self._stopped.set()

    def sibling(self) -> "Vosk":
        """Return another one, which shares the model: that is what costs memory, and time."""
        other = copy.copy(self)
        other._stopped = threading.Event()  # noqa: SLF001 - it is one of us
        other._kaldi, other._began_ms = None, None  # noqa: SLF001
        return other

    def _ready(self) -> None:
        """Have a recogniser at the beginning of an utterance.

        After a final result Vosk starts afresh, without adaptation to the last speaker, and keeps
        only the parts of the graph that it has expanded: utterances cost up to a third less than
        with a new recogniser each. Its clock runs on in single precision, hence the renewal.
        """
        if self._kaldi is None or self._heard_samples > _RENEW_SAMPLES:
            self._kaldi, self._heard_samples = self._new(), 0
            self._kaldi.SetWords(True)  # noqa: FBT003 - Vosk takes it by position only


def _words(result: dict[str, Any], offset_ms: float) -> tuple[Word, ...]:
    return tuple(
        Word(
            word["word"],
            max(0, round(word["start"] * 1000 - offset_ms)),
            max(0, round(word["end"] * 1000 - offset_ms)),
            float(word["conf"]),
        )
        for word in result.get("result", [])
        if word["word"] != _UNKNOWN
    )


def _grammar(model: Any, folder: Path, vocabulary: Sequence[str]) -> str:  # noqa: ANN401 - Vosk's
    """Return a vocabulary as Vosk takes it; raises `Refused`."""
    if not models.can_be_limited(folder):
        raise Refused(
            f"--vocabulary: expected a model whose vocabulary can be limited (HCLr.fst), found "
            f"{folder.name}, which has a fixed one; take one of Vosk's small models"
        )
    words = dict.fromkeys(word for sentence in vocabulary for word in sentence.split())
    if foreign := [word for word in words if model.vosk_model_find_word(word) < 0]:
        named = ", ".join(foreign[:_NAMED]) + ", …" * (len(foreign) > _NAMED)
        raise Refused(
            f"--vocabulary: expected words that {folder.name} knows, found {len(foreign)} that it "
            f"does not: {named}; write them as they are spoken, or take them out"
        )
    mark = [_UNKNOWN] * (model.vosk_model_find_word(_UNKNOWN) >= 0)
    return json.dumps([*vocabulary, *mark])


@contextmanager
def overheard() -> Iterator[threading.Event]:
    """Keep what is written to the process's stderr from it; the event says whether anything was.

    The library writes to descriptor 2 itself, so no Python stream can catch it.
    """
    said = threading.Event()
    terminal, (reading, writing) = os.dup(2), os.pipe()
    listener = threading.Thread(target=_drain, args=(reading, said), daemon=True)
    listener.start()
    os.dup2(writing, 2)
    try:
        yield said
    finally:
        os.dup2(terminal, 2)
        os.close(writing)
        os.close(terminal)
        listener.join()


def _drain(reading: int, said: threading.Event) -> None:
    while os.read(reading, 4096):
        said.set()
    os.close(reading)
