"""The demo, run whole with one seed, as its user runs it."""

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

import rlvr
from rlvr.runs import Run


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("demo")
    program = "import sys; from rlvr.cli import main; main(sys.argv[1:])"
    done = subprocess.run(
        [sys.executable, "-c", program, "demo", "--seed", "1"],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return folder, done.stdout


def exact_match(run: Run) -> list[float]:
    by_step: dict[int, list[float]] = {}
    for trajectory in run.trajectories(mode="train", tokens=False):
        component = trajectory.component("exact_match")
        by_step.setdefault(trajectory.step, []).append(component.value)
    return [statistics.fmean(values) for _, values in sorted(by_step.items())]


@pytest.mark.train
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_repaired_trainer_learns_and_the_shipped_one_does_not(demo) -> None:
    folder, _ = demo
    upstream = exact_match(rlvr.open_run(folder / "outputs/demo/upstream"))
    repaired = exact_match(rlvr.open_run(folder / "outputs/demo/repaired"))
    start, end = repaired[0], statistics.fmean(repaired[-10:])
    print(json.dumps({"upstream": upstream, "repaired": repaired}))
    assert len(upstream) == 20
    assert end >= 0.75
    assert end >= start + 0.3
    assert statistics.fmean(upstream[-10:]) < end - 0.3


@pytest.mark.train
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_prompt_is_new_and_the_gap_tells_the_two_apart(demo) -> None:
    folder, _ = demo
    gaps = {}
    for name in ("upstream", "repaired"):
        run = rlvr.open_run(folder / "outputs/demo" / name)
        table = run.to_pandas(columns=["group_id", "example_id", "gap_mean"])
        assert table.groupby("example_id")["group_id"].nunique().max() == 1
        gaps[name] = table["gap_mean"].mean()
    assert gaps["upstream"] > 0.3
    assert gaps["repaired"] < 1e-4


@pytest.mark.train
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_it_ends_with_curves_trajectories_and_what_to_type(demo) -> None:
    folder, printed = demo
    for part in (
        "A trajectory that succeeded",
        "A trajectory that failed",
        "mean reward",
        "Next",
        "The verdict on upstream",
        "The verdict on repaired",
    ):
        assert part in printed
    for name in ("upstream", "repaired"):
        run = rlvr.open_run(folder / "outputs/demo" / name)
        assert f"rlvr show {run.path.relative_to(folder)}" in printed
