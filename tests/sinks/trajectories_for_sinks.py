"""Small trajectories for the tests of the sinks."""

from rlvr.record import Component, Message, Mode, ScoreStatus, ToolCall, ToolResult, Trajectory


def trajectory(step=0, group=0, sample=0, reward=0.0, *, mode=Mode.TRAIN, text="Paris", **more):
    call = ToolCall(id="c", name="retrieve", arguments='{"query": "capital"}')
    completion = (
        Message(role="assistant", content="I search.", tool_calls=(call,)),
        Message(role="tool", content="Document ID: 1", tool_call_id="c"),
        Message(
            role="assistant",
            content=f"<think>yes</think>\n<cite>1</cite>\n<answer>{text}</answer>",
        ),
    )
    fields = {
        "id": f"{mode}-s{step:06d}-b{step:06d}-a00-r000-{group:02d}{sample:03d}",
        "question": "Which capital?",
        "answer": "Paris",
        "prompt": (Message(role="user", content="Which capital?"),),
        "completion": completion,
        "tool_results": (
            ToolResult(
                turn=0, call_id="c", name="retrieve", arguments=call.arguments, result="Document"
            ),
        ),
        "components": (
            Component(name="exact_match", value=reward, weight=1.0),
            Component(name="f1", value=float("nan"), weight=0.5),
            Component(name="judge", value=None, weight=0.0, status=ScoreStatus.ERROR, error="no"),
        ),
        "reward": reward,
        "advantage": reward - 0.5,
        "stop_reason": "answered",
    }
    return Trajectory(
        run="run", mode=mode, step=step, batch=step, attempt=0, group_id=f"{mode}-{step}-{group}",
        sample=sample, **{**fields, **more},
    )  # fmt: skip


def batch(step=0, groups=2, size=4, **more):
    return [
        trajectory(step, group, sample, float(sample == group), **more)
        for group in range(groups)
        for sample in range(size)
    ]
