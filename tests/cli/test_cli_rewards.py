import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from builders import odd_trajectory, trajectory, write_run
from rlvr.record import Component

FIXTURES = Path(__file__).parents[1] / "interchange" / "fixtures"
EVIL = "\x1b[2J\x07[red]$x^2$[/red]\u202e🔧"


def named(name, **changes):
    """A rollout whose one component has that name."""
    made = trajectory(**changes)
    return replace(made, components=(Component(name=name, value=1.0, weight=1.0),))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("rewards")
    write_run(path / "sound", steps=4)
    odd = [replace(odd_trajectory(), step=9, batch=9, group_id="train-b000009-g000")]
    write_run(path / "odd", steps=2, extra=odd, run="20260802-120000-ab12")
    write_run(path / "evil", steps=0, extra=[named(EVIL)], name=EVIL, components={EVIL: 1.0})
    shutil.rmtree(write_run(path / "empty", steps=1) / "trajectories")
    return path


def test_the_page_begins_with_the_answer(rlvr):
    code, out, err = rlvr("rewards", "sound")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[1] == "32 rollouts in 8 groups of two or more, steps 0 to 3"
    assert lines[2].startswith("exact_match decides ")
    assert lines[3] == "format never varies within a group."
    assert "one value" in next(line for line in lines if line.startswith("format  "))
    for part in ("── Components", "── Who decides", "── Pairs", "── Total and outcome"):
        assert part in out


def test_a_component_that_counts_for_nothing_is_no_headline(rlvr, tmp_path):
    write_run(tmp_path, steps=2, components={"exact_match": 1.0, "f1": 0.5, "format": 0.0})
    assert "never varies" not in rlvr("rewards", tmp_path)[1]


def test_the_document_has_the_same_numbers(rlvr):
    code, out, _ = rlvr("rewards", "sound", "--json")
    found = json.loads(out)
    assert (code, found["kind"], found["mode"]) == (0, "rewards", "train")
    assert found["headline"][0].startswith("exact_match decides ")
    decided = [one["decisions"]["decides"]["value"] for one in found["components"]]
    assert sum(decided) == pytest.approx(1.0)
    assert [one["name"] for one in found["components"]] == ["exact_match", "f1", "format"]


def test_a_range_of_steps_is_all_that_is_looked_at(rlvr):
    found = json.loads(rlvr("rewards", "sound", "--steps", "1:2", "--json")[1])
    assert (found["steps"], found["rollouts"]) == ([1, 2], 16)


def test_failures_of_scorers_have_their_reasons_and_are_no_zeros(rlvr):
    code, out, _ = rlvr("rewards", "odd")
    assert code == 0
    assert "exact_match has no value in 1 rollout (error 1)." in out
    assert "f1 has no value in 1 rollout (NaN or infinite 1)." in out


@pytest.mark.parametrize("name", ["plot.svg", "plot.png"])
def test_the_page_is_drawn_as_a_file_too(rlvr, tmp_path, name):
    code, out, err = rlvr("rewards", "sound", "--plot", tmp_path / name)
    assert code == 0
    assert "── Components" in out
    assert err == f"rlvr: drew {tmp_path / name}\n"
    assert (tmp_path / name).stat().st_size > 10_000


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["rewards"], "name a run"),
        (["rewards", "nowhere"], "nowhere"),
        (["rewards", "sound", "--steps", "3:1"], "10:20"),
        (["rewards", "sound", "--plot", "x.pdf"], ".svg or .png"),
        (["rewards", "--sample", "nonsense"], "samples are"),
        (["rewards", "sound", "--mode", "test"], "eval"),
    ],
)
def test_wrong_usage_is_two(rlvr, arguments, said):
    code, out, err = rlvr(*arguments)
    assert (code, out) == (2, "")
    assert said in err
    assert "Traceback" not in err


@pytest.mark.parametrize("arguments", [["empty"], ["sound", "--mode", "eval"]])
def test_a_run_without_such_rollouts_answers_no(rlvr, arguments, tmp_path):
    code, out, _ = rlvr("rewards", *arguments, "--plot", tmp_path / "none.svg")
    assert code == 1
    assert "There is no rollout to look at." in out
    assert rlvr("rewards", *arguments, "--json")[0] == 1


def test_a_hostile_name_steers_neither_the_terminal_nor_the_picture(rlvr, tmp_path):
    code, out, _ = rlvr("rewards", "evil", "--plot", tmp_path / "evil.svg")
    assert code == 0
    drawn = (tmp_path / "evil.svg").read_text()
    for text in (out, drawn, rlvr("rewards", "evil", "--json")[1]):
        assert not {"\x1b", "\x07", "\u202e"} & set(text)


def test_a_torn_file_is_named_and_left_out(rlvr, tmp_path):
    path = write_run(tmp_path, steps=3) / "trajectories" / "L0"
    torn = sorted(path.iterdir())[1]
    torn.write_bytes(torn.read_bytes()[:100])
    code, out, err = rlvr("rewards", tmp_path)
    assert code == 0
    assert torn.name in err
    assert "16 rollouts" in out


def test_what_another_tool_recorded_is_examined_as_it_lies(rlvr):
    code, out, err = rlvr("rewards", FIXTURES / "trl")
    assert code == 0
    assert "TRL completions" in err
    assert "── Components" in out


def test_the_bundled_run_says_what_decides(rlvr):
    code, out, _ = rlvr("rewards", "--sample")
    assert code == 0
    assert "exact_match decides 82.3% of the advantages, citation 15.4%" in out
