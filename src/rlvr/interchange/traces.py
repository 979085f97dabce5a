"""Traces of verifiers' v1: one Episode a line, or one Trace a line as older versions wrote.

A trace is a graph of messages. Each path from a root to a leaf is a branch, and a branch is one
training sequence: the nodes' token ids in a row, their mask (what was sampled), and, in the same
compact layout, sampling logprobs, advantages and, once a trainer noted them, its logprobs and
entropies.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from rlvr.interchange.branches import Branch, branch_tokens, branches_of
from rlvr.interchange.foreign import UNUSABLE, Described, Options, Reading, Source, UnusableRow
from rlvr.interchange.lines import files_of_form, first_objects, json_rows
from rlvr.interchange.places import files_below
from rlvr.interchange.values import (
    count,
    info,
    last_user_text,
    mapping,
    messages,
    number,
    sequence,
    text,
    total,
)
from rlvr.record import (
    Blob,
    Component,
    Cost,
    Json,
    Mode,
    RolloutError,
    ScoreStatus,
    Trajectory,
    Turn,
)

Exported = Callable[[Branch], Mapping[str, Any] | None]
"""What a trainer exported of a branch, None where it exported nothing."""

ABSENT: Mapping[str, tuple[str, ...]] = {
    "attention masks": ("context-not-attended",),
    "whether a scorer failed": ("scorer-errors",),
}


@dataclass(frozen=True, slots=True)
class VerifiersTraces:
    """A folder with traces.jsonl, a folder above several, or such a file by any name."""

    options: Options
    name: ClassVar[str] = "verifiers-traces"
    title: ClassVar[str] = "verifiers v1 traces.jsonl"

    def files(self, path: Path) -> tuple[Path, ...]:
        """The files whose lines are episodes or traces."""
        named = files_below(path, "traces.jsonl")
        return files_of_form(named, holds_traces)

    def describe(self, source: Source) -> Described:
        """What the first lines say of model, sampling and tools."""
        return describe(source.files, self.options)

    def rollouts(self, source: Source, reading: Reading) -> Iterator[Trajectory]:
        """One rollout a trace; an episode of several agents gives several."""
        for file in source.files:
            for _, rollout in traces_of(file, self.options, reading):
                yield rollout


def describe(files: Sequence[Path], options: Options) -> Described:
    """What the first lines of the files say of their run."""
    rows: list[dict[str, Any]] = next((rows for rows in map(first_objects, files) if rows), [{}])
    traces = [trace for row in rows for trace in sequence(row.get("traces", [row]))]
    first = mapping(traces[0]) if traces else {}
    config = mapping(mapping(first.get("agent")).get("config"))
    weights: dict[str, float] = {}
    for trace in traces:
        for name, reward in mapping(mapping(trace).get("rewards")).items():
            if isinstance(mapping(reward).get("weight"), int | float):
                weights.setdefault(name, float(mapping(reward)["weight"]))
    build = mapping(first.get("verifiers"))
    sampling = info(mapping(config.get("sampling")), ())
    return Described(
        name=text(mapping(rows[0].get("env")).get("id")) or None,
        model=text(config.get("model")),
        sampling=sampling,
        tools=tuple(info(mapping(tool), ()) for tool in sequence(first.get("tools"))),
        weights={**weights, **options.weights},
        packages={"verifiers": str(build["version"])} if "version" in build else {},
        absent=ABSENT,
    )


def holds_traces(row: Mapping[str, Any]) -> bool:
    """Whether a line is an episode or a trace."""
    if isinstance(row.get("traces"), list):
        return "task" in row or "env" in row
    return isinstance(row.get("nodes"), list) and "rewards" in row


def traces_of(
    file: Path, options: Options, reading: Reading, exported: Exported = lambda _: None
) -> Iterator[tuple[str, Trajectory]]:
    """(id of the trace, rollout) for every trace of a file."""
    for line, row in json_rows(file, reading):
        try:
            episode = row if "traces" in row else {**row, "traces": [row]}
            found = list(_of_episode(episode, options, exported))
        except UNUSABLE as error:
            reading.damage(file, line, error)
            continue
        yield from found


def _of_episode(
    episode: Mapping[str, Any], options: Options, exported: Exported
) -> Iterator[tuple[str, Trajectory]]:
    traces = sequence(episode.get("traces"))
    if not traces:
        yield "", _failed(episode, options)
    for trace in traces:
        if not isinstance(trace, Mapping):
            raise UnusableRow("a trace that is no object")
        rollout = _rollout(trace, episode, options, exported)
        yield text(trace.get("id")) or "", _of_several(rollout, trace, episode, len(traces))


def _of_several(
    rollout: Trajectory, trace: Mapping[str, Any], episode: Mapping[str, Any], traces: int
) -> Trajectory:
    """The rollout, told apart from those of the other agents of its episode."""
    if traces < 2:
        return rollout
    agent = text(mapping(trace.get("agent")).get("name")) or "agent"
    group = f"{rollout.group_id}.{agent}" if rollout.group_id else ""
    return replace(rollout, agent=agent, group_id=group, parent_id=text(episode.get("id")))


def _failed(episode: Mapping[str, Any], options: Options) -> Trajectory:
    """An episode that failed before it left a trace: a rollout without messages and reward."""
    errors = _errors(episode)
    if not errors:
        raise UnusableRow("an episode with neither traces nor errors")
    task = mapping(episode.get("task"))
    mode, step, _ = _place(mapping(episode.get("run")), options)
    return Trajectory(
        run="",
        mode=mode,
        step=step,
        batch=0,
        attempt=0,
        group_id=text(mapping(episode.get("group")).get("id")) or "",
        sample=0,
        task=_task(episode, task),
        example_id=_example(task),
        answer=text(mapping(task.get("data")).get("answer")),
        stop_reason="error",
        errors=errors,
    )


def _rollout(
    trace: Mapping[str, Any], episode: Mapping[str, Any], options: Options, exported: Exported
) -> Trajectory:
    found = branches_of(trace)
    blobs: list[Blob] = []
    conversation = messages(list(found[-1].messages) if found else [], "user", blobs)
    begins = found[-1].first_sampled if found else 0
    task = mapping(trace.get("task"))
    mode, step, version = _place(mapping(episode.get("run")), options)
    held = _components(mapping(trace.get("rewards")))
    tokens = branch_tokens(found, exported)
    turns = _turns(trace, found, version)
    errors = _errors(trace)
    noted = number(mapping(trace.get("info")).get("advantage"), "advantage")
    return Trajectory(
        run="",
        mode=mode,
        step=step,
        batch=0,
        attempt=0,
        group_id=text(mapping(episode.get("group")).get("id")) or "",
        sample=0,
        task=_task(episode, task),
        example_id=_example(task),
        question=last_user_text(conversation[:begins]),
        answer=text(mapping(task.get("data")).get("answer")),
        info=_info(trace, mapping(task.get("data"))),
        prompt=conversation[:begins],
        completion=conversation[begins:],
        turns=turns,
        stop_reason="error"
        if errors and not trace.get("ok")
        else text(trace.get("stop_condition")),
        errors=errors,
        blobs=tuple(blobs),
        components=held,
        reward=total(held),
        advantage=noted if tokens.advantage is None else tokens.advantage,
        evidence=replace(tokens.evidence, truncated=_truncated(trace, turns)),
        tokens=tokens.details,
        cost=_cost(mapping(trace.get("timing"))),
    )


def _task(episode: Mapping[str, Any], task: Mapping[str, Any]) -> str | None:
    environment = mapping(episode.get("env"))
    return text(environment.get("name") or environment.get("id") or task.get("type"))


def _example(task: Mapping[str, Any]) -> str | None:
    data = mapping(task.get("data"))
    return text(task.get("key")) or text(data.get("idx"))


def _place(run: Mapping[str, Any], options: Options) -> tuple[Mode, int, int | None]:
    """Mode, step and policy version of an episode; older traces name the step on the run."""
    work = mapping(run.get("work")) or run
    kind = text(work.get("type"))
    known = Mode(kind) if kind in list(Mode) else None
    step = count(work.get("step"), "step") or 0
    policy = mapping(work.get("policy"))
    version = count(policy.get("start"), "policy version")
    return known or options.mode or Mode.EVAL, step, version


def _components(rewards: Mapping[str, Any]) -> tuple[Component, ...]:
    """A null says that scoring did not run, for whatever reason: no failure of the scorer."""
    found = []
    for name, reward in rewards.items():
        if reward is None:
            found.append(Component(name=name, value=None, status=ScoreStatus.NOT_APPLICABLE))
            continue
        held = mapping(reward) or {"score": reward}
        value = number(held.get("score"), f"the reward {name!r}")
        weight = number(held.get("weight"), f"the weight of {name!r}")
        found.append(Component(name=name, value=value, weight=weight))
    return tuple(found)


def _turns(
    trace: Mapping[str, Any], branches: Sequence[Branch], version: int | None
) -> tuple[Turn, ...]:
    """One turn for each sampled node of the last branch, with the call that made it."""
    calls = {mapping(call).get("node"): mapping(call) for call in sequence(trace.get("calls"))}
    nodes = branches[-1].sampled_nodes if branches else ()
    turns = []
    for index, node in enumerate(nodes):
        call = calls.get(node, {})
        usage, time = mapping(call.get("usage")), mapping(call.get("time"))
        start, end = number(time.get("start"), "start"), number(time.get("end"), "end")
        turns.append(
            Turn(
                index=index,
                finish_reason=text(call.get("finish_reason")),
                prompt_tokens=count(usage.get("prompt_tokens"), "prompt_tokens"),
                sampled_tokens=count(usage.get("completion_tokens"), "completion_tokens"),
                policy_version=version,
                duration_s=end - start if start and end else None,
            )
        )
    return tuple(turns)


def _truncated(trace: Mapping[str, Any], turns: Sequence[Turn]) -> bool | None:
    """Whether a length limit ended it; None where neither a reason nor a finish is known."""
    stop = text(trace.get("stop_condition"))
    finish = turns[-1].finish_reason if turns else None
    if stop is None and finish is None:
        return None
    return finish == "length" or bool(stop and stop.startswith("max_") and stop != "max_turns")


def _errors(trace: Mapping[str, Any]) -> tuple[RolloutError, ...]:
    found = []
    for error in map(mapping, sequence(trace.get("errors"))):
        found.append(
            RolloutError(
                where="environment",
                type=text(error.get("type")) or "Error",
                text=text(error.get("message")) or "",
                traceback=text(error.get("traceback")),
            )
        )
    return tuple(found)


def _info(trace: Mapping[str, Any], row: Mapping[str, Any]) -> dict[str, Json]:
    held: dict[str, Json] = info(row, ("answer", "prompt", "system_prompt"))
    metrics = info(mapping(trace.get("metrics")), ())
    noted = info(mapping(trace.get("info")), ("advantage",))
    return {
        **held,
        **({"metrics": metrics} if metrics else {}),
        **({"trace_info": noted} if noted else {}),
    }


def _cost(timing: Mapping[str, Any]) -> Cost:
    agent = mapping(timing.get("agent"))
    scoring = mapping(timing.get("scoring"))
    start, end = number(scoring.get("start"), "start"), number(scoring.get("end"), "end")
    generation = number(mapping(agent.get("model")).get("duration"), "duration")
    return Cost(generation_s=generation or None, scoring_s=end - start if start and end else None)
