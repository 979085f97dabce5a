"""What is known of a run as a whole, of one attempt at it, and what is learnt later."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rlvr.record.trajectory import Json

EVALUATION = "rlvr.evaluation"
"""What stands as the trainer of a run that only evaluates."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunInfo:
    """What a comparison of two runs needs. Written once by rank 0 before the first batch.

    `repairs` maps each repair's name to whether it is on. `components` maps each reward
    component to its weight. `token_details_every`: token details are kept of each step that is a
    multiple of it, 0 for none, None if not known. `command` has its secrets masked.

    `dataset` is the spec of what was trained on, or of what an evaluation asked; `eval_dataset`
    that of the evaluations inside a training. `outcome` names the component that says whether an
    answer is right. `environment` says how to load the environment again: `loader`, a module with
    `load_environment`, and its `options`. `scoring` says how it scored: `thread`, "main" or
    "worker", and `scorers`, which maps each component to the function behind it and a hash of its
    source. In a run of an evaluation `num_generations` counts the rollouts of each example.

    A run that another tool wrote names its source in `imported_from`. `absent` maps what that does
    not hold to the codes of the causes that can't be judged without it; `inferred` has a sentence
    on each thing that was concluded rather than read.
    """

    run: str
    created_at: float
    name: str | None = None
    trainer: str | None = None
    model: str | None = None
    model_parameters: int | None = None
    chat_template: str | None = None
    tools: tuple[Mapping[str, Json], ...] = ()
    system_prompt: str | None = None
    sampling: Mapping[str, Json] = field(default_factory=dict)
    limits: Mapping[str, Json] = field(default_factory=dict)
    dataset: str | None = None
    eval_dataset: str | None = None
    outcome: str | None = None
    environment: Mapping[str, Json] = field(default_factory=dict)
    scoring: Mapping[str, Json] = field(default_factory=dict)
    components: Mapping[str, float] = field(default_factory=dict)
    num_generations: int | None = None
    scale_rewards: bool | None = None
    config: Mapping[str, Json] = field(default_factory=dict)
    repairs: Mapping[str, bool] = field(default_factory=dict)
    inference: str | None = None
    world_size: int = 1
    token_details_every: int | None = None
    packages: Mapping[str, str] = field(default_factory=dict)
    python: str | None = None
    command: str | None = None
    commit: str | None = None
    dirty: bool | None = None
    imported_from: str | None = None
    absent: Mapping[str, Sequence[str]] = field(default_factory=dict)
    inferred: Sequence[str] = ()

    @property
    def is_evaluation(self) -> bool:
        """Whether the run only evaluates: its evaluations are no part of a training."""
        return self.trainer == EVALUATION


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One start of the process group. `first_step` is the step that it resumed from."""

    attempt: int
    started_at: float
    first_step: int
    world_size: int = 1
    command: str | None = None
    changed: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotation:
    """Later knowledge of one trajectory.

    The newest (`written_at`) of each (id, kind, source, update) wins. `update` is the optimizer
    update it belongs to, None where it belongs to none.
    """

    id: str
    kind: str
    source: str
    payload: Mapping[str, Json]
    update: int | None = None
    written_at: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricRow:
    """What the trainer logged at one step."""

    step: int
    attempt: int
    mode: str
    values: Mapping[str, float]
    logged_at: float
