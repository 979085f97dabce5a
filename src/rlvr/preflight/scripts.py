"""A training script, run up to where it would train."""

import contextlib
import runpy
import sys
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rlvr.errors import ConfigurationError
from rlvr.preflight.checks import preflight
from rlvr.record.check import PreflightReport


class _Checked(BaseException):
    """Leaves the script from its call of `train()`; no handler of errors holds it up."""

    def __init__(self, report: PreflightReport) -> None:
        super().__init__("preflight is done")
        self.report = report


def preflight_script(script: Path, arguments: Sequence[str]) -> PreflightReport:
    """Run a Python script as its own process would, and check the trainer that it would train.

    What the script prints goes to standard error.

    Raises:
        ConfigurationError: there is no such file, the script failed or ended before it trained,
            or it trains with verifiers' own trainer.
    """
    if not script.is_file():
        raise ConfigurationError(f"there is no script {script}: name the file that trains")
    try:
        with _in_place_of_training(), _as_main_program(script, arguments):
            runpy.run_path(str(script), run_name="__main__")
    except _Checked as checked:
        return checked.report
    except SystemExit as left:
        raise ConfigurationError(
            f"{script} left with exit code {_code(left)} before it trained: run it as"
            " `python SCRIPT ARGS` to see why"
        ) from left
    except ConfigurationError:
        raise
    except Exception as error:
        traceback.print_exc()
        raise ConfigurationError(
            f"{script} failed before it trained, with {type(error).__name__}: {error}"
        ) from error
    raise ConfigurationError(
        f"{script} ended and never called train() of an EnhancedGRPOTrainer: name the script that"
        " trains, with the arguments that make it train"
    )


@contextlib.contextmanager
def _in_place_of_training() -> Iterator[None]:
    """Let `train()` of verifiers' trainer and its subclasses check instead."""
    from verifiers.trainers.grpo_trainer import GRPOTrainer

    from rlvr.trainers.enhanced_grpo_trainer import EnhancedGRPOTrainer

    def train(trainer: Any, *_: Any, **__: Any) -> None:
        if isinstance(trainer, EnhancedGRPOTrainer):
            raise _Checked(preflight(trainer))
        raise ConfigurationError(
            "the script trains with verifiers' own GRPOTrainer, which can't be checked: write"
            " `from rlvr.trainers.enhanced_grpo_trainer import EnhancedGRPOTrainer as GRPOTrainer`"
        )

    inherited = "train" not in vars(GRPOTrainer)
    original = GRPOTrainer.train
    GRPOTrainer.train = train
    try:
        yield
    finally:
        if inherited:
            del GRPOTrainer.train
        else:
            GRPOTrainer.train = original


@contextlib.contextmanager
def _as_main_program(script: Path, arguments: Sequence[str]) -> Iterator[None]:
    """Give a script its own command line and import path, and keep standard output for us."""
    argv, path, main = sys.argv, list(sys.path), sys.modules["__main__"]
    sys.argv = [str(script), *arguments]
    sys.path.insert(0, str(script.resolve().parent))
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        sys.argv, sys.path[:] = argv, path
        sys.modules["__main__"] = main


def _code(left: SystemExit) -> object:
    return 0 if left.code is None else left.code
