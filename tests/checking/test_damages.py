"""Every kind of file with every kind of damage: named, left out, and never a traceback."""

import random
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from checking.sound_runs import SHA256, STEPS, compact, step_file
from rlvr.checking import Mark, Scope, check_run
from rlvr.cli import main
from rlvr.codec import encode_document
from rlvr.runs import open_run
from rlvr.store import LocalStore

ROWS = (STEPS + 1) * 8
COMPACTED = 24
"""Rollouts of the first attempt that are not superseded; the second has its own file."""


@pytest.fixture(scope="module")
def compacted(recorded, tmp_path_factory):
    """The sound run, its first attempt compacted, with a note of pruning."""
    folder = shutil.copytree(
        recorded, tmp_path_factory.mktemp("compacted") / "rlvr" / recorded.name
    )
    compact(folder)
    for step in range(STEPS):
        step_file(folder, step).unlink()
    LocalStore(folder).commit("retention.json", encode_document({"first_pruned_at": 1.0}))
    return folder


@pytest.fixture
def run_at(recorded, compacted, tmp_path_factory):
    """A copy of the run that has the file, and the path of that there; gone after the test."""
    output = tmp_path_factory.mktemp("damaged")

    def copied(kind):
        pattern, of_compacted, _ = KINDS[kind]
        source = compacted if of_compacted else recorded
        folder = shutil.copytree(source, output / "rlvr" / recorded.name)
        return folder, sorted(folder.glob(pattern))[0]

    yield copied
    shutil.rmtree(output)


KINDS = {
    "trajectories": ("trajectories/L0/*.parquet", False, 8),
    "compacted": ("trajectories/L1/*.parquet", True, COMPACTED),
    "annotations": ("annotations/*/*.parquet", False, 0),
    "metrics": ("metrics/*.parquet", False, 0),
    "run": ("run.json", False, 0),
    "attempt": ("attempts/a01.json", False, -8),
    "ranks": ("ranks/r000-a00.json", False, 0),
    "vocabulary": ("vocabulary.json", False, 0),
    "blob": (f"blobs/{SHA256}", False, 0),
    "retention": ("retention.json", True, 0),
}
"""Where it lies, in the compacted run or not, and the rollouts that are lost with it: without the
second attempt nobody knows that it superseded eight."""


def truncated(eighths):
    def truncate(path):
        payload = path.read_bytes()
        path.write_bytes(payload[: len(payload) * eighths // 8])

    return truncate


def randomised(path):
    size = path.stat().st_size
    path.write_bytes(random.Random(0).randbytes(size))


def a_folder(path):
    path.unlink()
    path.mkdir()


def a_circle(path):
    path.unlink()
    path.symlink_to(path.name)


def foreign_table(path):
    path.unlink()
    pq.write_table(pa.table({"a": [1, 2]}), path)


def stripped(path):
    """Ours, but for one column."""
    table = pq.read_table(path)
    gone = "group_id" if "group_id" in table.column_names else table.column_names[0]
    pq.write_table(table.drop_columns([gone]), path)


def retyped(path):
    """Ours, but for the type of one column."""
    table = pq.read_table(path)
    name = "reward" if "reward" in table.column_names else table.column_names[0]
    at, notes = table.column_names.index(name), table.schema.metadata
    other = 1 if table.schema.field(name).type == pa.string() else "x"
    changed = table.set_column(at, name, pa.array([other] * table.num_rows))
    pq.write_table(changed.replace_schema_metadata(notes), path)


def another_document(path):
    path.write_text('{"format_version": 1, "texts": 3, "x": []}')


ANY = {f"{n}/8": truncated(n) for n in range(8)} | {
    "random": randomised,
    "folder": a_folder,
    "circle": a_circle,
}
EIGHTHS = {f"{n}/8" for n in (1, 2, 3, 5, 6)}
TABLE = {"foreign": foreign_table, "stripped": stripped, "retyped": retyped}
DOCUMENT = {"another": another_document}


def damages(kind):
    """Tables are cut at every eighth; what is decoded whole, at three of them."""
    table = kind in ("trajectories", "compacted", "annotations", "metrics")
    some = {name: act for name, act in ANY.items() if table or name not in EIGHTHS}
    if table:
        return some | TABLE
    return some if kind == "blob" else some | DOCUMENT


CASES = [(kind, damage) for kind in KINDS for damage in damages(kind)]
UNSEEN = ("retention", "another")
"""Nobody needs what retention.json says, only that it is there."""


@pytest.mark.parametrize(("kind", "damage"), CASES, ids="-".join)
def test_a_damaged_file_is_named_and_the_rest_is_read(run_at, kind, damage):
    folder, path = run_at(kind)
    damages(kind)[damage](path)
    run = open_run(folder)
    lost = KINDS[kind][2]
    whole = ROWS - 8  # those that the second attempt superseded are left out
    assert len(list(run.trajectories())) == whole - lost
    assert run.to_arrow().num_rows == whole - lost
    run.annotations(), run.metrics(), run.vocabulary(), run.status(), run.pruning()
    report = check_run(run, Scope())
    found = [one for check in report.having(Mark.WRONG) for one in check.examples]
    assert (kind, damage) == UNSEEN or any(
        path.name in one.where or path.name in one.why for one in found
    ), found


VERBS = (["show"], ["list"], ["status"], ["diagnose"], ["check"])


OF_VERBS = [case for case in CASES if case[1] in ("4/8", "stripped", "another")]


@pytest.mark.parametrize(("kind", "damage"), OF_VERBS, ids="-".join)
def test_no_verb_traces_back(run_at, kind, damage, capsys):
    folder, path = run_at(kind)
    damages(kind)[damage](path)
    for verb in VERBS:
        with pytest.raises(SystemExit) as stopped:
            main([*verb, str(folder)])
        assert (stopped.value.code or 0) in (0, 1), (verb, capsys.readouterr().err)
    capsys.readouterr()


STRANGERS = ("notes.txt", "a\nb.parquet", "train-s1-b1.parquet", "\udcff.parquet", ".hidden")


@pytest.mark.parametrize("name", STRANGERS)
def test_a_stranger_in_the_folder_is_named_and_harms_nothing(run_at, name):
    folder, path = run_at("trajectories")
    (path.parent / name).write_bytes(b"x")
    run = open_run(folder)
    assert len(list(run.trajectories())) == ROWS - 8
    files = check_run(run, Scope(private=False)).check("files")
    assert files.mark is (Mark.OK if name.startswith(".") else Mark.WRONG)


def test_a_file_under_another_name_is_told_by_its_ids(run_at):
    folder, path = run_at("trajectories")
    path.rename(path.with_name("train-s000009-b000009-a00-r000.parquet"))
    report = check_run(open_run(folder), Scope())
    assert {"ids", "names"} <= {check.name for check in report.having(Mark.WRONG)}
