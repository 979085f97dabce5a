"""What two records can't say, why, and what evidence would."""

from collections.abc import Iterator

from rlvr.parity.account import EXAMPLES, FORMULA
from rlvr.parity.judged import Judged
from rlvr.parity.result import Blank
from rlvr.parity.scoring import scoring_unknown
from rlvr.parity.stages import ENOUGH_SHARED, weights_of
from rlvr.parity.wording import counted


def unknown_of(judged: Judged) -> tuple[Blank, ...]:
    """Everything that is not known of the two sides and could matter."""
    return (
        *scoring_unknown(judged),
        *_unscored(judged),
        *_few_examples(judged),
        *_no_prompt(judged),
        *_formula(judged),
        *judged.settings.lacking,
        *_one_sided_rates(judged),
    )


def _unscored(judged: Judged) -> Iterator[Blank]:
    account = judged.account
    for side, count in zip(judged.sides, (account.unscored_a, account.unscored_b), strict=True):
        if count:
            yield Blank(
                code="unscored",
                because=f"{counted(count, 'rollout')} of {side.label} of {len(side):,} have no"
                f" finite {account.measure}, and are left out",
                needs=f"`rlvr rescore {side.called}`",
            )


def _few_examples(judged: Judged) -> Iterator[Blank]:
    if judged.outcome.stages.shared is None:
        shared = int(judged.pair.shared.sum())
        yield Blank(
            code=EXAMPLES,
            because=f"{counted(shared, 'example')} with rewards on both sides, fewer than"
            f" {ENOUGH_SHARED}: whether one side's questions are harder can't be told",
            needs="an evaluation on the examples that were trained on",
        )


def _no_prompt(judged: Judged) -> Iterator[Blank]:
    if judged.prompt is None:
        yield Blank(
            code="prompt",
            because="no rollout of a side has its messages any more",
            needs="runs whose messages were not pruned",
        )
    elif judged.prompt.unit != "token":
        yield Blank(
            code="prompt-tokens",
            because=f"prompts were compared by {judged.prompt.level}, since token ids of the same"
            " example are not kept on both sides",
            needs="token details on both sides (log_token_details)",
        )


def _formula(judged: Judged) -> Iterator[Blank]:
    of_a, of_b = weights_of(judged.pair.a), weights_of(judged.pair.b)
    total = judged.total or judged.outcome
    if of_a and of_b and dict(of_a) != dict(of_b) and not total.stages.reweighed:
        names = sorted(set(of_a) ^ set(of_b))
        yield Blank(
            code=FORMULA,
            because=f"the components differ ({', '.join(names)}), so that A's totals can't be put"
            " together as B's are",
            needs="the same components on both sides",
        )


def _one_sided_rates(judged: Judged) -> Iterator[Blank]:
    for rate in judged.rates.values():
        if rate.code == "tool-errors" or rate.code.startswith("rescore"):
            continue  # a side without a call has no share of them
        if (rate.a is None) != (rate.b is None):
            label = "A" if rate.a is None else "B"
            yield Blank(code=rate.code, because=f"{label} did not record it: {rate.name}", needs="")
