"""Watches TRL make a generation batch, behind a fence: capture may fail, training goes on."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch

from rlvr.capture.trl import GenerationCapture
from rlvr.capture.trl_rollout import Sampling, TrainedRow
from rlvr.capture.trl_scores import (
    Scores,
    Scoring,
    recording_async_scorer,
    recording_scorer,
)
from rlvr.record import Mode
from rlvr.recorder import Fence
from rlvr.trainers import trl_shims
from rlvr.trainers.trl_info import component_names, component_weights, shortest
from rlvr.trainers.trl_record import SlicedRecord
from rlvr.trainers.trl_updates import loss_mask
from rlvr.trainers.updates import ROW_NUMBERS


class GenerationWatch:
    """What happens between the prompts of a batch and its tensors, as the trainer tells it.

    Each method is called from the override of the same seam. None of them raises but
    `UnsupportedLibrary`, before the first update.
    """

    def __init__(self, trainer: Any, record: SlicedRecord) -> None:
        self._trainer = trainer
        self._record = record
        self._capture: GenerationCapture | None = None
        self._fence = Fence("Capturing a batch of TRL's trainer")
        self._checked = False

    @contextlib.contextmanager
    def generating(self, rows: Sequence[Mapping[str, Any]]) -> Iterator[None]:
        """A batch is being made. One that fails is recorded as far as it came."""
        self._capture = None if self._record.recorder is None else GenerationCapture(rows)
        self._record.begin(self._mode)
        try:
            yield
        except BaseException as error:
            self._record_failed(error)
            raise

    def answered(self, prompts: Any, answer: Any, duration_s: float) -> None:
        """The sampler answered a batched request."""
        if self._trainer.rollout_func is None:  # it reports all of its requests by itself
            self._take(GenerationCapture.answered, prompts, answer[0], answer[1], duration_s)

    def reported(self, output: Mapping[str, Any], duration_s: float) -> None:
        """The rollout function returned."""
        self._take(GenerationCapture.reported, output, duration_s)

    @contextlib.contextmanager
    def tools_running(self, completions: Any) -> Iterator[Callable[[Any], None]]:
        """TRL's tool loop runs, its tools recording; gives what to tell who wrote the tokens."""
        trainer, capture = self._trainer, self._capture
        kept = trainer._sync_tool_dicts, trainer._async_tool_dicts
        if capture is not None:
            self._take(GenerationCapture.follow_messages, completions)
            fenced = self._fenced
            recording = [capture.recording_tools(tools, fenced) for tools in kept]
            trainer._sync_tool_dicts, trainer._async_tool_dicts = recording
        try:
            yield lambda written: self._take(GenerationCapture.tools_done, written)
        finally:
            trainer._sync_tool_dicts, trainer._async_tool_dicts = kept

    @contextlib.contextmanager
    def scoring(self, arguments: tuple[Any, ...]) -> Iterator[Callable[[torch.Tensor], None]]:
        """Reward functions run, recording; gives what to tell the gathered rewards to."""
        trainer, kept = self._trainer, self._trainer.reward_funcs
        self._take(GenerationCapture.completed, *arguments)
        scorings = self._scorings()
        if self._capture is not None:
            self._capture.scores = Scores(scorings=scorings)
            trainer.reward_funcs = [
                _recording(function, scoring)
                for function, scoring in zip(kept, scorings, strict=True)
            ]
        try:
            yield lambda gathered: self._take(_add_scores, trainer, scorings, gathered)
        finally:
            trainer.reward_funcs = kept

    def generated(self, output: dict[str, Any]) -> dict[str, Any]:
        """The batch is made: record it, and number the rows that TRL will shuffle.

        Raises:
            UnsupportedLibrary: the first batch lacks what is recorded of it.
        """
        if not self._checked:
            trl_shims.check_output(output)
            self._checked = True
        capture, self._capture = self._capture, None
        if capture is None:
            return output
        if self._mode is Mode.EVAL:
            self._make(capture, self._record_evaluated, capture)
            return output
        self._make(capture, self._record_trained, capture, output)
        return {**output, ROW_NUMBERS: torch.arange(len(output["advantages"]))}

    @property
    def _mode(self) -> Mode:
        return Mode.TRAIN if self._trainer.model.training else Mode.EVAL

    def _scorings(self) -> list[Scoring]:
        names = component_names(self._trainer.reward_func_names)
        weights = component_weights(self._trainer)
        return [
            Scoring(name=name, weight=weight) for name, weight in zip(names, weights, strict=True)
        ]

    def _sampling(self) -> Sampling:
        trainer = self._trainer
        tokenizer = trainer._tokenizer
        step = trainer.state.global_step
        return Sampling(
            end_ids=frozenset([*trainer.eos_token_ids, tokenizer.pad_token_id]),
            tool_turns=trainer.max_tool_calling_iterations if trainer.tools else 0,
            policy_version=trainer._last_loaded_step if trainer.use_vllm else step,
            decode=lambda ids: str(tokenizer.decode(ids, skip_special_tokens=False)),
        )

    def _record_trained(self, capture: GenerationCapture, output: Mapping[str, Any]) -> None:
        batch = capture.batch(self._sampling(), _trained_rows(capture, output))
        self._record.train_on(batch, output["advantages"].tolist())

    def _record_evaluated(self, capture: GenerationCapture) -> None:
        self._record.batch(capture.batch(self._sampling()), Mode.EVAL)

    def _record_failed(self, error: BaseException) -> None:
        capture, self._capture = self._capture, None
        if capture is not None:
            self._make(capture, self._record_partly, capture, error)

    def _record_partly(self, capture: GenerationCapture, error: BaseException) -> None:
        batch = capture.batch(self._sampling(), failure=error)
        self._record.batch(batch, self._mode)

    def _take(self, add: Callable[..., None], *arguments: Any) -> None:
        """Tell the batch something; where that fails, the batch is lost to the record."""
        capture = self._capture
        if capture is not None and not self._make(capture, add, capture, *arguments):
            self._capture = None

    def _make(self, capture: GenerationCapture, step: Callable[..., None], *given: Any) -> bool:
        """Take a step of recording a batch; False where it failed, and with it the record of it."""
        try:
            step(*given)
        except Exception as error:  # noqa: BLE001  # the fence: recording never stops training
            self._record.lose(len(capture.rollouts))
            self._fence.failed(error, "A batch is not recorded.")
            return False
        self._fence.worked()
        return True

    def _fenced(self, call: Callable[..., Any], *arguments: Any) -> Any:
        """The result of a call, None where it failed."""
        try:
            result = call(*arguments)
        except Exception as error:  # noqa: BLE001  # the fence: recording never stops training
            self._fence.failed(error, "A part of a batch is not recorded.")
            return None
        self._fence.worked()
        return result


def _recording(function: Any, scoring: Scoring) -> Any:
    if isinstance(function, torch.nn.Module):  # TRL calls a reward model in its own way
        return function
    if trl_shims.is_coroutine_function(function):
        return recording_async_scorer(function, scoring)
    return recording_scorer(function, scoring)


def _add_scores(
    capture: GenerationCapture, trainer: Any, scorings: Sequence[Scoring], gathered: torch.Tensor
) -> None:
    """This process's part of the rewards of all processes, (rollouts, components)."""
    count = len(capture.rollouts)
    first = trainer.accelerator.process_index * count
    own = gathered[first : first + count]
    weights = trainer.reward_weights.to(own.device)
    totals = (own * weights.unsqueeze(0)).nansum(dim=1)
    totals[torch.isnan(own).all(dim=1)] = torch.nan
    capture.scores = Scores(
        scorings=scorings,
        values=[[shortest(value) for value in row] for row in own.tolist()],
        totals=[shortest(total) for total in totals.tolist()],
    )


def _trained_rows(capture: GenerationCapture, output: Mapping[str, Any]) -> list[TrainedRow]:
    """The rows of the tensors that are trained, without their padding."""
    mask = loss_mask(output).tolist()
    prompts, prompt_masks = output["prompt_ids"].tolist(), output["prompt_mask"].sum(1).tolist()
    ids = output["completion_ids"].tolist()
    logprobs = output.get("sampling_per_token_logps")
    sampler = None if logprobs is None else logprobs.tolist()
    rows = []
    for place, rollout in enumerate(capture.rollouts):
        length = len(rollout.completion_ids)
        rows.append(
            TrainedRow(
                prompt_ids=prompts[place][len(prompts[place]) - prompt_masks[place] :],
                completion_ids=ids[place][:length],
                loss_mask=mask[place][:length],
                written=capture.written_by(place, length),
                logprobs=None if sampler is None else sampler[place][:length],
            )
        )
    return rows
