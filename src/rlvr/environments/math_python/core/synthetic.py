r"""Problems with exact answers, from sums to algebra, made from a seed.

A problem's split is decided by its text alone, so that none can occur in two splits, whatever the
seeds. Levels: 1 sums, 2 fractions, decimals and short stories, 3 linear equations, 4 quadratics
and inequalities, 5 what calls for a program. Answers are LaTeX as mathematics writes it: `-7`,
`\frac{5}{6}`, `0.75`, `(-\infty, 3]`.
"""

import math
import random
import zlib
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import TypedDict

from rlvr.environments.math_python.core import stories
from rlvr.environments.math_python.core.latex import decimal, fraction, interval, linear, signed
from rlvr.errors import ConfigurationError

SPLITS = {"warm": (0,), "validation": (1,), "test": (2,), "train": tuple(range(3, 16))}
"""Which residues of a question's checksum modulo 16 belong to a split."""
ROWS_PER_RESIDUE = 1500
_TRIES_PER_ROW = 400


class Row(TypedDict):
    """One problem."""

    id: str
    question: str
    answer: str
    level: int
    kind: str


def rows(*, seed: int, count: int, split: str) -> Iterator[Row]:
    """`count` rows with different questions; equal arguments give equal rows.

    Raises ConfigurationError for an unknown split, or for more rows than the split has
    to give: 1,500 for each of its residues.
    """
    if split not in SPLITS:
        raise ConfigurationError(
            f"synthetic dataset: no split {split!r}; use one of {', '.join(sorted(SPLITS))}"
        )
    most = ROWS_PER_RESIDUE * len(SPLITS[split])
    if not 0 <= count <= most:
        raise ConfigurationError(
            f"synthetic split {split!r}: {count} rows asked for, it has between 0 and {most}; "
            "ask for fewer, or use another seed for more"
        )
    chance = random.Random(f"{split}/{seed}")
    seen: set[str] = set()
    while len(seen) < count:
        level, kind = chance.choice(_KINDS)
        question, answer = _new(chance, kind, split, seen)
        seen.add(question)
        yield Row(
            id=f"{split}-{seed}-{len(seen) - 1:05d}",
            question=question,
            answer=answer,
            level=level,
            kind=kind.__name__,
        )


def belongs(question: str, split: str) -> bool:
    """Whether a question is one of that split's."""
    return zlib.crc32(question.encode()) % 16 in SPLITS[split]


Problem = tuple[str, str]
Kind = Callable[[random.Random], Problem]


def _new(chance: random.Random, kind: Kind, split: str, seen: set[str]) -> Problem:
    for _ in range(_TRIES_PER_ROW):
        question, answer = kind(chance)
        if question not in seen and belongs(question, split):
            return question, answer
    raise ConfigurationError(
        f"the synthetic dataset has no further problems of kind {kind.__name__!r} in split "
        f"{split!r}; ask for fewer rows"
    )


def sums(chance: random.Random) -> Problem:
    """Three integers, with precedence and signs."""
    a, b, c = chance.randint(2, 99), chance.randint(2, 99), chance.randint(-99, 99)
    if chance.random() < 0.5:
        return rf"Compute ${a} \cdot {b} {signed(c)}$.", str(a * b + c)
    return rf"Compute ${c} - {a} \cdot {b}$.", str(c - a * b)


def brackets(chance: random.Random) -> Problem:
    """A bracket times an integer."""
    a, b, c = chance.randint(-50, 50), chance.randint(1, 60), chance.choice([-1, 1])
    factor = c * chance.randint(2, 12)
    return rf"Compute $({a} - {b}) \cdot ({factor})$.", str((a - b) * factor)


def fractions(chance: random.Random) -> Problem:
    """The sum or the difference of two fractions."""
    first = Fraction(chance.randint(1, 20), chance.randint(2, 15))
    second = Fraction(chance.randint(1, 20), chance.randint(2, 15))
    plus = chance.random() < 0.5
    result = first + second if plus else first - second
    question = (
        f"Write ${fraction(first)} {'+' if plus else '-'} {fraction(second)}$ in lowest terms."
    )
    return question, fraction(result)


def decimals(chance: random.Random) -> Problem:
    """The product of two decimals."""
    first, second = chance.randint(11, 999), chance.randint(11, 99)
    question = rf"Compute ${decimal(first, 2)} \cdot {decimal(second, 1)}$ exactly."
    return question, decimal(first * second, 3)


def story(chance: random.Random) -> Problem:
    """A short story with one number at its end."""
    return stories.story(chance)


def equation(chance: random.Random) -> Problem:
    """A linear equation with x on both sides."""
    a, c = chance.sample([n for n in range(-12, 13) if n], 2)
    b, d = chance.randint(-40, 40), chance.randint(-40, 40)
    question = f"Solve ${linear(a, b)} = {linear(c, d)}$ for $x$."
    return question, fraction(Fraction(d - b, a - c))


def system(chance: random.Random) -> Problem:
    """Two linear equations in two unknowns."""
    x, y = chance.randint(-15, 15), chance.randint(-15, 15)
    a, b = chance.randint(2, 9), chance.randint(2, 9)
    c, d = chance.randint(2, 9), -chance.randint(2, 9)
    question = (
        f"Find $x - y$, given that ${a}x + {b}y = {a * x + b * y}$ "
        f"and ${c}x - {-d}y = {c * x + d * y}$."
    )
    return question, str(x - y)


def quadratic(chance: random.Random) -> Problem:
    """One root of a quadratic with integer roots."""
    low, high = sorted(chance.sample(range(-60, 61), 2))
    larger = chance.random() < 0.5
    middle = f" {signed(-(low + high))}x" if low + high else ""
    question = (
        f"What is the {'larger' if larger else 'smaller'} root of "
        f"$x^2{middle} {signed(low * high)} = 0$?"
    )
    return question, str(high if larger else low)


def inequality(chance: random.Random) -> Problem:
    """A linear inequality; the answer is a ray."""
    a, b, c = chance.randint(2, 9), chance.randint(-30, 30), chance.randint(-30, 30)
    a = chance.choice([-a, a])
    strict = chance.random() < 0.5
    bound = Fraction(c - b, a)
    question = (
        f"Solve ${linear(a, b)} {'<' if strict else chr(92) + 'le'} {c}$. "
        "Write the solutions as an interval."
    )
    low, high = (None, bound) if a > 0 else (bound, None)
    return question, interval(low, high, closed=not strict)


def distance(chance: random.Random) -> Problem:
    """An absolute value; the answer is a bounded interval."""
    centre, radius = chance.randint(-30, 30), chance.randint(1, 40)
    strict = chance.random() < 0.5
    question = (
        f"Solve $|x {signed(-centre)}| {'<' if strict else chr(92) + 'le'} {radius}$. "
        "Write the solutions as an interval."
    )
    low, high = Fraction(centre - radius), Fraction(centre + radius)
    return question, interval(low, high, closed=not strict)


def remainder(chance: random.Random) -> Problem:
    """The remainder of a high power."""
    base, exponent, modulus = chance.randint(2, 99), chance.randint(50, 999), chance.randint(7, 99)
    question = f"What is the remainder when ${base}^{{{exponent}}}$ is divided by ${modulus}$?"
    return question, str(pow(base, exponent, modulus))


def multiples(chance: random.Random) -> Problem:
    """A sum over the numbers below a bound that one of two numbers divides."""
    bound, (a, b) = chance.randint(50, 2000), sorted(chance.sample(range(2, 20), 2))
    total = sum(n for n in range(1, bound) if n % a == 0 or n % b == 0)
    question = (
        f"Find the sum of all positive integers below {bound} that are divisible by {a} or by {b}."
    )
    return question, str(total)


def digits(chance: random.Random) -> Problem:
    """The digit sum of a product of many factors."""
    top, factor = chance.randint(10, 90), chance.randint(3, 199)
    question = rf"What is the sum of the decimal digits of ${factor} \cdot {top}!$?"
    return question, str(sum(map(int, str(factor * math.factorial(top)))))


_KINDS: tuple[tuple[int, Kind], ...] = (
    (1, sums),
    (1, brackets),
    (2, fractions),
    (2, decimals),
    (2, story),
    (2, story),
    (3, equation),
    (3, system),
    (4, quadratic),
    (4, inequality),
    (4, distance),
    (5, remainder),
    (5, multiples),
    (5, digits),
)
LEVELS = tuple(sorted({level for level, _ in _KINDS}))
