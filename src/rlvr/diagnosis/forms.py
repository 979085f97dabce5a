"""In which form a rollout gives the reference answer."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from rlvr.record import Message, Trajectory
from rlvr.utils.answers import final_answer, same_words
from rlvr.utils.tags import boxed, tag_bodies

_OTHER_TAG = re.compile(r"<([A-Za-z]\w{0,30})>\s*(.*?)\s*</\1>\s*", re.DOTALL)
_LEAD = re.compile(
    r"(?:so|thus|hence|therefore)?,?\s*(?:the|my|our)?\s*(?:final|correct)?\s*"
    r"(?:answer|result)?\s*(?:is|:|=)*\s*",
    re.IGNORECASE,
)
_TAIL_CHARS = 2_000


class Form(StrEnum):
    """Where the reference stands. The words complete "the answer stands ..."."""

    TAG = "in <answer> tags"
    BOX = "in a \\boxed{}"
    OPEN_TAG = "behind an <answer> that is never closed"
    OPEN_BOX = "in a \\boxed{ whose braces do not close"
    OTHER_TAG = "in another tag than <answer>"
    BARE = "in the last line, without a tag or a box"
    OPEN_THINK = "behind a <think> that is never closed"
    REASONING = "in the reasoning, and no answer follows it"


@dataclass(frozen=True, slots=True, kw_only=True)
class FormedAnswer:
    """A rollout that answers with the reference and nothing else, and the form in which it does.

    `value` is the outcome's. `tag` is the other tag, "" unless the form is that.
    """

    id: str
    step: int
    group: str
    turn: int
    form: Form
    tag: str
    value: float


def formed_answer(trajectory: Trajectory, outcome: str) -> FormedAnswer | None:
    """The rollout's answer, None unless it is the reference and was scored by the outcome."""
    component = trajectory.component(outcome)
    reference = (trajectory.answer or "").strip()
    spoken = [message for message in trajectory.completion if message.role == "assistant"]
    if not spoken or not reference or component is None or component.value is None:
        return None
    found = _form(spoken[-1], reference)
    if found is None:
        return None
    form, tag = found
    return FormedAnswer(
        id=trajectory.id or "",
        step=trajectory.step,
        group=trajectory.group_id,
        turn=len(spoken) - 1,
        form=form,
        tag=tag,
        value=component.value,
    )


def asked_forms(trajectories: Sequence[Trajectory]) -> frozenset[Form]:
    """The forms that the prompts ask for."""
    texts = {message.text for t in trajectories for message in t.prompt if message.text}
    found = set()
    if any("<answer>" in text for text in texts):
        found.add(Form.TAG)
    if any("\\boxed" in text for text in texts):
        found.add(Form.BOX)
    return frozenset(found)


def _form(message: Message, reference: str) -> tuple[Form, str] | None:
    text = message.text
    if not text.strip():
        return _if_same((message.reasoning or ""), reference, Form.REASONING)
    found = _marked(text, reference)
    if found is None:
        return None
    thinks = text.rfind("<think>") > text.rfind("</think>")
    return (Form.OPEN_THINK, "") if thinks else found


def _if_same(text: str, reference: str, form: Form) -> tuple[Form, str] | None:
    answer = final_answer(text[-_TAIL_CHARS:])
    return (form, "") if _same(boxed(answer) or answer, reference) else None


def _marked(text: str, reference: str) -> tuple[Form, str] | None:
    """The form by its marks, whatever `<think>` does before it."""
    tail = text[-_TAIL_CHARS:].strip()
    if tag_bodies(text, "answer"):
        return _if_same(text, reference, Form.TAG)
    if boxed(text) is not None:
        return _if_same(text, reference, Form.BOX)
    for opening, form in (("<answer>", Form.OPEN_TAG), ("\\boxed{", Form.OPEN_BOX)):
        _, opened, body = tail.rpartition(opening)
        if opened:
            return (form, "") if _same(body.strip(" }\n"), reference) else None
    tags = [found for found in _OTHER_TAG.finditer(tail) if found[1] not in ("think", "tool_call")]
    if tags and tags[-1].end() == len(tail):
        return (Form.OTHER_TAG, tags[-1][1]) if _same(tags[-1][2], reference) else None
    return (Form.BARE, "") if _same(final_answer(tail), reference) else None


def _same(answer: str, reference: str) -> bool:
    """Whether the answer is the reference, word for word; words that lead in do not count."""
    plain = answer.strip().strip("*_`$\"' ")
    lead = _LEAD.match(plain)
    rest = plain[lead.end() :] if lead else plain
    return same_words(plain, reference) or same_words(rest, reference)
