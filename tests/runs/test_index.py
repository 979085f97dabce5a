import math
import signal
import sys
import threading
import time
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from builders import batches, odd_trajectory, trajectory, write_run
from rlvr.errors import ConfigurationError, MissingDependency, NewerFormat, RecordNotFound
from rlvr.record import FORWARD_EVIDENCE, UPDATE_EVIDENCE, Annotation, MetricRow, Mode
from rlvr.recorder import Recorder
from rlvr.runs import indexed, open_run
from rlvr.runs.executing import locked_database
from rlvr.runs.indexed import Held
from rlvr.runs.tables import Tables
from rlvr.store import LocalStore
from rlvr.store.compact import Limits, finished, plan, read_source, write_compacted
from rlvr.store.layers import look, read_segments

NAN = float("nan")


@pytest.fixture
def folder(tmp_path):
    odd = [odd_trajectory(), trajectory(reward=None, sample=1, group_id="odd")]
    return write_run(tmp_path, steps=4, extra=odd)


def step_files(folder):
    return sorted((folder / "trajectories/L0").iterdir())


def test_pages_follow_one_another_and_leave_nothing_out(folder):
    index = open_run(folder).index
    everything = {row.id for row in open_run(folder).trajectories()}
    for descending in (False, True):
        seen, after = [], None
        while True:
            page = index.page(order_by="reward", descending=descending, limit=3, after=after)
            seen += page.rows
            after = page.after
            if after is None:
                break
        assert len(seen) == len({row["id"] for row in seen}) == len(everything)
        known = [r["reward"] for r in seen if r["reward"] is not None]
        finite = [value for value in known if not math.isnan(value)]
        assert finite == sorted(finite, reverse=descending)
        assert [r["reward"] is None or math.isnan(r["reward"]) for r in seen[-2:]] == [True, True]
    assert index.page(limit=1000).after is None
    with pytest.raises(RecordNotFound):
        index.page(after="train-s000099-b000000-a00-r000-00000")


def test_one_row_by_its_id(folder):
    run = open_run(folder)
    wanted = list(run.trajectories())[7]
    row = run.index.row(wanted.id)
    assert (row["reward"], row["step"]) == (wanted.reward, wanted.step)
    assert row["rewards"] == {part.name: part.value for part in wanted.components} | {"calls": None}
    with pytest.raises(RecordNotFound):
        run.index.row("?")


def test_means_count_what_has_a_value(folder):
    run = open_run(folder)
    rows = list(run.trajectories())
    for mean in run.index.mean_by("step"):
        values = [r.reward for r in rows if r.step == mean.key and r.reward is not None]
        values = [value for value in values if not math.isnan(value)]
        assert mean.count == len(values)
        assert mean.value == pytest.approx(sum(values) / len(values))
    (tool,) = run.index.mean_by("tool", "errors", where="step = 3")
    of_step = [r for r in rows if r.step == 3]
    assert (tool.key, tool.count) == ("retrieve", len(of_step))
    assert run.index.mean_by("step", "f1 * 2", where="step = 1")[0].key == 1
    with pytest.raises(ConfigurationError, match="Did you mean step"):
        run.index.mean_by("stepp")


def test_groups_by_spread(folder):
    index = open_run(folder).index
    groups = index.groups(order_by="spread", descending=True)
    spreads = [group.spread for group in groups if group.spread is not None]
    assert spreads == sorted(spreads, reverse=True)
    assert {group.size for group in index.groups(where="step > 0")} == {4}
    assert index.groups(where="group = 'odd'")[0].mean is None
    with pytest.raises(ConfigurationError, match="ordered by"):
        index.groups(order_by="reward")


def test_a_refresh_loads_only_what_is_new(tmp_path, monkeypatch):
    made = batches(4)
    with Recorder.open(tmp_path, run="r") as recorder:
        recorder.record_batch(next(made))
        recorder.flush(30)
        run = open_run(tmp_path)
        assert run.index.refresh() == 8
        assert run.index.count() == 8
        for batch in made:
            recorder.record_batch(batch)
        recorder.flush(30)
    read = []
    opened = pq.ParquetFile.__init__
    monkeypatch.setattr(
        pq.ParquetFile,
        "__init__",
        lambda self, path, **kw: (read.append(path), opened(self, path, **kw))[1],
    )
    assert run.index.count() == 8
    assert run.index.refresh() == 24
    assert sorted({str(path)[-46:] for path in read}) == sorted(
        {str(p)[-46:] for p in step_files(tmp_path / "rlvr/r")[1:]}
    )
    assert run.index.count() == 32
    assert run.index.refresh() == 0


def test_a_resume_changes_what_is_superseded(tmp_path):
    with Recorder.open(tmp_path, run="r") as recorder:
        for step in range(4):
            recorder.record_batch([trajectory(step=step, batch=step)])
    run = open_run(tmp_path)
    assert run.index.count() == 4
    with Recorder.open(tmp_path, run="r", first_step=2) as recorder:
        recorder.record_batch([trajectory(step=2, batch=0)])
    assert run.index.refresh() == 1
    assert run.index.count() == 3
    assert run.index.count(superseded=True) == 5
    assert run.index.count("superseded", superseded=True) == 2
    assert run.sql("SELECT count(*) FROM trajectories").rows() == [(3,)]
    assert run.sql("SELECT step FROM all_trajectories WHERE superseded ORDER BY 1").rows() == [
        (2,),
        (3,),
    ]
    assert [row.attempt for row in run.trajectories(where="step = 2")] == [1]


def test_a_compaction_while_the_index_is_open_changes_nothing(folder):
    run = open_run(folder)
    before = run.index.ids()
    names = finished(look(folder, read_segments), None)
    for one in plan([read_source(folder, name) for name in names], Limits(files=4)):
        write_compacted(LocalStore(folder), one)
    held = {s.name.path for f in look(folder, read_segments).compacted for s in f.segments}
    assert held
    for name in held:
        (folder / name).unlink()
    assert run.index.refresh() == 0
    assert run.index.ids() == before
    anew = open_run(folder)
    assert anew.index.ids() == before
    assert anew.index.count("tool = 'retrieve'") == run.index.count("tool = 'retrieve'")
    assert [row.id for row in anew.trajectories(where="reward > -1")] == run.index.ids(
        "reward > -1"
    )


def test_a_torn_file_is_noted_and_a_newer_one_refused(folder):
    torn, newer = step_files(folder)[2:4]
    torn.write_bytes(torn.read_bytes()[:300])
    run = open_run(folder)
    assert {row["step"] for row in run.index.page(limit=100).rows} == {0, 2, 3}
    assert torn.name in str(run.damaged[0])
    table = pq.read_table(newer)
    pq.write_table(table.replace_schema_metadata({b"rlvr.format": b"99"}), newer)
    with pytest.raises(NewerFormat):
        open_run(folder).index.refresh()


def test_what_annotations_say_later_is_found(tmp_path):
    absent = replace(
        trajectory().evidence, gap_mean=None, gap_mean_by_turn=None, clipped_share=None
    )
    with Recorder.open(tmp_path, run="r") as recorder:
        recorder.record_batch([trajectory(evidence=absent), trajectory(sample=1)])
        recorder.flush(30)
        run = open_run(tmp_path)
        id = next(run.trajectories()).id
        assert run.index.count("gap_mean is null") == 1
        payload = {"gap_mean": NAN, "gap_mean_by_turn": [0.5, NAN], "entropy_mean": 9.0}
        recorder.annotate(
            [Annotation(id=id, kind=FORWARD_EVIDENCE, source="r1", written_at=1.0, payload=payload)]
        )
        for update, share in ((1, 0.2), (2, 0.4)):
            note = {"clipped_share": share, "rank": 0, "micro_batches": [0]}
            recorder.annotate(
                [
                    Annotation(
                        id=id,
                        kind=UPDATE_EVIDENCE,
                        source="r0",
                        update=update,
                        written_at=1.0,
                        payload=note,
                    )
                ]
            )
    run.index.refresh()
    assert run.index.count("gap_mean is nan") == 1
    assert run.index.count("clipped_share > 0.29 and clipped_share < 0.31") == 1
    assert run.index.count("entropy_mean = 9") == 0  # it was there already
    (cell,) = run.sql(f"SELECT gap_mean_by_turn FROM trajectories WHERE id = '{id}'").rows()[0]
    assert cell[0] == 0.5
    assert math.isnan(cell[1])
    columns = ["gap_mean", "gap_mean_by_turn", "clipped_share", "entropy_mean"]
    assert repr(
        run.sql(f"SELECT {', '.join(columns)} FROM trajectories ORDER BY id").table.to_pylist()
    ) == repr(run.to_arrow(columns).to_pylist())


def test_a_compressed_index_answers_as_the_other_does(tmp_path, monkeypatch):
    monkeypatch.setattr(indexed, "_BLOCK_ROWS", 5)
    run = write_run(tmp_path, steps=3)
    plain, small = open_run(run).index, open_run(run).index
    small.compress()
    for index in (plain, small):
        index.refresh()
    with Recorder.open(tmp_path, run=run.name) as recorder:
        recorder.record_batch(list(batches(4))[3])
    for index in (plain, small):
        assert index.refresh() == 8
    asked = {
        "where": "reward > 0 and tool = 'retrieve'",
        "order_by": "reward",
        "superseded": True,
    }
    assert small.page(**asked) == plain.page(**asked)
    assert small.ids(superseded=True) == plain.ids(superseded=True)
    assert small.count(superseded=True) == 32
    assert kinds_of_storage(plain) == {"Uncompressed"}
    assert "Uncompressed" not in kinds_of_storage(small)


def kinds_of_storage(index):
    """How the ids are held."""
    query = (
        "SELECT DISTINCT compression FROM pragma_storage_info('held.rollouts')"
        " WHERE column_name = 'id' AND segment_type <> 'VALIDITY'"
    )
    return {kind for (kind,) in index.sql(query).rows()}


def test_sql_over_every_table(folder, tmp_path):
    run = open_run(folder)
    rows = list(run.trajectories())
    assert run.sql("SELECT count(*) FROM trajectories").rows() == [(len(rows),)]
    assert run.sql("FROM trajectories").columns[:3] == ["run", "id", "mode"]
    calls = [(r.id, c.turn, c.name, c.duration_s) for r in rows for c in r.tool_results]
    found = run.sql("SELECT id, turn, tool, seconds FROM tool_calls").rows()
    assert sorted(map(repr, found)) == sorted(map(repr, calls))
    assert run.sql("SELECT count(*) FROM tool_calls WHERE malformed OR rolled_back").rows() == [
        (2,)
    ]
    parts = [(r.id, p.name, p.value, p.weight, p.status.value) for r in rows for p in r.components]
    found = run.sql("SELECT id, name, value, weight, status FROM components").rows()
    assert sorted(map(repr, found)) == sorted(map(repr, parts))
    (mean,) = run.sql("SELECT avg(rewards.exact_match) FROM trajectories").rows()[0]
    assert 0 < mean < 1
    assert run.sql("SELECT * FROM metrics").rows() == []
    assert run.sql("SELECT * FROM annotations").rows() == []


def test_metrics_and_annotations(tmp_path):
    with Recorder.open(tmp_path, run="r") as recorder:
        recorder.record_batch([trajectory()])
        recorder.metrics(
            MetricRow(
                step=0, attempt=0, mode=Mode.TRAIN, logged_at=1.0, values={"loss": NAN, "kl": 0.5}
            )
        )
        for at in (1.0, 2.0):
            recorder.annotate(
                [Annotation(id="x", kind="mine", source="s", written_at=at, payload={"at": at})]
            )
    run = open_run(tmp_path)
    values = dict(run.sql("SELECT name, value FROM metrics").rows())
    assert values["kl"] == 0.5
    assert math.isnan(values["loss"])
    assert run.sql("SELECT payload FROM annotations").rows() == [('{"at":2.0}',)]


def test_none_and_nan_stay_apart(folder):
    run = open_run(folder)
    query = (
        "SELECT count(*) FILTER (reward IS NULL), count(*) FILTER (isnan(reward)) FROM trajectories"
    )
    assert run.sql(query).rows() == [(1, 1)]
    cells = [row[0] for row in run.sql("SELECT reward FROM trajectories WHERE step = 0").rows()]
    assert None in cells
    assert any(cell is not None and math.isnan(cell) for cell in cells)


def test_a_result_in_other_libraries(folder):
    result = open_run(folder).sql(
        "SELECT step, count(*) AS n FROM trajectories GROUP BY step ORDER BY step"
    )
    assert len(result) == 4
    assert result.to_pandas()["n"].tolist() == [n for _, n in result.rows()]
    assert result.to_polars()["n"].to_list() == result.to_arrow()["n"].to_pylist()
    assert open_run(folder).to_polars(["id", "rewards"], where="step = 1").height == 8


def test_without_polars_the_error_says_what_to_install(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(MissingDependency, match=r"rlvr\[polars\]"):
        open_run(folder).to_polars()


def test_a_large_result_is_cut_and_says_so(folder):
    result = open_run(folder).sql("SELECT * FROM range(100)", limit=10)
    assert (len(result), result.cut) == (10, True)
    assert not open_run(folder).sql("SELECT * FROM range(10)", limit=10).cut


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("", "one SELECT"),
        ("selec 1", "syntax error"),
        ("select 1; select 2", "2 statements"),
        ("select rewrd from trajectories", "reward"),
        ("drop view trajectories", "only SELECT"),
        ("delete from held.rollouts", "only SELECT"),
        ("create table x as select 1", "only SELECT"),
        ("set threads = 1", "only SELECT"),
        ("attach '/tmp/x.db'", "only SELECT"),
        ("install httpfs", "only SELECT"),
        ("copy (select 1) to '/tmp/x.csv'", "only SELECT"),
        ("select * from read_csv('/etc/passwd')", "disabled"),
        ("select * from '/etc/passwd'", "does not exist"),
        ("select * from read_text('/etc/hostname')", "disabled"),
        ("select * from glob('/*')", "disabled"),
        ("select * from 'https://example.com/x.parquet'", "disabled"),
        ("select * from read_parquet('s3://x/y')", "disabled"),
        ("select * from duckdb_secrets()", "disabled"),
        ("select * from sys", "does not exist"),
        ("select * from query('drop view trajectories')", "SELECT"),
        ("select cast('x' as integer)", "Could not convert"),
    ],
)
def test_sql_reads_the_tables_and_nothing_else(folder, query, says):
    run = open_run(folder)
    with pytest.raises(ConfigurationError, match=says) as raised:
        run.sql(query)
    assert len(str(raised.value)) < 500
    assert run.sql("SELECT count(*) FROM trajectories").rows() == [(34,)]


ENDLESS = (
    "SELECT count(*) FROM range(10000000) a, range(10000000) b WHERE (a.range * b.range) % 7 = 3"
)


def test_a_query_stops_at_its_time_limit(folder):
    run = open_run(folder)
    with pytest.raises(ConfigurationError, match=r"longer than 0\.2 s"):
        run.sql(ENDLESS, timeout_s=0.2)
    assert run.index.count() == 34


@pytest.fixture
def interruptible():
    """Ctrl-C raises here, also where the tests were started in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_stops_a_query(folder):
    run = open_run(folder)
    run.index.refresh()
    threading.Timer(0.5, signal.raise_signal, [signal.SIGINT]).start()
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run.sql(ENDLESS)
    assert time.monotonic() - started < 30
    assert run.index.count() == 34


def test_an_empty_run(tmp_path):
    run = open_run(write_run(tmp_path, steps=0))
    assert run.index.count() == 0
    assert run.index.page().rows == ()
    assert run.index.mean_by("step") == []
    assert run.index.groups() == []
    assert run.sql("SELECT * FROM trajectories").rows() == []
    assert run.sql("SELECT * FROM tool_calls").rows() == []
    assert run.sql("SELECT * FROM components").rows() == []


def test_an_old_run_without_a_column(folder):
    for path in step_files(folder):
        table = pq.read_table(path)
        pq.write_table(table.drop_columns(["derived_num_cut_turns", "sequences"]), path)
    run = open_run(folder)
    assert run.index.count("sequences is null and num_cut_turns is null") == 34
    assert run.index.count("sequences > 0") == 0


@pytest.mark.parametrize("table", ["tool_calls", "components", "annotations", "metrics"])
def test_ctrl_c_while_a_table_loads_leaves_nothing_half_loaded(tmp_path, monkeypatch, table):
    folder = tmp_path / "rlvr/r"
    with Recorder.open(tmp_path, run="r") as recorder:
        for at, batch in enumerate(batches(2)):
            recorder.record_batch(batch)
            recorder.annotate(
                [Annotation(id="x", kind="mine", source=f"s{at}", written_at=1.0, payload={})]
            )
            recorder.metrics(
                MetricRow(step=at, attempt=0, mode=Mode.TRAIN, logged_at=1.0, values={"loss": at})
            )
            recorder.flush(30)
    query = f"SELECT count(*) FROM {table}"
    wanted = open_run(folder).sql(query).rows()
    assert wanted[0][0] > 1
    run = open_run(folder)
    run.index.refresh()
    done = Tables.take_in

    def interrupted(self, *arguments):
        done(self, *arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(Tables, "take_in", interrupted)
    monkeypatch.setattr(Held, "load", lambda *_, **__: 0)
    with pytest.raises(KeyboardInterrupt):
        run.sql(query)
    monkeypatch.undo()
    assert run.sql(query).rows() == wanted


@pytest.mark.parametrize("text", ["{torn", '{"turn": 0}', "3", ""])
def test_content_that_is_no_json_is_noted_as_damage(tmp_path, text):
    folder = write_run(tmp_path, steps=2)
    path = step_files(folder)[0]
    table = pq.read_table(path)
    for name in ("tool_results", "components"):
        cells = [text, *table[name].to_pylist()[1:]]
        table = table.set_column(
            table.column_names.index(name), table.schema.field(name), pa.array(cells, pa.string())
        )
    pq.write_table(table, path)
    run = open_run(folder)
    assert run.index.count("tool is null or tool is not null") == 15
    assert "tool_results of 1 rollouts are no JSON" in str(run._damage.files[0])
    parts = run.sql("SELECT status, count(*) FROM components GROUP BY ALL ORDER BY ALL").rows()
    assert [status for status, _ in parts] == ["ok", None]
    assert "components of 1 rollouts are no JSON" in str(run._damage.files[0])


def test_filters_and_the_index_hold_the_columns_once_and_see_what_is_new(tmp_path, monkeypatch):
    made, opened = batches(3), []
    monkeypatch.setattr(
        "rlvr.runs.tables.locked_database", lambda: opened.append(1) or locked_database()
    )
    with Recorder.open(tmp_path, run="r") as recorder:
        recorder.record_batch(next(made))
        recorder.flush(30)
        run = open_run(tmp_path)
        assert len(list(run.trajectories(where="step = 0"))) == 8
        assert run.index.count("reward > -1") == 8
        for batch in made:
            recorder.record_batch(batch)
        recorder.flush(30)
    assert run.index.count() == 8
    assert len(list(run.trajectories(where="step = 1"))) == 8
    assert run.index.count() == 24
    assert opened == [1]


def test_what_takes_too_much_memory_says_what_to_name(tmp_path, monkeypatch):
    monkeypatch.setattr("rlvr.runs.executing.MEMORY_LIMIT", "5MB")
    long = [trajectory(question=str(at) * 500_000, sample=at) for at in range(1, 33)]
    run = open_run(write_run(tmp_path, steps=0, extra=long))
    with pytest.raises(ConfigurationError, match=r"name the columns that you need"):
        run.sql("SELECT * FROM trajectories")
    assert run.sql("SELECT count(*) FROM trajectories").rows() == [(32,)]


def test_a_result_of_many_bytes_is_cut(folder, monkeypatch):
    monkeypatch.setattr("rlvr.runs.executing.MAX_BYTES", 1 << 20)
    found = open_run(folder).sql("SELECT range FROM range(1000000)")
    assert found.cut
    assert 1 << 16 <= len(found) < 1 << 18
