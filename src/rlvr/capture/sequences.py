"""Training sequences from the token ids that were really served and sampled."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from rlvr.record import Span


@dataclass(frozen=True, slots=True, kw_only=True)
class SampledTurn:
    """One request: the served prompt's ids, the sampled ids with their logprobs (nats)."""

    prompt_ids: Sequence[int]
    sampled_ids: Sequence[int]
    logprobs: Sequence[float]


@dataclass(slots=True, kw_only=True)
class TokenRow:
    """One training sequence under construction. All lists have one entry a token.

    `turns` holds the assistant turn whose sampled token it is, or -1 for tokens nobody sampled;
    `logprobs` is NaN there. `prompt_tokens` counts the leading tokens that the trainer calls the
    prompt.
    """

    prompt_tokens: int
    ids: list[int] = field(default_factory=list)
    loss_mask: list[int] = field(default_factory=list)
    turns: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)

    def extend_context(self, ids: Sequence[int], *, trained: bool = False) -> None:
        """Append tokens that the model was shown."""
        self.ids.extend(ids)
        self.loss_mask.extend([int(trained)] * len(ids))
        self.turns.extend([-1] * len(ids))
        self.logprobs.extend([float("nan")] * len(ids))

    def extend_sampled(self, turn: int, sampled: SampledTurn) -> None:
        """Append tokens that the model sampled in `turn`."""
        self.ids.extend(sampled.sampled_ids)
        self.loss_mask.extend([1] * len(sampled.sampled_ids))
        self.turns.extend([turn] * len(sampled.sampled_ids))
        self.logprobs.extend(sampled.logprobs)

    def cut(self, length: int) -> bool:
        """Keep the first `length` tokens; say whether any were dropped."""
        if len(self.ids) <= length:
            return False
        for column in (self.ids, self.loss_mask, self.turns, self.logprobs):
            del column[length:]
        self.prompt_tokens = min(self.prompt_tokens, length)
        return True

    def spans(self) -> tuple[Span, ...]:
        """The sequence as runs of prompt, environment and assistant tokens."""
        spans: list[Span] = []
        last_turn, start = -1, 0
        for stop in range(1, len(self.ids) + 1):
            if stop < len(self.ids) and self._run(stop) == self._run(stop - 1):
                continue
            role, turn = self._run(stop - 1)
            last_turn = turn if role == "assistant" else last_turn
            spans.append(
                Span(start=start, stop=stop, role=role, turn=-1 if role == "prompt" else last_turn)
            )
            start = stop
        return tuple(spans)

    def _run(self, index: int) -> tuple[str, int]:
        if self.turns[index] >= 0:
            return "assistant", self.turns[index]
        return ("prompt" if index < self.prompt_tokens else "environment"), -1


def training_rows(turns: Sequence[SampledTurn], *, train_context: bool = False) -> list[TokenRow]:
    """The sequences that train exactly what was sampled in the context that was served.

    A turn whose served prompt extends everything before it continues the sequence. A turn whose
    prompt does not (the server rendered the history to other tokens) starts a new sequence with
    its own prompt as untrained context, so that earlier turns keep their loss in the earlier one.
    `train_context` puts the environment's tokens into the loss too.
    """
    rows: list[TokenRow] = []
    for index, turn in enumerate(turns):
        row = rows[-1] if rows else None
        if row is None or list(turn.prompt_ids[: len(row.ids)]) != row.ids:
            row = TokenRow(prompt_tokens=len(turn.prompt_ids))
            row.extend_context(turn.prompt_ids)
            rows.append(row)
        else:
            row.extend_context(turn.prompt_ids[len(row.ids) :], trained=train_context)
        row.extend_sampled(index, turn)
    return rows
