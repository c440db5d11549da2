"""Everything `pipeline` can refuse, named by what the user should do about it.

A message names the thing, the expectation and the finding, and never holds a word that was spoken.
The command line maps each class to one exit code; see `pipeline/cli.py`.
"""

from pathlib import Path

from keys.errors import Tampered


class PipelineError(Exception):
    """The base of every refusal of this package."""


class NotFound(PipelineError):
    """No such interaction, artefact or file."""


class Refused(PipelineError):
    """The request makes no sense as put: wrong or conflicting options."""


class BadAudio(PipelineError):
    """A source is not audio that can be read: say so and go on with the others."""


class SettingsLost(PipelineError, Tampered):
    """The settings are missing or damaged: capture nothing, let nothing fall due, go on."""


class NoModel(PipelineError):
    """No recognition model is installed, or the one named is not a model."""


class NoAudioDevice(PipelineError):
    """No microphone, or the sound system does not answer."""


def defect(error: BaseException | None) -> str:
    """Tells of a defect by its kind and its places only: its text may hold content."""
    import traceback

    places = traceback.extract_tb(error.__traceback__ if error else None)
    where = ", ".join(f"{Path(it.filename).name}:{it.lineno} in {it.name}" for it in places)
    return f"internal error, please report it: {type(error).__name__} at {where}"
