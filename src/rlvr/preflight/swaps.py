"""Does the trainer's forward see the prompt and the tool results that the policy answered?"""

from collections.abc import Callable, Sequence

from rlvr.capture.sequences import TokenRow
from rlvr.preflight.dry_batch import DryBatch
from rlvr.preflight.forwards import Rows, logprobs, rows_of
from rlvr.preflight.thresholds import STILL
from rlvr.record.check import Check, CheckStatus

PROMPT_SEEN, TOOLS_SEEN = "trainer sees the prompt", "trainer sees tool results"


def prompt_seen_check(dry: DryBatch) -> tuple[Check, ...]:
    """Swap prompts between rollouts and compare the logprobs of trained tokens."""
    rows = rows_of(dry)
    prompts = [row.ids[: row.prompt_tokens] for row in rows.rows]
    others = [*prompts[1:], prompts[0]]

    def swapped(number: int, row: TokenRow) -> list[int]:
        places = [at for at in range(row.prompt_tokens) if not _asks(row, at)]
        return _with_other(row.ids, places, others[number])

    return (_seen_check(dry, rows, swapped, name=PROMPT_SEEN, what="the prompt"),)


def tools_seen_check(dry: DryBatch) -> tuple[Check, ...]:
    """Overwrite tool results and compare the logprobs of trained tokens."""
    rows = rows_of(dry, later_turns=True)

    def swapped(_: int, row: TokenRow) -> list[int]:
        shown = [at for at in range(row.prompt_tokens, len(row.ids)) if row.turns[at] < 0]
        places = [at for at in shown if not _asks(row, at)]
        return _with_other(row.ids, places, row.ids[: row.prompt_tokens])

    return (_seen_check(dry, rows, swapped, name=TOOLS_SEEN, what="tool results"),)


def _asks(row: TokenRow, at: int) -> bool:
    """Whether the next token was sampled: its prediction is made here, where this one is seen."""
    return at + 1 < len(row.ids) and row.turns[at + 1] >= 0


def _with_other(ids: Sequence[int], places: Sequence[int], source: Sequence[int]) -> list[int]:
    """The ids with those of `source` at the places, as many, so that no token moves.

    Where these are the same ones they are turned round.
    """
    there = [ids[at] for at in places]
    taken = [source[number % len(source)] for number in range(len(places))]
    changed = list(ids)
    for at, token in zip(places, taken if taken != there else there[::-1], strict=True):
        changed[at] = token
    return changed


def _seen_check(
    dry: DryBatch,
    rows: Rows,
    swapped: Callable[[int, TokenRow], list[int]],
    *,
    name: str,
    what: str,
) -> Check:
    ids = rows.ids.clone()
    for number, row in enumerate(rows.rows):
        ids[number, : len(row.ids)] = ids.new_tensor(swapped(number, row))
    before, again = logprobs(dry.trainer, rows), logprobs(dry.trainer, rows)
    after = logprobs(dry.trainer, rows, ids=ids)
    line = max(STILL, 10 * float((again - before).abs().max()))
    moved = (after - before).abs().amax(dim=1)
    blind = int((moved <= line).sum())
    code = "context-not-attended"
    if not blind:
        return Check(
            name=name,
            status=CheckStatus.PASS,
            sentence=f"With {what} swapped for other text, logprobs move in each of"
            f" {len(rows.rows)} rollouts tried, by {float(moved.min()):.2g} nats or more.",
            code=code,
        )
    return Check(
        name=name,
        status=CheckStatus.FAIL,
        sentence=f"With {what} swapped for other text, no logprob moves (by more than {line:.0e}"
        f" nats) in {blind} of {len(rows.rows)} rollouts tried: the trainer does not see {what}.",
        remedy="an attention mask of ones over all real tokens, apart from the loss mask: the"
        ' repair attention (repairs="all")',
        code=code,
    )
