"""Runs as older revisions wrote them; tests/fixtures/old_runs/make.py made the files."""

import json
import os
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rlvr.cli import main
from rlvr.codec import MIGRATIONS, derived_columns, derived_version, migrations_of
from rlvr.errors import NewerFormat
from rlvr.record import Part
from rlvr.runs import open_run
from rlvr.schema import COLUMNS, DERIVED
from rlvr.store import LocalStore
from rlvr.store.compact import Limits, finished, plan, read_source, write_compacted
from rlvr.store.layers import look, read_segments
from rlvr.store.pruning import batch_size, prune_batch

OLD_RUNS = Path(__file__).parents[1] / "fixtures" / "old_runs"
REVISIONS = ("f9b65a3", "b2af690")
RUN = "20260801-120000-ab12"
MADE = [name for migration in MIGRATIONS for name in migration.columns]


@pytest.fixture
def old(tmp_path):
    """Copies the run of a revision; git keeps no file modes."""

    def copied(revision, name=RUN):
        folder = shutil.copytree(OLD_RUNS / revision, tmp_path / "rlvr" / name)
        for path in folder.rglob("*"):
            path.chmod(0o700 if path.is_dir() else 0o600)
        return folder

    return copied


def files(folder):
    return sorted((folder / "trajectories/L0").iterdir())


@pytest.mark.parametrize("revision", REVISIONS)
def test_an_old_run_is_read_whole(old, revision):
    run = open_run(old(revision))
    rows = list(run.trajectories())
    assert len(rows) == 16
    assert run.status().recorded == 16
    assert run.info.outcome is run.info.eval_dataset is run.info.token_details_every is None
    assert [row.tokens is not None for row in rows] == [False] * 8 + [True] * 8
    assert {len(run.metrics())} == {2}
    assert run.damaged == ()
    assert repr(run.trajectory(rows[9].id)) == repr(rows[9])  # NaN is no NaN's equal


def test_what_an_old_run_never_recorded_is_none(old):
    run = open_run(old("f9b65a3"))
    absent = ("unattended_sampled_tokens", "mismatch_turn")
    table = run.to_arrow(absent)
    assert all(table[name].null_count == 16 for name in absent)
    row = next(run.trajectories())
    assert row.evidence.unattended_sampled_tokens is row.evidence.mismatch_turn is None
    assert row.evidence.sampled_tokens == 54


@pytest.mark.parametrize("compacted", [False, True])
@pytest.mark.parametrize("revision", REVISIONS)
def test_derived_columns_are_those_of_today(old, revision, compacted):
    folder = old(revision)
    if compacted:
        compact(folder)
    run = open_run(folder)
    names = [column.name for column in DERIVED if column.name != "derived_version"]
    expected = [derived_columns(row) for row in run.trajectories()]
    table = run.to_arrow(["reward", *names])
    assert table.column_names == ["reward", *names]
    assert table.to_pylist() == [
        {"reward": row.reward} | {name: derived[name] for name in names}
        for row, derived in zip(run.trajectories(), expected, strict=True)
    ]


def compact(folder):
    names = finished(look(folder, read_segments), None)
    for one in plan([read_source(folder, name) for name in names], Limits(files=4)):
        write_compacted(LocalStore(folder), one)
    for path in files(folder):
        path.unlink()


def test_files_of_one_run_are_migrated_one_by_one(old):
    """rlvr was upgraded between two steps."""
    folder = old("f9b65a3")
    shutil.copy(files(old("b2af690", "newer"))[1], files(folder)[1])
    versions = [derived_version(pq.read_schema(path).metadata) for path in files(folder)]
    assert versions == [1, 2]
    table = open_run(folder).to_arrow(["derived_prompt_hash", "derived_version"])
    assert table["derived_prompt_hash"].null_count == 0
    assert table["derived_version"].to_pylist() == [1] * 8 + [2] * 8


def test_a_question_about_other_columns_reads_no_content(old):
    reader = open_run(old("f9b65a3"))
    schema = pq.read_schema(files(reader.path)[0])
    assert [m.name for m in migrations_of(schema.metadata, schema.names)] == [
        "derived-2-failures-and-references"
    ]
    assert reader.to_arrow(["derived_num_turns"])["derived_num_turns"].to_pylist() == [3] * 16
    assert migrations_of(schema.metadata, ["id", "derived_num_turns"]) == []


def test_where_messages_were_pruned_what_would_be_derived_is_none(old):
    folder = old("f9b65a3")
    names = sorted(look(folder, read_segments).alone)
    prune_batch(LocalStore(folder), batch_size(folder, names[0]), {Part.MESSAGES})
    table = open_run(folder).to_arrow(["derived_prompt_hash", "derived_num_turns"])
    assert table["derived_prompt_hash"].null_count == 8
    assert table["derived_num_turns"].null_count == 0


def test_what_no_longer_decodes_is_named_and_the_rest_is_migrated(old):
    folder = old("f9b65a3")
    rewrite(files(folder)[0], lambda name, cells: ["{"] * 8 if name == "turns" else cells)
    run = open_run(folder)
    table = run.to_arrow(["derived_prompt_hash", "reward"])
    assert table["derived_prompt_hash"].null_count == 8
    assert table["reward"].null_count == 0
    assert files(folder)[0].name in str(run.damaged[0])


def read(path):
    run = open_run(path)
    return list(run.trajectories()), run.metrics(), run.status()


def rewrite(path, change):
    table = pq.read_table(path)
    arrays = [
        pa.array(change(field.name, table[field.name].to_pylist()), type=field.type)
        for field in table.schema
    ]
    pq.write_table(pa.Table.from_arrays(arrays, schema=table.schema), path)


def test_every_column_that_came_later_is_migrated_or_is_evidence():
    present = set(pq.read_schema(files(OLD_RUNS / "f9b65a3")[0]).names)
    later = {column.name for column in COLUMNS} - present
    assert set(MADE) == {name for name in later if name.startswith("derived_")}


def test_the_diagnosis_says_unknown_where_evidence_is_missing(old, capsys):
    """Without messages, what an old file did not derive can't be made good."""
    folder = old("f9b65a3")
    for name in sorted(look(folder, read_segments).alone):
        prune_batch(LocalStore(folder), batch_size(folder, name), {Part.MESSAGES})
    with pytest.raises(SystemExit):
        main(["diagnose", str(folder), "--json"])
    verdict = json.loads(capsys.readouterr().out)
    unknown = {entry["code"] for entry in verdict["unknown"]}
    assert {"wrong-policy-version", "duplicate-prompts", "truncation"} <= unknown
    assert {"scorer-errors", "calls-malformed"} & {e["code"] for e in verdict["healthy"]} == set()


NEWER = (
    "run.json",
    "attempts/a00.json",
    "ranks/r000-a00.json",
    "trajectories/L0/train-s000001-b000001-a00-r000.parquet",
    "metrics/a00-r000-000000.parquet",
)


@pytest.mark.parametrize("name", NEWER)
def test_a_newer_file_is_refused_by_its_name_its_version_and_a_remedy(old, name, capsys):
    path = old("b2af690") / name
    if path.suffix == ".json":
        path.write_text(path.read_text().replace('"format_version": 1', '"format_version": 7'))
    else:
        table = pq.read_table(path)
        notes = {**table.schema.metadata, b"rlvr.format": b"7"}
        pq.write_table(table.replace_schema_metadata(notes), path)
    says = f"{path.name} has format 7, .* up to 2. Upgrade it: pip install --upgrade rlvr"
    with pytest.raises(NewerFormat, match=says):
        read(path)
    with pytest.raises(SystemExit) as stopped:
        main(["diagnose", os.fspath(path)])
    assert stopped.value.code == 2
    assert "pip install --upgrade rlvr" in capsys.readouterr().err
