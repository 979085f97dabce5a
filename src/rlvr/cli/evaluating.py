"""`evaluate` of the training scripts: from flags and an environment to a recorded evaluation."""

import contextlib
import os
import shlex
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from typer import Exit

from rlvr.cli.opening import shown_path
from rlvr.cli.output import say, show, show_json
from rlvr.evaluation.options import EvaluationOptions

if TYPE_CHECKING:
    from rlvr.evaluation.evaluate import Evaluation
    from rlvr.evaluation.samplers import Sampler
    from rlvr.record import Sink

__all__ = ["run_evaluation"]

_INTERRUPTED = 130


def run_evaluation(
    load: Callable[[], Any],
    *,
    model: str,
    folder: Path | None,
    evaluation: EvaluationOptions,
    as_json: bool = False,
) -> None:
    """Evaluate `model` in the environment that `load` makes, and show what came of it.

    `folder` is where the model lies, if not under its name. Exit code 1 where a rollout failed or
    could not be scored, 130 where a person interrupted it.

    Raises:
        RlvrError: something is missing or wrong; the message says what to do.
    """
    _calm_libraries()
    from rlvr.trainers.starting import check_writable

    check_writable(evaluation.output_dir)
    resume = _run_named(evaluation)
    env = load()
    sampler = evaluation.sampler(model, folder=folder)
    if evaluation.endpoint is not None and sampler.tokenizer is None:
        say(
            "rlvr: the chat template and the texts of token ids are not recorded, since no"
            " tokenizer is at hand; name one with --tokenizer"
        )
    settings = evaluation.settings(str(folder or model))
    with _interruptions(evaluation.output_dir), _wandb(evaluation, env) as sinks:
        done = _evaluated(
            env,
            sampler,
            name=evaluation.run_name or model,
            output_dir=evaluation.output_dir,
            settings=settings,
            resume=resume,
            sinks=sinks,
        )
        _log(sinks, done)
    _show(done, as_json=as_json)
    unscored = done.rates is not None and done.rates.scored < done.rates.rollouts
    if done.failed or unscored or done.report.lost:
        raise Exit(1)


def _evaluated(env: Any, sampler: "Sampler", *, name: str, **chosen: Any) -> "Evaluation":
    """The evaluation, with its progress on the screen."""
    from rlvr.evaluation.evaluate import Progress, evaluate
    from rlvr.views.terminal.evaluation import LiveEvaluation

    with LiveEvaluation(name) as live:

        def tell(progress: Progress) -> None:
            live.update(**asdict(progress))

        return evaluate(env, sampler, dataset=env.get_dataset(), on_progress=tell, **chosen)


def _show(done: "Evaluation", *, as_json: bool) -> None:
    """What came of it, and where it lies."""
    from rlvr.views.terminal.evaluation import evaluation_view

    place = shlex.quote(shown_path(done.run.path))
    say(f"rlvr: {done.report.text}, in {place}")
    if as_json:
        show_json("evaluation", **_values(done))
        return
    show(
        evaluation_view(
            done.rates,
            run=place,
            failed=done.failed,
            skipped=done.skipped,
            duration_s=done.duration_s,
        )
    )


def _calm_libraries() -> None:
    """None of the libraries' own bars and log lines among ours."""
    import logging

    os.environ.setdefault("TQDM_DISABLE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    for name in ("httpx", "httpx2", "verifiers"):
        logging.getLogger(name).setLevel(logging.WARNING)
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()


def _run_named(evaluation: EvaluationOptions) -> str | None:
    """The run to resume; of `latest` the newest evaluation in the output folder."""
    from rlvr.errors import RunNotFound
    from rlvr.runs import find_runs

    if evaluation.resume != "latest":
        return evaluation.resume
    runs = find_runs(evaluation.output_dir)
    ours = [run for run in runs if run.info is not None and run.info.is_evaluation]
    if not ours:
        raise RunNotFound(
            f"there is no evaluation in {evaluation.output_dir} to resume: name the --output-dir of"
            " the earlier one, or leave --resume out"
        )
    return ours[-1].id


@contextlib.contextmanager
def _interruptions(output_dir: Path) -> Iterator[None]:
    """Let a person's Ctrl-C end in one line that says how to go on."""
    try:
        yield
    except KeyboardInterrupt:
        say(
            f"rlvr: interrupted; what was finished is recorded in {output_dir}, go on with"
            " --resume latest"
        )
        raise Exit(_INTERRUPTED) from None


@contextlib.contextmanager
def _wandb(evaluation: EvaluationOptions, env: Any) -> "Iterator[list[Sink]]":
    """A W&B run with the table of the evaluation, where that is asked for."""
    if evaluation.report_to in ("", "none"):
        yield []
        return
    from rlvr.errors import ConfigurationError, MissingDependency

    if evaluation.report_to != "wandb":
        raise ConfigurationError(
            f"--report-to is {evaluation.report_to!r}; an evaluation reports to wandb, or none"
        )
    try:
        import wandb
    except ImportError as error:
        raise MissingDependency(
            "W&B is not installed: pip install 'rlvr[wandb]', or leave --report-to out"
        ) from error
    from rlvr.sinks.wandb import WandbSink

    with wandb.init(name=evaluation.run_name, job_type="evaluation"):
        yield [
            WandbSink(
                components=env.rubric.get_reward_func_names(),
                samples=evaluation.log_trajectory_samples,
                seed=evaluation.seed,
                output_dir=str(evaluation.output_dir),
            )
        ]


def _log(sinks: "list[Sink]", done: "Evaluation") -> None:
    """The rates as numbers of the W&B run."""
    if not sinks or done.rates is None:
        return
    import wandb

    if wandb.run is not None:
        rates = {f"eval/pass@{rate.k}": rate.value for rate in done.rates.rates}
        wandb.run.log({**rates, "eval/rollouts": done.rates.rollouts})


def _values(done: "Evaluation") -> dict[str, Any]:
    return {
        "run": done.run.id,
        "place": shown_path(done.run.path),
        "rates": done.rates,
        "rollouts": done.rollouts,
        "failed": done.failed,
        "skipped": done.skipped,
        "duration_s": done.duration_s,
    }
