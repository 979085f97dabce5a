"""What is simulated: the run, its task, and what is wrong with it."""

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property


class Task(StrEnum):
    """What the policy does.

    math: one turn and no tools, the answer in a box. two_hop: questions answered with a search
    tool over several turns. code: a Python tool whose errors are part of the work.
    """

    MATH = "math"
    TWO_HOP = "two_hop"
    CODE = "code"


class Fault(StrEnum):
    """What can be wrong. Each names what the trainer, the scorer or the policy does."""

    CONSTANT_REWARD = "constant_reward"
    SCORER_SILENT = "scorer_silent"
    SCORER_ERRORS = "scorer_errors"
    SCORER_DISAGREES = "scorer_disagrees"
    COMPONENT_CONSTANT = "component_constant"
    COMPONENT_SATURATED = "component_saturated"
    COMPONENTS_CONFLICT = "components_conflict"
    HIDDEN_CONTEXT = "hidden_context"
    WRONG_TOKENS = "wrong_tokens"
    MASK_COVERS_TOOLS = "mask_covers_tools"
    MASK_MISSES_ANSWERS = "mask_misses_answers"
    FROZEN_SAMPLER = "frozen_sampler"
    LATER_TURNS_DIFFER = "later_turns_differ"
    STALE_POLICY = "stale_policy"
    SHUFFLED_ADVANTAGES = "shuffled_advantages"
    DUPLICATE_PROMPTS = "duplicate_prompts"
    TOO_HARD = "too_hard"
    TOO_EASY = "too_easy"
    UNPARSED_CALLS = "unparsed_calls"
    MALFORMED_CALLS = "malformed_calls"
    TOOL_FAILS = "tool_fails"
    TURN_LIMIT = "turn_limit"
    CUT_ANSWERS = "cut_answers"
    TRUNCATED_ROWS = "truncated_rows"
    ANSWER_NOT_PARSED = "answer_not_parsed"
    REWARD_HACKING = "reward_hacking"
    CALLS_OUTWEIGH = "calls_outweigh"
    NOISE_DECIDES = "noise_decides"
    TINY_UPDATES = "tiny_updates"
    HISTORY_REWRITTEN = "history_rewritten"
    TOOLS_GIVEN_UP = "tools_given_up"
    TOOLS_OVERUSED = "tools_overused"
    VOID_TURNS = "void_turns"
    SAME_OUTPUT = "same_output"
    LENGTH_GROWS = "length_grows"
    LENGTH_SHRINKS = "length_shrinks"
    DIVERGENCE = "divergence"


FAULT_CODES: Mapping[Fault, tuple[str, ...]] = {
    Fault.CONSTANT_REWARD: ("zero-variance-groups", "component-constant"),
    Fault.SCORER_SILENT: ("scorer-silent",),
    Fault.SCORER_ERRORS: ("scorer-errors",),
    Fault.SCORER_DISAGREES: ("scorer-disagrees",),
    Fault.COMPONENT_CONSTANT: ("component-constant",),
    Fault.COMPONENT_SATURATED: ("component-saturated",),
    Fault.COMPONENTS_CONFLICT: ("components-conflict",),
    Fault.HIDDEN_CONTEXT: ("context-not-attended",),
    Fault.WRONG_TOKENS: ("tokens-not-sampled",),
    Fault.MASK_COVERS_TOOLS: ("mask-on-wrong-roles",),
    Fault.MASK_MISSES_ANSWERS: ("mask-on-wrong-roles",),
    Fault.FROZEN_SAMPLER: ("sampler-not-updated",),
    Fault.LATER_TURNS_DIFFER: ("sampler-trainer-gap",),
    Fault.STALE_POLICY: ("wrong-policy-version",),
    Fault.SHUFFLED_ADVANTAGES: ("wrong-advantage",),
    Fault.DUPLICATE_PROMPTS: ("duplicate-prompts",),
    Fault.TOO_HARD: ("zero-variance-groups",),
    Fault.TOO_EASY: ("zero-variance-groups",),
    Fault.UNPARSED_CALLS: ("calls-unparsed",),
    Fault.MALFORMED_CALLS: ("calls-malformed",),
    Fault.TOOL_FAILS: ("tool-fails",),
    Fault.TURN_LIMIT: ("turn-limit",),
    Fault.CUT_ANSWERS: ("truncation",),
    Fault.TRUNCATED_ROWS: ("truncation",),
    Fault.ANSWER_NOT_PARSED: ("answer-not-parsed",),
    Fault.REWARD_HACKING: ("reward-hacking",),
    Fault.CALLS_OUTWEIGH: ("calls-outweigh-answer",),
    Fault.NOISE_DECIDES: ("advantage-blow-up",),
    Fault.TINY_UPDATES: ("update-too-small",),
    Fault.HISTORY_REWRITTEN: ("history-rewritten",),
    Fault.TOOLS_GIVEN_UP: ("tool-use-drift",),
    Fault.TOOLS_OVERUSED: ("tool-use-drift",),
    Fault.VOID_TURNS: ("void-turns",),
    Fault.SAME_OUTPUT: ("diversity-collapse",),
    Fault.LENGTH_GROWS: ("length-trend",),
    Fault.LENGTH_SHRINKS: ("length-trend",),
    Fault.DIVERGENCE: ("divergence",),
}
"""The codes of the findings that name each fault."""

KEEPS_LEARNING = frozenset(
    {
        Fault.COMPONENT_CONSTANT,
        Fault.COMPONENT_SATURATED,
        Fault.DUPLICATE_PROMPTS,
        Fault.HISTORY_REWRITTEN,
    }
)
"""Faults beside which the reward improves all the same."""

CHANGES = frozenset(
    {
        Fault.TOOLS_GIVEN_UP,
        Fault.TOOLS_OVERUSED,
        Fault.LENGTH_GROWS,
        Fault.LENGTH_SHRINKS,
        Fault.DIVERGENCE,
    }
)
"""Faults that are a change in mid-run: a run that has them from the first step on has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedFault:
    """A fault in the share `strength` of the rollouts, from step `onset` on."""

    kind: Fault
    strength: float = 1.0
    onset: int = 0


@dataclass(frozen=True, kw_only=True)
class SimulatedRun:
    """A training run that never was.

    Success is the chance that a prompt of middling difficulty is answered rightly, at the start and
    at the end; prompts differ by `difficulty` (standard deviation, in logits), and `haste` bends
    the curve between (below 1: learns early). Shares of behaviour that start and end with the run
    (`malformed`, `cut`, `formatted`) are of rollouts; so are `over_limit`, `truncated` and
    `retokenised`. `verbose` is the share of failures that state the right answer among other words;
    `tool_errors` is of calls. `idle` rollouts call no tool although they could, `failed` ones end
    by an error of the generation, those `timed_out` have an outcome that no scorer gave, and those
    `misjudged` a wrong one, as judges that sample give. `gap` is the mean |trainer - sampler|
    logprob in nats; each update that the sampling weights lie behind adds `gap_per_update`.
    `examples` is the size of the data set. Components map to their weights, the outcome first.
    """

    seed: int = 0
    task: Task = Task.TWO_HOP
    steps: int = 40
    prompts: int = 8
    generations: int = 8
    examples: int = 10_000
    success: tuple[float, float] = (0.2, 0.8)
    difficulty: float = 1.5
    haste: float = 1.0
    components: Mapping[str, float] = field(
        default_factory=lambda: {"exact_match": 0.7, "f1": 0.2, "format": 0.1}
    )
    malformed: tuple[float, float] = (0.1, 0.01)
    cut: tuple[float, float] = (0.02, 0.005)
    formatted: tuple[float, float] = (0.7, 0.97)
    verbose: float = 0.05
    over_limit: float = 0.01
    tool_errors: float = 0.05
    idle: float = 0.0
    failed: float = 0.0
    timed_out: float = 0.0
    misjudged: float = 0.0
    truncated: float = 0.0
    retokenised: float = 0.02
    max_turns: int = 5
    max_tokens: int = 256
    max_seq_len: int = 4096
    prompt_tokens: int = 120
    turn_tokens: int = 60
    gap: float = 4.5e-7
    gap_per_update: float = 0.0
    entropy: tuple[float, float] = (0.6, 0.2)
    batches_ahead: int = 0
    iterations: int = 1
    world_size: int = 1
    scale_rewards: bool = True
    token_details_every: int = 10
    faults: tuple[SimulatedFault, ...] = ()

    def with_faults(self, *faults: SimulatedFault) -> "SimulatedRun":
        """The same run with these faults and no others."""
        return replace(self, faults=faults)

    def strength(self, kind: Fault, step: int) -> float:
        """Share of the rollouts of a step that have the fault."""
        return max(
            (f.strength for f in self.faults if f.kind is kind and step >= f.onset), default=0
        )

    def has(self, kind: Fault, step: int, draw: random.Random) -> bool:
        """Whether one rollout, or one group, of a step has the fault."""
        return bool(self.faults) and draw.random() < self.strength(kind, step)

    @cached_property
    def skill(self) -> tuple[float, ...]:
        """Logit of the success at each step. A fault slows learning by its strength."""
        low, high = (_logit(share) for share in self.success)
        learnt, skills = 0.0, []
        for step in range(self.steps):
            skills.append(low + (high - low) * learnt**self.haste)
            hindered = [f for f in self.faults if f.kind not in KEEPS_LEARNING and step >= f.onset]
            learnt += (1 - max((f.strength for f in hindered), default=0.0)) / max(
                self.steps - 1, 1
            )
        return tuple(skills)

    def chance(self, batch: int, difficulty: float) -> float:
        """Chance of success on a prompt of that difficulty (in logits)."""
        return 1 / (1 + math.exp(difficulty - self.skill[batch]))

    def between(self, ends: tuple[float, float], batch: int) -> float:
        """A quantity that moves evenly over the batches, from the first to the last."""
        return ends[0] + (ends[1] - ends[0]) * batch / max(self.steps - 1, 1)

    @property
    def batch_size(self) -> int:
        """Rollouts of a batch, over all processes."""
        return self.prompts * self.generations

    def spoilt(self, kind: Fault, batch: int) -> float:
        """How far a fault has taken the policy: 0 before it begins, its strength at the end."""
        of_kind = [fault for fault in self.faults if fault.kind is kind]
        return max(
            (
                f.strength * max(0, batch * self.iterations - f.onset + 1) / self.updates_after(f)
                for f in of_kind
            ),
            default=0.0,
        )

    def updates_after(self, fault: SimulatedFault) -> int:
        """Updates of the run from the fault's first step on."""
        return max(1, self.steps * self.iterations - fault.onset)

    @property
    def outcome(self) -> str:
        """The component that says whether the answer is right: the first one."""
        return next(iter(self.components))


def _logit(share: float) -> float:
    return math.log(share / (1 - share))
