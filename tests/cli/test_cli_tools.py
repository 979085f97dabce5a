import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from builders import odd_trajectory, trajectory, write_run
from rlvr.record import ToolResult

FIXTURES = Path(__file__).parents[1] / "interchange" / "fixtures"
EVIL = "\x1b[2J\x07[red]$x^2$[/red]\u202e🔧"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("tools")
    write_run(path / "sound", steps=4)
    odd = [replace(odd_trajectory(), step=9, batch=9, group_id="train-b000009-g000")]
    write_run(path / "odd", steps=2, extra=odd, run="20260802-120000-ab12")
    result = ToolResult(turn=0, call_id="c", name=EVIL, arguments="{}", error=EVIL)
    evil = [replace(trajectory(), tool_results=(result,))]
    write_run(path / "evil", steps=0, extra=evil, name=EVIL, tools=())
    shutil.rmtree(write_run(path / "empty", steps=1) / "trajectories")
    return path


def test_the_page_begins_with_the_answer(rlvr):
    code, out, err = rlvr("tools", "sound")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[1] == "32 rollouts, steps 0 to 3: 64 calls, every one counted"
    assert lines[2] == "2.00 calls a rollout: retrieve 2.00."
    assert "of the calls of retrieve raise." in lines[3]
    for part in ("── Tools", "── Changes of level", "── Reward of those", "── Orders of calls"):
        assert part in out
    assert "retrieve > retrieve > answer" in out


def test_the_document_has_the_same_numbers(rlvr):
    code, out, _ = rlvr("tools", "sound", "--json")
    found = json.loads(out)
    assert (code, found["kind"], found["mode"]) == (0, "tools", "train")
    (line,) = found["tools"]
    assert (line["name"], line["calls"], line["offered"]) == ("retrieve", 64, True)
    assert found["patterns"][0]["text"] == "retrieve > retrieve > answer"


def test_portions_change_nothing(rlvr, monkeypatch):
    whole = rlvr("tools", "sound", "--json")
    monkeypatch.setattr("rlvr.questions.reading.PORTION", 9)
    assert rlvr("tools", "sound", "--json") == whole


def test_odd_calls_are_counted_by_what_they_are(rlvr):
    code, out, _ = rlvr("tools", "odd", "--steps", "9:")
    assert code == 0
    assert "50% of the calls are malformed and reach no tool." in out
    assert "(no name)" in out


def test_one_tool_alone_is_shown_and_another_name_answered_with_close_ones(rlvr):
    assert rlvr("tools", "odd", "--tool", "retrieve")[0] == 0
    shown = json.loads(rlvr("tools", "odd", "--tool", "retrieve", "--json")[1])
    assert [line["name"] for line in shown["tools"]] == ["retrieve"]
    code, out, err = rlvr("tools", "odd", "--tool", "retreive")
    assert (code, out) == (2, "")
    assert "called were retrieve" in err


@pytest.mark.parametrize("name", ["plot.svg", "plot.png"])
def test_the_page_is_drawn_as_a_file_too(rlvr, tmp_path, name):
    code, _, err = rlvr("tools", "sound", "--plot", tmp_path / name)
    assert (code, err) == (0, f"rlvr: drew {tmp_path / name}\n")
    assert (tmp_path / name).stat().st_size > 10_000


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["tools"], "name a run"),
        (["tools", "nowhere"], "nowhere"),
        (["tools", "sound", "--steps", "x"], "10:20"),
        (["tools", "sound", "--plot", "plot"], ".svg or .png"),
    ],
)
def test_wrong_usage_is_two(rlvr, arguments, said):
    code, out, err = rlvr(*arguments)
    assert (code, out) == (2, "")
    assert said in err
    assert "Traceback" not in err


def test_a_run_without_rollouts_answers_no(rlvr, tmp_path):
    code, out, _ = rlvr("tools", "empty", "--plot", tmp_path / "none.svg")
    assert code == 1
    assert "There is no rollout to look at." in out
    assert rlvr("tools", "empty", "--json")[0] == 1


def test_a_hostile_name_steers_neither_the_terminal_nor_the_picture(rlvr, tmp_path):
    code, out, _ = rlvr("tools", "evil", "--plot", tmp_path / "evil.svg")
    assert code == 0
    assert "1.00 calls a rollout: \\x1b[2J" in out
    drawn = (tmp_path / "evil.svg").read_text()
    for text in (out, drawn, rlvr("tools", "evil", "--json")[1]):
        assert not {"\x1b", "\x07", "\u202e"} & set(text)


def test_pruned_messages_are_said_and_the_counts_stay(rlvr, tmp_path):
    write_run(tmp_path, steps=3)
    assert "can't" in "".join(rlvr("prune", tmp_path, "--max-size", "1B", "--yes")[1:])
    code, out, _ = rlvr("tools", tmp_path)
    assert code == 0
    assert "the calls are no longer on record" in out


def test_what_another_tool_recorded_is_examined_as_it_lies(rlvr):
    code, out, err = rlvr("tools", FIXTURES / "trl")
    assert code in (0, 1)
    assert "TRL completions" in err
    assert "calls" in out or "No tool was called" in out


def test_the_bundled_run_says_what_changed(rlvr):
    code, out, _ = rlvr("tools", "--sample")
    assert code == 0
    assert "At step 6 the calls of retrieve a rollout change, 1.69 → 1.90." in out
