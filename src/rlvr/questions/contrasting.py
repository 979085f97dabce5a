"""What separates success from failure in a run: read in portions, the columns of all rollouts and
the messages of some."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rlvr.analysis.contrast import (
    GROUP_COLUMNS,
    AlignedRow,
    Contrast,
    Portion,
    Rollouts,
    Sibling,
    Split,
    Traits,
    aligned_actions,
    contrast,
    evenly_spread,
    feature_table,
    first_difference,
    portion,
    split_groups,
    telling_pair,
    traits,
    typical_pairs,
)
from rlvr.analysis.outcome import Measure, choose_measure
from rlvr.errors import RecordNotFound
from rlvr.questions.siblings import sibling_of
from rlvr.record import Mode, Part
from rlvr.runs import Run

MOST_GROUPS = 512
"""Groups whose messages are read: with 8 rollouts each some 4,000 rollouts, a few seconds."""

MOST_STEPS = 64
"""Steps that they are taken from: a step is read whole."""

PAIRS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a person wants to be compared; None: chosen as `choose_measure` and `mode_of` say."""

    mode: Mode | None = None
    steps: int | range | None = None
    where: str | None = None
    component: str | None = None
    threshold: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AlignedPair:
    """A success and a failure of one group, action by action.

    `distance` is how untypical their difference is, in standard deviations within groups;
    `first_difference` the row in which they part, None where they never do.
    """

    group_id: str
    step: int
    success: Sibling
    failure: Sibling
    distance: float
    rows: tuple[AlignedRow, ...]
    first_difference: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Contrasted:
    """All that the page says. `unscored` counts rollouts without a value of the measure; `read`
    are the groups whose messages were read, `read_rollouts` their rollouts and `read_steps` the
    steps they are from; `remarks` say what the record lacks. `shown_by` has for the name of each
    effect's feature a success and a failure of one group in which it is most so."""

    run: str
    mode: Mode
    where: str | None
    measure: Measure
    rollouts: int
    unscored: int
    split: Split
    read: int
    read_rollouts: int
    read_steps: int
    prompts: int
    found: Contrast
    pairs: tuple[AlignedPair, ...]
    shown_by: Mapping[str, tuple[str, str]]
    remarks: tuple[str, ...]


def mode_of(run: Run, asked: Mode | None) -> Mode:
    """Training where the run has any, else its evaluations, unless one is asked for."""
    if asked is not None:
        return asked
    return Mode.TRAIN if run.steps(Mode.TRAIN) or not run.steps(Mode.EVAL) else Mode.EVAL


def contrast_run(run: Run, asked: Wanted, *, most_groups: int = MOST_GROUPS) -> Contrasted:
    """What separates success from failure within the groups of a run.

    Raises:
        ConfigurationError: there is no such component.
        RecordNotFound: no rollout matches.
    """
    mode, rollouts, measure, split = _split(run, asked)
    chosen = _portion(run, rollouts, split, most_groups)
    rows = {id: row for row, id in enumerate(rollouts.ids)}
    named, found = [], []
    for id, own in _traits(run, mode, chosen):
        named.append(id)
        found.append(own)
    places = np.array([rows[id] for id in named], np.int64)
    table = feature_table(found)
    success = split.success[places]
    group = np.unique(rollouts.group[places], return_inverse=True)[1]
    prompt = np.unique(rollouts.prompt[places], return_inverse=True)[1]
    effects = contrast(table, success=success, group=group, prompt=prompt)
    pairs = typical_pairs(table, effects, success=success, group=group, count=PAIRS)
    return Contrasted(
        run=run.id,
        mode=mode,
        where=asked.where,
        measure=measure,
        rollouts=len(rollouts),
        unscored=int((~split.scored).sum()),
        split=split,
        read=len(np.unique(group)),
        read_rollouts=len(named),
        read_steps=len(chosen.ids),
        prompts=len(np.unique(prompt)),
        found=effects,
        pairs=tuple(
            _aligned(run, measure, named[pair.success], named[pair.failure], pair.distance)
            for pair in pairs
        ),
        shown_by={
            effect.feature.name: (named[pair[0]], named[pair[1]])
            for effect in effects.effects
            for pair in [telling_pair(table, effect, success=success, group=group)]
            if pair is not None
        },
        remarks=_remarks(run),
    )


def _split(run: Run, asked: Wanted) -> tuple[Mode, Rollouts, Measure, Split]:
    mode = mode_of(run, asked.mode)
    table = run.to_arrow(GROUP_COLUMNS, mode=mode, step=asked.steps, where=asked.where)
    if not table.num_rows:
        raise RecordNotFound(
            f"run {run.id} has no {mode} rollouts{_passing(asked)}; `rlvr list` shows what there"
            " is."
        )
    rollouts = Rollouts(table=table)
    measure = choose_measure(
        rollouts, run.info, component=asked.component, threshold=asked.threshold
    )
    return mode, rollouts, measure, split_groups(rollouts, measure)


def _passing(asked: Wanted) -> str:
    if asked.where is not None:
        return " that pass"
    return "" if asked.steps is None else " at these steps"


def _portion(run: Run, rollouts: Rollouts, split: Split, most: int) -> Portion:
    """The groups whose messages are read, of steps that still have them."""
    without = run.pruning().steps_without(Part.MESSAGES)
    informative = np.unique(rollouts.numbers("step")[split.informative]).astype(int).tolist()
    steps = evenly_spread([step for step in informative if step not in without], MOST_STEPS)
    return portion(rollouts, split, steps, most=most)


def _traits(run: Run, mode: Mode, chosen: Portion) -> Iterator[tuple[str, Traits]]:
    for step, ids in chosen.ids.items():
        wanted = frozenset(ids)
        for trajectory in run.trajectories(mode=mode, step=step, tokens=False):
            if trajectory.id in wanted:
                yield trajectory.id, traits(trajectory)


def _aligned(
    run: Run, measure: Measure, success: str, failure: str, distance: float
) -> AlignedPair:
    won, lost = (run.trajectory(id) for id in (success, failure))
    left, right = (
        sibling_of(one, measure, success=success) for one, success in ((won, True), (lost, False))
    )
    rows = aligned_actions(left.actions, right.actions)
    return AlignedPair(
        group_id=won.group_id,
        step=won.step,
        success=left,
        failure=right,
        distance=distance,
        rows=rows,
        first_difference=first_difference(rows),
    )


def _remarks(run: Run) -> tuple[str, ...]:
    said: Sequence[str] = [*map(str, run.damaged), *run.pruning().sentences]
    return tuple(said)
