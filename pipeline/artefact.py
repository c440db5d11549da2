"""The content of each kind of artefact, as it is sealed: audio, transcript, meta, disclosure.

Pure encodings between values and bytes. Text is JSON, audio is FLAC of what was recognised (16 kHz,
mono, 16 bit); everything descriptive is in here because only ids, kinds and sizes lie in clear.
"""

import io
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self, TypeVar

from keys.errors import Malformed
from pipeline.model import RATE_HZ, Word

if TYPE_CHECKING:  # commands that show words need no samples, and start sooner without
    import numpy as np
    from numpy.typing import NDArray

AUDIO, TRANSCRIPT, META, DISCLOSURE = "audio", "transcript", "meta", "disclosure"
INTENT, ACTION, ANSWER, FIRED = "intent", "action", "answer", "fired"
INDEX, RECORD, SETTINGS = "index", "record", "settings"
DEFAULT_PROFILE = "default"
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Meta:
    """What is known of an interaction beside its words; times in UTC, RFC 3339."""

    started_at: str
    duration_ms: int
    profile: str
    source: str
    offset_ms: int
    recogniser: str
    lost_ms: int = 0
    """How much sound was lost on the way from the microphone: words may be missing."""
    truncated: bool = False
    """It was cut off while it was spoken, by a crash or a microphone that went away."""
    processed_at: str = ""
    """From when its limits count; empty where it was captured without any."""
    reckoned_at: str = ""
    """The same as retention reckoned it, should the clock turn out to have been wrong."""
    audio_limit_s: int | None = None
    words_limit_s: int | None = None
    sensitive: bool = False

    def encode(self) -> bytes:
        """Returns JSON."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def decode(cls, data: bytes | bytearray) -> Self:
        """Parses what `encode` returned."""
        return _made(lambda row: cls(**row), data)


@dataclass(frozen=True, slots=True, repr=False)
class Transcript:
    """The words heard; its repr shows none of them."""

    words: tuple[Word, ...]

    @property
    def text(self) -> str:
        """The words with spaces between them."""
        return " ".join(word.word for word in self.words)

    def encode(self) -> bytes:
        """Returns JSON."""
        return json.dumps([asdict(word) for word in self.words]).encode()

    @classmethod
    def decode(cls, data: bytes | bytearray) -> Self:
        """Parses what `encode` returned."""
        return _made(lambda rows: cls(tuple(Word(**row) for row in rows)), data)


@dataclass(frozen=True, slots=True)
class Disclosure:
    """What left the vault: how, to whom, which fields, why, when, and where the log has it."""

    kind: str
    to: str
    fields: tuple[str, ...]
    why: str
    at: str
    index: int

    def encode(self) -> bytes:
        """Returns JSON."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def decode(cls, data: bytes | bytearray) -> Self:
        """Parses what `encode` returned."""
        return _made(lambda row: cls(**{**row, "fields": tuple(row["fields"])}), data)


def _made(make: Callable[[Any], _T], data: bytes | bytearray) -> _T:
    try:
        return make(json.loads(data))
    except (ValueError, TypeError, KeyError):  # not passed on: what was read may be speech
        raise Malformed("a sealed file holds another form than this version writes") from None


def encode_audio(pcm: "NDArray[np.int16]") -> bytes:
    """Returns samples (n, int16, 16 kHz) as FLAC, made in memory."""
    import soundfile

    out = io.BytesIO()
    soundfile.write(out, pcm, RATE_HZ, format="FLAC", subtype="PCM_16")
    return out.getvalue()


def decode_audio(flac: bytes | bytearray) -> "NDArray[np.int16]":
    """Returns the samples (n, int16, 16 kHz) of what `encode_audio` returned."""
    import soundfile

    pcm: NDArray[np.int16] = soundfile.read(io.BytesIO(flac), dtype="int16")[0]
    return pcm
