"""What was asked for, and whether a transcript holds it: terms, queries, snippets.

Pure, and the one definition of a match: the index is only a quicker way to the same answer. A query
is words that must all be there, phrases in quotes, and beginnings of words that end in `*`. What a
term is may only change together with the format of the index, whose dictionary holds terms.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_ASCII = re.compile(r"[a-z0-9]+(?:'[a-z0-9]+)*")
_OTHER = re.compile(r"[^ ']+(?:'[^ ']+)*")
_PIECE = re.compile(r'"([^"]*)"?|([^\s"]+)')
_APOSTROPHES = str.maketrans(dict.fromkeys("\u2018\u2019\u02bc\uff07", "'"))


def terms(text: str) -> list[str]:
    """Returns the terms of a text in order: letters, marks and digits, in one form of each.

    Case, width and composition do not count (NFKC, casefold); an apostrophe does within a word.
    """
    plain = text.translate(_APOSTROPHES)
    if plain.isascii():
        return _ASCII.findall(plain.lower())
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", plain).casefold())
    kept = (c if c == "'" or unicodedata.category(c)[0] in "LMN" else " " for c in folded)
    return _OTHER.findall("".join(kept))


@dataclass(frozen=True, slots=True, repr=False)
class Item:
    """One term asked for, or the beginning of one; its repr does not show it."""

    term: str
    is_prefix: bool = False

    def finds(self, term: str) -> bool:
        """Tells whether this term is meant."""
        return term.startswith(self.term) if self.is_prefix else term == self.term


Phrase = tuple[Item, ...]
"""Items that must follow each other."""


@dataclass(frozen=True, slots=True, repr=False)
class Query:
    """Phrases, most of them of one item, all of which must be found; of none, nothing is."""

    phrases: tuple[Phrase, ...]

    def finds(self, said: Sequence[str]) -> bool:
        """Tells whether the terms of a transcript hold what is asked for."""
        return bool(self.phrases) and all(
            next(_places(phrase, said), None) is not None for phrase in self.phrases
        )

    def hits(self, said: Sequence[str]) -> set[int]:
        """Returns the positions of all terms that are part of a phrase found."""
        return {
            at + n
            for phrase in self.phrases
            for at in _places(phrase, said)
            for n in range(len(phrase))
        }


def parse(text: str) -> Query:
    """Parses what was typed: words, "phrases", and beginn*; what holds no term is passed over.

    A word of several terms, such as well-known, is a phrase of them.
    """
    found = []
    for quoted, word in _PIECE.findall(text):
        if phrase := tuple(item for it in (quoted or word).split() for item in _items(it)):
            found.append(phrase)
    return Query(tuple(dict.fromkeys(found)))


def snippet(words: Sequence[str], query: Query, around: int = 6) -> str:
    """Returns the words around the first hit, with … where others were left out."""
    owners = [n for n, word in enumerate(words) for _ in terms(word)]
    said = [term for word in words for term in terms(word)]
    first = owners[min(query.hits(said))] if query.finds(said) else 0
    start, end = max(0, first - around), first + around + 1
    shown = " ".join(words[start:end])
    return "… " * (start > 0) + shown + " …" * (end < len(words))


def _items(word: str) -> list[Item]:
    found = [Item(term) for term in terms(word)]
    if found and word.endswith("*"):
        found[-1] = Item(found[-1].term, is_prefix=True)
    return found


def _places(phrase: Phrase, said: Sequence[str]) -> Iterator[int]:
    for at in range(len(said) - len(phrase) + 1):
        if all(item.finds(said[at + n]) for n, item in enumerate(phrase)):
            yield at
