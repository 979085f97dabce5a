"""--where, on every verb that takes some of a run's rollouts."""

import json

import pytest

from builders import write_run
from rlvr.errors import ConfigurationError
from rlvr.rescoring.selection import select
from rlvr.runs import open_run

FAILED = "errors > 0 and tool = 'retrieve'"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("run"), steps=4, learns=False)


def test_show_lists_what_passes(rlvr):
    code, out, _ = rlvr("show", ".", "--where", FAILED, "--json")
    listed = json.loads(out)
    assert (code, listed["total"] > 0) == (0, True)
    assert all(line["tool_errors"] > 0 for line in listed["trajectories"])
    code, out, _ = rlvr("show", ".", "--where", "not (" + FAILED + ")", "--step", "2", "--json")
    assert all(line["tool_errors"] == 0 for line in json.loads(out)["trajectories"])
    assert rlvr("show", ".", "--where", "reward > 9")[0] == 1


def test_export_writes_what_passes(rlvr, folder, tmp_path):
    total = json.loads(rlvr("show", ".", "--where", FAILED, "--json")[1])["total"]
    output = tmp_path / "out.jsonl"
    code, out, _ = rlvr(
        "export", ".", "--to", "jsonl", "--output", output, "--where", FAILED, "--json"
    )
    assert (code, json.loads(out)["report"]["rollouts"]) == (0, total)
    code, _, err = rlvr(
        "export", ".", "train-s", "--to", "jsonl", "--output", "x", "--where", "step = 1"
    )
    assert (code, "exclude each other" in err) == (2, True)


def test_ledger_and_diagnose_say_which_rollouts(rlvr):
    for verb in ("ledger", "diagnose"):
        code, out, _ = rlvr(verb, ".", "--where", FAILED)
        assert (code, f"where {FAILED}" in out) == (0, True)
        assert json.loads(rlvr(verb, ".", "--where", FAILED, "--json")[1])["where"] == FAILED
        assert json.loads(rlvr(verb, ".", "--json")[1])["where"] is None
    assert rlvr("ledger", ".", "--where", "reward > 9")[0] == 1


def test_parity_compares_what_passes(rlvr, folder, tmp_path):
    other = write_run(tmp_path, steps=4, run="other")
    code, out, _ = rlvr("parity", ".", other, "--where", "step < 2", "--json")
    assert code in (0, 1)
    assert "only rollouts where step < 2" in out
    code, _, err = rlvr("parity", ".", other, "--where", "reward > 9")
    assert (code, "A: no train rollout" in err) == (2, True)


def test_rescore_scores_what_passes(folder):
    run = open_run(folder)
    chosen = select(run, mode=None, step=None, limit=None, where=FAILED)
    ids = frozenset().union(*chosen.ids.values())
    assert ids == set(run.to_arrow(["id"], where=FAILED)["id"].to_pylist())
    with pytest.raises(ConfigurationError, match="where reward > 9"):
        select(run, mode=None, step=None, limit=None, where="reward > 9")


@pytest.mark.parametrize(
    "command",
    [
        ("show", "."),
        ("diagnose", "."),
        ("ledger", "."),
        ("export", ".", "--to", "jsonl", "--output", "never.jsonl"),
        ("parity", ".", "."),
    ],
)
@pytest.mark.parametrize("where", ["rewrd < 1", "reward < 'a'", "step = 1; drop table x", ""])
def test_a_wrong_expression_is_explained_in_one_line(rlvr, folder, command, where):
    code, out, err = rlvr(*command, "--where", where)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert "Traceback" not in err
    assert not (folder / "never.jsonl").exists()


@pytest.mark.parametrize("verb", ["rewards", "tools", "contrast", "prompt"])
def test_a_view_of_columns_says_and_shows_what_passes(rlvr, folder, verb):
    where = "step >= 2 and turns > 0"
    code, out, _ = rlvr(verb, ".", "--where", where)
    assert (code, f"where {where}" in " ".join(out.split())) == (0, True)
    filtered = json.loads(rlvr(verb, ".", "--where", where, "--json")[1])
    by_steps = json.loads(rlvr(verb, ".", "--steps", "2:", "--json")[1])
    everything = json.loads(rlvr(verb, ".", "--json")[1])
    assert (filtered.pop("where"), by_steps.pop("where"), everything.pop("where")) == (
        where,
        None,
        None,
    )
    assert filtered == by_steps != everything
    assert rlvr(verb, ".", "--where", "reward > 9")[0] in (1, 2)


def test_one_example_and_one_group(rlvr):
    found = json.loads(rlvr("prompt", ".", "q1-0", "--where", "sample < 2", "--json")[1])
    assert {visit["rollouts"] for visit in found["histories"][0]["visits"]} == {2}
    code, _, err = rlvr("contrast", ".", "--group", "train-b000003-g001", "--where", "step = 3")
    assert (code, "leave --where out" in err) == (2, True)


@pytest.mark.parametrize("how", [(), ("--substring",), ("--sort", "relevance")])
def test_a_search_is_restricted_and_counted_exactly(rlvr, folder, how):
    run = open_run(folder)
    wanted = set(run.to_arrow(["id"], where=FAILED)["id"].to_pylist())
    asked = ("search", ".", "founder", *how, "--limit", "1000", "--json")
    everything = json.loads(rlvr(*asked)[1])
    code, out, _ = rlvr(*asked, "--where", FAILED)
    found = json.loads(out)
    ids = {hit["id"] for hit in everything["hits"]} & wanted
    assert (code, {hit["id"] for hit in found["hits"]}) == (0, ids)
    assert (found["total"], found["searched"]) == (len(ids), len(wanted))
    assert 0 < len(ids) < everything["total"]
    page = rlvr("search", ".", "founder", *how, "--where", FAILED, "--limit", "1", "--offset", "1")
    assert page[0] == 0
    assert {hit.id for hit in run.search("founder", where=FAILED, limit=1000)} == ids
    assert rlvr(*asked, "--where", "reward > 9")[0] == 1
