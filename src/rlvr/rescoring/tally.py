"""What many rescored rollouts come to: counts and means, of bounded size. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rlvr.record import ScoreStatus, Trajectory
from rlvr.record.rescore import (
    Pair,
    RescoreExample,
    ScoreColumn,
    Scored,
    ScoreRow,
    ScoringThread,
)
from rlvr.rescoring.comparison import (
    NOT_IN_RECORD,
    TOTAL,
    TRAINING,
    Agreement,
    agreement,
    errors_of,
    recorded,
    same,
    status_of,
)

EXAMPLES = 5
_MESSAGE_CHARS = 160
_MESSAGES = 200

Sides = tuple[str, str]


@dataclass(slots=True)
class _Column:
    values: int = 0
    sum: float = 0.0
    statuses: Counter[str] = field(default_factory=Counter)

    def add(self, value: float | None, status: str) -> None:
        self.statuses[status] += 1
        if value is not None:
            self.values += 1
            self.sum += value

    def frozen(self) -> ScoreColumn:
        mean = self.sum / self.values if self.values else None
        return ScoreColumn(values=self.values, mean=mean, statuses=dict(self.statuses))


@dataclass(slots=True)
class _Row:
    weight: float | None = None
    columns: dict[str, _Column] = field(default_factory=dict)
    pairs: dict[Sides, Counter[bool | None]] = field(default_factory=dict)

    def frozen(self, name: str) -> ScoreRow:
        return ScoreRow(
            name=name,
            weight=self.weight,
            columns={side: column.frozen() for side, column in self.columns.items()},
            pairs=tuple(
                Pair(
                    first=sides[0],
                    second=sides[1],
                    same=counts[True],
                    differ=counts[False],
                    unknown=counts[None],
                )
                for sides, counts in self.pairs.items()
            ),
        )


class Tally:
    """Adds up rollouts. `threads` are those that score, in the order of the report."""

    def __init__(self, threads: Sequence[ScoringThread]) -> None:
        self._sides = [TRAINING, *(str(thread) for thread in threads)]
        self._rows: dict[str, _Row] = {}
        self._total = _Row()
        self._examples: dict[Sides, list[RescoreExample]] = {}
        self.failures: Counter[tuple[str, str]] = Counter()
        self.missing: dict[str, tuple[str, ...]] = {}
        self.unsteady: dict[str, None] = {}
        self.scored = 0
        self.repeated = 0

    def add(
        self, trajectory: Trajectory, scores: Mapping[ScoringThread, Scored]
    ) -> Mapping[Sides, Agreement]:
        """Count a rollout; each pair of its sides, held against each other."""
        sides = {TRAINING: recorded(trajectory)} | {str(t): s for t, s in scores.items()}
        self.scored += any(scored.reward is not None for scored in scores.values())
        for scored in scores.values():
            self._note(scored)
        names = dict.fromkeys(one.name for scored in sides.values() for one in scored.components)
        for side, scored in sides.items():
            self._column(self._total, side).add(scored.reward, _total_status(scored))
            for name in names:
                component = scored.component(name)
                row = self._rows.setdefault(name, _Row())
                if component is not None and component.weight is not None:
                    row.weight = component.weight
                value = component.value if component is not None else None
                self._column(row, side).add(value, status_of(scored, component, name))
        found = {pair: _held(sides, pair) for pair in self._pairs() if set(pair) <= set(sides)}
        for pair, agrees in found.items():
            self._count(self._total, pair, agrees.reward)
            for name in names:
                self._count(self._rows[name], pair, agrees.components.get(name))
            if agrees.differs:
                self._example(trajectory, sides, pair, agrees)
        return found

    def repeat(
        self, first: Mapping[ScoringThread, Scored], again: Mapping[ScoringThread, Scored]
    ) -> None:
        """Count a second scoring in the same threads: what differs from the first is unsteady."""
        self.repeated += 1
        for one, two in ((first[thread], again[thread]) for thread in first if thread in again):
            if one.failure is not None or two.failure is not None:
                continue
            for component in one.components:
                twin = two.component(component.name)
                if twin is None or same(component.value, twin.value) is False:
                    self.unsteady[component.name] = None
            if same(one.reward, two.reward) is False and not self.unsteady:
                self.unsteady[TOTAL] = None

    @property
    def total(self) -> ScoreRow:
        """The row of the total reward."""
        return self._total.frozen(TOTAL)

    @property
    def components(self) -> tuple[ScoreRow, ...]:
        """The row of each component, in the order of the record."""
        return tuple(row.frozen(name) for name, row in self._rows.items())

    def examples(self, first: str, second: str) -> tuple[RescoreExample, ...]:
        """The first few rollouts on which those two sides differ."""
        return tuple(self._examples.get((first, second), ()))

    def commonest_failures(self, count: int) -> tuple[tuple[str, int], ...]:
        """The messages of failed scorers, each with its component and how often it came."""
        return tuple(
            (f"{name}: {text}" if name else text, often)
            for (name, text), often in self.failures.most_common(count)
        )

    def _pairs(self) -> list[Sides]:
        threads = self._sides[1:]
        pairs = [(thread, TRAINING) for thread in threads]
        return [*pairs, (threads[0], threads[1])] if len(threads) > 1 else pairs

    def _note(self, scored: Scored) -> None:
        for name, text in errors_of(scored):
            key = name, text[:_MESSAGE_CHARS]
            if key in self.failures or len(self.failures) < _MESSAGES:
                self.failures[key] += 1
        for name, keys in (scored.missing or {}).items():
            self.missing[name] = tuple(dict.fromkeys((*self.missing.get(name, ()), *keys)))

    def _column(self, row: _Row, side: str) -> _Column:
        return row.columns.setdefault(side, _Column())

    def _count(self, row: _Row, pair: Sides, agrees: bool | None) -> None:
        row.pairs.setdefault(pair, Counter())[agrees] += 1

    def _example(
        self, trajectory: Trajectory, sides: Mapping[str, Scored], pair: Sides, agrees: Agreement
    ) -> None:
        held = self._examples.setdefault(pair, [])
        if len(held) == EXAMPLES:
            return
        name = next((n for n, same in agrees.components.items() if same is False), TOTAL)
        parts = {side: scored.component(name) for side, scored in sides.items()}
        values = {side: part.value if part is not None else None for side, part in parts.items()}
        if name == TOTAL:
            values = {side: scored.reward for side, scored in sides.items()}
        errors = {side: part.error for side, part in parts.items() if part and part.error}
        held.append(
            RescoreExample(
                id=trajectory.id or "",
                step=trajectory.step,
                name=name,
                values=values,
                errors=errors,
            )
        )


def _held(sides: Mapping[str, Scored], pair: Sides) -> Agreement:
    first, second = pair
    if second == TRAINING:
        return agreement(sides[TRAINING], sides[first], an_error_counts=False)
    return agreement(sides[first], sides[second], an_error_counts=True)


def _total_status(scored: Scored) -> str:
    """The worst that happened to a component of it."""
    if scored.reward is None:
        return status_of(scored, None, TOTAL)
    worst = [status_of(scored, component, component.name) for component in scored.components]
    ranked = (NOT_IN_RECORD, ScoreStatus.TIMEOUT, ScoreStatus.ERROR)
    return next((str(status) for status in ranked if status in worst), ScoreStatus.OK)
