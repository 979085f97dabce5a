"""Command lines without the secrets that were given in them."""

from collections.abc import Sequence

from rlvr.redaction.names import is_secret_name
from rlvr.redaction.redactor import MARK, Redactor

HIDDEN = f"{MARK}]"
"""What stands in place of a value that its name alone shows to be a secret."""


def redacted_arguments(arguments: Sequence[str]) -> list[str]:
    """The arguments, without the values of options and variables that name a secret."""
    redactor, shown, hide_next = Redactor(), [], False
    for argument in arguments:
        name, equals, _ = argument.partition("=")
        if hide_next:
            shown.append(HIDDEN)
        elif equals and is_secret_name(name):
            shown.append(f"{name}={HIDDEN}")
        else:
            shown.append(redactor.text(argument))
        hide_next = argument.startswith("-") and not equals and is_secret_name(name)
    return shown
