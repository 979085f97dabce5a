"""Live messages to frozen ones."""

import base64
import hashlib
import json

import numpy as np
import pytest
from openai.types.chat import ChatCompletionMessageToolCall

from rlvr.capture.messages import freeze_message, freeze_messages
from rlvr.capture.plain import plain

PNG = b"\x89PNG\r\n and more"
URL = "data:image/png;base64," + base64.b64encode(PNG).decode()


def test_text_becomes_one_message():
    (message,) = freeze_messages("2 + 2 = ", role="user")
    assert (message.role, message.content) == ("user", "2 + 2 = ")


def test_images_become_blobs_that_are_named_by_their_hash():
    blobs = []
    message = freeze_message(
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "image_url", "image_url": {"url": URL, "detail": "low"}},
                {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,%%%"}},
            ],
        },
        blobs,
    )
    text, image, link, broken = message.parts
    (blob,) = blobs
    assert (blob.data, blob.media_type) == (PNG, "image/png")
    assert image.blob == blob.sha256 == hashlib.sha256(PNG).hexdigest()
    assert base64.b64encode(PNG).decode() not in (image.rest or "")
    assert (link.blob, json.loads(link.rest)) == (
        None, {"image_url": {"url": "https://example.com/a.png"}},
    )  # fmt: skip
    assert json.loads(broken.rest)["image_url"]["url"].endswith("%%%")
    assert (text.text, message.text, message.content) == ("What is this?", "What is this?", None)


def test_what_else_stood_beside_an_images_bytes_is_kept():
    image = {"type": "image_url", "image_url": {"url": URL, "detail": "low"}, "cache": True}
    message = freeze_message({"role": "user", "content": [image]}, [])
    assert json.loads(message.parts[0].rest) == {"image_url": {"detail": "low"}, "cache": True}


def test_sound_becomes_a_blob_too():
    sound = {"data": base64.b64encode(b"RIFF").decode(), "format": "wav"}
    blobs = []
    message = freeze_message(
        {"role": "user", "content": [{"type": "input_audio", "input_audio": sound}]}, blobs
    )
    assert (blobs[0].data, blobs[0].media_type) == (b"RIFF", "audio/wav")
    assert message.parts[0].blob == blobs[0].sha256
    assert json.loads(message.parts[0].rest) == {"input_audio": {"format": "wav"}}


@pytest.mark.parametrize("arguments", ['{"a":  1}', "{oops", ""])
def test_calls_keep_their_text_as_objects_and_as_mappings(arguments):
    function = {"name": "look", "arguments": arguments}
    call = ChatCompletionMessageToolCall(id="c", type="function", function=function)
    for given in (call, {"id": "c", "type": "function", "function": function}):
        message = freeze_message({"role": "assistant", "content": None, "tool_calls": [given]})
        (frozen,) = message.tool_calls
        assert (frozen.id, frozen.name, frozen.arguments) == ("c", "look", arguments)
        assert message.content is None


def test_arguments_that_were_parsed_already_become_json():
    call = {"id": "c", "function": {"name": "look", "arguments": {"key": "é"}}}
    (frozen,) = freeze_message({"role": "assistant", "tool_calls": [call]}).tool_calls
    assert frozen.arguments == '{"key": "é"}'


def test_reasoning_names_and_unknown_fields_are_kept():
    message = freeze_message(
        {"role": "tool", "content": "x", "tool_call_id": "c", "name": "look",
         "reasoning_content": "hm", "refusal": None, "audio": {"id": 7}}
    )  # fmt: skip
    assert (message.tool_call_id, message.name, message.reasoning) == ("c", "look", "hm")
    assert json.loads(message.rest) == {"audio": {"id": 7}}


def test_plain_copies_what_json_can_hold_and_names_the_rest():
    deep = []
    for _ in range(100):
        deep = [deep]
    original = {"a": [1, {"b": 2}], 3: (np.float32(0.5), np.int64(4)), "s": {7}, "deep": deep}
    copied = plain(original)
    assert copied["a"] == [1, {"b": 2}]
    assert copied["3"] == [0.5, 4]
    assert copied["s"] == [7]
    assert "[[[" in json.dumps(copied["deep"])
    original["a"][1]["b"] = 9
    assert copied["a"][1]["b"] == 2
    assert "object at" in plain({"x": object()})["x"]
