"""What a Wyoming client is told of this service: its name, its model, the languages it hears.

Pure values. A new recogniser or model needs nothing here unless its language cannot be told by its
name.
"""

import re
from dataclasses import dataclass
from importlib.metadata import version

from pipeline.models import MODELS
from pipeline.wyoming_frames import Json

_NAMED = re.compile(r"vosk-model-(?:small-)?([a-z]{2})(?:-([a-z]{2}))?(?:-|$)")


@dataclass(frozen=True, slots=True)
class About:
    """The model that hears, by its name, and the profile that it hears for."""

    model: str
    profile: str

    def info(self) -> Json:
        """Returns the data of the `info` event."""
        origin = next((it.origin for it in MODELS if it.name == self.model), "unknown")
        model = {
            **_artefact(self.model, origin, "A recognition model, on this machine", None),
            "languages": list(languages(self.model)),
        }
        what = "Speech recognised on this machine, and sealed so that it can be erased"
        program = {
            **_artefact("anechoic", "Anechoic", what, version("anechoic")),
            "models": [model],
            "supports_transcript_streaming": True,
        }
        return {"asr": [program]}


def languages(model: str) -> tuple[str, ...]:
    """Returns the language tags of a model by its name: the catalogue's, or as Vosk names it.

    English where the name does not tell: Home Assistant offers no service without a language.
    """
    known = next((it.language for it in MODELS if it.name == model), None)
    named = _NAMED.match(model)
    parts = known.split("-") if known else [it for it in named.groups() if it] if named else ["en"]
    wide, narrow = parts[0], parts[1:]
    return (wide, f"{wide}-{narrow[0].upper()}") if narrow else (wide,)


def _artefact(name: str, by: str, what: str, its_version: str | None) -> dict[str, object]:
    return {
        "name": name,
        "attribution": {"name": by, "url": ""},
        "installed": True,
        "description": what,
        "version": its_version,
    }
