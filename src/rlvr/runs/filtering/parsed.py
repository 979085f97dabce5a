"""From the text of an expression to its tree.

or  and  not        = != <> < <= > >=  in  between  like  ilike  is null  is nan  is true
+ - * / %           numbers, 'texts', true, false, names, "names in quotes", f(x)
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from rlvr.errors import ConfigurationError

MAX_CHARS = 10_000
MAX_DEPTH = 40

_TOKEN = re.compile(
    r"""\s*(?:
    (?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
  | (?P<text>'(?:[^']|'')*')
  | (?P<quoted>"(?:[^"]|"")+")
  | (?P<word>[^\W\d]\w*)
  | (?P<sign><=|>=|!=|<>|==|[-+*/%=<>().,])
  | (?P<end>\Z)
    )""",
    re.VERBOSE,
)
_COMPARISONS = {"=": "=", "==": "=", "!=": "!=", "<>": "!=", "<": "<", "<=": "<=", ">": ">"}
_COMPARISONS[">="] = ">="
_KEYWORDS = frozenset(
    {"or", "and", "not", "in", "between", "like", "ilike", "is", "null", "nan", "true", "false"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One part of an expression.

    `what` is number, text, flag, null, name, call, or, and, not, compare, in, between, like, is, or
    arithmetic; `value` its number, text, name or operator; `parts` what it is made of. `shown` is
    its own text.
    """

    what: str
    value: str | float | int | bool | None = None
    parts: tuple["Node", ...] = ()
    shown: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Token:
    kind: str
    text: str
    start: int
    stop: int


def parse(text: str) -> Node:
    """The tree of an expression.

    Raises:
        ConfigurationError: it is none; the message says where it goes wrong.
    """
    if len(text) > MAX_CHARS:
        raise ConfigurationError(
            f"the expression of {len(text):,} characters is too long; {MAX_CHARS:,} are possible."
        )
    return _Parser(text).whole()


class _Parser:
    """Reads tokens from left to right; each method reads what its name says."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = list(_tokens(text))
        self._at = 0
        self._depth = 0

    def whole(self) -> Node:
        if self._tokens[0].kind == "end":
            raise ConfigurationError('the expression is empty; write one such as "reward < 0.2".')
        found = self._or()
        if self._next.kind != "end":
            raise self._wrong("one expression ends here")
        return found

    def _or(self) -> Node:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._wrong(f"it is nested deeper than {MAX_DEPTH} levels")
        found = self._chain("or", self._and)
        self._depth -= 1
        return found

    def _and(self) -> Node:
        return self._chain("and", self._not)

    def _chain(self, word: str, inner: "object") -> Node:
        start = self._next.start
        parts = [inner()]  # type: ignore[operator]
        while self._take(word):
            parts.append(inner())  # type: ignore[operator]
        return parts[0] if len(parts) == 1 else self._node(start, word, parts=tuple(parts))

    def _not(self) -> Node:
        start = self._next.start
        negated = False
        while self._take("not"):
            negated = not negated
        found = self._predicate()
        return self._node(start, "not", parts=(found,)) if negated else found

    def _predicate(self) -> Node:
        start = self._next.start
        left = self._sum()
        sign = _COMPARISONS.get(self._next.text) if self._next.kind == "sign" else None
        if sign is not None:
            self._at += 1
            return self._node(start, "compare", sign, (left, self._sum()))
        if self._take("is"):
            negated = self._take("not")
            return self._negated(start, negated, self._is(start, left))
        negated = self._take("not")
        found = self._range(start, left)
        if found is None and negated:
            raise self._wrong("expected in, between, like or ilike after not")
        return left if found is None else self._negated(start, negated, found)

    def _range(self, start: int, left: Node) -> Node | None:
        if self._take("in"):
            return self._node(start, "in", parts=(left, *self._list()))
        if self._take("between"):
            low = self._sum()
            self._expect("and")
            return self._node(start, "between", parts=(left, low, self._sum()))
        for word in ("like", "ilike"):
            if self._take(word):
                return self._node(start, "like", word, (left, self._sum()))
        return None

    def _is(self, start: int, left: Node) -> Node:
        for word in ("null", "nan", "true", "false"):
            if self._take(word):
                return self._node(start, "is", word, (left,))
        raise self._wrong("expected null, nan, true or false after is")

    def _negated(self, start: int, negated: bool, found: Node) -> Node:
        return self._node(start, "not", parts=(found,)) if negated else found

    def _sum(self) -> Node:
        return self._arithmetic("+-", lambda: self._arithmetic("*/%", self._signed))

    def _arithmetic(self, signs: str, inner: "object") -> Node:
        start = self._next.start
        left: Node = inner()  # type: ignore[operator]
        steps = 0
        while self._next.kind == "sign" and self._next.text in signs:
            sign = self._next.text
            self._at += 1
            steps += 1
            if steps > MAX_DEPTH:
                raise self._wrong(f"more than {MAX_DEPTH} terms in a row")
            left = self._node(start, "arithmetic", sign, (left, inner()))  # type: ignore[operator]
        return left

    def _signed(self) -> Node:
        start = self._next.start
        negative = False
        while self._next.kind == "sign" and self._next.text in "+-":
            negative ^= self._next.text == "-"
            self._at += 1
        found = self._primary()
        if not negative:
            return found
        if found.what == "number" and isinstance(found.value, int | float):
            return self._node(start, "number", -found.value)
        zero = Node(what="number", value=0, shown="0")
        return self._node(start, "arithmetic", "-", (zero, found))

    def _primary(self) -> Node:
        token = self._next
        if token.kind == "end":
            raise self._wrong("something is missing at the end")
        self._at += 1
        if token.kind == "number":
            return self._node(token.start, "number", _number(token.text))
        if token.kind == "text":
            return self._node(token.start, "text", token.text[1:-1].replace("''", "'"))
        if token.text == "(" and token.kind == "sign":
            found = self._or()
            self._expect(")")
            return found
        if token.kind in ("word", "quoted"):
            return self._named(token)
        self._at -= 1
        raise self._wrong("expected a name, a number or a 'text'")

    def _named(self, token: _Token) -> Node:
        word = token.text.lower() if token.kind == "word" else ""
        if word in ("true", "false"):
            return self._node(token.start, "flag", word == "true")
        if word == "null":
            return self._node(token.start, "null")
        if word in _KEYWORDS:
            self._at -= 1
            raise self._wrong("expected a name, a number or a 'text'")
        if token.kind == "word" and self._next.text == "(" and self._next.kind == "sign":
            return self._node(token.start, "call", word, self._list())
        name = _plain(token)
        while self._next.kind == "sign" and self._next.text == ".":
            self._at += 1
            inner = self._next
            if inner.kind not in ("word", "quoted"):
                raise self._wrong("expected a name after the dot")
            self._at += 1
            name = f"{name}.{_plain(inner)}"
        return self._node(token.start, "name", name)

    def _list(self) -> tuple[Node, ...]:
        self._expect("(")
        found = [self._or()]
        while self._take(","):
            found.append(self._or())
        self._expect(")")
        return tuple(found)

    @property
    def _next(self) -> _Token:
        return self._tokens[self._at]

    def _take(self, word: str) -> bool:
        """Whether that word or sign comes next; then it is read."""
        token = self._next
        if token.kind in ("word", "sign") and token.text.lower() == word:
            self._at += 1
            return True
        return False

    def _expect(self, word: str) -> None:
        if not self._take(word):
            raise self._wrong(f"expected {word!r}")

    def _node(
        self,
        start: int,
        what: str,
        value: str | float | int | bool | None = None,
        parts: tuple[Node, ...] = (),
    ) -> Node:
        shown = self._text[start : self._tokens[max(self._at - 1, 0)].stop]
        return Node(what=what, value=value, parts=parts, shown=shown.strip())

    def _wrong(self, why: str) -> ConfigurationError:
        return wrong_at(self._text, self._next.start, why)


def wrong_at(text: str, place: int, why: str) -> ConfigurationError:
    """The error of an expression that goes wrong at a place."""
    before, after = text[max(place - 40, 0) : place], text[place : place + 20]
    return ConfigurationError(
        f"the expression can't be read at {repr(after) if after else 'its end'}"
        f"{f' (after {before!r})' if before else ''}: {why}."
        " Write one such as \"reward < 0.2 and tool = 'retrieve'\"."
    )


def _tokens(text: str) -> Iterator[_Token]:
    at = 0
    while True:
        found = _TOKEN.match(text, at)
        if found is None:
            start = at + len(text[at:]) - len(text[at:].lstrip())
            quoted = text[start] in "'\""
            why = "this quote never ends" if quoted else "this stands in no expression"
            raise wrong_at(text, start, why)
        kind = found.lastgroup or "end"
        yield _Token(kind=kind, text=found[kind], start=found.start(kind), stop=found.end())
        if kind == "end":
            return
        at = found.end()


def _number(text: str) -> int | float:
    return int(text) if text.isdecimal() else float(text)


def _plain(token: _Token) -> str:
    return token.text[1:-1].replace('""', '"') if token.kind == "quoted" else token.text
