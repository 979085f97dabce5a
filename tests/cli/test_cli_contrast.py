"""`rlvr contrast`, as its user meets it."""

import io
import json
import random
from dataclasses import replace

import pytest

from builders import batches, odd_trajectory, trajectory, with_advantages, write_run
from rlvr.record import Component, Message, Mode, ToolCall


def searching(step, group, sample, *, calls, right):
    """A rollout that retrieves so often, then answers."""
    turns = []
    for at in range(calls):
        query = json.dumps({"query": f"fact {at} of {group}"})
        own = (ToolCall(id=f"c{at}", name="retrieve", arguments=query),)
        turns.append(Message(role="assistant", content="<think>hm</think>", tool_calls=own))
        turns.append(Message(role="tool", content=f"Document ID: {at}", tool_call_id=f"c{at}"))
    answer = "Orl" if right else "Lun"
    turns.append(Message(role="assistant", content=f"<answer>{answer}</answer>"))
    return trajectory(
        step=step,
        batch=step,
        group_id=f"train-b{step:06d}-g{group:03d}",
        example_id=f"q{step}-{group}",
        sample=sample,
        completion=tuple(turns),
        tool_results=(),
        components=(Component(name="exact_match", value=float(right), weight=1.0),),
        reward=float(right),
    )


def searches(steps=8, groups=3, size=6, *, linked=True):
    """Who is right has retrieved twice, if linked, else as often as anyone."""
    draw = random.Random(4)
    for step in range(steps):
        batch = []
        for group in range(groups):
            right = [sample < 3 for sample in range(size)]
            members = [
                searching(
                    step,
                    group,
                    sample,
                    calls=2 if linked and right[sample] else draw.choice((1, 2)),
                    right=right[sample],
                )
                for sample in range(size)
            ]
            batch += with_advantages(members)
        yield batch


def recorded(path, content, **changes):
    from builders import run_info
    from rlvr.recorder import Recorder

    with Recorder.open(path, info=run_info(**changes), run=run_info().run) as recorder:
        for batch in content:
            recorder.record_batch([replace(one, run=run_info().run) for one in batch])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("contrast")
    recorded(path / "linked", searches())
    recorded(path / "unlinked", searches(linked=False))
    recorded(
        path / "equal",
        ([replace(one, components=(), reward=0.5) for one in batch] for batch in batches(3)),
    )
    recorded(path / "one", [[trajectory()]])
    recorded(path / "empty", [])
    odd = [
        replace(odd_trajectory(), sample=at, components=(Component(name="a", value=value),))
        for at, value in enumerate((0.0, 1.0, float("nan"), None))
    ]
    recorded(path / "odd", [odd], components={})
    evaluated = [
        [replace(one, mode=Mode.EVAL, advantage=None) for one in batch] for batch in searches(2)
    ]
    recorded(path / "evaluated", evaluated)
    write_run(path / "demo")
    return path


def document(rlvr, *arguments):
    code, out, _ = rlvr("contrast", *arguments, "--json")
    assert code in (0, 1)
    return json.loads(out)


def test_what_goes_with_success_is_first_and_its_size_is_said(rlvr):
    found = document(rlvr, "linked")
    by_name = {effect["feature"]["name"]: effect for effect in found["effects"]}
    calls = by_name["calls of retrieve"]
    assert {"tool calls", "turns", "distinct calls"} <= set(calls["same_as"])
    assert found["groups"] == {"all": 24, "informative": 24, "equal": 0, "one_sided": 0, "alone": 0}
    assert found["read"] == {"groups": 24, "rollouts": 144, "steps": 8, "prompts": 24}
    assert found["surviving"] > 0
    assert calls["success"] == 2.0
    assert calls["low"] < 0.5 < calls["high"]
    assert [e["q"] <= 0.05 for e in found["effects"]] == sorted(
        (e["q"] <= 0.05 for e in found["effects"]), reverse=True
    )


def test_where_nothing_goes_with_success_it_says_so(rlvr):
    found = document(rlvr, "unlinked")
    assert (found["surviving"], found["total"] > 0) == (0, True)
    code, out, _ = rlvr("contrast", "unlinked")
    assert code == 0
    assert "No difference survives the correction" in out


def test_the_page_claims_no_cause_and_its_commands_run(rlvr):
    code, out, _ = rlvr("contrast", "linked")
    assert code == 0
    assert "not what causes it" in out
    commands = [
        line.split("#")[0].split()[1:] for line in out.splitlines() if line.startswith("  rlvr ")
    ]
    assert len(commands) == 7
    for command in commands:
        assert rlvr(*command)[0] == 0


def test_a_pair_is_aligned_and_the_first_difference_is_marked(rlvr):
    (first, *_) = document(rlvr, "linked")["pairs"]
    rows = first["rows"]
    assert first["success"]["value"] == 1.0
    assert first["failure"]["value"] == 0.0
    assert [row["same"] for row in rows[: first["first_difference"]]] == [True] * first[
        "first_difference"
    ]
    assert not rows[first["first_difference"]]["same"]
    assert document(rlvr, "linked")["pairs"] == document(rlvr, "linked")["pairs"]


def test_a_group_is_shown_turn_by_turn_with_its_common_beginning_once(rlvr):
    _, out, _ = rlvr("contrast", "linked", "--group", "train-b000003-g001")
    assert out.count("all begin with turn 0: retrieve(fact 0 of 1)") == 1
    rows = [line for line in out.splitlines() if line.startswith(("✓", "✗"))]
    assert [row[0] for row in rows] == ["✓"] * 3 + ["✗"] * 3
    found = document(rlvr, "linked", "--group", "train-b000003-g001", "--limit", "2")
    assert (found["common_turns"], found["total"], found["next_offset"]) == (3, 6, 2)
    assert [one["value"] for one in found["siblings"]] == [1.0, 1.0]


def test_a_threshold_and_a_component_decide_what_success_is(rlvr):
    found = document(rlvr, "demo", "--component", "f1", "--threshold", "0.4")
    assert found["measure"] == {"component": "f1", "threshold": 0.4, "why": "as asked"}
    assert document(rlvr, "demo", "--component", "reward")["measure"]["component"] is None
    code, _, err = rlvr("contrast", "demo", "--component", "f2")
    assert code == 2
    assert "Did you mean f1" in err


def test_steps_bound_what_is_compared(rlvr):
    found = document(rlvr, "linked", "--steps", "2:3")
    assert (found["read"]["steps"], found["groups"]["all"]) == (2, 6)
    assert rlvr("contrast", "linked", "--steps", "90:")[0] == 1


def test_an_evaluation_is_compared_where_there_is_no_training(rlvr):
    assert document(rlvr, "evaluated")["mode"] == "eval"
    assert rlvr("contrast", "evaluated", "--mode", "train")[0] == 1


@pytest.mark.parametrize(
    ("run", "says"),
    [
        ("equal", "6 all equal"),
        ("one", "1 without a scored sibling"),
        ("empty", "has no train rollouts"),
    ],
)
def test_a_run_that_says_nothing_is_no_traceback(rlvr, run, says):
    code, _, err = rlvr("contrast", run)
    assert code == 1
    assert says in err


def test_unscored_rollouts_are_counted_and_left_out(rlvr):
    found = document(rlvr, "odd")
    assert (found["unscored"], found["read"]["rollouts"]) == (2, 2)
    assert rlvr("contrast", "odd")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["nowhere"], 2, "neither a folder"),
        ([], 2, "name a run"),
        (["--sample", "--group", "x"], 2, "--group is of one run"),
        (["linked", "--group", "train-s000000-b000000-a00-r000-00000"], 2, "is a trajectory"),
        (["linked", "--group", "nothing"], 1, "no trajectory or group"),
        (["linked", "--threshold", "nan"], 2, "finite"),
    ],
)
def test_bad_input_is_answered(rlvr, arguments, code, says):
    found, _, err = rlvr("contrast", *arguments)
    assert found == code
    assert says in err


def test_a_torn_file_is_named_and_the_rest_compared(rlvr, folder, tmp_path, monkeypatch):
    recorded(tmp_path / "torn", searches())
    (first, *_) = sorted((tmp_path / "torn").rglob("train-*.parquet"))
    first.write_bytes(first.read_bytes()[:100])
    monkeypatch.chdir(tmp_path)
    found = document(rlvr, "torn")
    assert found["groups"]["all"] == 21
    assert any(first.name in remark for remark in found["remarks"])


def test_many_groups_are_read_as_a_stated_portion(folder):
    from rlvr.questions.contrasting import Wanted, contrast_run
    from rlvr.runs import open_run

    found = contrast_run(open_run(folder / "linked"), Wanted(), most_groups=10)
    assert (found.read, found.read_rollouts, found.split.informative_groups) == (10, 60, 24)
    assert found.read_steps >= 7


def test_pruned_messages_are_said_and_the_columns_still_counted(rlvr, tmp_path, monkeypatch):
    recorded(tmp_path / "pruned", searches(4))
    monkeypatch.chdir(tmp_path)
    rlvr("prune", "pruned", "--max-size", "1kB", "--yes")  # the newest step stays
    found = document(rlvr, "pruned")
    assert (found["groups"]["informative"], found["read"]["steps"]) == (12, 1)
    assert any("were pruned" in remark for remark in found["remarks"])
    code, out, _ = rlvr("prompt", "pruned", "q0-0")
    assert (code, "its messages are gone" in out) == (0, True)


def test_what_another_tool_recorded_is_compared_as_it_lies(rlvr, folder, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    lines = []
    for group in range(6):
        for sample in range(4):
            answer = "x" * (9 if sample < 2 else 2)
            messages = [
                {"role": "user", "content": f"question {group}"},
                {"role": "assistant", "content": f"<answer>{answer}</answer>"},
            ]
            lines.append(json.dumps({"messages": messages, "reward": float(sample < 2)}))
    (folder / "chats.jsonl").write_text("\n".join(lines) + "\n")
    code, out, err = rlvr("contrast", "chats.jsonl", "--json")
    assert code == 0, err
    found = json.loads(out)
    assert found["groups"]["informative"] == 6
    assert "characters of the answer" in {
        name for e in found["effects"] for name in (e["feature"]["name"], *e["same_as"])
    }


@pytest.mark.parametrize("width", [40, 80, 110, 200])
def test_the_page_fits_its_terminal(folder, width):
    from rich.console import Console

    from rlvr.cli.contrast import contrast_page
    from rlvr.cli.opening import Opened
    from rlvr.cli.paging import Page
    from rlvr.questions.contrasting import Wanted, contrast_run
    from rlvr.runs import open_run

    run = open_run(folder / "linked")
    page = contrast_page(
        Opened(run=run, argument="linked"),
        contrast_run(run, Wanted()),
        Page(total=0, offset=0, limit=20),
    )
    console = Console(width=width, force_terminal=True, record=True, file=io.StringIO())
    console.print(page)
    text = console.export_text()
    assert ("95% interval" in text) == (width >= 100)
    assert "success 1.000" in text
