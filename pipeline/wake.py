"""Wake words: told from sound alone, so that nothing before them is recognised, kept or sealed.

Promises that the model is one inside a package and that nothing is fetched. Two packages bring
them; of a word that both have, the lighter one hears. Refuses with `Refused` a word without a
model, or where no such package is installed. Another package is another function of `_PACKAGES`.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from pipeline.errors import Refused

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

WakeWord = Callable[["NDArray[np.int16]"], bool]
"""Takes the next chunk; tells whether the wake word ends in it."""
Offers = Mapping[str, Callable[[], WakeWord]]
"""The words that a package has, and what makes the detector of each."""

_FIRST = bytes(2 * 512)
_SURE = 0.5


def wake_word(word: str) -> WakeWord:
    """Returns a detector of `word`, such as "hey jarvis"; raises `Refused`."""
    offers: dict[str, Callable[[], WakeWord]] = {}
    missing = []
    for extra, package in _PACKAGES.items():
        try:
            offers = {**package(), **offers}
        except (ImportError, OSError):
            missing.append(extra)
    more = f"pip install 'anechoic[{','.join(missing)}]'"
    if not offers:
        raise Refused(f"--wake needs a package more: {more}")
    make = offers.get(" ".join(word.lower().replace("_", " ").split()))
    if make is None:
        hint = f"; there may be more with: {more}" if missing else ""
        known = ", ".join(sorted(offers))
        raise Refused(f"--wake: expected one of {known}; found {word[:40]!r}{hint}")
    return make()


def micro() -> Offers:
    """Returns the words of pymicro-wakeword; hearing one takes 0.4 % of a core."""
    from pymicro_wakeword import MicroWakeWord, MicroWakeWordFeatures, Model

    def make(model: Model) -> WakeWord:
        detector, features = MicroWakeWord.from_builtin(model), MicroWakeWordFeatures()

        def heard(chunk: "NDArray[np.int16]") -> bool:
            # All of them are to be processed, also those after the one that fired.
            found = [
                detector.process_streaming(it) for it in features.process_streaming(chunk.tobytes())
            ]
            return any(found)

        return heard

    return {_spoken(model.value): partial(make, model) for model in Model}


def open_source() -> Offers:
    """Returns the words of pyopen-wakeword, one more; hearing one takes 9 % of a core."""
    from pyopen_wakeword import Model, OpenWakeWord, OpenWakeWordFeatures

    def make(model: Model) -> WakeWord:
        detector, features = OpenWakeWord.from_builtin(model), OpenWakeWordFeatures.from_builtin()

        def heard(sound: bytes) -> bool:
            # It loses what exceeds 10 s at once; a chunk is far from that.
            probabilities = [
                probability
                for it in features.process_streaming(sound)
                for probability in detector.process_streaming(it)
            ]
            return any(probability > _SURE for probability in probabilities)

        heard(_FIRST)  # with the first it works through 8 s of silence: not while somebody speaks
        return lambda chunk: heard(chunk.tobytes())

    return {_spoken(model.value): partial(make, model) for model in Model}


_PACKAGES: Mapping[str, Callable[[], Offers]] = {"wake": micro, "open-wake": open_source}
"""By the extra that brings each, the lighter one first."""


def _spoken(name: str) -> str:
    return name.replace("_", " ")
