"""Numbers, linear terms and intervals as LaTeX; exact."""

from fractions import Fraction


def signed(number: int) -> str:
    """A term to be added: "+ 4" or "- 4"."""
    return f"{'-' if number < 0 else '+'} {abs(number)}"


def linear(slope: int, constant: int) -> str:
    """A term such as "3x - 4" or "-x"."""
    first = {1: "x", -1: "-x"}.get(slope, f"{slope}x")
    return f"{first} {signed(constant)}" if constant else first


def fraction(value: Fraction) -> str:
    r"""An integer as such, otherwise `\frac{a}{b}` in lowest terms with its sign in front."""
    if value.denominator == 1:
        return str(value.numerator)
    sign = "-" if value < 0 else ""
    return rf"{sign}\frac{{{abs(value.numerator)}}}{{{value.denominator}}}"


def decimal(units: int, places: int) -> str:
    """`units` times ten to the minus `places`, without zeros at the end."""
    sign, digits = ("-" if units < 0 else ""), str(abs(units)).rjust(places + 1, "0")
    tail = digits[-places:].rstrip("0") if places else ""
    whole = digits[:-places] if places else digits
    return f"{sign}{whole}.{tail}" if tail else f"{sign}{whole}"


def interval(low: Fraction | None, high: Fraction | None, *, closed: bool) -> str:
    """An interval; a missing bound is an infinity, which is always open."""
    left = r"(-\infty" if low is None else f"{'[' if closed else '('}{fraction(low)}"
    right = r"\infty)" if high is None else f"{fraction(high)}{']' if closed else ')'}"
    return f"{left}, {right}"
