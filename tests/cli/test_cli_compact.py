"""`rlvr compact`."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from builders import batches, run_info
from rlvr.recorder import Recorder
from rlvr.runs import open_run

STEPS = 5
FIRST = "train-s000000-b000000-a00-r000-00000"


@pytest.fixture
def folder(tmp_path):
    """A run of five small files."""
    with Recorder.open(tmp_path / "demo", run="small", info=run_info(run="small")) as recorder:
        for batch in batches(STEPS):
            recorder.record_batch(batch)
    return tmp_path


@pytest.fixture
def run(folder):
    return open_run(folder / "demo")


def trajectory_files(run):
    return sorted(path.relative_to(run.path).parts[1] for path in run.path.rglob("*.parquet"))


def test_small_files_become_one_and_everything_reads_as_before(rlvr, run):
    before, page = list(run.trajectories()), rlvr("show", "demo", "--step", "1")
    code, out, err = rlvr("compact", "demo")
    assert (code, err) == (0, "")
    assert "5 files of trajectories with" in out
    assert ", 1 file of trajectories with" in out.replace(" before, ", ", ").replace(" after", "")
    assert trajectory_files(run) == ["L1"]
    assert list(run.trajectories()) == before
    assert rlvr("show", "demo", "--step", "1") == page
    assert "trajectories/L1/train-s000000-s000004-a00-" in rlvr("show", "demo", FIRST)[1]
    assert "there was nothing to compact" in rlvr("compact", "demo")[1]


def test_a_dry_run_says_what_would_be_done_and_touches_nothing(rlvr, run):
    files = {path: path.stat().st_mtime_ns for path in run.path.rglob("*")}
    code, out, _ = rlvr("compact", "demo", "--dry-run")
    assert (code, "5 of them would become 1" in out) == (0, True)
    assert {path: path.stat().st_mtime_ns for path in run.path.rglob("*")} == files


def test_the_document_says_files_and_bytes_before_and_after(rlvr, run):
    found = json.loads(rlvr("compact", "demo", "--json")[1])
    assert (found["before"]["files"], found["after"]["files"], found["written"]) == (STEPS, 1, 1)
    assert (found["removed"], found["kept"]) == (STEPS, [])
    (path,) = run.path.rglob("*.parquet")
    assert found["after"]["bytes"] == path.stat().st_size < found["before"]["bytes"]


def test_while_a_run_is_recorded_small_files_stay_for_their_grace(rlvr, folder):
    with Recorder.open(folder / "living", run="living") as recorder:
        for batch in batches(3):
            recorder.record_batch(batch)
        recorder.flush(30)
        code, out, err = rlvr("compact", "living", "--keep-grace", "0.1")
        assert (code, "2 files of trajectories" in out) == (0, True)
        assert "stay for 0.1 s" in err
        assert len(list(open_run(folder / "living").trajectories())) == 24


def test_a_file_that_differs_from_its_compacted_one_is_named_and_stays(rlvr, run):
    small = run.path / "trajectories/L0" / f"{FIRST[:-6]}.parquet"
    payload = small.read_bytes()
    rlvr("compact", "demo")
    small.write_bytes(payload)
    table = pq.read_table(small)
    at = table.column_names.index("reward")
    pq.write_table(table.set_column(at, "reward", pa.array([9.0] * table.num_rows)), small)
    code, _, err = rlvr("compact", "demo")
    assert (code, small.name in err, small.exists()) == (1, True, True)


def test_where_there_is_no_run_it_says_so(rlvr):
    code, out, err = rlvr("compact", "nowhere")
    assert (code, out, "nowhere" in err) == (2, "", True)
