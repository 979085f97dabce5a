"""`rlvr prompt`, as its user meets it."""

import json
from dataclasses import replace

import pytest

from builders import odd_trajectory, run_info, trajectory
from rlvr.record import Component, Message, Mode

SOLVED = {"learnt one": [0, 1, 6, 6], "lost": [6, 6, 1, 0], "never": [0, 0, 0, 0]}


def visit(example, step, solved, *, mode=Mode.TRAIN, size=6):
    found = []
    for sample in range(size):
        right = sample < solved
        last = Message(role="assistant", content=f"<answer>{'Orl' if right else 'Lunt'}</answer>")
        found.append(
            trajectory(
                mode=mode,
                step=step,
                batch=step,
                group_id=f"{mode}-b{step}-{example}",
                example_id=example,
                sample=sample,
                question=f"What of {example}?",
                completion=(last,),
                tool_results=(),
                components=(Component(name="exact_match", value=float(right), weight=1.0),),
                reward=float(right),
                advantage=0.0 if mode is Mode.TRAIN else None,
            )
        )
    return found


def recorded(path, content):
    from rlvr.recorder import Recorder

    with Recorder.open(path, info=run_info(), run=run_info().run) as recorder:
        for batch in content:
            recorder.record_batch([replace(one, run=run_info().run) for one in batch])


def visits():
    for step in range(4):
        yield [one for name, solved in SOLVED.items() for one in visit(name, step, solved[step])]
        yield visit("lost", step, 1, mode=Mode.EVAL, size=2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("prompt")
    recorded(path / "run", visits())
    recorded(path / "odd", [[odd_trajectory(), replace(odd_trajectory(), example_id=None)]])
    recorded(path / "empty", [])
    return path


def document(rlvr, *arguments):
    code, out, _ = rlvr("prompt", *arguments, "--json")
    assert code == 0
    return json.loads(out)


def test_the_list_says_what_was_learnt_and_what_was_lost(rlvr):
    found = document(rlvr, "run")
    assert {line["example"]: line["change"] for line in found["prompts"]} == {
        "learnt one": "learnt",
        "lost": "forgotten",
        "never": "never",
    }
    assert (found["counts"]["learnt"], found["counts"]["always"]) == (1, 0)
    (line,) = document(rlvr, "run", "--change", "forgotten")["prompts"]
    assert (line["example"], line["shares"]) == ("lost", [1.0, 1.0, pytest.approx(1 / 6), 0.0])
    assert line["question"] == "What of lost?"


def test_the_list_is_paged_and_sorted_by_change(rlvr):
    found = document(rlvr, "run", "--limit", "1", "--sort", "change")
    assert (found["total"], found["next_offset"]) == (3, 1)
    assert found["prompts"][0]["example"] in {"learnt one", "lost"}
    last = document(rlvr, "run", "--limit", "1", "--offset", "2", "--sort", "change")
    assert (last["next_offset"], last["prompts"][0]["example"]) == (None, "never")
    assert rlvr("prompt", "run", "--offset", "3")[0] == 1


def test_an_example_shows_both_modes_apart_with_first_and_last_answers(rlvr):
    found = document(rlvr, "run", "lost")
    train, evaluated = found["histories"]
    assert (train["mode"], evaluated["mode"]) == ("train", "eval")
    assert (train["rollouts"], evaluated["rollouts"]) == (24, 8)
    assert (train["first_solved"], train["last_solved"], train["lost_at"]) == (0, 2, [3])
    assert [visit["solved"] for visit in train["visits"]] == [6, 6, 1, 0]
    (first,) = train["first_answers"]
    (last,) = train["last_answers"]
    assert (first["text"], first["rollouts"], first["solved"]) == ("Orl", 6, 6)
    assert (last["text"], last["rollouts"], last["solved"]) == ("Lunt", 6, 0)
    assert train["outputs"] == 2


def test_the_page_of_an_example_and_its_commands(rlvr):
    code, out, _ = rlvr("prompt", "run", "lost")
    assert code == 0
    assert "no rollout solved it at step 3; not since step 2" in out
    commands = [
        line.split("#")[0].split()[1:]
        for line in out.splitlines()
        if line.startswith("  rlvr show")
    ]
    assert len(commands) == 4
    assert all(rlvr(*command)[0] == 0 for command in commands)


def test_a_name_with_a_blank_is_a_command_too(rlvr):
    assert "rlvr prompt run 'learnt one'" in rlvr("prompt", "run", "--change", "learnt")[1]


@pytest.mark.parametrize(
    "named",
    ["lost", "los", "train-s000002-b000002-a00-r000-00006", "train-s000002-b000002-a00-r000-00007"],
)
def test_an_example_is_named_by_its_id_its_beginning_or_a_rollout(rlvr, named):
    assert document(rlvr, "run", named)["example"] == "lost"


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["run", "lots"], 1, "Close ones: lost"),
        (["run", "one"], 1, "Close ones: learnt one"),
        (["run", ""], 2, "fits 3 examples"),
        (["run", "lost", "--steps", "50:"], 1, "no rollouts at these steps"),
        (["run", "--change", "always"], 1, "no train example"),
        (["run", "--plot", "x.pdf"], 2, ".svg"),
        (["run", "--component", "exact"], 2, "Did you mean exact_match"),
        (["empty"], 1, "has no rollouts"),
        (["nowhere"], 2, "neither a folder"),
    ],
)
def test_bad_input_is_answered(rlvr, arguments, code, says):
    found, _, err = rlvr("prompt", *arguments)
    assert found == code
    assert says in err


def test_visits_are_paged(rlvr):
    train = document(rlvr, "run", "lost", "--limit", "1", "--offset", "2")["histories"][0]
    assert [visit["step"] for visit in train["visits"]] == [2]
    assert (train["total"], train["next_offset"]) == (4, 3)
    assert "1 of 4 visits" in rlvr("prompt", "run", "lost", "--limit", "1")[1]


def test_rollouts_that_nobody_scored_are_shown_as_unknown(rlvr):
    found = document(rlvr, "odd", "--component", "f1")
    assert {line["change"] for line in found["prompts"]} == {"unscored"}
    assert rlvr("prompt", "odd", found["prompts"][0]["example"])[0] == 0


@pytest.mark.parametrize("arguments", [["run"], ["run", "lost"]])
def test_a_plot_is_drawn(rlvr, folder, arguments):
    code, _, err = rlvr("prompt", *arguments, "--plot", "drawn.svg")
    assert (code, "drew drawn.svg" in err) == (0, True)
    assert (folder / "drawn.svg").read_text().startswith("<?xml")
