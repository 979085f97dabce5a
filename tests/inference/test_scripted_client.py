import asyncio

import pytest
from openai.types.chat import ChatCompletion

from rlvr.errors import InferenceError
from rlvr.inference.scripted import Reply, ScriptedClient, call

USER = {"role": "user", "content": "q"}
ASSISTANT = {"role": "assistant", "content": "a"}


def ask(client, *messages, **options):
    return asyncio.run(client.chat.completions.create(model="m", messages=messages, **options))


def test_a_script_is_walked_by_the_assistant_messages_of_each_conversation():
    client = ScriptedClient([Reply(content="one"), Reply(content="two")])
    answers = [ask(client, *m) for m in ([USER, ASSISTANT], [USER], [USER])]
    assert [a.choices[0].message.content for a in answers] == ["two", "one", "one"]
    assert all(isinstance(answer, ChatCompletion) for answer in answers)
    assert len({answer.id for answer in answers}) == 3


def test_a_function_sees_the_whole_request():
    client = ScriptedClient(lambda request: Reply(content=str(request.options["temperature"])))
    answer = ask(client, USER, tools=[{"type": "function"}], temperature=0.5)
    assert answer.choices[0].message.content == "0.5"
    assert client.requests[0].messages == (USER,)
    assert client.requests[0].tools == ({"type": "function"},)
    assert client.requests[0].model == "m"


def test_a_tool_call_is_kept_as_written():
    choice = ask(ScriptedClient([call("retrieve", "{oops", id="c7")]), USER).choices[0]
    assert choice.finish_reason == "tool_calls"
    tool_call = choice.message.tool_calls[0]
    assert (tool_call.id, tool_call.function.name, tool_call.function.arguments) == (
        "c7",
        "retrieve",
        "{oops",
    )


def test_token_ids_and_logprobs_come_as_vllm_gives_them():
    reply = Reply(content="a", prompt_ids=(1, 2), token_ids=(3, 4), logprobs=(-0.5, -1.0))
    answer = ask(ScriptedClient([reply]), USER)
    assert answer.prompt_token_ids == [1, 2]
    assert answer.choices[0].token_ids == [3, 4]
    logprobs = answer.choices[0].logprobs.content
    assert [(entry.token, entry.logprob) for entry in logprobs] == [
        ("token_id:3", -0.5),
        ("token_id:4", -1.0),
    ]


def test_without_token_ids_there_are_no_logprobs():
    answer = ask(ScriptedClient([Reply(content="a", finish_reason="length")]), USER)
    assert answer.choices[0].logprobs is None
    assert answer.choices[0].finish_reason == "length"


def test_a_script_that_is_too_short_says_so():
    with pytest.raises(InferenceError, match="has 1 replies and was asked for number 2"):
        ask(ScriptedClient([Reply(content="one")]), USER, ASSISTANT)
