"""From words to what is wanted: the intent of a sentence, its slots, and the time said with it.

Pure but for the sentences, which are read once. Promises to understand whole sentences only: what
merely holds the words of a command is no command. What has several readings is the one that most
of its words are accounted for by.
"""

import contextlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from pipeline.assistant.moments import When, find
from pipeline.assistant.numerals import tokens_of
from pipeline.assistant.past import span
from pipeline.assistant.sentences import LOOSE, NONE, Group, Sentences, Sort, sentences

_NO_TIME = When()
_SOME_TIME = datetime(2026, 1, 2, 12, tzinfo=UTC)
_LONGEST = 60  # words; nobody says a command of so many


@dataclass(frozen=True, slots=True, repr=False)
class Understood:
    """What a sentence wants; its repr shows none of what was said."""

    name: str
    slots: Mapping[str, str] = field(default_factory=dict)
    when: When = _NO_TIME
    words: str = field(default="", compare=False)
    """All of the sentence but the time that was said with it."""

    def slot(self, name: str) -> str:
        """Returns what was said for a slot, nothing where it was not."""
        return self.slots.get(name, "")


def understand(
    text: str, known: Sentences | None = None, *, only: Collection[str] = ()
) -> Understood | None:
    """Returns what a text wants, None where that is nothing the assistant does, or none of `only`.

    Raises `Refused` for a mistake in the sentences.
    """
    tokens = tokens_of(text)
    if not tokens or len(tokens) > _LONGEST:
        return None
    known = known or sentences()
    readings = {
        NONE: (_NO_TIME, tokens),
        "strict": find(tokens, loose=False),
        LOOSE: find(tokens, loose=True),
    }
    found: list[tuple[int, Understood]] = []
    for group in known.groups:
        when, rest = readings[group.time]
        if rest and (when or not group.timed):
            found += _matches(group, " ".join(rest), when, len(tokens) - len(rest))
    sensible = [it for it in found if _makes_sense(it[1]) and it[1].name in (only or known.sorts)]
    return max(sensible, key=lambda it: it[0])[1] if sensible else None


def only_a_time(text: str) -> When | None:
    """Returns the time that a text says and nothing else, as in the answer to a question."""
    when, rest = find(tokens_of(text), loose=True)
    return when if when and not rest else None


def sort_of(understood: Understood, known: Sentences | None = None) -> Sort:
    """Returns how the intent treats times."""
    return (known or sentences()).sorts[understood.name]


def _makes_sense(it: Understood) -> bool:
    """Tells whether what stands for a stretch of time is one; what it is depends on the clock."""
    said = it.slot("span")
    return not said or span(said.split(), _SOME_TIME) is not None


def _matches(
    group: Group, text: str, when: When, words_of_time: int
) -> Iterator[tuple[int, Understood]]:
    """Yields each reading with how much of the sentence it accounts for, in letters."""
    from hassil import recognize_all

    with contextlib.suppress(RecursionError):  # hassil's own, on a text of nothing but templates
        for it in recognize_all(text, group.templates):
            slots: dict[str, list[str]] = {}
            for entity in it.entities_list:
                slots.setdefault(entity.name, []).append(entity.text_clean.strip())
            said = {name: " ".join(pieces) for name, pieces in slots.items()}
            if all(said.values()):
                weight = it.text_chunks_matched + 8 * words_of_time
                yield weight, Understood(it.intent.name, said, when, text)
