"""Rollouts through the environment, answered by a script, up to the record that is kept."""

import asyncio
import json

import pytest

import trainings
from rlvr.capture.trajectories import BatchPlace, build_trajectories
from rlvr.capture.verifiers import ViewSettings, recording_view
from rlvr.environments.math_python.core.rewards import WEIGHTS
from rlvr.environments.math_python.core.tool import read_result
from rlvr.environments.math_python.verifiers import GRADE_KEY, load_environment
from rlvr.errors import ConfigurationError
from rlvr.inference.scripted import Reply, ScriptedClient, call
from rlvr.record import Mode, ScoreStatus, ToolCall

pytestmark = pytest.mark.train

PROBLEMS = [
    {"id": f"p{n}", "question": f"What is {n} + 1?", "answer": str(n + 1), "level": n}
    for n in range(4)
]


@pytest.fixture(scope="module")
def env(tmp_path_factory):
    """One environment for all: it owns the sandbox and the scorer's processes."""
    file = tmp_path_factory.mktemp("math") / "problems.jsonl"
    file.write_text("\n".join(map(json.dumps, PROBLEMS)))
    loaded = load_environment(
        f"{file},,train", max_turns=4, tool_limit_s=2.0, tool_characters=200, scorer_limit_s=1.5
    )
    yield loaded
    loaded.close()


def python(code, *, id="call-0"):
    return call("python", json.dumps({"code": code}), id=id)


def roll(env, script):
    """Roll the problems out under a recording view; the records, in order."""
    view = recording_view(env, ViewSettings(sampled_tokens=False))
    asyncio.run(
        view.a_generate(
            env.get_dataset(), client=ScriptedClient(script), model="m", sampling_args={}
        )
    )
    place = BatchPlace(run="r", mode=Mode.TRAIN, step=0, batch=0, attempt=1)
    return build_trajectories(view.take_batch(), place, group_size=1)


def values(record):
    return {component.name: component.value for component in record.components}


def test_a_rollout_from_problem_to_reward(env):
    records = roll(env, [python("print(0 + 1)"), Reply(content=r"It is \boxed{1}.")])
    assert [message.role for message in records[0].completion] == ["assistant", "tool", "assistant"]
    assert records[0].completion[1].content == "1"
    assert values(records[0]) == {
        "correct": 1.0,
        "format": 1.0,
        "tool_use": 1.0,
        "answer_parsed": 1.0,
        "scorer_failed": 0.0,
        "tool_calls": 1.0,
        "tool_errors": 0.0,
    }
    assert [record.reward for record in records] == pytest.approx([1.0, 0.2, 0.2, 0.2])
    assert {c.name: c.weight for c in records[0].components} == WEIGHTS
    assert records[0].example_id == "p0"


def test_the_record_keeps_what_the_tool_returned_raw(env):
    code = "import sys\nprint('x' * 5000)\nprint('warned', file=sys.stderr)\nsys.exit(3)"
    record = roll(env, [python(code), Reply(content="?")])[0]
    (result,) = record.tool_results
    kept = read_result(result.result)
    assert kept.stdout.text == "x" * 5000 + "\n"
    assert kept.stderr.text == "warned\n"
    assert (kept.exit_status, kept.truncated, kept.timed_out) == (3, False, False)
    assert 0 < result.duration_s < 20
    assert result.result.startswith("Error: exit status 3\n{")  # what the diagnosis looks for
    shown = record.completion[1].content
    assert shown.startswith("Error: exit status 3\nxxx")
    assert "[... 4807 characters left out ...]" in shown
    assert values(record)["tool_errors"] == 1.0
    assert values(record)["tool_use"] == 0.0


def test_a_call_that_never_ends_is_stopped_and_the_model_is_told(env):
    record = roll(env, [python("while True: pass"), Reply(content="?")])[0]
    assert record.completion[1].content == "Error: stopped after 2 seconds"
    kept = read_result(record.tool_results[0].result)
    assert kept.timed_out
    assert kept.signal == "SIGKILL"


def test_four_outcomes_of_scoring_stand_beside_right_in_the_record(env):
    answers = {"p0": r"\boxed{1}", "p1": r"\boxed{1}", "p2": r"\boxed{\frac{1}{}"}
    answers["p3"] = r"\boxed{10^{10^{10}}}"
    by_question = {row["question"]: answers[row["id"]] for row in PROBLEMS}

    def say(request):
        return Reply(content=by_question[request.messages[1]["content"]])

    right, wrong, unparsable, timeout = roll(env, say)
    told = [
        (record.component("correct").status, *map(values(record).get, ("correct", "answer_parsed")))
        for record in (right, wrong, unparsable, timeout)
    ]
    assert told == [
        (ScoreStatus.OK, 1.0, 1.0),
        (ScoreStatus.OK, 0.0, 1.0),
        (ScoreStatus.OK, 0.0, 0.0),
        (ScoreStatus.TIMEOUT, None, 0.0),
    ]
    assert "no result within 1.5 s" in timeout.component("correct").error
    assert values(timeout)["scorer_failed"] == 1.0


def test_an_exception_of_the_scorer_is_an_error_in_the_record(env):
    async def score():
        state = {"timing": {"scoring_ms": 0.0, "total_ms": 0.0}}
        completion = [{"role": "assistant", "content": r"\boxed{1}"}]
        rubric = recording_view(env, ViewSettings()).rubric
        result = await rubric.score_rollout(
            prompt=[], completion=completion, answer="", state=state, info={}
        )
        return result, state

    result, state = asyncio.run(score())
    assert result.metrics["correct"] == 0.0
    assert result.metrics["scorer_failed"] == 1.0
    assert state[GRADE_KEY]["outcome"] == "error"
    assert "the gold answer '' does not parse" in state[GRADE_KEY]["reason"]
    json.dumps(state)


@pytest.mark.parametrize(
    ("written", "name", "shown"),
    [
        ("{oops", "python", "Error: the arguments are not valid JSON"),
        ('{"program": "1"}', "python", "Error: the arguments have no text under code"),
        ('{"code": "1"}', "bash", "Error: there is no tool 'bash'; call python"),
    ],
)
def test_a_call_that_can_not_be_run_is_answered(written, name, shown, env):
    messages = [
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"id": "c", "function": {"name": name, "arguments": written}}],
        }
    ]
    answers, _ = asyncio.run(env.env_response(messages, {}))
    assert answers[0]["content"].startswith(shown)
    assert answers[0]["tool_call_id"] == "c"


def test_several_calls_in_one_message_are_answered_in_order(env):
    calls = tuple(
        ToolCall(id=f"c{n}", name="python", arguments=json.dumps({"code": f"print({n})"}))
        for n in range(3)
    )
    record = roll(env, [Reply(tool_calls=calls), Reply(content="?")])[0]
    assert [(m.tool_call_id, m.content) for m in record.completion[1:4]] == [
        ("c0", "0"),
        ("c1", "1"),
        ("c2", "2"),
    ]


def test_a_rollout_ends_after_max_turns(env):
    record = roll(env, [python("print(1)")] * 9)[0]
    assert record.stop_reason == "max_turns"
    assert values(record)["tool_calls"] == 3.0


def test_the_model_sees_a_schema_of_one_argument(env):
    (tool,) = env.oai_tools
    assert tool["function"]["name"] == "python"
    assert list(tool["function"]["parameters"]["properties"]) == ["code"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prompt_style": "long"}, "use full or brief"),
        ({"max_turns": 0}, "max_turns is 0"),
        ({"tool_characters": 0}, "tool_characters is 0"),
        ({"tool_limit_s": 0}, "wall_s is 0"),
        ({"sandbox": "none"}, "use bubblewrap, or none-i-accept-the-risk"),
        ({"datasets": "nowhere"}, "write path,name,split"),
        ({"max_level": 0}, "raise max_level"),
    ],
)
def test_an_option_that_can_not_work_is_refused_at_once(options, message):
    with pytest.raises(ConfigurationError, match=message):
        load_environment(**options)


def test_a_training_records_the_tool_and_the_score(tmp_path):
    environment = load_environment(
        "synthetic,seed-5,train[:8]", eval_datasets="synthetic,seed-5,test[:2]",
        prompt_style="brief", sandbox="none-i-accept-the-risk", tool_limit_s=20,
    )  # fmt: skip

    def say(prompt):
        if "print(3 + 4)" in prompt:
            return r"It is \boxed{7}."
        return (
            '<tool_call>\n{"name": "python", "arguments": {"code": "print(3 + 4)"}}\n</tool_call>'
        )

    done = trainings.train(tmp_path, environment=environment, say=say, max_tokens=160)
    environment.close()
    records = list(done.run.trajectories())
    assert len(records) == 8
    for record in records:
        assert record.completion[1].content == "7"
        assert read_result(record.tool_results[0].result).exit_status == 0
        assert record.component("correct").status is ScoreStatus.OK
        expected = 1.0 if record.answer == "7" else 0.2
        assert record.reward == pytest.approx(expected)
    assert done.run.info.dataset == "synthetic,seed-5,train[:8]"
