"""The gap between two mean rewards, taken apart into lines that add up to it.

Each step makes the two sides alike in one more respect; what the gap loses by it is that line's.
What remains is taken apart by what became of the rollouts: the difference in the share of a kind,
times what a rollout of that kind gets beside a sound one (E. Kitagawa, Journal of the American
Statistical Association 50, 1955; A. Blinder, 1973; R. Oaxaca, 1973). docs/parity.md has the
formulas.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from rlvr.analysis.columns import Floats
from rlvr.parity.behaviour import ANSWERS, Cells, behaviour
from rlvr.parity.categories import Kind
from rlvr.parity.intervals import Estimate, Sums, difference, estimate, sums
from rlvr.parity.resampling import ENOUGH, blocks_of, bounds, by_block, draws
from rlvr.parity.result import Account, Line, LineKind
from rlvr.parity.sides import Pair
from rlvr.parity.stages import CELLS, Staged, Stages, stages_of

SCORING = "scoring"
FORMULA = "reward-formula"
EXAMPLES = "examples"
REST = "rest"
_MEANS = 6
_ROUNDING = 1e-12
_NOTHING = np.zeros(1)


@dataclass(frozen=True, kw_only=True)
class Accounted:
    """An account, and what it was made from."""

    account: Account
    stages: Stages


def account_of(pair: Pair, measure: str | None) -> Accounted:
    """The account of a component, or of the total with None. Both sides have rollouts."""
    stages = stages_of(pair, measure)
    own = [
        sums(staged.recorded, np.ones(len(staged.recorded)), cluster, pair.count)
        for staged, cluster in zip((stages.a, stages.b), pair.clusters, strict=True)
    ]
    fraction = all(side.fraction for side in own)
    a, b = (Sums(hits=side.hits, trials=side.trials, fraction=fraction) for side in own)
    account = Account(
        measure=measure or "reward",
        percent=fraction,
        a=estimate(a),
        b=estimate(b),
        gap=difference(a, b),
        unscored_a=int(np.isnan(stages.a.recorded).sum()),
        unscored_b=int(np.isnan(stages.b.recorded).sum()),
    )
    return Accounted(account=_with_lines(account, stages, pair), stages=stages)


def _with_lines(account: Account, stages: Stages, pair: Pair) -> Account:
    """The account with its lines; none where a side has no reward."""
    if not stages.a.weights.any() or not stages.b.weights.any():
        return account
    of_a, of_b = _resampled(stages, pair)
    terms, others = _terms(of_a, of_b, stages)
    enough = min(account.a.clusters, account.b.clusters) >= ENOUGH
    lines = [_line(code, values, account, enough=enough) for code, values in terms.items()]
    marked = (replace(line, beside_other=line.code in others) for line in lines)
    return replace(account, lines=tuple(marked))


def _line(code: str, values: Floats, account: Account, *, enough: bool) -> Line:
    """One line from its value in the record (the first) and in every resample."""
    values = np.where(np.abs(values) > _ROUNDING, values, 0.0)
    value, gap = float(values[0]), account.gap.value
    low, high = bounds(values[1:], 0.95) if enough else (np.nan, np.nan)
    surely = bounds(values[1:], 0.99) if enough else (np.nan, np.nan)
    with_gap = account.real and value * gap > 0
    return Line(
        code=code,
        title=_TITLES[code] if code in _TITLES else Kind(code).label,
        kind=_KINDS.get(code, LineKind.MEASURED),
        points=Estimate(
            value=value,
            low=low,
            high=high,
            n=account.a.n + account.b.n,
            clusters=account.gap.clusters,
        ),
        share=value / gap if with_gap else None,
        proven=surely[0] > 0 or surely[1] < 0,
    )


_TITLES = {
    SCORING: "scoring: both by one scorer",
    FORMULA: "component weights",
    EXAMPLES: "which examples were asked",
    ANSWERS: "what answers that state the reference get",
    REST: "what is left",
}
_KINDS = {ANSWERS: LineKind.ESTIMATE, REST: LineKind.REST}


def _resampled(stages: Stages, pair: Pair) -> tuple[Floats, Floats]:
    """The sums of both sides as recorded and in every resample of the examples, which are drawn
    once for both. Shape (1 + RESAMPLES, columns)."""
    drawn: Floats | None = None
    found = []
    for staged, clusters in zip((stages.a, stages.b), pair.clusters, strict=True):
        block, blocks = blocks_of(clusters, pair.count)
        drawn = draws(blocks) if drawn is None else drawn
        found.append(drawn @ by_block(block, blocks, _columns(staged)))
    return found[0], found[1]


def _columns(staged: Staged) -> list[Floats]:
    """What the account is a function of, summed over rollouts."""
    known = np.isfinite(staged.recorded).astype(np.float64)
    base = staged.base.astype(np.float64)
    weighed = np.where(staged.base, staged.weighed, 0.0)
    columns = [
        known,
        np.where(known > 0, staged.recorded, 0.0),
        base,
        np.where(staged.base, staged.recorded, 0.0),
        np.where(staged.base, staged.scored, 0.0),
        weighed,
    ]
    inside = [np.where(staged.cell == cell, staged.weights, 0.0) for cell in range(CELLS)]
    return columns + inside + [weights * weighed for weights in inside]


def _terms(a: Floats, b: Floats, stages: Stages) -> tuple[Mapping[str, Floats], frozenset[str]]:
    """The lines, each in the record and in every resample; they add up to the gap in each. And
    which of them set rollouts beside those of the other side."""
    with np.errstate(invalid="ignore", divide="ignore"):
        of_a, of_b = _means(a), _means(b)
        gaps = [after - before for before, after in zip(of_a, of_b, strict=True)]
        parts, others = behaviour(_cells(a), _cells(b))
    terms: dict[str, Floats] = {}
    if stages.source is not None:
        terms[SCORING] = gaps[0] - gaps[1]
    if stages.reweighed:
        terms[FORMULA] = gaps[1] - gaps[2]
    if stages.shared is not None:
        terms[EXAMPLES] = gaps[2] - gaps[3]
    if all(stages.anew):
        del parts[ANSWERS]  # both sides have one scorer: what differs is the answers
    terms |= parts
    if not np.abs(terms.get(ANSWERS, _NOTHING)).max() > _ROUNDING:
        terms.pop(ANSWERS, None)
    rest = gaps[0] - sum(terms.values())
    return {**terms, REST: np.asarray(rest)}, others


def _means(sums_of: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """The mean as recorded, with one scorer, with the same weights, and on the same examples."""
    known, recorded, base, before, scored, weighed = sums_of[:, :_MEANS].T
    first = recorded / known
    second = first + (scored - before) / base
    third = second + (weighed - scored) / base
    return first, second, third, _cells(sums_of).whole


def _cells(sums_of: Floats) -> Cells:
    """What follows the sums of the means: the weights of each cell, then its weighted rewards."""
    middle = _MEANS + CELLS
    return Cells(size=sums_of[:, _MEANS:middle], values=sums_of[:, middle:])
