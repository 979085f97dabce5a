"""ATIF, the agent trajectory interchange format (Harbor's RFC 0001): one document a trajectory.

Also one document a line. The format has no field for rewards, steps and groups: `reward` and
`rewards` are looked for in `extra`, then in `final_metrics.extra`; step, mode, group_id,
example_id, advantage, answer and stop_reason in `extra`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar

from rlvr.capture.evidence import token_details
from rlvr.capture.sequences import SampledTurn, training_rows
from rlvr.interchange.foreign import UNUSABLE, Described, Options, Reading, Source, UnusableRow
from rlvr.interchange.lines import MAX_LINE_BYTES, first_objects, json_rows, parse
from rlvr.interchange.places import files_below
from rlvr.interchange.values import (
    components,
    count,
    info,
    last_user_text,
    mapping,
    messages,
    number,
    sequence,
    split,
    text,
    total,
)
from rlvr.record import Blob, Json, Mode, TokenDetails, TokenEvidence, Trajectory, Turn

_ROLES = {"system": "system", "user": "user", "agent": "assistant"}
_TAG = "ATIF-"


@dataclass(frozen=True, slots=True)
class AtifTrajectories:
    """A document, a file with one a line, or a folder with some below it."""

    options: Options
    name: ClassVar[str] = "atif"
    title: ClassVar[str] = "ATIF trajectories"

    def files(self, path: Path) -> tuple[Path, ...]:
        """The files that are such documents, or whose first lines are."""
        return tuple(file for file in files_below(path, ".json", ".jsonl") if _is_ours(file))

    def describe(self, source: Source) -> Described:
        """What the first document says of agent, model and tools."""
        first = next(iter(_documents(source.files[0], Reading())), (1, {}))[1]
        agent = mapping(first.get("agent"))
        extra = mapping(first.get("extra"))
        absent: dict[str, tuple[str, ...]] = {
            "tool calls as they were written": (),
            "whether a scorer failed": ("scorer-errors",),
        }
        inferred = []
        if extra.get("step") is None:
            absent["steps"] = ()
            inferred.append("rollouts stand at step 0 where their `extra` has no step")
        if self.options.mode is None and extra.get("mode") not in list(Mode):
            absent["whether a rollout was trained on or evaluated"] = ()
            inferred.append("every rollout is taken for one of training (--mode eval says else)")
        return Described(
            name=text(agent.get("name")),
            model=text(agent.get("model_name")),
            tools=tuple(info(mapping(t), ()) for t in sequence(agent.get("tool_definitions"))),
            weights=self.options.weights,
            absent=absent,
            inferred=tuple(inferred),
        )

    def rollouts(self, source: Source, reading: Reading) -> Iterator[Trajectory]:
        """One rollout a trajectory, and one for each that is embedded in it."""
        for file in source.files:
            for place, document in _documents(file, reading):
                try:
                    found = list(self._with_subagents(document, parent=None))
                except UNUSABLE as error:
                    reading.damage(file, place, error)
                    continue
                yield from found

    def _with_subagents(
        self, document: Mapping[str, Any], parent: str | None
    ) -> Iterator[Trajectory]:
        rollout = self._rollout(document)
        agent = text(mapping(document.get("agent")).get("name"))
        yield rollout if parent is None else replace(rollout, parent_id=parent, agent=agent)
        named = text(document.get("trajectory_id")) or text(document.get("session_id")) or ""
        for inner in sequence(document.get("subagent_trajectories")):
            yield from self._with_subagents(mapping(inner), parent=named)

    def _rollout(self, document: Mapping[str, Any]) -> Trajectory:
        steps = [mapping(step) for step in sequence(document.get("steps"))]
        if not steps:
            raise UnusableRow("a trajectory without steps")
        blobs: list[Blob] = []
        raw = [message for step in steps for message in _messages(step)]
        prompt, completion = split(messages(raw, "user", blobs))
        extra = mapping(document.get("extra"))
        final = mapping(mapping(document.get("final_metrics")).get("extra"))
        scored = components(
            mapping(extra.get("rewards", final.get("rewards"))), self.options.weights
        )
        reward = number(extra.get("reward", final.get("reward")), "reward")
        agent_steps = [step for step in steps if step.get("source") == "agent"]
        evidence, details = _tokens(agent_steps)
        mode = extra.get("mode")
        return Trajectory(
            run="",
            mode=Mode(mode) if mode in list(Mode) else self.options.mode or Mode.TRAIN,
            step=count(extra.get("step"), "step") or 0,
            batch=0,
            attempt=0,
            group_id=text(extra.get("group_id")) or "",
            sample=0,
            task=text(extra.get("task")),
            example_id=text(extra.get("example_id")),
            finished_at=_time(steps[-1].get("timestamp")),
            question=last_user_text(prompt),
            answer=text(extra.get("answer")),
            info=_info(document, extra),
            prompt=prompt,
            completion=completion,
            turns=tuple(_turn(index, step) for index, step in enumerate(agent_steps)),
            stop_reason=text(extra.get("stop_reason")),
            blobs=tuple(blobs),
            components=scored,
            reward=total(scored) if reward is None else reward,
            advantage=number(extra.get("advantage"), "advantage"),
            evidence=evidence,
            tokens=details,
        )


def _is_ours(file: Path) -> bool:
    try:
        with file.open("rb") as opened:
            head = opened.read(1 << 16)
    except OSError:
        return False
    if b"schema_version" not in head or _TAG.encode() not in head:
        return False
    rows = first_objects(file)
    return not rows or any(str(row.get("schema_version")).startswith(_TAG) for row in rows)


def _documents(file: Path, reading: Reading) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """(place, document) of a file with one document, or with one a line."""
    if len(first_objects(file)) > 1 or file.suffix == ".jsonl":
        yield from json_rows(file, reading)
        return
    try:
        size = file.stat().st_size
        if size > MAX_LINE_BYTES:
            raise UnusableRow(f"larger than {MAX_LINE_BYTES >> 20} MiB")
        document = parse(file.read_bytes())
        if not isinstance(document, Mapping):
            raise UnusableRow("no JSON object")
    except (OSError, *UNUSABLE) as error:
        reading.damage(file, None, f"no document that can be read: torn? ({error})")
        return
    yield 1, document
    reading.advance(size)


def _messages(step: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """A step as messages: its own, and one for each result that it observed."""
    role = _ROLES.get(str(step.get("source")))
    if role is None:
        raise UnusableRow(f"a step of source {str(step.get('source'))[:40]!r}")
    message = {"role": role, "content": _content(step.get("message"))}
    if step.get("reasoning_content") is not None:
        message["reasoning_content"] = step["reasoning_content"]
    calls = [_call(mapping(call)) for call in sequence(step.get("tool_calls"))]
    yield {**message, "tool_calls": calls} if calls else message
    for result in map(mapping, sequence(mapping(step.get("observation")).get("results"))):
        shown = {"role": "tool" if calls else "user", "content": _content(result.get("content"))}
        called = result.get("source_call_id")
        yield {**shown, "tool_call_id": called} if called is not None else shown


def _content(value: Any) -> Any:
    if not isinstance(value, list):
        return value
    return [_part(mapping(part)) for part in value]


def _part(part: Mapping[str, Any]) -> Mapping[str, Any]:
    if part.get("type") == "text":
        return part
    return {
        "type": f"{part.get('type')}_url",
        f"{part.get('type')}_url": mapping(part.get("source")),
    }


def _call(call: Mapping[str, Any]) -> dict[str, Any]:
    function = {"name": call.get("function_name"), "arguments": call.get("arguments")}
    return {"id": call.get("tool_call_id"), "type": "function", "function": function}


def _turn(index: int, step: Mapping[str, Any]) -> Turn:
    metrics = mapping(step.get("metrics"))
    return Turn(
        index=index,
        prompt_tokens=count(metrics.get("prompt_tokens"), "prompt_tokens"),
        sampled_tokens=count(metrics.get("completion_tokens"), "completion_tokens"),
    )


def _tokens(steps: list[Mapping[str, Any]]) -> tuple[TokenEvidence, TokenDetails | None]:
    """What was served and sampled, where every agent step says it; nobody says what was trained."""
    turns = []
    for metrics in (mapping(step.get("metrics")) for step in steps):
        prompt, sampled = metrics.get("prompt_token_ids"), metrics.get("completion_token_ids")
        if not isinstance(prompt, list) or not isinstance(sampled, list):
            return TokenEvidence(), None
        logprobs = sequence(metrics.get("logprobs")) or [float("nan")] * len(sampled)
        if len(logprobs) != len(sampled):
            raise UnusableRow(f"{len(logprobs)} logprobs for {len(sampled)} sampled tokens")
        turns.append(SampledTurn(prompt_ids=prompt, sampled_ids=sampled, logprobs=logprobs))
    if not turns:
        return TokenEvidence(), None
    rows = training_rows(turns)
    evidence = TokenEvidence(
        served_prompt_tokens=rows[0].prompt_tokens,
        sampled_tokens=sum(len(turn.sampled_ids) for turn in turns),
        sequence_tokens=sum(len(row.ids) for row in rows),
        sequences=len(rows),
    )
    return evidence, token_details(rows, [None] * len(rows))


def _info(document: Mapping[str, Any], extra: Mapping[str, Any]) -> dict[str, Json]:
    known = (
        "reward",
        "rewards",
        "advantage",
        "answer",
        "group_id",
        "example_id",
        "stop_reason",
        "task",
        "step",
        "mode",
    )
    named = info({k: document.get(k) for k in ("session_id", "trajectory_id", "notes")}, ())
    return {**info(extra, known), **named}


def _time(value: Any) -> float | None:
    try:
        return datetime.fromisoformat(str(value).replace("Z", "+00:00")).timestamp()
    except ValueError:
        return None
