"""An evaluation under way: which rollouts are missing, and what becomes of them."""

import asyncio
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rlvr.analysis.passes import FULL, PASS_COLUMNS, PassRates, pass_rates
from rlvr.capture.rollout import BatchCapture, RolloutCapture
from rlvr.capture.trajectories import BatchPlace, build_trajectories
from rlvr.capture.verifiers import ViewSettings, recording_view
from rlvr.errors import ConfigurationError, RlvrError, StoreError
from rlvr.evaluation.described import check_same, evaluation_info
from rlvr.evaluation.failures import Failures
from rlvr.evaluation.rollouts import roll_out
from rlvr.evaluation.samplers import Sampler, token_texts_of
from rlvr.evaluation.values import Evaluation, EvaluationSettings, Progress
from rlvr.inference.dialect import dialect_of
from rlvr.record import Mode, ScoreStatus, Sink
from rlvr.recorder import Recorder
from rlvr.runs import Run, open_run
from rlvr.store import run_folder

__all__ = ["RunningEvaluation"]

BATCH_ROLLOUTS = 64
"""Finished rollouts that are recorded together."""
_BATCH_S = 20.0
_FLUSH_S = 30.0
Group = list[RolloutCapture]


@dataclass(slots=True)
class RunningEvaluation:
    """An evaluation under way. Only its event loop's thread touches it."""

    environment: Any
    sampler: Sampler
    settings: EvaluationSettings
    output_dir: Path
    resume: str | None
    sinks: Sequence[Sink]
    _recorder: Recorder = field(init=False)
    _view: Any = field(init=False)
    _arguments: Mapping[str, Any] = field(init=False)
    _outcome: str | None = field(init=False)
    _waiting: list[tuple[str | None, Group]] = field(default_factory=list)
    _recorded_at: float = field(default_factory=time.monotonic)
    _progress: Progress = field(default_factory=lambda: Progress(done=0, total=0))
    _failures: Failures = field(default_factory=Failures)

    def __enter__(self) -> "RunningEvaluation":
        settings = self.settings
        tokenizer = self.sampler.tokenizer
        view = ViewSettings(
            sampled_tokens=False,  # not every server says its token ids
            before_call="" if tokenizer is None else dialect_of(tokenizer).before_call,
            policy_version=lambda: settings.step,
        )
        self._view = recording_view(self.environment, view)
        info = evaluation_info(self._view, self.sampler, settings, thread=_thread())
        self._outcome = info.outcome
        if self.resume is not None:
            check_same(self._run_to_resume(self.resume), info)
        self._recorder = Recorder.open(
            self.output_dir,
            info=info,
            run=self.resume,
            # Nothing that an earlier attempt recorded is superseded: this one does the rest.
            first_step=settings.step + (1 if self.resume else 0),
            sinks=self.sinks,
        )
        texts = token_texts_of(self.sampler) if settings.keep_tokens else ()
        if texts:
            self._recorder.keep_vocabulary(texts)
        self._arguments = {**settings.sampling, **self.sampler.arguments()}
        return self

    def __exit__(self, _: object, error: BaseException | None, *__: object) -> None:
        self._record()
        if error is not None:
            self._recorder.fail(error)
        self._recorder.close()

    def _run_to_resume(self, run: str) -> Run:
        folder = run_folder(self.output_dir, run)
        if not folder.is_dir():
            raise ConfigurationError(
                f"there is no run {run} in {folder.parent}: name the --output-dir it lies in, or"
                " leave --resume out to start anew"
            )
        return open_run(folder)

    def run(
        self, rows: Sequence[Mapping[str, Any]], on_progress: Callable[[Progress], None]
    ) -> Evaluation:
        """Ask what is not recorded yet."""
        started = time.monotonic()
        missing = list(self._missing(rows))
        skipped = len(rows) - len(missing)
        done = skipped * self.settings.rollouts
        self._progress = Progress(done=done, total=len(rows) * self.settings.rollouts)
        if done:
            self._progress = replace(self._progress, **self._before())
        on_progress(self._progress)
        try:
            asyncio.run(self._all(missing, on_progress))
        except RlvrError as error:
            raise self._how_to_go_on(error) from error.__cause__
        self._record()
        report = self._recorder.close()
        run = open_run(self._recorder.folder)
        return Evaluation(
            run=run,
            rates=_rates(run, self._outcome),
            rollouts=self._progress.done,
            failed=self._progress.failed,
            skipped=skipped,
            duration_s=time.monotonic() - started,
            report=report,
        )

    def _missing(self, rows: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
        """The rows whose rollouts are not all recorded. A row that stands twice is asked twice."""
        recorded: Counter[str] = Counter()
        if self.resume is not None:
            table = open_run(self._recorder.folder).to_arrow(["example_id"], mode=Mode.EVAL)
            recorded.update(str(id) for id in table["example_id"].to_pylist())
        for row in rows:
            if recorded[_identity(row)] >= self.settings.rollouts:
                recorded[_identity(row)] -= self.settings.rollouts
            else:
                yield row

    def _before(self) -> dict[str, int]:
        """What earlier attempts found, for the progress."""
        rates = _rates(open_run(self._recorder.folder), self._outcome)
        return {"scored": rates.scored, "passed": rates.passed} if rates else {}

    async def _all(
        self, rows: Sequence[Mapping[str, Any]], on_progress: Callable[[Progress], None]
    ) -> None:
        client = self.sampler.client()
        waiting = iter(rows)
        at_once = max(1, self.settings.concurrency // self.settings.rollouts)
        one_by_one = asyncio.Semaphore(self.settings.concurrency)

        async def work() -> None:
            for row in waiting:
                await self._example(row, client, one_by_one)
                on_progress(self._progress)

        workers = [asyncio.create_task(work()) for _ in range(min(at_once, len(rows)))]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
            await client.close()

    async def _example(
        self, row: Mapping[str, Any], client: Any, one_by_one: asyncio.Semaphore
    ) -> None:
        async def one() -> RolloutCapture:
            async with one_by_one:
                capture, error = await roll_out(
                    self._view,
                    row,
                    client=client,
                    model=self.sampler.model,
                    sampling=self._arguments,
                )
            self._failures.note(error, self.sampler)
            return capture

        group = list(await asyncio.gather(*(one() for _ in range(self.settings.rollouts))))
        self._waiting.append((_identity(row), group))
        self._count(group)
        waiting = sum(len(held) for _, held in self._waiting)
        if waiting >= BATCH_ROLLOUTS or time.monotonic() - self._recorded_at > _BATCH_S:
            self._record()
            self._check_store()

    def _count(self, group: Group) -> None:
        values = [_scored(capture, self._outcome) for capture in group]
        was = self._progress
        self._progress = replace(
            was,
            done=was.done + len(group),
            scored=was.scored + sum(value is not None for value in values),
            passed=was.passed + sum(value is not None and value >= FULL for value in values),
            failed=was.failed + sum(bool(capture.errors) for capture in group),
        )

    def _record(self) -> None:
        """Record the finished examples as one batch, each of them a group."""
        waiting, self._waiting = self._waiting, []
        self._recorded_at = time.monotonic()
        if not waiting:
            return
        rubric = self._view.rubric
        names = tuple(rubric.get_reward_func_names())
        capture = BatchCapture(
            rollouts=[rollout for _, group in waiting for rollout in group],
            component_names=names,
            weights=dict(zip(names, rubric.get_reward_weights(), strict=False)),
        )
        place = BatchPlace(
            run=self._recorder.run,
            mode=Mode.EVAL,
            step=self.settings.step,
            batch=self._recorder.next_batch(Mode.EVAL),
            attempt=self._recorder.attempt,
        )
        built = build_trajectories(
            capture,
            place,
            group_size=self.settings.rollouts,
            keep_tokens=self.settings.keep_tokens,
        )
        ids = [identity for identity, group in waiting for _ in group]
        self._recorder.record_batch(
            [replace(one, example_id=id) for one, id in zip(built, ids, strict=True)]
        )

    def _check_store(self) -> None:
        """Here the record is what the work is for: without one there is no reason to go on.

        Raises:
            StoreError: rollouts could not be written.
        """
        report = self._recorder.report()
        if report.lost:
            raise StoreError(
                f"{report.lost:,} rollouts could not be written to {self._recorder.folder}"
                f" ({report.last_error}): make room there"
            )

    def _how_to_go_on(self, error: RlvrError) -> RlvrError:
        """The error, with what of the evaluation is there. Written or lost is all by now."""
        self._record()
        self._recorder.flush(_FLUSH_S)
        run, total = open_run(self._recorder.folder), self._progress.total
        done = run.to_arrow(["id"], mode=Mode.EVAL).num_rows
        return type(error)(
            f"{error}. {done:,} of {total:,} rollouts are recorded in {self._recorder.folder}; go"
            f" on with --resume {self._recorder.run}"
        )


def _identity(row: Mapping[str, Any]) -> str:
    """The row's own id; verifiers numbers rows that have none."""
    info = row.get("info")
    told = info.get("id", info.get("example_id")) if isinstance(info, Mapping) else None
    return str(row["id"] if told is None else told)


def _scored(capture: RolloutCapture, outcome: str | None) -> float | None:
    """The value of the outcome, None where its scorer gave none."""
    if outcome is None or outcome not in capture.values:
        return None
    scored, value = capture.scores.get(outcome), capture.values[outcome]
    sound = scored is None or scored.status is ScoreStatus.OK
    return value if sound and math.isfinite(value) else None


def _rates(run: Run, outcome: str | None) -> PassRates | None:
    if outcome is None:
        return None
    return pass_rates(run.to_arrow(PASS_COLUMNS, mode=Mode.EVAL), outcome)


def _thread() -> str:
    return "main" if threading.current_thread() is threading.main_thread() else "worker"
