"""Can a batch be generated, does it fit the limits, and does it teach anything?"""

import statistics
from typing import Any

from rlvr.analysis.statistics import Side, share
from rlvr.analysis.within import FLAT_SPREAD
from rlvr.preflight.dry_batch import DryBatch, DryRollout, Undecidable, repaired, sharded
from rlvr.preflight.thresholds import CUT
from rlvr.record.check import Check, CheckStatus
from rlvr.trainers.repairs import Repair

GENERATED, LIMITS, GROUPS = "a batch is generated", "limits fit", "groups vary"
_LONGEST = 64  # prompts, the longest by characters, that are rendered to find the longest in tokens
_FEW_GROUPS = 4


def generated_check(dry: DryBatch) -> tuple[Check, ...]:
    """Whether the trainer's own settings bring a batch to the update."""
    if dry.first_error is None and dry.error is None:
        return (
            Check(
                name=GENERATED,
                status=CheckStatus.PASS,
                sentence=f"{len(dry.sampled())} rollouts of {len(dry.groups)} prompts went through"
                f" the trainer up to {'its forward' if sharded(dry.trainer) else 'the update'}.",
            ),
        )
    error = dry.first_error or dry.error
    assert error is not None
    cause = error.__cause__ or error
    ends = f"The batch ends in {type(cause).__name__}: {cause}"
    if dry.first_error and not repaired(dry.trainer, Repair.GENERATION_ERRORS):
        ends += (
            "; without the repair generation_errors training would only see a time-out after"
            f" {dry.trainer.args.async_generation_timeout:g} s"
        )
    second = dry.first_error is not None and bool(dry.rollouts)
    went_on = " The checks below use a second try, which answers calls that do not parse." * second
    return (
        Check(
            name=GENERATED,
            status=CheckStatus.FAIL,
            sentence=f"{ends}.{went_on}",
            remedy="mend what raised; if it is a tool call that does not parse, the repair"
            ' generation_errors (repairs="all") answers it',
        ),
    )


def limits_check(dry: DryBatch) -> tuple[Check, ...]:
    """Render the longest prompt with its tools, and count what the dry batch had cut."""
    trainer = dry.trainer
    found = len(trainer.env.get_dataset())
    kept = len(trainer.train_dataset)
    if not kept:
        return (
            _limits(
                CheckStatus.FAIL,
                f"None of {found:,} prompts is left to train on, by max_prompt_length"
                f" ({trainer.max_prompt_length} tokens) or for want of a whole batch.",
            ),
        )
    longest = _longest_prompt(trainer)
    most, turns = trainer.max_seq_len, getattr(trainer.env, "max_turns", -1)
    said = f"the longest prompt takes {longest} tokens with its tools, of max_seq_len {most}"
    if longest >= most:
        return (_limits(CheckStatus.FAIL, f"There is no room to answer: {said}."),)
    if trainer.max_tokens and turns > 0:
        worst = longest + trainer.max_tokens * turns
        said += (
            f"; {turns} turns of {trainer.max_tokens} could make it {worst} without tool results"
        )
    reached = max((len(row.ids) for r in dry.rollouts for row in r.capture.rows), default=0)
    cut = [rollout for rollout in dry.rollouts if _cut(rollout)]
    counted = share(len(cut), len(dry.rollouts), clusters=len(dry.groups))
    if not dry.rollouts:
        return (_limits(CheckStatus.UNKNOWN, f"No rollout shows what is reached: {said}."),)
    said = (
        f"{len(cut)} of {len(dry.rollouts)} rollouts were cut at a limit; the longest took"
        f" {reached} tokens; {said}."
    )
    if counted.side(CUT) is Side.ABOVE:
        return (_limits(CheckStatus.FAIL, said),)
    if counted.value > CUT:
        return (_limits(CheckStatus.UNKNOWN, f"Too few rollouts to tell: {said}"),)
    return (_limits(CheckStatus.PASS, said),)


def _limits(status: CheckStatus, sentence: str) -> Check:
    return Check(
        name=LIMITS,
        status=status,
        sentence=sentence,
        remedy="raise max_tokens (one turn) or max_seq_len (the whole dialogue), or take shorter"
        " prompts; a rollout that is cut is scored for what it had no room to say",
        code="truncation",
    )


def _cut(rollout: DryRollout) -> bool:
    capture = rollout.capture
    return bool(
        capture.truncated
        or capture.stop_reason == "prompt_too_long"
        or any(turn.finish_reason == "length" for turn in capture.turns)
    )


def _longest_prompt(trainer: Any) -> int:
    """Tokens of the longest training prompt, rendered as the sampler is served."""
    rows = trainer.train_dataset
    prompts = rows["prompt"]
    order = sorted(range(len(rows)), key=lambda at: len(str(prompts[at])), reverse=True)
    infos = rows["info"] if "info" in rows.column_names else None
    longest = 0
    for at in order[:_LONGEST]:
        own = (infos[at] or {}) if infos is not None else {}
        tools = (own.get("oai_tools") if isinstance(own, dict) else None) or trainer.env.oai_tools
        longest = max(longest, len(_rendered(trainer.processing_class, prompts[at], tools)))
    return longest


def _rendered(tokenizer: Any, prompt: Any, tools: Any) -> Any:
    if isinstance(prompt, str):
        return tokenizer.encode(prompt)
    return tokenizer.apply_chat_template(prompt, tools=tools or None, add_generation_prompt=True)


def groups_check(dry: DryBatch) -> tuple[Check, ...]:
    """Count the groups whose rewards differ: the others give no gradient."""
    dry.sampled()
    rewards = [[rollout.capture.reward or 0.0 for rollout in group] for group in dry.groups]
    varying = sum(max(group) - min(group) > FLAT_SPREAD for group in rewards)
    everything = [reward for group in rewards for reward in group]
    mean = statistics.fmean(everything)
    code = "zero-variance-groups"
    if varying:
        return (
            Check(
                name=GROUPS,
                status=CheckStatus.PASS,
                sentence=f"Rewards differ within {varying} of {len(rewards)} groups; their mean is"
                f" {mean:.2f}.",
                code=code,
            ),
        )
    constant = max(everything) - min(everything) <= FLAT_SPREAD
    if not constant and len(rewards) < _FEW_GROUPS:
        raise Undecidable(
            f"rewards differ within none of {len(rewards)} groups, which are too few to tell"
        )
    every = f"all {len(everything)} rollouts score {mean:.2f}" if constant else "each is all alike"
    return (
        Check(
            name=GROUPS,
            status=CheckStatus.FAIL,
            sentence=f"Rewards differ within none of {len(rewards)} groups ({every}): this batch"
            " would give no gradient at all.",
            remedy="take prompts that the policy solves sometimes (filter by its success rate),"
            " more rollouts per prompt or a higher temperature, or a reward with steps in between",
            code=code,
        ),
    )
