"""Secrets that must not leave the machine inside a trajectory.

A tool may print its environment, a document may hold a key. `redact` replaces what looks like a
credential in well-known forms, and what follows names such as `api_key=`. It is a net, not a
proof: a run with private text gives its sink a hook of its own, or no sink.
"""

import re

__all__ = ["REDACTED", "redact"]

REDACTED = "[redacted]"

_TOKENS = re.compile(
    r"\b(?:"
    r"sk-[A-Za-z0-9_-]{20,}"  # OpenAI, Anthropic and those that follow them
    r"|hf_[A-Za-z0-9]{20,}"
    r"|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}"
    r"|glpat-[A-Za-z0-9_-]{20,}"
    r"|xox[abeoprs]-[A-Za-z0-9-]{10,}"
    r"|(?:AKIA|ASIA)[A-Z0-9]{16}"
    r"|AIza[A-Za-z0-9_-]{35}"
    r"|wandb_v\d_[A-Za-z0-9_]{20,}"
    r"|eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]+"  # a JSON web token
    r")"
)
_PRIVATE_KEY = re.compile(
    r"(-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----).*?(-----END [A-Z ]{0,30}PRIVATE KEY-----|\Z)",
    re.DOTALL,
)
# The name stays, so that a reader knows what stood there.
_NAMED = re.compile(
    r"((?:api[_-]?key|access[_-]?key|secret[_-]?key|client[_-]?secret|auth[_-]?token"
    r"|access[_-]?token|password|passwd)[\"']?\s{0,3}[:=]\s{0,3}[\"']?)[^\s\"',;&<>]{6,}",
    re.IGNORECASE,
)
_BEARER = re.compile(r"(\bBearer )[A-Za-z0-9._~+/=-]{16,}")
_IN_ADDRESS = re.compile(r"(\b[a-z][a-z0-9+.-]{1,20}://[^\s/:@]{1,100}:)[^\s/@]{1,200}(@)")


def redact(text: str) -> str:
    """The text with each secret replaced by `[redacted]`."""
    text = _PRIVATE_KEY.sub(rf"\1{REDACTED}\2", text)
    text = _TOKENS.sub(REDACTED, text)
    for pattern in (_NAMED, _BEARER):
        text = pattern.sub(rf"\1{REDACTED}", text)
    return _IN_ADDRESS.sub(rf"\1{REDACTED}\2", text)
