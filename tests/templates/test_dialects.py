"""What the embedded engine finds out about a chat template, and how it reads calls."""

import json

import pytest
from openai import BadRequestError
from trl import chat_template_utils

from rlvr.demo.policy import new_policy
from rlvr.demo.policy.families import LLAMA3, QWEN3, family_policy, family_tokenizer
from rlvr.errors import ConfigurationError
from rlvr.inference.dialect import CallFormat, dialect_of
from rlvr.inference.embedded import EmbeddedEngine
from rlvr.inference.tool_calls import parse_tool_calls
from rlvr.trainers.enhanced_grpo_trainer import EnhancedGRPOTrainer
from trainings import config, questions

pytestmark = pytest.mark.train
QUESTION = {"role": "user", "content": "What is a?"}
LOOK = {
    "type": "function",
    "function": {"name": "look", "parameters": {"properties": {"key": {"type": "string"}}}},
}


def tokenizer(template, family=QWEN3):
    chat_template = getattr(chat_template_utils, f"{template}_chat_template")
    return family_tokenizer(family, chat_template=chat_template, texts=[chat_template])


def engine(template, family=QWEN3, **options):
    words = tokenizer(template, family)
    policy = family_policy(family, words, seed=0)
    return EmbeddedEngine(policy, words, max_model_len=2048, **options)


@pytest.mark.parametrize(
    ("template", "shows_tools", "call_format", "before_call"),
    [
        ("qwen2_5", True, CallFormat.HERMES, "\n"),
        ("qwen3", True, CallFormat.HERMES, "\n"),
        ("qwen3_instruct_2507", True, CallFormat.HERMES, "\n"),
        ("qwen3_5_think", True, None, "\n\n"),
        ("llama3", False, None, ""),
        ("llama3_1", True, CallFormat.LLAMA3_JSON, ""),
        ("llama3_2", True, CallFormat.LLAMA3_JSON, ""),
    ],
)
def test_a_template_says_by_itself_how_calls_are_written(
    template, shows_tools, call_format, before_call
):
    dialect = dialect_of(tokenizer(template))
    assert dialect.shows_tools is shows_tools
    assert dialect.call_format is call_format
    assert dialect.before_call == before_call


@pytest.mark.parametrize(
    ("template", "family", "key"),
    [
        ("qwen2_5", QWEN3, "arguments"),
        ("qwen3", QWEN3, "arguments"),
        ("llama3_2", LLAMA3, "parameters"),
    ],
)
@pytest.mark.parametrize(
    "arguments",
    ['{"key": "a"}', '{"key":"a",  "n": 1.50}', '{"key": "caf\\u00e9"}', '{"key": "café"}', "{}"],
)
def test_a_call_is_shown_to_the_model_as_it_wrote_it(template, family, key, arguments):
    speaking = engine(template, family)
    written = f'{{"name": "look", "{key}": {arguments}}}'
    if family is QWEN3:
        written = f"<tool_call>\n{written}\n</tool_call>"
    message = speaking.message(written, with_tools=True)
    assert message["tool_calls"][0]["function"]["arguments"] == arguments
    answer = {"role": "tool", "tool_call_id": "c", "content": "b"}
    ids = speaking.prompt_ids([QUESTION, message, answer], [LOOK])
    before = speaking.prompt_ids([QUESTION], [LOOK])
    sampled = speaking.tokenizer.encode(written, add_special_tokens=False)
    assert ids[: len(before) + len(sampled)] == before + sampled


def test_the_prompt_is_the_tokenizers_own():
    speaking = engine("qwen2_5")
    call = {"id": "c", "type": "function", "function": {"name": "look", "arguments": '{"key": 1}'}}
    messages = [
        QUESTION,
        {"role": "assistant", "content": "Let me see.", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "<|im_end|> é"},
    ]
    function = {**call["function"], "arguments": json.loads('{"key": 1}')}
    parsed = [messages[0], {**messages[1], "tool_calls": [{**call, "function": function}]}]
    expected = speaking.tokenizer.apply_chat_template(
        [*parsed, messages[2]], tools=[LOOK], add_generation_prompt=True, return_dict=False
    )
    assert speaking.prompt_ids(messages, [LOOK]) == expected


ONE = '{"name": "look", "parameters": {"key": {"deep": "}"}}}'
TWO = '{"name":"look","parameters":{"key":2}}'


@pytest.mark.parametrize(
    ("text", "content", "calls"),
    [
        (ONE, "", [('{"key": {"deep": "}"}}', True)]),
        (f"<|python_tag|>{ONE}", "", [('{"key": {"deep": "}"}}', True)]),
        (f"{ONE}; {TWO}", "", [('{"key": {"deep": "}"}}', True), ('{"key":2}', True)]),
        (f"I look.\n{TWO} so", "I look.\n", [('{"key":2}', True)]),
        (f"I look. <|python_tag|>{TWO}", "I look. ", [('{"key":2}', True)]),
        ('{"name": "look", "parameters": {"key": }', "", None),
        ('{"name": "look"}', '{"name": "look"}', []),
        ('a {"b": {"name": "look", "parameters": {}}} c', "", []),
        ("It is 7 { or 8.", "It is 7 { or 8.", []),
    ],
)
def test_calls_of_llama_3_are_read_and_kept_as_written(text, content, calls):
    found_content, found = parse_tool_calls(text, CallFormat.LLAMA3_JSON)
    if calls is None:
        (call,) = found
        assert (found_content, call.name, call.arguments) == ("", "look", text)
        assert not call.sound
        return
    assert [(call.arguments, call.sound) for call in found] == calls
    assert {call.name for call in found} <= {"look"}
    assert found_content == (content if calls else text)


@pytest.mark.parametrize(
    ("template", "family", "remedy"),
    [("llama3", LLAMA3, "renders `tools`"), ("qwen3_5_think", QWEN3, "--tool-call-parser")],
)
def test_tools_that_would_silently_be_lost_are_refused_before_training(
    tmp_path, template, family, remedy
):
    words = tokenizer(template, family)
    with pytest.raises(ConfigurationError, match=remedy):
        EnhancedGRPOTrainer(
            new_policy(words, seed=0),
            questions(),
            config(tmp_path),
            words,
            inference="embedded",
        )


def test_a_format_can_be_named():
    speaking = engine("qwen3_5_think", tool_parser="hermes")
    speaking.check_tools()
    text = '<tool_call>\n{"name": "look", "arguments": {}}\n</tool_call>'
    assert speaking.message(text, with_tools=True)["tool_calls"]
    with pytest.raises(ConfigurationError, match="no tool_parser 'xml'"):
        engine("qwen3", tool_parser="xml")


def test_a_conversation_that_the_template_refuses_is_refused_as_a_server_refuses_it():
    speaking = engine("llama3_1", LLAMA3)
    text = "; ".join([ONE, TWO])
    message = speaking.message(text, with_tools=True)
    with pytest.raises(BadRequestError, match="only supports single tool-calls") as refusal:
        speaking.prompt_ids([QUESTION, message], [LOOK])
    assert refusal.value.status_code == 400


def test_a_turn_ends_at_every_token_that_the_model_ends_turns_with():
    words = tokenizer("llama3_1", LLAMA3)
    policy = family_policy(LLAMA3, words, seed=0)
    ends = [words.convert_tokens_to_ids(token) for token in ("<|end_of_text|>", "<|eom_id|>")]
    policy.generation_config.eos_token_id = ends
    made = EmbeddedEngine(policy, words, max_model_len=64)
    for end in (*ends, words.eos_token_id):
        sample = made._until_eos([5, end, 6], [-1.0, -2.0, -3.0])
        assert (sample.ids, sample.finished) == ([5, end], True)
