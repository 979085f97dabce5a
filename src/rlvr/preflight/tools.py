"""Do tools answer, and are the calls that the policy writes understood?"""

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from openai.types.chat import ChatCompletionMessageToolCall

from rlvr.capture.messages import freeze_message
from rlvr.capture.rollout import CURRENT_ROLLOUT, RolloutCapture, current
from rlvr.preflight.dry_batch import DryBatch, Example, Undecidable, in_a_worker
from rlvr.preflight.thresholds import CALLS_LOST, FEW_CALLS
from rlvr.record import Trajectory
from rlvr.record.check import Check, CheckStatus
from rlvr.utils.tags import unparsed_calls

ROUND_TRIP, PARSED = "tools answer", "tool calls parsed"
# Exceptions of a tool that no argument explains.
_BROKEN = (
    "TypeError", "NameError", "ImportError", "ModuleNotFoundError", "AttributeError",
    "NotImplementedError", "ConnectionError", "ConnectionRefusedError", "FileNotFoundError",
    "PermissionError",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """How one hand-made call came back. `problem` is None where all is well."""

    tool: str
    arguments: str
    problem: str | None = None
    raised: bool = False


def round_trip_check(dry: DryBatch) -> tuple[Check, ...]:
    """Send each tool one call with arguments of its schema's types."""
    if not dry.examples:
        raise Undecidable("there is no prompt to call a tool for")
    example = dry.examples[0]
    schemas = example.info.get("oai_tools") or []
    if not schemas:
        raise Undecidable("the environment offers no tools")
    answered = [_called(dry, example, schema) for schema in schemas]
    for one in answered:
        if one.problem is None:
            continue
        sentence = f"{one.tool}({one.arguments}) came back as no result: {one.problem}."
        status = CheckStatus.FAIL if _certain(one, dry) else CheckStatus.UNKNOWN
        return (
            Check(
                name=ROUND_TRIP,
                status=status,
                sentence=sentence,
                remedy=f"call {one.tool} by hand with these arguments and mend what raises",
                code="tool-fails",
            ),
        )
    names = ", ".join(one.tool for one in answered)
    return (
        Check(
            name=ROUND_TRIP,
            status=CheckStatus.PASS,
            sentence=f"A hand-made call to {names} comes back as a tool message with its id.",
            code="tool-fails",
        ),
    )


def _called(dry: DryBatch, example: Example, schema: Mapping[str, Any]) -> Answered:
    """The answer to a call; text arguments are a number first, then the prompt's words."""
    words = " ".join(freeze_message(example.prompt[-1]).text.split()[-6:])
    attempts = []
    for text in ("1", words):
        work = functools.partial(_call, dry.view, example, schema, text)
        attempts.append(in_a_worker(work))
        if attempts[-1].problem is None:
            return attempts[-1]
    return attempts[0]


async def _call(view: Any, example: Example, schema: Mapping[str, Any], text: str) -> Answered:
    function = schema["function"]
    name = str(function["name"])
    arguments = json.dumps(_value(function.get("parameters") or {"type": "object"}, text))
    call = ChatCompletionMessageToolCall.model_validate(
        {
            "id": "call_preflight",
            "type": "function",
            "function": {"name": name, "arguments": arguments},
        }
    )
    asking = {"role": "assistant", "content": "", "tool_calls": [call]}
    state: dict[str, Any] = {
        "id": 0,
        "prompt": example.prompt,
        "completion": [asking],
        "answer": example.answer,
        "task": example.task,
        "info": dict(example.info),
        "responses": [],
        "turn": 1,
        "timing": {"generation_ms": 0.0, "scoring_ms": 0.0, "total_ms": 0.0},
    }
    capture = RolloutCapture()
    with current(CURRENT_ROLLOUT, capture):
        state = await view.setup_state(state)
        messages, _ = await view.env_response([*example.prompt, asking], state)
    problem, raised = _problem(messages, capture, has_tools=hasattr(view, "tool_map"))
    return Answered(tool=name, arguments=arguments, problem=problem, raised=raised)


def _problem(
    messages: Sequence[Any], capture: RolloutCapture, *, has_tools: bool
) -> tuple[str | None, bool]:
    """What is wrong with the answer to a call, and whether its tool raised."""
    answers = [freeze_message(message) for message in messages]
    if len(answers) != 1 or answers[0].role != "tool":
        said = ", ".join(answer.role for answer in answers) or "nothing"
        return f"one tool message was expected, {said} came", False
    if answers[0].tool_call_id != "call_preflight":
        return f"its tool_call_id is {answers[0].tool_call_id!r}, not the call's", False
    results = capture.tool_results
    if results and results[-1].error is not None:
        return results[-1].error, results[-1].traceback is not None
    if has_tools and not results:
        return f"no tool ran, and the model was told: {answers[0].text[:200]}", False
    return None, False


def _value(schema: Mapping[str, Any], text: str) -> Any:
    """A value that a JSON schema allows."""
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][0]
    for choice in ("anyOf", "oneOf"):
        if schema.get(choice):
            options = [option for option in schema[choice] if option.get("type") != "null"]
            return _value(options[0] if options else {"type": "null"}, text)
    kind = schema.get("type", "object" if "properties" in schema else "string")
    if isinstance(kind, list):
        kind = next((one for one in kind if one != "null"), "null")
    if kind == "object":
        fields = schema.get("properties") or {}
        required = schema.get("required", list(fields))
        return {name: _value(fields.get(name, {}), text) for name in required}
    if kind == "array":
        return [_value(schema.get("items") or {}, text)]
    simple = {"integer": schema.get("minimum", 1), "number": schema.get("minimum", 1.0)}
    return {**simple, "boolean": True, "null": None}.get(str(kind), text)


def _certain(answered: Answered, dry: DryBatch) -> bool:
    """Whether the tool itself is at fault, and not the arguments that were made up for it."""
    if not answered.raised:
        return True
    results = [
        result
        for rollout in dry.rollouts
        for result in rollout.capture.tool_results
        if result.name == answered.tool and not result.malformed
    ]
    if any(result.error is None for result in results):
        return False
    return bool(results) or (answered.problem or "").startswith(_BROKEN)


def parsed_check(dry: DryBatch) -> tuple[Check, ...]:
    """Count the calls of the dry batch that stayed text or did not parse."""
    if not any(example.info.get("oai_tools") for example in dry.examples):
        raise Undecidable("the environment offers no tools")
    trajectories = [rollout.trajectory for rollout in dry.sampled()]
    text = sum(_left_as_text(trajectory) for trajectory in trajectories)
    calls = sum(len(trajectory.tool_calls) for trajectory in trajectories)
    malformed = sum(r.malformed for trajectory in trajectories for r in trajectory.tool_results)
    if not text + calls:
        raise Undecidable(f"none of the {len(trajectories)} rollouts wrote a tool call")
    said = f"{text + calls} calls were written: {text} stayed text, {malformed} did not parse"
    if text + malformed and text + calls < FEW_CALLS:
        raise Undecidable(f"{said}, which are too few to tell")
    if text / (text + calls) > CALLS_LOST:
        return (
            Check(
                name=PARSED,
                status=CheckStatus.FAIL,
                sentence=f"{said}. What stays text is never run.",
                remedy="start the server with the parser of the model's own format (vf-vllm"
                " --enable-auto-tool-choice --tool-call-parser hermes, for Qwen)",
                code="calls-unparsed",
            ),
        )
    if malformed / (text + calls) > CALLS_LOST:
        return (
            Check(
                name=PARSED,
                status=CheckStatus.FAIL,
                sentence=f"{said}.",
                remedy="show the format of a call in the system prompt, or warm the policy up on"
                " some demonstrations",
                code="calls-malformed",
            ),
        )
    return (
        Check(name=PARSED, status=CheckStatus.PASS, sentence=f"{said}.", code="calls-unparsed"),
    )


def _left_as_text(trajectory: Trajectory) -> int:
    """Calls in the text of assistant messages that have none parsed."""
    return sum(
        unparsed_calls(message.text)
        for message in trajectory.completion
        if message.role == "assistant" and not message.tool_calls
    )
