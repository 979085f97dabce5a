"""`rlvr preflight`: check a training before its first step."""

import tempfile
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rlvr.cli.output import show, show_json
from rlvr.errors import MissingDependency

if TYPE_CHECKING:
    from rlvr.record.check import PreflightReport

# Everything after SCRIPT is the script's.
CONTEXT = {"allow_interspersed_args": False}


class DemoPart(StrEnum):
    """One of the demo's two trainers."""

    UPSTREAM = "upstream"
    REPAIRED = "repaired"


def preflight(
    script: Annotated[
        Path | None, typer.Argument(metavar="SCRIPT", help="The Python file that trains.")
    ] = None,
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="ARGS", help="Its own arguments.")
    ] = None,
    *,
    demo: Annotated[
        DemoPart | None, typer.Option(help="Check a trainer of the demo, without a script.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Check a training before a step is spent on it: scorer, tools, tokens, masks, weights.

    Runs SCRIPT up to where it calls train() of an EnhancedGRPOTrainer, samples one batch there and
    checks it instead of training. Nothing is recorded, logged or updated.

    \b
    Example:
      rlvr preflight --demo upstream
      rlvr preflight --json train.py --model Qwen/Qwen3-0.6B
      accelerate launch --num-processes 2 "$(which rlvr)" preflight train.py

    Exit codes: 0 no check failed; 1 one did; 2 the script never came to train, or wrong usage.
    """
    if (script is None) == (demo is None):
        raise typer.BadParameter("name a SCRIPT, or --demo upstream, or --demo repaired")
    report = _of_demo(demo) if demo is not None else _of_script(script, arguments or [])
    show_report(report, as_json=as_json)
    if report.failed:
        raise typer.Exit(1)


def show_report(report: "PreflightReport", *, as_json: bool = False) -> None:
    """Print a report, on the main process of a training alone."""
    from rlvr.cli.scripts import Launch
    from rlvr.views.terminal.preflight import preflight_view

    if Launch.here().rank != 0:
        return
    if as_json:
        first = report.first_to_mend
        show_json("preflight", report=report, first_to_mend=first.name if first else None)
    else:
        show(preflight_view(report))


def _of_script(script: Path | None, arguments: list[str]) -> "PreflightReport":
    assert script is not None
    try:
        from rlvr.preflight.scripts import preflight_script
    except ImportError as error:
        raise _missing(error) from error
    return preflight_script(script, arguments)


def _of_demo(part: DemoPart) -> "PreflightReport":
    from rlvr.cli.demo import _calm_libraries
    from rlvr.demo.settings import DemoSettings

    _calm_libraries()
    try:
        import torch
        import verifiers

        from rlvr.demo.training import demo_parts, demo_trainer
        from rlvr.preflight.checks import preflight as check
    except ImportError as error:
        raise _missing(error) from error
    verifiers.setup_logging("ERROR")
    torch.set_num_threads(1)
    settings = DemoSettings()
    chosen = next(known for known in demo_parts(settings) if known.name == part)
    with tempfile.TemporaryDirectory(prefix="rlvr-preflight-") as folder:
        return check(demo_trainer(chosen, settings, output_dir=Path(folder)))


def _missing(error: ImportError) -> MissingDependency:
    return MissingDependency(
        f"a preflight runs the trainer and needs the train extra ({error}): pip install"
        " 'rlvr[train]'"
    )
