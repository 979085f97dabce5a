"""verifiers' GRPO trainer, with every trajectory recorded and its defects repaired.

    from rlvr.trainers.enhanced_grpo_trainer import EnhancedGRPOTrainer as GRPOTrainer

is the whole change in a training script. The overrides below wrap the library's own methods; what
they rely on is listed in `shims.PRIVATE_NAMES`.
"""

import contextlib
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from verifiers.trainers.grpo_trainer import GRPOTrainer

from rlvr.capture.rubrics import scorer_timed_out
from rlvr.capture.verifiers import ViewSettings, recording_view
from rlvr.errors import ConfigurationError
from rlvr.inference.dialect import dialect_of
from rlvr.inference.vllm_server import REQUEST_TIMEOUT_S
from rlvr.record import Mode, RunInfo, Sink
from rlvr.trainers import shims
from rlvr.trainers.adapters import check_tied_embeddings, frozen_weights_restored, send_adapter
from rlvr.trainers.banner import banner
from rlvr.trainers.batches import finish_batch
from rlvr.trainers.checkpoints import BatchShape, check_shape, latest_checkpoint, read_checkpoint
from rlvr.trainers.engines import (
    SyncSettings,
    engine_factory,
    engine_name,
    sampler_failures,
    server_of,
    sync_failures,
)
from rlvr.trainers.evaluation import broadcast_metrics, log_as_evaluation
from rlvr.trainers.fenced_wandb import fence_wandb_callback
from rlvr.trainers.forwards import EntropyTap, PendingBatch
from rlvr.trainers.gathering import whole_weights
from rlvr.trainers.generator import RecordingBatchGenerator
from rlvr.trainers.launches import check_processes, check_sharding
from rlvr.trainers.recording import MarkCheckpoints
from rlvr.trainers.repairs import Repair, resolve_repairs
from rlvr.trainers.run_info import run_info_of
from rlvr.trainers.sampler import RankLoader, RankSampler
from rlvr.trainers.training_record import TrainingRecord
from rlvr.trainers.updates import ROW_NUMBERS
from rlvr.trainers.wandb_sinks import wandb_sinks


class EnhancedGRPOTrainer(GRPOTrainer):  # type: ignore[misc]  # verifiers has no types
    """A drop-in `GRPOTrainer` that records every trajectory whole.

    Takes what verifiers' trainer takes, and by keyword:
        log_full_trajectories: record at all. Off, only the repairs remain.
        log_trajectory_samples: rows of the W&B table per logged step.
        log_token_details: keep ids, masks and logprobs of every token too.
        token_details_every: of each step that is a multiple of it.
        record_max_gb: size that the record stays below: the oldest steps give up their token
            details, then their messages. None for no limit.
        record_compact: write many small files of the record as few large ones, in a thread beside
            training.
        record_mirror: a URL, such as s3://bucket/runs, to which the record is copied while it
            grows, in a thread beside training. None for none.
        repairs: "all", "none", or names (see `rlvr.trainers.repairs`); "none" gives the gradients
            of the library as it ships.
        inference: "vllm", a server, "embedded", sampling in this process, or an engine with the
            methods of `rlvr.inference.embedded.EmbeddedEngine`.
        tool_parser: how embedded sampling reads tool calls, as vLLM names it; None for the way in
            which the chat template writes them.
        weight_sync: how a vLLM server gets new weights: "nccl", by the library's client, "files",
            through a folder, or "adapter", a LoRA adapter through a folder.
        weight_sync_dir: that folder; OUTPUT_DIR/weight_sync if None.
        request_timeout: seconds that one answer of a vLLM server may take.
        record_to: where to record; `args.output_dir` if None.
        redact: what W&B may see of a text; None for the default patterns.

    Raises:
        UnsupportedLibrary: a verifiers version with another trainer.
        MissingDependency: inference="vllm" without vllm installed.
        InferenceError: the vLLM server does not answer.
        ConfigurationError: an unknown repair, inference or weight_sync, a vLLM server that was
            started otherwise than training needs it, token_details_every below 1, or a launch that
            would train otherwise than it says (see `rlvr.trainers.launches`).
    """

    def __init__(
        self,
        model: Any,
        env: Any,
        args: Any,
        processing_class: Any,
        *positional: Any,
        log_full_trajectories: bool = True,
        log_trajectory_samples: int = 5,
        log_token_details: bool = False,
        token_details_every: int = 1,
        record_max_gb: float | None = None,
        record_compact: bool = True,
        record_mirror: str | None = None,
        repairs: str | Iterable[str] = "all",
        inference: Any = "vllm",
        tool_parser: str | None = None,
        weight_sync: str = "nccl",
        weight_sync_dir: str | Path | None = None,
        request_timeout: float = REQUEST_TIMEOUT_S,
        record_to: str | Path | None = None,
        redact: Callable[[str], str] | None = None,
        **kwargs: Any,
    ) -> None:
        shims.check_verifiers()
        check_processes(args)
        if token_details_every < 1:
            raise ConfigurationError(
                f"token_details_every is {token_details_every}; use 1 for every step, or a larger"
                " number for fewer"
            )
        self._repairs = resolve_repairs(repairs)
        self._inference = inference
        self._tool_parser = tool_parser
        self._sync = SyncSettings.of(
            weight_sync, weight_sync_dir, request_timeout, output_dir=args.output_dir
        )
        self._log_trajectory_samples = log_trajectory_samples
        self._record_to = Path(record_to if record_to is not None else args.output_dir)
        self._redact = redact
        self._record = TrainingRecord(
            self,
            output_dir=self._record_to,
            enabled=log_full_trajectories,
            token_details_every=token_details_every if log_token_details else 0,
            max_gb=record_max_gb,
            compact=record_compact,
            mirror=record_mirror,
        )
        self._pending: PendingBatch | None = None
        self._frozen_weights: dict[str, torch.Tensor] = {}
        self._computed: list[torch.Tensor] | None = None
        self._loop_begins = True
        self._buffered_inputs: Any = None
        self.control: Any = None
        args.log_completions = False  # the library's own table empties tool calls in place
        shims.prepare_model(model)
        with self._client_seam(env):
            super().__init__(
                model, env, args, shims.tokenizer_of_lists(processing_class), *positional, **kwargs
            )
        check_sharding(self.accelerator)
        check_tied_embeddings(self.model)
        self.async_generator = self._recording_generator()
        fence_wandb_callback(self)
        self.add_callback(MarkCheckpoints(self, lambda: self._record.recorder))

    def _client_seam(self, env: Any) -> contextlib.AbstractContextManager[None]:
        factory = engine_factory(self, env, self._inference, self._sync, self._tool_parser)
        self._own_engine = factory is not None
        return contextlib.nullcontext() if factory is None else shims.vllm_client_of(factory)

    def _recording_generator(self) -> RecordingBatchGenerator:
        settings = ViewSettings(
            tool_schemas=Repair.TOOL_SCHEMAS in self._repairs,
            sampled_tokens=Repair.SAMPLED_TOKENS in self._repairs,
            malformed_calls=Repair.GENERATION_ERRORS in self._repairs,
            unique_components=Repair.SCORER_ERRORS in self._repairs,
            before_call=(
                dialect_of(self.processing_class).before_call
                if Repair.SAMPLED_TOKENS in self._repairs
                else ""
            ),
            policy_version=lambda: max(self._last_loaded_step, 0),
        )
        return RecordingBatchGenerator(
            env=recording_view(self.env, settings),
            evaluation_env=recording_view(self.env, settings),
            client_config=self.client_config,
            model_name=self._get_model_name(),
            sampling_args=self._get_sampling_args(),
            num_batches_ahead=self.num_batches_ahead,
            max_queue_size=self.args.async_max_queue_size,
            generation_timeout=self.args.async_generation_timeout,
            client_factory=(
                self.vllm_client.client if self._own_engine else server_of(self, self._sync).client
            ),
            carry_errors=Repair.GENERATION_ERRORS in self._repairs,
            cut_rows=Repair.ROW_TRUNCATION in self._repairs,
            own_evaluation=Repair.EVALUATION in self._repairs,
        )

    def _get_sampling_args(self) -> dict[str, Any]:
        """The library's sampling arguments, and the ids of what was served and sampled."""
        arguments: dict[str, Any] = super()._get_sampling_args()
        arguments["extra_body"]["return_token_ids"] = True
        return arguments

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        if not self._repairs & {Repair.DISTINCT_PROMPTS, Repair.RESUME}:
            return super()._get_train_sampler(train_dataset)
        alone = Repair.DISTINCT_PROMPTS not in self._repairs
        world_size = 1 if alone else self.accelerator.num_processes
        rows = self._train_batch_size * self.gradient_accumulation_steps * world_size
        return RankSampler(
            len(self.train_dataset),
            prompts_per_batch=rows // self.num_generations,
            group_size=self.num_generations,
            repeats=self.num_iterations * self.gradient_accumulation_steps,
            shuffle=self.shuffle_dataset,
            seed=self.args.seed,
            rank=0 if alone else self.accelerator.process_index,
            world_size=world_size,
        )

    def get_train_dataloader(self) -> Any:
        """The library's loader; with the repair `resume`, one that knows where it stands."""
        loader = super().get_train_dataloader()
        if Repair.RESUME in self._repairs:
            repeats = self.num_iterations * self.gradient_accumulation_steps
            loader = self._async_dataloader = RankLoader(
                loader.dataloader, repeats=repeats, batches_ahead=self.num_batches_ahead
            )
        return loader

    # The training loop

    def train(self, resume_from_checkpoint: Any = None, *args: Any, **kwargs: Any) -> Any:
        """As the library trains; True goes on from the last checkpoint that was saved to its end.

        Raises:
            ConfigurationError: the checkpoint is not whole, or its batches were made otherwise.
        """
        if resume_from_checkpoint is True and Repair.RESUME in self._repairs:
            resume_from_checkpoint = self._latest_checkpoint()
        return super().train(resume_from_checkpoint, *args, **kwargs)

    def _latest_checkpoint(self) -> str:
        def say(line: str) -> None:
            if self.accelerator.is_main_process:
                print(f"rlvr: {line}", file=sys.stderr)  # noqa: T201

        return str(latest_checkpoint(Path(self.args.output_dir), say=say).folder)

    def _inner_training_loop(self, *args: Any, **kwargs: Any) -> Any:
        self._loop_begins = True
        resumed = kwargs.get("resume_from_checkpoint")
        checkpoint = None if resumed is None else read_checkpoint(Path(resumed))
        if checkpoint is not None and Repair.RESUME in self._repairs:
            check_shape(checkpoint, BatchShape.of(self))
        folder = self._record.open(self._run_info, sinks=self._sinks(), checkpoint=checkpoint)
        if self.accelerator.is_main_process:
            sampler = engine_name(self._inference, self._sync)
            shown = banner(self._repairs, inference=sampler, folder=folder)
            print(shown, file=sys.stderr)  # noqa: T201  # the one banner of a run
        if Repair.TRAIN_AGAIN in self._repairs:
            self.async_generator.rearm()
        try:
            with self._libraries_repaired():
                return super()._inner_training_loop(*args, **kwargs)
        except BaseException as error:
            self._record.fail(error)
            raise
        finally:
            self._record.close()

    @contextlib.contextmanager
    def _libraries_repaired(self) -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            if Repair.SCORER_TIMEOUTS in self._repairs:
                stack.enter_context(shims.math_verify_in_any_thread(scorer_timed_out))
            if Repair.RESUME in self._repairs:
                stack.enter_context(shims.skip_first_batches_by(RankLoader.skip))
            yield

    def _begin_loop(self) -> None:
        """Count batches on from where the run stands, and sample from the weights it has."""
        self._loop_begins = False
        self._buffered_inputs = None
        micro_steps = self.state.global_step * self.gradient_accumulation_steps
        if Repair.RESUME in self._repairs:
            self._step = micro_steps
        elif Repair.TRAIN_AGAIN in self._repairs:
            self._step = 0
        every = self.gradient_accumulation_steps * self.num_iterations
        self._next_batch_id = self._step // every
        if self._own_engine or Repair.RESUME in self._repairs:
            self._last_loaded_step = -1

    def _prepare_inputs(self, inputs: Any) -> Any:
        if self._loop_begins:
            self._begin_loop()
        batch_id = self._step // (self.gradient_accumulation_steps * self.num_iterations)
        self._pending = None
        try:
            with shims.rows_numbered(ROW_NUMBERS), sampler_failures(self):
                chunk = super()._prepare_inputs(inputs)
        except BaseException:  # keep the rollouts of a batch that never reached the update
            self._record.batch(self.async_generator.captures.pop(batch_id, None), Mode.TRAIN)
            raise
        pending, self._pending = self._pending, None
        if pending is None:  # the batch is in use already
            return chunk
        finish_batch(self, pending, batch_id, len(inputs))
        return self._buffered_inputs[(self._step - 1) % self.gradient_accumulation_steps]

    def _compute_advantages(self, rewards: torch.Tensor) -> torch.Tensor:
        advantages: torch.Tensor = super()._compute_advantages(rewards)
        self._pending = PendingBatch(advantages=advantages)
        return advantages

    def _get_per_token_logps(
        self,
        model: Any,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        logits_to_keep: int,
        batch_size: int | None = None,
    ) -> torch.Tensor:
        attended = attention_mask
        if Repair.ATTENTION in self._repairs:
            # Right padding and causal attention: no real token can see a padded one.
            attended = torch.ones_like(attention_mask)
        pending = self._pending
        recording = pending is not None and self._record.recorder is not None
        observed = recording and not torch.is_grad_enabled()
        runner = EntropyTap(model, self.temperature) if observed else model
        logprobs: torch.Tensor = super()._get_per_token_logps(
            runner, input_ids, attended, logits_to_keep, batch_size
        )
        if pending is not None and isinstance(runner, EntropyTap):
            pending.add_forward(input_ids, attended, logprobs, runner.entropies)
        if self._computed is not None:
            self._computed.append(logprobs.detach())
        return logprobs

    @contextlib.contextmanager
    def observed(self, pending: PendingBatch) -> Iterator[None]:
        """What the forwards meanwhile show goes to `pending`."""
        self._pending = pending
        try:
            yield
        finally:
            self._pending = None

    def _get_model_name(self) -> str:
        """The name under which the policy is served."""
        if self._sync.sends_adapter(self._inference):
            return str(self.vllm_client.served_name)
        name: str = super()._get_model_name()
        return name

    def _move_model_to_vllm(self) -> None:
        sharded = self.accelerator.is_fsdp2
        with sync_failures():
            if self._sync.sends_adapter(self._inference):
                send_adapter(self)
                return
            prepared: contextlib.AbstractContextManager[None] = contextlib.nullcontext()
            if sharded:
                prepared = whole_weights(self.model)
            elif Repair.FROZEN_WEIGHTS in self._repairs:
                prepared = frozen_weights_restored(self.model, self._frozen_weights)
            with prepared:
                super()._move_model_to_vllm()

    def compute_loss(
        self,
        model: Any,
        inputs: Any,
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """The library's loss; what it computed of each sequence is recorded."""
        computed: list[torch.Tensor] = []
        self._computed = computed
        try:
            loss = super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        finally:
            self._computed = None
        self._record.update(inputs, computed)
        return loss

    def evaluate(
        self,
        eval_dataset: Any = None,
        ignore_keys: Any = None,
        metric_key_prefix: str = "eval",
        **kwargs: Any,
    ) -> dict[str, float]:
        """Roll out the environment's evaluation set with the current weights, and record it.

        Works inside `train()` and outside it. Returns {} without an evaluation set.
        """
        if self.env.eval_dataset is None:
            return {}
        outside = self._record.recorder is None
        if outside:
            self._record.reopen(self._run_info, sinks=self._sinks())
        try:
            if Repair.EVALUATION in self._repairs:
                return self._evaluate_here(metric_key_prefix)
            shipped: dict[str, float] = super().evaluate(
                eval_dataset, ignore_keys, metric_key_prefix, **kwargs
            )
            return shipped
        finally:
            self._record.batch(self.async_generator.take_evaluation(), Mode.EVAL)
            if outside:
                self._record.close()

    def _evaluate_here(self, prefix: str) -> dict[str, float]:
        with sampler_failures(self), self._libraries_repaired():
            if self.state.global_step > self._last_loaded_step or self._loop_begins:
                self._move_model_to_vllm()
                self._last_loaded_step = self.state.global_step
            metrics = broadcast_metrics(self, prefix)
        log_as_evaluation(self, metrics)
        self.control = self.callback_handler.on_evaluate(
            self.args, self.state, self.control, metrics
        )
        return metrics

    # Recording

    def _run_info(self, run: str | None) -> RunInfo:
        return run_info_of(self, run, self._repairs, engine_name(self._inference, self._sync))

    def _sinks(self) -> list[Sink]:
        return wandb_sinks(
            self,
            components=self.async_generator.env.rubric.get_reward_func_names(),
            samples=self._log_trajectory_samples,
            redact=self._redact,
            output_dir=self._record_to,
        )

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """As the library logs; the store keeps what was logged."""
        super().log(logs, start_time)
        self._record.metrics(self.state.log_history[-1])
