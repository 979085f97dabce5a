"""The demo's tokenizer and chat template."""

import json
import random

import pytest

from rlvr.demo.imitation import encode
from rlvr.demo.musique.demonstrations import CLEAN, Quality, demonstrate
from rlvr.demo.musique.vocabulary import texts
from rlvr.demo.policy import TAGS, build_tokenizer
from rlvr.environments.musique.core.prompts import RETRIEVE
from rlvr.environments.musique.core.retrieval import make_retriever
from rlvr.environments.musique.core.synthetic import rows
from rlvr.errors import ConfigurationError
from rlvr.inference.tool_calls import parse_tool_calls

pytestmark = pytest.mark.train
TOOLS = [dict(RETRIEVE)]


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer(texts())


def ids_of(tokenizer, text):
    return tokenizer(text, add_special_tokens=False)["input_ids"]


def rendered(tokenizer, messages, **options):
    ids = tokenizer.apply_chat_template(messages, tools=TOOLS, return_dict=False, **options)
    return list(ids)


def parsed(text):
    """The message that an inference server makes of a sampled text."""
    content, calls = parse_tool_calls(text)
    message = {"role": "assistant", "content": content}
    if calls:
        message["tool_calls"] = [
            {"id": "c", "type": "function", "function": {"name": c.name, "arguments": c.arguments}}
            for c in calls
        ]
    return message


@pytest.mark.parametrize(
    "text",
    [
        "What is the club of the brother of Pim Brask?",
        "naïve Zoë, 日本語 \U0001f30d\t\ttabs  two spaces \n\n\n lines",
        "<think>\n</think><cite>1, 2,3</cite><answer></answer>",
        "",
        '{"name": "retrieve", "arguments": {"query": "x\\n\\u00e9"}}',
    ],
)
def test_any_text_decodes_to_itself(tokenizer, text):
    assert tokenizer.decode(ids_of(tokenizer, text), skip_special_tokens=False) == text


def test_tags_are_single_tokens_that_skipping_special_ones_keeps(tokenizer):
    for tag in TAGS:
        ids = ids_of(tokenizer, tag)
        assert len(ids) == 1
        assert tokenizer.decode(ids, skip_special_tokens=True) == tag


def test_a_dialogue_is_short_and_needs_no_byte_tokens(tokenizer):
    retriever, chance = make_retriever("lexical"), random.Random(0)
    for row in rows(seed=77, count=200, split="train"):
        messages = demonstrate(row, retriever=retriever, quality=CLEAN, chance=chance)
        encoded = encode(tokenizer, messages, tool=RETRIEVE)
        assert len(encoded.ids) <= 220
        assert max(encoded.ids) < len(tokenizer)
        letters = [tokenizer.convert_ids_to_tokens(i) for i in encoded.ids if i < 256]
        assert not [letter for letter in letters if letter.isalpha() and letter.isascii()]


def test_the_same_texts_in_any_order_give_the_same_tokenizer(tokenizer):
    shuffled = sorted(texts(), key=hash)
    assert build_tokenizer(shuffled).get_vocab() == tokenizer.get_vocab()


TURNS = [
    '<tool_call>\n{"name": "retrieve", "arguments": {"query": "club of Pim"}}\n</tool_call>',
    '<think>\nWho?\n</think>\n<tool_call>\n{"name": "retrieve", "arguments": {"query":  "Pim" }}\n'
    "</tool_call>",
    "two calls\n"
    + "\n".join(
        ['<tool_call>\n{"name": "retrieve", "arguments": {"query": "a"}}\n</tool_call>'] * 2
    ),
    '<tool_call>\n{"name": "retrieve", "arguments": {"query": "Pim Brask"}\n</tool_call>',
    '<tool_call>\n{"query": "no name"}\n</tool_call>',
    "<tool_call>\nno JSON at all\n</tool_call>",
    '<tool_call>\n{"name": "retrieve", "arguments": {"query": "caf\\u00e9 \\"x\\""}}\n</tool_call>',
    "\n\nlines first, and last\n",
    "",
]


@pytest.mark.parametrize("turn", TURNS)
def test_a_longer_conversation_starts_with_the_tokens_of_the_shorter_one(tokenizer, turn):
    """Prompt + sampled text is a prefix of the next prompt, however odd the sampled text."""
    messages = [{"role": "system", "content": "s"}, {"role": "user", "content": "Who?"}]
    for _ in range(3):
        prompt = rendered(tokenizer, messages, add_generation_prompt=True)
        served = prompt + ids_of(tokenizer, turn) + [tokenizer.eos_token_id]
        messages.append(parsed(turn))
        messages.append({"role": "tool", "content": "Document ID: 1\nPim", "tool_call_id": "c"})
        assert rendered(tokenizer, messages, add_generation_prompt=True)[: len(served)] == served


@pytest.mark.parametrize("turn", ["\n\nx", " x", '{"x', "\n"])
def test_no_token_crosses_the_end_of_the_generation_prompt(turn):
    header = "assistant\n"
    greedy = build_tokenizer([header + turn, turn])
    assert ids_of(greedy, header) + ids_of(greedy, turn) == ids_of(greedy, header + turn)


def test_arguments_as_an_object_are_rendered_as_json(tokenizer):
    call = {"function": {"name": "retrieve", "arguments": {"query": "Zoë"}}}
    text = tokenizer.apply_chat_template(
        [{"role": "assistant", "content": None, "tool_calls": [call]}], tokenize=False
    )
    line = '{"name": "retrieve", "arguments": {"query": "Zoë"}}'
    assert text == f"<|im_start|>assistant\n<tool_call>\n{line}\n</tool_call><|im_end|>\n"


def test_the_system_message_names_the_tools(tokenizer):
    with_tools = tokenizer.apply_chat_template(
        [{"role": "system", "content": "Hello."}], tools=TOOLS, tokenize=False
    )
    alone = tokenizer.apply_chat_template(
        [{"role": "user", "content": [{"type": "text", "text": "hi"}]}], tools=TOOLS, tokenize=False
    )
    listed = '<tools>\n{"name": "retrieve", "arguments": ["query"]}\n</tools><|im_end|>\n'
    assert with_tools == f"<|im_start|>system\nHello.\n{listed}"
    assert alone == f"<|im_start|>system\n{listed}<|im_start|>user\nhi<|im_end|>\n"


def test_only_the_policys_own_tokens_count_as_sampled(tokenizer):
    row = next(rows(seed=5, count=1, split="warm"))
    messages = demonstrate(
        row, retriever=make_retriever("lexical"), quality=CLEAN, chance=random.Random(0)
    )
    encoded = encode(tokenizer, messages, tool=RETRIEVE)
    pairs = zip(encoded.ids, encoded.sampled, strict=True)
    spoken = tokenizer.decode([token for token, sampled in pairs if sampled])
    assert spoken.count("<|im_end|>") == 3
    assert spoken.count("<tool_call>") == 2
    assert "Document ID" not in spoken
    assert spoken.endswith(f"<answer>{row['answer']}</answer><|im_end|>")


def test_a_broken_demonstration_shows_what_the_environment_answers():
    from rlvr.environments.musique import verifiers

    row = next(rows(seed=5, count=1, split="warm"))
    broken = demonstrate(
        row,
        retriever=make_retriever("lexical"),
        quality=Quality(sound=0.0),
        chance=random.Random(0),
    )
    call = broken[2]["tool_calls"][0]["function"]
    with pytest.raises(ValueError, match="Expecting"):
        json.loads(call["arguments"])
    with pytest.raises(ConfigurationError) as error:
        verifiers._arguments("retrieve", call["arguments"])
    assert broken[3]["content"] == f"Error: {error.value}"
