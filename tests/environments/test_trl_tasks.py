"""One definition of each environment, under both trainers: prompts, tool results and rewards."""

import asyncio
import json

import pytest
from transformers import AutoTokenizer

from rlvr.demo.policy import bundled_checkpoint, load_policy
from rlvr.environments.math_python import trl as math_trl
from rlvr.environments.math_python import verifiers as math_verifiers
from rlvr.environments.musique import trl as musique_trl
from rlvr.environments.musique import verifiers as musique_verifiers
from rlvr.errors import ConfigurationError
from rlvr.inference.embedded import EmbeddedEngine
from rlvr.trainers.trl_options import fitting_prompts
from rlvr.trainers.trl_tokenizer import tokenizer_for_tools

pytestmark = pytest.mark.train

OPTIONS = {"prompt_style": "brief", "max_turns": 4}
MUSIQUE = "synthetic,seed-5,train[:6]"
MATH = "synthetic,seed-5,train[:20]"


@pytest.fixture(scope="module")
def musique():
    """The environment for verifiers, and the task for TRL."""
    return (
        musique_verifiers.load_environment(MUSIQUE, **OPTIONS),
        musique_trl.load_task(MUSIQUE, **OPTIONS),
    )


@pytest.fixture(scope="module")
def mathematics():
    own = OPTIONS | {"max_level": 1}
    environment = math_verifiers.load_environment(MATH, **own)
    yield environment, math_trl.load_task(MATH, **own)
    environment.close()


def conversation(name, argument, value, result, answer):
    call = {"name": name, "arguments": json.dumps({argument: value})}
    return [
        {
            "role": "assistant",
            "content": "<think>I look.</think>",
            "tool_calls": [{"id": "c", "type": "function", "function": call}],
        },
        {"role": "tool", "content": result, "tool_call_id": "c"},
        {"role": "assistant", "content": answer},
    ]


def scored_by_verifiers(environment, row, completion):
    state = {"timing": {"scoring_ms": 0.0, "total_ms": 0.0}}
    score = asyncio.run(
        environment.rubric.score_rollout(
            prompt=row["prompt"], completion=completion, answer=row["answer"], state=state,
            task=row["task"], info=row["info"],
        )
    )  # fmt: skip
    return score.metrics, score.reward


def scored_by_trl(task, row, completion):
    values = {
        function.__name__: function(prompts=[row["prompt"]], completions=[completion], **columns)[0]
        for columns in [{name: [row[name]] for name in row if name != "prompt"}]
        for function in task.reward_funcs
    }
    weights = dict(zip(values, task.reward_weights, strict=True))
    return values, sum(weights[name] * value for name, value in values.items())


@pytest.mark.parametrize("answer", ["right", "wrong", "none"])
def test_musique_scores_a_completion_alike(musique, answer):
    environment, task = musique
    row = task.dataset[0]
    said = {"right": row["answer"], "wrong": "x"}.get(answer)
    tool = task.environment_factory()
    tool.reset(**row)
    result = tool.retrieve(row["question"])
    text = f"<think>a</think><cite>1</cite><answer>{said}</answer>" if said else "I give up."
    completion = conversation("retrieve", "query", row["question"], result, text)
    values, reward = scored_by_verifiers(environment, row, completion)
    assert scored_by_trl(task, row, completion) == (values, pytest.approx(reward))
    assert values["exact_match"] == float(answer == "right")


@pytest.mark.parametrize("answer", ["right", "wrong", "none"])
def test_math_scores_a_completion_alike(mathematics, answer):
    environment, task = mathematics
    row = task.dataset[0]
    said = {"right": row["answer"], "wrong": "-12345"}.get(answer)
    text = rf"It is \boxed{{{said}}}." if said else "I give up."
    completion = conversation("python", "code", "print(1)", "1", text)
    values, reward = scored_by_verifiers(environment, row, completion)
    assert scored_by_trl(task, row, completion) == (values, pytest.approx(reward))
    assert values["correct"] == float(answer == "right")


def test_a_scorer_that_fails_gives_no_value_under_trl(mathematics):
    _, task = mathematics
    unreadable = {"answer": ""}
    completion = [{"role": "assistant", "content": r"\boxed{1}"}]
    values = {
        function.__name__: function(completions=[completion], info=[unreadable])[0]
        for function in task.reward_funcs
    }
    assert values["correct"] is None  # left out of the total, and no zero
    assert values["scorer_failed"] == 1.0


def test_musique_s_tool_answers_alike_and_knows_what_it_showed():
    golden = {"retriever": "golden", **OPTIONS}
    environment = musique_verifiers.load_environment(MUSIQUE, **golden)
    task = musique_trl.load_task(MUSIQUE, **golden)
    row = task.dataset[0]
    tool = task.environment_factory()
    for _ in range(2):  # the second rollout starts afresh
        tool.reset(**row)
        shown, answers = [], []
        for _ in range(3):
            answers.append(tool.retrieve("x"))
            state = {"info": row["info"]}
            hidden = environment.update_tool_args("retrieve", {"query": "x"}, shown, state)
            expected = asyncio.run(environment.retrieve(**hidden))
            shown.append({"role": "tool", "content": expected})
            assert answers[-1] == expected
        assert answers[0] != answers[1]
        assert answers[2] == "There is no further supporting document."


@pytest.mark.parametrize("code", ["print(6 * 7)", "1 / 0", "x = 1", "print('a' * 5000)"])
def test_math_s_tool_answers_alike(mathematics, code):
    environment, task = mathematics
    tool = task.environment_factory()
    tool.reset(**task.dataset[0])
    call = {"id": "c", "function": {"name": "python", "arguments": json.dumps({"code": code})}}
    answers, _ = asyncio.run(environment.env_response([{"tool_calls": [call]}], {}))
    assert tool.python(code) == answers[0]["content"]


@pytest.mark.parametrize("name", ["musique", "math_python"])
def test_the_prompt_is_the_one_that_sampling_under_verifiers_serves(name, request):
    environment, task = request.getfixturevalue(
        {"musique": "musique", "math_python": "mathematics"}[name]
    )
    model, tokenizer = load_policy(bundled_checkpoint(name))
    engine = EmbeddedEngine(model, tokenizer, max_model_len=512, replicate=False)
    adapted = tokenizer_for_tools(tokenizer, task.tool_schemas)
    tool = getattr(task.environment_factory(), {"musique": "retrieve"}.get(name, "python"))
    for row in list(task.dataset)[:3]:
        served = engine.prompt_ids(row["prompt"], environment.oai_tools)
        shown = adapted.apply_chat_template(
            row["prompt"], tools=[tool], add_generation_prompt=True, return_dict=False
        )
        assert shown == served


def test_too_long_prompts_are_left_out_and_the_longest_is_known(mathematics):
    _, task = mathematics
    tokenizer = AutoTokenizer.from_pretrained(bundled_checkpoint("math_python"))
    kept, longest = fitting_prompts(task.dataset, tokenizer, task.tool_schemas, limit=10_000)
    assert len(kept) == len(task.dataset)
    fewer, below = fitting_prompts(task.dataset, tokenizer, task.tool_schemas, limit=longest - 1)
    assert 0 < len(fewer) < len(kept)
    assert below < longest
    with pytest.raises(ConfigurationError, match="raise --max-prompt-length"):
        fitting_prompts(task.dataset, tokenizer, task.tool_schemas, limit=3)


def test_the_library_s_own_rubric_is_for_verifiers_alone():
    with pytest.raises(ConfigurationError, match="train with verifiers"):
        math_trl.load_task(MATH, rewards="original", **OPTIONS)
