"""Reading many runs for a comparison: which of them count, by which number, and what is amiss."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rlvr.cli.opening import SAMPLES, open_named, open_sample, shown_place
from rlvr.cli.output import say
from rlvr.errors import ConfigurationError, NewerFormat
from rlvr.record import Mode

if TYPE_CHECKING:
    from rlvr.analysis.columns import Columns
    from rlvr.analysis.outcome import Measure
    from rlvr.analysis.replicates import Comparison, Curve, Member, Wanted
    from rlvr.runs import Run

MANY = 20
"""Runs from which on reading takes more than a moment, so that it is said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """A comparison, what it is by, and what is to be said of single runs."""

    comparison: "Comparison"
    measure: "Measure"
    mode: Mode
    remarks: tuple[str, ...]

    @property
    def passes(self) -> bool:
        """Whether evaluations are compared, by their pass rates."""
        return self.mode is Mode.EVAL


@dataclass(kw_only=True)
class _Reader:
    """Reads run after run; the first that has rollouts decides the measure unless one is asked."""

    mode: Mode
    component: str | None
    diagnose: bool
    measure: "Measure | None" = None
    remarks: list[str] = field(default_factory=list)

    def members(self, runs: Sequence["Run"]) -> "Iterator[Member]":
        """The runs that can be compared; why others can't is a remark."""
        for at, run in enumerate(runs):
            if len(runs) > MANY and at % MANY == 0:
                say(f"rlvr: reading run {at + 1} of {len(runs)}")
            member = self._member(run)
            if member is not None:
                yield member
            self.remarks += [f"{run.id}: left out: {damage}" for damage in run.damage_met]

    def _member(self, run: "Run") -> "Member | None":
        from rlvr.analysis.columns import Columns
        from rlvr.analysis.replicates import SCORE_COLUMNS, Member
        from rlvr.record.settings import settings_of

        columns = Columns(table=run.to_arrow(SCORE_COLUMNS, mode=self.mode))
        curve = self._curve(run, columns)
        if curve is None:
            return None
        info = run.info
        if info is None:
            self.remarks.append(f"{run.id} has no run.json, so none of its settings is known.")
        self.remarks += _resumed(run)
        return Member(
            id=run.id,
            place=shown_place(run.place),
            settings=settings_of(info) if info else {},
            curve=curve,
            attempts=len(run.attempts),
            findings=_findings(run) if self.diagnose else None,
        )

    def _curve(self, run: "Run", columns: "Columns") -> "Curve | None":
        from rlvr.analysis.replicates import read_curve

        kind = "training" if self.mode is Mode.TRAIN else "evaluation"
        if not len(columns):
            self.remarks.append(f"{run.id} is left out: it has no {kind} rollouts.")
            return None
        measure = self._measure(run, columns)
        if measure.component is not None and measure.component not in columns.component_names:
            has = ", ".join(columns.component_names[:6]) or "none"
            self.remarks.append(
                f"{run.id} is left out: it has no component {measure.component} (it has {has});"
                " --component reward compares the totals."
            )
            return None
        curve = read_curve(columns, measure, passes=self.mode is Mode.EVAL)
        if not curve.scored.any():
            self.remarks.append(f"{run.id} is left out: no rollout has a value of {measure.name}.")
            return None
        if curve.unscored:
            self.remarks.append(
                f"{run.id}: {curve.unscored:,} of {curve.rollouts:,} rollouts have no finite"
                f" {measure.name} and are left out of its means."
            )
        return curve

    def _measure(self, run: "Run", columns: "Columns") -> "Measure":
        from rlvr.analysis.outcome import TOTAL, Measure, choose_measure

        if self.component is not None:
            named = self.component
            total = named == TOTAL and TOTAL not in columns.component_names
            measure = Measure(component=None if total else named)
        else:
            measure = choose_measure(columns, run.info)
        if self.measure is None:
            self.measure = measure
        elif measure.component != self.measure.component:
            self.remarks.append(
                f"{run.id} would be judged by {measure.name}; all are compared by"
                f" {self.measure.name}."
            )
        return self.measure


def compare_named(
    named: Sequence[str],
    wanted: "Wanted",
    *,
    sample: bool = False,
    component: str | None = None,
    mode: Mode | None = None,
    diagnose: bool = False,
) -> Compared:
    """The runs that are named, or lie in the folders that are, beside each other.

    Raises:
        ConfigurationError: none is named, none has what is asked for, or no setting is called so.
        RunNotFound: nothing recorded lies at one of the places.
    """
    from dataclasses import replace

    from rlvr.analysis.replicates import compare_members

    remarks: list[str] = []
    runs = [open_sample(name).run for name in SAMPLES] if sample else _open_all(named, remarks)
    if not runs:
        raise ConfigurationError(
            "name runs or folders of runs, or use --sample; `rlvr list` shows what there is."
        )
    trained = any(run.steps(Mode.TRAIN) for run in runs)
    mode = mode or (Mode.TRAIN if trained else Mode.EVAL)
    reader = _Reader(mode=mode, component=component, diagnose=diagnose, remarks=remarks)
    members = list(reader.members(runs))
    if not members or reader.measure is None:
        raise ConfigurationError(f"none of {len(runs)} runs can be compared. {' '.join(remarks)}")
    if mode is Mode.EVAL:
        # A run of an evaluation has one step, which says of which training's step it is.
        wanted = replace(wanted, all_steps=True)
    return Compared(
        comparison=compare_members(members, wanted),
        measure=reader.measure,
        mode=mode,
        remarks=tuple(remarks),
    )


def _open_all(named: Sequence[str], remarks: list[str]) -> "list[Run]":
    """Every run once, oldest first; one that a newer rlvr wrote is left out, with a remark."""
    from rlvr.remote import local_path
    from rlvr.runs import Run, find_runs, run_folders

    found: list[Run] = []
    for name in named:
        local = local_path(name)
        folders = run_folders(local) if local is not None and local.is_dir() else []
        if local is None:
            found += find_runs(name)
        elif not folders:
            found.append(open_named(name, foreign=True).run)
        for folder in folders:
            try:
                run = Run(folder)
                _ = run.attempts
            except NewerFormat as error:
                remarks.append(f"{folder.name} is left out: {error}")
                continue
            found.append(run)
    once = {run.path.resolve(): run for run in found}
    return sorted(once.values(), key=lambda run: (run.started_at, run.id))


def _resumed(run: "Run") -> list[str]:
    """What is to be said of a run that was started more than once, or goes on."""
    found = []
    changed = sorted({name for attempt in run.attempts for name in attempt.changed})
    if changed:
        some = ", ".join(changed[:6])
        found.append(f"{run.id} was resumed with other settings than it began with: {some}.")
    if run.status().alive:
        found.append(f"{run.id} is still being written.")
    return found


def _findings(run: "Run") -> tuple[str, ...]:
    """Codes of what the diagnosis finds, notes left out."""
    from rlvr.diagnosis import diagnose_run
    from rlvr.diagnosis.finding import Severity

    say(f"rlvr: diagnosing {run.id}")
    return tuple(f.code for f in diagnose_run(run).findings if f.severity is not Severity.NOTE)
