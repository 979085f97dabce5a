"""What a trajectory started from, as text: question, context, answer."""

import json
from collections.abc import Collection, Mapping

from rlvr.record import Trajectory
from rlvr.utils.conversation import shown_text
from rlvr.utils.messages import as_messages, field_of
from rlvr.utils.text import as_text, cut_middle, one_line, printable

__all__ = ["format_input_data"]

_MAX_CHARS = 100_000
# The order in which a person asks. Each label takes the first of its fields that is present.
_QUESTION = ("question", "problem", "query", "instruction", "input")
_CONTEXT = ("context", "paragraphs", "documents", "docs", "passages")
_CHOICES = ("choices", "options")
_ANSWER = ("answer", "solution", "target", "label")
_ALIASES = ("answer_aliases", "aliases")
_ELSEWHERE = ("prompt", "completion", "messages")


def format_input_data(row: object, *, max_chars: int | None = _MAX_CHARS, note: str = "") -> str:
    """Question, context and the like, and the answer, of a dataset row or a `Trajectory`.

    A row may nest its fields under "info", also as JSON text. Where nothing names the question it
    is the last user message of "prompt". Further fields follow, one line each. Never raises and
    never changes its argument; longer text is cut in the middle as in `format_conversation`.
    """
    try:
        text = "\n\n".join(_sections(_fields(row)))
    except Exception as error:  # noqa: BLE001 - foreign containers; the rest of the table stands
        text = f"{type(row).__name__} that can't be shown: {type(error).__name__}"
    return cut_middle(printable(text), max_chars, note)


def _fields(row: object) -> dict[str, object]:
    if isinstance(row, Trajectory):
        own = {"id": row.example_id, "task": row.task, "question": row.question}
        return _present(
            {**row.info, **_present({**own, "answer": row.answer}), "prompt": row.prompt}
        )
    if isinstance(row, Mapping):
        found = {as_text(name): value for name, value in row.items()}
    elif isinstance(row, str) or row is None:
        found = {"question": row}
    elif isinstance(row, Collection):
        found = {"prompt": row}
    else:
        found = {"input": as_text(row)}
    nested = _nested(found.get("info"))
    if nested:
        del found["info"]
    return _present({**nested, **_present(found)})


def _present(fields: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in fields.items() if value is not None}


def _nested(info: object) -> dict[str, object]:
    if isinstance(info, str):
        try:
            info = json.loads(info)
        except (ValueError, RecursionError):
            return {}
    if isinstance(info, Mapping):
        return {as_text(name): value for name, value in info.items()}
    return {}


def _sections(fields: dict[str, object]) -> list[str]:
    rest = dict(fields)
    question = _take(rest, _QUESTION)
    context, choices = _take(rest, _CONTEXT), _take(rest, _CHOICES)
    answer, aliases = _take(rest, _ANSWER), _take(rest, _ALIASES)
    asked = as_text(question) if question is not None else _last_user(rest.get("prompt"))
    sections = [_section("QUESTION", asked)]
    sections.append(_section("CONTEXT", _listing(context)))
    sections.append(_section("CHOICES", _listing(choices)))
    sections.append(_section("ANSWER", _answer(answer, aliases)))
    others = [
        f"{one_line(name, 60)}: {one_line(as_text(value))}"
        for name, value in rest.items()
        if name not in _ELSEWHERE and value is not None
    ]
    sections.append("\n".join(others))
    return [section for section in sections if section]


def _take(rest: dict[str, object], names: tuple[str, ...]) -> object:
    for name in names:
        if name in rest:
            return rest.pop(name)
    return None


def _section(title: str, body: str) -> str:
    return f"{title}:\n{body}" if body else ""


def _last_user(prompt: object) -> str:
    messages = as_messages(prompt)
    asked = [shown_text(message) for message in messages if message.role == "user"]
    return asked[-1] if asked else ""


def _answer(answer: object, aliases: object) -> str:
    text = "" if answer is None else as_text(answer)
    if isinstance(aliases, Collection) and not isinstance(aliases, str) and len(aliases):
        text += f"\n(also: {', '.join(as_text(alias) for alias in aliases)})"
    return text


def _listing(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, str | Mapping) or not isinstance(value, Collection):
        return as_text(value)
    return "\n".join(_document(document, place) for place, document in enumerate(value))


def _document(document: object, place: int) -> str:
    """One line or paragraph of context: its number, title, whether it supports the answer, text."""
    if not isinstance(document, Mapping):
        return f"[{place}] {as_text(document)}"
    body = next(
        (document[name] for name in ("paragraph_text", "text", "body") if name in document), None
    )
    if body is None:
        return f"[{place}] {as_text(document)}"
    number = field_of(document, "idx")
    title = as_text(field_of(document, "title") or "")
    support = " (supporting)" if field_of(document, "is_supporting") else ""
    return f"[{place if number is None else as_text(number)}] {title}{support}\n{as_text(body)}"
