"""Text as tokens, and numbers said in words: what every other grammar of this package starts from.

Recognisers write "half past seven p m" or "Half past 7 p.m."; after `tokens_of` both read the same.
Refuses nothing: what is no number is None. English; another language is another module.
"""

import re
import unicodedata
from collections.abc import Sequence

Found = tuple[int, int]
"""A value, and the index of the token behind it."""

_UNITS = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
    *("ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen"),
    *("eighteen", "nineteen"),
)
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_SMALL = {word: n for n, word in enumerate(_UNITS)} | {"oh": 0, "o": 0}
_TEN = {word: 10 * n for n, word in enumerate(_TENS, 2)}
_ORDINAL_UNITS = (
    *("zeroth", "first", "second", "third", "fourth", "fifth", "sixth", "seventh"),
    *("eighth", "ninth", "tenth", "eleventh", "twelfth", "thirteenth", "fourteenth"),
    *("fifteenth", "sixteenth", "seventeenth", "eighteenth", "nineteenth"),
)
_ORDINALS = {word: n for n, word in enumerate(_ORDINAL_UNITS)}
_ORDINALS |= {word[:-1] + "ieth": value for word, value in _TEN.items()}
_DIGIT_ORDINAL = re.compile(r"(\d{1,2})(?:st|nd|rd|th)")
_HALF_DAY = re.compile(r"\b([ap])\.? ?m\b\.?")
_TIME_BEFORE_HALF_DAY = re.compile(r"(\d)(am|pm)\b")
_NOT_IN_WORDS = re.compile(r"[^\w:' ]+|(?<!\d):|:(?!\d)|(?<!\w)'|'(?!\w)")
_POLITE_BEFORE = re.compile(
    r"\A(?:(?:please|hey|hi|hello|ok|okay|um|uh|so|well|now|just|(?:can|could|would|will) you) )+"
)
_POLITE_AFTER = re.compile(r"(?: (?:please|thanks|thank you))+\Z")


def plain(text: str) -> str:
    """Returns text in lower case, without punctuation and politeness, one space between words."""
    it = unicodedata.normalize("NFKC", text).lower().replace("\u2019", "'")
    it = _TIME_BEFORE_HALF_DAY.sub(r"\1 \2", _HALF_DAY.sub(r"\1m", it))
    it = re.sub(r"(\d)\.(\d\d)\b", r"\1:\2", it)
    it = " ".join(_NOT_IN_WORDS.sub(" ", it).split())
    return _POLITE_AFTER.sub("", _POLITE_BEFORE.sub("", it + " ").strip())


def tokens_of(text: str) -> tuple[str, ...]:
    """Returns the words of `plain` text; a time in digits, such as 7:30, is one of them."""
    return tuple(plain(text).split())


def cardinal(tokens: Sequence[str], at: int) -> Found | None:
    """Reads a number from 0 to 999 at a token: "twenty five", "a hundred and five", "25"."""
    if at < len(tokens) and tokens[at].isdecimal() and len(tokens[at]) <= 3:
        return int(tokens[at]), at + 1
    if tuple(tokens[at : at + 2]) == ("a", "hundred"):
        return _after_hundred(tokens, 100, at + 2)
    found = _below_hundred(tokens, at)
    if found and 0 < found[0] < 10 and _is(tokens, found[1], "hundred"):
        return _after_hundred(tokens, 100 * found[0], found[1] + 1)
    return found


def ordinal(tokens: Sequence[str], at: int) -> Found | None:
    """Reads an ordinal up to 99 at a token: "third", "twenty first", "3rd"."""
    if at >= len(tokens):
        return None
    word = tokens[at]
    if digits := _DIGIT_ORDINAL.fullmatch(word):
        return int(digits[1]), at + 1
    if word in _ORDINALS:
        return _ORDINALS[word], at + 1
    if word in _TEN and at + 1 < len(tokens) and 0 < _ORDINALS.get(tokens[at + 1], 0) < 10:
        return _TEN[word] + _ORDINALS[tokens[at + 1]], at + 2
    return None


def year(tokens: Sequence[str], at: int) -> Found | None:
    """Reads a year from 2000 to 2099: "twenty twenty seven", "two thousand and five", "2027"."""
    if at >= len(tokens):
        return None
    if re.fullmatch(r"20\d\d", tokens[at]):
        return int(tokens[at]), at + 1
    if list(tokens[at : at + 2]) == ["two", "thousand"]:
        rest = at + 2 + _is(tokens, at + 2, "and")
        below = _below_hundred(tokens, rest)
        return (2000 + below[0], below[1]) if below else (2000, at + 2)
    below = _below_hundred(tokens, at + 1) if tokens[at] == "twenty" else None
    return (2000 + below[0], below[1]) if below and below[0] >= 10 else None


def in_words(number: int) -> str:
    """Returns a number from 0 to 99 as it is said."""
    if number < len(_UNITS):
        return _UNITS[number]
    tens, units = divmod(number, 10)
    return _TENS[tens - 2] + (f" {_UNITS[units]}" if units else "")


def _below_hundred(tokens: Sequence[str], at: int) -> Found | None:
    if at >= len(tokens):
        return None
    if tokens[at] in _TEN:
        units = _SMALL.get(tokens[at + 1], 0) if at + 1 < len(tokens) else 0
        return (_TEN[tokens[at]] + units, at + 2) if 0 < units < 10 else (_TEN[tokens[at]], at + 1)
    return (_SMALL[tokens[at]], at + 1) if tokens[at] in _SMALL else None


def _after_hundred(tokens: Sequence[str], hundreds: int, at: int) -> Found:
    below = _below_hundred(tokens, at + _is(tokens, at, "and"))
    return (hundreds + below[0], below[1]) if below and below[0] else (hundreds, at)


def _is(tokens: Sequence[str], at: int, word: str) -> bool:
    return at < len(tokens) and tokens[at] == word
