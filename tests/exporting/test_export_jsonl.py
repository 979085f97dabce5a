"""rlvr's own lines hold everything, and come back exactly."""

import json
import tracemalloc
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from builders import token_details, trajectory
from rlvr.errors import DamagedFile, NewerFormat, StoreError
from rlvr.exporting import FORMATS, About, Exported, export_run, jsonl
from rlvr.record import Annotation, Mode
from rlvr.recorder import Recorder
from rlvr.runs import open_run
from strategies import FLOAT, JSON, OPTIONAL_COUNT, TEXT, TRAJECTORIES

ANNOTATIONS = st.builds(
    Annotation,
    id=TEXT,
    kind=TEXT,
    source=TEXT,
    update=OPTIONAL_COUNT,
    written_at=FLOAT,
    payload=st.dictionaries(TEXT, JSON, max_size=3),
)
EXPORTED = st.builds(
    Exported,
    trajectory=TRAJECTORIES,
    annotations=st.lists(ANNOTATIONS, max_size=2).map(tuple),
)


@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(EXPORTED)
def test_every_trajectory_and_annotation_comes_back_exactly_from_its_line(exported):
    line = jsonl.encode(exported)
    assert line.count(b"\n") == 1
    json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert repr(jsonl.decode(line)) == repr(exported)


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(rows=st.lists(TRAJECTORIES, min_size=1, max_size=4), step=st.integers(0, 10**6))
def test_what_is_recorded_and_exported_is_read_as_it_was_recorded(rows, step):
    batch = [
        replace(row, run="run", step=step, batch=0, attempt=0, rank=0, mode=Mode.TRAIN)
        for row in rows
    ]
    with TemporaryDirectory() as folder:  # apart: counts beyond 53 bits fit no ledger
        with Recorder.open(folder, run="run") as recorder:
            assert recorder.record_batch(batch)
        run = open_run(folder)
        export_run(run, FORMATS["jsonl"], Path(folder) / "out.jsonl")
        back = list(jsonl.read(Path(folder) / "out.jsonl"))
        assert repr(back) == repr(list(run.trajectories()))
    assert [repr(replace(row, id=None)) for row in back] == [
        repr(replace(row, id=None)) for row in batch
    ]


def test_a_whole_run_comes_back_as_a_new_run(run, tmp_path):
    export_run(run, FORMATS["jsonl"], tmp_path / "run.jsonl")
    about = jsonl.read_about(tmp_path / "run.jsonl")
    rows = list(jsonl.read_rows(tmp_path / "run.jsonl"))
    with Recorder.open(tmp_path / "again", info=about.info, run=about.run) as recorder:
        for _, batch in groupby(rows, key=lambda row: row.trajectory.id.rpartition("-")[0]):
            recorder.record_batch([row.trajectory for row in batch])
        recorder.annotate([note for row in rows for note in row.annotations])
    again = open_run(tmp_path / "again")
    assert again.info == run.info
    assert repr(list(again.trajectories())) == repr(list(run.trajectories()))
    assert repr(again.annotations()) == repr(run.annotations())
    assert len(again.annotations()) == 1


def test_the_first_line_describes_the_run(run, tmp_path):
    export_run(run, FORMATS["jsonl"], tmp_path / "run.jsonl")
    head = json.loads((tmp_path / "run.jsonl").read_bytes().splitlines()[0])
    assert (head["kind"], head["version"], head["run"]) == ("rlvr.trajectories", 1, "full")
    about = jsonl.read_about(tmp_path / "run.jsonl")
    assert about == About(run="full", info=run.info, attempts=run.attempts)


def test_a_run_that_never_said_what_it_is_is_exported_too(tmp_path):
    with Recorder.open(tmp_path, run="run") as recorder:
        recorder.record_batch([trajectory(run="run")])
    (tmp_path / "rlvr" / "run" / "run.json").unlink(missing_ok=True)
    export_run(open_run(tmp_path), FORMATS["jsonl"], tmp_path / "out.jsonl")
    assert jsonl.read_about(tmp_path / "out.jsonl").info is None
    assert len(list(jsonl.read(tmp_path / "out.jsonl"))) == 1


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        (b"", DamagedFile, "rlvr export RUN --to jsonl"),
        (b'{"messages": []}\n', DamagedFile, "rlvr export RUN --to jsonl"),
        (b"\xff\n", DamagedFile, "rlvr export RUN --to jsonl"),
        (b'{"kind": "rlvr.trajectories", "version": 2}\n', NewerFormat, "pip install --upgrade"),
    ],
)
def test_a_file_of_another_kind_is_refused_with_a_remedy(tmp_path, text, error, says):
    (tmp_path / "x.jsonl").write_bytes(text)
    with pytest.raises(error, match=says):
        list(jsonl.read(tmp_path / "x.jsonl"))


def test_a_torn_line_is_named(run, tmp_path):
    export_run(run, FORMATS["jsonl"], tmp_path / "run.jsonl")
    whole = (tmp_path / "run.jsonl").read_bytes()
    (tmp_path / "run.jsonl").write_bytes(whole[:-20])
    rows = jsonl.read(tmp_path / "run.jsonl")
    with pytest.raises(DamagedFile, match=r"line 29 of .*run\.jsonl is torn"):
        list(rows)


def test_a_file_that_is_not_there_is_said(tmp_path):
    with pytest.raises(StoreError, match=r"nothing\.jsonl can't be read"):
        list(jsonl.read(tmp_path / "nothing.jsonl"))


@pytest.mark.parametrize("to", sorted(FORMATS))
def test_memory_is_bounded_by_a_few_rollouts_of_64k_tokens(tmp_path, to):
    """Eight of them hold some 61 MB as Python numbers, and no format holds them all."""
    details = token_details(65_536)
    with Recorder.open(tmp_path, run="long") as recorder:
        for batch in range(8):
            recorder.record_batch([trajectory(run="long", step=batch, batch=batch, tokens=details)])
            recorder.flush(60)
    run = open_run(tmp_path)
    tracemalloc.start()
    try:
        report = export_run(run, FORMATS[to], tmp_path / "out")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert report.rollouts == 8
    assert peak < 50 << 20
