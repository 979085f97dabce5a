"""One batch on the trainer's own path, up to where the optimizer would step.

Prompts come from the trainer's data loader; its generator, environment view, masks, padding and
forward are those of training. What stands in: a record that keeps the batch in memory, and a
generator that tries once more where the trainer's own settings let a rollout fail.
"""

import copy
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from verifiers.trainers.async_batch_generator import BatchResult
from verifiers.types import ProcessedOutputs

from rlvr.capture.evidence import Forward
from rlvr.capture.rollout import CAPTURE_KEY, BatchCapture, RolloutCapture
from rlvr.capture.trajectories import BatchPlace, build_trajectories
from rlvr.errors import InferenceError
from rlvr.record import Mode, Trajectory
from rlvr.trainers.repairs import Repair
from rlvr.trainers.starting import check_prompts

_Value = TypeVar("_Value")


class Undecidable(Exception):
    """A check can't be done on this set-up; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One prompt as the environment takes it. `info` has the tool schemas where there are any."""

    prompt: Any
    answer: str
    task: str
    info: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class DryRollout:
    """One rollout of the dry batch: its objects as the library holds them, and its record."""

    example: Example
    completion: Any
    state: Mapping[str, Any]
    capture: RolloutCapture
    trajectory: Trajectory


@dataclass(frozen=True, slots=True, kw_only=True)
class DryBatch:
    """What was learnt by generating one batch. On processes beside the main one it is empty.

    `rollouts` stand in groups of `group_size`. `first_error` is what ended the batch under the
    trainer's own settings; the rollouts are then those of a second try that answers malformed
    calls and does without token ids. `error` is what ended the last try, or the forward after it;
    there may be no rollouts then.
    """

    trainer: Any
    view: Any
    group_size: int
    examples: tuple[Example, ...] = ()
    rollouts: tuple[DryRollout, ...] = ()
    first_error: Exception | None = None
    error: Exception | None = None

    @property
    def groups(self) -> tuple[tuple[DryRollout, ...], ...]:
        """The rollouts, prompt by prompt."""
        starts = range(0, len(self.rollouts), self.group_size)
        return tuple(self.rollouts[start : start + self.group_size] for start in starts)

    def sampled(self) -> tuple[DryRollout, ...]:
        """The rollouts.

        Raises:
            Undecidable: there are none.
        """
        if not self.rollouts:
            raise Undecidable("it needs rollouts, and the dry batch has none")
        return self.rollouts


def in_a_worker(work: Callable[[], Coroutine[Any, Any, _Value]]) -> _Value:
    """Run a coroutine where rollouts are run and scored: in a thread that is not the main one."""
    import asyncio

    with ThreadPoolExecutor(1, thread_name_prefix="rlvr-preflight") as pool:
        return pool.submit(lambda: asyncio.run(work())).result()


def in_this_thread(work: Callable[[], Coroutine[Any, Any, _Value]]) -> _Value:
    """Run a coroutine in the main thread, whose event loop stays what it was.

    Raises:
        Undecidable: this is not the main thread, or it runs an event loop.
    """
    import asyncio

    if threading.current_thread() is not threading.main_thread():
        raise Undecidable("preflight was not called from the main thread")
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(work())
    except RuntimeError as error:
        if "another loop is running" in str(error):
            raise Undecidable("the main thread runs an event loop (a notebook does)") from error
        raise
    finally:
        loop.close()


def dry_batch(trainer: Any) -> DryBatch:
    """Generate one batch and run it through the trainer, on every process of the training.

    Changes the trainer: call it inside `untouched`.
    """
    record = _DryRecord(trainer.num_generations)
    generator = _DryGenerator(trainer._recording_generator())
    trainer._record, trainer.async_generator = record, generator
    trainer._loop_begins, trainer._async_started, trainer._step = True, False, 0
    trainer.state.max_steps = max(trainer.num_iterations, 1)
    trainer.model.train()
    error: Exception | None = None
    inputs: Sequence[Any] = ()
    try:
        check_prompts(trainer)
        inputs = next(iter(trainer.get_train_dataloader()))
        trainer._prepare_inputs(inputs)
    except Exception as raised:  # noqa: BLE001  # whatever ends a batch is what preflight reports
        error = generator.errors[-1] if generator.errors else raised
    finally:
        generator.stop()
    rollouts = _rollouts(generator, record)
    if rollouts and sharded(trainer) and not generator.errors:
        error = None  # that no forward is possible yet is no fault
    return DryBatch(
        trainer=trainer,
        view=generator.env,
        group_size=trainer.num_generations,
        examples=_examples(inputs, trainer.env),
        rollouts=rollouts,
        first_error=generator.errors[0] if generator.errors else None,
        error=error,
    )


def sharded(trainer: Any) -> bool:
    """Whether no process holds whole weights (ZeRO-3): then none can run a forward yet."""
    plugin = trainer.accelerator.state.deepspeed_plugin
    return plugin is not None and bool(plugin.zero_stage == 3)


def _examples(inputs: Sequence[Any], env: Any) -> tuple[Example, ...]:
    """The distinct prompts of a loader batch."""
    examples: list[Example] = []
    for row in inputs:
        tools = {"oai_tools": env.oai_tools} if env.oai_tools else {}
        example = Example(
            prompt=row["prompt"],
            answer=str(row.get("answer", "")),
            task=row.get("task", "default"),
            info={**tools, **(row.get("info") or {})},
        )
        if not examples or example != examples[-1]:
            examples.append(example)
    return tuple(examples)


def _rollouts(generator: "_DryGenerator", record: "_DryRecord") -> tuple[DryRollout, ...]:
    outputs = generator.env.outputs
    if outputs is None or not record.trajectories:
        return ()
    return tuple(
        DryRollout(
            example=Example(
                prompt=outputs.prompt[index],
                answer=outputs.answer[index],
                task=outputs.task[index],
                info=outputs.info[index],
            ),
            completion=outputs.completion[index],
            state=state,
            capture=state[CAPTURE_KEY],
            trajectory=record.trajectories[index],
        )
        for index, state in enumerate(outputs.state)
    )


@dataclass(slots=True)
class _DryRecord:
    """Stands where a trainer's `TrainingRecord` stands, and writes nothing."""

    group_size: int
    recorder: object = field(default_factory=object)  # there is one: keep what the forward says
    token_details_every: int = 1
    trajectories: list[Trajectory] = field(default_factory=list)

    def batch(
        self,
        capture: BatchCapture | None,
        mode: Mode,
        *,
        advantages: Sequence[float] | None = None,
        forwards: Sequence[Sequence[Forward | None]] | None = None,
    ) -> None:
        if capture is None:
            return
        self.trajectories = build_trajectories(
            capture,
            BatchPlace(run="preflight", mode=mode, step=0, batch=0, attempt=0),
            group_size=self.group_size,
            advantages=advantages,
            forwards=forwards,
            keep_tokens=True,
        )

    def follow(self, name: object, rollouts: object) -> None:
        """No update follows."""


class _KeepingView:
    """An environment's view that keeps what the last generation returned."""

    def __init__(self, view: Any) -> None:
        self._view = view
        self.outputs: Any = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._view, name)

    async def a_generate(self, *args: Any, **kwargs: Any) -> Any:
        self.outputs = await self._view.a_generate(*args, **kwargs)
        return self.outputs


class _DryGenerator:
    """The trainer's batch generator, with a second try.

    A batch that fails twice is handed on empty: the library's code then raises on every process at
    the same place, where an exception on the main one would leave the others waiting.
    """

    def __init__(self, generator: Any) -> None:
        self._generator = generator
        self._request: Any = None
        self.errors: list[Exception] = []
        generator._carry_errors = True  # not after the generation timeout, as the library ships it
        generator.env = self.env = _KeepingView(generator.env)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._generator, name)

    def submit_batch(self, request: Any) -> Any:
        self._request = request
        return self._generator.submit_batch(request)

    def get_batch(self, batch_id: int) -> Any:
        try:
            return self._generator.get_batch(batch_id)
        except Exception as error:  # noqa: BLE001  # kept, and reported by a check
            self.errors.append(error)
        state = self.env.rlvr_state
        no_ids = isinstance(self.errors[0].__cause__, InferenceError)
        state.settings = replace(
            state.settings,
            malformed_calls=True,
            sampled_tokens=state.settings.sampled_tokens and not no_ids,
        )
        self.env.outputs = None
        try:
            self._generator.submit_batch(copy.copy(self._request))
            return self._generator.get_batch(batch_id)
        except Exception as error:  # noqa: BLE001  # the same
            self.errors.append(error)
            return BatchResult(batch_id=batch_id, processed_results=_NOTHING)


_NOTHING = ProcessedOutputs(
    prompt_ids=[],
    prompt_mask=[],
    completion_ids=[],
    completion_mask=[],
    completion_logprobs=[],
    rewards=[],
)


def repaired(trainer: Any, repair: Repair) -> bool:
    """Whether the trainer repairs it."""
    return repair in trainer._repairs
