"""Trainings on the chat templates that TRL ships for Qwen2.5, Qwen3 and Llama 3."""

import importlib.util
import sys
from pathlib import Path

import pytest

import rlvr
from rlvr.diagnosis import diagnose_run
from rlvr.errors import GenerationFailed
from rlvr.preflight.checks import preflight
from rlvr.record.check import CheckStatus

pytestmark = pytest.mark.train
BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "templates.py"


def benchmark():
    spec = importlib.util.spec_from_file_location("benchmark_of_templates", BENCHMARK)
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


bench = benchmark()
Thinking, Server = bench.Thinking, bench.Server
PATCHED = {"malformed call", "text after the call"}
EVERY = set(bench.DIALOGUES)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The recorded run of one step on a template, made when it is asked for."""
    made = {}

    def training(template, thinking, repairs="all"):
        key = template, thinking, repairs
        if key not in made:
            folder = tmp_path_factory.mktemp("run")
            bench.trainer(folder, template=template, thinking=thinking, repairs=repairs).train()
            made[key] = rlvr.open_run(folder)
        return made[key]

    return training


CASES = [
    # template, thinking, dialogues whose history restarts
    ("qwen2_5", Thinking.KEPT, PATCHED),
    ("qwen3", Thinking.KEPT, PATCHED),
    ("qwen3", Thinking.AGAIN, EVERY),
    ("qwen3", Thinking.SPLIT, EVERY),
    ("llama3_2", Thinking.NONE, PATCHED | {"text before the call"}),
]
each_case = pytest.mark.parametrize(("template", "thinking", "restarting"), CASES)


@each_case
def test_every_turn_keeps_its_loss(trained, template, thinking, restarting):
    for trajectory in trained(template, thinking).trajectories(tokens=True):
        assert bench.trained_once(trajectory)
        assert not trajectory.evidence.truncated
        assert trajectory.evidence.gap_mean < 1e-5


@each_case
def test_a_history_restarts_only_where_the_template_changes_it(
    trained, template, thinking, restarting
):
    names = list(bench.DIALOGUES)
    trajectories = list(trained(template, thinking).trajectories())
    found = {names[int(t.answer)] for t in trajectories if t.evidence.sequences > 1}
    assert found == restarting
    assert {names[int(t.answer)] for t in trajectories} == EVERY


@each_case
def test_the_tool_schemas_are_in_the_trained_prompt(trained, template, thinking, restarting):
    run = trained(template, thinking)
    vocabulary = run.vocabulary()
    for trajectory in run.trajectories(tokens=True):
        evidence = trajectory.evidence
        assert evidence.trained_prompt_tokens == evidence.served_prompt_tokens
        for sequence in trajectory.tokens.sequences:
            prompt = next(span for span in sequence.spans if span.role == "prompt")
            text = "".join(vocabulary[id] for id in sequence.ids[: prompt.stop])
            assert '"look"' in text
            assert "what to look up" in text


def test_thinking_that_a_template_drops_leaves_the_later_sequence(trained):
    run = trained("qwen3", Thinking.SPLIT)
    vocabulary = run.vocabulary()
    for trajectory in run.trajectories(tokens=True):
        texts = [
            "".join(vocabulary[id] for id in sequence.ids)
            for sequence in trajectory.tokens.sequences
        ]
        assert [text.count("Step ") for text in texts] == [1] * len(trajectory.turns)


def test_a_template_of_single_calls_ends_a_dialogue_with_an_error_and_not_the_training(trained):
    run = trained("llama3_2", Thinking.NONE)
    names = list(bench.DIALOGUES)
    by_name = {names[int(t.answer)]: t for t in run.trajectories()}
    refused = by_name.pop("two calls at once")
    assert refused.stop_reason == "error"
    assert len(refused.turns) == 1
    assert len(refused.tool_results) == 2
    (error,) = refused.errors
    assert (error.where, error.type) == ("generation", "BadRequestError")
    assert "only supports single tool-calls" in error.text
    assert not any(t.errors for t in by_name.values())
    assert {t.stop_reason for t in by_name.values()} == {"finished"}


DEFECTS = {"context-not-attended", "tokens-not-sampled", "sampler-trainer-gap"}


@pytest.mark.parametrize("template", ["qwen2_5", "qwen3"])
def test_the_library_as_it_ships_is_found_out_on_every_template(trained, template):
    # Without this one repair a call that does not parse ends the training.
    shipped = trained(template, Thinking.KEPT, repairs="generation_errors")
    repaired = trained(template, Thinking.KEPT)
    assert {finding.code for finding in diagnose_run(shipped).findings} >= DEFECTS
    assert not {finding.code for finding in diagnose_run(repaired).findings} & DEFECTS


def test_the_library_as_it_ships_can_not_tokenise_dialogues_of_llama_3(tmp_path):
    # It gives each message a list of calls, also an empty one, and the template wants one call.
    shipped = bench.trainer(
        tmp_path, template="llama3_2", thinking=Thinking.NONE, repairs="generation_errors"
    )
    with pytest.raises(GenerationFailed, match="single tool-calls"):
        shipped.train()
    assert len(list(rlvr.open_run(tmp_path).trajectories())) == 2 * len(EVERY)


@pytest.mark.parametrize(
    ("template", "thinking", "prefix"),
    [
        ("qwen3", Thinking.KEPT, CheckStatus.PASS),
        ("qwen3", Thinking.SPLIT, CheckStatus.FAIL),
    ],
)
def test_preflight_says_whether_the_template_keeps_histories(tmp_path, template, thinking, prefix):
    report = preflight(bench.trainer(tmp_path, template=template, thinking=thinking))
    checks = {check.name: check.status for check in report.checks}
    assert checks.pop("history keeps its tokens") is prefix
    asked = [
        checks[name]
        for name in (
            "training prompt is the served one",
            "training tokens are the sampled ones",
            "loss on sampled tokens alone",
            "trainer sees the prompt",
            "trainer sees tool results",
            "weights reach the sampler",
            "trainer agrees with sampler",
            "tool calls parsed",
        )
    ]
    assert CheckStatus.FAIL not in asked
    assert asked.count(CheckStatus.PASS) >= len(asked) - 1
