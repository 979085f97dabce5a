"""Images of messages, as addresses that hold them."""

import base64
import json

from rlvr.exporting.chat import clean
from rlvr.record import ContentPart, Trajectory


def picture_url(part: ContentPart, trajectory: Trajectory) -> str | None:
    """The address of an image part: a data URL of its bytes, or the one that it was sent by.

    None where the part is no image, or its bytes are gone.
    """
    if part.type != "image_url":
        return None
    if part.blob is not None:
        blob = next((blob for blob in trajectory.blobs if blob.sha256 == part.blob), None)
        if blob is None or not blob.data:
            return None
        kind = clean(part.media_type or blob.media_type or "application/octet-stream")
        return f"data:{kind};base64,{base64.b64encode(blob.data).decode('ascii')}"
    return _sent(part.rest)


def _sent(rest: str | None) -> str | None:
    try:
        held = json.loads(rest or "{}")
    except ValueError:
        return None
    inner = held.get("image_url") if isinstance(held, dict) else None
    url = inner.get("url") if isinstance(inner, dict) else inner
    return clean(url) if isinstance(url, str) else None
