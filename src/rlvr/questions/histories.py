"""Read what is known of one example, or of all, over the steps of a run."""

import difflib
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rlvr.errors import ConfigurationError, RecordNotFound
from rlvr.record import Mode, Part

if TYPE_CHECKING:
    import pyarrow as pa

    from rlvr.analysis.histories import Course, Visit
    from rlvr.analysis.outcome import Measure
    from rlvr.record import Trajectory
    from rlvr.runs import Run

_COMPARED = 5_000
_ANSWER_CHARS = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A final answer of one visit: how many rollouts gave it, how many of them solve the example,
    and the id of the first."""

    text: str
    rollouts: int
    solved: int
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """One example in one mode. The answers are those of the first and of the last visit, empty
    where their messages were pruned; `outputs` counts the different completions, None if not
    known."""

    mode: Mode
    course: "Course"
    visits: "tuple[Visit, ...]"
    outputs: int | None
    first_answers: tuple[Answer, ...]
    last_answers: tuple[Answer, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """All that is known of one example; `solved_from` is the value that solves it."""

    name: str
    question: str | None
    answer: str | None
    measure: "Measure"
    solved_from: float
    histories: tuple[History, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """The columns of the rollouts that pass `where`, what success is read from, and the examples'
    names by row."""

    run: "Run"
    rows: "pa.Table"
    where: str | None
    measure: "Measure"
    solved_from: float
    names: Sequence[str]

    def of(self, mode: Mode, name: str | None = None) -> "pa.Table":
        """The rows of one mode, and of one example."""
        import pyarrow as pa
        import pyarrow.compute as pc

        wanted: Any = pc.equal(self.rows["mode"], pa.scalar(mode.value))
        if name is not None:
            named: Any = pa.array([known == name for known in self.names], pa.bool_())
            wanted = pc.and_(wanted, named)
        return self.rows.filter(wanted)

    def courses(self, mode: Mode, name: str | None = None) -> "tuple[Course, ...]":
        """The course of each example of one mode."""
        from rlvr.analysis.histories import courses

        return courses(self.of(mode, name), self.measure, solved_from=self.solved_from)


def read_table(
    run: "Run",
    *,
    component: str | None,
    threshold: float | None,
    steps: int | range | None = None,
    where: str | None = None,
) -> Table:
    """The columns of every rollout of the run, or of those that pass.

    Raises:
        ConfigurationError: there is no such component, or `where` is wrong.
        RecordNotFound: the run has no such rollouts.
    """
    from rlvr.analysis.columns import Columns
    from rlvr.analysis.histories import HISTORY_COLUMNS, example_names
    from rlvr.analysis.outcome import choose_measure

    rows = run.to_arrow(HISTORY_COLUMNS, step=steps, where=where)
    if not rows.num_rows:
        passing = " that pass" if where is not None else "" if steps is None else " at these steps"
        raise RecordNotFound(
            f"run {run.id} has no rollouts{passing}; `rlvr list` shows what there is."
        )
    columns = Columns(table=rows)
    measure = choose_measure(columns, run.info, component=component, threshold=threshold)
    return Table(
        run=run,
        rows=rows,
        where=where,
        measure=measure,
        solved_from=measure.solved_from(measure.values(columns)),
        names=example_names(rows),
    )


def named_example(table: Table, named: str) -> str:
    """The example of that id, the only one that begins so, or that of a trajectory.

    Raises:
        RecordNotFound: there is none; names close ones.
        ConfigurationError: several begin so.
    """
    names = list(dict.fromkeys(table.names))
    if named in names:
        return named
    fitting = [name for name in names if name.startswith(named)]
    if not fitting:
        ids: list[Any] = table.rows["id"].to_pylist()
        pairs = zip(ids, table.names, strict=True)
        fitting = list(dict.fromkeys(name for id, name in pairs if id.startswith(named)))
    if len(fitting) == 1:
        return fitting[0]
    if not fitting:
        raise RecordNotFound(_no_such(table.run, named, names))
    some = ", ".join(fitting[:4])
    raise ConfigurationError(
        f"{named!r} fits {len(fitting)} examples ({some}, ...); name one of them."
    )


def _no_such(run: "Run", named: str, names: Sequence[str]) -> str:
    inside = [name for name in names if named.lower() in name.lower()][:3]
    close = inside or difflib.get_close_matches(named, names[:_COMPARED], 3, 0.5)
    hint = f" Close ones: {', '.join(close)}." if close else ""
    return f"no example of run {run.id} is called {named!r}.{hint} `rlvr prompt RUN` lists them."


def read_example(table: Table, name: str) -> Example:
    """The visits of one example in both modes, training first."""
    histories = []
    for mode in (Mode.TRAIN, Mode.EVAL):
        rows = table.of(mode, name)
        if rows.num_rows:
            histories.append(_history(table, mode, rows, name))
    first = next(_members(table.run, histories[0].mode, histories[0].visits[0]), None)
    return Example(
        name=name,
        question=first.question if first else None,
        answer=first.answer if first else None,
        measure=table.measure,
        solved_from=table.solved_from,
        histories=tuple(histories),
    )


def _history(table: Table, mode: Mode, rows: "pa.Table", name: str) -> History:
    from rlvr.analysis.histories import visits_of

    visits = visits_of(rows, table.measure, solved_from=table.solved_from)
    hashes: list[str | None] = rows["derived_text_hash"].to_pylist()
    (course,) = table.courses(mode, name)
    last = () if len(visits) == 1 else _answers(table, mode, visits[-1])
    return History(
        mode=mode,
        course=course,
        visits=visits,
        outputs=None if None in hashes else len(set(hashes)),
        first_answers=_answers(table, mode, visits[0]),
        last_answers=last,
    )


def question_of(table: Table, mode: Mode, name: str) -> str | None:
    """The question of an example, from its first rollout."""
    rows = table.of(mode, name).slice(0, 1).to_pylist()
    if not rows:
        return None
    found = table.run.trajectories(
        mode=mode, step=rows[0]["step"], group=rows[0]["group_id"], tokens=False
    )
    first = next(iter(found), None)
    return first.question if first else None


def _members(run: "Run", mode: Mode, visit: "Visit") -> Any:
    """The rollouts of a visit."""
    wanted = frozenset(visit.ids)
    found = run.trajectories(mode=mode, step=visit.step, group=visit.group_id, tokens=False)
    return (member for member in found if member.id in wanted)


def _answers(table: Table, mode: Mode, visit: "Visit") -> tuple[Answer, ...]:
    """The different answers of a visit, the most common first."""
    if visit.step in table.run.pruning().steps_without(Part.MESSAGES):
        return ()
    given: dict[str, list[tuple[str, bool]]] = {}
    for member in _members(table.run, mode, visit):
        given.setdefault(_said(member), []).append((member.id, _solves(table, member)))
    counts = Counter({text: len(by) for text, by in given.items()})
    return tuple(
        Answer(
            text=text,
            rollouts=count,
            solved=sum(solves for _, solves in given[text]),
            id=given[text][0][0],
        )
        for text, count in counts.most_common()
    )


def _said(trajectory: "Trajectory") -> str:
    """The final answer; without one the end of what was said last."""
    from rlvr.utils.conversation import shown_text
    from rlvr.utils.statistics import extract_trajectory_stats

    answer = extract_trajectory_stats(trajectory)["final_answer"]
    if answer is not None:
        return " ".join(answer[:_ANSWER_CHARS].split())
    spoken = [message for message in trajectory.completion if message.role == "assistant"]
    last = " ".join(shown_text(spoken[-1])[-_ANSWER_CHARS:].split()) if spoken else ""
    return f"(no answer) {last}".rstrip()


def _solves(table: Table, trajectory: "Trajectory") -> bool:
    if table.measure.component is None:
        value = trajectory.reward
    else:
        part = trajectory.component(table.measure.component)
        value = part.value if part else None
    return value is not None and math.isfinite(value) and value >= table.solved_from


def tallies(courses: "Sequence[Course]") -> Mapping[str, int]:
    """How many examples changed in which way."""
    from rlvr.analysis.histories import Change

    counts = Counter(course.change for course in courses)
    return {change.value: counts[change] for change in Change}
