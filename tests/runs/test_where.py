import math
from dataclasses import replace

import pyarrow.parquet as pq
import pytest

from builders import odd_trajectory, trajectory, write_run
from rlvr.errors import ConfigurationError
from rlvr.record import Component
from rlvr.runs import open_run

NAN = float("nan")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Five steps of two groups of four, and one batch at step 0 with what is absent or NaN."""
    odd = [
        replace(odd_trajectory(), sample=0, group_id="odd"),
        trajectory(reward=None, sample=1, group_id="odd"),
        trajectory(reward=NAN, sample=2, group_id="odd", tool_results=(), components=()),
    ]
    folder = write_run(tmp_path_factory.mktemp("run"), steps=5, extra=odd)
    return open_run(folder)


@pytest.fixture(scope="module")
def rows(run):
    return list(run.trajectories())


def passing(run, where):
    return [row.id for row in run.trajectories(where=where, tokens=False)]


def turns(row):
    return sum(message.role == "assistant" for message in row.completion)


def errors(row):
    return sum(result.error is not None for result in row.tool_results)


def number(value, test):
    """What a comparison with a value that may be absent or NaN says."""
    return value is not None and not math.isnan(value) and test(value)


def f1(row):
    part = row.component("f1")
    return part.value if part else None


@pytest.mark.parametrize(
    ("where", "passes"),
    [
        ("reward < 0.5", lambda r: number(r.reward, lambda v: v < 0.5)),
        ("not reward < 0.5", lambda r: number(r.reward, lambda v: v >= 0.5)),
        ("reward >= 0.5", lambda r: number(r.reward, lambda v: v >= 0.5)),
        ("reward != 1", lambda r: number(r.reward, lambda v: v != 1)),
        ("reward = reward", lambda r: number(r.reward, lambda v: True)),
        ("reward is null", lambda r: r.reward is None),
        ("reward is nan", lambda r: r.reward is not None and math.isnan(r.reward)),
        ("not reward is nan", lambda r: r.reward is None or not math.isnan(r.reward)),
        ("step > 2 and reward < 0.5", lambda r: r.step > 2 and number(r.reward, lambda v: v < 0.5)),
        ("2 < step", lambda r: r.step > 2),
        ("step between 1 and 2 or step = 4", lambda r: r.step in (1, 2, 4)),
        ("step not in (0, 1)", lambda r: r.step > 1),
        ("step = 1 or reward is null", lambda r: r.step == 1 or r.reward is None),
        ("not (step = 0 or step = 1)", lambda r: r.step > 1),
        ("(step + 1) * 2 = 6", lambda r: r.step == 2),
        ("step % 2 = 1", lambda r: r.step % 2 == 1),
        ("1 / step > 0.4", lambda r: r.step in (1, 2)),
        ("abs(-step) = 3", lambda r: r.step == 3),
        ("f1 > 0.4", lambda r: number(f1(r), lambda v: v > 0.4)),
        ("rewards.f1 > 0.4", lambda r: number(f1(r), lambda v: v > 0.4)),
        ('rewards."f1" is null', lambda r: f1(r) is None),
        ("turns = 3", lambda r: turns(r) == 3),
        ("errors > 0", lambda r: errors(r) > 0),
        ("tool = 'retrieve'", lambda r: any(c.name == "retrieve" for c in r.tool_results)),
        ("tool != 'retrieve'", lambda r: all(c.name != "retrieve" for c in r.tool_results)),
        ("tool in ('x', 'retrieve')", lambda r: any(c.name for c in r.tool_results)),
        ("tool like 'retr%'", lambda r: any(c.name for c in r.tool_results)),
        ("tool is null", lambda r: not r.tool_results),
        ("tool is not null", lambda r: bool(r.tool_results)),
        ("mode = 'train' and task like 'MUS%'", lambda r: False),
        ("mode = 'train' and task ilike 'MUS%'", lambda r: True),
        ("mode = 'eval'", lambda r: False),
        ("lower(upper(task)) = 'musique'", lambda r: True),
        ("contains(question, 'founder')", lambda r: True),
        ("stop_reason is null", lambda r: r.stop_reason is None),
        ("group = 'odd'", lambda r: r.group_id == "odd"),
        ("ids_match", lambda r: r.evidence.ids_match is True),
        ("not ids_match", lambda r: r.evidence.ids_match is False),
        ("ids_match is null", lambda r: r.evidence.ids_match is None),
        ("truncated = false", lambda r: r.evidence.truncated is False),
        ("example = 'q1-0'", lambda r: r.example_id == "q1-0"),
        ("answer = 'O''Hara'", lambda r: False),
    ],
)
def test_what_passes_is_what_python_says(run, rows, where, passes):
    assert passing(run, where) == [row.id for row in rows if passes(row)]
    assert run.index.ids(where) == passing(run, where)
    assert run.index.count(where) == len(passing(run, where))


@pytest.mark.parametrize(
    ("where", "says"),
    [
        ("", "is empty"),
        ("rewrd < 1", "Did you mean reward"),
        ("exact_mach = 1", "Did you mean exact_match"),
        ("reward < 'low'", "the total that was trained on.*a number.*a text"),
        ("mode = 3", "train or eval.*a text"),
        ("reward", "no condition"),
        ("step + 'a' = 1", "needs a number"),
        ("reward = null", "is null"),
        ("tool < 'x'", "tool is compared"),
        ("tool", "tool is compared"),
        ("tool = 3", "a text such as"),
        ("rewards > 1", "rewards.exact_match"),
        ("completion like '%x%'", "can't be compared"),
        ("reward < 1; drop table rollouts", "stands in no expression"),
        ("reward < 1 reward > 2", "one expression ends here"),
        ("select 1", "one expression ends here"),
        ("step in (select 1)", "expected '[)]'"),
        ("reward <", "missing at the end"),
        ("reward < 'a", "never ends"),
        ("evil(reward) = 1", "no function 'evil'"),
        ("abs(step, 1) = 1", "takes 1"),
        ("read_csv('/etc/passwd') = 'x'", "no function 'read_csv'"),
        ("(" * 150 + "step = 1" + ")" * 150, "nested deeper"),
        ("step = 1 or " * 2000 + "step = 1", "too long"),
        ("-- comment", "nothing is named"),
    ],
)
def test_what_is_no_filter_is_refused_with_what_to_write(run, where, says):
    with pytest.raises(ConfigurationError, match=says):
        run.to_arrow(["id"], where=where)


def test_huge_numbers_and_odd_texts_compare_without_an_error(run):
    assert run.index.count("step < 1e400") == run.index.count()
    assert run.index.count(f"step * {10**30} > {10**25}") > 0
    assert run.index.count(f"step < {10**400}") == run.index.count()
    assert run.index.count("question = 'a\ud800'") == 0
    assert run.index.count("question = 'a\x00b'") == 0


def test_a_bound_on_the_step_opens_no_other_file(tmp_path):
    folder = write_run(tmp_path, steps=4)
    for path in (folder / "trajectories/L0").iterdir():
        if "-s000002-" not in path.name:
            path.write_bytes(b"torn")
    run = open_run(folder)
    for where in (
        "step = 2 and reward > -1",
        "2 = step",
        "step in (2, 9)",
        "step > 1 and step < 3",
    ):
        assert len(list(run.trajectories(where=where))) > 0
    assert run._damage.files == ()
    assert run.to_arrow(["id"], where="reward > -1").num_rows == 8
    assert len(run._damage.files) == 3


def test_filters_go_together(run, rows):
    found = run.to_arrow(["id"], where="reward < 0.9", step=range(1, 3), reward=(0.2, 1.0))
    wanted = [r.id for r in rows if r.step in (1, 2) and number(r.reward, lambda v: 0.2 <= v < 0.9)]
    assert found["id"].to_pylist() == wanted
    assert len(run.to_pandas(["step"], where="step = 1")) == 8


def test_where_the_calls_were_pruned_nobody_says_which_tools_were_called(tmp_path):
    folder = write_run(tmp_path, steps=2)
    first = min((folder / "trajectories/L0").iterdir())
    table = pq.read_table(first)
    pq.write_table(table.drop_columns(["tool_results", "prompt", "completion", "info"]), first)
    run = open_run(folder)
    for where in ("tool = 'retrieve'", "tool != 'none'", "tool is not null"):
        assert {row.step for row in run.trajectories(where=where)} <= {1}
        assert run.index.count(where) == 8
    assert run.index.count("tool is null") == 0
    assert run.index.count("tool = 'retrieve' or reward > -1") == 16


def test_components_of_any_name_are_found(tmp_path):
    names = ("F1", "f1", "x y", 'quo"te', "step", "", "a.b")
    parts = tuple(Component(name=n, value=float(at + 10), weight=1.0) for at, n in enumerate(names))
    write_run(tmp_path, steps=0, extra=[trajectory(components=parts), trajectory(sample=1)])
    index = open_run(tmp_path).index
    for at, name in enumerate(names):
        if name:
            shown = name.replace('"', '""')
            assert index.count(f'rewards."{shown}" = {at + 10}') == 1, name
    assert index.count("F1 = 10") == 1
    assert index.count("step = 0") == 2  # a column goes before a component


def test_a_run_without_rollouts_or_components(tmp_path):
    folder = write_run(tmp_path, steps=0)
    run = open_run(folder)
    assert run.to_arrow(["id"], where="step = 1").num_rows == 0
    with pytest.raises(ConfigurationError, match="nothing is named 'f1'"):
        run.index.count("f1 > 0")
