"""The trainer on the other verifiers version that it promises to work with."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import rlvr

OTHER = "0.1.6.post0"

TRAINING = """
import importlib.metadata
from pathlib import Path
from rlvr.demo.settings import DemoSettings
from rlvr.demo.training import Part, train_part
assert importlib.metadata.version("verifiers") == "{version}"
settings = DemoSettings(steps=1, prompts_per_step=2, generations=4)
for repairs in ("all", "generation_errors"):
    part = Part(name=repairs, steps=1, repairs=repairs, datasets=settings.datasets)
    train_part(part, settings, output_dir=Path(repairs), checkpoint=None, on_step=lambda *_: None)
"""


@pytest.mark.train
@pytest.mark.slow
def test_the_newest_promised_version_trains_recorded_and_repaired(tmp_path: Path) -> None:
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target"]
    subprocess.run([*install, tmp_path / "other", f"verifiers=={OTHER}"], check=True)
    done = subprocess.run(
        [sys.executable, "-c", TRAINING.format(version=OTHER)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "other")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    gaps, match = {}, {}
    for repairs in ("all", "generation_errors"):
        table = rlvr.open_run(tmp_path / repairs).to_pandas(columns=["gap_mean", "ids_match"])
        assert len(table) == 8
        gaps[repairs], match[repairs] = table["gap_mean"].mean(), table["ids_match"].mean()
    assert gaps["all"] < 1e-4
    assert match["all"] == 1.0
    assert gaps["generation_errors"] > 0.3
