"""Wake words: told from sound alone, so that nothing before them is recognised, kept or sealed.

Promises that the model is the one inside the package and that nothing is fetched. Refuses with
`Refused` a word without a model, or a package that is not installed. Another detector is another
function from chunks to whether the word was just said.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from pipeline.errors import Refused

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

WakeWord = Callable[["NDArray[np.int16]"], bool]
"""Takes the next chunk; tells whether the wake word ends in it."""


def wake_word(word: str) -> WakeWord:
    """Returns a detector of `word`, such as "hey jarvis"; raises `Refused`."""
    try:
        from pymicro_wakeword import MicroWakeWord, MicroWakeWordFeatures, Model
    except ImportError:
        raise Refused("--wake needs a package more: pip install 'anechoic[wake]'") from None
    models = {model.value.replace("_", " "): model for model in Model}
    if (model := models.get(word.lower())) is None:
        raise Refused(f"--wake: expected one of {', '.join(models)}; found {word[:40]!r}")
    detector, features = MicroWakeWord.from_builtin(model), MicroWakeWordFeatures()

    def heard(chunk: "NDArray[np.int16]") -> bool:
        # All of them are to be processed, also those after the one that fired.
        found = [
            detector.process_streaming(it) for it in features.process_streaming(chunk.tobytes())
        ]
        return any(found)

    return heard
