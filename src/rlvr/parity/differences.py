"""Every difference of two sides, ranked by whether it can explain the gap."""

from collections.abc import Iterator

import numpy as np

from rlvr.parity.account import EXAMPLES, FORMULA, SCORING
from rlvr.parity.categories import Kind, masks_of
from rlvr.parity.intervals import Estimate
from rlvr.parity.judged import LEAST, Judged, examples, explains
from rlvr.parity.result import Account, Difference, Example, Line, Rate, Standing
from rlvr.parity.scoring import scoring_differences, thread_is_cause
from rlvr.parity.settings_judged import prompt_standing, setting_differences
from rlvr.parity.sides import Side
from rlvr.parity.stages import weights_of
from rlvr.parity.wording import counted, level, percent, points

_ORDER = (
    "answers-scored-otherwise",
    "prompt",
    "unparsed-calls",
    "calling",
    "tool-calls",
    "tool-schemas",
    "chat-template",
    "system-prompt",
    "sampling",
    "limits",
    "scoring-thread",
    "scorers",
    "examples",
    "dataset",
    "model",
    "policy-version",
    "environment",
)
_RANK = {Standing.EXPLAINS: 0, Standing.MAY: 1, Standing.CANNOT: 2}


def differences_of(judged: Judged) -> tuple[Difference, ...]:
    """All of them: those that explain by their share of the gap, then those that may, then those
    that can't."""
    measured = list(_from_lines(judged))
    codes = {one.code for one in measured}
    if any(thread_is_cause(side, judged.measure) for side in judged.sides):
        codes |= {"scoring-thread"} if SCORING in codes else set()  # it is that difference
    found = [
        *measured,
        *_from_rates(judged, codes),
        *_prompt(judged),
        *_policy(judged),
        *_examples(judged, codes),
        *setting_differences(judged, codes),
    ]
    return tuple(sorted(found, key=_rank))


def _rank(one: Difference) -> tuple[int, float, int]:
    group = one.code.partition(".")[0]
    place = _ORDER.index(group) if group in _ORDER else len(_ORDER)
    return _RANK[one.standing], -(one.share or 0.0), place


def _from_lines(judged: Judged) -> Iterator[Difference]:
    yield from scoring_differences(judged)
    account = judged.account
    for kind in Kind:
        line = account.line(kind.value)
        if line is not None and explains(line, account):
            yield _kind(judged, kind, line)
    line = account.line(EXAMPLES)
    if line is not None and explains(line, account):
        yield _other_examples(judged, line)
    weighed = judged.total.account if judged.total else account
    line = weighed.line(FORMULA)
    if line is not None and explains(line, weighed):
        yield _other_weights(judged, line, weighed)


def _kind(judged: Judged, kind: Kind, line: Line) -> Difference:
    """Rollouts of a kind that one side has more of."""
    staged = (judged.outcome.stages.a, judged.outcome.stages.b)
    names = [judged.pair.name(side) for side in judged.sides]
    cells = [one.kinds == kind.place for one in staged]
    shares = [
        float(np.average(where, weights=one.weights))
        for where, one in zip(cells, staged, strict=True)
    ]
    more = int(shares[1] > shares[0])
    own = cells[more] & (staged[more].weights > 0)
    gets = _gets(judged, more, kind)
    reference = 1 - more if line.beside_other else more
    sound = _gets(judged, reference, Kind.SOUND)
    beside = f"; sound ones of {names[reference]} get {sound}" if sound else ""
    few = f" ({names[more]} has too few of its own)" if line.beside_other and sound else ""
    return Difference(
        code=kind.value,
        name=kind.label,
        standing=Standing.EXPLAINS,
        why=f"{kind.meaning}: {percent(shares[0])} of {names[0]}, {percent(shares[1])} of"
        f" {names[1]}; in {names[more]} they get {gets}{beside}{few}",
        a=shares[0],
        b=shares[1],
        points=line.points,
        share=line.share,
        examples=examples(judged.sides[more], own, f"{names[more]}: {kind.label}"),
        remedy=kind.remedy,
    )


def _gets(judged: Judged, side: int, kind: Kind) -> str:
    """What rollouts of a kind get on one side; empty where there is none."""
    staged = (judged.outcome.stages.a, judged.outcome.stages.b)[side]
    where = (staged.kinds == kind.place) & (staged.weights > 0)
    if not where.any():
        return ""
    mean = np.average(staged.weighed[where], weights=staged.weights[where])
    return level(float(mean), percentages=judged.account.percent)


def _other_examples(judged: Judged, line: Line) -> Difference:
    shared = judged.outcome.stages.shared or 0
    of_a, of_b = judged.pair.examples(0), judged.pair.examples(1)
    return Difference(
        code="examples",
        name="which examples were asked, and how often",
        standing=Standing.EXPLAINS,
        why=f"A has {counted(of_a, 'example')}, B {counted(of_b, 'example')}, {shared:,} are on"
        " both sides; on these, each counting alike, the gap is smaller by that much",
        a=of_a,
        b=of_b,
        points=line.points,
        share=line.share,
        evidence={"shared": shared},
        remedy="evaluate on the examples that are trained on, or the other way round, before"
        " anything else is compared",
    )


def _other_weights(judged: Judged, line: Line, account: Account) -> Difference:
    return Difference(
        code="component-weights",
        name="how components are weighed into the reward",
        standing=Standing.EXPLAINS,
        why=f"of the total reward: A's rollouts under B's weights move by"
        f" {points(line.points.value, percentages=account.percent)}",
        a=dict(weights_of(judged.pair.a)),
        b=dict(weights_of(judged.pair.b)),
        points=line.points,
        share=line.share,
        remedy="compare a component, not the totals, or give both runs the same weights",
    )


def _from_rates(judged: Judged, codes: set[str]) -> Iterator[Difference]:
    """Behaviour that differs beyond chance, where no line has it already."""
    for rate in judged.rates.values():
        if rate.differs and rate.code not in codes and not rate.code.startswith("rescore"):
            yield _rate(judged, rate)


def _rate(judged: Judged, rate: Rate) -> Difference:
    line = judged.account.line(rate.code)
    standing, why = Standing.MAY, _SYMPTOMS.get(rate.code, "it may be a cause or an effect")
    if line is not None and judged.account.real:
        value = points(line.points.value, percentages=judged.account.percent)
        if line.share is None and line.proven:
            standing, why = Standing.CANNOT, f"it works against the gap, by {value}"
        elif line.share is None or line.share < LEAST:
            standing, why = Standing.CANNOT, f"its line of the account is {value}"
        else:
            why = f"its line of the account is {value}, which chance may be"
    return Difference(
        code=rate.code,
        name=rate.name,
        standing=standing,
        why=why,
        a=None if rate.a is None else rate.a.value,
        b=None if rate.b is None else rate.b.value,
        evidence={"unit": rate.unit, "a": _bounds(rate.a), "b": _bounds(rate.b)},
        examples=_rate_examples(judged, rate),
        remedy=Kind(rate.code).remedy if rate.code in list(Kind) else "",
    )


_SYMPTOMS = {
    "calling": "how often a tool is called follows from the prompt, the schemas, the server's"
    " parser and the policy",
    "tool-calls": "how often a tool is called follows from the prompt, the schemas, the server's"
    " parser and the policy",
    "tool-errors": "a tool that fails more often answers less",
    "reference-stated": "the answers themselves hold the reference more often on one side, whatever"
    " a scorer makes of them",
    "sampled-tokens": "longer or shorter answers may be a cause or an effect",
    "served-prompt-tokens": "another prompt, or other questions",
    "turns": "more or fewer turns may be a cause or an effect",
}


def _bounds(found: Estimate | None) -> list[float] | None:
    return None if found is None else [found.low, found.high]


def _rate_examples(judged: Judged, rate: Rate) -> tuple[Example, ...]:
    if rate.code not in list(Kind) or rate.a is None or rate.b is None:
        return ()
    side: Side = judged.sides[int(rate.b.value > rate.a.value)]
    kind = Kind(rate.code)
    where = side.failed(judged.measure) if kind is Kind.SCORER else masks_of(side.columns)[kind]
    return examples(side, where, f"{judged.pair.name(side)}: {kind.label}")


def _prompt(judged: Judged) -> Iterator[Difference]:
    found = judged.prompt
    if found is None or not found.differing or found.a is None or found.b is None:
        return
    standing, why = prompt_standing(judged)
    yield Difference(
        code="prompt",
        name="the rendered prompt",
        standing=standing,
        why=why,
        a=found.a.before + found.a.at + found.a.after,
        b=found.b.before + found.b.at + found.b.after,
        evidence={"level": found.level, "pairs": found.pairs, "differing": found.differing},
        prompt=found,
        remedy="render both prompts from the same messages, tool schemas and chat template",
    )


def _policy(judged: Judged) -> Iterator[Difference]:
    spans = [_versions(side) for side in judged.sides]
    if spans[0] == spans[1]:
        return
    shown = [str(low) if low == high else f"{low} to {high}" for low, high in spans]
    yield Difference(
        code="policy-version",
        name="updates in the weights that answered",
        standing=Standing.MAY,
        why="the policy may have learnt or forgotten in between; two records can't tell it from"
        " other causes",
        a=shown[0],
        b=shown[1],
        remedy="evaluate a checkpoint of the steps compared, or take other --steps-a and --steps-b",
    )


def _versions(side: Side) -> tuple[int, int]:
    """The oldest and newest weights that answered; by the step where turns do not say."""
    versions = side.columns.numbers("derived_policy_version")
    known = versions[np.isfinite(versions)]
    if not len(known):
        known = side.columns.numbers("step")
    return int(known.min()), int(known.max())


def _examples(judged: Judged, codes: set[str]) -> Iterator[Difference]:
    shared = int(judged.pair.shared.sum())
    counts = judged.pair.examples(0), judged.pair.examples(1)
    if EXAMPLES in codes or shared == counts[0] == counts[1]:
        return
    line = judged.account.line(EXAMPLES)
    standing, why = Standing.MAY, f"{counted(shared, 'example')} on both sides: too few to tell"
    if line is not None:
        value = points(line.points.value, percentages=judged.account.percent)
        why = f"on the {shared:,} examples of both sides the gap differs by {value}"
        small = line.share is None or line.share < LEAST
        standing = Standing.CANNOT if judged.account.real and small else Standing.MAY
    yield Difference(
        code=EXAMPLES,
        name="which examples were asked",
        standing=standing,
        why=why,
        a=counts[0],
        b=counts[1],
        evidence={"shared": shared},
        remedy="evaluate on the examples that were trained on: then the questions are the same",
    )
