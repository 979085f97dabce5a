"""Two recorded runs, of which a test says what each rollout did and got."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

import numpy as np

from builders import CREATED_AT, run_info
from rlvr.analysis.columns import Columns
from rlvr.codec import encode_vocabulary, to_table
from rlvr.parity.sides import SIDE_COLUMNS, Rescored, Side, keys_of
from rlvr.record import (
    Annotation,
    Component,
    Message,
    Mode,
    RunInfo,
    ScoreStatus,
    Span,
    TokenDetails,
    TokenEvidence,
    ToolCall,
    ToolResult,
    TrainingSequence,
    Trajectory,
    Turn,
)
from rlvr.recorder import Recorder

TRAIN_ID, EVAL_ID = "20261101-090000-aaaa", "20261101-100000-bbbb"
SYSTEM = "Compute with python, then answer in a box."
SCORERS = {"correct": "demo.score 1f2e3d4c5b6a", "format": "demo.form 1f2e3d4c5b6a"}
WEIGHTS = {"correct": 1.0, "format": 0.2}
TEMPLATE = "{% for m in messages %}\n<{{ m.role }}>\n{{ m.content }}\n{% endfor %}"
TOOLS = (
    {
        "type": "function",
        "function": {"name": "python", "parameters": {"properties": {"code": {"type": "string"}}}},
    },
)
MODEL_TEXTS = ("<|system|>", "<|user|>", "Compute", " with", " python", " tools", ".", " Sum", "?")


@dataclass(frozen=True, kw_only=True)
class Act:
    """What one rollout did. `correct` None is a scorer that raised; `states` whether its answer
    holds the reference."""

    correct: float | None = 1.0
    states: bool | None = None
    form: float = 1.0
    unparsed: bool = False
    malformed: bool = False
    tool_fails: bool = False
    calls: int = 1
    stop: str = "finished"
    tokens: int = 40


Plays = Callable[[random.Random, int], Act]
"""What the rollout of an example does: drawn with a chance of its own."""


def solving(share: float, **changes) -> Plays:
    """Right with that chance, more or less by example."""

    def play(draw: random.Random, example: int) -> Act:
        chance = share if share in (0.0, 1.0) else _of_example(share, example)
        right = draw.random() < chance
        return replace(Act(correct=float(right), states=right), **changes)

    return play


def _of_example(share: float, example: int) -> float:
    return random.Random(example).betavariate(4 * share, 4 * (1 - share))


def mixed(parts: Sequence[tuple[float, Plays]]) -> Plays:
    """Each of the plays with its share."""

    def play(draw: random.Random, example: int) -> Act:
        at = draw.random()
        for share, plays in parts:
            if at < share:
                return plays(draw, example)
            at -= share
        return parts[-1][1](draw, example)

    return play


@dataclass(frozen=True, kw_only=True)
class Made:
    """One run: `groups` examples a step, from `first` on, `size` rollouts each."""

    plays: Plays = field(default_factory=lambda: solving(0.3))
    mode: Mode = Mode.TRAIN
    steps: Sequence[int] = tuple(range(8))
    groups: int = 8
    size: int = 8
    first: int = 0
    seed: int = 0
    examples: int | None = None
    system: str = SYSTEM
    details: bool = False
    changes: dict = field(default_factory=dict)
    edit: Callable[[Trajectory], Trajectory] = lambda made: made


def training(**changes) -> Made:
    return Made(**changes)


def evaluation(**changes) -> Made:
    """60 examples that training has too, 4 rollouts each, after step 4."""
    return replace(Made(mode=Mode.EVAL, steps=(4,), groups=60, size=4, seed=1), **changes)


def info(run: str, made: Made) -> RunInfo:
    trained = made.mode is Mode.TRAIN
    base = run_info(
        run=run,
        trainer="rlvr.trainers.EnhancedGRPOTrainer" if trained else "rlvr.evaluation",
        name="sums" if trained else "sums, evaluated",
        model="tiny-qwen3",
        chat_template=TEMPLATE,
        tools=TOOLS,
        system_prompt=made.system,
        sampling={"temperature": 1.0, "top_p": 1.0, "max_tokens": 64},
        limits={"max_tokens": 64, "max_turns": 4, "max_seq_len": 512},
        dataset="sums,train",
        outcome="correct",
        environment={"loader": "demo.sums", "options": {"level": 2}},
        scoring={"thread": "worker" if trained else "main", "scorers": SCORERS},
        components=WEIGHTS,
        num_generations=made.size,
        packages={"torch": "2.13.0", "math-verify": "0.8.0", "vllm": "0.19.0"},
        token_details_every=1 if made.details else 0,
        repairs={"attention": True} if trained else {},
        config={"learning_rate": 1e-6} if trained else {},
    )
    return replace(base, **made.changes)


def record(folder, run: str, *made: Made):
    """The run, written by the real recorder below `folder`; returns its own folder. Its settings
    are those of the first of `made`."""
    with Recorder.open(folder, info=info(run, made[0]), run=run) as recorder:
        for one in made:
            for _, rows in groupby(rollouts_of(run, one), key=lambda row: row.batch):
                recorder.record_batch([replace(row, id=None) for row in rows])
    path = folder / "rlvr" / run
    if any(one.details for one in made):
        (path / "vocabulary.json").write_bytes(encode_vocabulary(MODEL_TEXTS))
    return path


def rescore(
    folder,
    run: str,
    score: Callable[[Trajectory], float | None],
    *,
    source: str = "main",
    keep=lambda row: True,
):
    """Annotations as `rlvr rescore` writes them; `score` gives the value of "correct"."""
    import rlvr

    notes = []
    for row in rlvr.open_run(folder).trajectories():
        if not keep(row):
            continue
        value, form = score(row), row.component("format").value
        total = (value or 0.0) * WEIGHTS["correct"] + form * WEIGHTS["format"]
        notes.append(
            Annotation(
                id=row.id,
                kind="rescore",
                source=source,
                payload={
                    "agrees": abs(total - row.reward) < 1e-6,
                    "reward": total,
                    "components": {
                        "correct": {
                            "value": value,
                            "status": "ok" if value is not None else "error",
                            "error": None,
                        },
                        "format": {"value": form, "status": "ok", "error": None},
                    },
                },
            )
        )
    later = 1_000_000  # an attempt supersedes what was trained from its first step on
    with Recorder.open(folder.parent.parent, run=run, first_step=later) as recorder:
        recorder.annotate(notes)


def side_of(label: str, made: Made, *, rescored: Sequence[Rescored] = (), **changes) -> Side:
    """One side in memory, as a comparison would read it."""
    rollouts = rollouts_of(label, made)
    keys = keys_of(
        [row.question for row in rollouts],
        [row.answer for row in rollouts],
        [row.example_id for row in rollouts],
        [row.group_id for row in rollouts],
    )
    first = dict(zip(reversed(keys), reversed(rollouts), strict=True))
    side = Side(
        label=label,
        run=label,
        place=label,
        called=f"runs/{label.lower()}",
        mode=made.mode,
        columns=Columns(table=to_table(rollouts).select(list(SIDE_COLUMNS))),
        info=info(label, made),
        rescored={again.source: again for again in rescored},
        prompts=dict(list(first.items())[:80]),
        vocabulary=MODEL_TEXTS if made.details else (),
    )
    return replace(side, **changes)


def rollouts_of(run: str, made: Made) -> list[Trajectory]:
    """The rollouts of a run, with the ids that a store would give."""
    draw = random.Random(made.seed)
    found = []
    for batch, step in enumerate(made.steps):
        rows = (
            made.edit(_rollout(run, made, batch, step, group, sample, draw))
            for group in range(made.groups)
            for sample in range(made.size)
        )
        stem = f"{made.mode}-s{step:06d}-b{batch:06d}-a00-r000"
        found += [replace(row, id=f"{stem}-{at:05d}") for at, row in enumerate(rows)]
    return found


def scored_anew(
    made: Made,
    score: Callable[[Trajectory], float],
    *,
    source: str = "main",
    keep: Callable[[int], bool] = lambda row: True,
) -> Rescored:
    """What scoring a side anew gave; `keep` says of which rows."""
    rollouts = rollouts_of("A", made)
    where = np.array([keep(at) for at in range(len(rollouts))])
    values = np.array([score(row) for row in rollouts], dtype=np.float64)
    recorded = np.array([row.component("correct").value or 0.0 for row in rollouts])
    totals = np.array([row.reward for row in rollouts])
    return Rescored(
        source=source,
        where=where,
        disagrees=where & (values != recorded),
        failed=np.isnan(values) & where,
        reward=np.where(where, totals - recorded + values, np.nan),
        components={"correct": np.where(where, values, np.nan)},
    )


def _rollout(run, made: Made, batch: int, step: int, group: int, sample: int, draw) -> Trajectory:
    example = made.first + batch * made.groups + group
    if made.examples is not None:
        example = made.first + (example - made.first) % made.examples
    act = made.plays(draw, example)
    answer = str(1000 + example)
    weights = made.changes.get("components") or WEIGHTS
    values = {"correct": act.correct, "format": act.form}
    status = ScoreStatus.ERROR if act.correct is None else ScoreStatus.OK
    components = tuple(
        Component(
            name=name,
            value=values[name],
            weight=weights[name],
            status=status if name == "correct" else ScoreStatus.OK,
        )
        for name in values
    )
    question = f"Sum of {example} and 1000?"
    states = bool(act.correct) if act.states is None else act.states
    completion, results = _episode(act, answer if states else "7", step)
    return Trajectory(
        run=run,
        mode=made.mode,
        step=step,
        batch=batch,
        attempt=0,
        group_id=f"{made.mode}-b{batch:06d}-g{group:03d}",
        sample=sample,
        task="sums",
        example_id=f"{example}",
        finished_at=CREATED_AT,
        question=question,
        answer=answer,
        prompt=(
            Message(role="system", content=made.system),
            Message(role="user", content=question),
        ),
        completion=completion,
        tool_results=results,
        turns=tuple(
            Turn(
                index=at,
                finish_reason="length" if act.stop == "length" else "stop",
                sampled_tokens=act.tokens,
                policy_version=step,
            )
            for at in range(1 + len(results))
        ),
        stop_reason=act.stop,
        components=components,
        reward=sum((values[name] or 0.0) * weights[name] for name in values),
        advantage=0.0 if made.mode is Mode.TRAIN else None,
        tokens=_details(made, example) if made.details else None,
        evidence=TokenEvidence(
            served_prompt_tokens=6,
            sampled_tokens=act.tokens,
            ids_match=True if made.mode is Mode.TRAIN else None,
        ),
    )


def _episode(act: Act, answer: str, step: int):
    completion, results = [], []
    if act.unparsed:
        text = '<tool_call>\n{"name": "python", "arguments": {"code": "1"}}\n</tool_call>'
        return (Message(role="assistant", content=text),), ()
    for turn in range(act.calls):
        call = ToolCall(id=f"c{turn}", name="python", arguments='{"code": "1"}')
        completion.append(Message(role="assistant", content="", tool_calls=(call,)))
        failed = act.malformed or act.tool_fails
        completion.append(Message(role="tool", content="1", tool_call_id=call.id))
        results.append(
            ToolResult(
                turn=turn,
                call_id=call.id,
                name="python",
                arguments=call.arguments,
                result=None if failed else "1",
                error="ValueError: no" if failed else None,
                malformed=act.malformed,
            )
        )
    if act.stop != "max_turns":
        completion.append(Message(role="assistant", content=f"\\boxed{{{answer}}}"))
    return tuple(completion), tuple(results)


def _details(made: Made, example: int) -> TokenDetails:
    """A prompt of six tokens, whose fourth depends on the system prompt, then an answer of two."""
    last = 4 if made.system == SYSTEM else 5
    ids = (0, 2, 3, last, 1, 7, 8, 8)
    return TokenDetails(
        sequences=(
            TrainingSequence(
                ids=ids,
                loss_mask=(0,) * 6 + (1,) * 2,
                spans=(
                    Span(start=0, stop=6, turn=-1, role="prompt"),
                    Span(start=6, stop=8, turn=0, role="assistant"),
                ),
            ),
        )
    )
