"""The sentences that a recogniser shall keep to, out of a file or from the assistant.

Promises sentences as recognisers know them: lower case, no punctuation, each once. Refuses with
`Refused` what holds none. Whether a model knows all their words, its recogniser tells.
"""

from collections.abc import Iterable
from pathlib import Path

from pipeline.errors import Refused
from pipeline.model import plain

ASSISTANT = "assistant"


def vocabulary(named: str | None) -> tuple[str, ...]:
    """Returns the sentences of a file, a line each, or of the assistant; none for None."""
    if named is None:
        return ()
    found = sentences(_assistants() if named == ASSISTANT else _lines(Path(named)))
    if not found:
        raise Refused(f"--vocabulary {named}: expected a sentence or word on a line, found none")
    return found


def sentences(lines: Iterable[str]) -> tuple[str, ...]:
    """Returns lines as sentences to recognise; empty ones and those that begin with # are none."""
    spoken = (" ".join(filter(None, map(plain, line.split()))) for line in lines if line[:1] != "#")
    return tuple(dict.fromkeys(filter(None, spoken)))


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise Refused(
            f"--vocabulary {path}: expected text in UTF-8, found something else"
        ) from None


def _assistants() -> Iterable[str]:
    from pipeline.assistant import sentences as assistants

    return assistants.vocabulary()
