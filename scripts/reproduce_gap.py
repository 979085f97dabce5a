#!/usr/bin/env python
r"""Make "it solves a quarter in evaluation and nothing in training" happen, and find the cause.

Each reproduction trains the bundled policy on math-python with one real mistake, evaluates the
checkpoint that comes out, and asks `rlvr parity` why the two disagree. On a CPU, without a server
or a download; about a minute each.

scorer   the library's own MathRubric: math-verify bounds its time by an alarm, which works on the
         main thread alone. Training scores in another thread, and the rubric takes what is raised
         there for a wrong answer.
parser   a sampler that does not read the model's tool calls, like a server with the parser of
         another model: they stay text, no tool ever runs, and no answer follows.

    scripts/reproduce_gap.py scorer
    scripts/reproduce_gap.py parser --output-dir outputs/gap-parser --json
"""

import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Annotated

from typer import Exit, Option

from rlvr.cli.output import say
from rlvr.cli.scripts import run_script, script_app
from rlvr.errors import RlvrError

app = script_app()

SCRIPT = Path(__file__).parent / "train_math_python.py"
RLVR = Path(sys.executable).with_name("rlvr")
STEPS = 4
PROBLEMS = shlex.split("""
    --model demo --max-level 1 --prompt-style brief --max-turns 3 --max-tokens 64 --max-seq-len 320
""")
TRAINING = shlex.split(f"""
    --datasets synthetic,seed-0,train[:480] --inference embedded --learning-rate 1e-6
    --lr-scheduler constant --batch-size 64 --gradient-accumulation-steps 1 --loss-type bnpo
    --scale-rewards --max-steps {STEPS} --save-steps {STEPS} --log-token-details
    --diagnose-every 0 --report-to none
""")
# The same problems and nearly the same weights, so that nothing but the mistake differs.
EVALUATION = shlex.split("--datasets synthetic,seed-0,train[:480] --rollouts 4")

Folder = Annotated[Path, Option(help="Where both runs are recorded.")]
Json = Annotated[bool, Option("--json", help="Let parity print one JSON document.")]


class ReproductionFailed(RlvrError):
    """A command of a reproduction failed."""


@app.command()
def scorer(*, output_dir: Folder = Path("outputs/gap-scorer"), as_json: Json = False) -> None:
    """Train and evaluate with a rubric that scores everything 0 off the main thread.

    \b
    Example:
      scripts/reproduce_gap.py scorer --output-dir /tmp/gap

    Exit codes: as `rlvr parity`: 1 where a cause of the gap was found, 0 where none was; 2 where
    something failed.
    """
    run = _train(output_dir, "--rewards", "original", "--repairs", "all,-scorer_timeouts")
    evaluated = _evaluate(output_dir, "--rewards", "original")
    # Scored again on and off the main thread, so that parity can say what that explains.
    _run(RLVR, "rescore", run, allowed=(0, 1))
    raise Exit(_parity(run, evaluated, as_json=as_json))


@app.command()
def parser(*, output_dir: Folder = Path("outputs/gap-parser"), as_json: Json = False) -> None:
    """Train with a sampler that does not read the tool calls, and evaluate with one that does.

    \b
    Example:
      scripts/reproduce_gap.py parser --output-dir /tmp/gap

    Exit codes: as `rlvr parity`: 1 where a cause of the gap was found, 0 where none was; 2 where
    something failed.
    """
    run = _train(output_dir, "--tool-parser", "none")
    evaluated = _evaluate(output_dir)
    raise Exit(_parity(run, evaluated, as_json=as_json))


def _train(folder: Path, *options: str) -> str:
    training = folder / "train"
    _run(SCRIPT, "train", *PROBLEMS, *TRAINING, *options, "--output-dir", str(training))
    return str(training)


def _evaluate(folder: Path, *options: str) -> str:
    """Evaluate the checkpoint that training has left."""
    asked = [*PROBLEMS, *EVALUATION, *options]
    asked[asked.index("demo")] = str(folder / "train" / f"checkpoint-{STEPS}")
    _run(SCRIPT, "evaluate", *asked, "--output-dir", str(folder / "eval"), allowed=(0, 1))
    return str(folder / "eval")


def _parity(run: str, evaluated: str, *, as_json: bool) -> int:
    """What it prints is the script's output; that of the other commands is talk."""
    wish = ["--json"] if as_json else []
    return _run(RLVR, "parity", run, evaluated, *wish, allowed=(0, 1), talk=False)


def _run(program: Path, *arguments: str, allowed: tuple[int, ...] = (0,), talk: bool = True) -> int:
    """Show a command as one would type it, and run it; its exit code.

    Raises:
        ReproductionFailed: it ends with another code than those allowed.
    """
    shown = program.name if program.suffix != ".py" else f"scripts/{program.name}"
    say(f"$ {shlex.join([shown, *arguments])}")
    done = subprocess.run(
        [sys.executable, str(program), *arguments],
        env={"OMP_NUM_THREADS": "1", "DS_ACCELERATOR": "cpu", **os.environ},
        stdout=sys.stderr if talk else None,
        check=False,
    )
    if done.returncode not in allowed:
        raise ReproductionFailed(
            f"{shown} {arguments[0]} ended with exit code {done.returncode}; what it said stands"
            " above"
        )
    return done.returncode


if __name__ == "__main__":
    run_script(app)
