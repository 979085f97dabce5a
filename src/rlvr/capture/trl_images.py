"""Images in TRL's messages, which are objects of PIL, as the bytes that a record keeps."""

import base64
import io
import sys
from collections.abc import Mapping, Sequence
from typing import Any


def with_image_bytes(messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Copies of the messages with a data URL (PNG) in place of each image."""
    return [_message(message) for message in messages]


def _message(message: Mapping[str, Any]) -> dict[str, Any]:
    content = message.get("content")
    if not isinstance(content, list):
        return dict(message)
    parts = [{**part, "image": _data_url(part["image"])} if _holds_image(part) else part
             for part in content]  # fmt: skip
    return {**message, "content": parts}


def _holds_image(part: Any) -> bool:
    pil = sys.modules.get("PIL.Image")  # where nobody has imported it, there is no image of it
    return (
        pil is not None and isinstance(part, Mapping) and isinstance(part.get("image"), pil.Image)
    )


def _data_url(image: Any) -> str:
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", compress_level=1)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
