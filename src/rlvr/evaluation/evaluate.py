"""Evaluate a model in an environment: n rollouts of each example, recorded as a run."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rlvr.errors import ConfigurationError
from rlvr.evaluation.running import RunningEvaluation
from rlvr.evaluation.samplers import Sampler
from rlvr.evaluation.values import Evaluation, EvaluationSettings, Progress
from rlvr.record import Sink

__all__ = ["Evaluation", "EvaluationSettings", "Progress", "evaluate"]


def evaluate(
    environment: Any,
    sampler: Sampler,
    *,
    output_dir: str | Path,
    settings: EvaluationSettings | None = None,
    dataset: Any = None,
    resume: str | None = None,
    sinks: Sequence[Sink] = (),
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> Evaluation:
    """Roll out `dataset` (the environment's evaluation set, else its only one) and record it.

    Called from the main thread, scoring runs there: as verifiers' own evaluation does, and not as
    a training, which scores in another thread.

    Args:
        environment: a verifiers environment.
        sampler: who answers.
        output_dir: the run lies in its folder rlvr/RUN_ID.
        dataset: rows to ask instead.
        resume: the id of a run there, to do what it lacks.
        sinks: further places to offer the rollouts to.
        on_progress: hears of every finished example.

    Raises:
        ConfigurationError: the settings can't work, or the run to resume was made otherwise.
        InferenceError: the sampler fails. What is finished is recorded, and can be resumed.
        StoreError: the store can't be written, from the start or from some time on.
    """
    chosen = settings or EvaluationSettings()
    rows = _rows(environment, dataset, chosen)
    sampler.prepare(tools=bool(environment.oai_tools))
    folder = Path(output_dir)
    with RunningEvaluation(environment, sampler, chosen, folder, resume, sinks) as running:
        return running.run(rows, on_progress)


def _rows(
    environment: Any, dataset: Any, settings: EvaluationSettings
) -> Sequence[Mapping[str, Any]]:
    if settings.rollouts < 1 or settings.concurrency < 1:
        raise ConfigurationError(
            f"rollouts={settings.rollouts}, concurrency={settings.concurrency}: both must be at"
            " least 1"
        )
    own = environment.eval_dataset if environment.eval_dataset is not None else environment.dataset
    chosen = own if dataset is None else dataset
    rows: list[Mapping[str, Any]] = list(chosen)[: settings.examples]
    if not rows:
        raise ConfigurationError("there is nothing to evaluate: the dataset holds no rows")
    return rows
