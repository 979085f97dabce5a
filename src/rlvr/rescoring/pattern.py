"""The pattern of the disagreements, and the sentence that names it. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from rlvr.record.rescore import Change, Pair, Pattern, ScoreRow
from rlvr.rescoring.comparison import TOTAL, TRAINING

_MAIN, _WORKER = "main", "worker"
_FEW = 0.1
"""A side that differs from training on less than this share of the other's is what training saw."""
_NAMED = 4
_THREAD_NAMES = {_MAIN: "the main thread", _WORKER: "a worker thread"}


_REMEDIES = {
    Pattern.THREADS: "make the scorer work in any thread, or train with the repair scorer_timeouts"
    ' (repairs="all") where it is math_verify, whose time limits need signal.alarm and so the main'
    " thread. Rewards trained on until then are not what it says where it works.",
    Pattern.COVERED: "keep that protection: train with the repair scorer_timeouts, or make the"
    " scorer work in any thread. Without it, training would get the worker's values.",
    Pattern.MIXED: "open an example and find which value is right; then make training and"
    " evaluation call the same code, in the same versions.",
    Pattern.CHANGED: "open an example and find which value is right; then make training and"
    " evaluation call the same code, in the same versions.",
    Pattern.UNSTEADY: "give the scorer a seed or temperature 0, and no state of its own; or average"
    " several verdicts.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What else decides what the numbers mean."""

    trained_in: str | None
    repaired: bool
    unsteady: tuple[str, ...]
    packages: tuple[Change, ...]
    scorers: tuple[Change, ...]


def deciding_row(total: ScoreRow, components: Sequence[ScoreRow]) -> ScoreRow:
    """The row to speak of: the component that differs most, if it counts or the total agrees.

    One that training did not have can't be spoken of; then it is the total.
    """
    speaking = [
        row
        for row in components
        if (row.weight != 0.0 or not total.differ)
        and any(pair.same + pair.differ for pair in row.pairs if pair.second == TRAINING)
    ]
    found = max(speaking, key=lambda row: row.differ, default=total)
    return found if found.differ else total


def find_pattern(row: ScoreRow, around: Circumstances) -> Pattern:
    """The pattern of one row."""
    main, worker = row.pair(_MAIN, TRAINING), row.pair(_WORKER, TRAINING)
    threads = row.pair(_MAIN, _WORKER)
    if around.unsteady:
        return Pattern.UNSTEADY
    if threads is not None and threads.differ:
        from_main, from_worker = _differ(main), _differ(worker)
        if from_worker < _FEW * from_main:
            return Pattern.THREADS
        return Pattern.COVERED if from_main < _FEW * from_worker else Pattern.MIXED
    if _differ(main) or _differ(worker):
        return Pattern.CHANGED
    if not any(pair.same for pair in row.pairs):
        return Pattern.UNKNOWN
    return Pattern.AGREES


def sentence(pattern: Pattern, row: ScoreRow, around: Circumstances) -> str:
    """One or two sentences: what was found, in numbers, and what it means."""
    said = {
        Pattern.AGREES: _agrees,
        Pattern.THREADS: _threads,
        Pattern.COVERED: _covered,
        Pattern.MIXED: _mixed,
        Pattern.CHANGED: _changed,
        Pattern.UNSTEADY: _unsteady,
        Pattern.UNKNOWN: _unknown,
    }
    return said[pattern](row, around)


def remedy(pattern: Pattern) -> str:
    """What to do about a pattern; "" where there is nothing."""
    return _REMEDIES.get(pattern, "")


def examples_of(pattern: Pattern, row: ScoreRow) -> tuple[str, str]:
    """The pair of sides whose examples show the pattern."""
    if pattern in (Pattern.COVERED, Pattern.MIXED):
        return _MAIN, _WORKER
    pairs = sorted(row.pairs, key=lambda pair: -pair.differ)
    return (pairs[0].first, pairs[0].second) if pairs else (_MAIN, TRAINING)


def _agrees(row: ScoreRow, _: Circumstances) -> str:
    pairs = [pair for pair in row.pairs if pair.second == TRAINING]
    known = max(pair.same for pair in pairs)
    unknown = max(pair.unknown for pair in pairs)
    threads = " and in ".join(_THREAD_NAMES[pair.first] for pair in pairs)
    rest = f" Of {unknown:,} more it can't be told." if unknown else ""
    alone = " The other thread was not asked." if len(pairs) == 1 else ""
    return (
        f"Scored anew in {threads}, {_rollouts(known)} get what they were trained on.{rest}{alone}"
    )


def _threads(row: ScoreRow, around: Circumstances) -> str:
    where = {
        _WORKER: "and training scored there",
        _MAIN: "and training has what a worker says, though it is recorded to have scored in the"
        " main thread",
    }.get(around.trained_in or "", "and training has what a worker says")
    return f"Off the main thread the scorer gives other results, {where}: {_apart(row)}."


def _covered(row: ScoreRow, around: Circumstances) -> str:
    found = f"Off the main thread the scorer gives other results: {_apart(row)}."
    if around.repaired:
        return (
            f"{found} Training was spared by its repair scorer_timeouts: it has what the main"
            " thread says."
        )
    if around.trained_in == _MAIN:
        return f"{found} This run scored in the main thread, and has what that says."
    return (
        f"{found} Training has what the main thread says, so it did not call this bare scorer in a"
        " worker thread."
    )


def _mixed(row: ScoreRow, around: Circumstances) -> str:
    found = "Off the main thread the scorer gives other results"
    if not any(pair.same + pair.differ for pair in row.pairs if pair.second == TRAINING):
        return f"{found}: {_apart(row)}. What training saw can't be compared."
    return f"{found}, and what training has is neither: {_apart(row)}. {_why_changed(around)}"


def _changed(row: ScoreRow, around: Circumstances) -> str:
    threads = row.pair(_MAIN, _WORKER)
    pair = max(
        (pair for pair in row.pairs if pair.second == TRAINING), key=lambda pair: pair.differ
    )
    agreeing = (
        "Main thread and worker agree with each other, but not with training"
        if threads is not None and threads.same
        else f"The scorer, asked in {_THREAD_NAMES[pair.first]} alone, does not agree with training"
    )
    return f"{agreeing}: {_difference(row, pair)}. {_why_changed(around)}"


def _why_changed(around: Circumstances) -> str:
    packages = [f"{c.name} {c.was or 'absent'}, now {c.now or 'absent'}" for c in around.packages]
    changed = [("packages", packages), ("scorers", [change.name for change in around.scorers])]
    said = [f"{what} ({_some(names)})" for what, names in changed if names]
    if said:
        return f"What is not as it was in training: {' and '.join(said)}."
    return (
        "The scorer's files and packages are those of training, as far as the run says; it may"
        " depend on other code, on files, on the machine, or on the other rollouts of a batch."
    )


def _some(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return "; ".join(names[:_NAMED]) + (f"; {more} more" if more > 0 else "")


def _unsteady(row: ScoreRow, around: Circumstances) -> str:
    return (
        f"The scorer gives other values each time it is asked ({', '.join(around.unsteady)}), which"
        f" alone may be why sides differ: {_means(row)}."
    )


def _unknown(_: ScoreRow, __: Circumstances) -> str:
    return "Nothing could be compared: no rollout has a score in the record and one from here."


def _apart(row: ScoreRow) -> str:
    threads = row.pair(_MAIN, _WORKER)
    assert threads is not None
    return _difference(row, threads)


def _difference(row: ScoreRow, pair: Pair) -> str:
    count = f"{pair.differ:,} of {_rollouts(pair.same + pair.differ)}"
    name = "the reward" if row.name == TOTAL else row.name
    return f"{name} differs on {count} (mean {_means(row)})"


def _means(row: ScoreRow) -> str:
    names = {TRAINING: "as recorded", _MAIN: "on the main thread", _WORKER: "in a worker"}
    means = ((side, column.mean) for side, column in row.columns.items())
    return ", ".join(f"{mean:.3f} {names[side]}" for side, mean in means if mean is not None)


def _rollouts(count: int) -> str:
    return f"{count:,} rollout{'' if count == 1 else 's'}"


def _differ(pair: Pair | None) -> int:
    return pair.differ if pair is not None else 0
