"""The answer in a few sentences."""

import math
from collections.abc import Sequence

from rlvr.parity.account import SCORING
from rlvr.parity.behaviour import ANSWERS
from rlvr.parity.categories import Kind
from rlvr.parity.judged import Judged
from rlvr.parity.result import Difference, Line, Rate, Standing
from rlvr.parity.scoring import SUSPECTED, thread_is_cause
from rlvr.parity.wording import level, percent, points

STATED = "reference-stated"
_CAUSES = 2
_ALL = 0.95


def headline(judged: Judged, differences: Sequence[Difference]) -> tuple[str, ...]:
    """How far the sides are apart, and what accounts for most of it, or that nothing does."""
    account = judged.account
    if math.isnan(account.gap.value):
        return (f"A side has no finite {account.measure}: nothing can be compared.",)
    if math.isnan(account.gap.low):
        return (_apart(judged), "Of one example nobody can tell whether that is chance.")
    if not account.real:
        return (_apart(judged),)
    causes = [one for one in differences if account.line(one.code) and _explains(one)][:_CAUSES]
    said = [_cause(judged, one, account.line(one.code)) for one in causes]
    parsing = "" if any(one.code == Kind.UNPARSED for one in causes) else _parsing(judged)
    return tuple(filter(None, (_apart(judged), *(said or [_none(judged, differences)]), parsing)))


def _explains(one: Difference) -> bool:
    return one.standing is Standing.EXPLAINS


def _apart(judged: Judged) -> str:
    """The two means, and their gap as a positive number."""
    account = judged.account
    names = [judged.pair.name(side) for side in judged.sides]
    means = [level(one.value, percentages=account.percent) for one in (account.a, account.b)]
    what = "reward" if account.measure == "reward" else account.measure
    both = f"{names[0]} {means[0]}, {names[1]} {means[1]} ({what})"
    sign = -1 if account.gap.value < 0 else 1
    bounds = sorted((sign * account.gap.low, sign * account.gap.high))
    value, low, high = (
        points(number, percentages=account.percent, unit=at == 0)
        for at, number in enumerate((sign * account.gap.value, *bounds))
    )
    gap = f"{value}, 95% interval {low} to {high}"
    if account.real:
        return f"{_sentence(both)}: a gap of {gap}."
    return f"No gap beyond chance: {both}; they differ by {gap}."


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _cause(judged: Judged, one: Difference, line: Line | None) -> str:
    verb = "accounts" if one.code in (SCORING,) else "account"
    subject = {SCORING: "scoring", "examples": "other examples"}.get(one.code, one.name)
    return f"{_sentence(subject)} {verb} for {_part(judged, line)}: {_why(judged, one)}."


def _part(judged: Judged, line: Line | None) -> str:
    account = judged.account
    if line is None or (line.share or 0.0) >= _ALL:
        return "all of it"
    part, whole = (
        points(abs(value), percentages=account.percent, unit=at == 1)
        for at, value in enumerate((line.points.value, account.gap.value))
    )
    return f"{part} of {whole}"


def _why(judged: Judged, one: Difference) -> str:
    if one.code == SCORING:
        return _scoring(judged) or one.why
    if isinstance(one.a, float) and isinstance(one.b, float):
        said = [_of(judged, one.code, side) for side in "ab"]
        return "; ".join(
            f"{percent(value)} of {name}" for value, name in zip((one.a, one.b), said, strict=True)
        )
    return one.why


def _of(judged: Judged, code: str, side: str) -> str:
    """Whose rollouts; of calls that stay text, whether any call there is parsed."""
    name = judged.pair.name(judged.pair.a if side == "a" else judged.pair.b)
    calling, held = judged.rates.get("calling"), judged.rates.get(code)
    never = calling is not None and held is not None and _value(calling, side) == 0
    if code == Kind.UNPARSED and never and held is not None and _value(held, side) > 0:
        return f"{name}'s rollouts hold one, and none calls a tool"
    return f"{name}'s rollouts"


def _scoring(judged: Judged) -> str:
    """That the thread decides the score, where it does."""
    for side in judged.sides:
        cause = thread_is_cause(side, judged.measure)
        if cause is not None:
            off, on = (
                level(value, percentages=judged.account.percent)
                for value in (cause.worker, cause.main)
            )
            return (
                f"off the main thread the scorer gives {off} to {judged.pair.name(side)}'s"
                f" rollouts, to which it gives {on} on the main thread"
            )
    return ""


def _none(judged: Judged, differences: Sequence[Difference]) -> str:
    """What to think of where nothing measured explains the gap."""
    suspected = next((one for one in differences if one.code == SUSPECTED), None)
    if suspected is not None:
        return _suspicion(judged, suspected)
    answers = _answers(judged)
    may = [one.name for one in differences if one.standing is Standing.MAY and one.code != STATED]
    if not may:
        return f"No measured cause accounts for it, and no recorded setting differs{answers}."
    rest = f" and {len(may) - 1} more" if len(may) > 1 else ""
    return f"No measured cause accounts for it{answers}; what may: {may[0]}{rest}."


def _answers(judged: Judged) -> str:
    """That the answers themselves are better on one side, whatever a scorer makes of them."""
    rate, gap = judged.rates.get(STATED), judged.account.gap.value
    if rate is None or not rate.differs:
        return ""
    a, b = _value(rate, "a"), _value(rate, "b")
    if (b - a) * gap <= 0:
        return ""
    names = [judged.pair.name(side) for side in judged.sides]
    return (
        f"; the answers themselves differ: {percent(a)} of {names[0]}'s state the reference,"
        f" {percent(b)} of {names[1]}'s"
    )


def _suspicion(judged: Judged, one: Difference) -> str:
    gets = [
        level(value, percentages=judged.account.percent)
        for value in (one.a, one.b)
        if isinstance(value, float)
    ]
    names = [judged.pair.name(side) for side in judged.sides]
    line = judged.account.line(ANSWERS)
    return (
        f"Scoring is suspected: answers that state the reference get {gets[0]} in {names[0]} and"
        f" {gets[1]} in {names[1]}, which would be {_part(judged, line)}. To know:"
        f" {one.remedy.rpartition(': ')[2]}."
    )


def _parsing(judged: Judged) -> str:
    """Decisive for a parsing problem: no call on one side, calls on the other, calls as text."""
    calling, unparsed = judged.rates.get("calling"), judged.rates.get(Kind.UNPARSED.value)
    if calling is None or unparsed is None:
        return ""
    for side, other in (("a", "b"), ("b", "a")):
        never = _value(calling, side) == 0 < _value(calling, other)
        if never and _value(unparsed, side) > _value(unparsed, other):
            name = judged.pair.name(judged.pair.a if side == "a" else judged.pair.b)
            return (
                f"{_sentence(name)} never calls a tool, yet {percent(_value(unparsed, side))} of"
                " its rollouts hold a call as text: its server does not parse calls."
            )
    return ""


def _value(rate: Rate, side: str) -> float:
    found = rate.a if side == "a" else rate.b
    return math.nan if found is None else found.value
