"""Every question of `rlvr check`, each made to fail by one damage to a sound run."""

import json
import shutil

import pytest

from checking.sound_runs import SHA256, STEPS, compact, rewrite, step_file
from rlvr.checking import Mark, Scope, check_run
from rlvr.checking.answers import QUESTIONS
from rlvr.codec import annotations_to_table, encode_vocabulary
from rlvr.record import Annotation, Part
from rlvr.runs import open_run
from rlvr.store import LocalStore, parquet_bytes
from rlvr.store.layers import look, read_segments
from rlvr.store.pruning import batch_size, prune_batch

ALL = {question.name for question in QUESTIONS}
ID = "train-s000001-b000001-a00-r000-00002"


def check(folder, **scope):
    return check_run(open_run(folder), Scope(**scope))


def wrong(report):
    return {found.name for found in report.having(Mark.WRONG)}


def first(change):
    """Changes the first cell alone."""
    done = []
    return lambda cell: cell if done or done.append(1) else change(cell)


def cell(column, change, step=1):
    return lambda folder: rewrite(step_file(folder, step), column, first(change))


def truncated(folder):
    path = step_file(folder, 2)
    path.write_bytes(path.read_bytes()[:-900])


def torn_page(folder):
    """A byte of a page is another; the footer is whole."""
    path = step_file(folder, 0)
    payload = bytearray(path.read_bytes())
    payload[len(payload) // 3] ^= 0xFF
    path.write_bytes(payload)


def without_row(folder):
    rewrite(step_file(folder, 1), "id", lambda cell: cell, keep=lambda row: row != 2)


def differing_layers(folder):
    compact(folder)
    rewrite(step_file(folder, 0), "id", first(lambda id: f"{id[:-5]}00007"))


def edited(name, old, new):
    def edit(folder):
        path = folder / name
        path.write_text(path.read_text().replace(old, new))

    return edit


def stray_annotation(folder):
    note = Annotation(id=ID[:-1] + "9", kind="rescore", source="t", payload={})
    payload = parquet_bytes(annotations_to_table([note]))
    LocalStore(folder).commit("annotations/rescore/later-x-000000.parquet", payload)


def short_vocabulary(folder):
    LocalStore(folder).commit("vocabulary.json", encode_vocabulary(["a"] * 11))


def leftover(folder):
    (folder / "metrics/.a00-r000-000001.parquet.1-1-0.tmp").write_bytes(b"x")
    (folder / "metrics/.a00-r000-000001.parquet.1-1-0.tmp").chmod(0o600)


def cut_mask(cell):
    return [cell[0][:-1]]


DAMAGES = {
    "truncated file": (truncated, {"files", "counts"}),
    "torn page": (torn_page, {"files", "counts"}),
    "id of another file": (cell("id", lambda id: id.replace("b000001", "b000009")), {"ids"}),
    "id twice": (cell("id", lambda id: id[:-1] + "1"), {"ids"}),
    "other step": (cell("step", lambda step: step + 1), {"names"}),
    "other run": (cell("run", lambda run: "x"), {"names"}),
    "layers that differ": (differing_layers, {"layers"}),
    "text that is no JSON": (cell("completion", lambda text: "{"), {"texts"}),
    "row gone": (without_row, {"groups", "counts", "ids"}),
    "sample twice": (cell("sample", lambda sample: 1), {"groups"}),
    "sample beyond": (cell("sample", lambda sample: 4), {"groups"}),
    "other advantage": (cell("advantage", lambda one: one + 0.5), {"advantages"}),
    "other total": (cell("reward", lambda one: one + 0.5), {"totals", "advantages"}),
    "other count": (cell("derived_num_turns", lambda one: one + 1), {"derived"}),
    "other hash": (cell("derived_text_hash", lambda one: "0" * 16), {"derived"}),
    "short mask": (cell("token_loss_mask", cut_mask), {"tokens"}),
    "other gap": (cell("gap_mean", lambda one: 0.3), {"evidence"}),
    "other length": (cell("sequence_tokens", lambda one: 13), {"evidence"}),
    "ids that match": (cell("ids_match", lambda one: True), {"evidence"}),
    "other mismatch": (cell("mismatch_token", lambda one: 8), {"evidence"}),
    "short vocabulary": (short_vocabulary, {"vocabulary"}),
    "more recorded": (
        edited("ranks/r000-a00.json", '"recorded": 32', '"recorded": 33'),
        {"counts"},
    ),
    "more offered": (edited("ranks/r000-a01.json", '"offered": 8', '"offered": 9'), {"counts"}),
    "counts gone": (lambda folder: (folder / "ranks/r000-a01.json").unlink(), {"counts"}),
    "batch gone": (lambda folder: step_file(folder, 2).unlink(), {"counts", "batches"}),
    "attempt gone": (lambda folder: (folder / "attempts/a00.json").unlink(), {"attempts"}),
    "annotation of nobody": (stray_annotation, {"annotations"}),
    "blob gone": (lambda folder: (folder / "blobs" / SHA256).unlink(), {"blobs"}),
    "other blob": (lambda folder: (folder / "blobs" / SHA256).write_bytes(b"x"), {"blobs"}),
    "for all to read": (lambda folder: (folder / "run.json").chmod(0o644), {"modes"}),
    "left over": (leftover, {"leftovers"}),
}


def test_a_sound_run_is_sound(folder):
    report = check(folder)
    assert wrong(report) == set()
    assert report.rollouts == (STEPS + 1) * 8
    assert {found.name for found in report.having(Mark.UNKNOWN)} == {"layers"}
    assert report.check("tokens").examined == report.check("vocabulary").examined == 8
    assert report.check("advantages").examined == report.rollouts
    compact(folder)
    report = check(folder)
    assert {found.name for found in report.checks if found.mark is Mark.OK} == ALL


@pytest.mark.parametrize("damage", DAMAGES)
def test_each_damage_is_found_by_its_question_alone(folder, damage):
    act, expected = DAMAGES[damage]
    act(folder)
    report = check(folder)
    assert wrong(report) == expected
    assert not report.sound
    for found in report.having(Mark.WRONG):
        assert found.examples
        assert found.remedy


def test_every_question_is_made_to_fail():
    assert set().union(*(expected for _, expected in DAMAGES.values())) == ALL


def test_what_was_lost_and_counted_is_no_damage(folder):
    step_file(folder, 2).unlink()
    edited("ranks/r000-a00.json", '"recorded": 32', '"recorded": 24')(folder)
    edited("ranks/r000-a00.json", '"dropped": 0', '"dropped": 8')(folder)
    report = check(folder)
    assert wrong(report) == set()
    assert "lost at least 8" in report.check("batches").notes[0]


def test_a_run_that_was_killed_in_its_last_batch_is_sound(folder):
    """The process wrote part of a batch of several files, and its counts before it."""
    shutil.rmtree(folder / "annotations")
    path = folder / "ranks/r000-a01.json"
    path.write_text(path.read_text().replace('"closed": true', '"closed": false'))
    path.write_text(path.read_text().replace('"process": "', '"process": "1'))
    path.write_text(path.read_text().replace('"recorded": 8', '"recorded": 0'))
    rewrite(step_file(folder, 3, 1), "id", lambda cell: cell, keep=lambda row: row < 6)
    report = check(folder)
    assert wrong(report) == set()
    assert "lacks rollouts" in report.check("groups").notes[0]


def test_pruned_parts_are_noted_and_not_called_wrong(folder):
    name = next(name for name in look(folder, read_segments).alone if name.step == 1)
    prune_batch(LocalStore(folder), batch_size(folder, name), {Part.TOKENS, Part.MESSAGES})
    report = check(folder)
    assert wrong(report) == set()
    assert "pruned" in report.check("texts").notes[0]
    assert report.check("tokens").mark is Mark.UNKNOWN
    assert report.check("derived").examined == report.rollouts - 8


def test_fast_reads_scalars_alone_and_says_so(folder):
    cell("completion", lambda text: "{")(folder)
    cell("advantage", lambda one: one + 0.5)(folder)
    report = check(folder, fast=True)
    assert wrong(report) == {"advantages"}
    assert report.check("texts").because == "--fast reads no content"


@pytest.mark.parametrize("scope", [{"steps": range(0, 2)}, {"limit_rows": 9}])
def test_of_a_part_the_counts_are_unknown(folder, scope):
    report = check(folder, **scope)
    assert report.rollouts == 16
    assert wrong(report) == set()
    assert {"counts", "batches", "annotations"} <= {c.name for c in report.having(Mark.UNKNOWN)}


def test_the_command(folder, capsys):
    from rlvr.cli import main

    def run(*arguments):
        with pytest.raises(SystemExit) as stopped:
            main(["check", *arguments])
        return stopped.value.code or 0, *capsys.readouterr()

    code, out, err = run(str(folder))
    assert (code, err) == (0, "")
    assert "nothing is wrong" in out
    cell("advantage", lambda one: one + 0.5)(folder)
    code, out, _ = run(str(folder))
    assert code == 1
    assert f"rlvr show {folder} train-s000001-b000001-a00-r000-00000  # is " in out
    code, out, _ = run(str(folder), "--json")
    document = json.loads(out)
    assert (code, document["sound"]) == (1, False)
    assert next(c for c in document["checks"] if c["name"] == "advantages")["wrong"] == 1
    assert run(str(folder.parent / "no"))[0] == 2
    assert run("--sample", "repaired", "--fast")[0] == 0
