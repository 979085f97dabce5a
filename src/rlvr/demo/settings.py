"""Every number of the demo's training run, in one place."""

from dataclasses import dataclass

__all__ = ["DemoSettings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoSettings:
    """Settings of the demo's GRPO runs.

    max_tokens bounds one turn, max_model_len a whole dialogue; both are in tokens. A step trains
    on `prompts_per_step` questions with `generations` rollouts each. The learning rate is
    constant; `beta` weighs the KL term.
    """

    seed: int = 0
    steps: int = 60
    upstream_steps: int = 20
    prompts_per_step: int = 8
    generations: int = 8
    learning_rate: float = 3e-4
    beta: float = 0.0
    max_grad_norm: float = 1.0
    temperature: float = 1.0
    max_tokens: int = 48
    max_model_len: int = 512
    max_turns: int = 5
    top_k: int = 1
    prompt_style: str = "brief"
    rewards: str = "revised"
    token_details_every: int = 10

    @property
    def rollouts_per_step(self) -> int:
        """Rollouts that one optimizer step trains on."""
        return self.prompts_per_step * self.generations

    @property
    def datasets(self) -> str:
        """The dataset spec: a new question for every prompt of the run, unseen in warm start."""
        return f"synthetic,seed-{self.seed},train[:{self.steps * self.prompts_per_step}]"

    @property
    def upstream_datasets(self) -> str:
        """The same questions from the first on, as many as the upstream trainer's steps take."""
        prompts = self.upstream_steps * self.prompts_per_step
        return f"synthetic,seed-{self.seed},train[:{prompts}]"
