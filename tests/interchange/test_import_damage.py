"""Whatever a line holds, it is counted or read, and the others survive."""

import json
import pickle

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from imports import chat, imported, rollouts, write_lines

from rlvr.errors import RunNotFound
from rlvr.interchange import lines as reading_lines

DAMAGED = [
    b"{torn",
    b"\xff\xfe\x00",
    b"[1, 2]",
    b"null",
    b'"text"',
    b"17",
    b"{}",
    b'{"messages": []}',
    b'{"messages": 3}',
    b'{"messages": [null]}',
    b'{"messages": [{"role": "user", "content": "x"}], "reward": "high"}',
    b'{"messages": [{"role": "user", "content": "x"}], "reward": {}}',
    b'{"messages": [{"role": "user", "content": "x"}], "step": -1}',
    b'{"messages": [{"role": "user", "content": "x"}], "step": true}',
    b'{"messages": [{"role": "user", "content": "x"}], "step": 1e300}',
    b'{"messages": [{"role": "user", "content": "x"}], "rewards": {"a": "b"}}',
    b'{"messages": [{"role": "user", "content": "x"}], "mode": "test"}',
    b'{"messages": [{"role": "user", "content": "x", "tool_calls": 5}]}',
    b"[" * 100_000 + b"]" * 100_000,
    b'{"messages": ' + b"9" * 5_000 + b"}",
]

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3)
    ),
    max_leaves=8,
)


@pytest.mark.parametrize("line", DAMAGED, ids=range(len(DAMAGED)))
def test_each_kind_of_damage_is_counted_and_the_lines_around_it_read(tmp_path, line):
    path = write_lines(tmp_path / "a.jsonl", [chat("1"), line, chat("2")])
    report, run = imported(path, tmp_path / "out")
    assert [rollout.completion[0].content for rollout in rollouts(run)] == ["1", "2"]
    assert (report.damaged, report.first_damaged[0].place) == (1, 2)
    assert report.first_damaged[0].why


@given(
    noise=st.lists(
        st.binary(max_size=60).filter(lambda b: b.strip() and b"\n" not in b), max_size=8
    )
)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_bytes_of_any_kind_never_cost_a_whole_line(tmp_path_factory, noise):
    folder = tmp_path_factory.mktemp("noise")
    rows = [row for at, line in enumerate(noise) for row in (line, chat(str(at)))]
    report, run = imported(write_lines(folder / "a.jsonl", [chat("first"), *rows]), folder / "out")
    said = [rollout.completion[0].content for rollout in rollouts(run)]
    assert said == ["first", *map(str, range(len(noise)))]
    assert report.damaged == len(noise)


@given(
    values=st.dictionaries(
        st.sampled_from(sorted(chat(step=0, rewards=0, answer=0, mode=0))), json_values
    )
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_values_of_any_type_are_read_or_counted_and_never_raise(tmp_path_factory, values):
    folder = tmp_path_factory.mktemp("values")
    path = write_lines(folder / "a.jsonl", [chat("first", step=0), {**chat(step=0), **values}])
    report, run = imported(path, folder / "out")
    assert report.total + report.damaged == 2
    assert len(rollouts(run)) == report.total


def test_a_last_line_without_an_end_says_that_it_may_be_torn(tmp_path):
    whole = json.dumps(chat())
    (tmp_path / "a.jsonl").write_text(whole + "\n" + whole[:40])
    report, _ = imported(tmp_path / "a.jsonl", tmp_path / "out")
    assert (report.total, report.damaged) == (1, 1)
    assert "torn?" in report.first_damaged[0].why


def test_a_last_line_without_an_end_that_is_whole_is_read(tmp_path):
    whole = json.dumps(chat())
    (tmp_path / "a.jsonl").write_text(whole + "\n" + whole)
    assert imported(tmp_path / "a.jsonl", tmp_path / "out")[0].total == 2


def test_a_line_too_long_for_memory_is_counted_and_the_next_one_read(tmp_path, monkeypatch):
    monkeypatch.setattr(reading_lines, "MAX_LINE_BYTES", 10_000)
    rows = [chat("1"), chat("x" * 3_000_000), chat("2")]
    report, run = imported(write_lines(tmp_path / "a.jsonl", rows), tmp_path / "out")
    assert [rollout.completion[0].content for rollout in rollouts(run)] == ["1", "2"]
    assert "longer than" in report.first_damaged[0].why


def test_only_the_first_damages_are_kept_and_all_are_counted(tmp_path):
    path = write_lines(tmp_path / "a.jsonl", [chat(), *[b"{torn"] * 1_000])
    report, _ = imported(path, tmp_path / "out")
    assert (report.damaged, len(report.first_damaged)) == (1_000, 5)


def test_half_characters_are_kept(tmp_path):
    line = b'{"messages": [{"role": "assistant", "content": "\\ud800"}]}'
    _, run = imported(write_lines(tmp_path / "a.jsonl", [line]), tmp_path / "out")
    assert rollouts(run)[0].completion[0].content == "\ud800"


def test_integers_of_any_size_are_kept(tmp_path):
    path = write_lines(tmp_path / "a.jsonl", [chat(n=2**65 + 1, m=-(2**63) - 1)])
    (rollout,) = rollouts(imported(path, tmp_path / "out")[1])
    assert (rollout.info["n"], rollout.info["m"]) == (2**65 + 1, -(2**63) - 1)


class Trap:
    """Unpickling it would leave a mark."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.mark.parametrize(
    "name", ["rollouts.pt", "a.jsonl", "a.eval", "completions_1.parquet", "a.json"]
)
def test_nothing_is_ever_unpickled(tmp_path, name):
    folder = tmp_path / "folder"
    folder.mkdir()
    mark = tmp_path / "mark"
    (folder / name).write_bytes(pickle.dumps(Trap(mark)))
    with pytest.raises(RunNotFound):
        imported(folder, tmp_path / "out")
    assert not mark.exists()
