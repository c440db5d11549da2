"""Whether what was said is sensitive: it holds a word for health, or one that the user named.

Pure. The words for health are ours, in `pipeline/health.toml`: words and phrases in lower case; one
that ends in `*` stands for all that begin so. It errs on the side of too many: what is taken for
sensitive goes sooner. It knows English only; other languages need words of the user's own.
"""

from collections.abc import Iterable, Sequence
from functools import cache


@cache
def health() -> tuple[list[str], ...]:
    """Returns our own terms for health, each as its words."""
    import tomllib  # these two take a while, and most commands judge nothing
    from importlib.resources import files

    found = tomllib.loads((files("pipeline") / "health.toml").read_text())
    return tuple(plain(each) for group in found.values() for each in group)


def is_sensitive(words: Iterable[str], own: Sequence[str] = ()) -> bool:
    """Tells whether words, in the order in which they were said, hold any that is sensitive."""
    said = [part for word in words for part in plain(word)]
    return any(_holds(said, term) for term in (*health(), *map(plain, own)))


def plain(text: str) -> list[str]:
    """Returns the words of a text without case and punctuation, a `*` at the end of one kept."""
    kept = "".join(c if c.isalnum() or c == "*" else " " for c in text.casefold().replace("'", ""))
    return kept.split()


def _holds(said: Sequence[str], term: Sequence[str]) -> bool:
    starts = range(len(said) - len(term) + 1) if term else ()
    return any(all(map(_matches, said[at : at + len(term)], term)) for at in starts)


def _matches(word: str, wanted: str) -> bool:
    if wanted.endswith("*"):
        return len(wanted) > 1 and word.startswith(wanted[:-1])
    return word == wanted
