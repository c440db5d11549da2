"""From sound files to sealed interactions: hear, then seal each utterance whole.

Promises that each utterance is in the vault, durable, when it is yielded, that a bad file does not
stop the others, and that nothing spoken is written anywhere but sealed. The vault is held only
while one interaction is sealed, so other commands can go on beside a long run.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from keys.model import InteractionId
from pipeline import disclosures, retention
from pipeline.artefact import AUDIO, META, TRANSCRIPT, Meta, Transcript, encode_audio
from pipeline.assistant.derived import Derived, Hearer
from pipeline.errors import BadAudio, Refused
from pipeline.hear import Finished, hear_all
from pipeline.model import Heard
from pipeline.recognise import OnPartial
from pipeline.recognisers import Recognisers
from pipeline.session import acting, now, now_ms
from pipeline.sources import find_audio
from pipeline.vault import Vault

_WHY = "recognition on other machines"


@dataclass(frozen=True, slots=True, repr=False)
class Sealed:
    """An utterance that has become an interaction; its repr shows no words."""

    interaction: InteractionId
    source: Path
    seconds: float
    text: str
    end_ms: int
    """Where it ends in its source: how far the hearing of a long file has come."""


@dataclass(frozen=True, slots=True)
class Done:
    """A file that has been heard to its end, and how many utterances it held."""

    source: Path
    count: int


@dataclass(frozen=True, slots=True)
class Request:
    """What to hear, for whom, and which model hears it."""

    paths: tuple[Path, ...]
    profile: str
    recogniser: str
    sent: tuple[str, str] = ("", "")
    """How and to where the sound left this machine to be recognised; empty if it did not."""


def ingest(
    vault: Vault,
    request: Request,
    recognisers: Recognisers,
    on_partial: OnPartial | None = None,
    on_source: Callable[[Path], None] = lambda _: None,
    assistant: Hearer | None = None,
) -> Iterator[Sealed | Done | BadAudio]:
    """Yields each interaction once it is durable, each file heard, each source that is no audio.

    With an assistant, what it makes of the words is sealed with them, and done. Commands about
    privacy are words like others here: a file cannot be asked whether it is sure.
    """
    problems: deque[BadAudio] = deque()
    sources = _sources(request.paths, problems, on_source)
    count = 0
    for path, event in hear_all(sources, recognisers, on_partial):
        while problems:
            yield problems.popleft()
        if isinstance(event, Heard):
            count += 1
            yield _seal(vault, request, path, event, assistant)
        elif isinstance(event, Finished):
            yield event.problem or Done(path, count)
            count = 0
    yield from problems


def _sources(
    paths: Iterable[Path], problems: deque[BadAudio], on_source: Callable[[Path], None]
) -> Iterator[Path]:
    for found in find_audio(paths):
        if isinstance(found, BadAudio):
            problems.append(found)
        else:
            on_source(found)
            yield found


def _seal(
    vault: Vault, request: Request, path: Path, heard: Heard, assistant: Hearer | None
) -> Sealed:
    meta = Meta(
        started_at=now_ms(),
        duration_ms=heard.duration_ms,
        profile=request.profile,
        source=str(path),
        offset_ms=heard.start_ms,
        recogniser=request.recogniser,
    )
    derived = assistant.hear(heard.text) if assistant else Derived()
    parts = [
        (AUDIO, encode_audio(heard.pcm)),
        (TRANSCRIPT, Transcript(heard.words).encode()),
        (META, meta.encode()),
        *derived.parts,
    ]
    how, to = request.sent
    with acting(vault):
        if how:
            parts.append(disclosures.part_of(vault, how, to, (AUDIO,), _WHY, now()))
        interaction = retention.create(vault, parts, now, how)
    if interaction is None:
        raise Refused(retention.NOTHING)
    if assistant and not derived.is_private:
        assistant.done(derived, interaction)
    seconds = round(heard.duration_ms / 1000, 2)
    return Sealed(interaction, path, seconds, heard.text, heard.start_ms + heard.duration_ms)
