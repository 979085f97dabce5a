"""Two sides, compared."""

from rlvr.analysis.within import outcome_name
from rlvr.errors import ConfigurationError
from rlvr.parity.account import Accounted, account_of
from rlvr.parity.differences import differences_of
from rlvr.parity.headline import headline
from rlvr.parity.judged import Judged
from rlvr.parity.prompts import prompt_difference
from rlvr.parity.rates import rates_of
from rlvr.parity.result import Account, Parity, SideSummary
from rlvr.parity.settings import compare_settings
from rlvr.parity.sides import Pair, Side
from rlvr.parity.stages import weights_of
from rlvr.parity.unknown import unknown_of
from rlvr.parity.wording import counted


def compare(a: Side, b: Side, *, component: str | None = None) -> Parity:
    """The gap between two sides that have rollouts, its account, and every difference.

    Raises:
        ConfigurationError: neither side has the component asked for.
    """
    pair = Pair(a=a, b=b)
    measure, remark = _measure(pair, component)
    outcome = account_of(pair, measure)
    judged = Judged(
        pair=pair,
        measure=measure,
        outcome=outcome,
        total=None if measure is None else account_of(pair, None),
        settings=compare_settings(a, b),
        rates={rate.code: rate for rate in rates_of(pair, measure)},
        prompt=prompt_difference(pair),
    )
    differences = differences_of(judged)
    return Parity(
        a=_summary(pair, 0),
        b=_summary(pair, 1),
        headline=headline(judged, differences),
        account=judged.account,
        total=_total(judged.total),
        differences=differences,
        rates=tuple(judged.rates.values()),
        unknown=unknown_of(judged),
        same=(*judged.settings.same, *_same_prompts(judged)),
        remarks=(*remark, *a.remarks, *b.remarks),
    )


def _same_prompts(judged: Judged) -> tuple[str, ...]:
    found = judged.prompt
    if found is None or found.differing:
        return ()
    return (f"the prompts of {counted(found.pairs, 'example')} (by {found.level})",)


def _measure(pair: Pair, asked: str | None) -> tuple[str | None, tuple[str, ...]]:
    """The component to compare, None for the total, and what to say of the choice."""
    present = [set(side.columns.component_names) for side in (pair.a, pair.b)]
    if asked is not None:
        if asked == "reward":
            return None, ()
        if asked not in present[0] & present[1]:
            both = ", ".join(sorted(present[0] & present[1])) or "none"
            raise ConfigurationError(
                f"there is no component {asked!r} on both sides; both have: {both}. --component"
                " reward compares the total."
            )
        return asked, ()
    said = [side.info.outcome for side in (pair.a, pair.b) if side.info and side.info.outcome]
    guessed = [name for side in (pair.a, pair.b) if (name := _heaviest(side)) is not None]
    names = list(dict.fromkeys(said or guessed))
    if len(names) > 1:
        return None, (
            f"A's outcome is {names[0]!r} and B's is {names[1]!r}: total rewards are compared."
            " --component chooses one that both have.",
        )
    if names and names[0] not in present[0] & present[1]:
        return None, (f"{names[0]!r} is on one side alone: total rewards are compared.",)
    return (names[0] if names else None), ()


def _heaviest(side: Side) -> str | None:
    """Its component of the largest weight, else its only one."""
    return outcome_name(None, weights_of(side), side.columns.component_names)


def _total(total: Accounted | None) -> Account | None:
    return None if total is None else total.account


def _summary(pair: Pair, of: int) -> SideSummary:
    side = (pair.a, pair.b)[of]
    anew = [int(found.where.sum()) for found in side.rescored.values()]
    return SideSummary(
        label=side.label,
        run=side.run,
        called=side.called,
        mode=side.mode.value,
        steps=side.steps,
        rollouts=len(side),
        examples=pair.examples(of),
        chosen=side.chosen,
        model=side.info.model if side.info else None,
        rescored=max(anew, default=None),
    )
