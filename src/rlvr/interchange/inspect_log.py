"""Logs of Inspect: `.eval` files, each a zip of header.json and one JSON a sample and epoch.

Its events (requests, spans, states) are not read: messages, scores and errors hold what a rollout
is. Scores are components; letters become numbers as Inspect itself counts them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

from rlvr.interchange.foreign import UNUSABLE, Described, Options, Reading, Source, UnusableRow
from rlvr.interchange.places import files_below
from rlvr.interchange.values import (
    components,
    info,
    insist,
    last_user_text,
    mapping,
    messages,
    number,
    sequence,
    split,
    text,
    total,
)
from rlvr.interchange.zips import TORN, ZipMembers, is_zip, opened
from rlvr.record import (
    Blob,
    Json,
    Message,
    Mode,
    RolloutError,
    TokenEvidence,
    ToolResult,
    Trajectory,
)

_LETTERS: Mapping[str, float] = MappingProxyType({"C": 1.0, "P": 0.5, "I": 0.0, "N": 0.0})
_AT_LIMIT = frozenset({"max_tokens", "model_length"})


@dataclass(frozen=True, slots=True)
class InspectLogs:
    """A `.eval` file, or a folder with some below it; each is one evaluation."""

    options: Options
    name: ClassVar[str] = "inspect"
    title: ClassVar[str] = "Inspect logs (.eval)"

    def files(self, path: Path) -> tuple[Path, ...]:
        """The .eval files that begin as a zip, torn ones among them."""
        return tuple(file for file in files_below(path, ".eval") if is_zip(file))

    def describe(self, source: Source) -> Described:
        """What the first header that can be read says."""
        header = next((held for held in map(_header, source.files) if held), {})
        said = mapping(header.get("eval"))
        config = mapping(said.get("config"))
        sampling = {
            **info(mapping(mapping(header.get("plan")).get("config")), ()),
            **info(mapping(said.get("model_generate_config")), ()),
        }
        epochs = config.get("epochs")
        packages = mapping(said.get("packages"))
        several = [
            f"{file} is evaluation {place}: it stands at step {place}"
            for place, file in enumerate(source.files)
            if len(source.files) > 1
        ]
        return Described(
            name=text(said.get("task")),
            model=text(said.get("model")),
            dataset=text(mapping(said.get("dataset")).get("name")),
            sampling=sampling,
            limits={key: config[key] for key in ("message_limit", "token_limit") if key in config},
            num_generations=epochs if isinstance(epochs, int) else None,
            created_at=_time(said.get("created")),
            packages={str(name): str(version) for name, version in packages.items()},
            weights=self.options.weights,
            absent={
                "tool calls as they were written": (),
                "whether a scorer failed": ("scorer-errors",),
            },
            inferred=(
                "every score of a scorer is taken for a reward component; C, P, I and N are 1, 0.5,"
                " 0 and 0, as Inspect counts them",
            ),
            passed_over=tuple(several),
        )

    def rollouts(self, source: Source, reading: Reading) -> Iterator[Trajectory]:
        """One rollout a sample and epoch; the files' evaluations stand at steps 0, 1, ..."""
        for step, file in enumerate(source.files):
            size = file.stat().st_size if file.exists() else 0
            try:
                with opened(file) as members:
                    yield from self._of_log(members, file, step, reading)
            except TORN as error:
                reading.damage(file, None, f"the zip can't be read: torn? ({error})")
            reading.advance(size)

    def _of_log(
        self, members: ZipMembers, file: Path, step: int, reading: Reading
    ) -> Iterator[Trajectory]:
        task = _header(file).get("eval", {})
        for place, member in enumerate(members.named("samples/"), 1):
            try:
                sample = members.json(member)
                if not isinstance(sample, Mapping):
                    raise UnusableRow(f"{member.filename} is no JSON object")
                rollout = self._rollout(sample, step, text(mapping(task).get("task")))
            except (*TORN, *UNUSABLE) as error:
                reading.damage(file, place, f"{member.filename}: {error}")
                continue
            yield rollout

    def _rollout(self, sample: Mapping[str, Any], step: int, task: str | None) -> Trajectory:
        blobs: list[Blob] = []
        attached = mapping(sample.get("attachments"))
        raw = [_openai(insist(m, "a message"), attached) for m in sequence(sample.get("messages"))]
        prompt, completion = split(messages(raw, "user", blobs))
        values, others = _scores(mapping(sample.get("scores")))
        scored = components(values, self.options.weights)
        errors = _errors(sample)
        example = text(sample.get("id"))
        finish = _finish(sample)
        return Trajectory(
            run="",
            mode=self.options.mode or Mode.EVAL,
            step=step,
            batch=0,
            attempt=0,
            group_id="" if example is None else f"s{example}",
            sample=0,
            task=task,
            example_id=example,
            finished_at=_time(sample.get("completed_at")),
            question=last_user_text(prompt),
            answer=_target(sample.get("target")),
            info=_info(sample, others),
            prompt=prompt,
            completion=completion,
            tool_results=_tool_results(raw, completion),
            stop_reason="error" if errors else _limit(sample) or finish,
            errors=errors,
            blobs=tuple(blobs),
            components=scored,
            reward=total(scored),
            evidence=TokenEvidence(truncated=None if finish is None else finish in _AT_LIMIT),
        )


def _header(file: Path) -> Mapping[str, Any]:
    """header.json, or what the beginning of a log that was not finished says."""
    try:
        with opened(file) as members:
            for name in ("header.json", "_journal/start.json"):
                for member in members.named(name):
                    return mapping(members.json(member))
    except (*TORN, *UNUSABLE):
        return {}
    return {}


def _openai(message: Mapping[str, Any], attached: Mapping[str, Any]) -> dict[str, Any]:
    """A message of Inspect's in OpenAI's form, with what was stored apart put back."""
    shaped = _put_back({k: message[k] for k in _MESSAGE_FIELDS if k in message}, attached)
    content = shaped.get("content")
    if isinstance(content, list):
        shaped["content"] = [_part(mapping(part)) for part in content]
    if message.get("role") == "tool" and message.get("function") is not None:
        shaped["name"] = message["function"]
    calls = message.get("tool_calls")
    if isinstance(calls, list):
        shaped["tool_calls"] = [_call(mapping(_put_back(call, attached))) for call in calls]
    return dict(shaped)


_MESSAGE_FIELDS = ("role", "content", "tool_call_id", "error")


def _part(part: Mapping[str, Any]) -> Mapping[str, Any]:
    kind = part.get("type")
    if kind == "reasoning":
        return {"type": "reasoning", "text": part.get("reasoning")}
    if kind == "image":
        return {"type": "image_url", "image_url": {"url": part.get("image")}}
    return part


def _call(call: Mapping[str, Any]) -> dict[str, Any]:
    function = {"name": call.get("function"), "arguments": call.get("arguments")}
    return {"id": call.get("id"), "type": "function", "function": function}


def _put_back(value: Any, attached: Mapping[str, Any]) -> Any:
    """The value with `attachment://HASH` replaced by what is attached."""
    if isinstance(value, str) and value.startswith("attachment://"):
        return attached.get(value.removeprefix("attachment://"), value)
    if isinstance(value, Mapping):
        return {key: _put_back(inner, attached) for key, inner in value.items()}
    return [_put_back(inner, attached) for inner in value] if isinstance(value, list) else value


def _tool_results(
    raw: list[dict[str, Any]], completion: tuple[Message, ...]
) -> tuple[ToolResult, ...]:
    """What each call returned or raised, which Inspect keeps apart from the text that was shown."""
    errors = [mapping(message.get("error")) for message in raw][len(raw) - len(completion) :]
    made = {}
    turn, results = -1, []
    for message, error in zip(completion, errors, strict=True):
        if message.role == "assistant":
            turn += 1
            made.update({call.id: (turn, call) for call in message.tool_calls})
        if message.role != "tool" or message.tool_call_id not in made:
            continue
        at, call = made[message.tool_call_id]
        kind = text(error.get("type"))
        results.append(
            ToolResult(
                turn=at,
                call_id=call.id,
                name=call.name,
                arguments=call.arguments,
                result=None if kind else message.text,
                error=f"{kind}: {text(error.get('message'))}" if kind else None,
                malformed=kind == "parsing",
            )
        )
    return tuple(results)


def _scores(scores: Mapping[str, Any]) -> tuple[dict[str, float | None], dict[str, Json]]:
    """(numbers by name, what else the scorers said); a scorer's values are told apart by a dot."""
    numbers: dict[str, float | None] = {}
    others: dict[str, Json] = {}
    for name, score in scores.items():
        value = mapping(score).get("value")
        parts = {f"{name}.{key}": part for key, part in mapping(value).items()} or {name: value}
        for key, part in parts.items():
            if isinstance(part, str) and part in _LETTERS:
                numbers[key] = _LETTERS[part]
            elif part is None or isinstance(part, bool | int | float):
                numbers[key] = number(part, key)
            else:
                others[key] = text(part)
    return numbers, others


def _info(sample: Mapping[str, Any], others: Mapping[str, Json]) -> dict[str, Json]:
    held = info(mapping(sample.get("metadata")), ())
    explained = {
        str(name): text(mapping(score).get("explanation"))
        for name, score in mapping(sample.get("scores")).items()
        if mapping(score).get("explanation")
    }
    return {
        **held,
        "epoch": sample.get("epoch"),
        **({"scores": dict(others)} if others else {}),
        **({"explanations": explained} if explained else {}),
    }


def _errors(sample: Mapping[str, Any]) -> tuple[RolloutError, ...]:
    error = mapping(sample.get("error"))
    if not error:
        return ()
    said = text(error.get("message")) or ""
    kind = said.partition("(")[0] if "(" in said else "Error"
    traceback = text(error.get("traceback"))
    return (RolloutError(where="environment", type=kind, text=said, traceback=traceback),)


def _limit(sample: Mapping[str, Any]) -> str | None:
    kind = text(mapping(sample.get("limit")).get("type"))
    return f"{kind}_limit" if kind else None


def _finish(sample: Mapping[str, Any]) -> str | None:
    """Why the last answer ended."""
    choices = sequence(mapping(sample.get("output")).get("choices"))
    return text(mapping(choices[0]).get("stop_reason")) if choices else None


def _target(value: Any) -> str | None:
    held = sequence(value)
    return text(held[0] if len(held) == 1 else value) or None


def _time(value: Any) -> float | None:
    try:
        return datetime.fromisoformat(value).timestamp()
    except (TypeError, ValueError):
        return None
