"""What was trained: cheap evidence for every trajectory, and token details when asked for."""

from collections.abc import Sequence
from dataclasses import dataclass

FORWARD_EVIDENCE = "forward_evidence"
"""Kind of the annotations by which a process adds to rank 0's records what its forward showed of
the rollouts that it trained. The payload has fields of FORWARD_FIELDS."""

FORWARD_FIELDS = (
    "attended_share",
    "unattended_prompt_tokens",
    "unattended_environment_tokens",
    "unattended_sampled_tokens",
    "gap_mean",
    "gap_p99",
    "gap_beyond_1nat",
    "gap_mean_by_turn",
    "gap_tokens_by_turn",
    "entropy_mean",
)
"""The fields of TokenEvidence that only the process knows that trained the rollout."""


FORWARD_TOKENS = "forward_tokens"
"""Kind of the annotations that hold the same process's attention mask, logprobs and entropies of
every token, where token details are kept: lists by training sequence of packed numbers."""

UPDATE_EVIDENCE = "update_evidence"
"""Kind of the annotations that say of each update that trained a rollout how much of it was
clipped. Their `update` counts the optimizer updates that were complete before it. The payload has
`rank`, `micro_batches` (by training sequence), `clipped_share` and, with a reference, `kl_mean`."""

UPDATE_TOKENS = "update_tokens"
"""Kind of the annotations with the logprobs of each such update, where token details are kept:
`trainer_logprobs` and, with a reference, `reference_logprobs`, lists by training sequence of packed
numbers, one for each token with a loss."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenEvidence:
    """Evidence on the tokens of one trajectory that is recorded always. Logprobs are in nats.

    `gap_*` is |trainer logprob - sampler logprob| over the sampled tokens that were trained;
    `gap_mean_by_turn` and `gap_tokens_by_turn` split it by assistant turn (NaN and 0 where a turn
    has none). `attended_share` is the share of the non-padding tokens that attention could see;
    `unattended_*` counts those that it could not, by who wrote them. `sequences` counts the
    training sequences; more than one means that the server re-tokenised the history. `ids_match`
    says that the trained ids are exactly the served and sampled ones; where they are not,
    `mismatch_sequence` and `mismatch_token` name the first token that differs, both from 0, and
    `mismatch_turn` the assistant turn in whose request or answer it stands. `clipped_share` is the
    share of the trained tokens whose ratio was clipped, the mean over the updates that trained the
    rollout: the first of them starts from the weights of the old logprobs and clips none.
    """

    served_prompt_tokens: int | None = None
    trained_prompt_tokens: int | None = None
    sampled_tokens: int | None = None
    trained_tokens: int | None = None
    sampled_untrained_tokens: int | None = None
    trained_unsampled_tokens: int | None = None
    sequence_tokens: int | None = None
    attended_share: float | None = None
    unattended_prompt_tokens: int | None = None
    unattended_environment_tokens: int | None = None
    unattended_sampled_tokens: int | None = None
    sequences: int | None = None
    ids_match: bool | None = None
    mismatch_sequence: int | None = None
    mismatch_turn: int | None = None
    mismatch_token: int | None = None
    truncated: bool | None = None
    gap_mean: float | None = None
    gap_p99: float | None = None
    gap_beyond_1nat: float | None = None
    gap_mean_by_turn: tuple[float, ...] | None = None
    gap_tokens_by_turn: tuple[int, ...] | None = None
    entropy_mean: float | None = None
    clipped_share: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Tokens `start` to `stop` (exclusive) of a sequence that one turn and role wrote.

    `role` is "prompt", "assistant" or "environment"; `turn` is the assistant turn, from 0, that
    the tokens belong to or follow (-1 for the prompt).
    """

    start: int
    stop: int
    turn: int
    role: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingSequence:
    """One sequence that the trainer ran forward and backward. All lengths are that of `ids`.

    `attended` is the attention mask that was really used, None if not known. Logprobs and
    entropies are in nats and aligned with the token they belong to; NaN where there is none (the
    first token, tokens that nobody sampled). `trainer_logprobs` are those that the loss calls old,
    from before the first update; `reference_logprobs` has the tokens with a loss alone.
    """

    ids: Sequence[int]
    loss_mask: Sequence[int]
    spans: tuple[Span, ...]
    attended: Sequence[int] | None = None
    sampler_logprobs: Sequence[float] | None = None
    trainer_logprobs: Sequence[float] | None = None
    reference_logprobs: Sequence[float] | None = None
    entropy: Sequence[float] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenDetails:
    """All training sequences of one trajectory.

    `expected_ids` has the served and sampled ids of each sequence that should have been trained,
    where they are not those that were; None where they are, or where nobody knows.
    """

    sequences: tuple[TrainingSequence, ...]
    expected_ids: tuple[Sequence[int], ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrajectoryUpdate:
    """One optimizer update that trained a rollout.

    `update` counts the updates that were complete before it, so that the first of a batch has the
    batch's step and the weights of the old logprobs. `rank` is the process that trained it.
    `micro_batches` has the micro-batch of each training sequence within the update, from 0, None
    where it was not trained. `clipped_share` is the share of the trained tokens whose ratio was
    clipped; `kl_mean` their mean KL to the reference, in nats, None without one.

    Logprobs, in nats, by training sequence: aligned with its ids, NaN where a token has no loss.
    None without token details, or where the trainer cut the sequence otherwise than is recorded.
    """

    update: int
    rank: int
    micro_batches: tuple[int | None, ...]
    clipped_share: float | None = None
    kl_mean: float | None = None
    trainer_logprobs: tuple[Sequence[float] | None, ...] | None = None
    reference_logprobs: tuple[Sequence[float] | None, ...] | None = None
