"""What a diagnosis looks at: a run as values, read from no file."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from rlvr.diagnosis.ledger import Ledger, Signal, Within
from rlvr.diagnosis.rollouts import Rollouts
from rlvr.parity import Parity
from rlvr.record import Json, MetricRow, RunInfo, Trajectory


@dataclass(frozen=True, kw_only=True)
class RunEvidence:
    """A run's training as a detector sees it.

    `rollouts` holds every training rollout that counts. `contents` are some of them with their
    messages, `details` some with their token details; both are spread over the run and may be
    empty. `vocabulary` has the text of each token id, empty where it was not recorded.
    `disagreeing` are ids that another scoring gave another reward, None where none was scored anew;
    `rescored` are all that were, None where nobody says which.
    `parity` is the training beside an evaluation, None without one.
    `where` is the filter that took these rollouts, `within` the signal of all of them, and
    `cut_groups` counts the groups of which it left some out.
    `superseded` and `not_recorded` count rollouts outside `rollouts`.
    """

    run: str
    rollouts: Rollouts
    info: RunInfo | None = None
    contents: tuple[Trajectory, ...] = ()
    details: tuple[Trajectory, ...] = ()
    vocabulary: tuple[str, ...] = ()
    metrics: tuple[MetricRow, ...] = ()
    disagreeing: frozenset[str] | None = None
    rescored: frozenset[str] | None = None
    parity: Parity | None = None
    superseded: int = 0
    not_recorded: int = 0
    where: str | None = None
    within: Within | None = None
    cut_groups: int = 0
    remarks: tuple[str, ...] = field(default=())

    @cached_property
    def signal(self) -> Signal:
        """Which reasons of the ledger hold for which rollout."""
        marked = self.disagreeing or frozenset()
        return Signal(
            rollouts=self.rollouts,
            named_outcome=self.info.outcome if self.info else None,
            max_lag=self.max_lag,
            scale_rewards=self.info.scale_rewards if self.info else None,
            group_size=self.info.num_generations if self.info else None,
            weights=self.info.components if self.info else {},
            disagreeing=np.array([id in marked for id in self.rollouts.ids], dtype=np.bool_)
            if marked
            else np.zeros(len(self.rollouts), np.bool_),
            within=self.within,
        )

    @cached_property
    def ledger(self) -> Ledger:
        """The ledger of the run."""
        return self.signal.ledger(superseded=self.superseded, not_recorded=self.not_recorded)

    @property
    def max_lag(self) -> int | None:
        """Updates that the sampling weights may lie behind by configuration; None if not known."""
        ahead, iterations = self.setting("num_batches_ahead"), self.setting("num_iterations")
        if not isinstance(ahead, int):
            return None
        return ahead * (iterations if isinstance(iterations, int) else 1)

    @property
    def offers_no_tools(self) -> bool:
        """Whether the run is known to offer no tools; one that was imported may not say."""
        return self.info is not None and not self.info.tools and not self.info.imported_from

    def setting(self, name: str) -> Json:
        """A setting of the trainer's configuration, None where it is not recorded."""
        return self.info.config.get(name) if self.info else None

    def limit(self, name: str) -> int | None:
        """A limit such as max_tokens, max_turns or max_seq_len; None where there is none."""
        value = self.info.limits.get(name) if self.info else None
        return value if isinstance(value, int) and value > 0 else None
