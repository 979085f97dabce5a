"""Score recorded completions anew, write down what came of it, and say where sides disagree."""

import importlib.util
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rlvr.errors import ConfigurationError, MissingDependency
from rlvr.record import RESCORE, Annotation, Json, Mode, RunInfo, Trajectory
from rlvr.record.rescore import Change, RescoreReport, Scored, ScoringThread
from rlvr.rescoring.asking import ScorerProcess
from rlvr.rescoring.comparison import TRAINING, Agreement, status_of
from rlvr.rescoring.pattern import (
    Circumstances,
    deciding_row,
    examples_of,
    find_pattern,
    remedy,
    sentence,
)
from rlvr.rescoring.protocol import Ready, Setup
from rlvr.rescoring.selection import Selection, chosen, select
from rlvr.rescoring.tally import Sides, Tally
from rlvr.rescoring.writing import RescoreWriter
from rlvr.runs import Run, open_run
from rlvr.store import LocalStore, Store

TIMEOUT_S = 30.0
PATIENCE = 10
BOTH = (ScoringThread.MAIN, ScoringThread.WORKER)

_AHEAD = 16  # rollouts in memory that wait for their scores
_FIRST_REPEATED = 4
_REPEATED = 16
_FAILURES = 5

Progress = Callable[[int, int], None]
Scores = Mapping[ScoringThread, Scored]


def rescore(
    run: Run | str | Path,
    *,
    environment: str | None = None,
    options: Mapping[str, Any] | None = None,
    mode: Mode | None = None,
    step: int | range | None = None,
    where: str | None = None,
    limit: int | None = None,
    threads: Sequence[ScoringThread] = BOTH,
    timeout_s: float = TIMEOUT_S,
    patience: int = PATIENCE,
    keep: bool = True,
    store: Store | None = None,
    on_progress: Progress = lambda *_: None,
) -> RescoreReport:
    """Run an environment's scorer over recorded completions, in each of the threads.

    The run may still be written: what is found is added as annotations of the kind `rescore`, in
    files of their own. Everything scores in processes apart, so that a scorer that hangs or crashes
    costs one rollout.

    Args:
        run: a run, or a path as `rlvr.open_run` takes it.
        environment: the module that loads the environment, as verifiers' load_environment takes it;
            unless given, the one that the run names, with the options that it was loaded with.
        options: of its loader, over those of the run.
        mode: train or eval; by default what was trained on, if anything was.
        step: one step, or a range of them.
        where: an expression, as `Run.trajectories` takes it.
        limit: score so many at most, spread evenly over the steps.
        threads: where to score.
        timeout_s: seconds that the scoring of one rollout may take.
        patience: rollouts in a row that may hang or crash a thread's scorer before it is given up.
        keep: False stores nothing.
        store: where annotations go, by default into the run.
        on_progress: called with how many of how many are scored.

    Raises:
        RunNotFound: there is no run at the path.
        ConfigurationError: no scorer, no such option, no such rollouts.
        MissingDependency: verifiers, or what the environment needs, is not installed.
        ScorerUnavailable: the process that scores does not start.
        StoreError: an annotation can't be written; what was written before stays.
    """
    if importlib.util.find_spec("verifiers") is None:
        raise MissingDependency(
            "scoring runs a verifiers environment and needs the train extra:"
            " pip install 'rlvr[train]'"
        )
    started = time.monotonic()
    opened = run if isinstance(run, Run) else open_run(run)
    info = opened.info or RunInfo(run=opened.id, created_at=0.0)
    setup = _setup(info, environment, options or {})
    selection = select(opened, mode=mode, step=step, where=where, limit=limit)
    writer = RescoreWriter(store or LocalStore(opened.path)) if keep else None
    tally, skipped = Tally(threads), Counter[str]()
    with ExitStack() as stack:
        scorers = [
            stack.enter_context(
                ScorerProcess(replace(setup, thread=thread), timeout_s=timeout_s, patience=patience)
            )
            for thread in threads
        ]
        ready = [scorer.ready() for scorer in scorers]
        around = _Around(info=info, loader=setup.loader, ready=ready[0])
        if writer is not None:
            stack.callback(writer.flush)  # also after an interruption
        rollouts = chosen(opened, selection, skipped)
        for done, (trajectory, scores) in enumerate(_scored(scorers, rollouts), start=1):
            agreements = tally.add(trajectory, scores)
            if _repeats(tally, done, scores, agreements):
                tally.repeat(scores, next(_scored(scorers, iter([trajectory])))[1])
            if writer is not None:
                writer.add(_annotations(trajectory, scores, agreements, around))
            on_progress(done + skipped.total(), selection.count)
    gave_up = [scorer.thread for scorer in scorers if scorer.gave_up]
    return _report(
        opened,
        selection,
        tally,
        around,
        threads=threads,
        skipped=skipped,
        gave_up=gave_up,
        written=writer.written if writer else None,
        duration_s=time.monotonic() - started,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Around:
    """What scored, and what it is held against."""

    info: RunInfo
    loader: str
    ready: Ready

    @property
    def packages(self) -> tuple[Change, ...]:
        """Packages that are not those of training, and the interpreter."""
        was = dict(self.info.packages) | ({"python": self.info.python} if self.info.python else {})
        now = {**self.ready.packages, "python": self.ready.python}
        return tuple(
            Change(name=name, was=version, now=now.get(name))
            for name, version in was.items()
            if now.get(name) != version
        )

    @property
    def scorers(self) -> tuple[Change, ...]:
        """Components whose function or source is not that of training."""
        recorded = self.info.scoring.get("scorers")
        if not isinstance(recorded, Mapping):
            return ()
        was = {str(name): str(source) for name, source in recorded.items()}
        now = self.ready.scorers
        return tuple(
            Change(name=name, was=was.get(name), now=now.get(name))
            for name in dict.fromkeys((*was, *now))
            if was.get(name) != now.get(name)
        )


def _setup(info: RunInfo, environment: str | None, options: Mapping[str, Any]) -> Setup:
    """Which scorer to load: the one that is named, else the run's own."""
    recorded = info.environment.get("options")
    loader = environment or info.environment.get("loader")
    if not isinstance(loader, str):
        raise ConfigurationError(
            f"run {info.run} does not say how its environment is loaded. Name the module with its"
            " load_environment by --environment, and its options by --option NAME=VALUE; or give"
            " the environment an `origin` (rlvr.environments.settings.Origin) before you train."
        )
    own = recorded if environment is None and isinstance(recorded, Mapping) else {}
    return Setup(
        loader=loader,
        options={**own, **options},
        given=frozenset(options),
        unique=info.repairs.get("scorer_errors", True),
        tools=info.tools,
        packages=tuple(info.packages),
    )


def _scored(
    scorers: Sequence[ScorerProcess], rollouts: Iterator[Trajectory]
) -> Iterator[tuple[Trajectory, Scores]]:
    """Every rollout with the scores that it got, in order; a few are asked for ahead."""
    waiting: deque[tuple[Trajectory, dict[ScoringThread, Future[Scored | None]]]] = deque()

    def first() -> tuple[Trajectory, Scores]:
        trajectory, asked = waiting.popleft()
        answers = ((thread, answer.result()) for thread, answer in asked.items())
        return trajectory, {thread: scored for thread, scored in answers if scored is not None}

    for trajectory in rollouts:
        asked = {scorer.thread: scorer.ask(trajectory) for scorer in scorers}
        waiting.append((trajectory, asked))
        if len(waiting) > _AHEAD:
            yield first()
    while waiting:
        yield first()


def _repeats(
    tally: Tally, done: int, scores: Scores, agreements: Mapping[Sides, Agreement]
) -> bool:
    """Whether to score this one twice: the first few, and more of those that disagree."""
    if any(scored.failure is not None for scored in scores.values()):
        return False
    differs = any(agreement.differs for agreement in agreements.values())
    return done <= _FIRST_REPEATED or (differs and tally.repeated < _REPEATED)


def _annotations(
    trajectory: Trajectory, scores: Scores, agreements: Mapping[Sides, Agreement], around: _Around
) -> list[Annotation]:
    scored_with: Json = {
        "loader": around.loader,
        "packages": {change.name: change.now for change in around.packages},
    }
    return [
        Annotation(
            id=trajectory.id or "",
            kind=RESCORE,
            source=str(thread),
            payload=_payload(scored, agreements[str(thread), TRAINING], scored_with),
            written_at=time.time(),
        )
        for thread, scored in scores.items()
    ]


def _payload(scored: Scored, agrees: Agreement, scored_with: Json) -> dict[str, Json]:
    components: dict[str, Json] = {
        component.name: {
            "value": component.value,
            "status": status_of(scored, component, component.name),
            "error": component.error,
            "agrees": agrees.components.get(component.name),
        }
        for component in scored.components
    }
    return {
        "agrees": agrees.reward,
        "reward": scored.reward,
        "components": components,
        "failure": scored.failure,
        "scored_with": scored_with,
    }


def _report(
    run: Run,
    selection: Selection,
    tally: Tally,
    around: _Around,
    *,
    threads: Sequence[ScoringThread],
    skipped: Mapping[str, int],
    gave_up: Sequence[ScoringThread],
    written: int | None,
    duration_s: float,
) -> RescoreReport:
    total, components, info = tally.total, tally.components, around.info
    trained_in = info.scoring.get("thread")
    circumstances = Circumstances(
        trained_in=trained_in if isinstance(trained_in, str) else None,
        repaired=info.repairs.get("scorer_timeouts", False),
        unsteady=tuple(tally.unsteady),
        packages=around.packages,
        scorers=around.scorers,
    )
    row = deciding_row(total, components)
    pattern = find_pattern(row, circumstances)
    return RescoreReport(
        run=run.id,
        loader=around.loader,
        mode=selection.mode,
        steps=selection.steps,
        threads=tuple(map(str, threads)),
        selected=selection.count,
        of=selection.of,
        scored=tally.scored,
        skipped=dict(skipped),
        trained_in=circumstances.trained_in,
        repaired=circumstances.repaired,
        total=total,
        components=components,
        pattern=pattern,
        headline=sentence(pattern, row, circumstances),
        remedy=remedy(pattern),
        examples=tally.examples(*examples_of(pattern, row)),
        packages=circumstances.packages,
        scorers=circumstances.scorers,
        repeated=tally.repeated,
        unsteady=circumstances.unsteady,
        failures=tally.commonest_failures(_FAILURES),
        missing=tally.missing,
        remarks=tuple(str(damaged) for damaged in run.damaged)
        + tuple(f"The {thread} thread was given up: too many got no score." for thread in gave_up),
        written=written,
        duration_s=duration_s,
    )
