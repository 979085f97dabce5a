"""`rlvr list`: sorted and filtered by settings and results, whatever state a run is in."""

import json
from dataclasses import replace

import pytest

from builders import batches, run_info, write_run
from rlvr.record import EVALUATION, Component, Mode
from rlvr.recorder import Recorder

LOW, HIGH, FLAT, EVAL, EMPTY = (f"20260801-12000{at}-ab1{at}" for at in range(5))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("many")
    config = {"beta": 0.0, "seed": 3, "optim": "adamw"}
    write_run(path / "low", steps=2, run=LOW, config={**config, "learning_rate": 1e-6})
    write_run(path / "high", steps=3, run=HIGH, config={**config, "learning_rate": 1e-4})
    write_run(path / "flat", steps=4, run=FLAT, learns=False, model="other", config={})
    evaluate(path / "eval", EVAL)
    write_run(path / "empty", steps=0, run=EMPTY)
    return path


def evaluate(output_dir, run, values=(1.0, 0.0, 1.0, 1.0)):
    info = run_info(run=run, trainer=EVALUATION, config={}, outcome="exact_match")
    (batch,) = batches(1)
    with Recorder.open(output_dir, info=info, run=run) as recorder:
        recorder.record_batch(
            [
                replace(
                    rollout,
                    run=run,
                    mode=Mode.EVAL,
                    advantage=None,
                    group_id=f"eval-b000000-g{at:03d}",
                    example_id=f"e{at}",
                    components=(Component(name="exact_match", value=value, weight=1.0),),
                    reward=value,
                )
                for at, (rollout, value) in enumerate(zip(batch, values, strict=False))
            ]
        )
    return output_dir / "rlvr" / run


def listed(rlvr, *arguments):
    code, out, err = rlvr("list", ".", *arguments, "--json")
    assert code in (0, 1), err
    return [run["id"] for run in json.loads(out)["runs"]]


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ("learning_rate > 1e-5", [HIGH, EMPTY]),
        ("config.learning_rate <= 1e-4 and model = 'tiny-qwen3'", [LOW, HIGH]),
        ("config.learning_rate is null", [FLAT, EVAL]),
        ("kind = 'evaluation'", [EVAL]),
        ("last_reward is null", [EMPTY]),
        ("steps between 2 and 3", [LOW, HIGH]),
        ("rollouts = 4 and state = 'finished' and lost = 0", [EVAL]),
        ("gain > 0.2", [LOW, HIGH]),
        ("temperature = 1 and repairs.attention is true and packages.torch like '2.%'", None),
        ("scale_rewards = true and not (id like '%ab10')", [HIGH, FLAT, EVAL, EMPTY]),
        ("dataset in ('nothing', 'synthetic,two-hop,train') and world_size = 1", None),
        ("steps > 99", []),
    ],
)
def test_runs_are_chosen_by_settings_and_results(rlvr, where, found):
    every = [LOW, HIGH, FLAT, EVAL, EMPTY]
    assert listed(rlvr, "--where", where) == (every if found is None else found)


@pytest.mark.parametrize(
    ("sort", "found"),
    [
        (["started"], [LOW, HIGH, FLAT, EVAL, EMPTY]),
        (["id", "--reverse"], [EMPTY, EVAL, FLAT, HIGH, LOW]),
        (["steps"], [EMPTY, EVAL, LOW, HIGH, FLAT]),
        (["learning_rate"], [FLAT, EVAL, LOW, HIGH, EMPTY]),
        (["learning_rate", "--reverse"], [FLAT, EVAL, EMPTY, HIGH, LOW]),
    ],
)
def test_the_highest_comes_last_and_what_has_no_value_first(rlvr, sort, found):
    assert listed(rlvr, "--sort", *sort) == found


def test_a_page_is_the_end_of_what_is_sorted(rlvr):
    assert listed(rlvr, "--sort", "learning_rate", "--limit", 2) == [HIGH, EMPTY]
    assert listed(rlvr, "--sort", "learning_rate", "--limit", 2, "--offset", 2) == [EVAL, LOW]
    code, _, err = rlvr("list", ".", "--offset", 9)
    assert code == 1
    assert "none of 5 runs" in err


def test_columns_are_a_table_and_values_in_json(rlvr):
    code, out, _ = rlvr("list", ".", "--columns", "steps, learning_rate,optim,model")
    assert code == 0
    assert out.splitlines()[0].split() == [
        *("run", "steps", "config.learning_rate", "config.optim", "model"),
    ]
    assert out.splitlines()[2].split() == [HIGH, "3", "0.0001", "adamw", "tiny-qwen3"]
    _, out, _ = rlvr("list", ".", "--columns", "learning_rate", "--json")
    values = [run["values"] for run in json.loads(out)["runs"]]
    assert values[0] == {"config.learning_rate": 1e-6}
    assert values[2] == {"config.learning_rate": None}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--where", "learning_rte > 1"], "config.learning_rate"),
        (["--where", "learning_rate >"], "can't be read"),
        (["--where", "model > 3"], "a text"),
        (["--where", "tool = 'retrieve'"], "rlvr tools"),
        (["--where", "steps"], "no condition"),
        (["--sort", "nonsense"], "no run has a setting 'nonsense'"),
        (["--columns", "max_tokens,nonsense"], "nonsense"),
    ],
)
def test_a_wrong_name_or_expression_is_explained(rlvr, arguments, says):
    code, out, err = rlvr("list", ".", *arguments)
    assert (code, out) == (2, "")
    assert says in err


def test_the_rewards_are_those_of_the_first_and_last_step_and_read_from_their_files_alone(
    rlvr, tmp_path
):
    run = write_run(tmp_path, steps=5)
    _, out, _ = rlvr("list", tmp_path, "--json")
    before = json.loads(out)["runs"][0]
    for step in (1, 2, 3):
        (file,) = (run / "trajectories/L0").glob(f"train-s{step:06d}-*")
        file.write_bytes(b"torn")
    _, out, _ = rlvr("list", tmp_path, "--json")
    (after,) = json.loads(out)["runs"]
    assert after["first_reward"] == before["first_reward"] < before["last_reward"]
    assert after["last_reward"] == before["last_reward"]
    assert after["problem"] is None
    for file in (run / "trajectories/L0").glob("train-s00000[0-4]-*"):
        file.unlink()


def test_a_damaged_a_newer_and_an_unwritten_run_have_a_line_that_says_so(rlvr, tmp_path):
    damaged = write_run(tmp_path / "damaged", steps=1, run=LOW)
    (damaged / "run.json").write_text("{")
    newer = write_run(tmp_path / "newer", steps=1, run=HIGH)
    document = json.loads((newer / "run.json").read_text())
    (newer / "run.json").write_text(json.dumps({**document, "format_version": 999}))
    missing = write_run(tmp_path / "missing", steps=1, run=FLAT)
    (missing / "run.json").unlink()
    write_run(tmp_path / "fine", steps=1, run=EMPTY)
    code, out, err = rlvr("list", tmp_path, "--where", "kind = 'training'", "--sort", "reward")
    assert code == 0
    assert all(run in out for run in (LOW, FLAT, EMPTY))
    assert HIGH not in out  # nobody can tell whether that trained
    assert "newer" in err
    assert f"{LOW}: " in err
    assert "run.json is missing" in err
    _, out, _ = rlvr("list", tmp_path, "--json")
    problems = {run["id"]: run["problem"] for run in json.loads(out)["runs"]}
    assert problems[EMPTY] is None
    assert all(problems[run] for run in (LOW, HIGH, FLAT))
    (newer / "run.json").write_text(json.dumps(document))


def test_a_torn_last_step_leaves_the_one_before_and_says_so(rlvr, tmp_path):
    run = write_run(tmp_path, steps=3)
    (file,) = (run / "trajectories/L0").glob("train-s000002-*")
    kept = file.read_bytes()
    file.write_bytes(kept[:100])
    _, out, _ = rlvr("list", tmp_path, "--json")
    (line,) = json.loads(out)["runs"]
    assert line["last_reward"] is not None
    assert file.name in line["problem"]
    file.write_bytes(kept)
