"""The derived columns of a trajectory: pure functions of the record, of one declared version."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence

from rlvr.record import Message, ScoreStatus, Trajectory
from rlvr.schema import DERIVED_VERSION
from rlvr.utils.answers import final_answer, states
from rlvr.utils.tags import opens_call, tags_validity

_FAILED = (ScoreStatus.ERROR, ScoreStatus.TIMEOUT)


def derived_columns(trajectory: Trajectory) -> Mapping[str, int | bool | str | None]:
    """Every `derived_*` column of one trajectory."""
    completion = trajectory.completion
    texts = [message.text for message in completion if message.role == "assistant"]
    tags = list(map(tags_validity, texts))
    failed = [r for r in trajectory.tool_results if r.error is not None or r.malformed]
    return {
        "derived_version": DERIVED_VERSION,
        "derived_num_turns": len(texts),
        "derived_num_tool_calls": len(trajectory.tool_calls),
        "derived_num_tool_responses": sum(message.role == "tool" for message in completion),
        "derived_num_tool_errors": len(failed),
        "derived_num_malformed_calls": sum(r.malformed for r in trajectory.tool_results),
        "derived_num_scorer_failures": sum(c.status in _FAILED for c in trajectory.components),
        "derived_num_cut_turns": sum(turn.finish_reason == "length" for turn in trajectory.turns),
        "derived_policy_version": _oldest_version(trajectory),
        "derived_reference_in_answer": _reference_in_answer(trajectory, texts),
        "derived_think_valid": _tag_valid(tags, "think"),
        "derived_cite_valid": _tag_valid(tags, "cite"),
        "derived_answer_valid": _tag_valid(tags, "answer"),
        "derived_unparsed_call": any(map(_has_unparsed_call, completion)),
        "derived_prompt_hash": text_hash(trajectory.prompt),
        "derived_text_hash": text_hash(completion),
    }


def _tag_valid(tags: Sequence[Mapping[str, bool]], tag: str) -> bool | None:
    """Whether the tag is well formed wherever it is used; None where it is used nowhere."""
    valid = [used[tag] for used in tags if tag in used]
    return all(valid) if valid else None


def _oldest_version(trajectory: Trajectory) -> int | None:
    versions = [turn.policy_version for turn in trajectory.turns]
    return min((version for version in versions if version is not None), default=None)


def _reference_in_answer(trajectory: Trajectory, texts: Sequence[str]) -> bool | None:
    """Whether the last assistant message answers with the reference; None without one."""
    if not trajectory.answer or not trajectory.answer.strip():
        return None
    return bool(texts) and states(final_answer(texts[-1]), trajectory.answer)


def _has_unparsed_call(message: Message) -> bool:
    """Whether the text of an assistant message opens a call although the message has none."""
    called = message.role != "assistant" or bool(message.tool_calls)
    return not called and opens_call(message.text)


def text_hash(messages: Iterable[Message]) -> str:
    """16 hex digits over role, text and calls of the messages: equal means the same rollout."""
    pieces: list[str] = []
    for message in messages:
        pieces += (message.role, "\0", message.text)
        for call in message.tool_calls:
            pieces += ("\0", call.name or "", "\0", call.arguments)
        pieces.append("\1")
    whole = "".join(pieces).encode("utf-8", "surrogatepass")
    return hashlib.sha256(whole).hexdigest()[:16]
