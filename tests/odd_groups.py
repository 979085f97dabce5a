"""A run whose groups are what a page of groups must survive and show."""

from dataclasses import replace

from builders import RUN_ID, run_info, token_details, trajectory
from rlvr.record import Message, Mode, TokenDetails, ToolCall
from rlvr.recorder import Recorder

HOSTILE = "a/../b?c=%2F&d='e\"#f\ng<script>ü\u202e"
"""An id that breaks URLs, markup, quotes and lines unless all are escaped."""

PLANTED_TURN, PLANTED_TOKEN = 1, 97
"""Where the second rollout of the planted group leaves the first."""


def write_odd_groups(output_dir):
    """A run of one group a step; returns its folder.

    Step 0: a partial one of hostile ids, with a NaN and an absent reward. Step 1: four that did the
    same. Step 2: a divergence at PLANTED_TURN and PLANTED_TOKEN; and the same step in evaluation.
    Step 3: equal calls with other results, a reward that is not the sum of its components and an
    advantage that does not follow. Step 3 again, in a second attempt.
    """
    with Recorder.open(output_dir, info=run_info(), run=RUN_ID) as recorder:
        for batch in (_hostile(), _identical(), _planted(), _evaluated(), _results(attempt=0)):
            recorder.record_batch(batch)
    with Recorder.open(
        output_dir, info=run_info(), run=RUN_ID, attempt=1, first_step=3
    ) as recorder:
        recorder.record_batch(_results(attempt=1))
    return output_dir / "rlvr" / RUN_ID


def _group(step, changes, **shared):
    return [
        trajectory(step=step, batch=step, sample=at, **{"group_id": f"g{step}", **shared, **own})
        for at, own in enumerate(changes)
    ]


def _hostile():
    rewards = ({"reward": 1.0}, {"reward": float("nan")}, {"reward": None})
    return _group(0, rewards, group_id=HOSTILE, example_id=HOSTILE, advantage=None)


def _identical():
    return _group(1, ({"advantage": 0.0},) * 4, tokens=token_details())


def _planted():
    whole = trajectory()
    other = _called(whole, '{"query": "somebody else"}')
    ids = token_details().sequences[0]
    parted = replace(ids, ids=(*ids.ids[:PLANTED_TOKEN], 7, *ids.ids[PLANTED_TOKEN + 1 :]))
    wrong = {"completion": other, "reward": 0.0, "advantage": -0.5}
    return _group(
        2,
        (
            {"tokens": TokenDetails(sequences=(ids,)), "advantage": 1.5},
            {"tokens": TokenDetails(sequences=(parted,)), **wrong},
            wrong,
            wrong,
        ),
    )


def _called(whole, arguments):
    """The completion with another second call."""
    messages = list(whole.completion)
    call = ToolCall(id="c1", name="retrieve", arguments=arguments)
    messages[2] = replace(messages[2], tool_calls=(call,))
    return tuple(messages)


def _evaluated():
    return _group(2, ({}, {"reward": 0.25}), mode=Mode.EVAL, group_id="e2", advantage=None)


def _results(*, attempt):
    messages = list(trajectory().completion)
    messages[1] = Message(role="tool", content="another document", tool_call_id="c0")
    return _group(
        3,
        (
            {"advantage": 1.5},
            {"completion": tuple(messages), "reward": 0.5, "advantage": 9.0},
            {"reward": 0.0, "advantage": -0.5},
            {"reward": 0.0, "advantage": -0.5},
        ),
        attempt=attempt,
    )
