"""Where the line is drawn, and why there. Shares are between 0 and 1, logprobs in nats."""

RECENT_SHARE = 1 / 3
RECENT_STEPS = 10
"""What "now" means in a run: its last third, but ten steps at least, so that a mean over it holds
some eighty groups of an ordinary batch."""

UNAFFECTED = 0.01
"""Defects of masks, ids and context are in the code: a sound trainer has none at all. Up to this
share is put down to a rollout that a kill or a limit cut in an unusual way."""

GAP = 0.2
"""Mean |trainer - sampler| logprob beyond which the two did not see the same text or weights.
Rounding alone stays below: `python benchmarks/diagnosis/gap_baseline.py` measures at most 0.07 on
average and 0.09 in a rollout (bfloat16 against float32, 28 layers), and 3e-6 in float32; one update
of lag adds less than 0.001. With `--temperatures 0.7 1.3 --layers 28` the worst rollout of all has
0.13 (at 0.7, bfloat16 against float32; 0.10 against autocast, 0.06 where both are bfloat16), and
512 sampled tokens (`--tokens 512 --layers 4 --rollouts 1`) have no more of it than 48. Single
defects of a trainer lie above: at least 0.46 in the demo, by
`python benchmarks/diagnosis/gap_of_defects.py`."""

GAP_COMMON = 0.5
"""Share of rollouts beyond GAP that makes it the run's own: a prompt, a history or weights that
differ do so for nearly all of them."""

GAP_SOME = 0.05
"""Share of rollouts beyond GAP that is worth a look; of the calibration's none is."""

EARLY_SHARE = 1 / 3
"""What "at first" means in a run: its first third."""

LARGE_MAJORITY = 0.75
"""A habit of more rollouts than this leaves a group of four one rollout without it on average, and
so nothing to compare: the advantage is no longer about what the task asks."""

COSTLY_HABIT = 0.1
"""Rollouts that end without an answer (cut, out of turns), or whose calls fail. One of ten is what
an early batch may have; the healthy sample has 1 % (`rlvr show --sample repaired`)."""

MALFORMED_CALLS = 0.2
"""Of the calls. The demo's policy writes one of ten malformed when its training starts, and learns
not to within some steps (`rlvr show --sample repaired`): twice that is no beginning any more."""

FAILING_CALLS = 0.5
"""Of a tool's calls that raise or return an error. What an interpreter says to code that a policy
wrote wrong is an error too, and a policy that learns writes wrong code often; a tool that fails
more often than it answers is worth a look whoever is at fault. For errors that no policy can
cause, such as a refused connection, COSTLY_HABIT is enough."""

FLAT_NOTED = 0.2
FLAT_COSTLY = 0.5
"""Share of groups without spread. They add nothing to a batch's gradient, so a share f leaves the
noise of a batch that is 1 - f as large: a quarter more variance from one fifth on, which is worth
knowing, and twice the variance from one half on, which costs as many steps again."""

FLAT_HOPELESS = 0.9
"""Share of groups without spread and unsolved from which a run stands still: of a batch of eight
groups less than one teaches on average."""

WRONG_REWARDS = 0.1
"""Share of rollouts with a wrong reward from which more groups of eight hold one than do not
(1 - 0.9^8 = 57 %): then most baselines, and with them most advantages, are wrong."""

SILENT = 0.5
"""Share of rollouts stating the reference answer with a score of nothing, beyond which the scorer
says no more often than yes to answers that look right."""

STATING_GROUPS = 10
"""Groups with the reference answer from which the last steps are judged alone: where all of them
get nothing, the interval's lower bound is 0.60, above SILENT."""

CONTRADICTED = 0.05
"""Share of answers with no score although the same words got the full score in the same group. A
scorer that is a function of the answer has none; a judge that samples may have a few."""

CONSTANT = 0.2
CONSTANT_FOR_SURE = 0.05
"""A component with one single value is called constant when the interval rules out that one group
in five has another one (27 groups), and constant for sure at one in twenty (127 groups), so that a
hard task in its first steps is no error yet."""

SATURATED = 0.95
"""Share of rollouts at a component's best value beyond which it can't tell rollouts apart: of
groups of eight, two thirds then have all eight there (0.95^8 = 66 %)."""

MOST_WEIGHT = 0.5
MINOR_WEIGHT = 0.05
"""Shares of the sum of all weights. Above one half a component outweighs all others together; below
a twentieth it can't turn the order of two rollouts that the rest tells apart by more than that."""

CONFLICT_GROUPS = 30
"""Groups in which two components vary, from which on the mean of their influences is near enough to
normal for an interval: the usual rule of thumb."""

CONFLICT = -0.3
CANCELLED = 0.5
"""Correlation of two components within groups below which they conflict: J. Cohen (1988) calls
0.3 medium. The conflict matters once it cancels half of the variance that the two would have
without it, since then the larger part of what they teach never reaches the advantage."""

REPEATED = 0.1
"""Share of a batch's groups that repeat a prompt of the batch. A sampler that shuffles its dataset
repeats none, but at the border of an epoch one or two of them are normal."""

DECIDES = 0.5
"""Share of the advantages' signs that a component decides, beyond which training follows it and not
the rest: the sign says whether a rollout is made likelier, so more than half of the batch's push is
that component's."""

HACKED = 0.5
"""Part of the reward's rise that right answers bring at most where it is called hacking: beyond one
half they are what is learnt most."""

PARTIAL_CREDIT = 0.5
"""Correlation with the outcome over rollouts above which a component measures the same thing more
finely: J. Cohen (1988) calls 0.5 large. A form has less: wrong answers are well-formed too."""

PAYS_CALLS = 0.7
"""Correlation of a component with the number of calls within groups above which it pays for calls:
half of its variance is then theirs (0.7^2 = 0.49)."""

TINY_SPREAD = 0.05
"""Standard deviation of a group's rewards, relative to what the run's groups have where an answer
decides, below which the division by it blows small differences up: by twenty and more. It is
MINOR_WEIGHT's twentieth: what can't turn the order of two rollouts elsewhere decides all here."""

FULL_SIZE = 0.5
"""Size of a group's advantages, relative to that of the run's, from which on they count as much as
those of other groups. Without a division they would shrink with the spread."""

GAP_GROWN = 10.0
GAP_DRIFT = 1e-3
GAP_LAG = 0.02
"""Gap between trainer and sampler of the last steps, relative to that of the first, and in nats,
which with a steady trend shows that the sampler stands still. In float32 rounding stays below 3e-6
(`gap_baseline.py`) whatever the policy becomes; the demo without sync is at 7e-3 after one update
and 0.1 after ten, with a learning rate thirty times smaller at 1e-3 after ten. In bfloat16 rounding
itself is some 0.02, so that ten times as much is GAP. Where batches are sampled ahead, each update
of that lag adds its own: 0.011 in the demo's first steps, 0.001 later, so the line lies above."""

TREND_STEPS = 8
"""Steps from which on a trend is asked for: with eight that rise without exception the probability
of chance is 1 / 8!, and with a few exchanges still below 1 %."""

STANDSTILL_RATE = 1e-8
SLOW_RATE = 1e-7
"""Learning rates below which nothing is learnt in some thousand updates. Adam moves a weight by no
more than about the rate in an update; at 1e-8 a thousand updates move it by 1e-5, a thousandth of
an ordinary weight of 0.01. GRPO was published with 1e-6 (DeepSeekMath, arXiv 2402.03300); below a
tenth of that a run has to prove by its reward that something happens."""

STANDSTILL_KL = 1e-7
STANDSTILL_SURE = 100
"""KL to the reference, in nats a token, of a policy that did not move: the estimator exp(x) - x - 1
is computed in float32, where 1 has a rounding of 1.2e-7. While a policy drifts its KL grows with
the square of the updates, so as little after a hundred makes 1e-5 of a thousand, which is a change
of the logprobs by 0.004: then it is sure."""

STANDSTILL_UPDATES = 10
"""Updates from which on a standstill is said: before, a warm-up of the rate is no defect."""

HARMLESS_CLIP = 1e-3
"""max_grad_norm relative to the gradient's norm below which clipping is worth a note: Adam divides
it away, while plain SGD moves a thousandth of what the rate says."""

DAMPED_CLIP = 3e-6
"""max_grad_norm below which even Adam stands still: over 100,000 weights, fewer than any language
model has, a norm of 3e-6 is 1e-8 a weight, which is Adam's epsilon."""
KL_FAR = 1.0
"""Mean KL to the reference, in nats a token, beyond which a policy is another model: it gives its
tokens a probability e times that of the reference. The demo with a learning rate that teaches
stays below 0.3 (`beta=0.04`, 40 steps), with a hundred times of it it stands at 5.6 after one."""

GRADIENT_JUMP = 100.0
GRADIENT_LARGE = 10.0
"""Times that the median of the gradient's norm grows in a divergence, and the norm that it must
reach: two orders of magnitude, and ten times the usual clip of 1. A batch without any spread has a
norm near 0, so a jump alone may be the begin of learning."""

ENTROPY_JUMP = 4.0
"""Times that a policy's entropy grows in a divergence. The demo's grows by five in one update and
by eighteen in ten (learning rate 3e-2), and falls in a training that learns; exploration that is
rewarded on purpose seldom doubles it."""

ENTROPY_GONE = 0.02
"""Entropy in nats a token below which sampling gives one text: over 50 tokens nine of ten rollouts
then take the most likely token everywhere, roughly. The demo ends at 0.025 with 90 % solved."""

COPIES = 0.5
"""Share of the rollouts that say what another of their group says, and are not right: with half of
them copies, a group of eight compares four texts, and its advantage has twice the variance."""

ALIKE = 0.95
"""Share of words that two texts have in common, in number, from which on they are nearly the same:
in a text of forty words two differ."""

LONG_TEXT = 20
"""Sampled tokens from which on two rollouts of different prompts do not say the same by chance."""

ACTING = 0.5
IDLE = 0.1
"""Share of the rollouts that call a tool: above the first a run uses its tools, below the second it
gave them up (80 groups without a call prove it). In between the policy learns when to call."""

OVERUSED = 0.5
"""Share of the rollouts that call in all turns there are. Some do so in any run (COSTLY_HABIT,
which is turn-limit's); where half do, calling has become the aim."""

LENGTH_CHANGE = 2.0
"""Times that the median length of turns grows or shrinks before it is a trend. Rollouts of
one prompt differ by less in a run (the demo's turns differ by a tenth from first to last)."""

REWRITTEN = 0.2
"""Share of the rollouts of several turns whose history was rendered anew. Sampled ids that a server
reads again from text part now and then (3 % of the demo's rollouts in the first third of the run,
0.5 % in its last); a template that rewrites history does it in nearly all."""

VOID = 0.2
"""Share of the rollouts with a turn that neither calls nor answers. SimpleTIR (arXiv 2509.02479)
leaves such rollouts out of the loss altogether; one of five costs more than a tenth of a batch,
and a policy that learns loses the habit."""
