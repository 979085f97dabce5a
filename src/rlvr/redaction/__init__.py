"""Secrets in recorded text: what looks like one, and the text without it.

A tool may print its environment, a document may hold a key. What has the form of a credential, or
follows a name such as `api_key=`, is replaced by `[redacted: github-token #1]`, the same secret by
the same number. It is a net, not a proof; docs/share.md lists what it holds.
"""

from rlvr.redaction.command_lines import HIDDEN, redacted_arguments
from rlvr.redaction.names import is_secret_name
from rlvr.redaction.patterns import ALWAYS, PRIVATE, Pattern, asked_pattern
from rlvr.redaction.records import without_secrets
from rlvr.redaction.redactor import MARK, Redactor, Replaced, redact

__all__ = [
    "ALWAYS",
    "HIDDEN",
    "MARK",
    "PRIVATE",
    "Pattern",
    "Redactor",
    "Replaced",
    "asked_pattern",
    "is_secret_name",
    "redact",
    "redacted_arguments",
    "without_secrets",
]
