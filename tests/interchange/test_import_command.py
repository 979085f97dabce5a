import json
import shutil

import pytest
from imports import FIXTURES, chat, write_lines

TRL = FIXTURES / "trl"


def test_an_import_says_what_came_in_and_what_to_type_next(rlvr):
    code, out, err = rlvr("import", TRL)
    assert code == 0
    assert "TRL completions (Parquet), 3 files" in out
    assert "24 (train)" in out
    assert "3 steps, 6 groups" in out
    assert "reference answers" in out
    assert "scorer-silent" in out
    assert "rlvr diagnose imported/rlvr/" in out
    assert "TRL completions" in err


def test_an_import_is_an_ordinary_run(rlvr, tmp_path):
    rlvr("import", TRL, "--output-dir", "theirs")
    assert rlvr("show", "theirs")[0] == 0
    assert rlvr("status", "theirs")[0] == 0
    code, out, _ = rlvr("show", "theirs", "--step", "2", "--json")
    assert code == 0
    assert json.loads(out)["total"] == 8
    page = rlvr("show", "theirs")[1]
    assert f"imported from  {TRL}" in page.replace("\n", " ")


def test_importing_again_is_another_run_and_says_so(rlvr, tmp_path):
    rlvr("import", TRL)
    code, out, _ = rlvr("import", TRL)
    assert code == 0
    assert "imported before" in out
    assert len(list((tmp_path / "imported/rlvr").iterdir())) == 2


def test_damaged_lines_are_counted_shown_and_make_the_exit_code_one(rlvr, tmp_path):
    lines = [chat(), b"{torn", chat("5"), b"\xff\xfe"]
    write_lines(tmp_path / "a.jsonl", lines)
    code, out, _ = rlvr("import", "a.jsonl")
    assert code == 1
    assert "2 lines, rows or files could not be read" in out
    assert "a.jsonl:2: no JSON" in out
    assert "a.jsonl:4: no valid UTF-8" in out
    assert "2 (train)" in out


@pytest.mark.parametrize("arguments", [["nothing"], ["empty"], ["empty.jsonl"], ["alien.jsonl"]])
def test_what_is_not_recognised_leaves_no_run_and_exits_with_two(rlvr, tmp_path, arguments):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty.jsonl").touch()
    write_lines(tmp_path / "alien.jsonl", [{"a": 1}])
    code, _, err = rlvr("import", *arguments)
    assert code == 2
    assert "Traceback" not in err
    assert not (tmp_path / "imported").exists()


def test_lines_that_are_all_damaged_leave_no_run(rlvr, tmp_path):
    write_lines(tmp_path / "a.jsonl", [chat(reward="high"), chat(reward=[1])])
    code, _, err = rlvr("import", "a.jsonl")
    assert code == 2
    assert "reward is str 'high'" in err
    assert not (tmp_path / "imported").exists()


def test_an_unknown_format_names_the_formats(rlvr):
    code, _, err = rlvr("import", TRL, "--format", "trll")
    assert code == 2
    assert "trl" in err
    assert "openai" in err


@pytest.mark.parametrize(
    ("fixture", "title"),
    [
        ("trl/completions/completions_00001.parquet", "TRL completions"),
        ("traces/traces.jsonl", "verifiers v1"),
        ("verifiers_results/results.jsonl", "verifiers results"),
        ("verl/1.jsonl", "verl generations"),
        ("inspect/sums.eval", "Inspect logs"),
        ("atif/a.json", "ATIF"),
    ],
)
def test_a_file_is_recognised_by_what_it_holds_whatever_its_name(rlvr, tmp_path, fixture, title):
    shutil.copy(FIXTURES / fixture, tmp_path / "download")
    code, out, _ = rlvr("import", "download")
    assert code == 0
    assert title in out


@pytest.mark.parametrize("holds", [b"", b"\0" * 5_000, b"PK\x03\x04torn", b"PAR1", b"text\n" * 99])
def test_a_file_of_something_else_is_not_recognised(rlvr, tmp_path, holds):
    (tmp_path / "download").write_bytes(holds)
    code, _, err = rlvr("import", "download")
    assert code == 2
    assert "Traceback" not in err


def test_a_report_in_json_holds_all_of_it(rlvr, tmp_path):
    write_lines(tmp_path / "a.jsonl", [chat(), b"{torn"])
    code, out, _ = rlvr("import", "a.jsonl", "--json")
    report = json.loads(out)["report"]
    assert code == 1
    assert report["damaged"] == 1
    assert report["first_damaged"][0]["place"] == 2
    assert report["absent"]["advantages"] == ["wrong-advantage", "advantage-blow-up"]


def test_a_mapping_and_weights_are_read_from_the_command_line(rlvr, tmp_path):
    (tmp_path / "map.json").write_text('{"reward": "score.total", "components": "parts"}')
    row = {**chat(), "score": {"total": 0.25}, "parts": {"f1": 1.0}, "iteration": 7}
    write_lines(tmp_path / "a.jsonl", [row])
    options = ["--mapping", "map.json", "--mapping", "step=iteration", "--weight", "f1=0.5"]
    assert rlvr("import", "a.jsonl", *options)[0] == 0
    rollouts = json.loads(rlvr("show", "imported", "--step", "7", "--json")[1])["trajectories"]
    assert [rollout["reward"] for rollout in rollouts] == [0.25]


@pytest.mark.parametrize(
    "option", [["--weight", "f1"], ["--weight", "=1"], ["--mapping", "no.json"]]
)
def test_options_that_can_not_be_read_say_how_to_write_them(rlvr, tmp_path, option):
    write_lines(tmp_path / "a.jsonl", [chat()])
    code, _, err = rlvr("import", "a.jsonl", *option)
    assert code == 2
    assert option[0] in err


def test_a_foreign_folder_is_diagnosed_at_once_and_read_once(rlvr, tmp_path):
    code, out, err = rlvr("diagnose", TRL)
    assert code == 0
    assert "24 training rollouts" in out
    assert "the source of this imported run does not hold" in out
    assert "importing it into the cache" in err
    assert "imported before" in rlvr("diagnose", TRL)[2]
    assert rlvr("ledger", TRL)[0] == 0
    assert rlvr("show", TRL)[0] == 0
    assert len(list((tmp_path / "cache/rlvr/imports").iterdir())) == 1


def test_a_foreign_folder_that_changed_is_read_anew(rlvr, tmp_path):
    path = write_lines(tmp_path / "a.jsonl", [chat()])
    rlvr("diagnose", path)
    write_lines(path, [chat(), chat("5", 0.0)])
    code, out, err = rlvr("diagnose", path)
    assert code == 0
    assert "2 training rollouts" in out
    assert "imported before" not in err


def test_the_cache_stays_bounded(rlvr, tmp_path):
    from rlvr.interchange.cache import MOST_IMPORTS

    for number in range(MOST_IMPORTS + 2):
        path = write_lines(tmp_path / f"{number}.jsonl", [chat()])
        rlvr("show", path)
    assert len(list((tmp_path / "cache/rlvr/imports").iterdir())) == MOST_IMPORTS


def test_a_cache_that_can_not_be_written_says_what_to_do(rlvr, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    code, _, err = rlvr("diagnose", TRL)
    assert code == 2
    assert "Traceback" not in err


def test_a_recorded_run_is_never_taken_for_a_foreign_one(rlvr, tmp_path):
    shutil.copytree(TRL, tmp_path / "both")
    rlvr("import", TRL, "--output-dir", "both")
    _, _, err = rlvr("diagnose", "both")
    assert "cache" not in err


def test_links_in_a_circle_end_in_a_message(rlvr, tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "self").symlink_to(folder)
    write_lines(folder / "a.jsonl", [chat()])
    assert rlvr("import", "a")[0] == 2
    assert rlvr("import", folder)[0] == 0


def test_a_file_that_may_not_be_read_is_counted(rlvr, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    write_lines(folder / "a.jsonl", [chat()])
    (folder / "b.jsonl").symlink_to(tmp_path / "gone")
    code, out, _ = rlvr("import", folder)
    assert code == 1
    assert "b.jsonl: can't be read" in out
    assert "1 (train)" in out


def test_of_two_formats_in_one_folder_it_says_which_was_taken(rlvr, tmp_path):
    shutil.copytree(TRL / "completions", tmp_path / "both")
    write_lines(tmp_path / "both/a.jsonl", [chat()])
    code, out, _ = rlvr("import", "both")
    assert code == 0
    assert "trl was taken; openai was found here too" in out
    assert "1 (train)" in rlvr("import", "both", "--format", "openai")[1]


@pytest.mark.parametrize("imports", [True, False])
def test_filters_hold_for_what_others_recorded(rlvr, imports):
    """Imported, or opened as it lies."""
    where = "reward > 0 and step >= 2 and turns >= 1 and tool is null"
    named = str(TRL)
    if imports:
        rlvr("import", TRL, "--output-dir", "theirs")
        named = "theirs"
    for verb in ("diagnose", "ledger", "rewards", "search"):
        words = ["sum", "--substring"] if verb == "search" else []
        code, out, err = rlvr(verb, named, *words, "--where", where, "--json")
        assert (code in (0, 1), "Traceback" in err) == (True, False)
        assert json.loads(out)["where"] == where
    code, _, err = rlvr("rewards", named, "--where", "turns > 'a'")
    assert (code, "a number" in err) == (2, True)
