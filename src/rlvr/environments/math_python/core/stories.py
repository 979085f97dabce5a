"""Short word problems. Each has one number as its answer, exact."""

import random
from fractions import Fraction

from rlvr.environments.math_python.core.latex import decimal, fraction

_NAMES = (
    *("Mira", "Dan", "Lena", "Oskar", "Pim", "Ola", "Runa", "Tevin", "Isla", "Bram"),
    *("Kesi", "Jorun", "Alva", "Niko", "Sefa", "Yara", "Milo", "Dara", "Egon", "Fenna"),
)
_GOODS = ("pencils", "notebooks", "apples", "stamps", "ribbons", "marbles", "lamps", "mugs")
_MOVERS = ("cyclist", "walker", "boat", "tram", "kite", "barge")


def story(chance: random.Random) -> tuple[str, str]:
    """A question and its answer."""
    return chance.choice((_shopping, _travel, _sharing, _ages, _discount, _mixture, _work))(chance)


def _shopping(chance: random.Random) -> tuple[str, str]:
    name, (first, second) = chance.choice(_NAMES), chance.sample(_GOODS, 2)
    many, few = chance.randint(2, 12), chance.randint(1, 9)
    cents, more = chance.randrange(15, 400, 5), chance.randrange(15, 400, 5)
    paid = many * cents + few * more + chance.randrange(0, 2000, 5)
    left = paid - many * cents - few * more
    return (
        f"{name} buys {many} {first} at {decimal(cents, 2)} dollars each and {few} {second} at "
        f"{decimal(more, 2)} dollars each, and pays with {decimal(paid, 2)} dollars. How many "
        "dollars does the change come to?",
        decimal(left, 2),
    )


def _travel(chance: random.Random) -> tuple[str, str]:
    mover = chance.choice(_MOVERS)
    speed, minutes = chance.randint(3, 60), chance.randrange(10, 300, 5)
    return (
        f"A {mover} moves at {speed} kilometres per hour for {minutes} minutes. How many "
        "kilometres does it cover? Give an exact value.",
        fraction(Fraction(speed * minutes, 60)),
    )


def _sharing(chance: random.Random) -> tuple[str, str]:
    name, good = chance.choice(_NAMES), chance.choice(_GOODS)
    friends, each = chance.randint(3, 15), chance.randint(4, 40)
    over = chance.randint(0, friends - 1)
    return (
        f"{name} shares {friends * each + over} {good} among {friends} friends so that all get "
        f"the same whole number and as few as possible are left. How many {good} are left?",
        str(over),
    )


def _ages(chance: random.Random) -> tuple[str, str]:
    older, younger = chance.sample(_NAMES, 2)
    gap, factor = chance.randint(2, 30), chance.randint(2, 6)
    return (
        f"{older} is {gap} years older than {younger}, and {factor} times as old. "
        f"How old is {younger}? Give an exact value in years.",
        fraction(Fraction(gap, factor - 1)),
    )


def _discount(chance: random.Random) -> tuple[str, str]:
    good = chance.choice(_GOODS)
    price, off, tax = chance.randint(5, 400), chance.randrange(5, 80, 5), chance.randint(1, 25)
    return (
        f"A box of {good} costs {price} dollars. It is reduced by {off} percent, and then "
        f"{tax} percent of tax is added. What is the final price in dollars, exactly?",
        decimal(price * (100 - off) * (100 + tax), 4),
    )


def _mixture(chance: random.Random) -> tuple[str, str]:
    weak, strong = sorted(chance.sample(range(5, 95, 5), 2))
    first, second = chance.randint(1, 20), chance.randint(1, 20)
    share = Fraction(weak * first + strong * second, first + second)
    return (
        f"{first} litres of a {weak} percent solution are mixed with {second} litres of a "
        f"{strong} percent solution. What percentage does the mixture have? Give the exact number.",
        fraction(share),
    )


def _work(chance: random.Random) -> tuple[str, str]:
    one, other = chance.sample(_NAMES, 2)
    first, second = chance.sample(range(2, 31), 2)
    return (
        f"{one} paints a fence in {first} hours, {other} in {second} hours. How many hours do they "
        "need together? Give an exact value.",
        fraction(Fraction(first * second, first + second)),
    )
