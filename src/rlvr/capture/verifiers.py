"""A view of a verifiers environment that records what its rollouts do.

The user's environment is not touched: the view is a shallow copy whose class inherits from the
environment's own, so that every internal call of `a_generate` passes through the methods below.
What a view changes for training is decided by the repairs it is given; without any it behaves as
the library ships it.
"""

import asyncio
import copy
import functools
import inspect
import json
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from verifiers.envs.env_group import EnvGroupRubric
from verifiers.envs.environment import Environment

from rlvr.capture.messages import freeze_message, freeze_messages
from rlvr.capture.plain import plain
from rlvr.capture.rollout import (
    CAPTURE_KEY,
    CURRENT_CALL,
    CURRENT_ROLLOUT,
    STARTED_ROLLOUTS,
    BatchCapture,
    RolloutCapture,
    ToolCallCapture,
    current,
    record_tool_result,
)
from rlvr.capture.rubrics import recording_rubric
from rlvr.capture.sequences import SampledTurn, TokenRow, training_rows
from rlvr.errors import InferenceError
from rlvr.record import ToolCall, ToolResult, Turn

_NO_TOKEN_IDS = (
    "the server's answer holds no token ids (prompt_token_ids, token_ids), so what was sampled"
    " can't be trained on exactly: use vLLM >= 0.10.2, or switch the repair sampled_tokens off"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewSettings:
    """What a view does beyond recording.

    tool_schemas: training prompts contain the tool schemas that the server rendered.
    sampled_tokens: training sequences are the ids that were served and sampled.
    malformed_calls: a tool call that does not parse is answered with an error message.
    unique_components: reward functions of one name get names of their own.
    policy_version: optimizer updates contained in the weights that answer right now.
    """

    tool_schemas: bool = True
    sampled_tokens: bool = True
    malformed_calls: bool = True
    unique_components: bool = True
    policy_version: Callable[[], int] = field(default=lambda: 0)


class SampledLogprob(float):
    """A logprob that belongs to a sampled token; the library pads environment tokens with 0.0."""


def recording_view(environment: Any, settings: ViewSettings) -> Any:
    """Return a recording view of a verifiers `Environment` (see the module's docstring)."""
    view = copy.copy(environment)
    kind = type(environment)
    view.__class__ = type(
        kind.__name__, (_RecordingEnvironment, kind), {"__module__": kind.__module__}
    )
    view.rlvr_settings = settings
    view.rlvr_batch = None
    if isinstance(environment.rubric, EnvGroupRubric):
        view.envs = [recording_view(inner, settings) for inner in environment.envs]
        view.env_map = dict(zip(environment.env_names, view.envs, strict=True))
        view.rubric = EnvGroupRubric(view.env_map)
    else:
        view.rubric = recording_rubric(environment.rubric, unique=settings.unique_components)
    if "tool_map" in vars(environment):
        view.tool_map = {name: _recording_tool(tool) for name, tool in environment.tool_map.items()}
    return view


async def _cancel_others() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


def _recording_tool(tool: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a tool: keep what it returned or raised, and how long it took."""

    @functools.wraps(tool)
    async def call(*args: Any, **kwargs: Any) -> Any:
        started = time.perf_counter()
        capture = CURRENT_CALL.get()
        try:
            result = tool(*args, **kwargs)
            if inspect.isawaitable(result):
                result = await result
        except BaseException as error:
            if capture is not None:
                record_tool_result(
                    capture, result=None, error=error, duration_s=time.perf_counter() - started
                )
            raise
        if capture is not None:
            record_tool_result(
                capture,
                result=result if isinstance(result, str) else str(plain(result)),
                error=None,
                duration_s=time.perf_counter() - started,
            )
        return result

    return call


class _RecordingEnvironment(Environment):  # type: ignore[misc]  # verifiers has no types
    """The methods that a recording view puts in front of an environment's own."""

    rlvr_settings: ViewSettings
    rlvr_batch: BatchCapture | None

    async def a_generate(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Generate a batch; its captures are in `rlvr_batch` afterwards, also when it raised."""
        started: list[RolloutCapture] = []
        self.rlvr_batch = BatchCapture(rollouts=started)
        with current(STARTED_ROLLOUTS, started):
            try:
                results = await super().a_generate(inputs, *args, **kwargs)
            except BaseException:
                await _cancel_others()  # the batch is lost: end its other rollouts now
                raise
        self.rlvr_batch = _batch_capture(self, results)
        return results

    async def rollout(  # noqa: PLR0917  # the library's own signature
        self,
        client: Any,
        model: str,
        prompt: Any,
        answer: str = "",
        task: str = "default",
        info: Any = None,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        if CURRENT_ROLLOUT.get() is not None:  # a group's member: the group's capture is open
            return await super().rollout(client, model, prompt, answer, task, info, *args, **kwargs)
        capture = RolloutCapture(answer=str(answer), task=task)
        capture.prompt = freeze_messages(prompt, role="user", blobs=capture.blobs)
        copied = plain(info or {})
        capture.info = dict(copied) if isinstance(copied, Mapping) else {}
        STARTED_ROLLOUTS.get().append(capture)
        with current(CURRENT_ROLLOUT, capture):
            try:
                completion, state = await super().rollout(
                    client, model, prompt, answer, task, info, *args, **kwargs
                )
            except BaseException as error:
                capture.fail("environment", error)
                raise
        capture.completion = freeze_messages(completion, role="assistant", blobs=capture.blobs)
        capture.stop_reason = _stop_reason(self, capture, state)
        capture.finished_at = time.time()
        state[CAPTURE_KEY] = capture
        return completion, state

    async def get_model_response(self, *args: Any, **kwargs: Any) -> Any:
        started = time.perf_counter()
        version = self.rlvr_settings.policy_version()
        response = await super().get_model_response(*args, **kwargs)
        capture = CURRENT_ROLLOUT.get()
        if capture is not None and response is not None and response.id != "overlong-prompt":
            _record_turn(capture, response, version, time.perf_counter() - started)
            if self.rlvr_settings.sampled_tokens and len(capture.sampled) < len(capture.turns):
                raise InferenceError(_NO_TOKEN_IDS)
        return response

    async def call_tool(
        self, tool_name: str, tool_args: Any, tool_call_id: str, **kwargs: Any
    ) -> Any:
        rollout = CURRENT_ROLLOUT.get()
        if rollout is None:
            return await super().call_tool(tool_name, tool_args, tool_call_id, **kwargs)
        call = ToolCallCapture(
            rollout=rollout,
            call_id=tool_call_id or None,
            name=tool_name,
            arguments=rollout.written.get(tool_call_id)
            or json.dumps(plain(tool_args), ensure_ascii=False),
        )
        with current(CURRENT_CALL, call):
            message = await super().call_tool(tool_name, tool_args, tool_call_id, **kwargs)
        if not call.answered:
            text = f"the call reached no tool; the model was told: {message.get('content')}"
            rollout.tool_results.append(
                ToolResult(
                    turn=max(len(rollout.turns) - 1, 0),
                    call_id=call.call_id,
                    name=tool_name,
                    arguments=call.arguments,
                    error=text,
                    malformed=tool_name not in self.tool_map,
                )
            )
        return message

    async def env_response(self, messages: Any, state: Any, **kwargs: Any) -> Any:
        calls = freeze_message(messages[-1]).tool_calls if isinstance(messages, list) else ()
        rollout = CURRENT_ROLLOUT.get()
        if rollout is not None:
            rollout.written.update({call.id or "": call.arguments for call in calls})
        broken = _malformed_calls(calls) if self.rlvr_settings.malformed_calls else {}
        if not broken:
            return await super().env_response(messages, state, **kwargs)
        written = messages[-1]["tool_calls"]
        sound = [call for index, call in enumerate(written) if index not in broken]
        answers: list[Any] = []
        if sound:
            visible = [*messages[:-1], {**messages[-1], "tool_calls": sound}]
            answers, state = await super().env_response(visible, state, **kwargs)
        rest = iter(answers)
        ordered = [
            _answer_malformed(call, broken[index]) if index in broken else next(rest)
            for index, call in enumerate(calls)
        ]
        return [*ordered, *rest], state

    def parse_chat_completion_logprobs(self, chat_completion: Any) -> list[float]:
        values = super().parse_chat_completion_logprobs(chat_completion)
        return [SampledLogprob(value) for value in values]

    def process_chat_format_vllm(
        self,
        prompt: Any,
        completion: Any,
        state: Any,
        processing_class: Any,
        mask_env_responses: bool = False,
    ) -> tuple[list[int], list[int], list[int], list[int], list[float]]:
        """Training tokens of one conversation; further sequences stay in the rollout's capture."""
        capture: RolloutCapture = state[CAPTURE_KEY]
        renderer = processing_class
        tools = (state.get("info") or {}).get("oai_tools")
        if self.rlvr_settings.tool_schemas and tools:
            renderer = copy.copy(processing_class)
            renderer.apply_chat_template = functools.partial(
                processing_class.apply_chat_template, tools=tools
            )
        if self.rlvr_settings.sampled_tokens and capture.sampled:
            rows = training_rows(capture.sampled, train_context=not mask_env_responses)
            if not self.rlvr_settings.tool_schemas:
                shown = rows[0].prompt_tokens
                shorter = processing_class.apply_chat_template(prompt, add_generation_prompt=True)
                _replace_prompt(rows[0], shown, shorter)
        else:
            if self.rlvr_settings.malformed_calls:
                completion = [_with_readable_calls(message) for message in completion]
            shipped = super().process_chat_format_vllm(
                prompt, completion, state, renderer, mask_env_responses
            )
            rows = [row_as_shipped(*shipped)]
        capture.rows = rows
        first = rows[0]
        cut = first.prompt_tokens
        return (
            first.ids[:cut],
            first.loss_mask[:cut],
            first.ids[cut:],
            first.loss_mask[cut:],
            [0.0 if math.isnan(value) else float(value) for value in first.logprobs[cut:]],
        )

    def process_env_results_vllm(
        self, prompts: Any, completions: Any, states: Any, rewards: Any, *args: Any, **kwargs: Any
    ) -> Any:
        """As the library does it; then the captures learn what was cut, masked and rewarded."""
        processed = super().process_env_results_vllm(
            prompts, completions, states, rewards, *args, **kwargs
        )
        limit = kwargs.get("max_seq_len", -1)
        for index, state in enumerate(states):
            capture: RolloutCapture = state[CAPTURE_KEY]
            prompt_ids, completion_ids = (
                processed.prompt_ids[index],
                processed.completion_ids[index],
            )
            mask = [*processed.prompt_mask[index], *processed.completion_mask[index]]
            if not capture.rows:  # a format that the library tokenises by itself
                capture.rows = [
                    row_as_shipped(
                        prompt_ids,
                        processed.prompt_mask[index],
                        completion_ids,
                        processed.completion_mask[index],
                        processed.completion_logprobs[index],
                    )
                ]
            capture.truncated = len(prompt_ids) + len(completion_ids) < len(capture.rows[0].ids)
            capture.rows[0].cut(len(prompt_ids) + len(completion_ids))
            capture.rows[0].loss_mask[:] = mask
            for row in capture.rows[1:]:
                cut = limit > 0 and row.cut(limit)
                capture.truncated = capture.truncated or cut
                if cut and kwargs.get("mask_truncated_completions", False):
                    row.loss_mask[:] = [0] * len(row.ids)
            capture.reward = float(processed.rewards[index])
        return processed


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


def _replace_prompt(row: TokenRow, shown: int, prompt_ids: Sequence[int]) -> None:
    """Put other prompt tokens in front of a row, as the library does without tool schemas."""
    row.ids[:shown] = prompt_ids
    row.loss_mask[:shown] = [0] * len(prompt_ids)
    row.turns[:shown] = [-1] * len(prompt_ids)
    row.logprobs[:shown] = [math.nan] * len(prompt_ids)
    row.prompt_tokens = len(prompt_ids)


def _record_turn(capture: RolloutCapture, response: Any, version: int, duration_s: float) -> None:
    """Keep what was served and sampled in one request."""
    choice = response.choices[0]
    extra = {**(response.model_extra or {}), **(choice.model_extra or {})}
    prompt_ids, sampled_ids = extra.get("prompt_token_ids"), extra.get("token_ids")
    logprobs = _sampled_logprobs(choice)
    if prompt_ids is not None and sampled_ids is not None:
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


def _malformed_calls(calls: Iterable[ToolCall]) -> dict[int, str]:
    """What is wrong with each call whose arguments are no JSON object, by place."""
    broken = {}
    for index, call in enumerate(calls):
        try:
            if not isinstance(json.loads(call.arguments), dict):
                broken[index] = "the arguments are not a JSON object"
        except ValueError as error:
            broken[index] = f"the arguments are not valid JSON ({error})"
    return broken


def _with_readable_calls(message: Any) -> Any:
    """The message with every call's arguments as valid JSON: text that is none becomes a string.

    The library decodes all arguments of a conversation when it tokenises it.
    """
    calls = freeze_message(message).tool_calls
    broken = _malformed_calls(calls)
    if not broken:
        return message
    return {
        **message,
        "tool_calls": [
            {
                "id": call.id,
                "type": "function",
                "function": {
                    "name": call.name,
                    "arguments": json.dumps(call.arguments) if index in broken else call.arguments,
                },
            }
            for index, call in enumerate(calls)
        ],
    }


def _answer_malformed(call: ToolCall, reason: str) -> dict[str, Any]:
    """Tell the model what was wrong with its call, and keep the call as it was written."""
    rollout = CURRENT_ROLLOUT.get()
    if rollout is not None:
        rollout.tool_results.append(
            ToolResult(
                turn=max(len(rollout.turns) - 1, 0),
                call_id=call.id,
                name=call.name,
                arguments=call.arguments,
                error=reason,
                malformed=True,
            )
        )
    return {"role": "tool", "tool_call_id": call.id or "", "content": f"Error: {reason}."}


def _stop_reason(environment: Any, capture: RolloutCapture, state: Any) -> str:
    """Why an episode that ended without an exception ended."""
    if state.get("prompt_too_long"):
        return "prompt_too_long"
    last = capture.completion[-1] if capture.completion else None
    if capture.turns and capture.turns[-1].finish_reason == "length":
        return "length"
    if last is not None and last.role == "assistant" and not last.tool_calls:
        return "finished"
    if 0 < getattr(environment, "max_turns", -1) <= state.get("turn", 0):
        return "max_turns"
    return "environment"


def _batch_capture(environment: Any, results: Any) -> BatchCapture:
    """Captures in batch order, completed with what the library scored."""
    rubric = environment.rubric
    weights = dict(zip(rubric.get_reward_func_names(), rubric.get_reward_weights(), strict=False))
    rollouts = []
    for index, state in enumerate(results.state):
        capture: RolloutCapture = state[CAPTURE_KEY]
        capture.values = {name: values[index] for name, values in results.metrics.items()}
        if results.reward:
            capture.reward = float(results.reward[index])
        capture.scoring_s = (state.get("timing") or {}).get("scoring_ms", 0.0) / 1000
        rollouts.append(capture)
    return BatchCapture(rollouts=rollouts, component_names=tuple(results.metrics), weights=weights)
