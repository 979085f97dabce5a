"""What a server answered, as ids and logprobs, and the rows that the library makes of it."""

import math
from collections.abc import Sequence
from typing import Any

from rlvr.capture.rollout import RolloutCapture
from rlvr.capture.sequences import SampledTurn, TokenRow
from rlvr.record import Turn


class SampledLogprob(float):
    """A logprob that belongs to a sampled token; the library pads environment tokens with 0.0."""


def row_as_shipped(
    prompt_ids: Sequence[int],
    prompt_mask: Sequence[int],
    completion_ids: Sequence[int],
    completion_mask: Sequence[int],
    completion_logprobs: Sequence[float],
) -> TokenRow:
    """The library's own five lists as a row; sampled tokens are known by their logprob's type."""
    row = TokenRow(prompt_tokens=len(prompt_ids))
    row.extend_context(prompt_ids)
    turn, sampled_before = -1, False
    for token, logprob in zip(completion_ids, completion_logprobs, strict=True):
        sampled = isinstance(logprob, SampledLogprob)
        turn += int(sampled and not sampled_before)
        sampled_before = sampled
        row.ids.append(token)
        row.turns.append(turn if sampled else -1)
        row.logprobs.append(float(logprob) if sampled else float("nan"))
    row.loss_mask[:] = [*prompt_mask, *completion_mask]
    return row


def replace_prompt(row: TokenRow, shown: int, prompt_ids: Sequence[int]) -> None:
    """Put other prompt tokens in front of a row, as the library does without tool schemas."""
    row.ids[:shown] = prompt_ids
    row.loss_mask[:shown] = [0] * len(prompt_ids)
    row.turns[:shown] = [-1] * len(prompt_ids)
    row.logprobs[:shown] = [math.nan] * len(prompt_ids)
    row.prompt_tokens = len(prompt_ids)


def record_turn(capture: RolloutCapture, response: Any, version: int, duration_s: float) -> None:
    """Keep what was served and sampled in one request."""
    choice = response.choices[0]
    extra = {**(response.model_extra or {}), **(choice.model_extra or {})}
    prompt_ids, sampled_ids = extra.get("prompt_token_ids"), extra.get("token_ids")
    logprobs = _sampled_logprobs(choice)
    if prompt_ids is not None and sampled_ids is not None:
        if len(logprobs) != len(sampled_ids):  # a server that was not asked for them, or cut them
            logprobs = [math.nan] * len(sampled_ids)
        capture.sampled.append(
            SampledTurn(prompt_ids=prompt_ids, sampled_ids=sampled_ids, logprobs=logprobs)
        )
    usage = response.usage
    capture.turns.append(
        Turn(
            index=len(capture.turns),
            finish_reason=choice.finish_reason,
            prompt_tokens=usage.prompt_tokens if usage else None,
            sampled_tokens=usage.completion_tokens if usage else None,
            policy_version=version,
            duration_s=duration_s,
        )
    )


def _sampled_logprobs(choice: Any) -> list[float]:
    if choice.logprobs is None:
        return []
    content = getattr(choice.logprobs, "content", None)
    if content is not None:
        return [token.logprob for token in content]
    return list(choice.logprobs.token_logprobs or [])
