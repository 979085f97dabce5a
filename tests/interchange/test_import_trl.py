import shutil

import pandas as pd
import pyarrow.parquet as pq
import pytest
from imports import FIXTURES, imported, judged, rollouts, unknown

TRL = FIXTURES / "trl"


def test_a_folder_that_trl_wrote_keeps_every_value(tmp_path):
    report, run = imported(TRL, tmp_path)
    table = pd.concat(pd.read_parquet(file) for file in sorted(TRL.rglob("*.parquet")))
    read = rollouts(run)
    assert len(read) == len(table) == 24
    assert [r.step for r in read] == table["step"].tolist()
    assert [r.advantage for r in read] == table["advantage"].tolist()
    assert [r.component("length").value for r in read] == table["length"].tolist()
    assert [r.completion[0].content for r in read] == [c[0]["content"] for c in table["completion"]]
    assert [r.prompt[0].content for r in read] == [p[0]["content"] for p in table["prompt"]]
    assert report.components == {"length": 24, "vowels": 24}


def test_groups_are_runs_of_equal_prompts(tmp_path):
    report, run = imported(TRL, tmp_path)
    assert report.groups == 6
    assert [r.sample for r in rollouts(run)] == [0, 1, 2, 3] * 6
    assert "group ids" in report.absent
    assert any("consecutive rows" in sentence for sentence in run.info.inferred)


def test_weights_of_one_are_taken_because_the_advantages_show_them(tmp_path):
    _, run = imported(TRL, tmp_path)
    assert run.info.components == {"length": 1.0, "vowels": 1.0}
    assert any("weights of 1" in sentence for sentence in run.info.inferred)
    for rollout in rollouts(run):
        held = [c.value for c in rollout.components if c.value is not None]
        assert rollout.reward == pytest.approx(sum(held))
    assert "wrong-advantage" in judged(run)


def test_one_component_makes_the_total_also_where_no_group_has_a_spread(tmp_path):
    rows = [
        {"step": s, "prompt": f"p{s}", "completion": "x", "exact": 0.0, "advantage": 0.0}
        for s in (1, 2, 3)
        for _ in range(4)
    ]
    pd.DataFrame(rows).to_parquet(tmp_path / "completions_00001.parquet")
    _, run = imported(tmp_path, tmp_path / "out")
    assert {rollout.reward for rollout in rollouts(run)} == {0.0}
    assert any("only scales the total" in sentence for sentence in run.info.inferred)


def other_advantages(tmp_path):
    """The fixture as a training with other weights would have written it."""
    shutil.copytree(TRL, tmp_path / "other")
    for file in (tmp_path / "other").rglob("*.parquet"):
        table = pd.read_parquet(file)
        total = table["length"] + 5 * table["vowels"].fillna(0)
        groups = total.groupby(table["prompt"].astype(str))
        scaled = (total - groups.transform("mean")) / (groups.transform("std") + 1e-4)
        table.assign(advantage=scaled).to_parquet(file)
    return tmp_path / "other"


def test_weights_that_the_advantages_refute_stay_unknown_and_so_do_totals(tmp_path):
    report, run = imported(other_advantages(tmp_path), tmp_path / "out")
    assert run.info.components == {}
    assert all(rollout.reward is None for rollout in rollouts(run))
    assert "weights of the reward components" in report.absent
    assert "total rewards" in unknown(run)["zero-variance-groups"]


def test_weights_that_a_person_gives_make_totals(tmp_path):
    weights = {"length": 1.0, "vowels": 5.0}
    _, run = imported(other_advantages(tmp_path), tmp_path / "out", weights=weights)
    rollout = rollouts(run)[0]
    length, vowels = (rollout.component(name).value for name in ("length", "vowels"))
    assert rollout.reward == pytest.approx(length + 5 * (vowels or 0.0))
    assert run.info.components == weights


def test_what_trl_does_not_write_is_none_and_unknown(tmp_path):
    _, run = imported(TRL, tmp_path)
    rollout = rollouts(run)[0]
    assert rollout.tokens is None
    assert rollout.evidence.gap_mean is None
    assert rollout.example_id is None
    assert rollout.answer is None
    reasons = unknown(run)
    for code in ("sampler-trainer-gap", "mask-on-wrong-roles", "scorer-silent", "truncation"):
        assert "does not hold" in reasons[code]


def test_arguments_lose_the_nulls_that_columns_add(tmp_path):
    def completion(arguments):
        call = {"type": "function", "function": {"name": "f", "arguments": arguments}}
        return [{"role": "assistant", "tool_calls": [call]}]

    rows = pd.DataFrame(
        {
            "step": [1, 1],
            "prompt": ["p", "p"],
            "completion": [completion({"query": "x"}), completion({"n": 2})],
            "right": [1.0, 0.0],
            "advantage": [0.7, -0.7],
        }
    )
    rows.to_parquet(tmp_path / "completions_00001.parquet")
    report, run = imported(tmp_path, tmp_path / "out")
    arguments = [rollout.tool_calls[0].arguments for rollout in rollouts(run)]
    assert arguments == ['{"query": "x"}', '{"n": 2}']
    assert "tool calls as they were written" in report.absent


def test_a_torn_file_between_whole_ones_is_counted_and_the_others_read(tmp_path):
    shutil.copytree(TRL, tmp_path / "trl")
    torn = tmp_path / "trl/completions/completions_00002.parquet"
    torn.write_bytes(torn.read_bytes()[:2_000])
    report, run = imported(tmp_path / "trl", tmp_path / "out")
    assert (report.total, report.damaged) == (16, 1)
    assert report.first_damaged[0].file == str(torn)
    assert run.steps() == [1, 3]


def test_a_file_that_only_logs_a_batch_again_is_left_out(tmp_path):
    shutil.copytree(TRL, tmp_path / "trl")
    folder = tmp_path / "trl/completions"
    again = pd.read_parquet(folder / "completions_00003.parquet").assign(step=4)
    again.to_parquet(folder / "completions_00004.parquet")
    report, _ = imported(tmp_path / "trl", tmp_path / "out")
    assert report.total == 24


def test_other_parquet_beside_it_is_no_completion(tmp_path):
    shutil.copytree(TRL / "completions", tmp_path / "trl")
    pd.DataFrame({"text": ["a"]}).to_parquet(tmp_path / "trl/data.parquet")
    assert imported(tmp_path / "trl", tmp_path / "out")[0].files == 3


def test_the_fixture_is_what_trl_writes(tmp_path):
    """Its own columns, in its order: pandas keeps no index column of these."""
    names = pq.read_schema(TRL / "completions/completions_00001.parquet").names
    assert names == ["step", "prompt", "completion", "length", "vowels", "advantage"]
