"""The demo's sums: how they are demonstrated, and where reinforcement learning starts."""

import asyncio
import json
import random
from dataclasses import replace

import pytest
import torch

from rlvr.demo.imitation import encode
from rlvr.demo.math_python.demonstrations import CLEAN, demonstrate, problems
from rlvr.demo.math_python.task import MATH_PYTHON, SAMPLING, environment, measure
from rlvr.demo.measure import Measured
from rlvr.demo.policy import load_policy
from rlvr.demo.warm_start import WarmStartFailed, require_success
from rlvr.environments.math_python.core.loading import Selection, load_examples
from rlvr.environments.math_python.core.tool import ERROR, NOTHING

pytestmark = pytest.mark.train

MISTAKES = {
    "none": CLEAN,
    "broken JSON": replace(CLEAN, sound=0.0),
    "nothing printed": replace(CLEAN, prints=0.0),
    "an open bracket": replace(CLEAN, closed=0.0),
    "added": replace(CLEAN, operator=0.0),
    "the opposite": replace(CLEAN, sign=0.0),
    "no box": replace(CLEAN, box=0.0),
    "guessed": replace(CLEAN, tool=0.0),
}


@pytest.fixture(scope="module")
def env():
    """One environment for all: it owns the sandbox and the scorer's processes."""
    loaded = environment("synthetic,seed-0,validation[:100]")
    yield loaded
    loaded.close()


def dialogues(quality, *, count=6):
    chance = random.Random(0)
    for problem in problems(seed=11, count=count):
        yield problem, demonstrate(problem, quality=quality, chance=chance)


def split(messages):
    """Prompt and completion."""
    return messages[:2], messages[2:]


def score(env, problem, messages):
    """The environment's reward for a dialogue, and its components."""
    prompt, completion = split(messages)
    scored = env.rubric.score_rollout(
        prompt=prompt,
        completion=completion,
        answer=problem[1],
        state={"timing": {"total_ms": 0.0}},
        info={},
    )
    result = asyncio.run(scored)
    return result.reward, result.metrics


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_demonstration_shows_what_the_environment_shows(env, mistake):
    shown = set()
    for _, messages in dialogues(MISTAKES[mistake]):
        for place, message in enumerate(messages):
            if "tool_calls" not in message:
                continue
            (answer,), _ = asyncio.run(env.env_response(messages[: place + 1], {}))
            assert messages[place + 1]["content"] == answer["content"]
            shown.add(answer["content"])
    if mistake == "guessed":
        assert not shown
    elif mistake == "nothing printed":
        assert shown == {NOTHING}
    else:
        failed = mistake in ("broken JSON", "an open bracket")
        assert {text.startswith(ERROR) for text in shown} == {failed}


def test_a_clean_demonstration_earns_the_full_reward(env):
    for problem, messages in dialogues(CLEAN, count=20):
        reward, components = score(env, problem, messages)
        assert reward == pytest.approx(1.0)
        assert components["tool_calls"] == 1.0
        assert len(messages) == 5


@pytest.mark.parametrize(
    ("mistake", "worth"),
    [
        ("broken JSON", 0.1),
        ("nothing printed", 0.2),  # the call itself did not fail
        ("an open bracket", 0.1),
        ("added", 0.2),
        ("the opposite", 0.2),
        ("no box", 0.1),
        ("guessed", 0.1),
    ],
)
def test_a_mistake_costs_what_the_answer_is_worth(env, mistake, worth):
    for problem, messages in dialogues(MISTAKES[mistake]):
        assert score(env, problem, messages)[0] == pytest.approx(worth)


def test_every_problem_of_a_run_is_unseen_in_the_warm_start():
    warm = MATH_PYTHON.settings
    count = warm.clean_dialogues + warm.mixed_dialogues
    seen = {question for question, _ in problems(seed=0, count=count)}
    assert len(seen) == count
    level_1 = Selection(max_level=1)
    for seed in range(3):
        asked = load_examples(f"synthetic,seed-{seed},train[:3500]", level_1)
        assert not seen.intersection(example.question for example in asked)


def test_a_dialogue_is_short_enough_and_needs_no_byte_tokens():
    _, tokenizer = load_policy(name="math_python")
    for quality in MISTAKES.values():
        for _, messages in dialogues(quality, count=50):
            encoded = encode(tokenizer, messages, tool=MATH_PYTHON.tool)
            assert len(encoded.ids) <= SAMPLING.max_model_len
            pieces = [tokenizer.convert_ids_to_tokens(i) for i in encoded.ids if i < 256]
            letters = {piece for piece in pieces if piece.isalpha() and piece.isascii()}
            assert letters <= {"a"}  # a word by itself in "a whole program"


def test_the_calls_of_a_demonstration_are_written_as_a_model_writes_them():
    _, tokenizer = load_policy(name="math_python")
    _, messages = next(iter(dialogues(CLEAN)))
    code = json.loads(messages[2]["tool_calls"][0]["function"]["arguments"])["code"]
    text = tokenizer.apply_chat_template(messages, tools=[MATH_PYTHON.tool], tokenize=False)
    call = json.dumps({"name": "python", "arguments": {"code": code}})
    assert f"<tool_call>\n{call}\n</tool_call><|im_end|>" in text


@pytest.mark.slow
def test_the_checkpoint_is_right_now_and_then_and_often_guesses():
    torch.manual_seed(0)
    policy = load_policy(name="math_python")
    sampled = measure(*policy, datasets="synthetic,seed-9,train[:3500]")
    assert sampled.rollouts > 450
    assert 0.2 <= sampled.success <= 0.45
    assert 0.25 <= sampled.components["tool_use"] <= 0.55
    assert sampled.components["format"] >= 0.8
    require_success(MATH_PYTHON, sampled)


@pytest.mark.parametrize(
    ("components", "cause"),
    [
        ({"format": 0.3, "tool_use": 0.1}, "format is not learnt"),
        ({"format": 0.9, "tool_use": 0.1}, "tool is not learnt"),
        ({"format": 0.9, "tool_use": 0.4}, "copying numbers is not learnt"),
    ],
)
def test_the_gate_names_the_cause(components, cause):
    measured = Measured(
        rollouts=64, outcome="correct", reward=0.2, components={"correct": 0.1} | components
    )
    with pytest.raises(WarmStartFailed, match=cause):
        require_success(MATH_PYTHON, measured)
