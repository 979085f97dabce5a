"""What a person searches for: a small language, and the FTS5 expression that it stands for.

    timeout retry            both words
    "connection reset"       the words beside each other
    time*                    words that begin so
    timeout OR refused       either; AND is what a blank says
    timeout -retry           without; also NOT retry
    (a OR b) c               groups
    role:tool timeout        in the results of tools; until the next role: or the end of its group

Every word is quoted for FTS5, so no text of a user is ever read as its syntax.
"""

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, NamedTuple

from rlvr.errors import ConfigurationError

MOST_CHARS = 4_000
MOST_TERMS = 64
MOST_GROUPS = 16


class Role(StrEnum):
    """Which text of a trajectory is searched."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    REASONING = "reasoning"
    CALL = "call"
    TOOL = "tool"
    QUESTION = "question"
    ANSWER = "answer"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """`expression` finds trajectories; `places` finds, in their texts, what is to be shown."""

    text: str
    expression: str
    places: str


def parse(text: str, roles: Sequence[Role] = ()) -> Query:
    """The query of a text; `roles` is where words are looked for that say no role themselves.

    Raises:
        ConfigurationError: the text is no query; the message says where and why.
    """
    if len(text) > MOST_CHARS:
        raise ConfigurationError(
            f"the query has {len(text):,} characters, and at most {MOST_CHARS:,} are searched for."
        )
    parser = _Parser(_tokens(text), tuple(roles))
    expression = parser.either(depth=0)
    return Query(text=text, expression=expression, places=" OR ".join(parser.places))


class _Token(NamedTuple):
    kind: Literal["word", "phrase", "open", "close", "not"]
    text: str
    at: int
    prefix: bool = False


def _tokens(text: str) -> list[_Token]:
    """The pieces of a query. A parenthesis groups where a word could begin, or ends a group."""
    found: list[_Token] = []
    at = depth = 0
    while at < len(text):
        here = text[at]
        if here.isspace():
            at += 1
        elif here == "(":
            depth += 1
            found.append(_Token("open", here, at))
            at += 1
        elif here == ")" and depth:
            depth -= 1
            found.append(_Token("close", here, at))
            at += 1
        elif here == "-" and at + 1 < len(text) and not text[at + 1].isspace():
            found.append(_Token("not", here, at))
            at += 1
        elif here == '"':
            at = _phrase(text, at, found)
        else:
            at = _word(text, at, depth, found)
    return found


def _phrase(text: str, at: int, found: list[_Token]) -> int:
    end = text.find('"', at + 1)
    if end < 0:
        raise ConfigurationError(f"the quote at character {at + 1} of the query is not closed.")
    prefix = text[end + 1 : end + 2] == "*"
    found.append(_Token("phrase", text[at + 1 : end], at, prefix))
    return end + 1 + prefix


def _word(text: str, at: int, depth: int, found: list[_Token]) -> int:
    end, within = at, 0
    while end < len(text) and not text[end].isspace() and text[end] != '"':
        if text[end] == "(":
            within += 1
        elif text[end] == ")":
            if not within and depth:
                break
            within = max(within - 1, 0)
        end += 1
    word = text[at:end]
    prefix = len(word) > 1 and word.endswith("*")
    found.append(_Token("word", word.removesuffix("*") if prefix else word, at, prefix))
    return end


class _Parser:
    """Recursive descent over the tokens; `places` gathers what is searched for, not left out."""

    def __init__(self, tokens: list[_Token], roles: tuple[Role, ...]) -> None:
        self._tokens = tokens
        self._at = 0
        self._roles = roles
        self._terms = 0
        self._excluding = 0
        self.places: list[str] = []

    def either(self, *, depth: int) -> str:
        """Sequences with OR between them, up to the end of the group or of the query."""
        if depth > MOST_GROUPS:
            raise ConfigurationError(f"the query has groups in more than {MOST_GROUPS} groups.")
        roles = self._roles
        parts = [self._all(depth)]
        while self._next_is("OR"):
            self._at += 1
            self._roles = roles
            parts.append(self._all(depth))
        self._roles = roles
        return parts[0] if len(parts) == 1 else f"({' OR '.join(parts)})"

    def _all(self, depth: int) -> str:
        wanted: list[str] = []
        unwanted: list[str] = []
        while (token := self._peek()) is not None and token.kind != "close":
            if self._next_is("OR"):
                break
            if self._next_is("AND"):
                self._joins(token, wanted or unwanted)
            elif token.kind == "word" and token.text.startswith("role:"):
                self._at += 1
                self._roles = named_roles(token.text.removeprefix("role:").split(","))
            elif token.kind == "not" or self._next_is("NOT"):
                self._at += 1
                self._excluding += 1
                unwanted.append(self._one(token, depth))
                self._excluding -= 1
            else:
                wanted.append(self._one(token, depth))
        if not wanted:
            raise ConfigurationError(self._nothing(bool(unwanted)))
        joined = wanted[0] if len(wanted) == 1 else f"({' AND '.join(wanted)})"
        return f"({joined} NOT ({' OR '.join(unwanted)}))" if unwanted else joined

    def _one(self, after: _Token, depth: int) -> str:
        token = self._peek()
        if token is None or token.kind in ("close", "not"):
            raise ConfigurationError(
                f"{after.text!r} at character {after.at + 1} of the query leaves out nothing: a"
                " word, a phrase or a group follows it."
            )
        if token.kind == "word" and token.text.startswith("role:"):
            raise ConfigurationError(
                f"{token.text!r} at character {token.at + 1} of the query says where, not what is"
                f" left out: write -({token.text} WORD)."
            )
        self._at += 1
        if token.kind != "open":
            return self._term(token)
        inner = self.either(depth=depth + 1)
        if self._peek() is None:
            raise ConfigurationError(
                f"the parenthesis at character {token.at + 1} of the query is not closed; put what"
                " you search for in quotes if it is part of it."
            )
        self._at += 1
        return f"({inner})"

    def _term(self, token: _Token) -> str:
        self._terms += 1
        if self._terms > MOST_TERMS:
            raise ConfigurationError(f"the query has more than {MOST_TERMS} words and phrases.")
        if not any(map(_is_indexed, token.text)):
            raise ConfigurationError(
                f"{token.text!r} at character {token.at + 1} of the query has no letter or digit,"
                " and only words are indexed; --substring finds any text."
            )
        term = '"' + _clean(token.text).replace('"', '""') + '"' + (" *" if token.prefix else "")
        if self._roles:
            term = f"{{{' '.join(self._roles)}}} : {term}"
        if not self._excluding:
            self.places.append(term)
        return term

    def _joins(self, token: _Token, before: list[str]) -> None:
        self._at += 1
        following = self._peek()
        ends = following is None or following.kind == "close" or self._next_is("OR")
        if not before or ends or self._next_is("AND"):
            raise ConfigurationError(
                f"AND at character {token.at + 1} of the query has nothing on one side; write"
                ' "AND" in quotes to search for the word.'
            )

    def _nothing(self, only_exclusions: bool) -> str:
        if only_exclusions:
            return "the query only leaves words out; name one to find too."
        token = self._peek()
        if self._at == 0 and token is None:
            return "the query is empty; name a word to find."
        where = "at its end" if token is None else f"before character {token.at + 1}"
        return f"the query lacks a word {where}; OR, AND, NOT in quotes are words too."

    def _peek(self) -> _Token | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def _next_is(self, word: str) -> bool:
        token = self._peek()
        return token is not None and token.kind == "word" and token.text == word


def named_roles(names: Iterable[str]) -> tuple[Role, ...]:
    """The roles of those names, each once.

    Raises:
        ConfigurationError: there is no such role.
    """
    names = tuple(names)
    try:
        return tuple(dict.fromkeys(map(Role, names)))
    except ValueError as error:
        raise ConfigurationError(
            f"no role {','.join(names)!r}; write one or several of {', '.join(Role)}, as in"
            ' role:tool,call. In quotes ("role:x") it is searched for.'
        ) from error


def _is_indexed(character: str) -> bool:
    category = unicodedata.category(character)
    return category[0] in "LN" or category == "Co"


def _clean(text: str) -> str:
    return text.replace("\0", " ").encode("utf-8", "replace").decode()
