"""Everything `pipeline` can refuse, named by what the user should do about it.

A message names the thing, the expectation and the finding, and never holds a word that was spoken.
The command line maps each class to one exit code; see `pipeline/cli.py`.
"""


class PipelineError(Exception):
    """The base of every refusal of this package."""


class NotFound(PipelineError):
    """No such interaction, artefact or file."""


class Refused(PipelineError):
    """The request makes no sense as put: wrong or conflicting options."""


class BadAudio(PipelineError):
    """A source is not audio that can be read: say so and go on with the others."""


class NoModel(PipelineError):
    """No recognition model is installed, or the one named is not a model."""


class NoAudioDevice(PipelineError):
    """No microphone, or the sound system does not answer."""
