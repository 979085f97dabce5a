"""How far success and failure of the same prompt differ in each feature.

A group with both kinds of rollouts has a difference d of means, success minus failure. The estimate
is the mean of d weighted by n1 n0 / (n1 + n0), which is the coefficient of success in a regression
with an intercept for each group. Its standard error leaves out one prompt at a time (the jackknife
over clusters, CR3: J. MacKinnon and H. White, 1985), and is read with Student's t of as many
degrees of freedom as prompts in whose groups the feature varies, less one.
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from rlvr.analysis.columns import Floats, Ints, Mask
from rlvr.analysis.contrast.features import Feature, FeatureTable
from rlvr.analysis.statistics import Z_95, benjamini_hochberg, student_p, student_t

ENOUGH = 5
"""Prompts in whose groups a feature must vary before it is tested: four that agree by chance are
one in eight."""

ALPHA = 0.05
"""Share of false discoveries that is allowed among what is shown as a difference."""

_SAME = 9
"""Digits to which two features must agree within groups to be one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """One feature in success and failure of the same prompt.

    `success` and `failure` are its means over the groups, weighted alike; `difference` is success
    minus failure, with the bounds of its 95 % interval, and `standardised` the same in standard
    deviations within groups. `q` is its p-value corrected for all features that were tested
    (Benjamini-Hochberg). `groups` had both kinds of rollouts with a value, and in `varying` prompts
    the values differed within a group. `same_as` names features that say the same.
    """

    feature: Feature
    success: float
    failure: float
    difference: float
    low: float
    high: float
    standardised: float
    p: float
    q: float
    groups: int
    varying: int
    same_as: tuple[str, ...] = ()

    @property
    def survives(self) -> bool:
        """Whether it is a difference after the correction."""
        return self.q <= ALPHA


@dataclass(frozen=True, slots=True, kw_only=True)
class Contrast:
    """All effects: those that survive the correction first, the largest standardised before.

    `constant` features vary within no group, and `sparse` ones within those of fewer than ENOUGH
    prompts; neither was tested. `rare` were not looked at.
    """

    effects: tuple[Effect, ...]
    constant: tuple[str, ...]
    sparse: tuple[str, ...]
    rare: int

    @property
    def surviving(self) -> tuple[Effect, ...]:
        """The effects that are differences after the correction."""
        return tuple(effect for effect in self.effects if effect.survives)


def contrast(table: FeatureTable, *, success: Mask, group: Ints, prompt: Ints) -> Contrast:
    """The effects of a table whose rollouts succeeded or not, shape (rollouts,) each.

    `group` and `prompt` number the groups and their prompts from 0; several groups may have one
    prompt, and the prompts are the independent units.
    """
    centred = _centred(table.values, group)
    first: dict[bytes, int] = {}
    alike: dict[int, list[str]] = {}
    constant, sparse, found = [], [], {}
    for at, feature in enumerate(table.features):
        effect = _effect(feature, table.values[:, at], success, group, prompt)
        if effect is None or not effect.varying:
            constant.append(feature.name)
        elif effect.varying < ENOUGH:
            sparse.append(feature.name)
        else:
            key = _direction(centred[:, at])
            place = first.setdefault(key, at)
            if place == at:
                found[at] = effect
            else:
                alike.setdefault(place, []).append(feature.name)
    effects = [replace(effect, same_as=tuple(alike.get(at, ()))) for at, effect in found.items()]
    q_values = benjamini_hochberg([effect.p for effect in effects])
    corrected = [replace(effect, q=q) for effect, q in zip(effects, q_values, strict=True)]
    return Contrast(
        effects=tuple(sorted(corrected, key=_rank)),
        constant=tuple(constant),
        sparse=tuple(sparse),
        rare=table.rare,
    )


def _rank(effect: Effect) -> tuple[bool, float, float, str]:
    size = -abs(effect.standardised)
    return not effect.survives, 0.0 if effect.survives else effect.p, size, effect.feature.name


def _centred(values: Floats, group: Ints) -> Floats:
    """The values less the means of their groups; NaN stays."""
    found = np.array(values)
    count = int(group.max(initial=-1)) + 1
    for at in range(values.shape[1]):
        known = np.isfinite(values[:, at])
        sizes = np.maximum(np.bincount(group[known], minlength=count), 1)
        sums = np.bincount(group[known], weights=values[known, at], minlength=count)
        found[:, at] -= (sums / sizes)[group]
    return found


def _direction(centred: Floats) -> bytes:
    """The same for features that are the same up to a factor within groups."""
    scale = float(np.nanmax(np.abs(centred), initial=0.0)) or 1.0
    first = centred[np.flatnonzero(np.nan_to_num(centred))[:1]]
    sign = -1.0 if len(first) and first[0] < 0 else 1.0
    return (np.round(centred * sign / scale, _SAME) + 0.0).tobytes()


def _effect(
    feature: Feature, values: Floats, success: Mask, group: Ints, prompt: Ints
) -> Effect | None:
    """The effect of one feature, its q the p-value; None without a group of both kinds."""
    known = np.isfinite(values)
    x, s, g = values[known], success[known], group[known]
    count = int(group.max(initial=-1)) + 1
    of_success = np.bincount(g[s], minlength=count)
    of_failure = np.bincount(g[~s], minlength=count)
    both = (of_success > 0) & (of_failure > 0)
    if not both.any():
        return None
    means = [
        np.bincount(g[side], weights=x[side], minlength=count)[both] / sizes[both]
        for side, sizes in ((s, of_success), (~s, of_failure))
    ]
    weight = (of_success * of_failure / np.maximum(of_success + of_failure, 1))[both]
    within, varies = _within(x, g, both)
    owner = np.zeros(count, np.int64)
    owner[group] = prompt
    units, unit = np.unique(owner[both], return_inverse=True)
    varying = len(np.unique(owner[both][varies]))
    difference = float((weight * (means[0] - means[1])).sum() / weight.sum())
    error = _jackknife(weight * (means[0] - means[1]), weight, unit, len(units))
    half = student_t(Z_95, varying - 1) * error
    # However alike the differences are, k prompts can't prove more than k equal signs do.
    p = max(_p_value(difference, error, varying), 2.0 ** (1 - varying))
    return Effect(
        feature=feature,
        success=float((weight * means[0]).sum() / weight.sum()),
        failure=float((weight * means[1]).sum() / weight.sum()),
        difference=difference,
        low=difference - half,
        high=difference + half,
        standardised=difference / within if within > 0 else 0.0,
        p=p,
        q=p,
        groups=int(both.sum()),
        varying=varying,
    )


def _within(x: Floats, g: Ints, both: Mask) -> tuple[float, Mask]:
    """The standard deviation within the groups of both kinds, and in which of them it is not 0."""
    sizes = np.maximum(np.bincount(g, minlength=len(both)), 1)
    mean = np.bincount(g, weights=x, minlength=len(both)) / sizes
    squares = np.bincount(g, weights=(x - mean[g]) ** 2, minlength=len(both))[both]
    tiny = 1e-18 * np.maximum(1.0, mean[both] ** 2)
    freedom = float((sizes[both] - 1).sum())
    return math.sqrt(float(squares.sum()) / freedom), np.asarray(squares > tiny)


def _jackknife(weighted: Floats, weight: Floats, unit: Ints, units: int) -> float:
    """The standard error of sum(weighted) / sum(weight) over units; NaN with a single one.

    Where all units agree to the last digit, one more that shows no difference is imagined: nobody
    knows a difference without error.
    """
    sums = np.bincount(unit, weights=weighted, minlength=units)
    weights = np.bincount(unit, weights=weight, minlength=units)
    if units < 2:
        return math.nan
    left = (sums.sum() - sums) / (weights.sum() - weights)
    value = sums.sum() / weights.sum()
    if np.allclose(left, value, rtol=1e-9, atol=0.0):
        sums, weights = np.append(sums, 0.0), np.append(weights, weights.mean())
        left = (sums.sum() - sums) / (weights.sum() - weights)
        value = sums.sum() / weights.sum()
    squares = float(((left - value) ** 2).sum())
    return math.sqrt(squares * (len(sums) - 1) / len(sums))


def _p_value(difference: float, error: float, varying: int) -> float:
    """Two-sided; 1 where nobody can tell."""
    if not error > 0:
        return 1.0
    p = student_p(difference / error, varying - 1)
    return 1.0 if math.isnan(p) else p
