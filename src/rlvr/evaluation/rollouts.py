"""One rollout of an evaluation, from a dataset row to a capture with its score."""

import copy
import json
from collections.abc import Mapping
from typing import Any

from rlvr.capture.rollout import (
    STARTED_ROLLOUTS,
    RolloutCapture,
    current,
)

__all__ = ["roll_out"]


async def roll_out(
    view: Any, row: Mapping[str, Any], *, client: Any, model: str, sampling: Mapping[str, Any]
) -> tuple[RolloutCapture, Exception | None]:
    """Play and score one rollout as verifiers' `a_generate` does, but by itself.

    `view` is a recording view of an environment. What the environment or the sampler raises ends
    this rollout alone: it is in the capture, and is handed back.
    """
    started: list[RolloutCapture] = []
    asked = _question(view, row)
    with current(STARTED_ROLLOUTS, started):
        try:
            completion, state = await view.rollout(
                client,
                model,
                sampling_args=copy.deepcopy({**view.sampling_args, **sampling}),
                **asked,
            )
        except Exception as error:  # noqa: BLE001  # a bad rollout is data
            return started[0] if started else _unstarted(asked, error), error
    capture = started[0]
    try:
        score = await view.rubric.score_rollout(completion=completion, state=state, **asked)
    except Exception as error:  # noqa: BLE001  # a rubric's own failure, beyond its functions
        capture.fail("scoring", error)
        return capture, error
    capture.values = {name: float(value) for name, value in score.metrics.items()}
    capture.reward = float(score.reward)
    capture.scoring_s = (state.get("timing") or {}).get("scoring_ms", 0.0) / 1000
    return capture, None


def _question(view: Any, row: Mapping[str, Any]) -> dict[str, Any]:
    """What a rollout and its score start from, owned by them alone."""
    info = row.get("info") or {}
    info = json.loads(info) if isinstance(info, str) else copy.deepcopy(dict(info))
    if view.oai_tools and "oai_tools" not in info:
        info["oai_tools"] = view.oai_tools
    return {
        "prompt": copy.deepcopy(row["prompt"]),
        "answer": row.get("answer") or "",
        "task": row.get("task") or "default",
        "info": info,
    }


def _unstarted(asked: Mapping[str, Any], error: Exception) -> RolloutCapture:
    capture = RolloutCapture(answer=str(asked["answer"]), task=asked["task"])
    capture.fail("environment", error)
    return capture
