"""TRL's GRPO trainer, with every trajectory recorded.

    from rlvr.trainers.recording_grpo_trainer import RecordingGRPOTrainer as GRPOTrainer

is the whole change in a training script. It trains exactly as TRL does. The overrides below watch
the library's own methods; what they rely on is listed in `trl_shims`.
"""

import functools
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from trl import GRPOTrainer

from rlvr.errors import ConfigurationError
from rlvr.record import RunInfo, Sink
from rlvr.trainers import trl_shims
from rlvr.trainers.checkpoints import read_checkpoint
from rlvr.trainers.fenced_wandb import fence_wandb_callback
from rlvr.trainers.launches import check_processes
from rlvr.trainers.recording import MarkCheckpoints
from rlvr.trainers.trl_info import Told, batch_shape, component_names, inference_name, trl_run_info
from rlvr.trainers.trl_record import Computed, SlicedRecord
from rlvr.trainers.trl_watch import GenerationWatch
from rlvr.trainers.wandb_sinks import wandb_sinks


class RecordingGRPOTrainer(GRPOTrainer):  # type: ignore[misc]  # trl is not followed
    """A drop-in `trl.GRPOTrainer` that records every trajectory whole.

    Takes what TRL's trainer takes, and by keyword:
        log_full_trajectories: record at all. Off, it is TRL's trainer.
        log_trajectory_samples: rows of the W&B table per logged step.
        log_token_details: keep ids, masks and logprobs of every token too.
        token_details_every: of each step that is a multiple of it.
        record_max_gb: size that the record stays below: the oldest steps give up their token
            details, then their messages. None for no limit.
        record_compact: write many small files of the record as few large ones, in a thread beside
            training.
        record_mirror: a URL, such as s3://bucket/runs, to which the record is copied while it
            grows, in a thread beside training. None for none.
        record_to: where to record; `args.output_dir` if None.
        redact: what W&B may see of a text; None for the default patterns.
        dataset_spec, eval_dataset_spec: names for the data, kept with the run.
        outcome: the reward function that says whether an answer is right, by name.
        environment_source: how `rlvr rescore` loads the environment's scorer again: `loader`, a
            module with `load_environment`, and its `options`.

    TRL's own `log_completions` stays off: it raises on tool calls.

    Raises:
        UnsupportedLibrary: a TRL version with another trainer.
        ConfigurationError: token_details_every below 1, an outcome that is no reward function, or
            processes that would each train alone.
    """

    def __init__(
        self,
        model: Any,
        reward_funcs: Any = None,
        args: Any = None,
        *positional: Any,
        log_full_trajectories: bool = True,
        log_trajectory_samples: int = 5,
        log_token_details: bool = False,
        token_details_every: int = 1,
        record_max_gb: float | None = None,
        record_compact: bool = True,
        record_mirror: str | None = None,
        record_to: str | Path | None = None,
        redact: Callable[[str], str] | None = None,
        dataset_spec: str | None = None,
        eval_dataset_spec: str | None = None,
        outcome: str | None = None,
        environment_source: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        trl_shims.check_trl()
        if token_details_every < 1:
            raise ConfigurationError(
                f"token_details_every is {token_details_every}; use 1 for every step, or a larger"
                " number for fewer"
            )
        self._observed: list[Computed] | None = None
        _leave_completions_to_us(args)
        super().__init__(model, reward_funcs, args, *positional, **kwargs)
        check_processes(self.args)
        self._told = Told(
            dataset=dataset_spec,
            eval_dataset=eval_dataset_spec,
            outcome=outcome,
            environment=environment_source or {},
        )
        self._components = component_names(self.reward_func_names)
        if outcome is not None and outcome not in self._components:
            raise ConfigurationError(
                f"outcome is {outcome!r}, which is none of the reward functions"
                f" {', '.join(self._components)}"
            )
        self._log_trajectory_samples = log_trajectory_samples
        self._record_to = Path(record_to if record_to is not None else self.args.output_dir)
        self._redact = redact
        self._record = SlicedRecord(
            self,
            output_dir=self._record_to,
            enabled=log_full_trajectories,
            token_details_every=token_details_every if log_token_details else 0,
            max_gb=record_max_gb,
            compact=record_compact,
            mirror=record_mirror,
        )
        self._watch = GenerationWatch(self, self._record)
        rollout_func: Any = vars(self)["rollout_func"]
        if rollout_func is not None:
            self.rollout_func = self._reporting(rollout_func)
        fence_wandb_callback(self)
        self.add_callback(MarkCheckpoints(self, lambda: self._record.recorder, batch_shape))

    # The training loop

    def _inner_training_loop(self, *args: Any, **kwargs: Any) -> Any:
        resumed = kwargs.get("resume_from_checkpoint")
        checkpoint = None if resumed is None else read_checkpoint(Path(resumed))
        folder = self._record.open(self._run_info, sinks=self._sinks(), checkpoint=checkpoint)
        if self.accelerator.is_main_process:
            where = f"recording every trajectory to {folder}" if folder else "recording nothing"
            print(f"rlvr: {where}; inference: {inference_name(self)}", file=sys.stderr)  # noqa: T201
        try:
            return super()._inner_training_loop(*args, **kwargs)
        except BaseException as error:
            self._record.fail(error)
            raise
        finally:
            self._record.close()

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """As TRL evaluates; inside `train()` and outside it, every rollout is recorded."""
        outside = self._record.recorder is None
        if outside:
            self._record.reopen(self._run_info, sinks=self._sinks())
        try:
            metrics: dict[str, float] = super().evaluate(*args, **kwargs)
            return metrics
        finally:
            if outside:
                self._record.close()

    # What is watched

    def _generate_and_score_completions(self, inputs: Any) -> Any:
        with self._watch.generating(inputs):
            output = super()._generate_and_score_completions(inputs)
        return self._watch.generated(output)

    def _generate_single_turn(self, prompt_ids: Any, *args: Any, **kwargs: Any) -> Any:
        started = time.perf_counter()
        answer = super()._generate_single_turn(prompt_ids, *args, **kwargs)
        self._watch.answered(prompt_ids, answer, time.perf_counter() - started)
        return answer

    def _reporting(self, rollout_func: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(rollout_func)
        def report(prompts: Any, trainer: Any) -> Any:
            started = time.perf_counter()
            output = rollout_func(prompts, trainer)
            self._watch.reported(output, time.perf_counter() - started)
            return output

        return report

    def _tool_call_loop(
        self, prompts: Any, prompt_ids: Any, completion_ids: Any, completions: Any, *args: Any
    ) -> Any:
        with self._watch.tools_running(completions) as done:
            looped = super()._tool_call_loop(
                prompts, prompt_ids, completion_ids, completions, *args
            )
            done(looped[0])
        return looped

    def _calculate_rewards(self, *args: Any) -> Any:
        with self._watch.scoring(args) as scored:
            rewards = super()._calculate_rewards(*args)
            scored(rewards)
        return rewards

    def _compute_loss(self, model: Any, inputs: Any) -> Any:
        self._observed = []
        try:
            loss = super()._compute_loss(model, inputs)
        finally:
            observed, self._observed = self._observed, None
        for computed in observed:
            self._record.computed(inputs, computed)
        return loss

    def _get_per_token_logps_and_entropies(
        self, model: Any, input_ids: Any, attention_mask: Any, *args: Any, **kwargs: Any
    ) -> Any:
        result = super()._get_per_token_logps_and_entropies(
            model, input_ids, attention_mask, *args, **kwargs
        )
        if self._observed is not None:
            logprobs, entropies = result[:2]
            self._observed.append(
                Computed(
                    attended=attention_mask,
                    logprobs=logprobs.detach(),
                    entropies=None if entropies is None else entropies.detach(),
                )
            )
        return result

    # Recording

    def _run_info(self, run: str | None) -> RunInfo:
        return trl_run_info(self, run, self._told)

    def _sinks(self) -> list[Sink]:
        return wandb_sinks(
            self,
            components=self._components,
            samples=self._log_trajectory_samples,
            redact=self._redact,
            output_dir=self._record_to,
        )

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """As TRL logs; the store keeps what was logged."""
        super().log(logs, start_time)
        self._record.metrics(self.state.log_history[-1])


def _leave_completions_to_us(args: Any) -> None:
    """Switch TRL's own table off, and say so where it was on."""
    if args is not None and args.log_completions:
        args.log_completions = False
        print(  # noqa: T201
            "rlvr: log_completions is off: TRL's own table raises on tool calls. Every completion"
            " is recorded (`rlvr show`), and W&B gets the table full_trajectories",
            file=sys.stderr,
        )
