"""`scripts/reproduce_gap.py`: both gaps happen, and `rlvr parity` names their cause."""

import json
import os
import subprocess
from pathlib import Path

import pytest

import rlvr
from rlvr.record import Mode
from warm import warm_python

pytestmark = [pytest.mark.train, pytest.mark.slow]

ROOT = Path(__file__).parents[2]


def reproduce(verb, folder):
    done = subprocess.run(
        [warm_python(), "scripts/reproduce_gap.py", verb, "--output-dir", str(folder), "--json"],
        cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
        capture_output=True, text=True, timeout=280, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr[-3000:]
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def scorer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scorer")
    return folder, reproduce("scorer", folder)


@pytest.fixture(scope="module")
def parser(tmp_path_factory):
    folder = tmp_path_factory.mktemp("parser")
    return folder, reproduce("parser", folder)


def values(folder, mode, component):
    found = rlvr.open_run(folder).trajectories(mode=mode, tokens=False)
    return [row.component(component).value for row in found]


@pytest.mark.parametrize("verb", ["scorer", "parser"])
def test_the_same_weights_score_nothing_in_training_and_well_in_evaluation(verb, request):
    folder, told = request.getfixturevalue(verb)
    component = {"scorer": "correct_answer_reward_func", "parser": "correct"}[verb]
    trained = values(folder / "train", Mode.TRAIN, component)
    evaluated = values(folder / "eval", Mode.EVAL, component)
    assert len(trained) == 256
    # Without a tool the policy may still guess a number, and rarely a right one.
    assert sum(trained) <= {"scorer": 0, "parser": 4}[verb]
    assert sum(evaluated) / len(evaluated) > 0.15
    assert told["account"]["measure"] == component
    assert told["account"]["a"]["value"] == pytest.approx(sum(trained) / len(trained))
    assert told["account"]["b"]["value"] == pytest.approx(sum(evaluated) / len(evaluated))


def cause(told):
    """The difference that stands first, and the share of the gap that it explains."""
    first = told["differences"][0]
    return first["code"], first["standing"], first["share"]


def test_parity_names_the_scorer_that_fails_off_the_main_thread(scorer):
    folder, told = scorer
    code, standing, share = cause(told)
    assert (code, standing) == ("scoring", "explains")
    assert share > 0.6
    assert "off the main thread" in " ".join(told["headline"])
    others = [one for one in told["differences"][1:] if one["standing"] == "explains"]
    assert others == []
    # And every rollout that training scored 0 on the way can be looked up with its right score.
    notes = rlvr.open_run(folder / "train").annotations(kind="rescore")
    assert {note.source for note in notes} == {"main", "worker"}
    assert any(note.source == "main" and note.payload["agrees"] is False for note in notes)
    assert all(note.payload["agrees"] for note in notes if note.source == "worker")


def test_parity_names_the_calls_that_were_not_read(parser):
    _, told = parser
    code, standing, share = cause(told)
    assert (code, standing) == ("unparsed-calls", "explains")
    assert share > 0.5
    assert "left as text" in " ".join(told["headline"])


@pytest.mark.parametrize("verb", ["scorer", "parser"])
def test_the_lines_of_the_account_add_up_to_the_gap(verb, request):
    account = request.getfixturevalue(verb)[1]["account"]
    explained = sum(line["points"]["value"] for line in account["lines"])
    assert explained == pytest.approx(account["gap"]["value"], abs=1e-9)
    assert account["gap"]["value"] == pytest.approx(
        account["b"]["value"] - account["a"]["value"], abs=1e-9
    )
