"""The two things compared, as values: columns, settings, and what was scored anew."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from rlvr.analysis.columns import Columns, Floats, Ints, Mask
from rlvr.record import Mode, RunInfo, Trajectory
from rlvr.record.rescore import ScoringThread

SIDE_COLUMNS = (
    "id",
    "step",
    "group_id",
    "example_id",
    "question",
    "answer",
    "stop_reason",
    "rewards",
    "reward",
    "served_prompt_tokens",
    "sampled_tokens",
    "derived_num_turns",
    "derived_num_tool_calls",
    "derived_num_tool_errors",
    "derived_num_malformed_calls",
    "derived_num_scorer_failures",
    "derived_num_cut_turns",
    "derived_policy_version",
    "derived_reference_in_answer",
    "derived_unparsed_call",
    "derived_prompt_hash",
)
"""The columns that a comparison reads, one row a rollout."""

MAIN, WORKER = ScoringThread.MAIN.value, ScoringThread.WORKER.value
"""The threads in which `rlvr rescore` scores, which are the sources of its annotations."""


@dataclass(frozen=True, kw_only=True)
class Rescored:
    """What scoring anew in one thread gave each rollout of a side, NaN where it gave nothing.

    `where` marks the rollouts that were scored anew, `disagrees` those whose reward is another one,
    `failed` those of which a component's scorer gave nothing this time.
    """

    source: str
    where: Mask
    disagrees: Mask
    failed: Mask
    reward: Floats
    components: Mapping[str, Floats] = field(default_factory=dict)

    def values(self, measure: str | None) -> Floats:
        """Of a component, or of the total with None; NaN where its scorer failed, or gave none."""
        if measure is None:
            return np.where(self.failed, np.nan, self.reward)
        missing = np.full(len(self.where), np.nan)
        return self.components.get(measure, missing)


@dataclass(frozen=True, kw_only=True)
class Side:
    """The rollouts of one mode of a run, over some steps.

    `place` is the run's folder, `called` how commands name it, and `chosen` says why these steps.
    `prompts` has one rollout with its messages, and with its token details where these were kept,
    for each example whose prompts are compared, by `keys`. `vocabulary` has the text of each token
    id.
    """

    label: str
    run: str
    place: str
    called: str
    mode: Mode
    columns: Columns
    chosen: str = ""
    info: RunInfo | None = None
    rescored: Mapping[str, Rescored] = field(default_factory=dict)
    prompts: Mapping[str, Trajectory] = field(default_factory=dict)
    vocabulary: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.columns)

    @property
    def noun(self) -> str:
        """What people call it."""
        return "training" if self.mode is Mode.TRAIN else "evaluation"

    @cached_property
    def steps(self) -> tuple[int, ...]:
        """The steps that have rollouts."""
        steps = np.unique(self.columns.numbers("step"))
        return tuple(int(step) for step in steps)

    @cached_property
    def keys(self) -> list[str]:
        """What names the example of each rollout: its question and reference answer, since ids
        count rows of a dataset that may be another one; without a question the id, else the group.
        """
        return keys_of(
            self.columns.texts("question"),
            self.columns.texts("answer"),
            self.columns.texts("example_id"),
            [f"{self.label} {group}" for group in self.columns.texts("group_id")],
        )

    @property
    def thread(self) -> str | None:
        """The thread in which it was scored, None where the run does not say."""
        thread = self.info.scoring.get("thread") if self.info else None
        return thread if isinstance(thread, str) else None

    def failed(self, measure: str | None) -> Mask:
        """Rollouts whose scorer raised or timed out: that of the component, or any with None."""
        failures = self.columns.numbers("derived_num_scorer_failures") > 0
        if measure is None:
            return np.asarray(failures)
        return np.asarray(failures & np.isnan(self._component(measure)))

    def values(self, measure: str | None) -> Floats:
        """The component's value of each rollout as training counted it, or the total with None.

        A failed scorer counts 0, as in training; NaN where there is none for another reason.
        """
        if measure is None:
            return self.columns.numbers("reward")
        values = self._component(measure)
        return np.where(self.failed(measure), 0.0, values)

    def _component(self, name: str) -> Floats:
        if name not in self.columns.component_names:
            return np.full(len(self), np.nan)
        return self.columns.component(name)


def keys_of(
    questions: Sequence[str | None],
    answers: Sequence[str | None],
    ids: Sequence[str | None],
    groups: Sequence[str],
) -> list[str]:
    """The key of each rollout's example; see `Side.keys`."""
    return [
        f"q {question}\0{answer or ''}"
        if question
        else f"i {id}\0{answer or ''}"
        if id
        else f"g {group}"
        for question, answer, id, group in zip(questions, answers, ids, groups, strict=True)
    ]


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Both sides, their examples counted together."""

    a: Side
    b: Side

    def name(self, side: Side) -> str:
        """How sentences call a side: training or evaluation, or A or B where both are one kind."""
        return side.label if self.a.mode is self.b.mode else side.noun

    @cached_property
    def clusters(self) -> tuple[Ints, Ints]:
        """The example of each rollout as a whole number that is the same on both sides."""
        places: dict[str, int] = {}
        found = [
            np.array([places.setdefault(key, len(places)) for key in side.keys], dtype=np.int64)
            for side in (self.a, self.b)
        ]
        return found[0], found[1]

    @cached_property
    def count(self) -> int:
        """How many examples there are on either side."""
        return int(max((codes.max() for codes in self.clusters if len(codes)), default=-1)) + 1

    @cached_property
    def shared(self) -> Mask:
        """Which examples are on both sides. Shape (count,)."""
        a, b = (np.bincount(codes, minlength=self.count) > 0 for codes in self.clusters)
        return np.asarray(a & b)

    def examples(self, of: int) -> int:
        """How many examples side 0 (A) or 1 (B) has."""
        return len(np.unique(self.clusters[of]))
