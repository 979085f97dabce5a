#!/usr/bin/env python
"""Record the demo anew and make its two runs the sample that ships with the package.

python scripts/make_sample.py
python scripts/make_sample.py --steps 40 --seed 1
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

SAMPLE = Path("src/rlvr/demo/sample")


def main(
    steps: Annotated[int, typer.Option(help="Steps of the repaired run.")] = 40,
    upstream_steps: Annotated[int, typer.Option(help="Steps of the upstream run.")] = 20,
    seed: Annotated[int, typer.Option(help="The demo's seed.")] = 0,
) -> None:
    """Run the demo in a scratch folder and move its records into the package."""
    with tempfile.TemporaryDirectory() as scratch:
        options = {"--steps": steps, "--upstream-steps": upstream_steps, "--seed": seed}
        arguments = [str(part) for option in options.items() for part in option]
        # In-process arguments name no path of this machine, so that the record holds none.
        program = "import sys; from rlvr.cli import main; sys.argv[0] = 'rlvr'; main()"
        subprocess.run([sys.executable, "-c", program, "demo", *arguments], cwd=scratch, check=True)
        shutil.rmtree(SAMPLE, ignore_errors=True)
        for name in ("upstream", "repaired"):
            shutil.copytree(Path(scratch) / "outputs/demo" / name / "rlvr", SAMPLE / name / "rlvr")
    files = [path for path in SAMPLE.rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files)
    sys.stdout.write(f"{len(files)} files, {size / 1e6:.1f} MB in {SAMPLE}\n")


if __name__ == "__main__":
    typer.run(main)
