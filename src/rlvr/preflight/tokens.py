"""Are the training sequences what was served and sampled, and does the loss fall on the policy?"""

import math

from rlvr.capture.sequences import training_rows
from rlvr.diagnosis.thresholds import GAP
from rlvr.preflight.dry_batch import DryBatch, DryRollout, Undecidable
from rlvr.preflight.forwards import check_whole_weights
from rlvr.preflight.thresholds import RESTARTED
from rlvr.record.check import Check, CheckStatus

PROMPT, SAMPLED = "training prompt is the served one", "training tokens are the sampled ones"
PREFIX, MASK = "history keeps its tokens", "loss on sampled tokens alone"
GAP_CHECK = "trainer agrees with sampler"
_NO_IDS = (
    "the sampler returned no token ids (prompt_token_ids, token_ids): vLLM >= 0.10.2 and the"
    " embedded engine do"
)


def prompt_check(dry: DryBatch) -> tuple[Check, ...]:
    """Compare the training prompt's ids with the served ones."""
    known = _with_ids(dry)
    wrong = [r for r in known if _trained_prompt(r) != _served_prompt(r)]
    code = "tokens-not-sampled"
    if not wrong:
        tokens = max(len(_served_prompt(r)) for r in known)
        return (
            Check(
                name=PROMPT,
                status=CheckStatus.PASS,
                sentence=f"All {len(known)} training prompts have the served ids (up to {tokens}"
                " tokens, tool schemas included).",
                code=code,
            ),
        )
    first = wrong[0]
    served, trained = len(_served_prompt(first)), len(_trained_prompt(first))
    missing = "; the tool schemas are missing" if _lacks_tools(dry, first) else ""
    return (
        Check(
            name=PROMPT,
            status=CheckStatus.FAIL,
            sentence=f"{len(wrong)} of {len(known)} training prompts are not the served ones: one"
            f" was served with {served} tokens and is trained with {trained}{missing}.",
            remedy="render training prompts as the server does, with the tool schemas: the repair"
            ' tool_schemas (repairs="all")',
            code=code,
        ),
    )


def _lacks_tools(dry: DryBatch, rollout: DryRollout) -> bool:
    tools = rollout.example.info.get("oai_tools")
    if not tools:
        return False
    render = dry.trainer.processing_class.apply_chat_template
    prompt = rollout.example.prompt
    plain: list[int] = render(prompt, add_generation_prompt=True)
    with_tools: list[int] = render(prompt, tools=tools, add_generation_prompt=True)
    return _trained_prompt(rollout) == plain != with_tools


def sampled_check(dry: DryBatch) -> tuple[Check, ...]:
    """Compare what follows the prompt in each training sequence with the ids that were sampled."""
    known = _with_ids(dry)
    wrong = [r for r in known if not _follows_as_sampled(r)]
    code = "tokens-not-sampled"
    if not wrong:
        return (
            Check(
                name=SAMPLED,
                status=CheckStatus.PASS,
                sentence=f"After the prompt, all {len(known)} rollouts train the very ids that were"
                " served and sampled.",
                code=code,
            ),
        )
    several = [r for r in wrong if len(r.capture.turns) > 1]
    where = f" ({len(several)} of them have several turns)" if several else ""
    return (
        Check(
            name=SAMPLED,
            status=CheckStatus.FAIL,
            sentence=f"{len(wrong)} of {len(known)} rollouts{where} train other ids than were"
            " served and sampled: the policy is taught tokens that it did not write there.",
            remedy="build the sequence from the served and sampled ids, turn by turn: the repair"
            ' sampled_tokens (repairs="all")',
            code=code,
        ),
    )


def _follows_as_sampled(rollout: DryRollout) -> bool:
    expected = training_rows(rollout.capture.sampled)
    rows = rollout.capture.rows
    if len(expected) != len(rows):
        return False
    for wanted, trained in zip(expected, rows, strict=True):
        after, ours = wanted.ids[wanted.prompt_tokens :], trained.ids[trained.prompt_tokens :]
        if rollout.capture.truncated:
            after = after[: len(ours)]
        if after != ours:
            return False
    return True


def prefix_check(dry: DryBatch) -> tuple[Check, ...]:
    """Count later turns whose served prompt does not begin with all tokens before it."""
    known = _with_ids(dry)
    later = sum(len(r.capture.sampled) - 1 for r in known)
    if not later:
        raise Undecidable(f"none of the {len(known)} rollouts has a second turn")
    restarts = sum(len(training_rows(r.capture.sampled)) - 1 for r in known)
    said = f"{restarts} of {later} later turns were served another history than was sampled"
    code = "tokens-not-sampled"
    if restarts / later <= RESTARTED:
        return (Check(name=PREFIX, status=CheckStatus.PASS, sentence=f"{said}.", code=code),)
    return (
        Check(
            name=PREFIX,
            status=CheckStatus.FAIL,
            sentence=f"{said}: the chat template rewrites earlier turns.",
            remedy="use a chat template that keeps what was written (that drops no thinking, and"
            " renders arguments as they are); until then each turn trains as a sequence of its own",
            code=code,
        ),
    )


def mask_check(dry: DryBatch) -> tuple[Check, ...]:
    """Count sampled tokens outside the loss and others inside it."""
    rollouts = [r for r in dry.sampled() if r.capture.rows and not r.capture.truncated]
    if not rollouts:
        raise Undecidable("every rollout of the dry batch was cut at max_seq_len")
    evidence = [rollout.trajectory.evidence for rollout in rollouts]
    trained = sum(e.trained_tokens or 0 for e in evidence)
    left_out = sum(e.sampled_untrained_tokens or 0 for e in evidence)
    others = sum(e.trained_unsampled_tokens or 0 for e in evidence)
    code = "mask-on-wrong-roles"
    if not left_out and not others:
        return (
            Check(
                name=MASK,
                status=CheckStatus.PASS,
                sentence=f"The loss falls on all {trained:,} sampled tokens and on no other.",
                code=code,
            ),
        )
    on_purpose = others and not dry.trainer.mask_env_responses
    return (
        Check(
            name=MASK,
            status=CheckStatus.FAIL,
            sentence=f"{others:,} of {trained:,} tokens in the loss were not sampled by the policy,"
            f" and {left_out:,} sampled tokens are outside it.",
            remedy="mask_env_responses=False puts tool results into the loss: set it to True"
            if on_purpose
            else "the mask must be 1 on sampled tokens and 0 on prompts and tool results: the"
            ' repair sampled_tokens (repairs="all") builds it so',
            code=code,
        ),
    )


def gap_check(dry: DryBatch) -> tuple[Check, ...]:
    """Mean |trainer - sampler| logprob of the dry batch, overall and by turn."""
    check_whole_weights(dry.trainer)
    total: dict[int, float] = {}
    tokens: dict[int, int] = {}
    for rollout in dry.sampled():
        evidence = rollout.trajectory.evidence
        means, counts = evidence.gap_mean_by_turn or (), evidence.gap_tokens_by_turn or ()
        for turn, (mean, count) in enumerate(zip(means, counts, strict=True)):
            if count and math.isfinite(mean):
                total[turn] = total.get(turn, 0.0) + mean * count
                tokens[turn] = tokens.get(turn, 0) + count
    if not tokens:
        raise Undecidable("trainer and sampler have no logprobs of the same tokens to compare")
    gap = sum(total.values()) / sum(tokens.values())
    turns = ", ".join(f"{total[turn] / tokens[turn]:.2g}" for turn in sorted(tokens)[:4])
    said = (
        f"Trainer and sampler differ by {gap:.2g} nats a token on average over"
        f" {sum(tokens.values()):,} tokens (by turn: {turns})"
    )
    code = "sampler-trainer-gap"
    if gap <= GAP:
        return (Check(name=GAP_CHECK, status=CheckStatus.PASS, sentence=f"{said}.", code=code),)
    return (
        Check(
            name=GAP_CHECK,
            status=CheckStatus.FAIL,
            sentence=f"{said}; rounding stays below {GAP:g}.",
            remedy="mend the failed checks above first. Where all of them pass: equal temperature"
            " and precision on both sides, no dropout in the policy (disable_dropout=True), and a"
            " server that has the policy's weights",
            code=code,
        ),
    )


def _with_ids(dry: DryBatch) -> list[DryRollout]:
    """Rollouts of which the sampler said every id.

    Raises:
        Undecidable: there are none.
    """
    known = [
        r
        for r in dry.sampled()
        if r.capture.rows and r.capture.sampled and len(r.capture.sampled) == len(r.capture.turns)
    ]
    if not known:
        raise Undecidable(_NO_IDS)
    return known


def _served_prompt(rollout: DryRollout) -> list[int]:
    return list(rollout.capture.sampled[0].prompt_ids)


def _trained_prompt(rollout: DryRollout) -> list[int]:
    row = rollout.capture.rows[0]
    return list(row.ids[: row.prompt_tokens])
