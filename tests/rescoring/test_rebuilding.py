"""What a rubric is given is what the record was made of."""

import base64
import json

import pytest
from openai.types.chat import ChatCompletionMessageToolCall
from openai.types.chat.chat_completion_message_tool_call import Function

from builders import batches, odd_trajectory, trajectory
from rlvr.capture.messages import freeze_messages
from rlvr.record import Message
from rlvr.rescoring.rebuilding import RecordedState, rebuild

PIXEL = base64.b64encode(b"no picture").decode()


@pytest.mark.parametrize(
    "row", [trajectory(), odd_trajectory(), *next(iter(batches(1)))], ids=lambda row: row.group_id
)
def test_recorded_messages_are_the_same_when_they_are_recorded_again(row):
    rebuilt = rebuild(row)
    assert freeze_messages(rebuilt.prompt, role="user") == row.prompt
    assert freeze_messages(rebuilt.completion, role="assistant") == row.completion


@pytest.mark.parametrize(
    "message",
    [
        {"role": "user", "content": "plain"},
        {
            "role": "assistant",
            "content": "",
            "reasoning_content": "hm",
            "name": "me",
            "audio": {"id": 1},
        },
        {"role": "tool", "content": "12", "tool_call_id": "c1"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "look"},
                {
                    "type": "image_url",
                    "image_url": {"url": f"data:image/png;base64,{PIXEL}", "detail": "low"},
                },
                {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
                {"type": "input_audio", "input_audio": {"data": PIXEL, "format": "wav"}},
            ],
        },
    ],
)
def test_a_message_comes_back_as_it_was_given(message):
    blobs = []
    frozen = freeze_messages([message], role="user", blobs=blobs)
    (rebuilt,) = rebuild(trajectory(prompt=frozen, blobs=tuple(blobs))).prompt
    assert rebuilt == message


def test_calls_come_back_as_the_objects_of_the_client_library():
    call = ChatCompletionMessageToolCall(
        id="c1", type="function", function=Function(name="retrieve", arguments='{"query": 1}')
    )
    message = {"role": "assistant", "content": "", "tool_calls": [call]}
    row = trajectory(completion=freeze_messages([message], role="assistant"))
    assert rebuild(row).completion == [message]


def test_an_environment_that_completes_text_gets_text():
    row = trajectory(
        prompt=(Message(role="user", content="2+2="),),
        completion=(Message(role="assistant", content="4"),),
    )
    rebuilt = rebuild(row, as_text=True)
    assert (rebuilt.prompt, rebuilt.completion) == ("2+2=", "4")


def test_the_state_is_fresh_for_each_scoring():
    row = trajectory()
    first = rebuild(row)
    first.info["changed"] = first.state["changed"] = True
    first.completion[-1]["content"] = "changed"
    assert "changed" not in json.dumps([rebuild(row).info, rebuild(row).completion], default=str)
    assert "changed" not in rebuild(row).state


def test_a_state_notes_what_it_was_asked_for_and_did_not_have():
    state = RecordedState({"here": 1})
    with pytest.raises(KeyError, match="not in a record"):
        state["gone"]
    assert (state.get("here"), state.get("cache", 3)) == (1, 3)
    assert state.missing == {"": ("gone", "cache")}
    state["cache"] = 4
    assert state.missing == {"": ("gone",)}
