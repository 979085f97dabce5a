"""Does the scorer say the same in the thread that trains, and does it know a right answer?"""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from rlvr.capture.rollout import CAPTURE_KEY, RolloutCapture
from rlvr.preflight.dry_batch import DryBatch, Example, Undecidable, in_a_worker, in_this_thread
from rlvr.record import ScoreStatus
from rlvr.record.check import Check, CheckStatus

THREADS, GOLD = "scorer in any thread", "gold answers score"
_EXAMPLES = 6
_THOUGHT = "<think>\nI know it.\n</think>\n"  # some parsers read nothing without it
_SAME = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One completion to score. `way` says how it was written: "sampled", "empty", or a form."""

    way: str
    example: Example
    completion: Any
    state: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """What the rubric made of an attempt. `errors` are its scorers' exceptions, by component."""

    reward: float
    components: Mapping[str, float]
    errors: Mapping[str, str]


@runtime_checkable
class WritesGold(Protocol):
    """An environment that knows how its gold answers are written."""

    def gold_completion(self, example: Example) -> Any:
        """A completion that deserves the full reward: text, or messages."""
        ...


def scorer_checks(dry: DryBatch) -> tuple[Check, ...]:
    """Score sampled and hand-made completions in the main thread and in a worker."""
    if not dry.examples:
        raise Undecidable("there is no prompt to score an answer to")
    attempts = _attempts(dry)
    work = functools.partial(_score, dry.view.rubric, attempts)
    worker = in_a_worker(work)
    gold = _gold_check(attempts, worker)
    try:
        main = in_this_thread(work)
    except Undecidable as reason:
        return (_unknown(THREADS, str(reason), "scorer-disagrees"), gold)
    threads = _threads_check(
        attempts, main, worker, again=lambda: (in_this_thread(work), in_a_worker(work))
    )
    if threads.status is CheckStatus.FAIL and gold.status is not CheckStatus.PASS:
        # What training would see is the worker's; the scorer itself is judged where it works.
        gold = _gold_check(attempts, main)
    return (threads, gold)


def _attempts(dry: DryBatch) -> list[Attempt]:
    attempts = [
        Attempt(way="sampled", example=r.example, completion=r.completion, state=r.state)
        for r in (group[0] for group in dry.groups[:_EXAMPLES])
    ]
    states = {str(a.example.prompt): a.state for a in attempts}
    for example in dry.examples[:_EXAMPLES]:
        state = states.get(str(example.prompt), {})
        for way, completion in _written(dry.trainer.env, example).items():
            attempts.append(Attempt(way=way, example=example, completion=completion, state=state))
    return attempts


def _written(env: Any, example: Example) -> dict[str, Any]:
    """An empty answer, and the gold one in every form that we know, or as the environment does."""
    if isinstance(env, WritesGold):
        forms = {"gold_completion": env.gold_completion(example)}
    elif example.answer:
        forms = {
            "<answer>…</answer>": f"<answer>{example.answer}</answer>",
            "\\boxed{…}": f"\\boxed{{{example.answer}}}",
            "plain text": example.answer,
        }
        forms |= {f"<think>…</think>{way}": f"{_THOUGHT}{text}" for way, text in forms.items()}
    else:
        forms = {}
    as_text = isinstance(example.prompt, str)
    return {
        way: text
        if as_text or not isinstance(text, str)
        else [{"role": "assistant", "content": text}]
        for way, text in {"empty": "", **forms}.items()
    }


async def _score(rubric: Any, attempts: Sequence[Attempt]) -> list[Score]:
    return [await _score_one(rubric, attempt) for attempt in attempts]


async def _score_one(rubric: Any, attempt: Attempt) -> Score:
    example, capture = attempt.example, RolloutCapture()
    fresh = {"id": 0, "responses": [], "turn": 1, "task": example.task, "info": example.info}
    state = {
        **fresh,
        **attempt.state,
        "prompt": example.prompt,
        "answer": example.answer,
        "completion": attempt.completion,
        "timing": {"generation_ms": 0.0, "scoring_ms": 0.0, "total_ms": 0.0},
        CAPTURE_KEY: capture,
    }
    scored = await rubric.score_rollout(
        example.prompt, attempt.completion, example.answer, state, example.task, dict(example.info)
    )
    return Score(
        reward=float(scored.reward),
        components=dict(scored.metrics),
        errors={
            name: outcome.error or outcome.status
            for name, outcome in capture.scores.items()
            if outcome.status is not ScoreStatus.OK
        },
    )


def _threads_check(
    attempts: Sequence[Attempt], main: Sequence[Score], worker: Sequence[Score], *, again: Any
) -> Check:
    failing = _first_error(main) or _first_error(worker)
    if failing is not None:
        name, error = failing
        return Check(
            name=THREADS,
            status=CheckStatus.FAIL,
            sentence=f"The scorer {name} raised on a completion: {error}. It would count as 0.0.",
            remedy=f"mend {name}: it must return a number for every completion, also an empty one",
            code="scorer-errors",
        )
    apart = _apart(main, worker)
    if not apart:
        return Check(
            name=THREADS,
            status=CheckStatus.PASS,
            sentence=f"{len(attempts)} completions score the same in the main thread and in a"
            " worker, where training scores.",
            code="scorer-disagrees",
        )
    steady = [
        not _apart([one], [two])
        for pair in zip((main, worker), again(), strict=True)
        for one, two in ((pair[0][at], pair[1][at]) for at in apart)
    ]
    where = apart[0]
    differing = (
        f"{len(apart)} of {len(attempts)} completions score otherwise in the main thread and in a"
        f" worker, where training scores: {_quoted(attempts[where])} gets"
        f" {main[where].reward:.2f} there and {worker[where].reward:.2f} in training"
    )
    if not all(steady):
        return _unknown(
            THREADS,
            f"{differing}; but the scorer gives other values each time it is asked",
            "scorer-disagrees",
        )
    return Check(
        name=THREADS,
        status=CheckStatus.FAIL,
        sentence=f"{differing}.",
        remedy="training scores off the main thread, where signal.alarm (math_verify's time limit)"
        ' raises: the repair scorer_timeouts (repairs="all"), or parsing_timeout=None and'
        " timeout_seconds=None in the scorer",
        code="scorer-disagrees",
    )


def _first_error(scores: Sequence[Score]) -> tuple[str, str] | None:
    return next((entry for score in scores for entry in score.errors.items()), None)


def _apart(one: Sequence[Score], two: Sequence[Score]) -> list[int]:
    """Places where two scorings give another total or another component."""
    return [
        at
        for at, (a, b) in enumerate(zip(one, two, strict=True))
        if abs(a.reward - b.reward) > _SAME
        or any(abs(a.components[n] - b.components.get(n, 0.0)) > _SAME for n in a.components)
    ]


def _gold_check(attempts: Sequence[Attempt], scores: Sequence[Score]) -> Check:
    by_way: dict[str, list[Score]] = {}
    for attempt, score in zip(attempts, scores, strict=True):
        by_way.setdefault(attempt.way, []).append(score)
    empty, sampled = by_way.pop("empty"), by_way.pop("sampled", [])
    if not by_way:
        return _unknown(
            GOLD, "the dataset has no answers to write down for the scorer", "scorer-silent"
        )
    knows = {
        way: [_above(g, e) for g, e in zip(gold, empty, strict=True)]
        for way, gold in by_way.items()
    }
    way = max(by_way, key=lambda name: (sum(knows[name]), _mean(by_way[name])))
    gold, right = by_way[way], knows[way]
    if not any(right):
        values = {round(score.reward, 6) for score in (*gold, *empty, *sampled)}
        flat = f"; the {len(sampled)} sampled ones tried score the same" if len(values) == 1 else ""
        return _unknown(
            GOLD,
            f"gold answers, written as {', '.join(by_way)}, score {_mean(gold):.2f} as empty ones"
            f" do{flat}: either the scorer wants another form, or it does not see the answer. A"
            " method gold_completion(example) of the environment would say how to write one",
            "scorer-silent",
        )
    full = _full(gold, empty)
    said = f"written as {way} they score {_mean(gold):.2f}, empty ones {_mean(empty):.2f}"
    if all(right):
        parts = f" ({', '.join(full)} in full)" if full else ""
        return Check(
            name=GOLD,
            status=CheckStatus.PASS,
            sentence=f"{len(gold)} gold answers are recognised: {said}{parts}.",
            code="scorer-silent",
        )
    missed = next(
        attempt
        for attempt, ok in zip((a for a in attempts if a.way == way), right, strict=True)
        if not ok
    )
    return Check(
        name=GOLD,
        status=CheckStatus.FAIL,
        sentence=f"{right.count(False)} of {len(gold)} gold answers score no more than an empty one"
        f" ({said} on average); one is {_quoted(missed)}.",
        remedy="print what the scorer reads out of that completion: a gold answer that is not"
        " recognised can never be rewarded, however right the policy is",
        code="scorer-silent",
    )


def _above(gold: Score, empty: Score) -> bool:
    return gold.reward > empty.reward + _SAME


def _full(gold: Sequence[Score], empty: Sequence[Score]) -> list[str]:
    """Components that are 1.0 for every gold answer and less for every empty one."""
    return [
        name
        for name in gold[0].components
        if all(score.components.get(name, 0.0) >= 1.0 - _SAME for score in gold)
        and all(score.components.get(name, 0.0) < 1.0 - _SAME for score in empty)
    ]


def _mean(scores: Sequence[Score]) -> float:
    return sum(score.reward for score in scores) / len(scores)


def _quoted(attempt: Attempt) -> str:
    said = attempt.completion
    text = said if isinstance(said, str) else str(said[-1].get("content") or "") if said else ""
    shown = " ".join(text.split())
    return f'"{shown if len(shown) <= 60 else shown[:57] + "..."}"'


def _unknown(name: str, because: str, code: str) -> Check:
    return Check(name=name, status=CheckStatus.UNKNOWN, sentence=f"{because}.", code=code)
