"""Where the line is drawn, and why there. Shares are between 0 and 1, logprobs in nats."""

FLAT_SPREAD = 1e-6
"""Rewards of a group that differ by less are equal: they are computed in float32, and their
advantages stay below 0.01 beside GRPO's epsilon of 1e-4."""

RECENT_SHARE = 1 / 3
RECENT_STEPS = 10
"""What "now" means in a run: its last third, but ten steps at least, so that a mean over it holds
some eighty groups of an ordinary batch."""

UNAFFECTED = 0.01
"""Defects of masks, ids and context are in the code: a sound trainer has none at all. Up to this
share is put down to a rollout that a kill or a limit cut in an unusual way."""

GAP = 0.1
"""Mean |trainer - sampler| logprob beyond which the two did not see the same text or weights.
Rounding alone stays below: `python benchmarks/diagnosis/gap_baseline.py` measures it in float32
and bfloat16."""
