"""`rlvr compare`: groups by setting, replicates by seed, and runs that do not fit."""

import json
from dataclasses import replace

import pytest

from builders import batches, odd_trajectory, run_info, trajectory, write_run
from rlvr.record import EVALUATION, Component, Mode
from rlvr.recorder import Recorder

STEPS = 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("sweep")
    for at, (rate, seed) in enumerate((r, s) for r in (1e-6, 1e-4) for s in (0, 1, 2)):
        write(path / "sweep" / f"run{at}", rate=rate, seed=seed, chance=0.2 + 0.5 * (rate > 1e-5))
    for at, (model, value) in enumerate((m, v) for m in ("a", "b") for v in (0.25, 0.75)):
        evaluate(path / "evals" / f"eval{at}", model=model, value=value, run=name(at, "eval"))
    return path


def name(at, kind="run"):
    return f"20260801-12{at:02d}00-{kind}"


def write(output_dir, *, rate, seed, chance, steps=STEPS, run=None, **changes):
    """A run whose outcome is `chance` with a little that its seed adds, the same at every step."""
    run = run or f"20260801-{rate * 1e6:06.0f}-s{seed}"
    config = {"learning_rate": rate, "seed": seed, "output_dir": str(output_dir)}
    info = run_info(run=run, config=config, outcome="exact_match", **changes)
    with Recorder.open(output_dir, info=info, run=run) as recorder:
        for batch in batches(steps, seed=seed):
            recorder.record_batch([valued(rollout, run, chance + 0.01 * seed) for rollout in batch])
    return output_dir / "rlvr" / run


def valued(rollout, run, value, **changes):
    components = (Component(name="exact_match", value=value, weight=1.0),)
    return replace(rollout, run=run, components=components, reward=value, **changes)


def evaluate(output_dir, *, model, value, run):
    """Four examples of four rollouts, of which the share `value` is right."""
    info = run_info(run=run, model=model, trainer=EVALUATION, config={}, outcome="exact_match")
    rollouts = [
        valued(
            trajectory(mode=Mode.EVAL, step=0, batch=0, sample=at, advantage=None),
            run,
            float(at < 4 * value),
            group_id=f"eval-b000000-g{example:03d}",
            example_id=f"e{example}",
        )
        for example in range(4)
        for at in range(4)
    ]
    with Recorder.open(output_dir, info=info, run=run) as recorder:
        recorder.record_batch(rollouts)


def compared(rlvr, *arguments):
    code, out, err = rlvr("compare", *arguments, "--json")
    assert code == 0, err
    return json.loads(out)


def test_groups_are_made_by_what_differs_and_seeds_are_replicates(rlvr):
    found = compared(rlvr, "sweep")
    assert found["by"] == ["config.learning_rate"]
    low, high = found["groups"]
    assert [run["seed"] for run in low["runs"]] == ["0", "1", "2"]
    assert low["numbers"]["last"]["value"] == pytest.approx(0.21)
    # Student's quantile for three seeds times the standard error of 0.20, 0.21, 0.22.
    half = 4.302653 * 0.01 / 3**0.5
    assert low["numbers"]["last"]["high"] == pytest.approx(0.21 + half)
    (difference,) = found["differences"]
    assert difference["numbers"]["last"]["value"] == pytest.approx(0.5)
    assert difference["numbers"]["last"]["low"] > 0.4
    assert high["numbers"]["turns"]["value"] == 3.0
    assert found["same"]["model"] == "tiny-qwen3"
    assert found["remarks"] == []


def test_the_page_says_what_differs_and_how_sure_that_is(rlvr, tmp_path):
    plot = tmp_path / "sweep.svg"
    code, out, err = rlvr("compare", "sweep", "--by", "learning_rate", "--plot", plot)
    assert code == 0
    assert "learning_rate=0.0001 has 0.500 more than learning_rate=1e-06" in out
    assert "0.210 ±0.025" in out
    assert "With 3 runs in a group" in out
    assert "the same in all" in out
    assert plot.read_text().startswith("<?xml")
    assert "drew" in err
    assert all(line == line.rstrip() for line in out.splitlines())


def test_confounded_groups_are_named(rlvr, tmp_path):
    write(tmp_path / "a", rate=1e-6, seed=0, chance=0.2, packages={"torch": "2.12"})
    write(tmp_path / "b", rate=1e-4, seed=0, chance=0.6, packages={"torch": "2.13"})
    found = compared(rlvr, tmp_path)
    assert [one["name"] for one in found["confounded"]] == ["packages.torch"]
    assert found["differences"][0]["settings"] == ["config.learning_rate", "packages.torch"]
    assert "packages.torch differ too" in found["cautions"][0]
    assert "single run" in found["cautions"][1]
    assert found["differences"][0]["numbers"]["last"]["low"] == "NaN"


def test_evaluations_are_compared_by_their_pass_rates(rlvr):
    found = compared(rlvr, "evals")
    assert (found["mode"], found["measure"], found["by"]) == ("eval", "pass rate", ["model"])
    assert [group["numbers"]["last"]["value"] for group in found["groups"]] == [0.5, 0.5]
    rates = [run["numbers"]["last"] for group in found["groups"] for run in group["runs"]]
    assert rates == [0.25, 0.75, 0.25, 0.75]
    code, out, _ = rlvr("compare", "evals")
    assert code == 0
    assert "pass rate" in out
    mixed = compared(rlvr, "evals", "sweep")
    assert mixed["mode"] == "train"
    assert sum("has no training rollouts" in remark for remark in mixed["remarks"]) == 4


def test_a_shorter_run_ends_the_comparison_unless_asked(rlvr, tmp_path):
    write(tmp_path, rate=1e-6, seed=9, chance=0.2, steps=2)
    found = compared(rlvr, "sweep", tmp_path)
    assert (found["last"], found["limited_by"]) == (1, "20260801-000001-s9")
    assert any("--all-steps" in caution for caution in found["cautions"])
    assert compared(rlvr, "sweep", tmp_path, "--all-steps")["last"] == STEPS - 1


def test_runs_without_what_is_compared_are_left_out_and_named(rlvr, tmp_path):
    write(tmp_path / "fine", rate=1e-6, seed=0, chance=0.2)
    write_run(tmp_path / "empty", steps=0, run=name(1))
    bare = [replace(trajectory(), components=(), run=name(2))]
    write_run(tmp_path / "bare", steps=0, extra=bare, run=name(2))
    odd = [replace(odd_trajectory(), run=name(3))]
    write_run(tmp_path / "odd", steps=0, extra=odd, run=name(3))
    found = compared(rlvr, tmp_path, "--component", "exact_match")
    said = " ".join(found["remarks"])
    assert f"{name(1)} is left out: it has no training rollouts" in said
    assert f"{name(2)} is left out: it has no component exact_match" in said
    assert f"{name(3)} is left out: no rollout has a value of exact_match" in said
    assert len(found["groups"]) == 1


def test_nan_rewards_are_left_out_of_the_means_and_counted(rlvr, tmp_path):
    run = name(1)
    rollouts = [
        valued(r, run, v) for r, v in zip(next(batches(1)), (0.5, float("nan")) * 4, strict=True)
    ]
    info = run_info(run=run)
    with Recorder.open(tmp_path, info=info, run=run) as recorder:
        recorder.record_batch(rollouts)
    found = compared(rlvr, tmp_path, "--component", "reward")
    assert found["groups"][0]["numbers"]["last"]["value"] == 0.5
    assert "4 of 8 rollouts have no finite reward" in found["remarks"][0]


def test_a_resumed_run_counts_its_newest_rows_and_says_what_changed(rlvr, tmp_path):
    run = write(tmp_path, rate=1e-6, seed=0, chance=0.2)
    with Recorder.open(tmp_path, info=run_info(run=run.name), run=run.name, first_step=2) as again:
        for batch in list(batches(4))[2:]:
            rows = [valued(r, run.name, 0.8, attempt=again.attempt) for r in batch]
            again.record_batch(rows)
    (only,) = compared(rlvr, tmp_path, "--last", 2)["groups"]
    assert only["runs"][0]["attempts"] == 2
    assert only["numbers"]["last"]["value"] == pytest.approx(0.8)
    assert only["curve"][1]["mean"] == pytest.approx(0.2)


def test_what_another_tool_recorded_is_compared_as_it_lies(rlvr, tmp_path):
    messages = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
    for at, reward in enumerate((0.25, 0.75)):
        line = json.dumps({"messages": messages, "reward": reward})
        (tmp_path / f"chats{at}.jsonl").write_text(f"{line}\n")
    found = compared(rlvr, tmp_path / "chats0.jsonl", tmp_path / "chats1.jsonl")
    means = [run["numbers"]["last"] for group in found["groups"] for run in group["runs"]]
    assert sorted(means) == [0.25, 0.75]


def test_one_run_named_twice_counts_once_and_a_newer_one_is_left_out(rlvr, tmp_path):
    run = write(tmp_path / "a", rate=1e-6, seed=0, chance=0.2)
    newer = write(tmp_path / "b", rate=1e-6, seed=1, chance=0.2)
    document = (newer / "run.json").read_text()
    (newer / "run.json").write_text(json.dumps({**json.loads(document), "format_version": 999}))
    found = compared(rlvr, tmp_path, run, run)
    assert [entry["id"] for entry in found["groups"][0]["runs"]] == [run.name]
    assert f"{newer.name} is left out" in found["remarks"][0]
    (newer / "run.json").write_text(document)


def test_findings_are_counted_where_asked(rlvr):
    found = compared(rlvr, "--sample", "--diagnose")
    upstream = next(group for group in found["groups"] if "tokens-not-sampled" in group["findings"])
    assert upstream["findings"]["tokens-not-sampled"] == 1
    assert compared(rlvr, "--sample")["groups"][0]["runs"][0]["findings"] is None


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "name runs"),
        (["sweep", "--by", "learning_rte"], "config.learning_rate"),
        (["sweep", "--component", "nonsense"], "nonsense"),
        (["nowhere"], "nowhere"),
        (["sweep", "--plot", "a.pdf"], ".svg"),
        (["sweep", "--steps", "5:1"], "--steps"),
        (["evals", "--mode", "train"], "none of 4 runs"),
    ],
)
def test_wrong_input_is_explained(rlvr, arguments, says):
    code, out, err = rlvr("compare", *arguments)
    assert (code, out) == (2, "")
    assert says in err
