"""`rlvr demo`: a real training run on this machine, recorded twice, and the verdict on both."""

import os
import shlex
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rlvr.cli.opening import shown_path
from rlvr.cli.output import say, show, show_json
from rlvr.errors import MissingDependency

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rlvr.demo.settings import DemoSettings
    from rlvr.demo.training import Part


def demo(
    *,
    steps: Annotated[int, typer.Option(min=1, help="Steps of the repaired trainer.")] = 60,
    upstream_steps: Annotated[
        int, typer.Option(min=0, help="Steps of the trainer as upstream ships it; 0 leaves it out.")
    ] = 20,
    seed: Annotated[int, typer.Option(help="Decides the questions and what is sampled.")] = 0,
    output_dir: Annotated[
        Path, typer.Option(help="Where both runs are recorded.", file_okay=False)
    ] = Path("outputs/demo"),
    keep: Annotated[
        bool, typer.Option("--keep/--no-keep", help="Keep the records when the demo has ended.")
    ] = True,
    checkpoint: Annotated[
        Path | None, typer.Option(help="Start from this folder, not from the bundled policy.")
    ] = None,
    wandb: Annotated[
        bool, typer.Option("--wandb", help="Log to W&B too (needs the wandb extra).")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Train a small policy that answers questions with a retrieve tool, and look at it.

    First with the GRPO trainer as upstream ships it, then with its defects repaired, from the same
    checkpoint. Needs the train extra; no server, no account and no download. Some minutes on two
    cores.

    \b
    Example:
      rlvr demo                              both trainings, 20 and 60 steps
      rlvr demo --steps 100 --seed 3         other questions, a longer run
      rlvr demo --upstream-steps 0 --no-keep the repaired one alone, its records thrown away

    Exit codes: 0 done; 2 the train extra is missing, or the start is too weak to learn from.
    """
    from rlvr.demo.ending import ending, summaries, verdicts
    from rlvr.demo.settings import DemoSettings
    from rlvr.demo.training import demo_parts
    from rlvr.runs import open_run
    from rlvr.views.verdict import verdict_values

    _calm_libraries()
    settings = DemoSettings(seed=seed, steps=steps, upstream_steps=upstream_steps)
    _check_start(settings, checkpoint)
    runs = {}
    curves: dict[str, tuple[tuple[int, float], ...]] = {}
    for part in demo_parts(settings):
        folder = output_dir / part.name
        curves[part.name] = _train(part, settings, folder, checkpoint, curves, wandb=wandb)
        runs[part.name] = open_run(folder)
    places = {name: shlex.quote(shown_path(run.path)) for name, run in runs.items()}
    if as_json:
        judged = {
            name: verdict_values(verdict, places[name]) for name, verdict in verdicts(runs).items()
        }
        show_json("demo", settings=settings, runs=summaries(runs), verdicts=judged, places=places)
    else:
        show(*ending(runs, places, shlex.quote(shown_path(output_dir))))
    if not keep:
        for run in runs.values():
            shutil.rmtree(run.path)
        say("rlvr: the records of this demo are deleted, as asked by --no-keep.")


def _calm_libraries() -> None:
    """One thread for tiny matrices, and none of the libraries' own progress on the screen."""
    import logging
    import warnings

    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("TQDM_DISABLE", "1")
    os.environ.setdefault("DS_ACCELERATOR", "cpu")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    warnings.filterwarnings("ignore", category=FutureWarning)
    logging.getLogger("torch.distributed").setLevel(logging.ERROR)


def _missing(error: ImportError) -> MissingDependency:
    return MissingDependency(
        f"the demo trains a model and needs the train extra ({error}): pip install 'rlvr[train]';"
        " `rlvr show --sample` shows what such a run looks like without it"
    )


def _check_start(settings: "DemoSettings", checkpoint: Path | None) -> None:
    """Refuse a policy that is right too rarely for reinforcement learning to find anything.

    Raises:
        MissingDependency: the train extra is not installed.
        WarmStartFailed: fewer than a fifth of its answers are right; says what is not learnt.
    """
    try:
        import torch
        import verifiers
        from transformers.utils import logging as transformers_logging

        from rlvr.demo.musique.task import MUSIQUE, measure
        from rlvr.demo.policy import load_policy
        from rlvr.demo.warm_start import require_success
    except ImportError as error:
        raise _missing(error) from error

    verifiers.setup_logging("ERROR")
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    torch.set_num_threads(1)
    torch.manual_seed(settings.seed)
    model, tokenizer = load_policy(checkpoint)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    say(f"rlvr: a Qwen3 policy of {parameters:,} parameters answers two-hop questions with a tool.")
    measured = measure(
        model,
        tokenizer,
        settings=settings,
        datasets=f"synthetic,seed-{settings.seed},validation[:256]",
    )
    require_success(MUSIQUE, measured)
    say(
        f"rlvr: before training it answers {measured.success:.0%} of {measured.rollouts}"
        " questions exactly."
    )


def _train(
    part: "Part",
    settings: "DemoSettings",
    folder: Path,
    checkpoint: Path | None,
    earlier: dict[str, tuple[tuple[int, float], ...]],
    *,
    wandb: bool,
) -> tuple[tuple[int, float], ...]:
    """Train one part with its curve on the screen; the (step, mean reward) pairs."""
    from rlvr.demo.training import train_part
    from rlvr.views.terminal.live import LiveTraining

    live = LiveTraining(part.name, total_steps=part.steps, earlier=earlier)
    started = False

    def on_step(
        step: int, reward: float, components: "Mapping[str, float]", duration_s: float
    ) -> None:
        nonlocal started
        if not started:  # the trainer's banner comes first
            live.__enter__()
            started = True
        live.update(step, reward, components, duration_s)

    try:
        train_part(
            part,
            settings,
            output_dir=folder,
            checkpoint=checkpoint,
            on_step=on_step,
            report_to=("wandb",) if wandb else (),
        )
    finally:
        if started:
            live.__exit__(None, None, None)
    return live.points
