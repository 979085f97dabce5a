"""Comparing an answer with the right ones, in the way of SQuAD.

Lower case, no punctuation, no articles, single spaces, as in SQuAD's evaluation script. Beyond it,
because MuSiQue's answers need it: TeX and typographic quotes go like ASCII ones, a dash separates
words, a decimal point stays, a thousands comma goes, and numbers in words up to ninety-nine equal
their digits ("twenty-first" is "21st"). A text that holds nothing but articles keeps them.
"""

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable


def _numbered(words: str, *, start: int = 0, step: int = 1) -> dict[str, int]:
    return {word: step * number for number, word in enumerate(words.split(), start=start)}


_CARDINALS = _numbered(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
    "fifteen sixteen seventeen eighteen nineteen"
) | _numbered("twenty thirty forty fifty sixty seventy eighty ninety", start=2, step=10)
_ORDINALS = _numbered(
    "zeroth first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth "
    "thirteenth fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth"
) | _numbered(
    "twentieth thirtieth fortieth fiftieth sixtieth seventieth eightieth ninetieth",
    start=2,
    step=10,
)
_ARTICLES = frozenset({"a", "an", "the"})
_SUFFIXES = {1: "st", 2: "nd", 3: "rd"}


def normalize(text: str) -> str:
    """The form in which answers are compared."""
    text = unicodedata.normalize("NFKC", text).lower()
    text = re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", text)
    text = "".join(_kept(text, place) for place in range(len(text)))
    words = _numbers_as_digits(text.split())
    return " ".join([word for word in words if word not in _ARTICLES] or words)


def exact(answer: str | None, right: Iterable[str]) -> float:
    """1.0 if the answer equals one of the right ones after normalisation, else 0.0."""
    return _best(answer, right, lambda ours, theirs: float(ours == theirs))


def overlap(answer: str | None, right: Iterable[str]) -> float:
    """The best F1 of words shared with one of the right answers, in [0, 1]."""
    return _best(answer, right, _word_f1)


def f1_score(precision: float, recall: float) -> float:
    """Harmonic mean; 0 where both are 0."""
    both = precision + recall
    return 2 * precision * recall / both if both else 0.0


def _best(answer: str | None, right: Iterable[str], score: Callable[[str, str], float]) -> float:
    ours = normalize(answer or "")
    if not ours:
        return 0.0
    return max((score(ours, normalize(text)) for text in right), default=0.0)


def _word_f1(ours: str, theirs: str) -> float:
    our_words, their_words = ours.split(), theirs.split()
    shared = (Counter(our_words) & Counter(their_words)).total()
    if not shared:
        return 0.0
    return f1_score(shared / len(our_words), shared / len(their_words))


def _kept(text: str, place: int) -> str:
    """What becomes of one character: itself, nothing (punctuation) or a space (a dash)."""
    character = text[place]
    category = unicodedata.category(character)
    if category == "Pd" or character == "\u2212":
        return " "
    if character == "." and re.match(r"\d\.\d", text[max(place - 1, 0) : place + 2]):
        return character
    if category.startswith("P") or character in string.punctuation:
        return ""
    return character


def _numbers_as_digits(words: list[str]) -> list[str]:
    digits: list[str] = []
    tens = 0
    for word in [*words, ""]:
        number = _CARDINALS.get(word, _ORDINALS.get(word))
        if tens and number is not None and 0 < number < 10:
            number, tens = tens + number, 0
        elif tens:
            digits.append(str(tens))
            tens = 0
        if number is None:
            digits.append(word)
        elif word in _ORDINALS:
            digits.append(_ordinal(number))
        elif number >= 20 and number % 10 == 0:
            tens = number
        else:
            digits.append(str(number))
    return digits[:-1]


def _ordinal(number: int) -> str:
    teens = 10 <= number % 100 < 20
    return f"{number}{'th' if teens else _SUFFIXES.get(number % 10, 'th')}"
