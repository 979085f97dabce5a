"""One generation batch of TRL's trainer, gathered while it is made.

TRL keeps none of it together: requests, tool calls, scores and the tensors that are trained pass
by one after the other. `GenerationCapture` takes each as it comes and makes rollouts of them.
"""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rlvr.capture.messages import freeze_messages
from rlvr.capture.rollout import BatchCapture, RolloutCapture
from rlvr.capture.trl_calls import recording_tool
from rlvr.capture.trl_images import with_image_bytes
from rlvr.capture.trl_rollout import (
    Request,
    RolloutUnderWay,
    Sampling,
    TrainedRow,
    captured,
    info_of,
    number,
    requests_of,
)
from rlvr.capture.trl_scores import Scores


class GenerationCapture:
    """The rollouts of one generation batch of this process, in batch order.

    `whole` turns true when every rollout is through; before, what is missing was never reached.
    """

    def __init__(self, rows: Sequence[Mapping[str, Any]]) -> None:
        self.rollouts = [RolloutUnderWay(row=row) for row in rows]
        self.scores = Scores()
        self.whole = False

    def answered(
        self,
        prompts: Sequence[Sequence[int]],
        answers: Sequence[Sequence[int]],
        logprobs: Sequence[Sequence[float]] | None,
        duration_s: float | None,
    ) -> None:
        """A batched request was answered: ids served and sampled, one of each per rollout."""
        waiting = [rollout for rollout in self.rollouts if rollout.awaits_answer]
        told = logprobs if logprobs is not None else itertools.repeat(None, len(prompts))
        for rollout, prompt, answer, known in zip(waiting, prompts, answers, told, strict=True):
            request = Request(
                prompt_ids=list(prompt),
                sampled_ids=list(answer),
                logprobs=None if known is None else [number(value) for value in known],
                duration_s=duration_s,
            )
            rollout.requests.append(request)

    def reported(self, output: Mapping[str, Any], duration_s: float) -> None:
        """A rollout function returned: what it says that it served and sampled."""
        columns = (output["prompt_ids"], output["completion_ids"])
        logprobs = output["logprobs"] or itertools.repeat(None, len(self.rollouts))
        masks = output.get("env_mask") or itertools.repeat(None, len(self.rollouts))
        for rollout, prompt, ids, known, mask in zip(
            self.rollouts, *columns, logprobs, masks, strict=True
        ):
            rollout.written = None if mask is None else [int(mark) for mark in mask]
            rollout.requests = requests_of(prompt, ids, known, rollout.written, duration_s)

    def follow_messages(self, completions: Sequence[Sequence[Any]]) -> None:
        """TRL's loop begins to add to these lists of messages."""
        for rollout, messages in zip(self.rollouts, completions, strict=True):
            rollout.messages = messages

    def recording_tools(
        self, tools: Sequence[Mapping[str, Callable[..., Any]]], fenced: Callable[..., Any]
    ) -> list[dict[str, Callable[..., Any]]]:
        """The tools of each rollout, recording. `fenced` runs what must never raise."""

        def recording(rollout: RolloutUnderWay, name: str) -> Callable[..., Any]:
            return lambda arguments: fenced(rollout.begin, name, arguments)

        return [
            {name: recording_tool(tool, recording(rollout, name)) for name, tool in own.items()}
            for rollout, own in zip(self.rollouts, tools, strict=True)
        ]

    def tools_done(self, written: Sequence[Sequence[int]]) -> None:
        """TRL's loop is over: for each completion token 1 where the model wrote it."""
        for rollout, marks in zip(self.rollouts, written, strict=True):
            rollout.written = list(marks)

    def completed(
        self,
        rows: Sequence[Mapping[str, Any]],
        prompts: Sequence[Any],
        completions: Sequence[Any],
        completion_ids: Sequence[Sequence[int]],
    ) -> None:
        """All rollouts are through, and are about to be scored."""
        columns = (rows, prompts, completions, completion_ids)
        for rollout, row, prompt, completion, ids in zip(self.rollouts, *columns, strict=True):
            rollout.row = row
            rollout.info = info_of(row)
            shown = prompt if isinstance(prompt, str) else with_image_bytes(prompt)
            rollout.prompt = freeze_messages(shown, role="user", blobs=rollout.blobs)
            text = isinstance(completion, str)
            rollout.completion = completion if text else with_image_bytes(completion)
            rollout.completion_ids = list(ids)
        self.whole = True

    def batch(
        self,
        sampling: Sampling,
        trained: Sequence[TrainedRow] | None = None,
        failure: BaseException | None = None,
    ) -> BatchCapture:
        """The rollouts; `failure` ended their batch before it was trained."""
        captures = [
            self._captured(place, sampling, None if trained is None else trained[place])
            for place in range(len(self.rollouts))
        ]
        for capture in captures:
            if failure is not None:
                capture.fail("scoring" if self.whole else "generation", failure)
        scorings = self.scores.scorings
        return BatchCapture(
            rollouts=captures,
            component_names=tuple(scoring.name for scoring in scorings),
            weights={scoring.name: scoring.weight for scoring in scorings},
        )

    def written_by(self, place: int, length: int) -> Sequence[int]:
        """Who wrote each of the tokens of a completion: 1 the model, 0 the environment."""
        return self.rollouts[place].written or [1] * length

    def _captured(
        self, place: int, sampling: Sampling, trained: TrainedRow | None
    ) -> RolloutCapture:
        capture = captured(self.rollouts[place], sampling, trained, whole=self.whole)
        self._add_scores(capture, place)
        return capture

    def _add_scores(self, capture: RolloutCapture, place: int) -> None:
        scores = self.scores
        seconds = [s.duration_s for s in scores.scorings if s.duration_s is not None]
        capture.scoring_s = sum(seconds) if seconds else None
        for scoring in scores.scorings:
            if scoring.returned is not None or scoring.error is not None or scores.values:
                capture.scores[scoring.name] = scoring.outcome(place)
        own = scores.values[place] if scores.values else _returned(scores, place)
        capture.values = {
            scoring.name: value
            for scoring, value in zip(scores.scorings, own, strict=True)
            if not math.isnan(value)
        }
        if scores.totals and not math.isnan(scores.totals[place]):
            capture.reward = scores.totals[place]


def _returned(scores: Scores, place: int) -> list[float]:
    """What the functions gave a rollout of a batch that another function ended."""
    return [
        number(None if scoring.returned is None else scoring.returned[place])
        for scoring in scores.scorings
    ]
