"""`rlvr parity` as its user sees it: real runs, written by the real recorder."""

import json
import shlex
import shutil
from dataclasses import replace

import pytest
from pairs import (
    EVAL_ID,
    TRAIN_ID,
    Act,
    evaluation,
    mixed,
    record,
    rescore,
    side_of,
    solving,
    training,
)
from rich.console import Console

from rlvr.cli import opening
from rlvr.parity import compare, compare_runs
from rlvr.record import Mode
from rlvr.recorder import Recorder
from rlvr.views.document import document
from rlvr.views.parity import parity_values
from rlvr.views.terminal.parity import parity_view

EVIL = "\x1b[2J\x1b]0;owned\x07[red]x[/red]\u202e"


def silent(draw, example) -> Act:
    return replace(solving(0.3)(draw, example), correct=0.0)


def truth(row) -> float:
    return float(row.answer in row.completion[-1].text)


def as_text(draw, example) -> Act:
    return Act(correct=0.0, unparsed=True, calls=0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("parity")
    record(path / "eval", EVAL_ID, evaluation(plays=solving(0.3), details=True))
    record(path / "twin", TRAIN_ID, training(plays=solving(0.3)))
    record(path / "silent", TRAIN_ID, training(plays=silent))
    anew = record(path / "rescored", TRAIN_ID, training(plays=silent))
    rescore(anew, TRAIN_ID, truth)
    rescore(anew, TRAIN_ID, lambda row: 0.0, source="worker")
    calls = mixed([(0.96, as_text), (0.04, solving(0.3))])
    system = "Compute with tools."
    record(path / "unparsed", TRAIN_ID, training(plays=calls, details=True, system=system))
    within = evaluation(plays=solving(0.3), steps=(2, 6), groups=40)
    record(path / "both", TRAIN_ID, training(plays=silent), within)
    return path


@pytest.mark.parametrize("name", ["silent", "rescored", "unparsed", "twin"])
def test_the_page_stays_as_it_is(rlvr, snapshot, name):
    assert rlvr("parity", name, "eval")[1] == snapshot


def test_the_help_stays_as_it_is(rlvr, snapshot):
    assert rlvr("parity", "--help")[1] == snapshot


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["twin", "eval"], 0),
        (["silent", "eval"], 0),  # suspected, not measured
        (["rescored", "eval"], 1),
        (["unparsed", "eval"], 1),
        (["twin", "eval", "--component", "format"], 0),
        (["rescored", "eval", "--steps-a", "0:3"], 1),
        (["both"], 0),
        (["rescored", "twin"], 1),
        (["eval"], 2),
        (["twin"], 2),
        (["twin", "nowhere"], 2),
        (["nowhere", "eval"], 2),
        (["twin", "eval", "--mode-b", "train"], 2),
        (["twin", "eval", "--mode-b", "both"], 2),
        (["twin", "eval", "--steps-a", "50:60"], 2),
        (["twin", "eval", "--steps-a", "6:2"], 2),
        (["twin", "eval", "--steps-a", "x"], 2),
        (["twin", "eval", "--component", "nonsense"], 2),
        ([], 2),
    ],
)
def test_the_exit_code_says_whether_a_measured_cause_explains_a_gap(rlvr, arguments, code):
    got, out, err = rlvr("parity", *arguments)
    assert got == code, err
    assert "Traceback" not in err
    assert bool(out) == (code != 2)


def test_the_document_holds_what_the_page_says(rlvr):
    code, out, err = rlvr("parity", "rescored", "eval", "--json")
    found = json.loads(out)
    assert (code, err) == (1, "")
    assert (found["version"], found["kind"], found["explained"]) == (1, "parity", True)
    account = found["account"]
    assert account["real"]
    total = sum(line["points"]["value"] for line in account["lines"])
    assert total == pytest.approx(account["gap"]["value"])
    assert found["total"]["measure"] == "reward"
    first = found["differences"][0]
    assert (first["code"], first["standing"]) == ("scoring", "explains")
    assert first["examples"][0]["command"].startswith("rlvr show rescored train-s0")
    assert {rate["code"] for rate in found["rates"]} >= {"calling", "unparsed-calls", "turns"}
    assert found["a"]["chosen"] == "those within 10 steps of the evaluated weights"


def test_every_command_of_the_page_can_be_pasted(rlvr):
    out = rlvr("parity", "unparsed", "eval")[1]
    commands = [shlex.split(line, comments=True) for line in out.splitlines() if "  rlvr " in line]
    shown = [command for command in commands if command[1] == "show"]
    assert len(shown) >= 4
    for _, *arguments in shown:
        code, text, err = rlvr(*arguments)
        assert code == 0, (arguments, err)
        assert text


def test_tokens_are_read_from_disk_and_their_first_difference_shown(rlvr):
    out = rlvr("parity", "unparsed", "eval")[1]
    assert "token 3 of 6 in A and 6 in B" in out
    assert "Compute with⟦ tools⟧" in out
    assert "Compute with⟦ python⟧" in out


def test_one_run_alone_is_its_training_beside_its_last_evaluation(rlvr):
    found = json.loads(rlvr("parity", "both", "--json")[1])
    assert (found["a"]["mode"], found["b"]["mode"]) == ("train", "eval")
    assert found["b"]["steps"] == [6]
    assert found["a"]["run"] == found["b"]["run"]
    assert not [d for d in found["differences"] if d["code"].startswith(("packages", "model"))]
    chosen = json.loads(rlvr("parity", "both", "--steps-b", "2", "--json")[1])
    assert chosen["b"]["steps"] == [2]


def test_sides_swapped_swap_the_sign(rlvr):
    one = json.loads(rlvr("parity", "rescored", "eval", "--json")[1])
    other = json.loads(rlvr("parity", "eval", "rescored", "--json")[1])
    assert one["account"]["gap"]["value"] == pytest.approx(-other["account"]["gap"]["value"])
    lines = [
        {line["code"]: line["points"]["value"] for line in found["account"]["lines"]}
        for found in (one, other)
    ]
    assert lines[0]["scoring"] == pytest.approx(-lines[1]["scoring"])
    assert other["differences"][0]["code"] == "scoring"


def test_a_damaged_file_is_left_out_and_named(rlvr, tmp_path):
    path = record(tmp_path / "torn", TRAIN_ID, training(plays=silent)) / "trajectories" / "L0"
    torn = sorted(path.iterdir())[2]
    torn.write_bytes(torn.read_bytes()[:100])
    code, out, _ = rlvr("parity", tmp_path / "torn", "eval")
    assert code == 0
    assert torn.name in out
    assert "448 rollouts" in out


def test_of_two_trainings_the_steps_that_both_have_are_read_and_no_others(rlvr, tmp_path):
    record(tmp_path / "other", EVAL_ID, training(plays=solving(0.3), steps=(1, 6, 40)))
    found = json.loads(rlvr("parity", "twin", tmp_path / "other", "--json")[1])
    for side in ("a", "b"):
        assert found[side]["steps"] == [1, 6]
        assert found[side]["rollouts"] == 128


def test_rows_that_a_restart_undid_are_left_out(rlvr, tmp_path):
    made = training(plays=solving(1.0))
    record(tmp_path / "resumed", TRAIN_ID, made)
    with Recorder.open(tmp_path / "resumed", run=TRAIN_ID, first_step=2):
        pass
    found = json.loads(rlvr("parity", tmp_path / "resumed", "eval", "--json")[1])
    assert found["a"]["steps"] == [0, 1]


def test_a_run_that_is_being_written_is_read_and_said_to_grow(rlvr, tmp_path):
    made = training(plays=solving(0.3))
    first = record(tmp_path / "whole", TRAIN_ID, made)
    with Recorder.open(tmp_path / "growing", run=TRAIN_ID):
        growing = tmp_path / "growing" / "rlvr" / TRAIN_ID
        shutil.copytree(first / "trajectories", growing / "trajectories", dirs_exist_ok=True)
        shutil.copy(first / "run.json", growing / "run.json")
        out = rlvr("parity", tmp_path / "growing", "eval")[1]
    assert "A: it is still being written" in out


def test_pruned_messages_leave_numbers_and_an_unknown_prompt(rlvr, tmp_path):
    record(tmp_path / "pruned", TRAIN_ID, training(plays=silent, details=True))
    rlvr("prune", tmp_path / "pruned", "--max-size", "1KB", "--yes")
    found = json.loads(rlvr("parity", tmp_path / "pruned", "eval", "--json")[1])
    assert found["account"]["gap"]["value"] > 0.2
    assert any(one["code"] == "prompt" for one in found["unknown"])
    assert any("pruned" in remark for remark in found["remarks"])


def test_reading_much_is_said_on_standard_error_alone(rlvr, monkeypatch):
    monkeypatch.setattr(opening, "MANY", 400)
    _, _, err = rlvr("parity", "twin", "eval")
    assert err == f"rlvr: reading 512 rollouts of {TRAIN_ID}\n"


def test_the_page_is_inert_whatever_the_runs_hold():
    def evil(row):
        return replace(row, stop_reason=EVIL, prompt=(replace(row.prompt[0], content=EVIL),))

    changes = {"model": EVIL, "packages": {EVIL: "1"}, "sampling": {EVIL: 1}, "dataset": EVIL}
    a = side_of("A", training(plays=solving(0.1), edit=evil, changes=changes))
    b = side_of("B", evaluation(plays=solving(0.9), changes={"packages": {EVIL: "2"}}))
    parity = compare(replace(a, called=f"'{EVIL}'", remarks=(EVIL,)), b)
    console = Console(width=2_000, color_system=None, markup=False, emoji=False, highlight=False)
    with console.capture() as capture:
        console.print(parity_view(parity), soft_wrap=True, crop=False)
    out = capture.get()
    assert not set("\x1b\x07\u202e") & set(out)
    assert "[red]x[/red]" in out
    assert not set("\x1b\x07\u202e") & set(document("parity", **parity_values(parity)))


def test_long_texts_are_cut_on_the_page_and_whole_in_the_document(rlvr, tmp_path):
    prompt = "Think. " * 5_000
    made = training(plays=solving(0.1), changes={"system_prompt": prompt})
    record(tmp_path / "long", TRAIN_ID, made)
    assert len(rlvr("parity", tmp_path / "long", "eval")[1]) < 15_000
    found = json.loads(rlvr("parity", tmp_path / "long", "eval", "--json")[1])
    shown = next(one for one in found["differences"] if one["code"] == "system-prompt")
    assert shown["a"] == prompt


def test_the_api_takes_paths_and_names_the_cause(folder):
    parity = compare_runs(folder / "rescored", folder / "eval")
    assert parity.explained
    assert parity.a.called == str(folder / "rescored" / "rlvr" / TRAIN_ID)
    assert parity.a.mode == Mode.TRAIN
