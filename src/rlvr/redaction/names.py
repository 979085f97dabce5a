"""Names whose values are secrets, and values that are none although they follow such a name."""

import re

_WORDS = ("key", "token", "secret", "passw", "pwd", "credential")

NEEDLES = tuple(
    form for word in _WORDS for form in (word, word.capitalize(), word.upper()) if form != "PWD"
)
"""One of these is in every secret-like name. The variable PWD is a folder."""

# Not "tokens": those are counted, as in --max-tokens.
_OPTION = re.compile(r"(?i)(token|(key|secret|password|passwd|credential)s?)$")

_KEY_OF = re.compile(
    r"(?i)(?:api|access|secret|private|encryption|signing|master|account|auth|service)[_ -]?\Z"
)
_TOKEN_OF = re.compile(
    r"(?i)(?:api|access|auth|authentication|bearer|refresh|session|secret|private|personal|security"
    r"|hf|hub|huggingface|github|gh|gitlab|slack|bot|npm|pypi|vault|registry)[_ -]?\Z"
)
_VARIABLE = re.compile(r"[A-Z0-9_]{1,40}_\Z")
_OPTION_BEFORE = re.compile(r"--[A-Za-z0-9_-]{0,40}\Z")
_IDENTIFIER = re.compile(r"[A-Za-z_][\w.]*+\Z")
_PLACEHOLDER = re.compile(r"(?i)[$<{\[(*%]|\.\.\.|x{4,}|your[_-]")
_WORD = re.compile(r"[A-Za-z][A-Za-z'’-]*+[.!?:]*\Z")
_TYPES = ("optional", "string", "secretstr", "undefined", "required", "password", "boolean")


def is_secret_name(name: str) -> bool:
    """Whether an option or a setting of that name holds a secret, whatever its value is."""
    return bool(_OPTION.search(name))


def is_named(before: str, word: str, *, blank: bool) -> bool:
    """Whether `before`, directly followed by the word, ends in the name of a secret.

    A `key` or `token` alone is none: prose and programs are full of them. `blank`: no more than
    white space follows, so that it must be an option of a command.
    """
    if blank and not _OPTION_BEFORE.search(before):
        return False
    known = word.lower()
    if known == "key":
        return bool(_KEY_OF.search(before) or (word == "KEY" and _VARIABLE.search(before)))
    if known == "token":
        return bool(_TOKEN_OF.search(before) or (word == "TOKEN" and _VARIABLE.search(before)))
    return True


def is_value(value: str, *, quoted: bool, assigned: bool) -> bool:
    """Whether what follows a secret's name is a secret: no placeholder, no name, no word of prose.

    `assigned`: it follows "=" or an option, not ":".
    """
    if len(value) < 6 or _PLACEHOLDER.match(value) or value.lower() in _TYPES:
        return False
    if any(character.isdigit() for character in value):
        return quoted or "(" not in value
    if quoted:
        return True
    if _IDENTIFIER.match(value):
        return assigned and not any(mark in value for mark in (".", "_", "passw", "key", "token"))
    return not any(mark in value for mark in "([") and not _WORD.match(value)
