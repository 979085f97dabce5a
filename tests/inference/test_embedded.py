"""Embedded inference: what it samples, how it batches, and that it follows the policy."""

import asyncio
import copy

import pytest
import torch
from openai import BadRequestError
from peft import LoraConfig, get_peft_model

from rlvr.errors import ConfigurationError, InferenceError
from rlvr.inference.embedded import EmbeddedEngine
from rlvr.inference.spoken import SpokenEngine
from rlvr.inference.tool_calls import parse_tool_calls
from trainings import demo_policy, echo_environment, tiny_policy, train

pytestmark = pytest.mark.train
USER = [{"role": "user", "content": "What is the capital of Orl?"}]


class Counting(EmbeddedEngine):
    """Keeps the size of each generate call."""

    __slots__ = ("calls",)

    def generate(self, requests):
        self.calls = [*getattr(self, "calls", []), len(requests)]
        return EmbeddedEngine.generate(self, requests)


def engine(kind=EmbeddedEngine, *, policy=None, max_model_len=128, **options):
    model, tokenizer = policy or tiny_policy()
    made = kind(model, tokenizer, max_model_len=max_model_len, **options)
    for name, weight in model.named_parameters():
        made.update_named_param(name, weight.data)
    return made


def ask(engine, *requests):
    """The answers to requests that are made at once, through one client."""

    async def all_of_them():
        client = engine.client()
        return await asyncio.gather(
            *(client.chat.completions.create(model="m", **request) for request in requests)
        )

    return asyncio.run(all_of_them())


def request(**options):
    return {"messages": USER, "temperature": 1.0, "max_tokens": 8, "logprobs": True, **options}


def logprobs(completion):
    return [entry.logprob for entry in completion.choices[0].logprobs.content]


def test_requests_that_are_made_at_once_share_a_generate_call():
    counting = engine(Counting)
    answers = ask(counting, *[request() for _ in range(12)])
    assert counting.calls == [12]
    assert len({tuple(answer.choices[0].token_ids) for answer in answers}) > 1
    assert len({answer.id for answer in answers}) == 12


def test_a_request_that_comes_a_moment_later_still_shares_the_call():
    counting = engine(Counting)

    async def later(client, ticks):
        for _ in range(ticks):
            await asyncio.sleep(0)
        await client.chat.completions.create(model="m", **request())

    async def all_of_them():
        client = counting.client()
        await asyncio.gather(*(later(client, ticks) for ticks in range(6)))

    asyncio.run(all_of_them())
    assert counting.calls == [6]


def test_a_batch_is_cut_to_the_rows_that_fit(monkeypatch):
    small = engine(max_batch=5)
    sizes = []
    generate = small._replica.generate
    small._replica.generate = lambda **inputs: (
        sizes.append(len(inputs["input_ids"])),
        generate(**inputs),
    )[1]
    assert len(ask(small, *[request() for _ in range(12)])) == 12
    assert sizes == [5, 5, 2]


@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_ids_and_logprobs_are_those_of_the_model(temperature):
    model, tokenizer = policy = demo_policy()
    long = [{"role": "user", "content": "Say 1. " * 9}]
    answers = ask(
        engine(policy=policy),
        *[request(temperature=temperature, messages=m) for m in (USER, long, USER)],
    )
    for answer, messages in zip(answers, (USER, long, USER), strict=True):
        prompt = tokenizer.apply_chat_template(
            messages, add_generation_prompt=True, return_dict=False
        )
        assert answer.prompt_token_ids == prompt
        sampled = answer.choices[0].token_ids
        ids = torch.tensor([prompt + sampled])
        with torch.no_grad():
            scores = (model.eval()(ids).logits[0] / temperature).log_softmax(-1)
        expected = scores[torch.arange(len(prompt) - 1, ids.shape[1] - 1), torch.tensor(sampled)]
        assert torch.allclose(torch.tensor(logprobs(answer)), expected, atol=1e-4)
        assert answer.usage.completion_tokens == len(sampled)
        assert [entry.token for entry in answer.choices[0].logprobs.content] == [
            f"token_id:{token}" for token in sampled
        ]


def test_temperature_0_takes_the_likeliest_token_always():
    model, _ = policy = tiny_policy()
    answers = ask(engine(policy=policy), *[request(temperature=0.0) for _ in range(3)])
    sampled = [answer.choices[0].token_ids for answer in answers]
    assert sampled[0] == sampled[1] == sampled[2]
    ids = torch.tensor([answers[0].prompt_token_ids])
    with torch.no_grad():
        assert model.eval()(ids).logits[0, -1].argmax().item() == sampled[0][0]


def test_requests_of_one_batch_keep_their_own_limits_and_temperatures():
    limits = [3, 9, 5, None, 3]
    answers = ask(
        engine(max_model_len=64),
        *[request(max_tokens=n, temperature=i % 2 / 2) for i, n in enumerate(limits)],
    )
    prompt = answers[0].usage.prompt_tokens
    for answer, limit in zip(answers, limits, strict=True):
        assert answer.usage.completion_tokens <= (limit or 64 - prompt)
        cut = answer.usage.completion_tokens == (limit or 64 - prompt)
        assert (answer.choices[0].finish_reason == "length") is cut
    assert answers[0].choices[0].token_ids == answers[4].choices[0].token_ids


def test_a_long_neighbour_does_not_shorten_an_answer():
    long = [{"role": "user", "content": "Say 1. " * 20}]
    speaking = engine(max_model_len=100)
    answers = ask(
        speaking, *[request(messages=m, max_tokens=20, temperature=0.0) for m in (USER, long)]
    )
    (alone,) = ask(speaking, request(max_tokens=20, temperature=0.0))
    assert answers[1].usage.prompt_tokens > 80
    assert answers[0].choices[0].token_ids == alone.choices[0].token_ids
    assert answers[1].usage.total_tokens <= 100


def test_a_prompt_beyond_the_context_is_refused_as_vllm_refuses_it():
    with pytest.raises(BadRequestError) as refusal:
        ask(engine(max_model_len=16), request())
    assert refusal.value.response.text.startswith(
        '{"error":{"message":"This model\'s maximum context length is 16 tokens'
    )


def test_a_prompt_that_grew_too_long_is_recorded_as_such(tmp_path):
    import verifiers as vf

    class Chatty(vf.MultiTurnEnv):
        async def env_response(self, messages, state, **_):
            return [{"role": "user", "content": "Say 1. " * 30}], state

    environment = Chatty(
        max_turns=5, dataset=echo_environment().dataset, rubric=vf.Rubric(funcs=[lambda: 1.0])
    )
    run = train(tmp_path, environment=environment, max_seq_len=128, max_prompt_length=100).run
    for trajectory in run.trajectories():
        assert trajectory.stop_reason == "prompt_too_long"
        assert len(trajectory.turns) == 1
        assert [m.role for m in trajectory.completion] == ["assistant", "user"]
        assert trajectory.evidence.ids_match


@pytest.mark.parametrize("option", [{"presence_penalty": 1.0}, {"stop": ["x"]}, {"n": 2}])
def test_what_it_can_not_do_is_refused(option):
    with pytest.raises(ConfigurationError, match="embedded inference"):
        ask(engine(), request(**option))


def test_a_failure_of_the_model_reaches_every_request():
    broken = engine()
    broken._replica = None
    with pytest.raises(AttributeError):
        ask(broken, request(), request())


def test_the_replica_follows_the_policy():
    model, tokenizer = policy = tiny_policy()
    following = engine(policy=policy)
    (before,) = ask(following, request(temperature=0.0))
    other = tiny_policy(seed=3)[0]
    for name, weight in other.named_parameters():
        following.update_named_param(name, weight.data)
    (after,) = ask(following, request(temperature=0.0))
    (expected,) = ask(engine(policy=(other, tokenizer)), request(temperature=0.0))
    assert after.choices[0].token_ids == expected.choices[0].token_ids
    assert after.choices[0].token_ids != before.choices[0].token_ids
    model_weights = tiny_policy()[0].state_dict()
    assert all(torch.equal(w, model_weights[n]) for n, w in model.state_dict().items())


def test_a_parameter_that_the_replica_lacks_is_refused():
    with pytest.raises(InferenceError, match="no parameter 'extra'"):
        engine().update_named_param("extra", torch.zeros(1))


def test_building_a_replica_leaves_the_random_state_alone():
    policy = tiny_policy()
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    engine(policy=policy)
    assert torch.equal(before, torch.random.get_rng_state())


def test_a_lora_policy_trains_and_is_sampled_with_its_merged_weights(tmp_path):
    model, tokenizer = tiny_policy()
    lora = LoraConfig(r=4, lora_alpha=64, target_modules=["q_proj"], init_lora_weights=False)
    policy = get_peft_model(model, lora), tokenizer
    training = train(tmp_path, policy=policy, max_steps=2, learning_rate=1e-2, max_tokens=8)
    gaps = [t.evidence.gap_mean for t in training.run.trajectories()]
    assert max(gaps) < 1e-4
    replica = training.trainer.vllm_client._replica.state_dict()
    adapted = copy.deepcopy(training.trainer.model)
    adapted.merge_adapter()
    merged = adapted.get_base_model().state_dict()
    name = "model.layers.0.self_attn.q_proj"
    untrained = tiny_policy()[0].state_dict()
    assert not torch.equal(replica[f"{name}.weight"], untrained[f"{name}.weight"])
    assert {t.turns[0].policy_version for t in training.run.trajectories(step=1)} == {1}
    training.trainer._move_model_to_vllm()
    replica = training.trainer.vllm_client._replica.state_dict()
    assert torch.allclose(replica[f"{name}.weight"], merged[f"{name}.base_layer.weight"], atol=1e-6)


CALL = '<tool_call>\n{"name": "look",  "arguments": {"key":  "\\u00e9"}}\n</tool_call>'
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"properties": {"key": {}}}}}


def spoken(text, **options):
    (answer,) = ask(
        engine(SpokenEngine, say=lambda _: text, max_model_len=512),
        request(max_tokens=300, **options),
    )
    return answer.choices[0]


def test_tool_calls_are_parsed_and_kept_as_written():
    choice = spoken(f"Look.\n{CALL}\n{CALL}", tools=[TOOL])
    assert choice.finish_reason == "tool_calls"
    assert choice.message.content == "Look.\n"
    calls = choice.message.tool_calls
    assert [call.function.name for call in calls] == ["look", "look"]
    assert calls[0].function.arguments == '{"key":  "\\u00e9"}'
    assert calls[0].id != calls[1].id


def test_without_tools_a_call_is_text():
    choice = spoken(CALL)
    assert (choice.finish_reason, choice.message.tool_calls) == ("stop", None)
    assert choice.message.content == CALL


@pytest.mark.parametrize(
    ("written", "name", "arguments"),
    [
        ('{"name": "look", "arguments": {"key": oops}}', "look", None),
        ('{"name": "look"', "look", None),
        ("no JSON at all", "", None),
        ('["look"]', "", None),
        ('{"name": "look", "arguments": "plain"}', "look", "plain"),
        ('{"name": "look", "parameters": {"a": 1.50}}', "look", '{"a": 1.50}'),
        ('{"name": "look"}', "look", "{}"),
    ],
)
def test_a_call_keeps_its_text_whether_it_parses_or_not(written, name, arguments):
    content, (call,) = parse_tool_calls(f"a<tool_call>{written}</tool_call>b")
    assert content == "a"
    assert (call.name, call.arguments) == (name, written if arguments is None else arguments)
    assert call.sound is (arguments is not None)


def test_a_call_that_the_limit_cut_is_kept():
    _, (call,) = parse_tool_calls('<tool_call>{"name": "look", "argu')
    assert (call.name, call.arguments, call.sound) == ("look", '{"name": "look", "argu', False)


def test_a_tokenizer_without_an_end_of_turn_is_refused():
    model, tokenizer = tiny_policy()
    tokenizer.eos_token = None
    with pytest.raises(ConfigurationError, match="eos_token"):
        engine(policy=(model, tokenizer))
