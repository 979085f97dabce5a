"""verifiers' batch generator, with captures handed over and failures carried to the trainer."""

import asyncio
import copy
import logging
import queue
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from verifiers.trainers.async_batch_generator import AsyncBatchGenerator, BatchRequest, BatchResult

from rlvr.capture.rollout import BatchCapture
from rlvr.errors import GenerationFailed, GenerationTimedOut

logger = logging.getLogger("rlvr")


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedBatch:
    """Takes the place of a result whose generation raised."""

    batch_id: int
    error: Exception


class RecordingBatchGenerator(AsyncBatchGenerator):  # type: ignore[misc]  # verifiers has no types
    """Generates batches in its worker thread, over recording views of an environment.

    `captures` holds each generated batch's rollouts until the trainer takes them. With
    `carry_errors` an exception in the worker is raised by `get_batch`; without, the worker dies and
    `get_batch` times out, as the library ships it.
    """

    def __init__(
        self,
        *,
        env: Any,
        evaluation_env: Any,
        client_factory: Callable[[], Any],
        carry_errors: bool,
        cut_rows: bool,
        own_evaluation: bool,
        **kwargs: Any,
    ) -> None:
        self._asked: set[int] = set()
        super().__init__(env=env, **kwargs)
        self.captures: dict[int, BatchCapture] = {}
        self.evaluation_env = evaluation_env
        self._make_client = client_factory
        self._carry_errors = carry_errors
        self._cut_rows = cut_rows
        self._own_evaluation = own_evaluation

    @property
    def is_generating(self) -> bool:
        """Whether a batch that was asked for is not done: new weights must wait for all of them.

        The library says so of the batch under way alone, and starts the next one during the sync.
        """
        return bool(self._asked)

    @is_generating.setter
    def is_generating(self, _: bool) -> None:
        """The library's own word on it is not needed."""

    def submit_batch(self, request: BatchRequest) -> bool:
        """As the library does; False if the queue is full."""
        self._asked.add(request.batch_id)
        submitted: bool = super().submit_batch(request)
        if not submitted:
            self._asked.discard(request.batch_id)
        return submitted

    def rearm(self) -> None:
        """Make a stopped generator ready for another training loop."""
        self.stop_event.clear()
        for waiting in (self.request_queue, self.result_queue):
            while not waiting.empty():
                waiting.get_nowait()
        self.pending_batches.clear()
        self.completed_batches.clear()
        self.captures.clear()
        self._asked.clear()
        self.started = False

    def get_batch(self, batch_id: int, timeout: float | None = None) -> BatchResult:
        """The finished batch.

        Raises:
            GenerationFailed: a rollout of the batch raised; the original is the cause.
            GenerationTimedOut: the batch took longer than the generation timeout.
        """
        try:
            result = super().get_batch(batch_id, timeout)
        except TimeoutError as error:
            if not self._carry_errors:
                raise
            raise GenerationTimedOut(
                f"{error}: the sampler or the environment's tools are too slow, or hang. Allow a"
                " batch more time with async_generation_timeout (--batch-timeout), or ask for less"
                " at once."
            ) from error
        if isinstance(result, FailedBatch):
            raise GenerationFailed(
                f"generating batch {batch_id} failed with {type(result.error).__name__}:"
                f" {result.error}. Its rollouts so far are recorded with their errors."
            ) from result.error
        return result

    def _generation_worker(self) -> None:
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        # One failure is carried to the trainer; its siblings' are in the record, not on the screen.
        loop.set_exception_handler(lambda _, context: logger.debug(context["message"]))
        self.worker_loop = loop
        self.client = self._make_client()
        try:
            while not self.stop_event.is_set():
                try:
                    request = self.request_queue.get(timeout=0.1)
                except queue.Empty:
                    continue
                if request is None:
                    break
                try:
                    result = loop.run_until_complete(self._generate_or_fail(request))
                finally:
                    self._asked.discard(request.batch_id)
                self.result_queue.put(result)
        finally:
            loop.run_until_complete(self.client.close())
            loop.close()
            asyncio.set_event_loop(None)

    async def _generate_or_fail(self, request: BatchRequest) -> BatchResult | FailedBatch:
        started = time.time()
        try:
            result = await self._generate_batch_async(request)
        except Exception as error:
            self._keep_capture(request.batch_id)
            if not self._carry_errors:
                raise
            return FailedBatch(batch_id=request.batch_id, error=error)
        result.generation_time = time.time() - started
        self.generation_times.append(result.generation_time)
        return result

    async def _generate_batch_async(self, request: BatchRequest) -> BatchResult:
        result = await super()._generate_batch_async(request)
        self._keep_capture(request.batch_id)
        if self._cut_rows and request.max_seq_len > 0:
            self._cut(result, request)
        return result

    def _keep_capture(self, batch_id: int) -> None:
        capture = self.env.take_batch()
        if capture is not None:
            self.captures[batch_id] = capture

    def take_evaluation(self) -> BatchCapture | None:
        """The rollouts of the last evaluation, also of one that failed; None once taken."""
        capture: BatchCapture | None = self.evaluation_env.take_batch()
        return capture

    def _cut(self, result: BatchResult, request: BatchRequest) -> None:
        """Cut each row to the limit before rows are padded to one length."""
        processed, limit = result.processed_results, request.max_seq_len
        rollouts = self.captures[request.batch_id].rollouts
        for index, rollout in enumerate(rollouts):
            room = max(limit - len(processed.prompt_ids[index]), 0)
            for columns, length in (
                ((processed.prompt_ids, processed.prompt_mask), limit),
                ((processed.completion_ids, processed.completion_mask), room),
            ):
                for column in columns:
                    column[index] = column[index][:length]
            if rollout.rows and rollout.rows[0].cut(limit):
                rollout.truncated = True
                if request.mask_truncated_completions:
                    mask = [0] * len(processed.completion_mask[index])
                    processed.completion_mask[index] = mask
                    rollout.rows[0].loss_mask[:] = [0] * len(rollout.rows[0].ids)

    def evaluate(self, num_samples: int = -1) -> Any:
        """Generate and score the evaluation set; `take_evaluation` has its captures."""
        if not self._own_evaluation:
            shipped = copy.copy(self)
            shipped.env = self.evaluation_env
            return AsyncBatchGenerator.evaluate(shipped, num_samples)
        with ThreadPoolExecutor(1) as pool:  # the caller's thread may have an event loop already
            return pool.submit(asyncio.run, self._evaluate_once(num_samples)).result()

    async def _evaluate_once(self, num_samples: int) -> Any:
        client = self._make_client()
        try:
            return await self.evaluation_env.a_generate(
                self.evaluation_env.get_eval_dataset(n=num_samples),
                client=client,
                model=self.model_name,
                sampling_args=dict(self.sampling_args),
            )
        finally:
            await client.close()
