"""The quick way to a message's JSON says what the slow one says, whatever the message holds."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlvr.codec import dump_plain, load, text_hash
from rlvr.codec.messages import messages_json
from rlvr.codec.shapes import as_dict, call_shape
from rlvr.record import ContentPart, Message, ToolCall

TEXTS = st.text(st.characters(), max_size=40) | st.sampled_from(
    [
        "",
        "a\ud800",
        '"\\\n\r\t\b\f\x00\x1f\x7f',
        "$rlvr:str:x",
        '{"$rlvr:float":"nan"}',
        "\u2028é😀",
    ]
)
OPTIONAL = st.none() | TEXTS
CALLS = st.builds(ToolCall, id=OPTIONAL, name=OPTIONAL, arguments=TEXTS)
PARTS = st.builds(ContentPart, type=TEXTS, text=OPTIONAL, blob=OPTIONAL, rest=OPTIONAL)
MESSAGES = st.builds(
    Message,
    role=TEXTS,
    content=OPTIONAL,
    parts=st.lists(PARTS, max_size=2).map(tuple),
    reasoning=OPTIONAL,
    tool_calls=st.lists(CALLS, max_size=3).map(tuple),
    tool_call_id=OPTIONAL,
    name=OPTIONAL,
    rest=OPTIONAL,
)


def message_shape(message):
    """A message as a dict, the slow way."""
    shape = as_dict(message)
    if message.parts:
        shape["parts"] = [as_dict(part) for part in message.parts]
    if message.tool_calls:
        shape["tool_calls"] = [call_shape(call) for call in message.tool_calls]
    return shape


@given(st.lists(MESSAGES, max_size=4))
def test_messages_decode_as_their_shapes_do(messages):
    assert decoded(messages) == repr(load(dump_plain(list(map(in_order, messages)))))


def decoded(messages):
    return repr(load(messages_json(messages).decode()))


def in_order(message):
    shape = message_shape(message)
    return dict(sorted(shape.items(), key=lambda item: item[0] in ("parts", "tool_calls")))


@pytest.mark.parametrize("content", [3, 2.5, float("nan"), ["a"], {"b": 1}])
def test_content_that_is_no_text_is_kept_as_the_slow_way_keeps_it(content):
    messages = [Message(role="user", content=content)]
    assert decoded(messages) == repr(load(dump_plain([message_shape(m) for m in messages])))


@given(st.lists(MESSAGES, max_size=4))
def test_the_hash_is_over_role_text_and_calls_of_each_message(messages):
    digest = hashlib.sha256()
    for message in messages:
        calls = ((call.name or "") + "\0" + call.arguments for call in message.tool_calls)
        whole = "\0".join((message.role, message.text, *calls))
        digest.update(whole.encode("utf-8", "surrogatepass") + b"\1")
    assert text_hash(messages) == digest.hexdigest()[:16]
