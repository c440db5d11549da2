"""Made-up household sentences: words by Zipf's law, the frequent ones short, most sentences short.

Nothing is copied from anybody: words are made of syllables. The same seed gives the same sentences.
"""

import random
from collections.abc import Iterator

import numpy as np

VOCABULARY = 50_000
_ONSETS = (*"bcdfghklmnprstw", "st", "tr", "sh")
_VOWELS = ("a", "e", "i", "o", "u", "ea", "oo")
_CODAS = ("", "", "n", "r", "s", "t", "l", "ck", "ng")
_BLOCK = 10_000


def vocabulary(size: int = VOCABULARY) -> list[str]:
    """Returns different words, the most frequent first: of 2 to 4 letters, later of 4 to 12."""
    chance, words = random.Random(1), dict[str, None]()
    while len(words) < size:
        syllables = min(4, 1 + int(chance.random() * (1 + len(words) / 400) ** 0.25))
        word = "".join(
            chance.choice(_ONSETS) + chance.choice(_VOWELS) + chance.choice(_CODAS)
            for _ in range(syllables)
        )
        words[word] = None
    return list(words)


def sentences(number: int, seed: int = 7) -> Iterator[str]:
    """Yields sentences of 2 to 40 words, 8 on average."""
    words, chance = vocabulary(), np.random.default_rng(seed)
    weights = 1 / (np.arange(len(words)) + 2.7) ** 1.05  # Zipf and Mandelbrot
    weights /= weights.sum()
    for start in range(0, number, _BLOCK):
        count = min(_BLOCK, number - start)
        lengths = np.clip(chance.lognormal(1.95, 0.55, count).round(), 2, 40).astype(int)
        ranks = iter(chance.choice(len(words), int(lengths.sum()), p=weights).tolist())
        for length in lengths.tolist():
            yield " ".join(words[next(ranks)] for _ in range(length))
