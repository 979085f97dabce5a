"""Where a check draws its line, and why there. What diagnosis has a line for is drawn there."""

CALLS_LOST = 0.5
"""Share of tool calls that stay text or do not parse. A server without the model's parser loses
all of them; a policy that can be trained writes most of them well (5 % are malformed at the start
of the demo's healthy training). Half lies far from both."""

FEW_CALLS = 4
"""Calls below which a lost one may be the policy's own slip: a server without a parser loses four
of four, a policy that loses one in ten does so once in ten thousand times."""

RESTARTED = 0.5
"""Share of later turns whose served prompt does not begin with the tokens before it. A chat
template that rewrites history does it in nearly every turn; re-tokenisation that came out another
way, which training survives, in some per cent (2 % of rollouts in the demo)."""

CUT = 0.2
"""Share of rollouts that end at a limit of tokens. The demo's healthy training has 1 %; where a
fifth is cut, a fifth of the scores judge the limit and not the policy."""

STILL = 1e-6
"""Nats that a logprob must move by when the context is swapped, at least, and ten times what two
equal forwards differ by. A masked context moves it by exactly 0, a seen one by whole nats."""

MEASURABLE = 0.5
"""Mean nats that a changed weight must move logprobs by before its way to the sampler is judged.
Rounding of a sampler in bfloat16 makes at most 0.07 (see `GAP` of rlvr.diagnosis.thresholds), and
the old and the new weights are told apart by a factor of two."""
