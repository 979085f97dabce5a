"""A view of a verifiers environment that records what its rollouts do.

The user's environment is not touched: the view's class inherits from the environment's own, so that
every internal call of `a_generate` passes through the methods below, and both share their
attributes, so that what either changes during training is seen by the other.
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
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from openai import BadRequestError
from verifiers.envs.env_group import EnvGroupRubric
from verifiers.envs.environment import Environment
from verifiers.utils.message_utils import get_overlong_prompt_dummy_response

from rlvr.capture.calls import (
    RecordingTools,
    answer_malformed,
    malformed_calls,
    note_unanswered,
    take_written,
    with_readable_calls,
)
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
)
from rlvr.capture.rubrics import recording_rubric
from rlvr.capture.sampled import SampledLogprob, record_turn, replace_prompt, row_as_shipped
from rlvr.capture.sequences import training_rows
from rlvr.capture.tokenising import in_functions, tokenising_by, tokens_as_shipped
from rlvr.errors import InferenceError

# What follows the prompt stands in another order in each version of the library.
_ROLLOUT = inspect.signature(Environment.rollout)
_NO_TOKEN_IDS = (
    "the server's answer holds no token ids (prompt_token_ids, token_ids), so what was sampled"
    " can't be trained on exactly: use vLLM >= 0.10.2, or switch the repair sampled_tokens off"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewSettings:
    """What a view does beyond recording.

    tool_schemas: training prompts contain the tool schemas that the server rendered.
    sampled_tokens: training sequences are the ids that were served and sampled.
    malformed_calls: a tool call that does not parse is answered with an error message, and a
        dialogue that the server refuses to continue (its chat template renders no second call, say)
        ends there, its error recorded.
    unique_components: reward functions of one name get names of their own.
    before_call: what the chat template itself puts between an assistant's text and its first call.
        A server leaves it in the text, the template would write it twice, and every history with
        text before a call would restart: so it is taken out of the text. "" leaves the text alone.
    policy_version: optimizer updates contained in the weights that answer right now.
    """

    tool_schemas: bool = True
    sampled_tokens: bool = True
    malformed_calls: bool = True
    unique_components: bool = True
    before_call: str = ""
    policy_version: Callable[[], int] = field(default=lambda: 0)


@dataclass(slots=True, kw_only=True)
class ViewState:
    """What a view holds apart from its environment: settings, and the batch under way or done."""

    settings: ViewSettings
    batch: BatchCapture | None = None
    rubric_of: tuple[Any, Any] = (None, None)
    envs: tuple[Any, ...] = ()


def recording_view(environment: Any, settings: ViewSettings) -> Any:
    """Return a recording view of a verifiers `Environment` (see the module's docstring)."""
    kind = type(environment)
    state = ViewState(settings=settings)
    bases: list[type] = [_RecordingEnvironment, kind]
    if isinstance(environment.rubric, EnvGroupRubric):
        state.envs = tuple(recording_view(inner, settings) for inner in environment.envs)
        bases.insert(0, _RecordingGroup)
    elif "tool_map" in vars(environment):
        bases.insert(0, _RecordingToolbox)
    recording = type(
        kind.__name__, tuple(bases), {"__module__": kind.__module__, "rlvr_state": state}
    )
    view: Any = object.__new__(recording)
    view.__dict__ = vars(environment)
    return view


async def _cancel_others() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


class _RecordingEnvironment(Environment):  # type: ignore[misc]  # verifiers has no types
    """The methods that a recording view puts in front of an environment's own."""

    rlvr_state: ViewState

    def take_batch(self) -> BatchCapture | None:
        """The captures of the last batch, also of one that raised; None once they were taken."""
        batch, self.rlvr_state.batch = self.rlvr_state.batch, None
        return batch

    @property
    def rubric(self) -> Any:
        """The recording view of the rubric that the environment has now."""
        original = vars(self)["rubric"]
        known, view = self.rlvr_state.rubric_of
        if known is not original:
            view = self._rubric_view(original)
            self.rlvr_state.rubric_of = (original, view)
        return view

    @rubric.setter
    def rubric(self, rubric: Any) -> None:
        self.__dict__["rubric"] = rubric

    def _rubric_view(self, rubric: Any) -> Any:
        return recording_rubric(rubric, unique=self.rlvr_state.settings.unique_components)

    async def a_generate(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Generate a batch; `take_batch` has its captures afterwards, also when it raised."""
        started: list[RolloutCapture] = []
        self.rlvr_state.batch = BatchCapture(rollouts=started)
        with current(STARTED_ROLLOUTS, started):
            try:
                results = await super().a_generate(inputs, *args, **kwargs)
            except BaseException:
                await _cancel_others()  # the batch is lost: end its other rollouts now
                raise
        self.rlvr_state.batch = _batch_capture(self, results)
        return results

    async def rollout(self, client: Any, model: str, prompt: Any, *args: Any, **kwargs: Any) -> Any:
        if CURRENT_ROLLOUT.get() is not None:  # a group's member: the group's capture is open
            return await super().rollout(client, model, prompt, *args, **kwargs)
        given = _ROLLOUT.bind(self, client, model, prompt, *args, **kwargs).arguments
        capture = RolloutCapture(
            answer=str(given.get("answer", "")), task=given.get("task", "default")
        )
        capture.prompt = freeze_messages(prompt, role="user", blobs=capture.blobs)
        copied = plain(given.get("info") or {})
        capture.info = dict(copied) if isinstance(copied, Mapping) else {}
        STARTED_ROLLOUTS.get().append(capture)
        with current(CURRENT_ROLLOUT, capture):
            try:
                completion, state = await super().rollout(client, model, prompt, *args, **kwargs)
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
        settings = self.rlvr_state.settings
        version = settings.policy_version()
        capture = CURRENT_ROLLOUT.get()
        try:
            response = await super().get_model_response(*args, **kwargs)
        except BadRequestError as refused:
            if capture is None or not capture.turns or not settings.malformed_calls:
                raise
            capture.fail("generation", refused)
            return get_overlong_prompt_dummy_response(self.message_type)  # it ends the rollout
        if capture is not None and response is not None and response.id != "overlong-prompt":
            record_turn(capture, response, version, time.perf_counter() - started)
            if settings.sampled_tokens and len(capture.sampled) < len(capture.turns):
                raise InferenceError(_NO_TOKEN_IDS)
            if settings.before_call and self.message_type == "chat":
                _leave_to_template(response.choices[0].message, settings.before_call)
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
            arguments=take_written(rollout, tool_call_id, tool_name)
            or json.dumps(plain(tool_args), ensure_ascii=False),
        )
        with current(CURRENT_CALL, call):
            message = await super().call_tool(tool_name, tool_args, tool_call_id, **kwargs)
        if not call.answered:
            note_unanswered(call, message.get("content"), known=tool_name in self.tool_map)
        return message

    async def env_response(self, messages: Any, state: Any, **kwargs: Any) -> Any:
        calls = freeze_message(messages[-1]).tool_calls if isinstance(messages, list) else ()
        rollout = CURRENT_ROLLOUT.get()
        if rollout is not None:
            rollout.written[:] = calls
        broken = malformed_calls(calls) if self.rlvr_state.settings.malformed_calls else {}
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
            answer_malformed(call, broken[index]) if index in broken else next(rest)
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
        if self.rlvr_state.settings.tool_schemas and tools:
            renderer = copy.copy(processing_class)
            renderer.apply_chat_template = functools.partial(
                processing_class.apply_chat_template, tools=tools
            )
        if self.rlvr_state.settings.sampled_tokens and capture.sampled:
            rows = training_rows(capture.sampled, train_context=not mask_env_responses)
            if not self.rlvr_state.settings.tool_schemas:
                shown = rows[0].prompt_tokens
                shorter = processing_class.apply_chat_template(prompt, add_generation_prompt=True)
                replace_prompt(rows[0], shown, shorter)
        else:
            if self.rlvr_state.settings.malformed_calls:
                completion = [with_readable_calls(message) for message in completion]
            tokenise = tokens_as_shipped if in_functions() else super().process_chat_format_vllm
            shipped = tokenise(prompt, completion, state, renderer, mask_env_responses)
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
        with tokenising_by(self.process_chat_format_vllm):
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


class _RecordingToolbox(_RecordingEnvironment):
    @property
    def tool_map(self) -> Any:
        """The environment's tools, each wrapped when it is looked up."""
        return RecordingTools(vars(self)["tool_map"])

    @tool_map.setter
    def tool_map(self, tools: dict[str, Callable[..., Any]]) -> None:
        self.__dict__["tool_map"] = tools


class _RecordingGroup(_RecordingEnvironment):
    @property
    def envs(self) -> list[Any]:
        """Recording views of the group's members."""
        return list(self.rlvr_state.envs)

    @property
    def env_map(self) -> dict[str, Any]:
        """The members' views by name."""
        return dict(zip(vars(self)["env_names"], self.rlvr_state.envs, strict=True))

    def _rubric_view(self, _: Any) -> Any:
        """The library's rubric of a group, over the members' recording rubrics."""
        return EnvGroupRubric(self.env_map)


def _leave_to_template(message: Any, before_call: str) -> None:
    if message.tool_calls and message.content:
        message.content = message.content.removesuffix(before_call)


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
